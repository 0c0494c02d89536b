"""Compute vectors of words that contain less than a language model has: their rate, length, position, identity.

Each function returns a list over runs of float32 arrays (n_words, n_features). The fit z-scores every regressor within
its run, so that the scale of a feature does not matter. A word type is a word in lower case, without the punctuation
around it.
"""

import hashlib
import re

import numpy as np

from pipeline.words.languages import APOSTROPHES

SENTENCE_END = re.compile(r"[.!?…。！？]")
N_DIMENSIONS = 300  # of random vectors, as of the usual static embeddings


def find_word_type(word):
    """Return the type of a word: its lower case, with plain apostrophes, and without punctuation at both ends."""
    plain = re.sub(f"[{APOSTROPHES}]", "'", word.casefold())
    return re.sub(r"^[\W_]+|[\W_]+$", "", plain)


def compute_word_rate(words_of_runs):
    """Return 1 for every word: the regressors are the share of time with speech, convolved with the HRF.

    ``words_of_runs`` is a list over runs of list of str, here and below.
    """
    return [np.ones((len(words), 1), dtype=np.float32) for words in words_of_runs]


def compute_length_frequency(words_of_runs, zipf_by_type=None):
    """Return the number of letters of each word, and its log frequency in the story.

    Parameters
    ----------
    words_of_runs : list over runs of list of str
    zipf_by_type : dict from word type to float, optional
        Frequency of every word type in a large corpus (log10 per billion words), a third feature.

    Returns
    -------
    list over runs of float32 array (n_words, 2 or 3): letters and digits of the word type, log10 of the number of words
        of this type in all runs, and its frequency in the corpus
    """
    types_of_runs = [[find_word_type(word) for word in words] for words in words_of_runs]
    counts: dict[str, int] = {}
    for word_type in (word_type for types in types_of_runs for word_type in types):
        counts[word_type] = counts.get(word_type, 0) + 1
    tables = [{key: sum(map(str.isalnum, key)) for key in counts}, {key: np.log10(n) for key, n in counts.items()}]
    tables += [zipf_by_type] if zipf_by_type is not None else []
    return [
        np.array([[table[key] for table in tables] for key in types], dtype=np.float32).reshape(-1, len(tables))
        for types in types_of_runs
    ]


def compute_position(spans_of_runs, texts):
    """Return where each word is in its run, and in its sentence.

    A sentence ends at a full stop, question mark, exclamation mark or ellipsis between two words. An abbreviation
    ends a sentence, too.

    Parameters
    ----------
    spans_of_runs : list over runs of int array (n_words, 2), first and last character of each word, as of ``align``
    texts : list over runs of str

    Returns
    -------
    list over runs of float32 array (n_words, 5)
        With x the share of the run before the word, from 0 to 1, and k the index of the word: x, x squared (both
        for slow trends) and log(1 + k) (for the beginning of a run). Then the same share and logarithm within
        the sentence. A text without the end of a sentence gives only the first three.
    """
    starts_of_runs = [_find_sentence_starts(spans, text) for spans, text in zip(spans_of_runs, texts, strict=True)]
    has_sentences = any(is_start[1:].any() for is_start in starts_of_runs)
    features = []
    for is_start in starts_of_runs:
        run_index, run_share = _locate(np.arange(len(is_start)) == 0)
        columns = [run_share, run_share**2, np.log1p(run_index)]
        if has_sentences:
            sentence_index, sentence_share = _locate(is_start)
            columns += [sentence_share, np.log1p(sentence_index)]
        features.append(np.stack(columns, axis=1).astype(np.float32))
    return features


def _find_sentence_starts(spans, text):
    """Return whether each word is the first of a sentence, a bool array (n_words,)."""
    gaps = [text[end:start] for end, start in zip(spans[:-1, 1], spans[1:, 0], strict=True)]
    return np.array([True, *(bool(SENTENCE_END.search(gap)) for gap in gaps)][: len(spans)], dtype=bool)


def _locate(is_start):
    """Return the index of each word in its part, and the share of the part before it, arrays (n_words,).

    A part begins at each True of ``is_start``, a bool array (n_words,).
    """
    part = np.cumsum(is_start) - 1
    index = np.arange(len(is_start)) - np.flatnonzero(is_start)[part]
    lengths = np.bincount(part)[part]
    return index, index / np.maximum(lengths - 1, 1)


def draw_random_embedding(words_of_runs, seed, n_dimensions=N_DIMENSIONS):
    """Return a fixed random vector for each word type, of independent standard normal numbers.

    A vector depends on the word type and the seed alone, and not on the story, the run or the order of words.

    Parameters
    ----------
    words_of_runs : list over runs of list of str
    seed, n_dimensions : int

    Returns
    -------
    list over runs of float32 array (n_words, n_dimensions)
    """
    types_of_runs = [[find_word_type(word) for word in words] for words in words_of_runs]
    vectors = {
        word_type: _draw(_make_key(word_type, seed), 1, n_dimensions)[0]
        for word_type in sorted(set().union(*types_of_runs))
    }
    empty = np.empty((0, n_dimensions), dtype=np.float32)
    return [np.stack([vectors[key] for key in types]) if types else empty for types in types_of_runs]


def _make_key(word_type, seed):
    """Return the seed of a word type's vector, an int of 256 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed} {word_type}".encode()).digest())


def draw_random_vectors(words_of_runs, seed, n_dimensions=N_DIMENSIONS):
    """Return a random vector for each word, other vectors where a word is repeated; as ``draw_random_embedding``."""
    return [_draw([seed, run], len(words), n_dimensions) for run, words in enumerate(words_of_runs)]


def _draw(seed, n_vectors, n_dimensions):
    """Draw standard normal vectors, a float32 array (n_vectors, n_dimensions)."""
    return np.random.default_rng(seed).standard_normal((n_vectors, n_dimensions), dtype=np.float32)
