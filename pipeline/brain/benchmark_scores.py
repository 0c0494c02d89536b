"""Summarise correlations of a brain benchmark: by subject and pooled, with intervals and a nested choice of layers.

A neuroid is a voxel, a region or an electrode. A score is the mean over folds of the median over neuroids, as in
brainscore-language. Pooled over subjects, a subject with more neuroids counts more, so that each subject has a row.
"""

import numpy as np

from pipeline.statistics.intervals import compute_interval
from pipeline.statistics.resampling import draw_counts

POOLED = "all"  # the row of all subjects
N_RESAMPLES = 1000


def aggregate(correlations):
    """Return the mean over folds of the median over neuroids of correlations (..., n_folds, n_neuroids)."""
    return np.nanmean(np.nanmedian(correlations, axis=-1), axis=-1)


def aggregate_as_neural_nlp(correlations, subjects, ceilings=None):
    """Return the score of neural-nlp: the median over subjects of medians over neuroids of means over folds.

    Parameters
    ----------
    correlations : array (n_folds, n_neuroids)
    subjects : array (n_neuroids,)
    ceilings : array (n_neuroids,), optional, by which each neuroid is divided first
    """
    means = correlations.mean(axis=0) if ceilings is None else correlations.mean(axis=0) / ceilings
    return float(np.median([np.nanmedian(means[subjects == subject]) for subject in np.unique(subjects)]))


def choose_layers_nested(correlations):
    """Choose the layer of each fold on the other folds, by the pooled score.

    Parameters
    ----------
    correlations : array (n_layers, n_folds, n_neuroids)

    Returns
    -------
    layers : int array (n_folds,)
    chosen : array (n_folds, n_neuroids), correlations of the chosen layers
    """
    medians = np.nanmedian(correlations, axis=-1)  # (n_layers, n_folds)
    n_folds = medians.shape[1]
    layers = np.array([np.nanmean(np.delete(medians, fold, axis=1), axis=1).argmax() for fold in range(n_folds)])
    return layers, correlations[layers, np.arange(n_folds)]


def score_subjects(correlations, subjects, n_resamples=N_RESAMPLES, seed=0):
    """Score each subject and all subjects together, with 95 % intervals.

    Folds are drawn with replacement, for all subjects together also subjects.

    Parameters
    ----------
    correlations : array (n_folds, n_neuroids), NaN for a neuroid that does not vary in a fold
    subjects : str array (n_neuroids,)
    n_resamples, seed : int

    Returns
    -------
    dict from subject, and from POOLED, to (raw, low, high)
    """
    n_folds = len(correlations)
    folds = draw_counts(np.random.default_rng(seed), n_folds, np.ones(n_folds), n_resamples=n_resamples) / n_folds
    scores = {}
    for name in np.unique(subjects):
        medians = np.nanmedian(correlations[:, subjects == name], axis=1)
        scores[str(name)] = _describe(medians.mean(), folds @ medians)
    scores[POOLED] = _describe(*resample_pooled(correlations, subjects, n_resamples, seed))
    return scores


def resample_pooled(correlations, subjects, n_resamples=N_RESAMPLES, seed=0):
    """Return the pooled score, and its resamples (n_resamples,), of folds and subjects drawn with replacement.

    The same seed draws the same folds and subjects for every model of a benchmark, so that differences are paired.
    """
    n_folds, n_subjects = len(correlations), len(np.unique(subjects))
    folds = draw_counts(np.random.default_rng(seed), n_folds, np.ones(n_folds), n_resamples=n_resamples) / n_folds
    counts = draw_counts(np.random.default_rng(seed + 1), n_subjects, np.ones(n_subjects), n_resamples=n_resamples)
    medians = np.stack([compute_resampled_medians(values, subjects, counts) for values in correlations], axis=1)
    return aggregate(correlations), np.einsum("rf,rf->r", folds, medians)


def compute_resampled_medians(values, subjects, counts):
    """Return the median over the neuroids of resampled subjects.

    Parameters
    ----------
    values : array (n_neuroids,), NaN does not count
    subjects : array (n_neuroids,)
    counts : int array (n_resamples, n_subjects), how often each subject, in sorted order, is in a resample

    Returns
    -------
    float array (n_resamples,), NaN where no value of the drawn subjects is known
    """
    _, numbers = np.unique(subjects, return_inverse=True)
    is_known = np.isfinite(values)
    order = np.argsort(values[is_known])
    ranked, owners = values[is_known][order], numbers[is_known][order]
    if len(ranked) == 0:
        return np.full(len(counts), np.nan)
    # How many of the lowest values each subject has, (n_subjects, n_known).
    cumulative = np.cumsum(owners == np.arange(counts.shape[1])[:, None], axis=1)
    n_values = counts @ cumulative[:, -1]
    medians = np.zeros(len(counts))
    for position in ((n_values - 1) // 2, n_values // 2):
        low, high = np.zeros(len(counts), dtype=int), np.full(len(counts), len(ranked) - 1)
        while (low < high).any():  # the first rank below which are more values than the position
            middle = (low + high) // 2
            is_beyond = np.einsum("rs,sr->r", counts, cumulative[:, middle]) > position
            low, high = np.where(is_beyond, low, middle + 1), np.where(is_beyond, middle, high)
            low = np.minimum(low, high)
        medians += ranked[low] / 2
    return np.where(n_values > 0, medians, np.nan)


def compute_unique_r2(errors, nuisance_errors, totals):
    """Return the variance that a model explains in addition to a nuisance, a share of the variance of each neuroid.

    Errors of all folds are added before they are divided, so that a fold with little variance does not dominate. The
    result is not clipped: it is below 0 where the model adds more noise than signal.

    Parameters
    ----------
    errors : array (..., n_folds, n_neuroids), squared errors of model and nuisance together
    nuisance_errors, totals : array (n_folds, n_neuroids)

    Returns
    -------
    float array (..., n_neuroids)
    """
    total = totals.sum(axis=0)
    explained = np.sum(nuisance_errors - errors, axis=-2)
    return np.divide(
        explained, total, out=np.full(explained.shape, np.nan), where=np.broadcast_to(total > 0, explained.shape)
    )


def average_by_subject(values, subjects):
    """Return the mean over the neuroids (n_neuroids,) of each subject, and of all, a dict as of ``score_subjects``."""
    means = {str(name): float(np.nanmean(values[subjects == name])) for name in np.unique(subjects)}
    return means | {POOLED: float(np.nanmean(values))}


def _describe(raw, resamples):
    """Return an estimate with its interval, three floats."""
    low, high = compute_interval(raw, resamples)
    return float(raw), float(low), float(high)
