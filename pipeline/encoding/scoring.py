"""Score predictions by their correlation with measurements."""

import numpy as np

from pipeline.encoding.arrays import sum_products


def correlate(measured, predicted):
    """Return Pearson's r of each target with several predictions; NaN where target or prediction is constant.

    Parameters
    ----------
    measured : array or tensor (n_samples, n_targets)
    predicted : array or tensor (n_predictions, n_samples, n_targets), mean 0 over samples

    Returns
    -------
    array or tensor (n_predictions, n_targets)
    """
    measured = measured - measured.mean(axis=0)
    products = sum_products(predicted, measured)
    squares = sum_products(predicted, predicted) * sum_products(measured, measured)
    with np.errstate(invalid="ignore"):  # 0 / 0
        return products / squares**0.5
