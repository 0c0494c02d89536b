"""Fit ridge regressions with an intercept, whose penalties inner folds choose, for few samples and many features.

For features X (n_samples, n_features), z-scored by the training samples, and targets Y (n_samples, n_targets), the
objective is

    ||Y - 1 b' - X B||^2 + alpha ||B||^2,

and with nuisance features N, ||Y - 1 b' - X B - N C||^2 + alpha ||B||^2 + alpha_n ||C||^2. ``regression="linear"`` is
the limit of alpha = 0: least squares, with the smallest B where several B fit equally well.

All features enter through the Gram matrix K = XX', so that the cost hardly depends on their number. Let H centre the
training samples. With Kc = H K H and P = H (Kc + alpha)^-1 H, the predictions are mean(Y) + K_test P Y. The residuals
of an inner fold V, predicted from the other training samples, are P_VV^-1 (P Y)_V: no inner fold is fitted. Their sum
of squares over all targets is a trace of P and Y Y'. Y Y' is computed once for all layers of a model.
"""

from typing import NamedTuple

import numpy as np

from pipeline.encoding.nested_scoring import score_predictions
from pipeline.errors import InputError

WIDE_ALPHAS = np.logspace(-2, 8, 16)
WIDE_NUISANCE_ALPHAS = np.logspace(0, 6, 4)
PUBLISHED_ALPHAS = np.logspace(-3, 3, 7)  # of brainscore-language
TARGETS_AT_ONCE = 2048  # where each target has its own alpha


class NestedScores(NamedTuple):
    """Hold the scores of held-out samples.

    ``correlations``, ``errors`` (sums of squares of prediction errors) and ``totals`` (sums of squares of deviations
    from the training mean) are float64 arrays (n_folds, n_targets). ``alphas`` is float64 (n_folds,), with an axis of
    targets where alpha_per is "target", and a last axis (alpha, alpha_n) with nuisance.
    """

    correlations: np.ndarray
    errors: np.ndarray
    totals: np.ndarray
    alphas: np.ndarray

    def compute_r2(self):
        """Return the share of variance explained in each fold, 1 - errors / totals, (n_folds, n_targets)."""
        return 1 - divide(self.errors, self.totals)


def divide(numerators, denominators):
    """Return quotients, NaN where a denominator is 0."""
    numerators, denominators = np.broadcast_arrays(numerators, denominators)
    return np.divide(numerators, denominators, out=np.full(numerators.shape, np.nan), where=denominators > 0)


def compute_fold_grams(features, folds, has_z_scores=True):
    """Compute the Gram matrix of features, with units scaled by the training samples of each fold.

    Gram matrices of several sets of units add up to the Gram matrix of all units together.

    Parameters
    ----------
    features : float array (n_samples, n_features)
    folds : list of nested_folds.NestedFold
    has_z_scores : bool, divide each unit by its standard deviation over training samples; a unit that is constant
        there does not count. Otherwise units keep their scale.

    Returns
    -------
    list over folds of float64 array (n_samples, n_samples)
    """
    features = np.asarray(features, dtype=np.float64)
    if not np.isfinite(features).all():
        raise InputError("features: expected finite numbers, got others. Extract again, in float32.")
    features = features - features.mean(axis=0)  # no cancellation in what follows
    if not has_z_scores:
        return [features @ features.T] * len(folds)
    largest, grams = np.abs(features).max(axis=0, initial=0), []
    for fold in folds:
        scale = features[fold.training].std(axis=0)
        is_constant = scale <= 1e-12 * largest
        scaled = features * np.where(is_constant, 0, 1 / np.where(is_constant, 1, scale))
        grams.append(scaled @ scaled.T)
    return grams


class FoldTargets(NamedTuple):
    """Hold the Gram matrix (n_training, n_training), mean and variance (n_targets,) of a fold's training targets."""

    gram: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def prepare_targets(targets, folds, has_z_scores=True):
    """Compute once what the fits of all layers need of the targets (n_samples, n_targets), a list of FoldTargets.

    The Gram matrix chooses a penalty for all targets. Targets that are z-scored count equally, else by their variance.
    InputError is raised for targets that are not finite.
    """
    targets = np.asarray(targets, dtype=np.float64)
    if targets.ndim != 2 or targets.shape[1] == 0 or not folds:
        raise InputError(f"targets: expected (n_samples, n_targets) and folds, got {targets.shape} and {len(folds)}")
    if not np.isfinite(targets).all():
        raise InputError("targets: expected finite numbers, got others. Leave such targets out.")
    prepared = []
    for fold in folds:
        training = targets[fold.training]
        mean = training.mean(axis=0)
        training -= mean
        variance = np.einsum("st,st->t", training, training) / len(training)
        if has_z_scores:
            training *= np.where(variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1)), 0)
        prepared.append(FoldTargets(training @ training.T, mean, variance))
    return prepared


