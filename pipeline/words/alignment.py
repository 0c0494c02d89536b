"""Place each spoken word on the characters of the written text.

The timing file of an audiobook lists what was heard, word by word; the language model reads what was written. The two
differ in case, accents, ligatures and apostrophes, in how contractions and compounds are cut (``did | n't``,
``grownups``), in numbers read out, and in the odd wrong, missing or repeated row. ``align`` places every row.
"""

import re
import unicodedata

import numpy as np
from rapidfuzz.distance import Levenshtein

from pipeline.errors import InputError
from pipeline.words.languages import APOSTROPHES, LANGUAGES, LIGATURES

WRITTEN_WORD = re.compile(rf"[^\W_]+(?:[{APOSTROPHES}\-‐‑][^\W_]+)*")

# A run in which fewer of the words are placed has another text.
LEAST_SHARE_PLACED = 0.95


def align(words, text, lang="en"):
    """Place spoken words on the characters of a written text.

    Words that are written as they are spoken are placed first, by the edit operations between the two sequences of
    words. The words between two of them are compared letter by letter: joined, split and misspelt words find their
    characters, and a wrong word takes the place of the right one. A word without a counterpart gets the empty place
    between its neighbours.

    Parameters
    ----------
    words : sequence of n_words str
        As in the timing file, in the order in which they are heard.
    text : str
        The text of the same run.
    lang : str
        A key of ``LANGUAGES``: its digits are read out.

    Returns
    -------
    spans : int array of shape (n_words, 2)
        Each word is ``text[start:end]``. Starts never decrease, and a word ends before the next word starts.

    Raises
    ------
    InputError
        Fewer than 95 % of the words are in the text. The message shows the first stretch that is not.
    """
    if lang not in LANGUAGES:
        raise InputError(f"language: expected one of {', '.join(LANGUAGES)}, got {lang!r}. CONTRIBUTING.md adds others")
    heard = ["".join(letter for letter, _ in _letters(word, lang)) for word in words]
    pieces = _pieces(text, lang)
    written = ["".join(letter for letter, _ in piece) for piece in pieces]

    spans = np.full((len(words), 2), -1)
    is_placed = np.zeros(len(words), dtype=bool)
    # Words without a letter (an empty cell, a dash) would only disturb the comparison.
    rows = [i for i, letters in enumerate(heard) if letters]
    for tag, row, row_end, piece, piece_end in _blocks([heard[i] for i in rows], written):
        if tag == "equal":
            for i, letters in zip(rows[row:row_end], pieces[piece:piece_end], strict=True):
                spans[i] = letters[0][1], letters[-1][1] + 1
                is_placed[i] = True
        else:
            _place_by_letters(rows[row:row_end], heard, pieces[piece:piece_end], text, spans, is_placed)

    # A run without words (silence, an empty list) has nothing that could be lost.
    if rows and is_placed[rows].mean() < LEAST_SHARE_PLACED:
        raise InputError(_describe_failure(words, text, spans, is_placed, rows))
    _take_elided_apostrophes(text, spans)
    _place_between_neighbours(spans)
    return spans


