"""Place each spoken word on the characters of the written text.

The timing file of an audiobook lists spoken words. The language model reads the written text. They differ in case,
accents, ligatures, apostrophes and numbers, and in the splitting of contractions and compounds (``did | n't``,
``grownups``). A few rows are wrong, missing or repeated. ``align`` places every row.
"""

import re
import unicodedata

import numpy as np
from rapidfuzz.distance import Levenshtein

from pipeline.errors import InputError
from pipeline.words.languages import APOSTROPHES, LANGUAGES, LIGATURES

WRITTEN_WORD = re.compile(rf"[^\W_]+(?:[{APOSTROPHES}\-‐‑][^\W_]+)*")

# With a smaller share of placed words, the text is not that of the run.
LEAST_SHARE_PLACED = 0.95


def align(words, text, lang="en"):
    """Place spoken words on the characters of a written text.

    Equal words are placed first, by the edit operations between the two sequences of words. The words between them are
    compared letter by letter. So joined, split and misspelt words get their characters, and a wrong word gets the
    characters of the right word. A word without a counterpart gets an empty span between its neighbours. InputError is
    raised if fewer than 95 % of the words are in the text; the message shows where the first missing words are.

    Parameters
    ----------
    words : sequence of n_words str, the words of the timing file in spoken order
    text : str, the text of the same run
    lang : str, a key of ``LANGUAGES``, for the names of digits

    Returns
    -------
    spans : int array (n_words, 2)
        Each word is ``text[start:end]``. Starts do not decrease, and no word ends after the start of the next word.
    """
    if lang not in LANGUAGES:
        raise InputError(
            f"language: expected one of {', '.join(LANGUAGES)}, got {lang!r}. "
            "CONTRIBUTING.md explains how to add a language."
        )
    heard = ["".join(letter for letter, _ in _normalize_letters(word, lang)) for word in words]
    pieces = _split_pieces(text, lang)
    written = ["".join(letter for letter, _ in piece) for piece in pieces]

    spans = np.full((len(words), 2), -1)
    is_placed = np.zeros(len(words), dtype=bool)
    # Words without a letter (an empty cell, a dash) are not compared.
    rows = [i for i, letters in enumerate(heard) if letters]
    for tag, row, row_end, piece, piece_end in _compare_words([heard[i] for i in rows], written):
        if tag == "equal":
            for i, letters in zip(rows[row:row_end], pieces[piece:piece_end], strict=True):
                spans[i] = letters[0][1], letters[-1][1] + 1
                is_placed[i] = True
        else:
            _place_by_letters(rows[row:row_end], heard, pieces[piece:piece_end], text, spans, is_placed)

    # A run without words (silence, an empty list) passes.
    if rows and is_placed[rows].mean() < LEAST_SHARE_PLACED:
        raise InputError(_describe_failure(words, text, spans, is_placed, rows))
    _take_elided_apostrophes(text, spans)
    _place_between_neighbours(spans)
    return spans


def _normalize_letters(string, lang):
    """Return the normalized letters of a string, each with the index of its character.

    Case, accents, punctuation and spaces are removed. Digits become their names.
    """
    letters = []
    for index, character in enumerate(string):
        for part in unicodedata.normalize("NFKD", LIGATURES.get(character.lower(), character).casefold()):
            if part.isdecimal():
                part = LANGUAGES[lang].digits[unicodedata.decimal(part)]
            elif not part.isalnum():
                continue
            letters += [(letter, index) for letter in part]
    return letters


def _split_pieces(text, lang):
    """Split a text at all characters except letters and digits into lists of (letter, index of its character)."""
    pieces: list[list[tuple[str, int]]] = []
    end = 0  # of the letter before
    for letter, index in _normalize_letters(text, lang):
        if not pieces or not all(map(unicodedata.combining, text[end:index])):
            pieces.append([])
        pieces[-1].append((letter, index))
        end = index + 1
    return pieces


