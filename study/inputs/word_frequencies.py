"""Read the frequencies of words in large corpora from the package wordfreq, which is optional.

wordfreq (https://github.com/rspeer/wordfreq) contains its data. Where it is not installed, nothing is read.
"""

import importlib
import importlib.metadata
import importlib.util

# An import statement would fail where the package is not installed.
wordfreq = importlib.import_module("wordfreq") if importlib.util.find_spec("wordfreq") else None


def find_wordfreq_version(lang):
    """Return the version of wordfreq, or None where it is not installed or lacks the language."""
    if wordfreq is None or lang not in wordfreq.available_languages():
        return None
    return importlib.metadata.version("wordfreq")


def read_zipf_frequencies(word_types, lang):
    """Read the frequency of each word type, log10 per billion words, 0 for unknown words: a dict by word type.

    None where ``find_wordfreq_version`` is None.
    """
    if wordfreq is None or find_wordfreq_version(lang) is None:
        return None
    return {word_type: wordfreq.zipf_frequency(word_type, lang) for word_type in word_types}
