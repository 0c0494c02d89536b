"""Compare representational dissimilarity matrices (RDM; Kriegeskorte et al. 2008)."""

import numpy as np
from scipy.stats import spearmanr

from pipeline.errors import InputError


def compute_rdm(values):
    """Return 1 - Pearson's r between the samples of values (n_samples, n_units), for all pairs of samples.

    Returns
    -------
    float array (n_samples * (n_samples - 1) / 2,), the upper triangle; NaN for a sample whose units do not vary.
        InputError is raised for a single unit, between whose values there are no correlations.
    """
    values = np.asarray(values, dtype=np.float64)
    n_samples, n_units = values.shape
    if n_units < 2:
        raise InputError(f"RDM: expected 2 units or more, got {n_units}. Use CKA.")
    deviations = values - values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(deviations, axis=1, keepdims=True)
    unit = np.divide(deviations, norms, out=np.full(values.shape, np.nan), where=norms > 0)
    return (1 - unit @ unit.T)[np.triu_indices(n_samples, k=1)]


def compare_rdms(first, second):
    """Return Spearman's correlation of two RDMs, as of ``compute_rdm``, over pairs that both have; NaN without."""
    is_known = np.isfinite(first) & np.isfinite(second)
    if is_known.sum() < 3 or np.ptp(first[is_known]) == 0 or np.ptp(second[is_known]) == 0:
        return np.nan
    return float(spearmanr(first[is_known], second[is_known]).statistic)