def cross_validate_nested(
    grams,
    targets,
    folds,
    alphas=WIDE_ALPHAS,
    *,
    regression="ridge",
    alpha_per="all",
    nuisance_grams=None,
    nuisance_alphas=WIDE_NUISANCE_ALPHAS,
    prepared=None,
    score=score_predictions,
):
    """Predict the test samples of each fold by regression with an intercept.

    The chosen alpha has the smallest squared error in the inner folds, over all targets or for each target.

    Parameters
    ----------
    grams : list over folds of float64 array (n_samples, n_samples), as ``compute_fold_grams`` returns them
    targets : float array (n_samples, n_targets), finite
    folds : list of nested_folds.NestedFold
    alphas : sequence of float above 0; not used by "linear"
    regression : {"ridge", "linear"}
    alpha_per : {"all", "target"}
    nuisance_grams : as grams, of nuisance features with a penalty of their own
    nuisance_alphas : sequence of float above 0
    prepared : as ``prepare_targets`` returns it, optional, where several features have the same targets
    score : function of predictions, measurements (n_test, n_targets) and training mean and variance (n_targets,), which
        returns correlations, errors and totals (n_targets,)

    Returns
    -------
    NestedScores
    """
    for name, value, choices in (
        ("regression", regression, ("ridge", "linear")),
        ("alpha_per", alpha_per, ("all", "target")),
    ):
        if value not in choices:
            raise InputError(f"{name}: expected {' or '.join(choices)}, got {value!r}")
    targets = np.asarray(targets, dtype=np.float64)
    candidates = _list_candidates(alphas, nuisance_alphas if nuisance_grams else None, regression)
    prepared = prepare_targets(targets, folds) if prepared is None else prepared
    scores, chosen = [], []
    for number, fold in enumerate(folds):
        bands = [grams[number]] + ([nuisance_grams[number]] if nuisance_grams else [])
        decompositions, training = _Decompositions(bands, fold), targets[fold.training]
        best = _choose(decompositions, candidates, training, prepared[number].gram, alpha_per)
        predicted = decompositions.predict(candidates, best, training, prepared[number].mean)
        scores.append(score(predicted, targets[fold.test], prepared[number].mean, prepared[number].variance))
        chosen.append(np.array(candidates)[best if alpha_per == "target" else best[0]])
    correlations, errors, totals = (np.stack(columns) for columns in zip(*scores, strict=True))
    alphas_chosen = np.stack(chosen)
    return NestedScores(correlations, errors, totals, alphas_chosen if nuisance_grams else alphas_chosen[..., 0])


def _choose(decompositions, candidates, training, target_gram, alpha_per):
    """Return the number of the candidate of each target, an int array (n_targets,)."""
    best = np.zeros(training.shape[1], dtype=int)
    if len(candidates) == 1:
        return best
    if alpha_per == "target":
        return np.argmin(decompositions.compute_target_errors(candidates, training), axis=0)
    return best + np.argmin(decompositions.compute_total_errors(candidates, target_gram))


def count_at_ends(chosen, alphas):
    """Return how many chosen alphas are the smallest, and how many the largest, of a range of two or more."""
    alphas = np.sort(alphas)
    if len(alphas) < 2:
        return 0, 0
    return int(np.isclose(chosen, alphas[0]).sum()), int(np.isclose(chosen, alphas[-1]).sum())


def _list_candidates(alphas, nuisance_alphas, regression):
    """Return the candidate penalties, a list of tuples, one number for each band; (0,) for least squares."""
    if regression == "linear":
        return [(0.0,)] if nuisance_alphas is None else [(0.0, 0.0)]
    if min(alphas) <= 0 or (nuisance_alphas is not None and min(nuisance_alphas) <= 0):
        raise InputError('alphas: expected numbers above 0, got others. Use regression="linear" for 0.')
    if nuisance_alphas is None:
        return [(float(alpha),) for alpha in alphas]
    return [(float(alpha), float(nuisance)) for alpha in alphas for nuisance in nuisance_alphas]


class _Spectrum(NamedTuple):
    """Hold the eigenvalues (n_training,) and centred eigenvectors of Kc, and K_test in terms of the latter."""

    values: np.ndarray
    vectors: np.ndarray
    test: np.ndarray


