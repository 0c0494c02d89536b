"""Make minimal pairs of Dyck languages: well-formed and ill-formed strings of brackets.

One change makes a good string, such as ``( [ ] ) ( )``, ill-formed. There are three kinds of change:

- wrong_kind: a closing bracket becomes a closing bracket of another kind
- exchanged: two opening or two closing brackets of different kinds, which are not adjacent, are exchanged
- turned: an opening bracket becomes the closing bracket of its kind, or the reverse

For each pair there is a pair with the opposite change: where the first puts ``]`` for ``)`` between two neighbours, the
second puts ``)`` for ``]`` between the same two. So a model of neighbouring brackets has an accuracy of one half. A
better model must remember which brackets are open.

With one kind of brackets, only ``turned`` is used. An exchange of an opening and a closing bracket makes a string
ill-formed only if the opening bracket moves to the right. A model with a preference that only grows along the string
would have all of these pairs right, or all wrong.
"""

import random

import pandas as pd

BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))
CHANGES = ("turned", "wrong_kind", "exchanged")  # only the first with one kind of brackets
LENGTHS = (8, 12, 16, 20, 24)  # brackets in a string
DEPTHS = (2, 3, 4, 5, 6)  # most brackets open at once
N_PAIRS = 1000

CLOSING = dict(BRACKETS)
OPENING = {closing: opening for opening, closing in BRACKETS}


def make_dyck_pairs(seed, n_pairs=N_PAIRS):
    """Return pairs of Dyck-1, Dyck-2 and Dyck-3 with every kind of change.

    Parameters
    ----------
    seed : int; the same seed makes the same pairs on every machine and with every version of Python
    n_pairs : int, an even number of pairs of each paradigm

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, pair, group, good, bad
        Two pairs with opposite changes have the same group, a number from 0 within each paradigm.
    """
    rows = []
    for n_kinds in range(1, len(BRACKETS) + 1):
        for change in CHANGES if n_kinds > 1 else CHANGES[:1]:
            phenomenon = f"dyck{n_kinds}"
            paradigm = f"{phenomenon}_{change}"
            pairs = make_balanced_pairs(n_kinds, change, n_pairs, random.Random(f"{seed} {paradigm}"))
            for number, (good, bad) in enumerate(pairs):
                rows.append((paradigm, phenomenon, number, number // 2, " ".join(good), " ".join(bad)))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "pair", "group", "good", "bad"])


def make_balanced_pairs(n_kinds, change, n_pairs, rng):
    """Return n_pairs distinct pairs (good, bad).

    Each pair with an even index precedes a pair with the opposite change between the same neighbours. n_pairs is even,
    n_kinds is 1 to 3, and change is one of CHANGES. The strings have no spaces.
    """
    waiting: dict[tuple, list] = {}  # pairs without an opposite yet, by their local changes
    seen: set[tuple[str, str]] = set()
    pairs: list[tuple[str, str]] = []
    while len(pairs) < n_pairs:
        good = make_well_formed(pick(LENGTHS, rng), pick(DEPTHS, rng), n_kinds, rng)
        bad = change_string(good, change, n_kinds, rng)
        if is_well_formed(bad) or (good, bad) in seen:
            continue
        seen.add((good, bad))
        if opposite := waiting.get(make_local_changes(bad, good)):
            pairs += [opposite.pop(), (good, bad)]
        else:
            waiting.setdefault(make_local_changes(good, bad), []).append((good, bad))
    return pairs


def make_well_formed(length, depth, n_kinds, rng):
    """Return a random well-formed string of an even length, with at most ``depth`` brackets open at once."""
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
    """Return whether brackets are closed in the reverse order of opening, each by a bracket of its kind."""
    still_open = []
    for bracket in string:
        if bracket in CLOSING:
            still_open.append(bracket)
        elif not still_open or still_open.pop() != OPENING[bracket]:
            return False
    return not still_open


def change_string(string, change, n_kinds, rng):
    """Return a string with a random change of a kind. The result may be well-formed."""
    brackets = list(string)
    first = int(rng.random() * len(brackets))
    if change == "exchanged":
        second = int(rng.random() * len(brackets))
        is_same_side = (brackets[first] in OPENING) == (brackets[second] in OPENING)
        if is_same_side and abs(first - second) > 1:
            brackets[first], brackets[second] = brackets[second], brackets[first]
    elif change == "turned":
        brackets[first] = (CLOSING | OPENING)[brackets[first]]
    elif brackets[first] in OPENING:
        kinds = [closing for _, closing in BRACKETS[:n_kinds] if closing != brackets[first]]
        brackets[first] = pick(kinds, rng)
    return "".join(brackets)


def make_local_changes(before, after):
    """Return the changes with their neighbours, a sorted tuple of (left, before, after, right)."""
    left, right = "^" + before, before[1:] + "$"
    places = zip(left[:-1], before, after, right, strict=True)
    return tuple(sorted(place for place in places if place[1] != place[2]))


def pick(choices, rng):
    """Return a random choice. Python guarantees the same numbers in every version for random() only."""
    return choices[int(rng.random() * len(choices))]
