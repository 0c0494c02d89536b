"""Prepare time series: trim the ends of a run, and z-score the rest."""

import numpy as np

from pipeline.encoding.arrays import array_module, as_float32
from pipeline.errors import InputError

TRIM_SCANS = 10  # trimmed at each end of a run (20 s)


def zscore(values):
    """Return columns with mean 0 and variance 1 in float32. A constant column becomes 0.

    ``values`` is an array or a tensor (n_samples, n_columns), as is the result.
    """
    xp = array_module(values)
    values = xp.asarray(values, dtype=xp.float64)
    deviations = values - values.mean(axis=0)
    scale = xp.std(deviations, axis=0, correction=0)
    # By rounding, the variance of a constant column is some 1e-16 of its size instead of 0.
    is_constant = scale <= 1e-12 * xp.amax(xp.abs(values), axis=0)
    scale[is_constant], deviations[:, is_constant] = 1, 0
    return xp.asarray(deviations / scale, dtype=xp.float32)


def trim_and_zscore(signal, trim_scans=TRIM_SCANS):
    """Trim the first and last scans of a run, and z-score the rest.

    InputError is raised if fewer than two scans are left.

    Parameters
    ----------
    signal : array or tensor (n_scans, n_columns), regressors or fMRI of one run
    trim_scans : int, scans that are trimmed at each end

    Returns
    -------
    float32 array or tensor (n_scans - 2 * trim_scans, n_columns)
    """
    check_n_scans(len(signal), trim_scans)
    return zscore(signal[trim_scans : len(signal) - trim_scans])


def check_n_scans(n_scans, trim_scans=TRIM_SCANS):
    """Check that two scans or more are left after a run is trimmed; raise InputError if not."""
    if n_scans <= 2 * trim_scans + 1:
        raise InputError(f"{n_scans} scans are too few: {trim_scans} are cut off at each end")


def make_regressors(matrix, vectors, trim_scans=TRIM_SCANS):
    """Return the regressors of one run of one layer, from its word vectors, trimmed and z-scored.

    InputError is raised if a value is not finite, or fewer than two scans are left.

    Parameters
    ----------
    matrix : float32 array or tensor (n_scans, n_words), from ``hrf.make_hrf_matrix``; its device computes everything
    vectors : array (n_words, n_features)
    trim_scans : int, scans that are trimmed at each end

    Returns
    -------
    float32 array or tensor (n_scans - 2 * trim_scans, n_features), as the matrix
    """
    xp = array_module(matrix)
    values = matrix @ as_float32(vectors, None if xp is np else matrix.device)
    if not xp.isfinite(values).all():
        raise InputError("values that are not finite numbers")
    return trim_and_zscore(values, trim_scans)
