"""Define the languages of the stories; a new language is one row here."""

from typing import NamedTuple


class Language(NamedTuple):
    """A language of a story."""

    name: str
    digits: tuple[str, ...]  # the names of 0 to 9: annotations spell numbers digit by digit


LANGUAGES = {
    "en": Language("English", tuple("zero one two three four five six seven eight nine".split())),
    "fr": Language("French", tuple("zero un deux trois quatre cinq six sept huit neuf".split())),
}

# Letters that Unicode does not decompose, though annotators write two letters.
LIGATURES = {"œ": "oe", "æ": "ae"}
APOSTROPHES = "'’ʼ＇"
