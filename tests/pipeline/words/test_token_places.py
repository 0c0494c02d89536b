"""Compare the places of tokens with a plain loop over characters."""

import random

import numpy as np

from pipeline.words.tokens import _find_places


def plain_place(text, start, end):
    if start == end and start > 0 and text[start - 1].isspace():
        return start - 1
    letters = [position for position in range(start, end) if text[position].isalnum()]
    visible = [position for position in range(start, end) if not text[position].isspace()]
    return [*letters, *visible, max(start, end - 1)][0]


def test_places_are_those_of_a_plain_loop():
    rng = random.Random(1)
    for _ in range(500):
        text = "".join(rng.choice("ab1 ’,\n “é中") for _ in range(rng.randint(1, 30)))
        starts = [rng.randint(0, len(text)) for _ in range(10)]
        offsets = [(start, rng.randint(start, min(len(text), start + 4))) for start in starts]
        expected = [plain_place(text, *offset) for offset in offsets]
        assert _find_places(text, *np.array(offsets).T).tolist() == expected
