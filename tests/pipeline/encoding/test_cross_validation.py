"""Compare ridge regression with the published method, as a loop over scikit-learn's Ridge."""

import numpy as np
import pytest
from encoding_reference import published_method
from sklearn.linear_model import Ridge

from pipeline.encoding import folds, ridge
from pipeline.encoding.arrays import as_float32
from pipeline.encoding.cross_validation import ALPHAS, cross_validate
from pipeline.encoding.signals import zscore
from pipeline.errors import InputError


def cross_validate_runs(regressors, fmri, alphas=ALPHAS, **options):
    """Cross-validate lists over runs, each run held out in turn."""
    runs = folds.hold_out_runs([len(run) for run in regressors])
    return cross_validate(np.concat(regressors), np.concat(fmri), runs, alphas, **options)


def simulated(n_units, n_scans_of_runs, n_voxels, signal, seed=0):
    """Return correlated units of slowly decaying variance, and voxels that are driven by the units."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n_units, n_units)) / np.arange(1, n_units + 1)[:, None] ** 0.7
    weights = rng.standard_normal((n_units, n_voxels))
    regressors = [zscore(rng.standard_normal((n_scans, n_units)) @ mixing) for n_scans in n_scans_of_runs]
    driven = [zscore(run @ weights) for run in regressors]
    fmri = [zscore(signal * run + rng.standard_normal(run.shape)) for run in driven]
    return regressors, fmri


@pytest.mark.parametrize("signal", [0.1, 0.5, 3.0])
@pytest.mark.parametrize(
    "n_units", [12, 180, 600], ids=["few-units", "as-many-units-as-scans", "more-units-than-scans"]
)
def test_correlations_and_alphas_are_those_of_the_published_method(n_units, signal):
    regressors, fmri = simulated(n_units, [41, 37, 44, 39, 47], 15, signal)
    expected, expected_alphas = published_method(regressors, fmri, ALPHAS)
    assert len(set(ALPHAS)) == 16
    for device in (None, "cpu"):  # NumPy, PyTorch
        correlations, alphas = cross_validate_runs(regressors, fmri, device=device)
        np.testing.assert_allclose(correlations, expected, atol=1e-4)
        np.testing.assert_array_equal(alphas, expected_alphas)
        assert correlations.dtype == np.float32


@pytest.mark.parametrize("n_units", [1, 90, 400])
def test_one_voxel_and_three_runs(n_units):
    regressors, fmri = simulated(n_units, [30, 31, 32], 1, 1.0)
    expected, expected_alphas = published_method(regressors, fmri, ALPHAS)
    correlations, alphas = cross_validate_runs(regressors, fmri)
    np.testing.assert_allclose(correlations, expected, atol=1e-4)
    # With one unit, alpha only scales the prediction: all correlations are equal, and any alpha may be chosen.
    assert n_units == 1 or alphas.tolist() == expected_alphas.tolist()


def plain_predictions(regressors, fmri, held_out, alpha):
    """Predict the first held-out run from all runs that are not held out, by scikit-learn in float64."""
    training = [run for run in range(len(regressors)) if run not in held_out]
    model = Ridge(alpha=alpha, fit_intercept=False)
    model.fit(*(np.vstack([arrays[run] for run in training]).astype(float) for arrays in (regressors, fmri)))
    return model.predict(regressors[held_out[0]].astype(float))


def plain_correlations(measured, predicted):
    return [np.corrcoef(*columns)[0, 1] for columns in zip(measured.T, predicted.T, strict=True)]


@pytest.mark.parametrize("device", [None, "cpu"], ids=["numpy", "torch"])
@pytest.mark.parametrize("alpha", [1.0, 100.0])
@pytest.mark.parametrize(
    ("n_units", "by_features"), [(500, True), (500, False), (1600, True), (1600, False), (4096, False)]
)
def test_small_alphas_are_accurate_at_the_size_of_the_study(n_units, by_features, alpha, device):
    """Where alpha is much smaller than the largest eigenvalue, float32 would be wrong in the third digit."""
    regressors, fmri = simulated(n_units, [300] * 5, 5, 20.0)
    x, y = (as_float32(np.concat(arrays), device) for arrays in (regressors, fmri))
    parts = [slice(300 * run, 300 * (run + 1)) for run in range(5)]
    splits = [ridge.Split((4,), (4,)), ridge.Split((0,), (0, 3))]
    compute_weights = ridge.compute_feature_weights if by_features else ridge.compute_sample_weights
    products = ridge.compute_inner_products(x, [n_units], parts, by_features)
    weights = compute_weights(products, x, [n_units], parts, splits, [[(alpha,)], [(1e4,), (alpha,)]])
    correlations = ridge.correlate_predictions(weights, x, y, parts, splits, by_features)
    for split, r in zip(splits, correlations, strict=True):
        predicted = plain_predictions(regressors, fmri, split.held_out, alpha)
        np.testing.assert_allclose(r[-1], plain_correlations(fmri[split.predicted[0]], predicted), atol=1e-5)


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1.0])
def test_small_alphas_are_accurate_where_units_repeat_each_other(alpha):
    """With 40 directions in 150 units, rounding in the sums over scans would be larger than alpha."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((40, 150))
    regressors = [zscore(rng.standard_normal((100, 40)) @ mixing) for _ in range(4)]
    fmri = [zscore(run[:, :5] + rng.standard_normal((100, 5))) for run in regressors]
    correlations, _ = cross_validate_runs(regressors, fmri, [alpha])
    predicted = plain_predictions(regressors, fmri, (2,), alpha)
    np.testing.assert_allclose(correlations[2], plain_correlations(fmri[2], predicted), atol=1e-5)


