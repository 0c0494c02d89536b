"""Compute 95 % intervals, and write estimates with their intervals.

Every interval contains its estimate, in a table and in a sentence.
"""

import numpy as np

CONFIDENCE = 0.95  # of all intervals
TAIL = round((1 - CONFIDENCE) / 2, 6)  # share of resamples beyond either end of an interval
PERCENTILES = (100 * TAIL, 100 * (1 - TAIL))
SIGNIFICANCE = 0.05  # of all tests
MOST_MISSING = 0.05  # share of resamples that may have no value


def compute_interval(estimate, resamples):
    """Compute the 95 % interval of each estimate from its resamples.

    The ends are percentiles of the resamples, moved outwards to the estimate where it lies beyond them. Percentiles
    alone may miss the estimate where resamples are skewed, as near the end of a scale. They may also miss it where
    resampling shifts the mean, as it shifts shares of right answers towards one half.

    Parameters
    ----------
    estimate : float or array (...)
    resamples : array (n_resamples, ...)

    Returns
    -------
    low, high : float array (...), NaN where the estimate is not finite, or where more than one in twenty of its
        resamples is not finite. The finite resamples are then a biased sample.
    """
    estimate, resamples = np.asarray(estimate, dtype=float), np.asarray(resamples, dtype=float)
    is_finite = np.isfinite(resamples)
    is_known = np.isfinite(estimate) & (is_finite.mean(axis=0) >= 1 - MOST_MISSING)
    ends = np.full((2, *estimate.shape), np.nan)
    if is_known.any():
        kept = np.where(is_finite, resamples, np.nan)[:, is_known]
        low, high = np.nanpercentile(kept, PERCENTILES, axis=0)
        ends[:, is_known] = np.minimum(low, estimate[is_known]), np.maximum(high, estimate[is_known])
    return ends[0], ends[1]


def make_columns(name, estimate, resamples):
    """Return an estimate and its 95 % interval from resamples (n_resamples,), as floats: name, name_low, name_high."""
    low, high = compute_interval(estimate, resamples)
    return {name: float(estimate), f"{name}_low": float(low), f"{name}_high": float(high)}


def turn_sign(estimate, low, high):
    """Return an estimate and its interval with the other sign: low and high change places."""
    return -estimate, -high, -low


def format_with_interval(estimate, low, high, write=None, unit="", name="95 % interval "):
    """Write an estimate with its interval, so that the written estimate lies in the written interval.

    For example "0.30 (95 % interval 0.10 to 0.45)". "not known" for an estimate that is not finite. "no interval is
    known" where an end of the interval is not finite.

    Parameters
    ----------
    estimate, low, high : float. An estimate beyond its interval, as in a table of an older version, widens it.
    write : function from float to str, ``round_to(4)`` by default. It must not change the order of numbers.
    unit : str that follows the estimate
    name : str that precedes the interval
    """
    write = write or round_to(4)
    if not np.isfinite(estimate):
        return "not known"
    if not np.isfinite([low, high]).all():
        return f"{write(estimate)}{unit} (no interval is known)"
    return f"{write(estimate)}{unit} ({name}{write(min(low, estimate))} to {write(max(high, estimate))})"


def round_to(n_digits):
    """Return a function that writes a float with so many digits after the point, and 0 without a sign."""

    def write(number):
        return f"{round(float(number), n_digits) + 0.0:.{n_digits}f}"

    return write


def describe_tokens(number):
    """Write a number of tokens in words, rounded to three digits, such as 3.2 billion."""
    if not np.isfinite(number):
        return "an unknown number of"
    return write_with_unit(number, 3, (" trillion", " billion", " million", " thousand"))


def write_with_unit(number, n_digits, units):
    """Write a number, rounded to at most three digits, with a unit for 10^12, 10^9, 10^6 or 10^3."""
    rounded = float(f"{number:.{n_digits}g}")  # first, so that 999.9 million is 1 billion
    for size, unit in zip((1e12, 1e9, 1e6, 1e3), units, strict=True):
        if rounded >= size:
            return f"{rounded / size:.3g}{unit}"
    return f"{rounded:.3g}"
