"""Complete curves of benchmarks with scores that have no resamples."""

import numpy as np
import pandas as pd

from pipeline.statistics.curve import Curve


def add_scores_alone(curves, benchmarks):
    """Add scores without resamples to the curves of benchmarks.

    Parameters
    ----------
    curves : dict from benchmark to Curve
    benchmarks : pandas.DataFrame with a row per checkpoint and a column per benchmark, NaN without a score

    Returns
    -------
    dict from benchmark to Curve, of all benchmarks; resamples are NaN where a benchmark has none
    """
    n_checkpoints, complete = len(benchmarks), dict(curves)
    unknown = Curve(np.full(n_checkpoints, np.nan), np.full((2, n_checkpoints), np.nan))
    for benchmark in benchmarks:
        values, resamples = curves.get(benchmark, unknown)
        complete[benchmark] = Curve(np.where(np.isnan(values), benchmarks[benchmark], values), resamples)
    return complete


def describe_scores_alone(curves, revisions):
    """List the points that are drawn but do not count in fits, a sentence for each benchmark with such a point.

    Parameters
    ----------
    curves : dict from benchmark to Curve
    revisions : sequence of n_checkpoints str
    """
    sentences = []
    for benchmark, (values, resamples) in curves.items():
        is_unsure = np.isfinite(values) & ~np.isfinite(resamples).all(axis=0)
        if is_unsure.any():
            places = ", ".join(pd.Series(revisions)[is_unsure])
            sentences.append(
                f"{benchmark}: not in the table of transitions at {places}, since resampling may leave nothing, "
                "or nothing is known to resample"
            )
    return sentences
