"""Assign tokens to words."""

import numpy as np

from pipeline.errors import InputError


def assign_tokens(spans, offsets, text):
    """Return the range of tokens of each word.

    The place of a token is its first letter or digit, or, if it has none, its first character that is not a space: the
    token ``’histoire`` belongs to the word ``histoire``. The tokens of a word are at its first character or after it,
    and before the next word. So punctuation counts to the word before it. A word without such a token (``homme`` in a
    token ``l'homme``) also gets the token that covers its first character. A word that the text lacks gets the last
    token before it. InputError is raised if there are no tokens.

    Parameters
    ----------
    spans : int array (n_words, 2), start and end character of each word, in order, as ``alignment.align`` returns them
    offsets : int array (n_tokens, 2), start and end character of each token, as a fast tokenizer returns them
    text : str, the text of the spans and the offsets

    Returns
    -------
    ranges : int array (n_words, 2), first token of each word, and the end of its tokens (exclusive); never empty
    """
    if len(offsets) == 0:
        raise InputError("expected text in a run, got an empty text")
    # Byte-level tokens of one character share its offsets.
    places = np.maximum.accumulate(_find_places(text, *np.asarray(offsets).T))
    is_written = spans[:, 1] > spans[:, 0]
    starts, ends = spans[is_written].T

    written = np.empty((len(starts), 2), dtype=int)
    written[:, 0] = np.searchsorted(places, starts, side="left")
    written[:, 1] = np.searchsorted(places, np.append(starts[1:], len(text) + 1), side="left")
    first_places = np.append(places, len(text) + 1)[written[:, 0]]  # of the first token at or after a word's start
    has_none = first_places >= np.minimum(ends, np.append(starts[1:], len(text) + 1))
    written[has_none, 0] = np.searchsorted(places, starts[has_none], side="right") - 1

    ranges = np.empty_like(spans)
    ranges[is_written] = written
    ranges[~is_written, 0] = np.searchsorted(places, spans[~is_written, 0], side="left") - 1
    ranges[:, 0] = np.maximum(ranges[:, 0], 0)
    ranges[~is_written, 1] = 0
    ranges[:, 1] = np.maximum(ranges[:, 1], ranges[:, 0] + 1)
    return ranges


def count_spaces_after(ranges, spans, offsets, text):
    """Return how many of the last tokens of each word contain only spaces after the word, an int array (n_words,).

    Tokenizers with few tokens write a space before a rare word as a token of its own, which counts to the word before.
    Parameters are as of ``assign_tokens``, and ranges what it returns. The first token of a word is never counted.
    """
    places = np.maximum.accumulate(_find_places(text, *np.asarray(offsets).T))
    is_space = np.array([character.isspace() for character in text], dtype=bool)[np.minimum(places, len(text) - 1)]
    counts = np.zeros(len(ranges), dtype=int)
    for word, ((first, end), (_, span_end)) in enumerate(zip(ranges, spans, strict=True)):
        while end - 1 - counts[word] > first:
            token = end - 1 - counts[word]
            if not is_space[token] or places[token] < span_end:
                break
            counts[word] += 1
    return counts


def _find_places(text, starts, ends):
    """Return the index of each token's first letter or digit, or else of its first visible character.

    Byte-level tokenizers trim spaces off the offsets: a token of spaces has empty offsets where the next word begins.
    """
    letters, spaces = (
        np.array([test(character) for character in text], dtype=bool) for test in (str.isalnum, str.isspace)
    )
    places = np.maximum(starts, ends - 1)
    for is_kind in (~spaces, letters):  # letters come before other visible characters
        positions = np.append(np.flatnonzero(is_kind), len(text))
        first = positions[np.searchsorted(positions, starts)]
        places = np.where(first < ends, first, places)
    is_trimmed = (starts == ends) & (starts > 0) & spaces[starts - 1]
    return np.where(is_trimmed, starts - 1, places)
