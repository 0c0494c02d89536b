"""Check plateaus within bounds against another solver, and rises that are or are not over."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from pipeline.statistics.curve import Curve
from pipeline.transitions.comparison import compare_curves
from pipeline.transitions.emergence import detect_transition
from pipeline.transitions.plateaus import find_closest_within, find_possible_range
from pipeline.transitions.sigmoids import fit_sigmoids, sample_sigmoids

X = np.log10(1e9 * 2.0 ** np.arange(8))


def sigmoid(x, low, high, beta, x0):
    return low + (high - low) / (1 + np.exp(-beta * (x - x0)))


@pytest.mark.parametrize("seed", range(4))
def test_the_closest_shape_is_that_of_a_solver_of_bounded_least_squares(seed):
    """Each of many shapes, one at a time."""
    rng = np.random.default_rng(seed)
    some_shapes = sample_sigmoids(X)[2][:: 53 + seed]
    curves = rng.uniform(-0.4, 1.4, (4, len(X)))
    curves[0] = 0.95 + 0.2 * rng.random(len(X))  # all beyond the upper end
    best, low, high = find_closest_within(curves, some_shapes, (0, 1))
    for curve, shape, *plateaus in zip(curves, best, low, high, strict=True):
        plain = [lsq_linear(np.stack([1 - one, one], axis=1), curve, (0, 1), tol=1e-14) for one in some_shapes]
        errors = np.array([2 * solution.cost for solution in plain])
        fitted = plateaus[0] + (plateaus[1] - plateaus[0]) * some_shapes[shape]
        assert np.sum((curve - fitted) ** 2) == pytest.approx(errors.min(), abs=1e-9)
        np.testing.assert_allclose(plateaus, plain[shape].x, atol=1e-6)
        assert 0 <= min(plateaus) <= max(plateaus) <= 1


def test_a_fit_within_bounds_is_that_without_them_where_it_can_be():
    rng = np.random.default_rng(1)
    truth = np.array([sigmoid(X, 0.3, 0.7, 6, 9.9), sigmoid(X, 0.9, 0.2, 6, 9.9), sigmoid(X, 0.5, 1.0, 6, 9.9)])
    curves = truth + 0.01 * rng.standard_normal((3, len(X)))
    free, bounded = fit_sigmoids(X, curves), fit_sigmoids(X, curves, (0, 1))
    for name in free:
        np.testing.assert_array_equal(bounded[name][:2], free[name][:2])
    assert (bounded["high"] <= 1).all()
    # Left minus right, and what is in percent, has no such range.
    assert find_possible_range([0.2, np.nan, 1.0]) == (0, 1)
    assert find_possible_range([0.2, 1.3]) is None
    assert find_possible_range([np.nan]) is None


def noisy(curve, sd, seed):
    rng = np.random.default_rng(seed)
    measured = curve + sd * rng.standard_normal(len(curve))
    return Curve(measured, measured + sd * rng.standard_normal((300, len(curve))))


@pytest.mark.parametrize(
    ("x0", "beta", "at_limit", "at_start"),
    [
        (10.0, 8, False, False),  # half over in the middle, and steep
        (11.1, 8, True, False),  # the last checkpoint is half over
        (11.0, 3, True, False),
        (9.02, 8, False, True),  # the first one is
        (10.05, 1.9, True, True),  # so slow that neither plateau is seen
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_planted_rise_or_fall_is_over_or_not(x0, beta, at_limit, at_start, sign):
    curve = noisy(sigmoid(X, 0.5, 0.5 + 0.3 * sign, beta, x0), 0.002, seed=2)
    row = detect_transition(X, curve)
    assert not row["is_flat"]
    assert (row["at_limit"], row["at_start"]) == (at_limit, at_start)
    if not (at_limit or at_start):
        assert row["x0_low"] - 0.02 < x0 < row["x0_high"] + 0.02
    if at_limit and not at_start:
        assert row["x0_low"] < x0 + 0.05  # at least that


def test_a_jump_to_the_last_checkpoint_is_not_over():
    """Nobody knows whether it goes on."""
    curve = noisy(np.array([0, 0, 0, 0, 0, 0, 0, 0.1]), 0.003, seed=3)
    assert detect_transition(X, curve)["at_limit"]


def test_a_flat_curve_has_no_transition_that_could_be_over():
    curve = noisy(np.zeros(8), 0.01, seed=4)
    row = detect_transition(X, curve)
    assert row["is_flat"]
    assert row["at_limit"] is row["at_start"] is False


def test_the_first_use_is_not_dated():
    """Left minus right and BLiMP of six checkpoints, still rising: plateaus were 0.144 and an accuracy of 1.04."""
    tokens = 1e9 * 2.0 ** np.arange(6)
    rising = np.array([0.0445, 0.0463, 0.0510, 0.0589, 0.0736, 0.0970])
    blimp = np.array([0.530, 0.545, 0.560, 0.590, 0.660, 0.8088])
    curves = {"left_minus_right": rising, "blimp": blimp}
    rng = np.random.default_rng(5)
    curves = {name: (curve, curve + 0.002 * rng.standard_normal((300, 6))) for name, curve in curves.items()}
    table = compare_curves(tokens, curves)[0].set_index("curve")
    assert table["at_limit"].tolist() == [True, True]
    assert table["at_limit"].dtype == bool
    assert table.loc["blimp", "high"] <= 1
    assert table.loc["left_minus_right", "high"] > rising[-1]
    assert (table["x0_low"] < np.log10(tokens[-1])).all()


def test_what_is_not_fitted_is_neither():
    nothing = np.zeros(4), np.zeros((10, 4))
    table, _ = compare_curves(1e9 * 2.0 ** np.arange(4), {"left_minus_right": nothing})
    assert table[["at_limit", "at_start"]].dtypes.tolist() == [bool, bool]
    assert not table[["at_limit", "at_start"]].any(axis=None)
