"""Draw bootstrap resamples of statistics of items that belong to runs: whole runs are drawn."""

import numpy as np

from pipeline.statistics.curve import Curve
from pipeline.statistics.resampling import draw_counts


def resample_ratios(numerators, denominators, runs, n_resamples=1000, seed=0):
    """Resample runs, and divide the sum over items by another sum.

    Parameters
    ----------
    numerators : array (n_checkpoints, n_items); a row is NaN for a checkpoint without values
    denominators : array (n_items,); ones for a mean
    runs : array (n_items,), the run of each item
    n_resamples, seed : int

    Returns
    -------
    Curve; NaN where a checkpoint has no values
    """
    sums = _sum_by_run(np.vstack([numerators, denominators]), runs)  # (n_runs, n_checkpoints + 1)
    totals = _draw_runs(len(sums), n_resamples, seed) @ sums
    ratios = totals[:, :-1] / totals[:, -1:]
    return Curve(ratios[0], ratios[1:])


def resample_correlations(values, reference, runs, n_resamples=1000, seed=0):
    """Resample runs, and correlate values with a reference over items (Pearson's r).

    Parameters
    ----------
    values : array (n_checkpoints, n_items); a row is NaN for a checkpoint without values
    reference : array (n_items,); items that are NaN do not count
    runs : array (n_items,), the run of each item
    n_resamples, seed : int

    Returns
    -------
    Curve; NaN where a checkpoint has no values, or values that do not vary
    """
    is_used = np.isfinite(reference)
    values, reference, runs = np.asarray(values, float)[:, is_used], reference[is_used], np.asarray(runs)[is_used]
    # Centred numbers have sums of squares without cancellation. A correlation does not change by centring.
    values = values - values.mean(axis=1, keepdims=True)
    reference = reference - reference.mean()
    counts = _draw_runs(len(np.unique(runs)), n_resamples, seed)

    def total(items):
        return counts @ _sum_by_run(np.atleast_2d(items), runs)  # (1 + n_resamples, n_checkpoints or 1)

    n = total(np.ones(len(runs)))
    covariance = total(values * reference) - total(values) * total(reference) / n
    variances = total(values**2) - total(values) ** 2 / n, total(reference**2) - total(reference) ** 2 / n
    product = np.sqrt(np.maximum(variances[0], 0) * np.maximum(variances[1], 0))
    correlations = np.divide(covariance, product, out=np.full(covariance.shape, np.nan), where=product > 0)
    return Curve(correlations[0], correlations[1:])


def _draw_runs(n_runs, n_resamples, seed):
    """Return how often each run counts, (1 + n_resamples, n_runs): once in the measured curve, in the first row."""
    counts = draw_counts(np.random.default_rng(seed), n_runs, np.ones(n_runs), n_resamples=n_resamples)
    return np.vstack([np.ones(n_runs, dtype=int), counts])


def _sum_by_run(items, runs):
    """Return the sums over the items (n_rows, n_items) of each run, an array (n_runs, n_rows)."""
    return np.stack([items[:, runs == run].sum(axis=1) for run in np.unique(runs)])
