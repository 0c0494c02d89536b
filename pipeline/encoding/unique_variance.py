"""Compute the variance that features explain in addition to a nuisance."""

import numpy as np


def compute_unique_variance(correlations, nuisance_correlations):
    """Return the variance that both bands explain and the nuisance alone does not: r_both |r_both| - r_n |r_n|.

    The sign of r is kept. Where nothing is predicted, r is positive and negative by chance, so that r |r| is 0 on
    average. r^2 is positive there, and would count a prediction with the wrong sign as explained variance.

    Parameters
    ----------
    correlations : array (..., n_folds, n_targets), Pearson's r of features and nuisance together
    nuisance_correlations : array (n_folds, n_targets), Pearson's r of the nuisance alone

    Returns
    -------
    float32 array of the shape of ``correlations``, a share of the variance of each target in each fold, from -2 to 2;
        NaN where a correlation is NaN. It is negative where features add more noise than signal.
    """
    both, alone = (np.asarray(r, dtype=np.float64) for r in (correlations, nuisance_correlations))
    return (both * np.abs(both) - alone * np.abs(alone)).astype(np.float32)
