"""Write the results of benchmarks of minimal pairs, and read them one by one."""

import numpy as np
import pandas as pd

from pipeline.tasks.minimal_pairs import compute_accuracies
from study.files.tables import write_table
from study.paths import benchmark_pairs_path, benchmark_path


def pairs_of(paradigms, n_pairs, seed, shift=0):
    """Pairs with random scores."""
    rng = np.random.default_rng(seed)
    rows = [
        (paradigm, pair + shift, "a", "b", *rng.normal(size=2)) for paradigm in paradigms for pair in range(n_pairs)
    ]
    columns = ["paradigm", "pair", "good", "bad", "logprob_good", "logprob_bad"]
    return pd.DataFrame(rows, columns=columns).assign(phenomenon="p")


def write_results(revision, pairs, benchmark="blimp", drop=(), what=("accuracies", "pairs")):
    stem = f"lm_{revision}"
    if "accuracies" in what:
        write_table(benchmark_path(stem, benchmark), compute_accuracies(pairs).drop(columns=list(drop)))
    if "pairs" in what:
        write_table(benchmark_pairs_path(stem, benchmark), pairs.drop(columns="phenomenon"))


def checkpoints_of(*revisions):
    return pd.DataFrame({"stem": [f"lm_{revision}" for revision in revisions], "revision": list(revisions)})


def mean_accuracy(pairs):
    """The mean over paradigms of the share of right pairs, counted one by one."""
    by_paradigm = {}
    for row in pairs.to_dict("records"):
        by_paradigm.setdefault(row["paradigm"], []).append(row["logprob_good"] > row["logprob_bad"])
    return sum(sum(right) / len(right) for right in by_paradigm.values()) / len(by_paradigm)
