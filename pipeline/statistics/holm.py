"""Correct p-values for the number of tests, by the method of Holm (1979)."""

import numpy as np


def correct_holm(p_values):
    """Correct p-values (n,) for their number, to control the family-wise error rate. NaN does not count.

    By the step-down method of Holm (1979): the smallest p-value times n, the next times n - 1, and so on. They
    increase with the p-values, up to 1.
    """
    p_values = np.asarray(p_values, dtype=float)
    corrected, known = np.full(p_values.shape, np.nan), np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    return corrected
