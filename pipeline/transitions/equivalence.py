"""Test whether a curve over training is equivalent to a flat curve: whether its rise is below a stated size.

A test that shows no transition does not show that there is none. This test can: its null hypothesis is a rise.
"""

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from pipeline.statistics.intervals import TAIL
from pipeline.tasks.table import find_chance
from pipeline.transitions.plateaus import find_possible_range
from pipeline.transitions.sigmoids import sample_sigmoids

NEGLIGIBLE_SHARE = 0.1  # of the range of a score, from chance to 1: a smaller rise counts as none


def find_score_range(name, values, is_unbounded=False):
    """Return the range (float) of a benchmark's scores (n_checkpoints,), from chance to 1; None where it is not known.

    Where chance is not known, the range of scores within 0 and 1 is 1. Other scores, such as a perplexity, have no
    range that a rise can be compared with.
    """
    if is_unbounded or find_possible_range(values) is None:
        return None
    chance = find_chance(name)
    return 1.0 if chance is None else 1.0 - chance


def compute_rise_bound(x, curve):
    """Compute the largest rise or fall that a curve is compatible with, over all sigmoids.

    Each sigmoid of the grid has a least-squares rise, from plateau to plateau, with a 95 % interval. The bound is the
    largest absolute end of these intervals. It is below a size only if each sigmoid with a rise of this size is
    rejected at 2.5 %, one-sided. So a curve with such a rise, of any shape of the grid, has a smaller bound in at most
    2.5 % of studies. This is an intersection-union test (Berger 1982), which needs no correction for many shapes.

    The standard error of a rise is the larger of two, as in the test against a flat curve. One is that of resampling.
    The other is that of the residuals, in case checkpoints differ by more than resampling shows.

    Parameters
    ----------
    x : array (n_checkpoints,), log10 of training tokens, as for ``sample_sigmoids``, with the same InputError
    curve : Curve with a value at all checkpoints

    Returns
    -------
    float, in units of the curve, at least 0
    """
    shapes = sample_sigmoids(x)[2]
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    sizes = (centred**2).sum(axis=1)
    weights = centred / sizes[:, None]  # the rise of a shape is a weighted sum over checkpoints
    rises = weights @ curve.values
    variances = ((weights @ np.cov(curve.resamples, rowvar=False)) * weights).sum(axis=1)
    squares = np.sum((curve.values - curve.values.mean()) ** 2) - rises**2 * sizes
    n_free = len(x) - 2
    errors = norm.ppf(1 - TAIL) * np.sqrt(np.maximum(variances, 0))
    residual_errors = student.ppf(1 - TAIL, n_free) * np.sqrt(np.maximum(squares, 0) / n_free / sizes)
    return float((np.abs(rises) + np.maximum(errors, residual_errors)).max())
