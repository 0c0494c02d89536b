"""Check the table of controls, and every verdict on whether reliability explains the asymmetry."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pipeline.brain.controls import RELIABILITY_CONTROLS
from pipeline.statistics.curve import Curve
from pipeline.transitions import flatness
from pipeline.transitions.tables import tabulate_points
from report.figures.controls import draw_controls
from report.reliability import COLUMNS, TITLES, describe_reliability, judge_reliability, tabulate_controls

TOKENS = np.array([0, 1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12])
CHECKPOINTS = pd.DataFrame({"revision": [f"step{k}" for k in range(len(TOKENS))], "tokens": TOKENS})
RISE = 1 / (1 + np.exp(-4 * (np.log10(np.maximum(TOKENS, 1e8)) - 10.5)))
RATIO, CEILING = "log_left_right", "ceiling_left_minus_right"


def make_curve(height, noise=0.005, seed=0):
    """A curve that rises by a height, with its resamples."""
    values = height * RISE
    return Curve(values, values + noise * np.random.default_rng(seed).standard_normal((100, len(values))))


@pytest.fixture(autouse=True)
def few_null_curves(monkeypatch):
    monkeypatch.setattr(flatness, "N_NULL_CURVES", 299)  # enough for a test at 5 %, and seven times as fast


UNKNOWN = Curve(np.full(len(TOKENS), np.nan), np.full((100, len(TOKENS)), np.nan))


def tabulate(difference=0.1, **heights):
    """The table of a study whose left minus right, and controls, rise by these heights (None: not known)."""
    curves = {
        name: UNKNOWN if heights.get(name, difference) is None else make_curve(heights.get(name, difference), seed=seed)
        for seed, name in enumerate(RELIABILITY_CONTROLS)
    }
    sides = {"left_minus_right_nested": make_curve(difference), "left_minus_right": make_curve(-0.2)}
    return tabulate_controls(CHECKPOINTS, sides, {"mean": make_curve(0.1)} | curves)


def make_table(difference=0.1, **heights):
    """The same table without fits: p is 0.0005 for curves that rise or fall, and 0.4 for flat curves."""
    rows = []
    for name in ("left_minus_right_nested", *RELIABILITY_CONTROLS):
        height = heights.get(name, difference)
        row = {"curve": name, "revision": "step7", "tokens": 1e12, "n_checkpoints": 7}
        if height is not None:
            row |= {"value": height, "low": height - 0.01, "high": height + 0.01, "p_flat": 0.0005 if height else 0.4}
        is_same = height * difference > 0 if height is not None and difference else None
        row |= {"is_flat": None if height is None else not height, "rises": height > 0 if height else None}
        rows.append(row | {"has_same_direction": is_same})
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize("heights", [{}, {RATIO: 0, CEILING: -0.1}, {RATIO: None}, {"difference": 0}])
def test_the_table_without_fits_has_the_verdicts_of_the_table_with_fits(heights):
    names = ["curve", "is_flat", "rises", "has_same_direction"]
    fitted = tabulate(**heights)[names]
    expected = make_table(**heights)[names].astype(object)
    pd.testing.assert_frame_equal(
        fitted[fitted["curve"] != "mean"].reset_index(drop=True).astype(object), expected, check_dtype=False
    )


def test_every_curve_has_a_row_with_its_value_at_the_end_and_its_test():
    table = tabulate(log_left_right=0, matched_left_minus_right=-0.1)
    assert list(table.columns) == COLUMNS
    assert table["curve"].tolist() == ["left_minus_right_nested", "mean", *RELIABILITY_CONTROLS]
    rows = table.set_index("curve")
    assert set(rows["revision"]) == {"step7"}
    assert set(rows["n_checkpoints"]) == {7}  # not the untrained
    assert rows["is_flat"].tolist() == [False, False, True, False, False, False, False]
    assert rows["rises"].tolist() == [True, True, None, True, True, True, False]
    assert rows["has_same_direction"].tolist() == [True, None, False, True, True, True, False]
    assert rows.loc[CEILING, "value"] == pytest.approx(0.1, abs=0.001)
    assert rows.loc[CEILING, "low"] == pytest.approx(0.1 - 1.96 * 0.005, abs=0.004)
    assert rows.loc[RATIO, "p_flat"] > 0.05 > rows.loc[CEILING, "p_flat"]


def test_the_last_checkpoint_has_weights_of_its_own():
    sides = {"left_minus_right": make_curve(0.1)}
    checkpoints = CHECKPOINTS.assign(same_weights_as=["", *[""] * 6, "step6"])
    table = tabulate_controls(checkpoints, sides, {"mean": make_curve(0.1)})
    assert table["revision"].tolist() == ["step6", "step6"]
    assert table["n_checkpoints"].tolist() == [6, 6]


def test_a_few_resamples_without_a_logarithm_do_not_take_a_checkpoint_away():
    curve = make_curve(0.1)
    curve.resamples[:3, 3] = np.nan  # 3 %
    curve.resamples[:10, 1] = np.nan  # 10 %
    row = tabulate_controls(CHECKPOINTS, {"left_minus_right": make_curve(0.1)}, {RATIO: curve}).iloc[1]
    assert row["n_checkpoints"] == 6
    assert row["has_same_direction"] == True  # noqa: E712  (a numpy bool)


def test_few_checkpoints_are_not_tested():
    short = CHECKPOINTS.iloc[:5]
    sides, controls = {"left_minus_right": make_curve(0.1)}, {RATIO: make_curve(0.1), "mean": make_curve(0.1)}
    sides, controls = ({name: curve.select(TOKENS <= 1e10 * 3) for name, curve in c.items()} for c in (sides, controls))
    table = tabulate_controls(short, sides, controls)
    assert table["p_flat"].isna().all()
    assert table["is_flat"].isna().all()
    assert judge_reliability(table) == "unknown"
    assert describe_reliability(table) == (
        "Whether left minus right is more than a difference in reliability between hemispheres is not known: "
        "left minus right has intervals at fewer than 5 trained checkpoints."
    )


CASES = {
    "all rise": ({}, "more"),
    "all fall": ({"difference": -0.1}, "more"),
    "the ratio alone rises": (dict.fromkeys(RELIABILITY_CONTROLS[1:], 0), "more"),
    "the ratio is flat": ({RATIO: 0}, "reliability"),
    "every control is flat": (dict.fromkeys(RELIABILITY_CONTROLS, 0), "reliability"),
    "the ratio falls": ({RATIO: -0.1}, "disagree"),
    "a ceiling falls": ({CEILING: -0.1}, "disagree"),
    "the ratio is flat, a ceiling falls": ({RATIO: 0, CEILING: -0.1}, "disagree"),
    "the ratio is not known": ({RATIO: None}, "unknown"),
    "ceilings are not known": ({CEILING: None}, "more"),
    "left minus right is flat": ({"difference": 0}, "flat"),
    "left minus right is flat, the ratio rises": ({"difference": 0, RATIO: 0.1}, "flat"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_verdict_is_given_in_words_that_agree_with_it(case, tmp_path):
    heights, verdict = CASES[case]
    table = make_table(**heights)
    assert judge_reliability(table) == verdict
    words = describe_reliability(table)
    assert words.endswith(".")
    claims = {
        "more": "The asymmetry is more than a difference in reliability explains: log(left/right)",
        "reliability": "explain the transition of left minus right",
        "disagree": "A difference in reliability is not excluded as the cause of the asymmetry",
        "unknown": "is not known: log(left/right) has intervals at fewer than 5 trained checkpoints",
        "flat": "Left minus right shows no transition that a difference in reliability would have to explain",
    }
    assert [name for name, claim in claims.items() if claim in words] == [verdict]
    # As saved and read back, the table gives the same words.
    table.to_csv(tmp_path / "controls.csv", index=False)
    assert describe_reliability(pd.read_csv(tmp_path / "controls.csv")) == words


def test_the_words_name_what_the_other_controls_show():
    words = describe_reliability(make_table(log_left_right=0))
    assert words.startswith("More reliable responses on the left may explain the transition of left minus right: ")
    assert f"The same direction is shown by (left − right)/(left + right), {TITLES[CEILING]}" in words
    words = describe_reliability(make_table(**dict.fromkeys(RELIABILITY_CONTROLS, 0)))
    assert words.startswith("More reliable responses on the left explain the transition of left minus right as well: ")
    assert "which they alone do not move, shows no transition (p = 0.40; 0.000 (95 % interval " in words
    assert "No transition is shown by (left − right)/(left + right) (p = 0.40), " in words
    words = describe_reliability(make_table(difference=-0.1, **{RATIO: 0, "relative_asymmetry": 0}))
    assert words.startswith("More reliable responses on the right may explain ")
    words = describe_reliability(make_table(difference=-0.1))
    assert "also falls (p ≤ 0.0005; -0.100 (95 % interval -0.110 to -0.090)" in words
    words = describe_reliability(make_table(ceiling_left_minus_right=-0.1, matched_left_minus_right=None))
    assert f"left minus right rises, but {TITLES[CEILING]} goes in the opposite direction. The same" in words
    assert words.endswith(f"Not known: {TITLES['matched_left_minus_right']}.")
    words = describe_reliability(make_table(difference=0, log_left_right=0.1))
    assert words.endswith("would have to explain, though log(left/right) does show one.")


def test_every_curve_that_is_known_is_drawn_in_a_panel_of_the_same_size():
    table = tabulate(log_left_right=0, matched_left_minus_right=None)
    curves = {name: UNKNOWN if name.startswith("matched") else make_curve(0.1) for name in table["curve"]}
    points = tabulate_points(CHECKPOINTS, curves, pd.DataFrame({"curve": []}))
    figure = draw_controls(points, table, "OLMo (en)")
    drawn = [axes for axes in figure.axes if axes.axison]
    assert len(drawn) == len(table) - 1
    figure.canvas.draw()
    sizes = np.array([axes.get_window_extent().size for axes in drawn])
    np.testing.assert_allclose(sizes, np.tile(sizes[0], (len(sizes), 1)), rtol=0.02)
    titles = [axes.get_title() for axes in drawn]
    assert titles[0] == "left − right\nrises (p = 0.0033)"
    assert titles[1].startswith("log(left / right)\nno transition shown (p = ")
    assert titles[-1].startswith("(left + right) / 2")
    for axes in drawn:
        assert axes.lines[0].get_ydata() == [0, 0]
        assert axes.get_ylim()[0] < 0
        assert axes.get_xlim() == drawn[0].get_xlim()
    plt.close(figure)


@pytest.mark.parametrize(("value", "is_described"), [(0.05, True), (-0.05, True), (0.0, False)])
def test_a_constant_difference_is_not_taken_for_an_asymmetry(value, is_described):
    table = make_table(difference=0).astype({"value": float})
    numbers = {"value": value, "low": value - 0.01, "high": value + 0.01}
    table.loc[0, list(numbers)] = list(numbers.values())
    words = describe_reliability(table)
    assert ("It is not 0 at the last checkpoint, which a difference in reliability alone can cause" in words) == (
        is_described
    )
    assert ("log(left/right) is 0.000 (95 % interval -0.010 to 0.010) there, and shows no transition" in words) == (
        is_described
    )
