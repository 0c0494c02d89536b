"""Fit sigmoids over training to curves and their resamples."""

import functools

import numpy as np
from scipy.special import expit

from pipeline.errors import InputError
from pipeline.transitions.plateaus import X0_STEP, find_closest_within

FEWEST_CHECKPOINTS = 5
N_BETAS = 40


def sample_sigmoids(x):
    """Make the grid of sigmoids that are fitted to curves at given checkpoints.

    A sigmoid must rise by at least half of its height between the first and the last checkpoint. Otherwise the data do
    not determine its plateaus. The width of its steep part (from a tenth to nine tenths of the rise) is at most twice
    the range of checkpoints. It is at least half the median distance of checkpoints, below which the data do not
    determine it. InputError is raised if there are fewer than five checkpoints, or x is not finite or does not
    increase.

    Parameters
    ----------
    x : array (n_checkpoints,), log10 of training tokens, increasing

    Returns
    -------
    x0, beta : array (n_shapes,)
    values : array (n_shapes, n_checkpoints), from 0 to 1
    units : array (n_shapes, n_checkpoints), the values, scaled to mean 0 and sum of squares 1
    """
    return _sample_sigmoids(tuple(np.asarray(x, dtype=float).tolist()))


@functools.lru_cache(maxsize=16)
def _sample_sigmoids(x):
    """Return what ``sample_sigmoids`` returns, for a tuple of float: many fits share their checkpoints."""
    x = np.array(x)
    if len(x) < FEWEST_CHECKPOINTS or not (np.diff(x) > 0).all() or not np.isfinite(x).all():
        raise InputError(
            f"tokens: expected at least {FEWEST_CHECKPOINTS} trained checkpoints of increasing tokens, got {len(x)}"
        )
    steep = 2 * np.log(9)  # beta x width from a tenth to nine tenths
    betas = np.geomspace(steep / (2 * (x[-1] - x[0])), steep / (np.median(np.diff(x)) / 2), N_BETAS)
    x0, beta = map(np.ravel, np.meshgrid(np.arange(x[0], x[-1] + X0_STEP / 2, X0_STEP), betas, indexing="ij"))
    values = expit(beta[:, None] * (x - x0[:, None]))
    is_determined = values[:, -1] - values[:, 0] >= 0.5
    x0, beta, values = x0[is_determined], beta[is_determined], values[is_determined]
    centred = values - values.mean(axis=1, keepdims=True)
    grid = x0, beta, values, centred / np.linalg.norm(centred, axis=1, keepdims=True)
    for array in grid:
        array.flags.writeable = False  # all callers share them
    return grid


def fit_sigmoids(x, curves, bounds=None):
    """Fit a rising or falling sigmoid to each curve, by least squares.

    Parameters
    ----------
    x : array (n_checkpoints,), as for ``sample_sigmoids``, with the same InputError
    curves : array (..., n_checkpoints)
    bounds : (float, float) or None, within which both plateaus must lie: (0, 1) for shares and probabilities

    Returns
    -------
    dict of arrays (...): x0, beta, low, high, and fitted (..., n_checkpoints). low is the plateau before the transition
        and high the plateau after it, even where the curve falls.
    """
    x0, beta, all_values, units = sample_sigmoids(x)
    curves = np.asarray(curves, dtype=float)
    best, _ = find_most_similar(curves, units)
    values = all_values[best]  # (..., n_checkpoints)
    curve_means, value_means = curves.mean(axis=-1, keepdims=True), values.mean(axis=-1, keepdims=True)
    centred = values - value_means
    slope = ((curves - curve_means) * centred).sum(axis=-1) / (centred**2).sum(axis=-1)
    low = curve_means[..., 0] - slope * value_means[..., 0]
    high = low + slope
    if bounds is not None:
        # A best sigmoid that lies within bounds is also the best sigmoid within bounds.
        is_beyond = (np.minimum(low, high) < bounds[0]) | (np.maximum(low, high) > bounds[1])
        if is_beyond.any():
            best, low, high = np.array(best), np.array(low), np.array(high)
            within = find_closest_shapes(tuple(x), curves[is_beyond].tobytes(), tuple(bounds))
            best[is_beyond], low[is_beyond], high[is_beyond] = within
            values = all_values[best]
    fitted = low[..., None] + (high - low)[..., None] * values
    return {"x0": x0[best], "beta": beta[best], "low": low, "high": high, "fitted": fitted}


@functools.lru_cache(maxsize=8)
def find_closest_shapes(x, curves, bounds):
    """Find the shapes closest to curves, given as bytes for the cache: several measures fit the same resamples."""
    curves = np.frombuffer(curves).reshape(-1, len(x))
    return find_closest_within(curves, sample_sigmoids(np.array(x))[2], bounds)


def find_most_similar(curves, units, allowed=None):
    """Find the rising or falling shape that is most similar to each curve.

    Parameters
    ----------
    curves : array (..., n_checkpoints)
    units : array (n_shapes, n_checkpoints), with mean 0 and sum of squares 1
    allowed : bool array (..., n_shapes) or None, the shapes that each curve may have

    Returns
    -------
    best : int array (...)
    similarity : array (...), whose square is the part of the curve's sum of squares that the shape explains
    """
    flat, units = curves.reshape(-1, curves.shape[-1]), units.astype(np.float32)
    flat = (flat - flat.mean(axis=1, keepdims=True)).astype(np.float32)
    best, similarity = np.empty(len(flat), dtype=int), np.empty(len(flat))
    for first in range(0, len(flat), 16):  # chunks that fit into the processor's cache
        chunk = slice(first, first + 16)
        similarities = np.abs(flat[chunk] @ units.T)  # (16, n_shapes)
        if allowed is not None:
            similarities[~allowed[chunk]] = -1
        best[chunk], similarity[chunk] = similarities.argmax(axis=1), similarities.max(axis=1)
    return best.reshape(curves.shape[:-1]), similarity.reshape(curves.shape[:-1])