def _compare_words(heard, written):
    """Return the edit operations between two sequences, with adjacent differences joined to one operation."""
    blocks: list[list] = []
    for tag, start, end, start_written, end_written in Levenshtein.opcodes(heard, written):
        tag = "equal" if tag == "equal" else "different"
        if blocks and tag == "different" == blocks[-1][0]:
            blocks[-1][2], blocks[-1][4] = end, end_written
        else:
            blocks.append([tag, start, end, start_written, end_written])
    return blocks


def _place_by_letters(rows, heard, pieces, text, spans, is_placed):
    """Place rows whose words differ from the text by their letters; change spans and is_placed."""
    row_of_letter = [i for i in rows for _ in heard[i]]
    letters = [letter for piece in pieces for letter in piece]
    spoken = "".join(heard[i] for i in rows)
    written = "".join(letter for letter, _ in letters)

    # For each row, the first and last position in `written` of its letters, and the number of equal letters.
    matched: dict[int, tuple[int, int]] = {}
    n_equal = dict.fromkeys(rows, 0)
    for edit in Levenshtein.opcodes(spoken, written):
        if edit.tag in ("equal", "replace"):
            for position, i in enumerate(row_of_letter[edit.src_start : edit.src_end], edit.dest_start):
                matched[i] = matched.get(i, (position,))[0], position
                n_equal[i] += edit.tag == "equal"

    placed = [i for i in rows if i in matched]
    for i in placed:
        spans[i] = letters[matched[i][0]][1], letters[matched[i][1]][1] + 1
    for position, i in enumerate(placed):
        n_letters_written = matched[i][1] - matched[i][0] + 1
        is_placed[i] = n_equal[i] > 0.5 * max(len(heard[i]), n_letters_written)
        # A joined, misspelt or wrong word gets the whole written word, as far as its characters are free.
        free_from = spans[placed[position - 1], 1] if position else letters[0][1]
        free_to = spans[placed[position + 1], 0] if position + 1 < len(placed) else letters[-1][1] + 1
        start, end = spans[i]
        spans[i] = _widen_to_words(text, start, end, free_from, free_to)


def _widen_to_words(text, start, end, free_from, free_to):
    """Return a span that is widened to the written words that it touches, within the free characters."""
    for word in WRITTEN_WORD.finditer(text, free_from, free_to):
        if word.start() < end and word.end() > start:
            start, end = min(start, word.start()), max(end, word.end())
    return start, end


def _take_elided_apostrophes(text, spans):
    """Give the apostrophe of a split word (l'|homme) to its first part; change spans."""
    starts = set(spans[:, 0])
    for span in spans:
        end = span[1]
        is_inside_word = text[end : end + 1] in set(APOSTROPHES) and text[end + 1 : end + 2].isalnum()
        if span[0] >= 0 and is_inside_word and end not in starts:
            span[1] = end + 1


def _place_between_neighbours(spans):
    """Give words without a counterpart the empty span after the word before; change spans."""
    end_of_previous = 0
    for span in spans:
        if span[0] < 0:
            span[:] = end_of_previous
        # Two words can be parts of one digit's name: the first word gets the character.
        span[0] = max(span[0], end_of_previous)
        span[1] = end_of_previous = max(span[1], span[0])


def _describe_failure(words, text, spans, is_placed, rows):
    """Return a line with the first of ten words in a row of which most are not in the text."""
    missing = next((k for k in range(len(rows)) if is_placed[rows[k : k + 10]].mean() < 0.5), 0)
    while missing < len(rows) - 1 and is_placed[rows[missing]]:
        missing += 1
    end_of_placed = max([0, *(spans[i, 1] for i in rows[:missing] if is_placed[i])])
    heard = " ".join(words[i] for i in rows[missing : missing + 8])
    written = " ".join(text[end_of_placed : end_of_placed + 60].split())
    return (
        f"only {is_placed[rows].mean():.1%} of the {len(rows)} words are in the text; from word {rows[missing] + 1} "
        f"on, '{heard} ...' was heard where the text reads '{written} ...'"
    )
