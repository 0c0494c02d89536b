"""Compare ridge regression with nested folds with a loop over scikit-learn's Ridge, a fit for each fold and alpha."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import GroupKFold

from pipeline.encoding.nested_folds import (
    hold_out_groups_nested,
    shuffle_nested,
    split_as_brainscore,
    split_as_neural_nlp,
)
from pipeline.encoding.nested_ridge import (
    PUBLISHED_ALPHAS,
    compute_fold_grams,
    count_at_ends,
    cross_validate_nested,
    prepare_targets,
)
from pipeline.errors import InputError

ALPHAS = np.logspace(-1, 4, 6)
GROUPS = np.repeat(np.arange(12), [4, 3, 5, 4, 4, 2, 4, 3, 4, 5, 4, 4])


def simulate(n_features, n_targets=7, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((len(GROUPS), n_features)) * rng.uniform(0.1, 10, n_features) + 3
    weights = rng.standard_normal((n_features, n_targets)) * rng.uniform(0, 1, n_targets)
    return features, features @ weights / n_features + rng.standard_normal((len(GROUPS), n_targets)) + 5


def standardise(columns, training):
    scale = columns[training].std(axis=0)
    return (columns - columns[training].mean(axis=0)) / np.where(scale > 0, scale, np.inf)


def plain(features, targets, folds, alphas, alpha_per, nuisance=None, nuisance_alphas=(1.0,)):
    """Fit every inner fold of every fold and candidate; return correlations, r2, and the chosen candidates."""
    correlations, r2, chosen = [], [], []
    candidates = [(alpha, other) for alpha in alphas for other in (nuisance_alphas if nuisance is not None else [None])]
    for fold in folds:
        x, z = standardise(features, fold.training), standardise(targets, fold.training)
        n = None if nuisance is None else standardise(nuisance, fold.training)

        def columns(alpha, other, x=x, n=n):
            return x if n is None else np.hstack([x, n * np.sqrt(alpha / other)])

        errors = np.zeros((len(candidates), targets.shape[1]))
        for number, (alpha, other) in enumerate(candidates):
            for part in fold.inner:
                rest = np.delete(fold.training, part)
                model = Ridge(alpha=alpha).fit(columns(alpha, other)[rest], z[rest])
                held_out = fold.training[part]
                errors[number] += np.sum((z[held_out] - model.predict(columns(alpha, other)[held_out])) ** 2, axis=0)
        best = errors.argmin(axis=0) if alpha_per == "target" else np.full(len(z[0]), errors.sum(axis=1).argmin())
        chosen.append(np.array([candidates[number] for number in best], dtype=object))
        predicted = np.stack(
            [
                Ridge(alpha=candidates[number][0])
                .fit(columns(*candidates[number])[fold.training], targets[fold.training, target])
                .predict(columns(*candidates[number])[fold.test])
                for target, number in enumerate(best)
            ],
            axis=1,
        )
        measured = targets[fold.test]
        correlations.append([np.corrcoef(*pair)[0, 1] for pair in zip(measured.T, predicted.T, strict=True)])
        total = np.sum((measured - targets[fold.training].mean(axis=0)) ** 2, axis=0)
        r2.append(1 - np.sum((measured - predicted) ** 2, axis=0) / total)
    return np.array(correlations), np.array(r2), np.stack(chosen)


FOLDS = {
    "groups": hold_out_groups_nested(GROUPS, n_folds=4, n_inner=3),
    "shuffled": shuffle_nested(len(GROUPS), n_folds=5, n_inner=4),
    "leave-one-out inside": split_as_brainscore(len(GROUPS), GROUPS, n_folds=3),
}


@pytest.mark.parametrize("alpha_per", ["all", "target"])
@pytest.mark.parametrize("n_features", [5, 46, 200], ids=["few", "as-samples", "many"])
@pytest.mark.parametrize("folds", FOLDS.values(), ids=FOLDS)
def test_scores_and_alphas_are_those_of_a_fit_for_each_inner_fold(folds, n_features, alpha_per):
    features, targets = simulate(n_features)
    expected, expected_r2, chosen = plain(features, targets, folds, ALPHAS, alpha_per)
    scores = cross_validate_nested(compute_fold_grams(features, folds), targets, folds, ALPHAS, alpha_per=alpha_per)
    alphas = scores.alphas if alpha_per == "target" else np.repeat(scores.alphas[:, None], targets.shape[1], axis=1)
    np.testing.assert_allclose(alphas, chosen[..., 0].astype(float))
    np.testing.assert_allclose(scores.correlations, expected, atol=1e-8)
    np.testing.assert_allclose(scores.compute_r2(), expected_r2, atol=1e-8)


@pytest.mark.parametrize("alpha_per", ["all", "target"])
def test_two_bands_are_those_of_a_fit_with_scaled_columns(alpha_per):
    features, targets = simulate(60)
    nuisance = simulate(3, seed=1)[0]
    targets = targets + standardise(nuisance, np.arange(len(GROUPS))) @ np.ones((3, targets.shape[1]))
    folds, nuisance_alphas = FOLDS["groups"], (0.1, 10.0)
    expected, expected_r2, chosen = plain(features, targets, folds, ALPHAS, alpha_per, nuisance, nuisance_alphas)
    scores = cross_validate_nested(
        compute_fold_grams(features, folds),
        targets,
        folds,
        ALPHAS,
        alpha_per=alpha_per,
        nuisance_grams=compute_fold_grams(nuisance, folds),
        nuisance_alphas=nuisance_alphas,
    )
    alphas = scores.alphas if alpha_per == "target" else np.repeat(scores.alphas[:, None], targets.shape[1], axis=1)
    np.testing.assert_allclose(alphas, chosen.astype(float))
    np.testing.assert_allclose(scores.correlations, expected, atol=1e-8)
    np.testing.assert_allclose(scores.compute_r2(), expected_r2, atol=1e-8)


@pytest.mark.parametrize("n_features", [5, 200])
def test_least_squares_is_that_of_scikit_learn(n_features):
    features, targets = simulate(n_features)
    folds = split_as_brainscore(len(GROUPS))
    grams = compute_fold_grams(features, folds, has_z_scores=False)
    scores = cross_validate_nested(grams, targets, folds, regression="linear")
    for number, fold in enumerate(folds):
        model = LinearRegression().fit(features[fold.training], targets[fold.training])
        predicted = model.predict(features[fold.test])
        expected = [np.corrcoef(*pair)[0, 1] for pair in zip(targets[fold.test].T, predicted.T, strict=True)]
        np.testing.assert_allclose(scores.correlations[number], expected, atol=1e-8)


def test_the_published_ridge_is_that_of_scikit_learn():
    features, targets = simulate(30)
    folds = split_as_brainscore(len(GROUPS), GROUPS, n_folds=3)
    scores = cross_validate_nested(
        compute_fold_grams(features, folds, has_z_scores=False),
        targets,
        folds,
        PUBLISHED_ALPHAS,
        prepared=prepare_targets(targets, folds, has_z_scores=False),
    )
    for number, fold in enumerate(folds):
        model = RidgeCV(PUBLISHED_ALPHAS).fit(features[fold.training], targets[fold.training])
        assert scores.alphas[number] == pytest.approx(model.alpha_)
        predicted = model.predict(features[fold.test])
        expected = [np.corrcoef(*pair)[0, 1] for pair in zip(targets[fold.test].T, predicted.T, strict=True)]
        np.testing.assert_allclose(scores.correlations[number], expected, atol=1e-8)


@pytest.mark.parametrize("folds", [FOLDS["groups"], FOLDS["shuffled"], split_as_neural_nlp(len(GROUPS))])
def test_every_sample_is_tested_once_and_never_trained_on(folds):
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(len(GROUPS)))
    for fold in folds:
        assert not set(fold.test) & set(fold.training)
        assert len(fold.test) + len(fold.training) == len(GROUPS)
        assert np.array_equal(np.sort(np.concatenate(fold.inner)), np.arange(len(fold.training)))


def test_no_group_is_split():
    for fold in FOLDS["groups"]:
        assert not set(GROUPS[fold.test]) & set(GROUPS[fold.training])
        within = GROUPS[fold.training]
        for part in fold.inner:
            assert not set(within[part]) & set(np.delete(within, part))
    (_, test), *_ = GroupKFold(3, shuffle=True, random_state=1234).split(GROUPS, groups=GROUPS)
    assert np.array_equal(FOLDS["leave-one-out inside"][0].test, test)


def test_grams_of_units_add_up():
    features, _ = simulate(9)
    folds = FOLDS["groups"]
    parts = [compute_fold_grams(features[:, columns], folds) for columns in (slice(0, 4), slice(4, 9))]
    for whole, first, second in zip(compute_fold_grams(features, folds), *parts, strict=True):
        np.testing.assert_allclose(whole, first + second, atol=1e-9)


def test_features_that_are_constant_in_training_predict_nothing():
    """A feature of one group only: its held-out samples are all predicted by the same number."""
    features = (GROUPS[:, None] == np.arange(12)).astype(float)
    _, targets = simulate(5)
    scores = cross_validate_nested(compute_fold_grams(features, FOLDS["groups"]), targets, FOLDS["groups"], ALPHAS)
    assert (scores.correlations == 0).all()


def test_a_scale_and_an_offset_change_nothing():
    features, targets = simulate(40)
    folds = FOLDS["groups"]
    scores = cross_validate_nested(compute_fold_grams(features, folds), targets, folds, ALPHAS)
    moved = cross_validate_nested(compute_fold_grams(7 * features - 100, folds), 3 * targets + 10, folds, ALPHAS)
    np.testing.assert_allclose(scores.correlations, moved.correlations, atol=1e-8)


def test_ends_of_the_range_are_counted():
    assert count_at_ends(np.array([0.1, 1.0, 10000.0, 10000.0]), ALPHAS) == (1, 2)


@pytest.mark.parametrize(
    "options", [{"regression": "lasso"}, {"alpha_per": "voxel"}, {"alphas": [0.0, 1.0]}, {"targets": np.nan}]
)
def test_wrong_arguments_are_refused(options):
    features, targets = simulate(5)
    options = dict(options)
    targets = targets * options.pop("targets", 1)
    with pytest.raises(InputError, match="expected"):
        cross_validate_nested(compute_fold_grams(features, FOLDS["groups"]), targets, FOLDS["groups"], **options)


def test_too_few_groups_or_samples_are_refused():
    with pytest.raises(InputError, match="4 or more"):
        hold_out_groups_nested([0, 0, 1, 1, 2, 2])
    with pytest.raises(InputError, match="20 or more"):
        shuffle_nested(12)
