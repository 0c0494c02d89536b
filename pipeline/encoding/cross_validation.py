"""Choose penalties on held-out samples, and predict held-out samples."""

import itertools

import numpy as np

from pipeline.encoding import ridge
from pipeline.encoding.arrays import array_module, as_float32, as_numpy
from pipeline.encoding.folds import split_into_parts
from pipeline.encoding.ridge import Split
from pipeline.errors import InputError

ALPHAS = np.logspace(2, 7, 16)
NUISANCE_ALPHAS = np.logspace(1, 6, 4)  # 10 hardly shrinks a column of 2,600 scans, 10^6 removes most nuisances


def cross_validate(
    features, targets, folds, alphas=ALPHAS, *, alpha_per="all", nuisance=None, nuisance_alphas=None, device=None
):
    """Predict the test samples of each fold by ridge regression without intercept.

    The objective, for features X and targets Y, is ||Y - X B||^2 + alpha ||B||^2. The chosen alpha has the highest
    correlation in the validation samples of the fold, after a fit on its inner training samples. The model is then
    fitted on all training samples.

    With nuisance features N, the objective is ||Y - X B - N C||^2 + alpha ||B||^2 + alpha_n ||C||^2 (banded ridge
    regression, Nunez-Elizalde et al., NeuroImage 2019). Both penalties are chosen together by the same rule, among all
    pairs of ``alphas`` and ``nuisance_alphas``.

    InputError is raised if no feature or target varies in the test samples of a fold, or an alpha is too small for
    float64.

    Parameters
    ----------
    features : float32 array or tensor (n_samples, n_features), mean 0 in each run or group
    targets : float32 array or tensor (n_samples, n_targets), also of mean 0, since the model has no intercept
    folds : list of folds.Fold
    alphas : sequence of n_alphas float
    alpha_per : "all", to choose penalties by the mean correlation over targets, or "target", for each target
    nuisance : float32 array or tensor (n_samples, n_nuisance_features), optional, of mean 0 too
    nuisance_alphas : sequence of float, by default NUISANCE_ALPHAS
    device : str or torch.device on which PyTorch computes; by default, NumPy on the CPU. Products of features are
        computed in float64, products with targets in float32.

    Returns
    -------
    correlations : float32 array (n_folds, n_targets), Pearson's r between measured and predicted test samples; NaN for
        a target that is constant there
    chosen : float64 array (n_folds,), or (n_folds, n_targets) where alpha_per is "target". With nuisance, it has one
        more axis, (alpha, alpha_n).
    """
    if alpha_per not in ("all", "target"):
        raise InputError(f'alpha_per: expected "all" or "target", got {alpha_per!r}')
    x, y = as_float32(features, device), as_float32(targets, device)
    _check_folds(x, y, folds)
    candidates: list[tuple[float, ...]]
    if nuisance is None:
        widths, candidates = [x.shape[1]], list(itertools.product(alphas))
    else:
        n = as_float32(nuisance, device)
        _check_lengths("nuisance", n, y)
        widths, x = [x.shape[1], n.shape[1]], array_module(x).concat([x, n], axis=1)
        nuisance_alphas = NUISANCE_ALPHAS if nuisance_alphas is None else nuisance_alphas
        candidates = list(itertools.product(alphas, nuisance_alphas))
    correlations, best = _choose_and_predict(x, widths, y, folds, candidates, alpha_per)
    chosen = np.array(candidates, dtype=np.float64)[best]  # (..., n_bands)
    return correlations, chosen[..., 0] if nuisance is None else chosen


def _choose_and_predict(x, widths, y, folds, candidates, alpha_per):
    """Return correlations (n_folds, n_targets) and the numbers of the chosen candidates (n_folds,) or (.., n_targets).

    ``candidates`` is a list of tuples, a penalty for each band of ``x``, whose ``widths`` are numbers of features.
    """
    n_samples = len(x)
    parts = [_as_slice(samples) for samples in split_into_parts(folds, n_samples)]
    by_features = ridge.is_cheaper_by_features(n_samples, widths, candidates)
    products = ridge.compute_inner_products(x, widths, parts, by_features)
    compute_weights = ridge.compute_feature_weights if by_features else ridge.compute_sample_weights

    def predict(splits, penalties_of_splits, choices=None):
        weights = compute_weights(products, x, widths, parts, splits, penalties_of_splits)
        return ridge.correlate_predictions(weights, x, y, parts, splits, by_features, choices)

    splits = [_split(fold.validation, fold.inner_training, parts, n_samples) for fold in folds]
    scores = predict(splits, [candidates] * len(folds))  # folds of (n_candidates, n_targets)
    splits = [_split(fold.test, fold.training, parts, n_samples) for fold in folds]
    if alpha_per == "all":
        xp = array_module(x)
        best = as_numpy(xp.stack([xp.nanmean(score, axis=1) for score in scores])).argmax(axis=1)
        return as_numpy(xp.concat(predict(splits, [[candidates[number]] for number in best]))), best
    scores = map(as_numpy, scores)
    best = np.stack([np.where(np.isnan(score), -np.inf, score).argmax(axis=0) for score in scores])
    used, choices = zip(*(np.unique(numbers, return_inverse=True) for numbers in best), strict=True)
    correlations = predict(splits, [[candidates[number] for number in fold] for fold in used], choices)
    return np.stack(list(map(as_numpy, correlations))), best


def _check_folds(x, y, folds):
    """Check that a feature and a target vary in the test samples of each fold."""
    _check_lengths("features", x, y)
    for number, fold in enumerate(folds):
        for name, values in [("feature", x), ("target", y)]:
            if not has_variance(values[_as_slice(fold.test)]):
                raise InputError(f"no {name} varies in the test samples of fold {number}")


def has_variance(values):
    """Return whether any column of values (n_samples, n_columns) of mean 0 varies. A look at one sample may do."""
    return bool(values[:1].any()) or bool(values.any())


def _check_lengths(name, x, y):
    """Check that features and targets have the same number of samples."""
    if len(x) != len(y):
        raise InputError(f"expected as many samples of {name} as of targets, got {len(x)} and {len(y)}")


def _as_slice(samples):
    """Return consecutive sample numbers as a slice, which avoids a copy, and other sample numbers unchanged."""
    first, last = int(samples[0]), int(samples[-1])
    return slice(first, last + 1) if last - first + 1 == len(samples) else samples


def _split(predicted, training, parts, n_samples):
    """Return the parts that a model predicts, and all parts that it is not trained on, the predicted parts first."""
    is_predicted, is_training = np.zeros((2, n_samples), dtype=bool)
    is_predicted[predicted], is_training[training] = True, True
    predicted_parts = tuple(part for part, samples in enumerate(parts) if is_predicted[samples].any())
    in_training = [part for part, samples in enumerate(parts) if is_training[samples].any()]
    rest = (part for part in range(len(parts)) if part not in in_training and part not in predicted_parts)
    return Split(predicted_parts, (*predicted_parts, *rest))
