"""List the benchmarks, and describe which part of a benchmark a checkpoint has.

A new benchmark is one row of BENCHMARKS, one file in ``pipeline/tasks/`` or ``study/inputs/`` that makes or reads its
pairs, and one script. Functions take its key in BENCHMARKS. A part is a sorted tuple of (paradigm, number of pairs), an
entry per paradigm. The number is None where a table does not have it.
"""

from typing import NamedTuple


class Benchmark(NamedTuple):
    """Describe a benchmark of minimal pairs, which a script of this project evaluates."""

    kinds: dict[str, str]  # by language of the story: formal or functional
    script: str
    n_paradigms: int
    n_pairs: int  # of all paradigms
    pairs_per_paradigm: int
    is_exact: bool = True  # whether n_pairs is the same for every seed
    smaller_paradigms: tuple[str, ...] = ()  # with fewer pairs than the others
    pairs_per_group: int = 1  # made together, with successive numbers from 0: a table without groups is read by them
    chance: float = 0.5  # share of right answers of a model that guesses


# There are fewer problems with numbers of one digit. How many of them make pairs depends on the seed.
ONE_DIGIT = ("addition_1_digit", "subtraction_1_digit", "multiplication_1_digit")

# Formal competence is knowledge of the language. Functional competence is the use of language for a task. A story in
# one language is compared with what the model can do in that language.
FORMAL, FUNCTIONAL = "formal", "functional"
BOTH_FUNCTIONAL = {"en": FUNCTIONAL, "fr": FUNCTIONAL}

BENCHMARKS = {
    "blimp": Benchmark({"en": FORMAL}, "evaluate_llm_blimp.py", 67, 67_000, 1_000),
    "zorro": Benchmark({"en": FORMAL}, "evaluate_llm_zorro.py", 23, 46_000, 2_000),
    "arithmetic": Benchmark(BOTH_FUNCTIONAL, "evaluate_llm_arithmetic.py", 9, 6_200, 1_000, False, ONE_DIGIT, 2),
    "dyck": Benchmark(BOTH_FUNCTIONAL, "evaluate_llm_dyck.py", 7, 7_000, 1_000, pairs_per_group=2),
}

# Curves of the paper that are not made of minimal pairs: acceptability of generated texts, and tasks of lm_eval.
OTHER_KINDS = {
    "acceptability": {"en": FORMAL},
    "french_bench_grammar": {"fr": FORMAL},
    "arc_easy": {"en": FUNCTIONAL},
    "arc_challenge": {"en": FUNCTIONAL},
    "hellaswag": {"en": FUNCTIONAL},
    "french_bench_arc_challenge": {"fr": FUNCTIONAL},
    "french_bench_hellaswag": {"fr": FUNCTIONAL},
    "counting": {"en": FUNCTIONAL},  # of the embedded study
}

# One over the number of answers. ARC has four answers to nearly all of its questions, and three or five to some.
OTHER_CHANCES = {
    "counting": 0.5,  # of the embedded study
    "french_bench_grammar": 0.25,
    "arc_easy": 0.25,
    "arc_challenge": 0.25,
    "hellaswag": 0.25,
    "french_bench_arc_challenge": 0.25,
    "french_bench_hellaswag": 0.25,
}


def classify_benchmark(curve, lang):
    """Return the competence in a language that a curve measures: ``formal``, ``functional`` or ``other``."""
    kinds = BENCHMARKS[curve].kinds if curve in BENCHMARKS else OTHER_KINDS.get(curve, {})
    return kinds.get(lang, "other")


def find_chance(curve):
    """Return the score (float) of a model that guesses, None where it is not known, as for generated texts.

    ``curve`` is the name of a benchmark, of a field of BLiMP (``blimp_syntax``), or of a task of lm_eval.
    """
    benchmark = "blimp" if curve.startswith("blimp_") else curve
    return BENCHMARKS[benchmark].chance if benchmark in BENCHMARKS else OTHER_CHANCES.get(curve)


def is_whole(benchmark, part):
    """Return whether a part has all paradigms of a benchmark (a key of BENCHMARKS), and all pairs of each.

    Where the number of pairs is not known, it counts as all.
    """
    size = BENCHMARKS[benchmark]
    return len(part) == size.n_paradigms and all(
        n in (None, size.pairs_per_paradigm) or paradigm in size.smaller_paradigms for paradigm, n in part
    )


def describe_size(benchmark, part):
    """Return how much of a benchmark a part is, as ``4 of 67 paradigms, 800 of 67,000 pairs``.

    The text has no pairs where their number is not known.
    """
    size = BENCHMARKS[benchmark]
    paradigms = f"{len(part)} of {size.n_paradigms} paradigms"
    if (n := count_pairs(part)) is None:
        return paradigms
    return f"{paradigms}, {n:,} of {'' if size.is_exact else 'about '}{size.n_pairs:,} pairs"


def describe_part(benchmark, part):
    """Return a sentence without full stop on a part of a benchmark, the empty str for a whole benchmark."""
    if is_whole(benchmark, part):
        return ""
    size = BENCHMARKS[benchmark]
    is_larger = len(part) > size.n_paradigms or any((n or 0) > size.pairs_per_paradigm for _, n in part)
    state = "is not the published set" if is_larger else "is a part"
    return f"{benchmark} {state}: {describe_size(benchmark, part)}"


def find_most_common_part(parts):
    """Return the part that most checkpoints have, None where no checkpoint has the benchmark.

    Of several such parts, the largest is returned: with most paradigms, then most pairs.

    Parameters
    ----------
    parts : list of part, or None for a checkpoint without the benchmark
    """
    known = [part for part in parts if part is not None]
    # A part without numbers of pairs equals every part of its paradigms. It counts for these parts, and is chosen only
    # where there are none.
    candidates = {part for part in known if count_pairs(part) is not None}
    with_numbers = {_list_paradigms(part) for part in candidates}
    candidates |= {part for part in known if _list_paradigms(part) not in with_numbers}

    def rank(candidate):
        return sum(is_same_part(candidate, part) for part in known), len(candidate), count_pairs(candidate) or 0

    return max(sorted(candidates, key=repr), key=rank, default=None)


def is_same_part(part, reference):
    """Return whether two parts have the same paradigms, and the same numbers of pairs where both are known."""
    return _list_paradigms(part) == _list_paradigms(reference) and all(
        n == m or None in (n, m) for (_, n), (_, m) in zip(part, reference, strict=True)
    )


def count_pairs(part):
    """Return the number of pairs of all paradigms, None where one is not known."""
    numbers = [n for _, n in part]
    return None if None in numbers else sum(numbers)


def _list_paradigms(part):
    """Return the paradigms of a part, a tuple; a damaged table can have a paradigm twice."""
    return tuple(paradigm for paradigm, _ in part)
