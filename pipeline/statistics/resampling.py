"""Resample what a curve is made of."""

import numpy as np


def resample_means(values, groups, n_resamples=1000, seed=0):
    """The curve of a benchmark, had its items been drawn again, with replacement, within each group.

    The same items are drawn at every checkpoint, so that differences along the curve have honest
    intervals. Where items are right or wrong, half an item that is always right and half an item that
    is always wrong can be drawn in each group too (Jeffreys' prior): otherwise a model that has all
    items right would be sure to have all others right.

    Parameters
    ----------
    values : array of shape (n_checkpoints, n_items)
        Whether a pair is right, how acceptable a text is; NaN does not count.
    groups : array of shape (n_items,)
        The paradigm of each pair, the prompt of each text. Every group counts alike.
    n_resamples, seed : int

    Returns
    -------
    curve : array of shape (n_checkpoints,)
    resamples : array of shape (n_resamples, n_checkpoints)
        NaN where all items of a group are.
    """
    rng, groups = np.random.default_rng(seed), np.asarray(groups)
    curves, resamples = [], []
    for group in dict.fromkeys(groups):
        of_group = np.asarray(values, dtype=float)[:, groups == group]  # (n_checkpoints, n_items)
        known = np.isfinite(of_group)
        n_items, chances = of_group.shape[1], np.ones(of_group.shape[1])
        if np.isin(of_group[known], (0, 1)).all():
            is_measured = known.any(axis=1, keepdims=True)
            never, always = np.where(is_measured, 0.0, np.nan), np.where(is_measured, 1.0, np.nan)
            of_group, chances = np.hstack([of_group, never, always]), np.append(chances, [0.5, 0.5])
            known = np.isfinite(of_group)
        counts = rng.multinomial(n_items, chances / chances.sum(), size=n_resamples)  # (n_resamples, n_items)
        counts = np.vstack([np.arange(of_group.shape[1]) < n_items, counts]).astype(float)  # first, every item once
        sums, numbers = counts @ np.where(known, of_group, 0.0).T, counts @ known.T
        means = np.divide(sums, numbers, out=np.full(sums.shape, np.nan), where=numbers > 0)
        curves.append(means[0])
        resamples.append(means[1:])
    return np.mean(curves, axis=0), np.mean(resamples, axis=0)
