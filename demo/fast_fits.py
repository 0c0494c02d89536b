"""Fit many simulated studies fast: ``cross_validate`` with held-out runs, for features and targets of z-scored runs.

With z-scored runs, predictions have mean 0 in every run, and their variance is a quadratic form of the regression
weights. So no prediction is computed: inner products of features and targets are enough. One eigendecomposition serves
all penalties. ``pipeline.encoding.cross_validation.cross_validate`` computes the same in general, and more slowly.
"""

import numpy as np


def cross_validate_runs(features, targets, alphas):
    """Return the correlations of ``cross_validate`` with the folds of ``hold_out_runs``.

    Parameters
    ----------
    features : float32 array (n_runs, n_scans, n_features), mean 0 in each run
    targets : float32 array (n_runs, n_scans, n_targets), z-scored in each run
    alphas : float array (n_alphas,)

    Returns
    -------
    float32 array (n_runs, n_targets), Pearson's r of the measured with the predicted targets of each held-out run
    """
    n_runs, n_scans, n_features = features.shape
    x = features.astype(np.float64)
    squares = x.transpose(0, 2, 1) @ x  # (n_runs, n_features, n_features)
    products = features.transpose(0, 2, 1) @ targets  # (n_runs, n_features, n_targets)
    # R'R = X'X for each run, so that the norm of R w is that of the prediction X w.
    factors = np.linalg.qr(features, mode="r")  # (n_runs, min(n_scans, n_features), n_features)
    square, product = squares.sum(axis=0), products.sum(axis=0)
    correlations = np.empty((n_runs, targets.shape[2]), np.float32)
    for run, alpha in enumerate(_choose_alphas(squares, products, factors=factors, alphas=alphas)):
        training = square - squares[run] + alpha * np.eye(n_features)
        weights = np.linalg.solve(training, product - products[run]).astype(np.float32)
        lengths = np.sqrt(np.square(factors[run] @ weights).sum(axis=0) * n_scans)
        correlations[run] = (weights * products[run]).sum(axis=0) / lengths
    return correlations


def _choose_alphas(squares, products, factors, alphas):
    """Return the alpha of each held-out run, with the highest mean correlation in the first of the remaining runs."""
    square, product, chosen = squares.sum(axis=0), products.sum(axis=0), np.empty(len(squares))
    for run in range(1, len(squares)):
        values, vectors = np.linalg.eigh(square - squares[0] - squares[run])
        shrinkage = (1 / (values + np.asarray(alphas)[:, None])).astype(np.float32)  # (n_alphas, n_features)
        rotation = vectors.astype(np.float32)
        rotated = rotation.T @ (product - products[0] - products[run])
        # The fold of the first run is validated on the second run: both folds have the same inner training runs.
        for held_out, validation in [(run, 0), (0, 1)] if run == 1 else [(run, 0)]:
            factor = factors[validation] @ rotation
            stacked = (factor * shrinkage[:, None]).reshape(-1, len(values))  # all penalties in one product
            predicted = (stacked @ rotated).reshape(len(alphas), len(factor), -1)
            measured = shrinkage @ (rotated * (rotation.T @ products[validation]))  # (n_alphas, n_targets)
            scores = measured / np.sqrt(np.square(predicted, out=predicted).sum(axis=1))
            chosen[held_out] = alphas[int(scores.mean(axis=1).argmax())]
    return chosen
