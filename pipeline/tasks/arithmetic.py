"""Minimal pairs of arithmetic: ``12 + 7 = 19`` is right, ``12 + 7 = 18`` is wrong.

Problems come in twos whose answers are close to each other, and each has the other's answer as
its foil. So every number is a foil exactly as often as it is an answer, and a model that only
knows which numbers are frequent is right in one pair of two.
"""

import random

import pandas as pd

OPERATIONS = {"addition": "+", "subtraction": "-", "multiplication": "*"}
DIGITS = (1, 2, 3)
N_PAIRS = 1000
FURTHEST = 9  # between an answer and its foil


def make_arithmetic_pairs(seed, n_pairs=N_PAIRS):
    """Pairs of every operation with operands of one, two and three digits.

    Parameters
    ----------
    seed : int
        The same seed makes the same pairs on every machine and with every version of Python.
    n_pairs : int
        Of each paradigm, an even number; where there are not as many problems, as many as can be
        matched.

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, pair, good, bad
    """
    rows = []
    for operation, sign in OPERATIONS.items():
        for digits in DIGITS:
            paradigm = f"{operation}_{digits}_digit{'s' if digits > 1 else ''}"
            twos = match_problems(make_problems(operation, digits), n_pairs // 2, random.Random(f"{seed} {paradigm}"))
            pairs = [pair for one, other in twos for pair in [(one, other), (other, one)]]
            for number, ((a, b, answer), (_, _, foil)) in enumerate(pairs):
                good, bad = f"{a} {sign} {b} = {answer}", f"{a} {sign} {b} = {foil}"
                rows.append((paradigm, operation, number, good, bad))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "pair", "good", "bad"])


def make_problems(operation, digits):
    """All problems with two operands of so many digits and an answer that is not negative.

    Parameters
    ----------
    operation : str
        A key of OPERATIONS.
    digits : int

    Returns
    -------
    list of (operand, operand, answer)
    """
    operands = range(10 ** (digits - 1), 10**digits)
    if operation == "addition":
        return [(a, b, a + b) for a in operands for b in operands]
    if operation == "subtraction":
        return [(a, b, a - b) for a in operands for b in operands if a >= b]
    return [(a, b, a * b) for a in operands for b in operands]


def match_problems(all_problems, n_twos, rng):
    """Draw problems in twos whose answers differ by 1 to 9 and have as many digits.

    Parameters
    ----------
    all_problems : list of (operand, operand, answer)
    n_twos : int
    rng : random.Random

    Returns
    -------
    list of at most n_twos (problem, problem); no problem occurs twice
    """
    # Only random() is promised to be the same in every version of Python.
    in_random_order = sorted(all_problems, key=lambda problem: rng.random())
    unused: dict[int, list] = {}  # answer: its problems
    for problem in in_random_order:
        unused.setdefault(problem[2], []).append(problem)
    twos = []
    for problem in in_random_order:
        answer = problem[2]
        near = [
            foil
            for foil in range(answer - FURTHEST, answer + FURTHEST + 1)
            if foil != answer and len(str(foil)) == len(str(answer)) and unused.get(foil)
        ]
        if problem in unused[answer] and near:
            unused[answer].remove(problem)
            foil = near[int(rng.random() * len(near))]
            twos.append((problem, unused[foil].pop()))
        if len(twos) == n_twos:
            break
    return twos
