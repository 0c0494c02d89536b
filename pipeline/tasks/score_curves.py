"""Complete curves of benchmarks with scores that cannot be resampled, such as scores of published tables."""

import numpy as np
import pandas as pd


def add_scores_alone(curves, benchmarks):
    """Add scores without items or standard errors to the curves of benchmarks.

    Parameters
    ----------
    curves : dict from benchmark to (curve, resamples)
        Of shapes (n_checkpoints,) and (n_resamples, n_checkpoints).
    benchmarks : pandas.DataFrame
        A row per checkpoint and a column per benchmark, NaN where a checkpoint has no score.

    Returns
    -------
    dict from benchmark to (curve, resamples)
        The resamples of benchmarks with scores only are NaN.
    """
    n_checkpoints, complete = len(benchmarks), dict(curves)
    unknown = np.full(n_checkpoints, np.nan), np.full((2, n_checkpoints), np.nan)
    for benchmark in benchmarks:
        values, resamples = curves.get(benchmark, unknown)
        complete[benchmark] = np.where(np.isnan(values), benchmarks[benchmark], values), resamples
    return complete


def describe_scores_alone(curves, revisions):
    """Return sentences on the points that are drawn but not fitted.

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
    for benchmark, (values, resamples) in curves.items():
        is_unsure = np.isfinite(values) & ~np.isfinite(resamples).all(axis=0)
        if is_unsure.any():
            names = ", ".join(pd.Series(revisions)[is_unsure])
            reason = "since too few scores or no items are known to resample"
            sentences.append(f"{benchmark}: not in the table of transitions at {names}, {reason}")
    return sentences
