"""Test whether a curve over training is flat."""

import functools

import numpy as np

from pipeline.statistics.intervals import SIGNIFICANCE
from pipeline.transitions.sigmoids import find_most_similar, sample_sigmoids

N_NULL_CURVES = 2000


def simulate_flat_curves(x, resamples, seed=0):
    """Simulate flat curves, and compute how well the best sigmoid explains each of them.

    Flat curves have two kinds of noise. One is the noise that resampling shows. The other is independent noise of
    unknown size, in case checkpoints differ by more than resampling shows. The simulation takes into account that the
    best of many shapes is chosen.

    Parameters
    ----------
    x : array (n_checkpoints,)
    resamples : array (n_resamples, n_checkpoints)
    seed : int

    Returns
    -------
    explained : array (N_NULL_CURVES,), the sum of squares that the best sigmoid explains, with the noise of resampling
    ratios : array (N_NULL_CURVES,), explained over residual sum of squares, with noise of unknown size
    """
    covariance = np.cov(resamples, rowvar=False)
    rng = np.random.default_rng(seed)
    curves = rng.multivariate_normal(np.zeros(len(covariance)), covariance, N_NULL_CURVES, method="eigh")
    return _compute_sums_of_squares(x, curves)[0], _simulate_ratios(tuple(x), seed)


@functools.lru_cache
def _simulate_ratios(x, seed):
    """Return the ratios of ``simulate_flat_curves``, which depend on nothing but x (a tuple) and the seed."""
    curves = np.random.default_rng([seed, 1]).standard_normal((N_NULL_CURVES, len(x)))
    explained, residual = _compute_sums_of_squares(np.array(x), curves)
    return explained / residual


def compute_flat_p_value(x, curve, null):
    """Compute the p-value (float) of a curve (n_checkpoints,) under the hypothesis that it is flat.

    It is the larger of two p-values, so that neither kind of noise explains a transition. ``null`` is the pair of
    arrays that ``simulate_flat_curves`` returns.
    """
    null_explained, null_ratios = null
    explained, residual = _compute_sums_of_squares(x, np.asarray(curve, dtype=float))
    n_as_large = max(np.sum(null_explained >= explained), np.sum(null_ratios * residual >= explained))
    return float((1 + n_as_large) / (1 + N_NULL_CURVES))


def compute_constant_p_value(x, curve, null):
    """Compute the p-value (float) of a curve under the hypothesis that it is constant, with the noise of resampling.

    A curve may vary by more than this noise without a transition: a curve that rises and falls, for example. The
    arguments are as for ``compute_flat_p_value``.
    """
    explained, _ = _compute_sums_of_squares(x, np.asarray(curve, dtype=float))
    return float((1 + np.sum(null[0] >= explained)) / (1 + N_NULL_CURVES))


def are_flat(x, resamples, null):
    """Return which resampled curves the test calls flat: their noise is that of the curve plus that of resampling."""
    explained, residual = _compute_sums_of_squares(x, resamples)
    explained_limit, ratio_limit = (np.quantile(values, 1 - SIGNIFICANCE) for values in null)
    return (explained < 2 * explained_limit) | (explained < ratio_limit * residual)


def _compute_sums_of_squares(x, curves):
    """Return the sums of squares, about the mean, that the best sigmoid explains of each curve, and the residual."""
    units = sample_sigmoids(x)[3]
    centred = curves - curves.mean(axis=-1, keepdims=True)
    explained = find_most_similar(curves, units)[1] ** 2
    return explained, np.maximum((centred**2).sum(axis=-1) - explained, 0)
