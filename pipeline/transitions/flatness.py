"""Test whether a curve over training is flat."""

import functools

import numpy as np

from pipeline.transitions.sigmoids import find_most_similar, fit_sigmoids, sample_sigmoids

LEVEL = 0.05  # of the test against a flat curve
N_NULL_CURVES = 2000

N_NOISES = 500


def simulate_flat_curves(x, resamples, seed=0):
    """How much like a transition flat curves look.

    Two kinds of flat curves are asked: those with the noise that is known from resampling, and those
    with noise of unknown size, in case checkpoints differ by more than resampling can show. That is
    found by simulation, which takes into account that the best of many shapes is chosen.

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
    resamples : array of shape (n_resamples, n_checkpoints)

    Returns
    -------
    explained : array of shape (n_curves,)
        Sums of squares that the best sigmoid explains of curves with known noise.
    ratios : array of shape (n_curves,)
        Of curves with unknown noise, what it explains over what it leaves.
    """
    noise = np.cov(resamples, rowvar=False)
    rng = np.random.default_rng(seed)
    known = rng.multivariate_normal(np.zeros(len(noise)), noise, N_NULL_CURVES, method="eigh")
    return _explained_and_left(x, known)[0], _ratios_of_unknown_noise(tuple(x), seed)


@functools.lru_cache
def _ratios_of_unknown_noise(x, seed):
    """Ratios of ``null_distributions``, which depend on nothing but the checkpoints, given as a tuple."""
    noise = np.random.default_rng([seed, 1]).standard_normal((N_NULL_CURVES, len(x)))
    explained, left = _explained_and_left(np.array(x), noise)
    return explained / left


def compute_flat_p_value(x, curve, null):
    """How likely a flat curve would look as much like a transition as this one does.

    The larger of two p-values, so that a transition is one that neither kind of noise explains.

    Parameters
    ----------
    x, curve : arrays of shape (n_checkpoints,)
    null : as ``null_distributions`` returns it

    Returns
    -------
    float
    """
    explained, left = _explained_and_left(x, np.asarray(curve, dtype=float))
    n_known, n_unknown = np.sum(null[0] >= explained), np.sum(null[1] * left >= explained)
    return float((1 + max(n_known, n_unknown)) / (1 + N_NULL_CURVES))


def are_flat(x, resamples, null):
    """Which resampled curves would be called flat: they have the noise of the curve, and that of drawing again."""
    explained, left = _explained_and_left(x, resamples)
    limits = [np.quantile(values, 1 - LEVEL) for values in null]
    return (explained < 2 * limits[0]) | (explained < limits[1] * left)


def _explained_and_left(x, curves):
    """Sums of squares, about its mean, that the best sigmoid explains of each curve, and leaves."""
    _, _, _, units = sample_sigmoids(x)
    centred = curves - curves.mean(axis=-1, keepdims=True)
    explained = find_most_similar(curves, units)[1] ** 2
    return explained, np.maximum((centred**2).sum(axis=-1) - explained, 0)


def fit_unit_shape(x, curves, bounds=None):
    """The fitted sigmoid of each curve, with mean 0 and sum of squares 1; 0 where the curve does not vary."""
    shape = fit_sigmoids(x, curves, bounds)["fitted"]
    shape = shape - shape.mean(axis=-1, keepdims=True)
    size = np.linalg.norm(shape, axis=-1, keepdims=True)
    return np.divide(shape, size, out=np.zeros_like(shape), where=size > 0)


def compute_shuffled_p_value(curve, other, n_shuffles=2000, seed=0):
    """Whether two curves correlate more than they would if the steps of one came in another order.

    Its steps from each checkpoint to the next are put in random order, which keeps where the curve
    begins and ends and how large its steps are.

    Parameters
    ----------
    curve, other : arrays of shape (n_checkpoints,)

    Returns
    -------
    float
    """
    rng = np.random.default_rng(seed)
    steps = rng.permuted(np.tile(np.diff(other), (n_shuffles, 1)), axis=1)
    shuffled = np.concatenate([np.zeros((n_shuffles, 1)), np.cumsum(steps, axis=1)], axis=1)
    found = correlate_curves(curve, other)
    return float((1 + np.sum(correlate_curves(curve, shuffled) >= found - 1e-12)) / (1 + n_shuffles))


def correlate_curves(one, other):
    """Pearson's r along the last axis; 0 where either does not vary."""
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    one, other = one - one.mean(axis=-1, keepdims=True), other - other.mean(axis=-1, keepdims=True)
    size = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.divide((one * other).sum(axis=-1), size, out=np.zeros_like(size), where=size > 0)
