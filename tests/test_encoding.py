"""Regressors against nilearn, ridge against the published method followed plainly with scikit-learn."""

import numpy as np
import pytest
from nilearn.glm.first_level import compute_regressor
from sklearn.linear_model import Ridge

from pipeline import BadInput, encoding
from pipeline.encoding import ALPHAS, fit_left_out_runs, hrf_matrix, prepare, zscore


def random_words(rng, n_words, seconds):
    """Onsets and offsets with pauses, overlaps, and words of no duration."""
    onsets = np.sort(rng.uniform(0, seconds, n_words))
    durations = rng.exponential(0.3, n_words) * (rng.random(n_words) > 0.1)
    return onsets, onsets + durations


@pytest.mark.parametrize(
    ("n_scans", "n_words", "t_r_s"), [(282, 1500, 2.0), (368, 1900, 2.0), (23, 9, 2.0), (90, 200, 1.3)]
)
def test_the_hrf_matrix_is_nilearn_s_compute_regressor(n_scans, n_words, t_r_s):
    rng = np.random.default_rng(n_scans)
    onsets, offsets = random_words(rng, n_words, (n_scans - 0.5) * t_r_s)
    onsets[-1], offsets[-1] = n_scans * t_r_s - 0.01, n_scans * t_r_s + 3  # runs on after the last scan
    values = rng.standard_normal((n_words, 12))
    frame_times = (np.arange(n_scans) + 0.5) * t_r_s
    expected = np.column_stack(
        [compute_regressor((onsets, offsets - onsets, unit), "glover", frame_times)[0][:, 0] for unit in values.T]
    )
    regressors = hrf_matrix(onsets, offsets, n_scans, t_r_s) @ values
    assert np.abs(regressors - expected).max() < 1e-5 * np.abs(expected).max()
    # The float32 product that the script uses is as good.
    product = hrf_matrix(onsets, offsets, n_scans, t_r_s).astype(np.float32) @ values.astype(np.float32)
    assert np.abs(product - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("onsets", "offsets", "message"),
    [
        ([0, 3, np.nan], [1, 4, 5], "word 3 .* has no onset"),
        ([0, 3, 4], [1, 2.5, 5], "word 2 .3 to 2.5 s. ends before it begins"),
        ([-1, 3, 4], [1, 3.5, 5], "word 1 .* begins before the run"),
        ([0, 3, 80], [1, 3.5, 81], "word 3 .* begins after the end of the 40 scans of 2 s"),
        ([0, 3], [1, 3.5, 5], "two lists of equal length"),
    ],
)
def test_times_that_cannot_be_are_errors(onsets, offsets, message):
    with pytest.raises(BadInput, match=message):
        hrf_matrix(np.array(onsets), np.array(offsets), 40)
    with pytest.raises(BadInput, match="20 scans are too few"):
        hrf_matrix(np.array([0.0]), np.array([1.0]), 20)


def test_trimming_and_scaling():
    signal = np.random.default_rng(0).normal(5, 3, (60, 4))
    prepared = prepare(signal)
    kept = signal[10:-10]
    np.testing.assert_allclose(prepared, (kept - kept.mean(0)) / kept.std(0), atol=1e-6)
    assert prepared.dtype == np.float32
    constant = np.column_stack([signal[:, 0], np.full(60, 0.1), np.zeros(60)])
    assert (zscore(constant)[:, 1:] == 0).all()


def published_method(regressors, fmri, alphas):
    """Bonnasse-Gahot & Pallier's nested cross-validation, one solver call per alpha, one voxel at a time."""
    regressors = [run.astype(np.float64) for run in regressors]
    fmri = [run.astype(np.float64) for run in fmri]
    n_voxels = fmri[0].shape[1]

    def correlations(train, test, alpha):
        model = Ridge(alpha=alpha, fit_intercept=False)
        model.fit(np.vstack([regressors[run] for run in train]), np.vstack([fmri[run] for run in train]))
        predicted = model.predict(regressors[test]).reshape(-1, n_voxels)
        return [np.corrcoef(fmri[test][:, voxel], predicted[:, voxel])[0, 1] for voxel in range(n_voxels)]

    results, chosen = [], []
    for run_test in range(len(regressors)):
        runs_train = np.setdiff1d(np.arange(len(regressors)), run_test)
        run_validation = runs_train[0]
        runs_fitted = np.setdiff1d(runs_train, run_validation)
        scores = [np.mean(correlations(runs_fitted, run_validation, alpha)) for alpha in alphas]
        chosen.append(alphas[np.argmax(scores)])
        results.append(correlations(runs_train, run_test, chosen[-1]))
    return np.array(results), np.array(chosen)


def simulated(n_units, n_scans_of_runs, n_voxels, signal, seed=0):
    """Correlated units of slowly decaying variance, and voxels that some of them drive."""
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
    for device in (None, "cpu"):  # by NumPy, by PyTorch
        correlations, alphas = fit_left_out_runs(regressors, fmri, device=device)
        np.testing.assert_allclose(correlations, expected, atol=1e-4)
        np.testing.assert_array_equal(alphas, expected_alphas)
        assert correlations.dtype == np.float32


@pytest.mark.parametrize("n_units", [1, 90, 400])
def test_one_voxel_and_three_runs(n_units):
    regressors, fmri = simulated(n_units, [30, 31, 32], 1, 1.0)
    expected, expected_alphas = published_method(regressors, fmri, ALPHAS)
    correlations, alphas = fit_left_out_runs(regressors, fmri)
    np.testing.assert_allclose(correlations, expected, atol=1e-4)
    # With one unit, alpha only scales the prediction: all do equally well, and any may be chosen.
    assert n_units == 1 or alphas.tolist() == expected_alphas.tolist()


