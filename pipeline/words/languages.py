"""What is particular to a language; a new language is one row here."""

from typing import NamedTuple


class Language(NamedTuple):
    """A language of a story."""

    name: str
    digits: tuple[str, ...]  # from zero to nine: numbers are read out digit by digit in the annotations


LANGUAGES = {
    "en": Language("English", tuple("zero one two three four five six seven eight nine".split())),
    "fr": Language("French", tuple("zero un deux trois quatre cinq six sept huit neuf".split())),
}

# Letters that Unicode does not decompose, though annotators write them as two.
LIGATURES = {"œ": "oe", "æ": "ae"}
APOSTROPHES = "'’ʼ＇"
