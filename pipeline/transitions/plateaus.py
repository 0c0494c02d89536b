"""Fit the two plateaus of a transition within bounds, and check whether the checkpoints reach them."""

import numpy as np
from scipy.special import expit

from pipeline.statistics.intervals import TAIL

SHARE = (0, 1)  # range of a share of pairs, or of a probability
PLATEAU_REACHED = 0.9  # share of the fitted rise
X0_STEP = 0.01  # decades between midpoints of the grid


def find_possible_range(curve):
    """Return the range within which the plateaus of a curve of scores (n_checkpoints,) lie. NaN does not count.

    It is (0, 1) where all scores lie in it, such as shares of right pairs and probabilities. It is None otherwise, such
    as for a perplexity or a score in percent.
    """
    scores = np.asarray(curve, dtype=float)
    scores = scores[np.isfinite(scores)]
    return SHARE if len(scores) and scores.min() >= 0 and scores.max() <= 1 else None


def find_closest_within(curves, shapes, bounds):
    """Find the shape that is closest to each curve, by least squares, with both plateaus within bounds.

    The model of a curve is low + (high - low) * shape. For a given shape, this is least squares with two
    coefficients in a square. Either the minimum without bounds lies in the square, or the minimum lies on one
    of its four sides. Both have a closed form, so that the result is exact for each shape.

    Parameters
    ----------
    curves : array (n_curves, n_checkpoints)
    shapes : array (n_shapes, n_checkpoints), from 0 to 1. Each must vary, and be neither 0 nor 1 throughout.
    bounds : (float, float), of both plateaus

    Returns
    -------
    best : int array (n_curves,), the number of the shape
    low, high : array (n_curves,), the plateau before and after the transition
    """
    gram = np.stack([((1 - shapes) ** 2).sum(axis=1), ((1 - shapes) * shapes).sum(axis=1), (shapes**2).sum(axis=1)])
    best, (low, high) = np.empty(len(curves), dtype=int), np.empty((2, len(curves)))
    falling = 1 - shapes
    for number, curve in enumerate(curves):
        products = np.stack([falling @ curve, shapes @ curve])
        least = _compute_errors_without_bounds(gram, products)
        # Bounds only increase the error of a shape. So a shape is excluded if its error without bounds is
        # larger than the error of a good shape within bounds.
        good = least.argmin()
        limit = _find_plateaus_within(gram[:, good], products[:, good], bounds)[2]
        candidates = np.flatnonzero(least <= limit + 1e-12 * abs(limit))
        before, after, error = _find_plateaus_within(gram[:, candidates], products[:, candidates], bounds)
        place = error.argmin()
        best[number], low[number], high[number] = candidates[place], before[place], after[place]
    return best, low, high


def _compute_errors_without_bounds(gram, products):
    """Return the least error of each shape, minus the sum of squares of the curve."""
    (a, b, c), (p, q) = gram, products
    return (2 * b * p * q - c * p**2 - a * q**2) / (a * c - b**2)


def _find_plateaus_within(gram, products, bounds):
    """Minimise a l^2 + 2 b l h + c h^2 - 2 p l - 2 q h over l and h within bounds: l, h, and the minimum."""
    (a, b, c), (p, q) = gram, products
    determinant = a * c - b**2
    low, high = (c * p - b * q) / determinant, (a * q - b * p) / determinant
    is_inside = (np.minimum(low, high) >= bounds[0]) & (np.maximum(low, high) <= bounds[1])
    error = np.where(is_inside, _compute_errors_without_bounds(gram, products), np.inf)
    for bound in bounds:
        for before, after in [
            (bound, np.clip((q - b * bound) / c, *bounds)),
            (np.clip((p - b * bound) / a, *bounds), bound),
        ]:
            on_side = (a * before + 2 * b * after - 2 * p) * before + (c * after - 2 * q) * after
            is_better = ~is_inside & (on_side < error)
            error = np.where(is_better, on_side, error)
            low, high = np.where(is_better, before, low), np.where(is_better, after, high)
    return low, high, error


def is_unfinished(x, midpoints, slopes):
    """Return whether a transition was not over at the last checkpoint.

    There are three cases. Less than 90 % of the fitted rise (or fall) is reached there, so that the last plateau
    is extrapolated. Or only one checkpoint lies beyond the midpoint, which is too few for a plateau. Or the 95 %
    interval of the midpoint ends at the last checkpoint, the last midpoint of the grid. In all three, the
    midpoint is a lower bound.

    Parameters
    ----------
    x : array (n_checkpoints,), log10 of training tokens, increasing
    midpoints, slopes : array (1 + n_resamples,), x0 and beta of the curve, then of its resamples
    """
    reached = expit(slopes[0] * (x[-1] - midpoints[0]))
    is_at_end = np.mean(midpoints[1:] >= x[-1] - X0_STEP) > TAIL
    return bool(reached < PLATEAU_REACHED or midpoints[0] > x[-2] or is_at_end)


def is_under_way(x, midpoints, slopes):
    """Return whether a transition had begun before the first checkpoint; arguments as for ``is_unfinished``.

    The three cases are those of ``is_unfinished``, in reverse. More than 10 % of the rise is over at the first
    checkpoint, or only one checkpoint lies before the midpoint, or its interval begins at the first checkpoint.
    The midpoint is then an upper bound.
    """
    return is_unfinished(-x[::-1], -midpoints, slopes)
