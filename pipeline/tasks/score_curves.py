"""Benchmarks of which only scores are known, at some checkpoints or at all of them."""

import numpy as np
import pandas as pd


def add_scores_alone(curves, benchmarks):
    """Add to the curves of benchmarks those scores of which nothing but the score is known.

    Parameters
    ----------
    curves : dict from benchmark to (curve, resamples)
        Of shapes (n_checkpoints,) and (n_resamples, n_checkpoints).
    benchmarks : pandas.DataFrame
        A row per checkpoint and a column per benchmark, NaN where a checkpoint has no score.

    Returns
    -------
    dict from benchmark to (curve, resamples)
        Also of benchmarks without resamples, which are NaN then.
    """
    n_checkpoints, complete = len(benchmarks), dict(curves)
    nothing = np.full(n_checkpoints, np.nan), np.full((2, n_checkpoints), np.nan)
    for benchmark in benchmarks:
        values, resamples = curves.get(benchmark, nothing)
        complete[benchmark] = np.where(np.isnan(values), benchmarks[benchmark], values), resamples
    return complete


def describe_scores_alone(curves, revisions):
    """List the points that are drawn, and do not count in fits.

    Parameters
    ----------
    curves : dict from benchmark to (curve, resamples)
    revisions : sequence of n_checkpoints str

    Returns
    -------
    list of str
        A sentence for each benchmark with such a point.
    """
    sentences = []
    for curve, (values, resamples) in curves.items():
        is_unsure = np.isfinite(values) & ~np.isfinite(resamples).all(axis=0)
        if is_unsure.any():
            places = ", ".join(pd.Series(revisions)[is_unsure])
            sentences.append(
                f"{curve}: not in the table of transitions at {places}, since resampling may leave nothing, "
                "or nothing is known to resample"
            )
    return sentences
