"""Draw bootstrap resamples of curves: groups of items, and estimates with a standard error."""

import numpy as np

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


def resample_means(values, groups, n_resamples=1000, seed=0):
    """Resample the items of a benchmark within each group, and average over items, then over groups.

    Every resample draws the same items at every checkpoint, so that differences along the curve have honest
    intervals. Where items are right or wrong, resamples of each group may also contain half a right item and
    half a wrong item (Jeffreys' prior). Otherwise a model with all items right would get an interval of width 0.

    Parameters
    ----------
    values : array (n_checkpoints, n_items), 1 for a right pair and 0 for a wrong pair, or the acceptability of a text.
        NaN does not count.
    groups : array (n_items,), the paradigm of each pair, or the prompt of each text. Every group has the same weight.
    n_resamples, seed : int

    Returns
    -------
    Curve, NaN where all items of a group are NaN
    """
    rng, groups, values = np.random.default_rng(seed), np.asarray(groups), np.asarray(values, dtype=float)
    means = [_resample_group(values[:, groups == group], n_resamples, rng) for group in dict.fromkeys(groups)]
    means = np.mean(means, axis=0)
    return Curve(means[0], means[1:])


def _resample_group(values, n_resamples, rng):
    """Return the mean of a group's items, then its resamples: (1 + n_resamples, n_checkpoints)."""
    n_items = values.shape[1]
    known, weights = np.isfinite(values), np.ones(n_items)
    if np.isin(values[known], (0, 1)).all():
        is_measured = known.any(axis=1, keepdims=True)
        wrong, right = np.where(is_measured, 0.0, np.nan), np.where(is_measured, 1.0, np.nan)
        values, weights = np.hstack([values, wrong, right]), np.append(weights, [0.5, 0.5])
        known = np.isfinite(values)
    measured = np.arange(len(weights)) < n_items  # every item once
    counts = np.vstack([measured, draw_counts(rng, n_items, weights, n_resamples=n_resamples)]).astype(float)
    sums, numbers = counts @ np.where(known, values, 0.0).T, counts @ known.T
    return np.divide(sums, numbers, out=np.full(sums.shape, np.nan), where=numbers > 0)


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
