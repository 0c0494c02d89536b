"""Check the test of equivalence to a flat curve: against a loop over all sigmoids, and its error rate."""

import numpy as np
import pytest

from pipeline.statistics.curve import Curve
from pipeline.transitions.emergence import detect_transition
from pipeline.transitions.equivalence import NEGLIGIBLE_SHARE, compute_rise_bound, find_score_range
from pipeline.transitions.sigmoids import sample_sigmoids

X = np.linspace(3, 6, 7)


def simulate(truth, covariance, rng, n_resamples=300):
    measured = rng.multivariate_normal(truth, covariance)
    return Curve(measured, rng.multivariate_normal(measured, covariance, n_resamples))


def make_covariance(sd, correlation):
    return sd**2 * (correlation + (1 - correlation) * np.eye(len(X)))


@pytest.mark.parametrize("excess", [1, 6])
def test_the_bound_is_that_of_a_loop_over_sigmoids(excess):
    """Least squares with numpy, the standard error of each slope from the covariance, and from residuals."""
    rng = np.random.default_rng(0)
    curve = simulate(np.full(7, 0.5), make_covariance(0.01, 0.3), rng)
    curve = Curve(0.5 + excess * (curve.values - 0.5), curve.resamples)
    covariance = np.cov(curve.resamples, rowvar=False)
    largest = 0.0
    for shape in sample_sigmoids(X)[2]:
        design = np.column_stack([np.ones(7), shape])
        solve = np.linalg.inv(design.T @ design) @ design.T
        rise = solve[1] @ curve.values
        residuals = curve.values - design @ solve @ curve.values
        by_resampling = 1.959964 * np.sqrt(solve[1] @ covariance @ solve[1])
        by_residuals = 2.570582 * np.sqrt(residuals @ residuals / 5 * (solve[1] @ solve[1]))  # t with 5 df
        largest = max(largest, abs(rise) + max(by_resampling, by_residuals))
    assert compute_rise_bound(X, curve) == pytest.approx(largest, rel=1e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
@pytest.mark.parametrize("x0", [3.1, 4.5, 5.9])
def test_a_rise_of_the_stated_size_is_rarely_called_equivalent_to_flat(x0, correlation):
    """In 2.5 % of studies at most, whatever the precision."""
    rng, size, n = np.random.default_rng(1), 0.05, 100
    truth = 0.5 + size / (1 + np.exp(-6 * (X - x0)))
    for sd in (0.0005, 0.005):
        covariance = make_covariance(sd, correlation)
        is_small = [compute_rise_bound(X, simulate(truth, covariance, rng)) < size for _ in range(n)]
        assert np.mean(is_small) <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / n)


def test_precise_flat_curves_are_equivalent_and_noisy_flat_curves_are_not():
    rng = np.random.default_rng(2)
    for sd, least, most in [(0.003, 0.95, 1.0), (0.02, 0.0, 0.05)]:
        bounds = [compute_rise_bound(X, simulate(np.full(7, 0.5), make_covariance(sd, 0), rng)) for _ in range(40)]
        assert least <= np.mean(np.array(bounds) < 0.05) <= most


def test_the_stated_size_is_a_tenth_of_the_range_above_chance():
    assert NEGLIGIBLE_SHARE == 0.1
    assert find_score_range("blimp", np.full(5, 0.6)) == 0.5
    assert find_score_range("some_task", np.full(5, 0.6)) == 1.0
    assert find_score_range("some_task", np.full(5, 0.6), is_unbounded=True) is None
    assert find_score_range("perplexity", np.full(5, 30.0)) is None


def test_a_curve_that_rises_and_falls_is_neither_a_transition_nor_constant():
    rng, x = np.random.default_rng(5), np.arange(9, 11, 0.25)
    hump = np.exp(-((x - 10) ** 2) / 0.05)
    is_found = []
    for curve in (hump, np.zeros(len(x))):
        measured = curve + 0.01 * rng.standard_normal(len(x))
        row = detect_transition(x, Curve(measured, measured + 0.01 * rng.standard_normal((400, len(x)))))
        is_found.append((row["is_flat"], row["p_constant"] < 0.05))
    assert is_found == [(True, True), (True, False)]
