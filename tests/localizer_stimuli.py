"""Sentences and lists of non-words in the layout of brainscore-language's localizer."""

import numpy as np

WORDS = "the little prince saw a small sheep under an old tree there".split()


def write_stimuli(path, n=6):
    rng = np.random.default_rng(0)
    header = ",".join(f"stim{number}" for number in range(1, 15))
    rows = []
    for number in range(2 * n):
        words = rng.permutation(WORDS)
        if number % 2:
            words = ["".join(rng.permutation(list(word))) for word in words]
        rows.append(",".join([str(number), *(str(word).upper() for word in words), "N" if number % 2 else "S"]))
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