@pytest.mark.parametrize("n_units", [12, 600])
def test_voxels_a_few_at_a_time(n_units, monkeypatch):
    regressors, fmri = simulated(n_units, [41, 37, 44], 15, 0.5)
    expected, _ = cross_validate_runs(regressors, fmri)
    monkeypatch.setattr(ridge, "TARGETS_AT_ONCE", 4)
    np.testing.assert_allclose(cross_validate_runs(regressors, fmri)[0], expected, atol=1e-6)


def test_an_alpha_that_is_too_small_for_float64_is_an_error():
    regressors, fmri = simulated(200, [40] * 4, 6, 1.0)
    repeated = [[np.repeat(run, 2, axis=0) for run in arrays] for arrays in (regressors, fmri)]
    for device in (None, "cpu"):
        with pytest.raises(InputError, match="alpha 1e-30 is too small for these features"):
            cross_validate_runs(*repeated, [1e-30, 1.0], device=device)


def test_held_out_runs_are_not_seen():
    """Neither the prediction of a run nor its alpha depends on the measurements of the run."""
    regressors, fmri = simulated(20, [40] * 5, 6, 1.0)
    before, alphas = cross_validate_runs(regressors, fmri)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0].astype(np.float32)
    for held_out in range(5):
        # Voxels are mixed in this run only, which changes nothing but the correlations of this run.
        mixed = [run @ rotation if number == held_out else run for number, run in enumerate(fmri)]
        after, alphas_after = cross_validate_runs(regressors, mixed)
        assert alphas[held_out] == alphas_after[held_out]
        predicted = plain_predictions(regressors, fmri, (held_out,), alphas[held_out])
        for measured, correlations in [(fmri, before), (mixed, after)]:
            plain = plain_correlations(measured[held_out], predicted)
            np.testing.assert_allclose(correlations[held_out], plain, atol=1e-5)
        assert np.abs(before[held_out] - after[held_out]).max() > 0.05


@pytest.mark.parametrize("n_units", [20, 300], ids=["few-units", "more-units-than-scans"])
def test_voxels_and_units_that_do_not_vary(n_units):
    regressors, fmri = simulated(n_units, [40] * 4, 6, 1.0)
    expected, _ = cross_validate_runs(regressors, fmri)
    with_constant_unit = [np.column_stack([run, np.zeros(len(run), np.float32)]) for run in regressors]
    np.testing.assert_allclose(cross_validate_runs(with_constant_unit, fmri)[0], expected, atol=1e-5)
    fmri[2][:, 3] = 0
    for device in (None, "cpu"):
        correlations, _ = cross_validate_runs(regressors, fmri, device=device)
        assert np.argwhere(np.isnan(correlations)).tolist() == [[2, 3]]
    with pytest.raises(InputError, match="no feature varies in the test samples of fold 1"):
        cross_validate_runs([run * (number != 1) for number, run in enumerate(regressors)], fmri)
    with pytest.raises(InputError, match="no target varies in the test samples of fold 3"):
        cross_validate_runs(regressors, [run * (number != 3) for number, run in enumerate(fmri)])
    with pytest.raises(InputError, match="2 runs are too few"):
        cross_validate_runs(regressors[:2], fmri[:2])


