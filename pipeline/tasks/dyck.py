"""Minimal pairs of Dyck languages: well-formed strings of brackets against spoilt ones.

A good string, such as ``( [ ] ) ( )``, is made ill-formed by one change of a named kind:

- wrong_kind: a closing bracket becomes one of another kind
- exchanged: two opening or two closing brackets of different kinds, which do not touch, change places
- turned: an opening bracket becomes the closing one of its kind, or the other way round

Pairs come in twos that undo each other: where one puts ``]`` for ``)`` between two neighbours, the
other puts ``)`` for ``]`` between the same two. So whatever is known of neighbouring brackets, and
nothing more, is right in one pair of two: only the memory of what is still open tells.

With one kind of brackets, only turning is left. To exchange an opening bracket and a closing one makes
a string ill-formed only if it moves the opening one to the right, so that a model has all pairs right,
or all wrong, whose liking for one of them merely grows along the string.
"""

import random

import pandas as pd

BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))
CHANGES = ("turned", "wrong_kind", "exchanged")
LENGTHS = (8, 12, 16, 20, 24)  # brackets in a string
DEPTHS = (2, 3, 4, 5, 6)  # most brackets open at once
N_PAIRS = 1000

CLOSING = dict(BRACKETS)
OPENING = {closing: opening for opening, closing in BRACKETS}


def make_dyck_pairs(seed, n_pairs=N_PAIRS):
    """Pairs of Dyck-1, Dyck-2 and Dyck-3, spoilt in every way that makes a string ill-formed.

    Parameters
    ----------
    seed : int
        The same seed makes the same pairs on every machine and with every version of Python.
    n_pairs : int
        Of each paradigm, an even number.

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, pair, good, bad
    """
    rows = []
    for n_kinds in range(1, len(BRACKETS) + 1):
        for change in CHANGES:
            if n_kinds == 1 and change != "turned":
                continue
            phenomenon = f"dyck{n_kinds}"
            paradigm = f"{phenomenon}_{change}"
            pairs = make_balanced_pairs(n_kinds, change, n_pairs, random.Random(f"{seed} {paradigm}"))
            for number, (good, bad) in enumerate(pairs):
                rows.append((paradigm, phenomenon, number, " ".join(good), " ".join(bad)))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "pair", "good", "bad"])


def make_balanced_pairs(n_kinds, change, n_pairs, rng):
    """Distinct pairs (good, bad), two by two with opposite changes between the same neighbours.

    Parameters
    ----------
    n_kinds : int
        How many kinds of brackets there are, 1 to 3.
    change : str
        One of CHANGES.
    n_pairs : int
        An even number.
    rng : random.Random

    Returns
    -------
    list of n_pairs (good, bad), each a str of brackets without spaces
    """
    waiting: dict[tuple, list] = {}  # changes between their neighbours: pairs that still lack their opposite
    seen: set[tuple[str, str]] = set()
    pairs: list[tuple[str, str]] = []
    while len(pairs) < n_pairs:
        good = make_well_formed(pick(LENGTHS, rng), pick(DEPTHS, rng), n_kinds, rng)
        bad = spoil(good, change, n_kinds, rng)
        if is_well_formed(bad) or (good, bad) in seen:
            continue
        seen.add((good, bad))
        opposite = waiting.get(make_local_changes(bad, good))
        if opposite:
            pairs += [opposite.pop(), (good, bad)]
        else:
            waiting.setdefault(make_local_changes(good, bad), []).append((good, bad))
    return pairs


def make_well_formed(length, depth, n_kinds, rng):
    """A random well-formed string of an even length with at most so many brackets open at once."""
    string = ""
    still_open: list[str] = []
    while len(string) < length:
        must_close = len(still_open) in (depth, length - len(string))
        if still_open and (must_close or rng.random() < 0.5):
            string += CLOSING[still_open.pop()]
        else:
            still_open.append(pick(BRACKETS[:n_kinds], rng)[0])
            string += still_open[-1]
    return string


def is_well_formed(string):
    """Whether every bracket is closed by one of its kind, the last one opened first."""
    still_open = []
    for bracket in string:
        if bracket in CLOSING:
            still_open.append(bracket)
        elif not still_open or still_open.pop() != OPENING[bracket]:
            return False
    return not still_open


def spoil(string, change, n_kinds, rng):
    """Make one change of a kind at random; what comes out need not be ill-formed."""
    brackets = list(string)
    place = int(rng.random() * len(brackets))
    if change == "exchanged":
        other = int(rng.random() * len(brackets))
        alike = (brackets[place] in OPENING) == (brackets[other] in OPENING)
        if alike and abs(place - other) > 1:
            brackets[place], brackets[other] = brackets[other], brackets[place]
    elif change == "turned":
        brackets[place] = (CLOSING | OPENING)[brackets[place]]
    elif brackets[place] in OPENING:
        kinds = [closing for _, closing in BRACKETS[:n_kinds] if closing != brackets[place]]
        brackets[place] = pick(kinds, rng)
    return "".join(brackets)


def make_local_changes(before, after):
    """What changed between which neighbours: a sorted tuple of (left, before, after, right)."""
    left, right = "^" + before, before[1:] + "$"
    return tuple(
        sorted(change for change in zip(left[:-1], before, after, right, strict=True) if change[1] != change[2])
    )


def pick(choices, rng):
    """One of several; only random() is promised to be the same in every version of Python."""
    return choices[int(rng.random() * len(choices))]