def plain_predictions(regressors, fmri, left_out, alpha):
    """One run from all others that are not left out, by scikit-learn in float64."""
    training = [run for run in range(len(regressors)) if run not in left_out]
    model = Ridge(alpha=alpha, fit_intercept=False)
    model.fit(*(np.vstack([of_runs[run] for run in training]).astype(float) for of_runs in (regressors, fmri)))
    return model.predict(regressors[left_out[0]].astype(float))


def plain_correlations(measured, predicted):
    return [np.corrcoef(one, other)[0, 1] for one, other in zip(measured.T, predicted.T, strict=True)]


@pytest.mark.parametrize("device", [None, "cpu"], ids=["numpy", "torch"])
@pytest.mark.parametrize("alpha", [1.0, 100.0])
@pytest.mark.parametrize(
    ("n_units", "by_units"), [(500, True), (500, False), (1600, True), (1600, False), (4096, False)]
)
def test_small_alphas_are_accurate_at_the_size_of_the_study(n_units, by_units, alpha, device):
    """Where alpha is small beside the largest eigenvalue, float32 alone would be wrong in the third digit."""
    regressors, fmri = simulated(n_units, [300] * 5, 5, 20.0)
    x, y = ([encoding.as_float32(run, device) for run in of_runs] for of_runs in (regressors, fmri))
    splits = [(4,), (0, 3)]
    ridge_weights = encoding.unit_weights if by_units else encoding.scan_weights
    weights = ridge_weights(encoding.inner_products(x, by_units), x, splits, [[alpha], [1e4, alpha]])
    correlations = encoding.split_correlations(weights, x, y, splits, by_units)
    for split, of_split in zip(splits, correlations, strict=True):
        predicted = plain_predictions(regressors, fmri, split, alpha)
        np.testing.assert_allclose(of_split[-1], plain_correlations(fmri[split[0]], predicted), atol=1e-5)


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1.0])
def test_small_alphas_are_accurate_where_units_repeat_each_other(alpha):
    """40 directions in 150 units: the sums over scans would lose to rounding what alpha decides."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((40, 150))
    regressors = [zscore(rng.standard_normal((100, 40)) @ mixing) for _ in range(4)]
    fmri = [zscore(run[:, :5] + rng.standard_normal((100, 5))) for run in regressors]
    correlations, _ = fit_left_out_runs(regressors, fmri, [alpha])
    predicted = plain_predictions(regressors, fmri, (2,), alpha)
    np.testing.assert_allclose(correlations[2], plain_correlations(fmri[2], predicted), atol=1e-5)


@pytest.mark.parametrize("n_units", [12, 600])
def test_voxels_a_few_at_a_time(n_units, monkeypatch):
    regressors, fmri = simulated(n_units, [41, 37, 44], 15, 0.5)
    expected, _ = fit_left_out_runs(regressors, fmri)
    monkeypatch.setattr(encoding, "VOXELS_AT_ONCE", 4)
    np.testing.assert_allclose(fit_left_out_runs(regressors, fmri)[0], expected, atol=1e-6)


def test_an_alpha_that_drowns_in_rounding_is_an_error():
    regressors, fmri = simulated(200, [40] * 4, 6, 1.0)
    repeated = [[np.repeat(run, 2, axis=0) for run in of_runs] for of_runs in (regressors, fmri)]
    for device in (None, "cpu"):
        with pytest.raises(BadInput, match="alpha 1e-30 is too small beside the regressors"):
            fit_left_out_runs(*repeated, [1e-30, 1.0], device=device)


def test_left_out_runs_are_not_seen():
    """The prediction of a run is made, and its alpha chosen, without what was measured in it."""
    regressors, fmri = simulated(20, [40] * 5, 6, 1.0)
    before, alphas = fit_left_out_runs(regressors, fmri)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0].astype(np.float32)
    for left_out in range(5):
        # The same voxels, mixed, in this run alone: only the correlations of this run may be told apart from it.
        other = [run @ rotation if number == left_out else run for number, run in enumerate(fmri)]
        after, alphas_after = fit_left_out_runs(regressors, other)
        assert alphas[left_out] == alphas_after[left_out]
        predicted = plain_predictions(regressors, fmri, (left_out,), alphas[left_out])
        for measured, correlations in [(fmri, before), (other, after)]:
            plain = plain_correlations(measured[left_out], predicted)
            np.testing.assert_allclose(correlations[left_out], plain, atol=1e-5)
        assert np.abs(before[left_out] - after[left_out]).max() > 0.05


@pytest.mark.parametrize("n_units", [20, 300], ids=["few-units", "more-units-than-scans"])
def test_voxels_and_units_that_do_not_vary(n_units):
    regressors, fmri = simulated(n_units, [40] * 4, 6, 1.0)
    expected, _ = fit_left_out_runs(regressors, fmri)
    with_constant_unit = [np.column_stack([run, np.zeros(len(run), np.float32)]) for run in regressors]
    np.testing.assert_allclose(fit_left_out_runs(with_constant_unit, fmri)[0], expected, atol=1e-5)
    fmri[2][:, 3] = 0
    for device in (None, "cpu"):
        correlations, _ = fit_left_out_runs(regressors, fmri, device=device)
        assert np.argwhere(np.isnan(correlations)).tolist() == [[2, 3]]
    with pytest.raises(BadInput, match="no unit varies in run 1"):
        fit_left_out_runs([run * (number != 1) for number, run in enumerate(regressors)], fmri)
    with pytest.raises(BadInput, match="no voxel varies in run 3"):
        fit_left_out_runs(regressors, [run * (number != 3) for number, run in enumerate(fmri)])
    with pytest.raises(BadInput, match="2 runs are too few"):
        fit_left_out_runs(regressors[:2], fmri[:2])
