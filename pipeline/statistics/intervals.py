"""Compute 95 % intervals, and write estimates with their intervals.

Every interval contains its estimate, in a table and in a sentence. An interval holds for its estimate alone: the band
that the intervals of a curve form is pointwise. ``compute_simultaneous_band`` computes a band for a whole curve.
"""

from typing import NamedTuple

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
        resamples is not finite. The finite resamples are then a biased sample. NaN also where all resamples are
        equal: nothing was drawn there, as for a single text, and an interval of width 0 would claim certainty.
    """
    estimate, resamples = np.asarray(estimate, dtype=float), np.asarray(resamples, dtype=float)
    is_known = np.isfinite(estimate) & _are_drawn(resamples)
    is_finite = np.isfinite(resamples)
    ends = np.full((2, *estimate.shape), np.nan)
    if is_known.any():
        kept = np.where(is_finite, resamples, np.nan)[:, is_known]
        low, high = np.nanpercentile(kept, PERCENTILES, axis=0)
        ends[:, is_known] = np.minimum(low, estimate[is_known]), np.maximum(high, estimate[is_known])
    return ends[0], ends[1]


def _are_drawn(resamples):
    """Return where resamples (n_resamples, ...) differ, and enough of them are finite: a bool array (...)."""
    is_finite = np.isfinite(resamples)
    lowest, highest = np.where(is_finite, resamples, np.inf), np.where(is_finite, resamples, -np.inf)
    return (is_finite.mean(axis=0) >= 1 - MOST_MISSING) & (lowest.min(axis=0) < highest.max(axis=0))


def compute_simultaneous_band(estimate, resamples):
    """Compute the 95 % band of a whole curve from its resamples.

    In 95 % of studies, the band encloses the true curve at all checkpoints. A pointwise interval encloses it at its own
    checkpoint only. This is the sup-t band, estimate -+ q sd (Montiel Olea & Plagborg-Møller 2019). sd is
    the standard deviation of the resamples at a checkpoint. q is the 95 % quantile, over resamples, of the largest
    |resample - estimate| / sd of all checkpoints. The band is symmetric. Where resamples are skewed, it is widened to
    the pointwise interval.

    Parameters
    ----------
    estimate : array (n_checkpoints,)
    resamples : array (n_resamples, n_checkpoints)

    Returns
    -------
    low, high : float array (n_checkpoints,), NaN where ``compute_interval`` is NaN. Such checkpoints do not count.
    """
    estimate, resamples = np.asarray(estimate, dtype=float), np.asarray(resamples, dtype=float)
    low, high = (np.array(end) for end in compute_interval(estimate, resamples))
    is_known = np.isfinite(low)
    if is_known.any():
        centre, kept = estimate[is_known], resamples[:, is_known]
        kept = kept[np.isfinite(kept).any(axis=1)]
        error = np.nanstd(kept, axis=0)
        half = np.quantile(np.nanmax(np.abs(kept - centre) / error, axis=1), CONFIDENCE) * error
        low[is_known] = np.minimum(low[is_known], centre - half)
        high[is_known] = np.maximum(high[is_known], centre + half)
    return low, high


class Bounds(NamedTuple):
    """Hold resamples (n_resamples,) of a value that is known only within bounds: the least and the most that it may be.

    Where a resample is known, both are equal. A difference takes the least of its first value and the most of its
    second value for its own least, so that what is unknown counts against either conclusion.
    """

    least: np.ndarray
    most: np.ndarray

    def subtract(self, subtracted):
        """Return the Bounds of the difference to other Bounds, whose resamples are drawn jointly."""
        return Bounds(self.least - subtracted.most, self.most - subtracted.least)

    def compute_interval(self, estimate):
        """Return low and high of the 95 % interval, floats: low of the least, high of the most; NaN for a NaN estimate.

        The interval is widened to the estimate where it does not enclose it.
        """
        if not np.isfinite(estimate):
            return np.nan, np.nan
        low, high = np.percentile(self.least, PERCENTILES[0]), np.percentile(self.most, PERCENTILES[1])
        return float(min(low, estimate)), float(max(high, estimate))


def average_bounds(bounds):
    """Return the Bounds of the mean of values, given as a list of their Bounds."""
    return Bounds(*np.mean(bounds, axis=0))


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