def _letters(string, lang):
    """Return the letters of a string as they are compared, each with the index of its character.

    Case, accents, punctuation and spaces go; digits become their names.
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


def _pieces(text, lang):
    """Cut a text at everything that is not a letter or digit, apostrophes and hyphens included.

    Returns a list of pieces, each a list of (letter, index of its character in the text).
    """
    letters_of_piece: list[tuple[str, int]] = []
    pieces = []
    for letter, index in _letters(text, lang):
        if letters_of_piece and index > letters_of_piece[-1][1] + 1:
            between = text[letters_of_piece[-1][1] + 1 : index]
            if not all(unicodedata.combining(character) for character in between):
                pieces.append(letters_of_piece)
                letters_of_piece = []
        letters_of_piece.append((letter, index))
    if letters_of_piece:
        pieces.append(letters_of_piece)
    return pieces


def _blocks(heard, written):
    """Return the edit operations between two sequences: stretches of equal elements, and the stretches between them."""
    blocks: list[list] = []
    for tag, start, end, start_written, end_written in Levenshtein.opcodes(heard, written):
        tag = "equal" if tag == "equal" else "different"
        if blocks and tag == "different" == blocks[-1][0]:
            blocks[-1][2], blocks[-1][4] = end, end_written
        else:
            blocks.append([tag, start, end, start_written, end_written])
    return blocks


def _place_by_letters(rows, heard, pieces, text, spans, is_placed):
    """Place rows that are not written as they are spoken, by their letters; change spans and is_placed."""
    row_of_letter = [i for i in rows for _ in heard[i]]
    letters = [letter for piece in pieces for letter in piece]
    said = "".join(heard[i] for i in rows)
    written = "".join(letter for letter, _ in letters)

    # For each row, the positions in `written` that its letters stand against, and how many are equal.
    against: dict[int, tuple[int, int]] = {}
    n_equal = dict.fromkeys(rows, 0)
    for edit in Levenshtein.opcodes(said, written):
        if edit.tag in ("equal", "replace"):
            for k in range(edit.src_end - edit.src_start):
                i, position = row_of_letter[edit.src_start + k], edit.dest_start + k
                first, _ = against.get(i, (position, position))
                against[i] = first, position
                n_equal[i] += edit.tag == "equal"

    placed = [i for i in rows if i in against]
    for i in placed:
        spans[i] = letters[against[i][0]][1], letters[against[i][1]][1] + 1
    for position, i in enumerate(placed):
        n_letters_written = against[i][1] - against[i][0] + 1
        is_placed[i] = n_equal[i] > 0.5 * max(len(heard[i]), n_letters_written)
        # A joined, misspelt or wrong word stands for the whole written word, as far as it is free.
        free_from = spans[placed[position - 1], 1] if position else letters[0][1]
        free_to = spans[placed[position + 1], 0] if position + 1 < len(placed) else letters[-1][1] + 1
        start, end = spans[i]
        spans[i] = _whole_word(text, start, end, free_from, free_to)


def _whole_word(text, start, end, free_from, free_to):
    """Widen a span to the written words that it touches, within the characters that are free."""
    for word in WRITTEN_WORD.finditer(text, free_from, free_to):
        if word.start() < end and word.end() > start:
            start, end = min(start, word.start()), max(end, word.end())
    return start, end


def _take_elided_apostrophes(text, spans):
    """Give the apostrophe of a word cut in two (l'|homme) to its first part; change spans."""
    starts = set(spans[:, 0])
    for span in spans:
        end = span[1]
        is_inside_word = text[end : end + 1] in set(APOSTROPHES) and text[end + 1 : end + 2].isalnum()
        if span[0] >= 0 and is_inside_word and end not in starts:
            span[1] = end + 1


def _place_between_neighbours(spans):
    """Give words without a counterpart the empty place after the word before; change spans."""
    end_of_previous = 0
    for span in spans:
        if span[0] < 0:
            span[:] = end_of_previous
        # Words that read out the same number share its digits; the first of them has the character.
        span[0] = max(span[0], end_of_previous)
        span[1] = end_of_previous = max(span[1], span[0])


def _describe_failure(words, text, spans, is_placed, rows):
    """Return a line that shows the first stretch of ten words of which most are not in the text."""
    lost = next((k for k in range(len(rows)) if is_placed[rows[k : k + 10]].mean() < 0.5), 0)
    while lost < len(rows) - 1 and is_placed[rows[lost]]:
        lost += 1
    read_until = max([0, *(spans[i, 1] for i in rows[:lost] if is_placed[i])])
    heard = " ".join(words[i] for i in rows[lost : lost + 8])
    reads = " ".join(text[read_until : read_until + 60].split())
    return (
        f"only {is_placed[rows].mean():.1%} of the {len(rows)} words are in the text; from word {rows[lost] + 1} on, "
        f"'{heard} ...' was heard where the text reads '{reads} ...'"
    )
