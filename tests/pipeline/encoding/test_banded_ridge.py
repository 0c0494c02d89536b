"""Compare ridge regression with a nuisance with a plain loop, and recover unique variance that is known."""

import itertools

import numpy as np
import pytest

from pipeline.encoding import folds, ridge
from pipeline.encoding.cross_validation import cross_validate
from pipeline.encoding.signals import zscore
from pipeline.encoding.unique_variance import compute_unique_variance
from pipeline.errors import InputError

SCHEMES = {
    "held-out runs": lambda: folds.hold_out_runs([60, 50, 70, 60]),
    "blocks with a gap": lambda: folds.hold_out_blocks(240, 4, gap=5),
}
ALPHAS, NUISANCE_ALPHAS = np.logspace(-1, 5, 5), np.logspace(0, 4, 3)


def plain_correlations(bands, targets, training, test, penalties):
    """Solve least squares on data with a row of zeros for each feature, sqrt(alpha) on its diagonal, in float64."""
    x, y = np.column_stack(bands).astype(float), targets.astype(float)
    penalty_of_feature = np.repeat(penalties, [band.shape[1] for band in bands])
    rows = np.vstack([x[training], np.diag(np.sqrt(penalty_of_feature))])
    values = np.vstack([y[training], np.zeros((x.shape[1], y.shape[1]))])
    predicted = x[test] @ np.linalg.lstsq(rows, values, rcond=None)[0]
    return np.array([np.corrcoef(*columns)[0, 1] for columns in zip(y[test].T, predicted.T, strict=True)])


def plain_cross_validation(features, nuisance, targets, some_folds, alpha_per):
    """Fit every pair of penalties in every fold, and choose a pair for all targets or for each target."""
    pairs = list(itertools.product(ALPHAS, NUISANCE_ALPHAS))
    correlations, chosen = [], []
    for fold in some_folds:

        def fit(pair, training, test):
            return plain_correlations([features, nuisance], targets, training, test, pair)

        scores = np.array([fit(pair, fold.inner_training, fold.validation) for pair in pairs])
        if alpha_per == "all":
            scores[:] = scores.mean(axis=1, keepdims=True)
        best = scores.argmax(axis=0)  # (n_targets,)
        by_pair = {number: fit(pairs[number], fold.training, fold.test) for number in set(best)}
        correlations.append([by_pair[number][target] for target, number in enumerate(best)])
        chosen.append([pairs[number] for number in best])
    chosen = np.array(chosen)
    return np.array(correlations), chosen[:, 0] if alpha_per == "all" else chosen


