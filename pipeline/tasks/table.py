"""Describe the benchmarks of minimal pairs: their sizes, and which part of one a checkpoint has.

A part is a sorted tuple of (paradigm, number of pairs), an entry per paradigm; the number is None where
a table does not have it.
"""

from typing import NamedTuple

BENCHMARKS = ("blimp", "zorro", "arithmetic", "dyck")


class Size(NamedTuple):
    """The size of a whole benchmark."""

    n_paradigms: int
    n_pairs: int  # of all paradigms
    pairs_per_paradigm: int


SIZES = {
    "blimp": Size(67, 67_000, 1_000),
    "zorro": Size(23, 46_000, 2_000),
    "arithmetic": Size(9, 6_200, 1_000),  # with the default seed; a few more or fewer with others
    "dyck": Size(7, 7_000, 1_000),
}
# There are fewer problems with numbers of one digit. How many of them make pairs depends on the seed.
SMALLER_PARADIGMS = {"addition_1_digit", "subtraction_1_digit", "multiplication_1_digit"}


def is_whole(benchmark, part):
    """Return whether a part has all paradigms of the benchmark, and all pairs of each where their number is known.

    Parameters
    ----------
    benchmark : str
        A key of SIZES.
    part : tuple of (str, int or None)

    Returns
    -------
    bool
    """
    size = SIZES[benchmark]
    return len(part) == size.n_paradigms and all(
        n in (None, size.pairs_per_paradigm) or paradigm in SMALLER_PARADIGMS for paradigm, n in part
    )


def describe_size(benchmark, part):
    """Return how much of a benchmark a part is, as ``4 of 67 paradigms, 800 of 67,000 pairs``.

    Parameters
    ----------
    benchmark : str
        A key of SIZES.
    part : tuple of (str, int or None)

    Returns
    -------
    str
        Without the pairs where their number is not known.
    """
    size = SIZES[benchmark]
    paradigms = f"{len(part)} of {size.n_paradigms} paradigms"
    if (n := count_pairs(part)) is None:
        return paradigms
    return f"{paradigms}, {n:,} of {'about ' if benchmark == 'arithmetic' else ''}{size.n_pairs:,} pairs"


def describe_part(benchmark, part):
    """Return a sentence without full stop on a part of a benchmark, empty for a whole one.

    Parameters
    ----------
    benchmark : str
        A key of SIZES.
    part : tuple of (str, int or None)

    Returns
    -------
    str
    """
    if is_whole(benchmark, part):
        return ""
    size = SIZES[benchmark]
    is_larger = len(part) > size.n_paradigms or any((n or 0) > size.pairs_per_paradigm for _, n in part)
    what = "is not the published set" if is_larger else "is a part"
    return f"{benchmark} {what}: {describe_size(benchmark, part)}"


def find_most_common_part(parts):
    """Return the part that most checkpoints have; of several, the largest.

    Parameters
    ----------
    parts : list of part or None
        None for a checkpoint without the benchmark.

    Returns
    -------
    part or None
        The largest is the one with most paradigms, then with most pairs. None where no checkpoint has any.
    """
    there = [part for part in parts if part is not None]
    # A part without numbers of pairs is like every part of its paradigms: it supports those, and is chosen only
    # where there are none.
    candidates = {part for part in there if count_pairs(part) is not None}
    with_numbers = {_paradigms(part) for part in candidates}
    candidates |= {part for part in there if _paradigms(part) not in with_numbers}

    def rank(part):
        return sum(is_same_part(part, other) for other in there), len(part), count_pairs(part) or 0

    return max(sorted(candidates, key=repr), key=rank, default=None)


def is_same_part(one, other):
    """Return whether two parts have the same paradigms, and the same numbers of pairs where both are known."""
    return _paradigms(one) == _paradigms(other) and all(
        n == m or None in (n, m) for (_, n), (_, m) in zip(one, other, strict=True)
    )


def count_pairs(part):
    """Return the number of pairs of all paradigms, None where one is not known."""
    numbers = [n for _, n in part]
    return None if None in numbers else sum(numbers)


def _paradigms(part):
    """Return the names of a part's paradigms."""
    return tuple(paradigm for paradigm, _ in part)
