"""Select the voxels whose signal listeners share."""

import numpy as np

from pipeline.errors import InputError


def select_reliable_voxels(isc, percentile=75):
    """Select the voxels whose inter-subject correlation, averaged over trials, is above a percentile.

    InputError is raised if the array has another shape, or contains a value that is not finite.

    Parameters
    ----------
    isc : array (n_trials, n_voxels)
    percentile : float, from 0 to 100

    Returns
    -------
    bool array (n_voxels,)
    """
    isc = np.asarray(isc)
    if isc.ndim != 2 or not np.isfinite(isc).all():
        raise InputError(f"an ISC of shape {isc.shape} is not (n_trials, n_voxels) of finite numbers")
    mean_isc = isc.mean(axis=0)
    return mean_isc > np.percentile(mean_isc, percentile)