def simulate(n_features, n_nuisance, n_targets=11):
    """Return features, a nuisance that shares variance with them, and targets that need different penalties."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((240, 5))
    features = shared @ rng.standard_normal((5, n_features)) + rng.standard_normal((240, n_features))
    nuisance = shared @ rng.standard_normal((5, n_nuisance)) + rng.standard_normal((240, n_nuisance))
    signals = [band @ rng.standard_normal((band.shape[1], n_targets)) for band in (features, nuisance)]
    sizes = np.geomspace(0.01, 3, n_targets), np.geomspace(3, 0.01, n_targets)
    targets = sum(size * zscore(signal) for size, signal in zip(sizes, signals, strict=True))
    noise = rng.standard_normal(targets.shape)
    return tuple(array.astype(np.float32) for array in (features, nuisance, targets + 2 * noise))


@pytest.mark.parametrize("alpha_per", ["all", "target"])
@pytest.mark.parametrize(
    ("n_features", "n_nuisance", "by_features"),
    [(15, 4, True), (15, 300, False), (300, 4, False)],
    ids=["few-of-both", "large-nuisance", "large-model"],
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_bands_are_those_of_a_plain_loop(scheme, n_features, n_nuisance, by_features, alpha_per, monkeypatch):
    features, nuisance, targets = simulate(n_features, n_nuisance)
    some_folds = SCHEMES[scheme]()
    expected, pairs = plain_cross_validation(features, nuisance, targets, some_folds, alpha_per)
    assert len({tuple(pair) for pair in pairs.reshape(-1, 2)}) > 1
    used = []
    monkeypatch.setattr(ridge, "TARGETS_AT_ONCE", 4)
    for name in ("compute_feature_weights", "compute_sample_weights"):
        compute = getattr(ridge, name)
        monkeypatch.setattr(
            ridge, name, lambda *args, name=name, compute=compute: (used.append(name), compute(*args))[1]
        )
    for device in (None, "cpu"):  # NumPy, PyTorch
        correlations, chosen = cross_validate(
            features,
            targets,
            some_folds,
            ALPHAS,
            alpha_per=alpha_per,
            nuisance=nuisance,
            nuisance_alphas=NUISANCE_ALPHAS,
            device=device,
        )
        np.testing.assert_array_equal(chosen, pairs)
        np.testing.assert_allclose(correlations, expected, atol=1e-5)
        assert correlations.dtype == np.float32


@pytest.mark.parametrize("n_features", [15, 300])
@pytest.mark.parametrize("alpha_per", ["all", "target"])
def test_a_nuisance_of_zeros_changes_nothing(n_features, alpha_per):
    features, _, targets = simulate(n_features, 4)
    some_folds, zeros = folds.hold_out_runs([60, 50, 70, 60]), np.zeros((240, 3), np.float32)
    expected, alphas = cross_validate(features, targets, some_folds, ALPHAS, alpha_per=alpha_per)
    correlations, chosen = cross_validate(features, targets, some_folds, ALPHAS, alpha_per=alpha_per, nuisance=zeros)
    np.testing.assert_allclose(correlations, expected, atol=1e-6)
    np.testing.assert_array_equal(chosen[..., 0], alphas)


@pytest.mark.parametrize("n_nuisance", [4, 300])
def test_the_bands_may_change_places(n_nuisance):
    features, nuisance, targets = simulate(15, n_nuisance)
    some_folds = folds.hold_out_runs([60, 50, 70, 60])
    one_way, pairs = cross_validate(
        features, targets, some_folds, ALPHAS, nuisance=nuisance, nuisance_alphas=NUISANCE_ALPHAS
    )
    back, turned = cross_validate(
        nuisance, targets, some_folds, NUISANCE_ALPHAS, nuisance=features, nuisance_alphas=ALPHAS
    )
    np.testing.assert_allclose(back, one_way, atol=1e-6)
    np.testing.assert_array_equal(turned[:, ::-1], pairs)


def test_a_nuisance_with_other_samples_is_an_error():
    features, nuisance, targets = simulate(15, 4)
    with pytest.raises(InputError, match="as many samples of nuisance as of targets, got 239 and 240"):
        cross_validate(features, targets, folds.hold_out_runs([60] * 4), ALPHAS, nuisance=nuisance[1:])


def fit_known_study(weight_of_features, weight_of_nuisance, seed, n_targets=200):
    """Return the unique variance of features in simulated targets, an array (n_runs, n_targets).

    Half of the variance of the features is shared with the nuisance. The targets have noise of variance 1.
    """
    rng = np.random.default_rng(seed)
    shared = [rng.standard_normal((100, 10)) for _ in range(6)]
    own = [rng.standard_normal((100, 10)) for _ in range(6)]
    features = [zscore(np.column_stack([common, private])) for common, private in zip(shared, own, strict=True)]
    weights = rng.standard_normal((2, 10, n_targets)) / np.sqrt(10)
    targets = [
        zscore(
            weight_of_nuisance * common @ weights[0]
            + weight_of_features * private @ weights[1]
            + rng.standard_normal((100, n_targets))
        )
        for common, private in zip(shared, own, strict=True)
    ]
    some_folds = folds.hold_out_runs([100] * 6)
    x, n, y = np.concat(features), np.concat([zscore(common) for common in shared]), np.concat(targets)
    alphas = np.logspace(0, 6, 13)
    both, _ = cross_validate(x, y, some_folds, alphas, nuisance=n, nuisance_alphas=alphas[::4])
    alone, _ = cross_validate(n, y, some_folds, alphas)
    return compute_unique_variance(both, alone), compute_unique_variance(both, np.zeros_like(both))


@pytest.mark.parametrize(
    ("weight_of_features", "weight_of_nuisance", "unique_share", "explained_share"),
    [(0, 1, 0, 1 / 2), (1, 0, 1 / 2, 1 / 2), (1, 1, 1 / 3, 2 / 3), (0, 0, 0, 0)],
    ids=["nuisance-only", "features-only", "both", "noise"],
)
def test_shared_variance_is_removed(weight_of_features, weight_of_nuisance, unique_share, explained_share):
    """The features contain the whole nuisance; only what they predict in addition counts as unique."""
    studies = [fit_known_study(weight_of_features, weight_of_nuisance, seed) for seed in range(4)]
    unique, explained = (np.mean([study[number] for study in studies]) for number in (0, 1))
    assert explained == pytest.approx(explained_share, abs=0.05)
    assert unique == pytest.approx(unique_share, abs=0.05 if unique_share else 0.005)
    if not unique_share:
        assert unique < 0.001  # no bias in favour of the model


def test_unique_variance_keeps_signs_and_nan():
    both = np.array([[[0.5, -0.2, np.nan, 0.1]], [[0.1, 0.2, 0.3, np.nan]]])
    alone = np.array([[0.3, 0.1, 0.2, -0.4]])
    expected = [[[0.16, -0.05, np.nan, 0.17]], [[-0.08, 0.03, 0.05, np.nan]]]
    unique = compute_unique_variance(both, alone)
    np.testing.assert_allclose(unique, expected, atol=1e-6)
    assert unique.dtype == np.float32
