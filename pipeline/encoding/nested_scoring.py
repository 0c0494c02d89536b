"""Score predictions of held-out samples by correlation and squared error."""

import numpy as np

CONSTANT = 1e-9  # standard deviation of predictions over that of the target, below which predictions do not vary
PUBLISHED_OFFSET = 1e-8  # which brainscore-language adds to norms


def score_predictions(predicted, measured, mean, variance):
    """Return Pearson's r, squared errors and squared deviations from the training mean of each target.

    Predictions that do not vary have the correlation 0: they contain nothing about the differences between samples.
    A target that does not vary has the correlation NaN.

    Parameters
    ----------
    predicted, measured : float64 array (n_samples, n_targets)
    mean, variance : float64 array (n_targets,), of the training samples

    Returns
    -------
    correlations, errors, totals : float64 array (n_targets,)
    """
    errors = np.sum((measured - predicted) ** 2, axis=0)
    totals = np.sum((measured - mean) ** 2, axis=0)
    x, y = predicted - predicted.mean(axis=0), measured - measured.mean(axis=0)
    x_square, y_square = np.einsum("st,st->t", x, x), np.einsum("st,st->t", y, y)
    is_constant = x_square <= CONSTANT**2 * len(x) * variance
    products = np.einsum("st,st->t", x, y)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.where(is_constant, 0.0, products / np.sqrt(x_square * y_square))
    return np.where(y_square > 0, correlations, np.nan), errors, totals


def score_as_brainscore(predicted, measured, mean, variance):
    """Return what ``score_predictions`` does, with r of brainscore-language: 1e-8 is added to both norms."""
    _, errors, totals = score_predictions(predicted, measured, mean, variance)
    x, y = predicted - predicted.mean(axis=0), measured - measured.mean(axis=0)
    norms = (np.linalg.norm(x, axis=0) + PUBLISHED_OFFSET) * (np.linalg.norm(y, axis=0) + PUBLISHED_OFFSET)
    return np.einsum("st,st->t", x, y) / norms, errors, totals
