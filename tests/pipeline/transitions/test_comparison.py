"""Check transitions of curves with a known truth, against fits by another method."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit

from pipeline.errors import InputError
from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval
from pipeline.transitions.alignment import compute_alignment, compute_lead
from pipeline.transitions.claims import compare_kinds, tabulate_claims
from pipeline.transitions.comparison import BRAIN_CURVES, compare_curves, select_brain_curves
from pipeline.transitions.emergence import detect_transition, is_monotonic
from pipeline.transitions.flatness import compute_flat_p_value, simulate_flat_curves
from pipeline.transitions.sigmoids import fit_sigmoids
from pipeline.transitions.tables import tabulate_points

# Checkpoints of OLMo-2 7B: 1, 3, 5 ... 3896 billion tokens.
X = np.log10(np.array([1, 3, 5, 13, 30, 80, 214, 558, 1477, 3896]) * 1e9)


def sigmoid(x, low, high, beta, x0):
    return low + (high - low) / (1 + np.exp(-beta * (x - x0)))


def noisy(curve, sd, rng, n_resamples=400):
    """A measured curve, and the same measured again as resampling does it: around what was measured."""
    measured = curve + sd * rng.standard_normal(len(curve))
    return Curve(measured, measured + sd * rng.standard_normal((n_resamples, len(curve))))


def make_nulls(*curves):
    return tuple(simulate_flat_curves(X, curve.resamples) for curve in curves)


def plain_fit(x, curve):
    """Least squares from many starts, one curve at a time."""
    steepest = 4 * np.log(9) / np.median(np.diff(x))
    bounds = [-5, -5, 2 * np.log(9) / (2 * (x[-1] - x[0])), x[0]], [5, 5, steepest, x[-1]]
    best = None
    for x0 in np.arange(x[0] + 0.2, x[-1], 0.4):
        for beta in (2, 5, 12):
            start = [curve[0], curve[-1], beta, x0]
            parameters, _ = curve_fit(sigmoid, x, curve, p0=start, bounds=bounds, max_nfev=20_000)
            squares = np.sum((sigmoid(x, *parameters) - curve) ** 2)
            if best is None or squares < best[0]:
                best = squares, parameters
    return best[1]


@pytest.mark.parametrize("truth", [(0.5, 0.9, 4, 10.5), (0.0, 0.1, 2.5, 11.2), (0.8, 0.2, 6, 9.8)])
def test_the_fit_is_least_squares(truth):
    rng = np.random.default_rng(0)
    curves = sigmoid(X, *truth) + 0.02 * abs(truth[1] - truth[0]) * rng.standard_normal((6, 10))
    found = fit_sigmoids(X, curves)
    for k, curve in enumerate(curves):
        low, high, beta, x0 = plain_fit(X, curve)
        # The grid is fine enough that nobody could see the difference.
        np.testing.assert_allclose(found["fitted"][k], sigmoid(X, low, high, beta, x0), atol=0.01 * abs(high - low))
        assert found["x0"][k] == pytest.approx(x0, abs=0.03)
        assert found["beta"][k] == pytest.approx(beta, rel=0.2)
        np.testing.assert_allclose([found["low"][k], found["high"][k]], [low, high], atol=0.02)
        np.testing.assert_allclose(
            found["fitted"][k],
            sigmoid(X, found["low"][k], found["high"][k], found["beta"][k], found["x0"][k]),
            atol=1e-12,
        )


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered, n = 0, 60
    for _ in range(n):
        found = detect_transition(X, noisy(sigmoid(X, 0, 1, 4, 10.5), 0.05, rng, 200))
        assert not found["is_flat"]
        covered += found["x0_low"] <= 10.5 <= found["x0_high"]
    # 95 % save for Monte Carlo error (standard error .028) and a little of percentiles' own.
    assert 0.85 <= covered / n <= 1.0


@pytest.mark.parametrize("excess", [1, 4])
def test_flat_curves_are_called_flat(excess):
    """Also where checkpoints differ by more than resampling can show."""
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(60):
        curve = excess * 0.05 * rng.standard_normal(10)
        null = simulate_flat_curves(X, 0.05 * rng.standard_normal((200, 10)))
        p_values.append(compute_flat_p_value(X, curve, null))
    assert np.mean(np.array(p_values) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
    found = detect_transition(X, Curve(curve, curve + 0.05 * excess * rng.standard_normal((200, 10))))
    assert found["is_flat"]
    assert np.isnan(found["x0"])
    assert found["low"] == found["high"] == pytest.approx(curve.mean())


def test_a_curve_that_turns_back_is_fitted_and_flagged():
    """Agreement with the nearest noun first, then with the right one."""
    rng = np.random.default_rng(3)
    found = detect_transition(X, noisy(np.array([0.5, 0.48, 0.4, 0.25, 0.3, 0.6, 0.85, 0.95, 0.97, 0.97]), 0.01, rng))
    assert not found["is_flat"]
    assert not found["is_monotonic"]
    assert 10 < found["x0"] < 11.5
    monotonic = []
    for _ in range(100):
        monotonic.append(is_monotonic(*noisy(sigmoid(X, 0.5, 0.9, 4, 10.5), 0.02, rng, 200)))
    assert np.mean(monotonic) > 0.97


def test_a_flat_noisy_curve_has_an_unknown_alignment_however_it_correlates():
    rng = np.random.default_rng(4)
    asymmetry = noisy(sigmoid(X, 0, 0.1, 4, 10.5), 0.003, rng)
    benchmarks = {
        "early": noisy(sigmoid(X, 0.5, 0.9, 4, 9.6), 0.01, rng),
        "same": noisy(sigmoid(X, 0.5, 0.9, 4, 10.5), 0.01, rng),
        "flat": noisy(np.full(10, 0.5), 0.02, rng),
        "surely_flat": noisy(np.full(10, 0.5), 0.002, rng),
    }
    benchmarks["opposite"] = Curve(1 - benchmarks["same"].values, 1 - benchmarks["same"].resamples)
    values, bounds = {}, {}
    for name, benchmark in benchmarks.items():
        nulls = make_nulls(asymmetry, benchmark)
        values[name], bounds[name] = compute_alignment(X, asymmetry, benchmark, nulls=nulls, score_range=0.5)
        assert ((bounds[name].least >= 0) & (bounds[name].least <= bounds[name].most)).all()
        assert (bounds[name].most <= 1).all()
        low, high = bounds[name].compute_interval(values[name])
        assert np.isnan(values[name]) or low <= values[name] <= high
    assert np.isnan(values["flat"])
    assert (bounds["flat"].least == 0).all() and (bounds["flat"].most == 1).all()
    assert values["opposite"] == 0
    assert values["same"] > 0.98
    assert values["early"] < 0.8
    # A benchmark that rises by less than a tenth of its range counts as 0, and its interval has a width.
    assert values["surely_flat"] == 0
    assert (bounds["surely_flat"].least == 0).all()
    assert 0 < bounds["surely_flat"].most[0] < 0.1
    # Without a range of scores, nothing can be shown to be small.
    nulls = make_nulls(asymmetry, benchmarks["surely_flat"])
    assert np.isnan(compute_alignment(X, asymmetry, benchmarks["surely_flat"], nulls=nulls)[0])
    # Nothing is known of the alignment with an asymmetry that is not there.
    flat_target = noisy(np.zeros(10), 0.003, rng)
    for name in ("same", "surely_flat"):
        nulls = make_nulls(flat_target, benchmarks[name])
        value, resamples = compute_alignment(X, flat_target, benchmarks[name], nulls=nulls, score_range=0.5)
        assert np.isnan(value)
        assert (resamples.least == 0).all() and (resamples.most == 1).all()


@pytest.mark.parametrize("noise", [0.004, 0.01])  # the curve rises by 0.1
def test_alignment_is_that_of_the_curves_without_their_noise(noise):
    """Noise of left minus right, alike at neighbouring checkpoints, neither adds to it nor takes from it."""
    rng = np.random.default_rng(8)
    truth, other = sigmoid(X, 0, 0.1, 4, 10.5), sigmoid(X, 0.5, 0.9, 8, 10.2)
    alike = np.linalg.cholesky(np.exp(-np.abs(np.subtract.outer(X, X))))
    values, covered = [], 0
    expected = np.corrcoef(truth, fit_sigmoids(X, other)["fitted"])[0, 1] ** 2
    of_noises = noise * rng.standard_normal((200, 10)) @ alike.T, 0.01 * rng.standard_normal((200, 10))
    nulls = tuple(simulate_flat_curves(X, of_noise) for of_noise in of_noises)
    for _ in range(60):
        curve = truth + noise * alike @ rng.standard_normal(10)
        resamples = curve + noise * rng.standard_normal((200, 10)) @ alike.T
        benchmark = noisy(other, 0.01, rng, 200)
        value, again = compute_alignment(X, Curve(curve, resamples), benchmark, nulls=nulls)
        values.append(value)
        low, high = again.compute_interval(value)
        covered += low <= expected <= high
    assert np.median(values) == pytest.approx(expected, abs=0.02)
    assert covered / 60 > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 60)


def test_points_are_scaled_between_the_plateaus_of_their_curve():
    rng = np.random.default_rng(11)
    checkpoints = pd.DataFrame({"revision": [f"step{k}" for k in range(10)], "tokens": 10**X})
    curves = {
        "left_minus_right": noisy(sigmoid(X, 0.02, 0.12, 4, 10.5), 0.001, rng),
        "blimp": noisy(sigmoid(X, 0.5, 0.9, 4, 10.5), 0.005, rng),
        "dyck": noisy(np.full(10, 0.5), 0.01, rng),
        "left": noisy(np.full(10, 0.2), 0.01, rng),
    }
    table, _ = compare_curves(checkpoints["tokens"], {name: curves[name] for name in curves if name != "left"})
    assert table["kind"].tolist() == ["other", "formal", "functional"]
    rows = tabulate_points(checkpoints, curves, table)
    assert len(rows) == 40
    for name, (curve, resamples) in curves.items():
        of_curve = rows[rows["curve"] == name]
        np.testing.assert_array_equal(of_curve["value"], curve)
        np.testing.assert_allclose(of_curve["low"], np.percentile(resamples, 2.5, axis=0))
        assert (of_curve["low_simultaneous"] < of_curve["low"]).all()
        assert (of_curve["high_simultaneous"] > of_curve["high"]).all()
    scaled = rows.set_index("curve")
    assert scaled.loc["blimp", "scaled"].iloc[[0, -1]].tolist() == pytest.approx([0, 1], abs=0.06)
    assert (scaled.loc["blimp", "scaled_low"] < scaled.loc["blimp", "scaled_high"]).all()
    # A flat benchmark: 0 is its mean, 1 a perfect score.
    expected = (curves["dyck"][0] - curves["dyck"][0].mean()) / (1 - curves["dyck"][0].mean())
    np.testing.assert_allclose(scaled.loc["dyck", "scaled"], expected)
    assert scaled.loc["left", "scaled"].isna().all()


def test_everything_about_all_curves_of_a_study():
    rng = np.random.default_rng(9)
    tokens = np.array([0, *10**X])
    curves = {}
    for name, (low, high, x0), sd in [
        ("dyck", (0.5, 0.5, 10.5), 0.004),
        ("left_minus_right", (0, 0.1, 10.5), 0.003),
        ("blimp", (0.5, 0.9, 10.5), 0.01),
        ("zorro", (0.5, 0.9, 9.7), 0.01),
    ]:
        curve, resamples = noisy(sigmoid(X, low, high, 4, x0), sd, rng, 200)
        curves[name] = np.append(curve[0], curve), np.column_stack([resamples[:, 0], resamples])
    curves["short"] = (np.where(np.arange(11) < 7, np.nan, values) for values in curves["blimp"])
    curves["short"] = tuple(curves["short"])
    table, again = compare_curves(tokens, curves)
    alignments = again["alignment"]
    table = table.set_index("curve")
    assert table["n_checkpoints"].to_dict() == {
        "left_minus_right": 10,
        "dyck": 10,
        "blimp": 10,
        "zorro": 10,
        "short": 4,
    }
    assert table.index[table["is_flat"].fillna(False).astype(bool)].tolist() == ["dyck"]
    assert np.isnan(table.loc["short", "x0"])
    assert table.loc["dyck", "alignment"] == 0  # it is shown to rise by less than .05
    assert table.loc["dyck", "is_equivalent_to_flat"] is True
    assert table["p_holm"].isna().tolist() == [name in (*BRAIN_CURVES, "short") for name in table.index]
    assert (table["p_holm"].dropna() >= table["p_flat"][table["p_holm"].notna()]).all()
    assert table.loc["dyck", "rise_bound"] < 0.05
    assert table.loc["dyck", "alignment_high"] == pytest.approx(table.loc["dyck", "rise_bound"] / 0.5)
    assert table.loc["blimp", "is_equivalent_to_flat"] is False
    assert np.isnan(table.loc["left_minus_right", "is_equivalent_to_flat"])  # a correlation has no such range
    assert table.loc["blimp", "alignment"] > 0.98
    assert table.loc["zorro", "midpoint_difference_low"] > 0.5
    assert table.loc["blimp", "lead_low"] < 0.02
    claim = compare_kinds(table.reset_index(), alignments)
    assert claim["formal_benchmarks"] == "blimp zorro"
    assert claim["functional_benchmarks"] == "dyck"
    assert claim["functional"] == 0
    assert claim["formal"] == claim["difference"] == pytest.approx(table.loc[["blimp", "zorro"], "alignment"].mean())
    assert claim["low"] < claim["difference"] < claim["high"]
    assert compare_kinds(table.reset_index(), {"blimp": alignments["blimp"]}) is None
    # Nothing is known of the alignment with an asymmetry that is not there.
    flat, resamples = noisy(np.zeros(11), 0.003, rng, 200)
    table, again = compare_curves(tokens, curves | {"left_minus_right": (flat, resamples)})
    rows = table[table["curve"].isin(["dyck", "blimp", "zorro"])]
    assert rows["alignment"].isna().all()
    assert (rows["alignment_low"] == 0).all() and (rows["alignment_high"] == 1).all()
    claim = compare_kinds(table, again["alignment"])
    assert claim["reason"] == "no transition is detected in left minus right"
    assert np.isnan([number for number in claim.values() if isinstance(number, float)]).all()


def test_both_hemispheres_and_their_mean_take_part():
    """With layers chosen on other runs, where these are known; they are no benchmarks."""
    rng = np.random.default_rng(3)
    sides = {}
    for suffix, bias in [("_nested", 0.0), ("", 0.05)]:
        left = noisy(sigmoid(X, 0.1, 0.3, 4, 10.5) + bias, 0.003, rng, 100)
        right = noisy(sigmoid(X, 0.1, 0.2, 4, 10.5) + bias, 0.003, rng, 100)
        difference = Curve(left.values - right.values, left.resamples - right.resamples)
        sides |= {f"left{suffix}": left, f"right{suffix}": right, f"left_minus_right{suffix}": difference}
    selected = select_brain_curves(sides)
    expected = ["left_minus_right_nested", "left_minus_right", "left_nested", "right_nested", "mean"]
    assert list(selected) == expected
    assert set(expected) < set(BRAIN_CURVES)
    for part in ("values", "resamples"):
        average = (getattr(sides["left_nested"], part) + getattr(sides["right_nested"], part)) / 2
        np.testing.assert_array_equal(getattr(selected["mean"], part), average)
    table, resamples = compare_curves(10**X, selected)
    assert table["curve"].tolist() == expected
    assert (table["kind"] == "other").all()
    assert list(resamples["alignment"]) == ["left_nested", "right_nested", "mean"]
    assert (table["alignment"].iloc[2:] > 0.9).all()
    published = {name: curve for name, curve in sides.items() if not name.endswith("_nested")}
    assert list(select_brain_curves(published)) == ["left_minus_right", "left", "right", "mean"]
    assert select_brain_curves(sides | {"mean": sides["right"]})["mean"] is sides["right"]


def list_triples(table):
    """Every estimate of a table with the ends of its intervals, as columns: name, name of low, name of high."""
    for column in table.columns:
        if column.endswith("_low") and column != "unfavourable_low":
            name = column.removesuffix("_low")
            yield name, column, f"{name}_high"
    if "value" in table:
        yield "value", "low", "high"
        yield "value", "low_simultaneous", "high_simultaneous"
    if "difference" in table:
        yield "difference", "low", "high"
        yield "unfavourable_difference", "unfavourable_low", "unfavourable_high"


def test_no_estimate_lies_outside_its_interval_in_any_table():
    """Also of curves that fall, of scores at their ceiling, and of a curve of which nothing was drawn."""
    rng = np.random.default_rng(6)
    curves = {
        "left_minus_right": noisy(sigmoid(X, 0.1, 0, 4, 10.5), 0.003, rng, 200),
        "blimp": noisy(sigmoid(X, 0.5, 0.9, 4, 10.5), 0.01, rng, 200),
        "zorro": noisy(sigmoid(X, 0.9, 0.5, 4, 10.2), 0.01, rng, 200),
        "dyck": noisy(np.full(10, 0.5), 0.004, rng, 200),
        "arithmetic": noisy(np.full(10, 0.5), 0.03, rng, 200),
    }
    certain = sigmoid(X, 0.3, 0.6, 4, 10)
    curves["single_text"] = Curve(certain, np.tile(certain, (200, 1)))
    checkpoints = pd.DataFrame({"revision": [f"step{k}" for k in range(10)], "tokens": 10**X})
    table, resamples = compare_curves(10**X, curves)
    points = tabulate_points(checkpoints, curves, table)
    claims = tabulate_claims(table, resamples["alignment"])
    n_checked = 0
    for rows in (table, points, claims):
        for name, low, high in list_triples(rows):
            known = rows[[name, low, high]].dropna().astype(float)
            n_checked += len(known)
            assert (known[low] <= known[name]).all(), name
            assert (known[name] <= known[high]).all(), name
            if rows is not table:
                assert (known[low] < known[high]).all(), name
    assert n_checked > 100
    nothing_drawn = points[points["curve"] == "single_text"]
    assert nothing_drawn["value"].notna().all()
    assert nothing_drawn[["low", "high", "low_simultaneous", "high_simultaneous"]].isna().all(axis=None)


@pytest.mark.parametrize("shift", [-0.6, 0.0, 0.9])
def test_who_moves_first_and_by_how_much(shift):
    rng = np.random.default_rng(5)
    first, first_resamples = noisy(sigmoid(X, 0.5, 0.9, 4, 10.4), 0.01, rng)
    second, second_resamples = noisy(sigmoid(X, 0, 0.1, 4, 10.4 + shift), 0.003, rng)
    distance = compute_lead(X, first, second)
    assert distance == pytest.approx(shift, abs=0.1)
    low, high = compute_interval(distance, compute_lead(X, first_resamples, second_resamples))
    assert low - 0.02 < shift < high + 0.02
    assert high - low < 0.3


def test_too_few_checkpoints_are_an_error():
    with pytest.raises(InputError, match="at least 5 trained checkpoints of increasing tokens, got 4"):
        fit_sigmoids(X[:4], np.zeros(4))
    with pytest.raises(InputError, match="increasing"):
        fit_sigmoids(np.array([-np.inf, 1, 2, 3, 4]), np.zeros(5))
