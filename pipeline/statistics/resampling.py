"""Draw bootstrap resamples of curves: items within strata, and estimates with a standard error."""

import numpy as np
import pandas as pd

from pipeline.statistics.curve import Curve


def draw_counts(rng, n_draws, weights, n_resamples):
    """Draw items with replacement, many times: the bootstrap that every curve uses.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_draws : int, the number of items in each resample
    weights : float array (n_items,); items are drawn in proportion to their weights
    n_resamples : int

    Returns
    -------
    int array (n_resamples, n_items), how often each resample contains each item
    """
    return rng.multinomial(n_draws, weights / weights.sum(), size=n_resamples)


def resample_means(values, strata, n_resamples=1000, seed=0, groups=None):
    """Resample the items of a benchmark within each stratum, and average over all items.

    Every resample draws the same items at every checkpoint, so that differences along the curve have honest
    intervals. Items that were made together form a group, and are drawn together: a stratified cluster bootstrap. The
    answers to such items depend on each other, so that items drawn singly would have too wide or too narrow intervals.

    Where items are right or wrong, resamples of each stratum may also contain half a right group and half a wrong group
    (Jeffreys' prior, where each item is a group of its own). Otherwise a model with all items right, or with half of
    each group right, would get an interval of width 0.

    Parameters
    ----------
    values : array (n_checkpoints, n_items), 1 for a right pair and 0 for a wrong pair, or the acceptability of a text.
        NaN does not count.
    strata : array (n_items,), the paradigm of each pair. Every stratum is weighted by its number of items.
    n_resamples, seed : int
    groups : array (n_items,), optional
        The name of each item's group, which counts within its stratum. By default, each item is a group of its own.

    Returns
    -------
    Curve, NaN where all items of a stratum are NaN
    """
    rng, strata, values = np.random.default_rng(seed), np.asarray(strata), np.asarray(values, dtype=float)
    groups = np.arange(len(strata)) if groups is None else np.asarray(groups)
    means, sizes = [], []
    for stratum in dict.fromkeys(strata):
        is_member = strata == stratum
        numbers, _ = pd.factorize(groups[is_member])  # in the order of the items
        means.append(_resample_stratum(values[:, is_member], numbers, n_resamples, rng))
        sizes.append(is_member.sum())
    averages = np.average(means, axis=0, weights=sizes)
    return Curve(averages[0], averages[1:])


def _resample_stratum(values, groups, n_resamples, rng):
    """Return the mean of a stratum's items, then its resamples: (1 + n_resamples, n_checkpoints).

    ``groups`` is the number of each item's group, from 0.
    """
    known, n_groups = np.isfinite(values), groups.max() + 1
    sums, sizes = (_add_by_group(each, groups) for each in (np.where(known, values, 0.0), known))
    weights = np.ones(n_groups)
    if np.isin(values[known], (0, 1)).all():
        largest = sizes.max(axis=1, keepdims=True)  # 0 at a checkpoint without values
        sums, sizes = np.hstack([sums, 0 * largest, largest]), np.hstack([sizes, largest, largest])
        weights = np.append(weights, [0.5, 0.5])
    measured = np.arange(len(weights)) < n_groups  # every group once
    counts = np.vstack([measured, draw_counts(rng, n_groups, weights, n_resamples=n_resamples)]).astype(float)
    sums, sizes = counts @ sums.T, counts @ sizes.T
    return np.divide(sums, sizes, out=np.full(sums.shape, np.nan), where=sizes > 0)


def _add_by_group(values, groups):
    """Return the sum of the values of each group: (n_checkpoints, n_groups)."""
    return np.stack([np.bincount(groups, weights=row) for row in values])


def resample_normal(results, revisions, n_resamples=1000, seed=0):
    """Draw resamples of scores from normal distributions, independently at each checkpoint.

    This is for scores with a standard error and without single items, such as those of ``lm_eval``.

    Parameters
    ----------
    results : pandas.DataFrame with columns task, revision, value, stderr; at most one row per task and revision
    revisions : sequence of n_checkpoints str
    n_resamples, seed : int

    Returns
    -------
    dict from task to Curve, NaN where a checkpoint has no score or no standard error
    """
    rng, curves = np.random.default_rng(seed), {}
    for task, rows in results.groupby("task"):
        rows = rows.set_index("revision").reindex(revisions)
        values, errors = rows["value"].to_numpy(float), rows["stderr"].to_numpy(float)
        curves[task] = Curve(values, values + errors * rng.standard_normal((n_resamples, len(values))))
    return curves
