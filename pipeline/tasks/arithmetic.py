"""Make minimal pairs of arithmetic: ``12 + 7 = 19`` is right, ``12 + 7 = 18`` is wrong.

Two problems with close answers form a match: the answer of each is the foil of its partner. So every number is a foil
as often as an answer, and a model that only uses the frequencies of numbers has an accuracy of one half.
"""

import random

import pandas as pd

OPERATIONS = {"addition": "+", "subtraction": "-", "multiplication": "*"}
DIGITS = (1, 2, 3)
N_PAIRS = 1000
MOST_DIFFERENCE = 9  # between an answer and its foil


def make_arithmetic_pairs(seed, n_pairs=N_PAIRS):
    """Return pairs of every operation with operands of one, two and three digits.

    Parameters
    ----------
    seed : int; the same seed makes the same pairs on every machine and with every version of Python
    n_pairs : int, an even number of pairs of each paradigm; a paradigm with too few problems has fewer

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, pair, group, good, bad
        The two problems of a match have the same group, a number from 0 within each paradigm.
    """
    rows = []
    for operation, sign in OPERATIONS.items():
        for digits in DIGITS:
            paradigm = f"{operation}_{digits}_digit{'s' if digits > 1 else ''}"
            problems = make_problems(operation, digits)
            matches = match_problems(problems, n_pairs // 2, random.Random(f"{seed} {paradigm}"))
            pairs = [pair for match in matches for pair in (match, match[::-1])]
            for number, ((a, b, answer), (_, _, foil)) in enumerate(pairs):
                good, bad = f"{a} {sign} {b} = {answer}", f"{a} {sign} {b} = {foil}"
                rows.append((paradigm, operation, number, number // 2, good, bad))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "pair", "group", "good", "bad"])


def make_problems(operation, digits):
    """Return all (operand, operand, answer) of operands with the given digits and an answer that is not negative."""
    operands = range(10 ** (digits - 1), 10**digits)
    if operation == "addition":
        return [(a, b, a + b) for a in operands for b in operands]
    if operation == "subtraction":
        return [(a, b, a - b) for a in operands for b in operands if a >= b]
    return [(a, b, a * b) for a in operands for b in operands]


def match_problems(all_problems, n_matches, rng):
    """Draw up to n_matches pairs of distinct problems, whose answers differ by 1 to 9 and have equally many digits."""
    # Python guarantees the same numbers in every version for random() only.
    in_random_order = sorted(all_problems, key=lambda problem: rng.random())
    unused: dict[int, list] = {}  # by answer
    for problem in in_random_order:
        unused.setdefault(problem[2], []).append(problem)
    matches = []
    for problem in in_random_order:
        answer = problem[2]
        near = [
            foil
            for foil in range(answer - MOST_DIFFERENCE, answer + MOST_DIFFERENCE + 1)
            if foil != answer and len(str(foil)) == len(str(answer)) and unused.get(foil)
        ]
        if problem in unused[answer] and near:
            unused[answer].remove(problem)
            foil = near[int(rng.random() * len(near))]
            matches.append((problem, unused[foil].pop()))
        if len(matches) == n_matches:
            break
    return matches