class _Decompositions:
    """Decompose the centred Gram matrix of a fold, once for each ratio of the penalties of its bands."""

    def __init__(self, bands, fold):
        self.bands, self.fold = bands, fold
        self.spectra: dict[float, _Spectrum] = {}

    def decompose(self, candidate):
        """Return the spectrum of K = XX' + alpha / alpha_n NN' of a candidate."""
        ratio = float(f"{candidate[0] / candidate[1]:.12g}") if len(candidate) > 1 and candidate[1] else 1.0
        if ratio not in self.spectra:
            gram = self.bands[0] if len(self.bands) == 1 else self.bands[0] + ratio * self.bands[1]
            training, test = self.fold.training, self.fold.test
            square = gram[np.ix_(training, training)]
            means = square.mean(axis=0)
            values, vectors = np.linalg.eigh(square - means - means[:, None] + means.mean())
            vectors = vectors - vectors.mean(axis=0)  # H Q
            self.spectra[ratio] = _Spectrum(values, vectors, (gram[np.ix_(test, training)] - means) @ vectors)
        return self.spectra[ratio]

    def weigh(self, candidate):
        """Return the eigenvalues of P: 1 / (value + alpha), or those of the pseudo-inverse for alpha = 0."""
        values = self.decompose(candidate).values
        if candidate[0] > 0:
            return 1 / (np.maximum(values, 0) + candidate[0])
        is_kept = values > max(1, len(values)) * np.finfo(float).eps * values.max(initial=0)
        return np.where(is_kept, 1 / np.where(is_kept, values, 1), 0)

    def compute_total_errors(self, candidates, target_gram):
        """Return the sum of squared errors over inner folds and targets of each candidate, (n_candidates,)."""
        errors, rotated = [], {}
        for candidate in candidates:
            spectrum, weights = self.decompose(candidate), self.weigh(candidate)
            key = id(spectrum)
            if key not in rotated:
                rotated[key] = spectrum.vectors.T @ target_gram @ spectrum.vectors
            rows = spectrum.vectors * weights  # P = rows @ vectors'
            products = rows @ rotated[key]  # P Y Y' = products @ vectors'
            errors.append(self._sum_errors(rows, products, spectrum.vectors))
        return np.array(errors)

    def _sum_errors(self, rows, products, vectors):
        """Return the sum over inner folds V of tr(P_VV^-1 (P Y Y' P)_VV P_VV^-1)."""
        if all(len(part) == 1 for part in self.fold.inner):  # leave one out: P_VV is a number
            diagonal = np.einsum("ij,ij->i", rows, vectors)
            return np.sum(np.einsum("ij,ij->i", products, rows) / diagonal**2)
        total = 0.0
        for part in self.fold.inner:
            inverse = np.linalg.inv(rows[part] @ vectors[part].T)
            total += np.sum((inverse @ inverse) * (products[part] @ rows[part].T))
        return total

    def compute_target_errors(self, candidates, training):
        """Return the sum of squared errors over inner folds of each candidate and target, (n_candidates, n_targets)."""
        errors = np.zeros((len(candidates), training.shape[1]))
        for first in range(0, training.shape[1], TARGETS_AT_ONCE):
            block, rotated = slice(first, first + TARGETS_AT_ONCE), {}
            for number, candidate in enumerate(candidates):
                spectrum = self.decompose(candidate)
                if id(spectrum) not in rotated:
                    rotated[id(spectrum)] = spectrum.vectors.T @ training[:, block]
                rows = spectrum.vectors * self.weigh(candidate)
                for part in self.fold.inner:
                    square = rows[part] @ spectrum.vectors[part].T
                    residuals = np.linalg.solve(square, rows[part] @ rotated[id(spectrum)])
                    errors[number, block] += np.einsum("st,st->t", residuals, residuals)
        return errors

    def predict(self, candidates, best, training, mean):
        """Predict the test samples of each target by its candidate, ``best`` (n_targets,): (n_test, n_targets)."""
        predicted = np.empty((len(self.fold.test), training.shape[1]))
        for number in np.unique(best):
            spectrum = self.decompose(candidates[number])
            weights = (spectrum.test * self.weigh(candidates[number])) @ spectrum.vectors.T  # (n_test, n_training)
            if (best == number).all():
                return mean + weights @ training
            columns = np.flatnonzero(best == number)
            predicted[:, columns] = mean[columns] + weights @ training[:, columns]
        return predicted
