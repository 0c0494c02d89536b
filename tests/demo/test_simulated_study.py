"""Check the analysis of simulated studies against the pipeline's, and their benchmarks."""

import numpy as np
import pytest

from demo import simulated_benchmarks
from demo.fast_fits import cross_validate_runs
from pipeline.encoding.cross_validation import cross_validate
from pipeline.encoding.folds import hold_out_runs


def standardize_runs(values):
    values = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    return values.astype(np.float32)


@pytest.mark.parametrize(("n_runs", "n_scans", "noise"), [(9, 93, 40.0), (3, 40, 5.0), (5, 50, 1000.0)])
def test_fast_fits_are_those_of_the_pipeline(n_runs, n_scans, noise):
    rng = np.random.default_rng(n_runs)
    features = rng.standard_normal((n_runs, n_scans, 6)) @ rng.standard_normal((6, 24))
    features = standardize_runs(features + 0.05 * rng.standard_normal(features.shape))
    targets = features @ rng.standard_normal((24, 70))
    targets = standardize_runs(targets + noise * rng.standard_normal(targets.shape))
    alphas = np.logspace(0, 7, 16)
    folds = hold_out_runs([n_scans] * n_runs)
    expected, _ = cross_validate(features.reshape(-1, 24), targets.reshape(-1, 70), folds, alphas)
    np.testing.assert_allclose(cross_validate_runs(features, targets, alphas), expected, atol=1e-5)


def make_answers():
    """Six checkpoints of a model that learns all pairs between the third and the fourth."""
    stock = simulated_benchmarks.make_stock(400, seed=1)
    right = np.random.default_rng(0).random((6, len(stock))) < np.array([0.5] * 3 + [1.0] * 3)[:, None]
    return right, stock


def test_weak_benchmarks_and_twos_rise_by_what_they_should():
    right, stock = make_answers()
    truth = simulated_benchmarks.compute_true_curves(right, stock)
    rises = {name: curve[-1] - curve[0] for name, curve in truth.items()}
    assert rises["blimp"] == pytest.approx(0.5, abs=0.05)
    shares = {"coin": 0, "weak_0.9": 0.1, "weak_0.93": 0.07, "weak_0.96": 0.04, "weak_0.98": 0.02, "twos": 0.04}
    for name, share in shares.items():
        assert rises[name] == pytest.approx(share * rises["blimp"])


def test_the_benchmarks_of_studies_scatter_around_their_truth():
    right, stock = make_answers()
    truth, names = simulated_benchmarks.compute_true_curves(right, stock), ["zorro", "weak_0.9", "twos"]
    for seed in range(2):
        curves = simulated_benchmarks.make_benchmark_curves(right, stock, names, np.random.default_rng(seed))
        for name, curve in curves.items():
            errors = np.maximum(curve.resamples.std(axis=0), 0.005)
            assert (np.abs(curve.values - truth[name]) < 4 * errors).all()


def test_twos_have_little_noise():
    right, stock = make_answers()
    curves = simulated_benchmarks.make_benchmark_curves(right, stock, ["coin", "twos"], np.random.default_rng(0))
    errors = {name: curve.resamples.std(axis=0).mean() for name, curve in curves.items()}
    assert errors["twos"] < 0.4 * errors["coin"]


def test_a_shift_is_by_whole_checkpoints_and_leaves_the_untrained_one():
    curve = np.arange(6)
    assert simulated_benchmarks.shift_checkpoints(curve, 2).tolist() == [0, 1, 1, 1, 2, 3]
    assert simulated_benchmarks.shift_checkpoints(curve, -2).tolist() == [0, 3, 4, 5, 5, 5]