def plain_cross_validation(features, targets, some_folds, alphas):
    """Choose an alpha for each target by a loop over scikit-learn's Ridge, one target at a time, in float64."""
    features, targets = features.astype(float), targets.astype(float)
    correlations, chosen = np.empty((2, len(some_folds), targets.shape[1]))

    def correlate(training, test, target, alpha):
        model = Ridge(alpha=alpha, fit_intercept=False).fit(features[training], targets[training, target])
        return np.corrcoef(targets[test, target], model.predict(features[test]))[0, 1]

    for number, fold in enumerate(some_folds):
        for target in range(targets.shape[1]):
            scores = [correlate(fold.inner_training, fold.validation, target, alpha) for alpha in alphas]
            chosen[number, target] = alphas[int(np.argmax(scores))]
            correlations[number, target] = correlate(fold.training, fold.test, target, chosen[number, target])
    return correlations, chosen


SCHEMES = {
    "held-out runs": lambda: folds.hold_out_runs([60, 50, 70, 60]),
    "groups that are not consecutive": lambda: folds.hold_out_groups(np.arange(240) % 12 // 2, 3),
    "blocks with a gap": lambda: folds.hold_out_blocks(240, 4, gap=5),
}


@pytest.mark.parametrize("device", [None, "cpu"], ids=["numpy", "torch"])
@pytest.mark.parametrize("n_features", [15, 400], ids=["few-features", "more-features-than-samples"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_alpha_for_each_target_is_that_of_a_loop_over_targets(scheme, n_features, device, monkeypatch):
    """The targets differ so much in signal that they need different alphas."""
    rng, some_folds = np.random.default_rng(0), SCHEMES[scheme]()
    features = rng.standard_normal((240, n_features)).astype(np.float32)
    signal = features @ rng.standard_normal((n_features, 11)) * np.geomspace(0.003, 3, 11)
    targets = (signal / np.sqrt(n_features) + rng.standard_normal((240, 11))).astype(np.float32)
    alphas = np.logspace(0, 5, 8)
    expected, expected_alphas = plain_cross_validation(features, targets, some_folds, alphas)
    assert len(np.unique(expected_alphas)) > 3
    monkeypatch.setattr(ridge, "TARGETS_AT_ONCE", 4)
    correlations, chosen = cross_validate(features, targets, some_folds, alphas, alpha_per="target", device=device)
    np.testing.assert_array_equal(chosen, expected_alphas)
    np.testing.assert_allclose(correlations, expected, atol=1e-5)
    assert correlations.dtype == np.float32

    # One alpha for all targets, in the same folds.
    _, shared = cross_validate(features, targets, some_folds, alphas, device=device)
    one_by_one = [plain_cross_validation(features, targets, some_folds, [alpha])[0] for alpha in shared]
    correlations, _ = cross_validate(features, targets, some_folds, alphas, device=device)
    np.testing.assert_allclose(correlations, [r[k] for k, r in enumerate(one_by_one)], atol=1e-5)


def test_no_more_than_a_block_of_targets_is_predicted_at_once(monkeypatch):
    regressors, fmri = simulated(20, [40] * 4, 50, 1.0)
    widths, correlate = [], ridge.correlate
    monkeypatch.setattr(ridge, "TARGETS_AT_ONCE", 7)
    monkeypatch.setattr(ridge, "correlate", lambda *arrays: (widths.append(arrays[1].shape[-1]), correlate(*arrays))[1])
    cross_validate_runs(regressors, fmri, alpha_per="target")
    assert max(widths) == 7


def test_a_target_that_does_not_vary_has_no_correlation_and_disturbs_no_other():
    regressors, fmri = simulated(20, [40] * 4, 6, 1.0)
    expected, expected_alphas = cross_validate_runs(regressors, fmri, alpha_per="target")
    for run in fmri:
        run[:, 3] = 0
    correlations, alphas = cross_validate_runs(regressors, fmri, alpha_per="target")
    others = [0, 1, 2, 4, 5]
    assert np.isnan(correlations[:, 3]).all()
    np.testing.assert_array_equal(correlations[:, others], expected[:, others])
    np.testing.assert_array_equal(alphas[:, others], expected_alphas[:, others])


def test_what_cannot_be_cross_validated_is_an_error():
    regressors, fmri = simulated(20, [40] * 4, 6, 1.0)
    with pytest.raises(InputError, match=r'alpha_per: expected "all" or "target", got .voxel.'):
        cross_validate_runs(regressors, fmri, alpha_per="voxel")
    with pytest.raises(InputError, match="as many samples of features as of targets, got 160 and 120"):
        cross_validate(np.concat(regressors), np.concat(fmri[1:]), folds.hold_out_runs([40] * 4))
