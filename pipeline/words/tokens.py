"""Assign tokens to words."""

import numpy as np

from pipeline.errors import InputError


def assign_tokens(spans, offsets, text):
    """Which tokens make up each word.

    A token stands where its first letter or digit is, or, if it has none, its first character
    that is no space: the token ``’histoire`` belongs to the word ``histoire``. A word's tokens
    are those that stand from its first character up to the next word's, so that punctuation
    counts to the word before it. A word in which no token stands (``homme`` in a token
    ``l'homme``) has the token that covers its first character as well; a word that the text lacks
    has the last token before it.

    Parameters
    ----------
    spans : int array of shape (n_words, 2)
        Start and end character of each word, in order (see ``alignment.align``).
    offsets : int array of shape (n_tokens, 2)
        Start and end character of each token, as a fast tokenizer returns them.
    text : str
        What the spans and the offsets point into.

    Returns
    -------
    ranges : int array of shape (n_words, 2)
        First token of each word and one past its last; never empty.

    Raises
    ------
    InputError
        There are no tokens.
    """
    if len(offsets) == 0:
        raise InputError("the text of a run is empty")
    # Byte-level tokens of one character share its offsets.
    places = np.maximum.accumulate([_place(text, *offset) for offset in offsets])
    is_written = spans[:, 1] > spans[:, 0]
    starts, ends = spans[is_written].T

    written = np.empty((len(starts), 2), dtype=int)
    written[:, 0] = np.searchsorted(places, starts, side="left")
    written[:, 1] = np.searchsorted(places, np.append(starts[1:], len(text) + 1), side="left")
    standing = np.append(places, len(text) + 1)[written[:, 0]]  # the first token at or after a word's start
    lacks = standing >= np.minimum(ends, np.append(starts[1:], len(text) + 1))
    written[lacks, 0] = np.searchsorted(places, starts[lacks], side="right") - 1

    ranges = np.empty_like(spans)
    ranges[is_written] = written
    ranges[~is_written, 0] = np.searchsorted(places, spans[~is_written, 0], side="left") - 1
    ranges[:, 0] = np.maximum(ranges[:, 0], 0)
    ranges[~is_written, 1] = 0
    ranges[:, 1] = np.maximum(ranges[:, 1], ranges[:, 0] + 1)
    return ranges


def _place(text, start, end):
    """The character where a token stands: its first letter or digit, or else its first visible one.

    Byte-level tokenizers trim spaces off the offsets, so that a token of nothing but spaces covers
    no character, and seems to begin where the next word does.
    """
    if start == end and start > 0 and text[start - 1].isspace():
        return start - 1
    letters = (position for position in range(start, end) if text[position].isalnum())
    visible = (position for position in range(start, end) if not text[position].isspace())
    return next(letters, next(visible, max(start, end - 1)))
