"""95 % intervals: computed in one way, and written in one way.

Every interval contains its estimate, in a table and in a sentence.
"""

import numpy as np

PERCENTILES = (2.5, 97.5)
MOST_MISSING = 0.05  # share of resamples that may have no value


def compute_interval(estimate, resamples):
    """Compute the 95 % interval of each estimate from its resamples.

    The ends are percentiles of the resamples, moved outwards to the estimate where it lies beyond them.
    Percentiles alone may miss the estimate: where resamples are skewed, as near the end of a scale, or
    where resampling itself shifts them, as it shifts shares of right answers towards one half.

    Parameters
    ----------
    estimate : float or array of shape (...)
    resamples : array of shape (n_resamples, ...)

    Returns
    -------
    low, high : float arrays of shape (...)
        NaN where the estimate is not a finite number, or where more than one in twenty of its resamples
        is not: the others are then no fair sample.
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


def turn_sign(estimate, low, high):
    """Return an estimate and its interval with the other sign: low and high change places.

    Parameters
    ----------
    estimate, low, high : float

    Returns
    -------
    estimate, low, high : float
    """
    return -estimate, -high, -low


def format_with_interval(estimate, low, high, write=None, unit="", name="95 % interval "):
    """Write an estimate with its interval, so that the written estimate lies in the written interval.

    Parameters
    ----------
    estimate, low, high : float
        An estimate beyond its interval, as in a table of an older version, widens the interval.
    write : function from float to str, optional
        How to write a number: ``decimals(4)`` unless it is given. It must not change the order of numbers.
    unit : str
        Stands after the estimate.
    name : str
        Stands before the interval.

    Returns
    -------
    str
        For example "0.30 (95 % interval 0.10 to 0.45)". "not known" for an estimate that is not finite.
        "no interval is known" where an end of the interval is not finite.
    """
    write = write or count_decimals(4)
    if not np.isfinite(estimate):
        return "not known"
    if not np.isfinite([low, high]).all():
        return f"{write(estimate)}{unit} (no interval is known)"
    return f"{write(estimate)}{unit} ({name}{write(min(low, estimate))} to {write(max(high, estimate))})"


def count_decimals(n_digits):
    """Return a function that writes a number with so many digits after the point, and 0 without a sign.

    Parameters
    ----------
    n_digits : int

    Returns
    -------
    function from float to str
    """
    return lambda number: f"{round(float(number), n_digits) + 0.0:.{n_digits}f}"


def describe_tokens(number):
    """Write a number of tokens as one says it: 3.2 billion.

    Parameters
    ----------
    number : float

    Returns
    -------
    str
        Three digits, rounded.
    """
    if not np.isfinite(number):
        return "an unknown number of"
    rounded = float(f"{number:.3g}")  # first, so that 999.9 million is 1 billion
    for size, word in [(1e12, " trillion"), (1e9, " billion"), (1e6, " million"), (1e3, " thousand")]:
        if rounded >= size:
            return f"{rounded / size:.3g}{word}"
    return f"{rounded:.3g}"
