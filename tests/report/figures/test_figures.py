"""Figures of studies that are not all there: everything that is known is drawn, and within the axes."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from brains import BRAIN

from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.statistics.checkpoints import select_tokens_for_fits
from pipeline.transitions.comparison import BRAIN_CURVES, compare_curves
from pipeline.transitions.tables import tabulate_points as tabulate
from report.figures import brain, drawing, training
from report.figures.claims import draw_claims

SIX = 1e9 * 2.0 ** np.arange(6)


def analysed(tokens, knows_runs=True, same_weights_as=None):
    """Flat left minus right, a rising benchmark, one at its ceiling, one that swings, one without errors."""
    tokens = np.array(tokens, dtype=float)
    rng, n = np.random.default_rng(0), len(tokens)
    checkpoints = pd.DataFrame({"revision": [f"step{k}" for k in range(n)], "tokens": tokens})
    if same_weights_as is not None:
        checkpoints["same_weights_as"] = same_weights_as
    curves = {
        "left_minus_right": (
            np.zeros(n),
            0.01 * rng.standard_normal((50, n)) if knows_runs else np.full((2, n), np.nan),
        ),
        "blimp": (np.linspace(0.5, 0.9, n), np.linspace(0.5, 0.9, n) + 0.01 * rng.standard_normal((50, n))),
        "zorro": (np.ones(n), np.ones((50, n)) - 0.001 * rng.random((50, n))),
        "dyck": (np.resize([0.1, 0.9, 0.2], n), np.resize([0.1, 0.9, 0.2], n) + 0.2 * rng.standard_normal((50, n))),
        "hellaswag": (np.full(n, 0.3), np.full((2, n), np.nan)),
    }
    if knows_runs:
        curves = {"left_minus_right_nested": curves["left_minus_right"]} | curves
    table, _ = compare_curves(select_tokens_for_fits(checkpoints), curves)
    sides = {f"{side}{end}": curves["blimp"] for side in ("left", "right") for end in ("", "_nested")[: 1 + knows_runs]}
    return checkpoints, tabulate(checkpoints, curves | sides, table), table


def region_table(points):
    rows = points[points["curve"] == "blimp"].assign(region="r")
    return rows.rename(columns={"value": "left_minus_right"})


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    "tokens", [[1e9, 3e9, 5e9], [0.0, 1e9, 3e9], [0.0], [1e9], [1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12]]
)
@pytest.mark.parametrize("knows_runs", [True, False])
def test_every_panel_is_drawn_whatever_is_known(tokens, knows_runs):
    _, points, table = analysed(tokens, knows_runs)
    assert not np.isinf(points.select_dtypes("number")).any(axis=None)
    for figure in (
        training.draw_brain_scores(points, "t"),
        training.draw_asymmetry(points, "t"),
        training.draw_benchmarks(points, table, "t"),
        training.draw_transitions(table, "t"),
        brain.draw_regions(region_table(points), "t"),
    ):
        figure.canvas.draw()
        assert figure.axes[0].get_xlabel()


def shown_ticks(axes):
    """Labels that can be read within the limits of the x axis."""
    axes.figure.canvas.draw()
    low, high = axes.get_xlim()
    labels = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    return [label.get_text() for place, label in labels if low <= place <= high and label.get_text()]


@pytest.mark.parametrize(
    ("tokens", "ticks"),
    [
        ([0.0], ["0"]),
        ([3.2e10], ["32B"]),
        ([0.0, 5e8], ["0", "500M"]),
        (SIX, ["1B", "2B", "5B", "10B", "20B", "50B"]),
        ([1e9, 1.1e9], ["690M", "1.8B"]),
    ],
)
def test_every_axis_of_tokens_has_numbers(tokens, ticks):
    _, axes = plt.subplots()
    tokens = pd.Series(tokens)
    axes.plot(tokens, tokens)
    drawing.draw_token_axis(axes, tokens)
    assert shown_ticks(axes)[-6:] == ticks or (len(ticks) == 2 and len(shown_ticks(axes)) >= 2)


def test_a_single_checkpoint_has_its_interval():
    """A band of one point cannot be seen."""
    _, points, _ = analysed([3.2e10])
    axes = training.draw_asymmetry(points, "t").axes[0]
    lines = [path for lines in axes.collections for path in lines.get_paths() if len(path.vertices) == 2]
    row = points[points["curve"] == "left_minus_right_nested"].iloc[0]
    assert any(np.allclose(path.vertices, [[3.2e10, row["low"]], [3.2e10, row["high"]]]) for path in lines)


def test_all_points_and_bands_of_benchmarks_lie_within_the_axes():
    """Also of a benchmark that swings, in which no transition can be shown, and which is not called flat."""
    _, points, table = analysed([1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12])
    figure = training.draw_benchmarks(points, table, "t")
    target = table["curve"].iloc[0]
    for row in table.to_dict("records"):
        if row["curve"] in BRAIN_CURVES:
            continue
        (axes,) = [axes for axes in figure.axes if axes.get_title().startswith(row["curve"])]
        is_fitted = np.isfinite(row["p_flat"])
        columns = ["scaled", "scaled_low", "scaled_high"] if is_fitted else ["value", "low", "high"]
        drawn = points[points["curve"].isin([row["curve"], target] if is_fitted else [row["curve"]])]
        low, high = axes.get_ylim()
        values = drawn[columns].to_numpy()
        assert ((values >= low) & (values <= high) | np.isnan(values)).all()
        if row["is_flat"] is True:
            assert "no transition shown" in axes.get_title()
            assert f"p = {row['p_flat']:.2g}, rise at most {row['rise_bound']:.2g}" in axes.get_title()
        assert "flat" not in axes.get_title()
        assert axes.get_ylabel() != ("score" if is_fitted else "share of the transition")
        if not is_fitted:
            assert axes.get_ylabel() == "score"


def test_shared_weights_are_hollow_and_not_joined():
    same = ["", "", "", "step5", "", ""]
    _, points, table = analysed(SIX, same_weights_as=same)
    assert table.set_index("curve").loc["blimp", "n_checkpoints"] == 5
    for figure in (
        training.draw_asymmetry(points, "t"),
        training.draw_brain_scores(points, "t"),
        training.draw_benchmarks(points, table, "t"),
        brain.draw_regions(region_table(points), "t"),
        training.draw_acceptability(points.assign(by="prompt"), "t"),
    ):
        joined = [
            line for line in figure.axes[0].get_lines() if line.get_linestyle() == "-" and line.get_marker() != "None"
        ]
        hollow = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
        assert joined and len(joined) == len(hollow)
        assert all(line.get_xdata().tolist() == SIX[np.array(same) == ""].tolist() for line in joined)
        assert all(line.get_xdata().tolist() == [SIX[3]] and line.get_linestyle() == "None" for line in hollow)
        titles = figure.get_suptitle() + figure.axes[0].get_title()
        assert "hollow: the same weights as another checkpoint" in titles
    _, points, _ = analysed(SIX, same_weights_as=[""] * 6)
    figure = training.draw_asymmetry(points, "t")
    assert "hollow" not in figure.axes[0].get_title()


def test_midpoints_that_are_bounds_have_arrows():
    tokens = 1e9 * 2.0 ** np.arange(8)
    rng, x = np.random.default_rng(0), np.log10(tokens)
    curves = {
        name: (curve, curve + 0.002 * rng.standard_normal((100, 8)))
        for name, x0 in [("left_minus_right", 10.1), ("blimp", 11.1), ("zorro", 9.05), ("dyck", 10.0)]
        for curve in [0.5 + 0.4 / (1 + np.exp(-8 * (x - x0)))]
    }
    table, _ = compare_curves(tokens, curves)
    panels = training.draw_transitions(table, "t").axes
    arrows = [(text.xyann[0], round(-text.xy[1])) for text in panels[0].texts if text.arrow_patch]
    assert [(np.sign(points), table["curve"][row]) for points, row in arrows] == [(1, "blimp"), (-1, "zorro")]
    # blimp moves even later than seems, and zorro even earlier.
    arrows = [(text.xyann[0], round(-text.xy[1])) for text in panels[3].texts if text.arrow_patch]
    assert [(np.sign(points), table["curve"][row]) for points, row in arrows] == [(-1, "blimp"), (1, "zorro")]


def test_an_unknown_alignment_is_a_dotted_line():
    _, _, table = analysed([1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12])
    panel = training.draw_transitions(table, "t").axes[2]
    dotted = {-line.get_ydata()[0] for line in panel.get_lines() if line.get_linestyle() == ":"}
    assert dotted == set(table.index[table["alignment"].isna() & table["alignment_low"].notna()])
    assert dotted


def test_both_bands_of_left_minus_right_are_drawn_and_named():
    _, points, _ = analysed([1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12])
    axes = training.draw_asymmetry(points, "t").axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["layer chosen on other runs", "best layer", "95 %, pointwise", "95 %, whole curve"]
    rows = points[points["curve"] == "left_minus_right_nested"]
    drawn = [tuple(band.get_datalim(axes.transData).intervaly) for band in axes.collections if len(band.get_paths())]
    for suffix in ("", "_simultaneous"):
        assert (rows[f"low{suffix}"].min(), rows[f"high{suffix}"].max()) in [pytest.approx(ends) for ends in drawn]


def test_each_variant_of_the_claim_has_a_row():
    known = {"difference": 0.5, "low": 0.3, "high": 0.6, "undetected_benchmarks": "", "reason": ""}
    known |= {f"unfavourable_{name}": known[name] for name in ("difference", "low", "high")}
    worse = known | {"undetected_benchmarks": "dyck", "unfavourable_difference": -0.1, "unfavourable_low": -0.3}
    unknown = worse | dict.fromkeys(["difference", "low", "high"], np.nan) | {"reason": "r"}
    rows = {
        "all benchmarks": known,
        "dyck as formal": worse,
        "without zorro": unknown,
        "without blimp": {"reason": "none"},
    }
    claims = pd.DataFrame([{"variant": variant} | row for variant, row in rows.items()])
    axes = draw_claims(claims, "t").axes[0]
    axes.figure.canvas.draw()
    assert [label.get_text() for label in axes.get_yticklabels()] == list(rows)
    marks = [line for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata())]
    drawn = {
        (round(-line.get_ydata()[0]), line.get_xdata()[0], line.get_markerfacecolor() == "white") for line in marks
    }
    assert {(0, 0.5, False), (1, 0.5, False), (1, -0.1, True), (2, -0.1, True)} <= drawn
    assert [text.get_text() for text in axes.texts] == ["none"]


def test_more_curves_than_colours_can_be_told_apart():
    rows = [("prompt", f"prompt {k}", tokens, 0.1 * k, 0.1 * k, 0.1 * k) for k in range(8) for tokens in (1e3, 1e4)] + [
        ("judge", "one", tokens, 0.5, 0.4, 0.6) for tokens in (1e3, 1e4)
    ]
    points = pd.DataFrame(rows, columns=["by", "curve", "tokens", "value", "low", "high"])
    figure = training.draw_acceptability(points, "t")
    styles = {(line.get_color(), line.get_marker()) for line in figure.axes[0].get_lines() if len(line.get_xdata())}
    assert len(styles) == 8


# ---------------------------------------------------------------- the brain


@pytest.mark.parametrize(
    ("lowest", "highest", "labels"),
    [
        (9.0, 10.505, ["1 billion", "2 billion", "5 billion", "10 billion", "20 billion"]),
        (3.01, 6.02, ["3 thousand", "10 thousand", "30 thousand", "100 thousand", "300 thousand", "1 million"]),
        (10.0, 10.0, ["10 billion"]),
    ],
)
def test_the_colours_of_emergence_span_what_is_drawn(lowest, highest, labels):
    left, _ = assign_hemispheres(BRAIN)
    emerges = np.full(len(left), np.nan)
    emerges[left] = np.linspace(lowest, highest, left.sum())
    figure = brain.draw_emergence(emerges, BRAIN, "t")
    bar = figure.axes[-1]
    figure.canvas.draw()
    assert bar.get_ylim() == pytest.approx((lowest, highest) if highest > lowest else (9.99, 10.01))
    assert [label.get_text() for label in bar.get_yticklabels()] == labels
    assert "midpoint" in figure.get_suptitle()
    assert "not its first appearance" in figure.get_suptitle()


@pytest.mark.parametrize("n_checkpoints", [1, 2, 6])
def test_brains_over_training_say_which_and_have_one_scale(n_checkpoints):
    left, _ = assign_hemispheres(BRAIN)
    scores = np.random.default_rng(0).random((n_checkpoints, len(left)))
    checkpoints = pd.DataFrame({"tokens": SIX[:n_checkpoints], "same_weights_as": [""] * n_checkpoints})
    figure = brain.draw_training(scores, checkpoints, BRAIN, "t")
    bars = [axes for axes in figure.axes if axes.get_label() == "colour bar"]
    assert len(bars) == 1
    assert ("5 of 6 checkpoints" in figure.get_suptitle()) == (n_checkpoints == 6)
    words = [text.get_text() for text in figure.texts if "tokens" in text.get_text()]
    assert len(words) == min(n_checkpoints, 5)
    assert all(text.count("\n") == 1 for text in words)


def test_every_checkpoint_has_its_colour_in_the_figure_of_layers():
    rows = [(tokens, layer, 0.1, 0.1, 0.01 * layer) for tokens in [0.0, *SIX] for layer in range(4)]
    layers = pd.DataFrame(rows, columns=["tokens", "layer", "left", "right", "left_minus_right"])
    figure = brain.draw_layers(layers, "t")
    figure.canvas.draw()
    bar = figure.axes[-1]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["0", "1B", "2B", "4B", "8B", "16B", "32B"]
    # The legend lies below the panel.
    legend = figure.axes[0].get_legend().get_window_extent()
    assert legend.y1 < figure.axes[0].get_window_extent().y0
