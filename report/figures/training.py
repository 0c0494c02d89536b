"""Draw the figures of the notebook that show curves over training; each function returns a matplotlib Figure.

Most functions draw ``points``, the pandas.DataFrame of ``transitions.tables.tabulate_points`` with a row for each curve
and checkpoint. The notebook saves this table, so that every value in a figure is also in a file. ``table`` is the
pandas.DataFrame of ``transitions.comparison.compare_curves``.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context

from pipeline.statistics.checkpoints import has_own_weights
from pipeline.transitions.comparison import BRAIN_CURVES, MEAN_SCORE
from report.figures import drawing


@rc_context(drawing.STYLE)
def draw_brain_scores(points, title):
    """Draw the mean brain score of each hemisphere over training, with 95 % intervals.

    ``points`` has the curves left and right, and left_nested and right_nested where runs are known.
    """
    figure, axes = drawing.make_panel(drawing.format_title(title, points))
    colours, light_colours = (drawing.LEFT_COLOUR, drawing.RIGHT_COLOUR), (drawing.LIGHT_LEFT, drawing.LIGHT_RIGHT)
    sides = list(zip(("left", "right"), colours, light_colours, "os", strict=True))
    if (points["curve"] == "left_nested").any():
        for side, colour, _, mark in sides:
            drawing.draw_curve(axes, points, f"{side}_nested", colour, mark, f"{side}, layer chosen on other runs")
        for side, _, light, mark in sides:
            drawing.draw_curve(axes, points, side, light, mark, f"{side}, best layer", alpha=0, zorder=1.5)
    else:
        for side, colour, _, mark in sides:
            drawing.draw_curve(axes, points, side, colour, mark, f"{side} hemisphere")
    axes.set_ylabel("brain score (mean r)")
    axes.legend(fontsize="x-small")
    drawing.draw_token_axis(axes, points["tokens"])
    return figure


@rc_context(drawing.STYLE)
def draw_asymmetry(points, title):
    """Draw left minus right over training, with its 95 % bands, for both choices of layers.

    The dark band is pointwise: it holds at each checkpoint by itself. The light band is simultaneous: it holds for the
    whole curve. ``points`` has the curves left_minus_right and, where runs are known, left_minus_right_nested.
    """
    figure, axes = drawing.make_panel(drawing.format_title(title, points))
    axes.axhline(0, color="0.6", linewidth=0.8)
    has_nested = (points["curve"] == "left_minus_right_nested").any()
    curve = "left_minus_right_nested" if has_nested else "left_minus_right"
    label = "layer chosen on other runs" if has_nested else "left − right"
    drawing.draw_curve(axes, points, curve, drawing.DIFFERENCE_COLOUR, "o", label=label)
    if has_nested:
        style = {"colour": drawing.LIGHT_DIFFERENCE, "mark": "D", "alpha": 0, "zorder": 1.5}
        drawing.draw_curve(axes, points, "left_minus_right", label="best layer", **style)
    axes.fill_between([], [], [], color=drawing.DIFFERENCE_COLOUR, alpha=0.22, linewidth=0, label="95 %, pointwise")
    _draw_simultaneous_band(axes, points, curve)
    axes.legend(fontsize="x-small")
    axes.set_ylabel("left − right brain score (r)")
    drawing.draw_token_axis(axes, points["tokens"])
    return figure


def _draw_simultaneous_band(axes, points, curve):
    """Draw the simultaneous band of a curve at the checkpoints with weights of their own, where it is known."""
    rows = points[(points["curve"] == curve) & has_own_weights(points)].sort_values("tokens")
    ends = rows["low_simultaneous"], rows["high_simultaneous"]
    style = {"color": drawing.DIFFERENCE_COLOUR, "alpha": 0.08, "linewidth": 0, "label": "95 %, whole curve"}
    axes.fill_between(rows["tokens"], *ends, **style)


@rc_context(drawing.STYLE)
def draw_benchmarks(points, table, title):
    """Draw each benchmark over training, a panel each, over left minus right, with 95 % intervals.

    Each curve is scaled from its first plateau (0) to its last plateau (1). Without a transition, 0 is the mean of a
    benchmark and 1 is a perfect score; left minus right is then not drawn. A benchmark that is not fitted is drawn
    without scaling. ``points`` has columns scaled, scaled_low and scaled_high, and the curves of the table.
    """
    target = table["curve"].iloc[0]
    benchmarks = table[~table["curve"].isin(BRAIN_CURVES)].to_dict("records")
    figure, panels = drawing.make_grid(len(benchmarks), 3, 1.7, drawing.format_title(title, points))
    is_fitted_before = None
    for number, (axes, row) in enumerate(zip(panels, benchmarks, strict=False)):
        is_fitted = bool(np.isfinite(row["p_flat"]))
        _draw_benchmark(axes, points, row, target=target, is_fitted=is_fitted)
        if number % 3 == 0 or not is_fitted or is_fitted_before is not True:
            axes.set_ylabel("share of the transition" if is_fitted else "score")
        is_fitted_before = is_fitted
    return figure


def _draw_benchmark(axes, points, row, target, is_fitted):
    """Draw a benchmark, over left minus right where it is fitted."""
    for height in (0, 1):
        axes.axhline(height, color="0.8", linewidth=0.8)
    kind, column = row["kind"], "scaled" if is_fitted else "value"
    drawn = points[points["curve"].isin([row["curve"], target] if is_fitted else [row["curve"]])]
    if is_fitted:
        style = {"colour": drawing.DIFFERENCE_COLOUR, "mark": "o", "label": "left − right", "alpha": 0.12}
        drawing.draw_curve(axes, points, target, column="scaled", **style)
    colour, mark = drawing.KIND_COLOURS[kind], drawing.KIND_MARKS[kind]
    drawing.draw_curve(axes, points, row["curve"], colour, mark, label=kind, column=column)
    axes.set_title(f"{row['curve']}{_write_remark(row)}", fontsize="medium")
    limits = (-0.45, 1.45) if is_fitted else (-0.05, 1.3)
    names = ["scaled", "scaled_low", "scaled_high"] if is_fitted else ["value", "low", "high"]
    values = drawn[names].to_numpy(float)
    values = np.append(values[np.isfinite(values)], limits)
    room = 0.03 * np.ptp(values)
    axes.set_ylim(min(limits[0], values.min() - room), max(limits[1], values.max() + room))
    axes.legend(fontsize="x-small", loc="upper left", borderaxespad=0)
    drawing.draw_token_axis(axes, points["tokens"], most=5)


def _write_remark(row):
    """Write a remark for the title of a panel."""
    if row["is_flat"] is True:
        return f"\nno transition shown\n(p = {row['p_flat']:.2g}, rise at most {row['rise_bound']:.2g})"
    if row["is_flat"] is not False:
        return ": not fitted"
    if row["at_limit"]:
        return ": not over"
    return ": begun before" if row["at_start"] else ""


@rc_context(drawing.STYLE)
def draw_acceptability(points, title):
    """Draw the acceptability of generated texts over training: by prompt, and by judge.

    ``points`` has columns by (prompt or judge), curve (name of the prompt or judge), tokens, value, low and high.
    """
    figure, panels = drawing.make_grid(2, 2, 2.6, drawing.format_title(title, points))
    for axes, (by, curves) in zip(panels, points.groupby("by", sort=False), strict=False):
        for number, curve in enumerate(curves["curve"].unique()):
            colour, mark = drawing.choose_colour_and_mark(number)
            drawing.draw_curve(axes, curves, curve, colour, mark, label=curve, alpha=0.08)
        axes.set_title(f"by {by}", fontsize="medium")
        axes.set_ylim(0, 1)
        axes.legend(fontsize="x-small")
        drawing.draw_token_axis(axes, points["tokens"])
    panels[0].set_ylabel("mean probability of acceptable")
    return figure


@rc_context(drawing.STYLE)
def draw_transitions(table, title):
    """Draw when each curve rises and how sharply, and how each benchmark goes with left minus right.

    Where no transition is shown, words replace the midpoint. A midpoint that is a bound is hollow, with an arrow to the
    side on which the true midpoint may lie. A dotted line is an unknown alignment.
    """
    measures = {
        "x0": "midpoint x0\n(log10 training tokens)",
        "beta": "steepness beta\n(per decade)",
        "alignment": "alignment with\nleft − right",
        "lead": "lead: moves first by\n(decades of tokens)",
    }
    size = (2 * drawing.ONE_COLUMN_INCHES, 1 + 0.24 * len(table))
    figure, panels = plt.subplots(1, 4, figsize=size, layout="constrained", sharey=True)
    figure.suptitle(title, fontsize="medium")
    rows = table.to_dict("records")
    target = rows[0]
    for axes, (measure, label) in zip(panels, measures.items(), strict=True):
        for number, row in enumerate(rows):
            _draw_measure(axes, row, measure, height=-number, target=target)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.18)
    panels[1].set_xlim(left=0)
    panels[2].set_xlim(-0.05, 1.05)
    panels[3].axvline(0, color="0.6", linewidth=0.8)
    remarks = [" (turns back)" if row["is_monotonic"] is False else "" for row in rows]
    names = [f"{name_curve(row['curve'], target['curve'])}{remark}" for row, remark in zip(rows, remarks, strict=True)]
    panels[0].set_yticks(-np.arange(len(rows)), names)
    panels[0].set_ylim(-len(rows) + 0.5, 0.5)
    return figure


def _draw_measure(axes, row, measure, height, target):
    """Draw a value of the table with its interval, and an arrow where it is a bound."""
    is_brain = row["curve"] in BRAIN_CURVES
    colour = _choose_brain_colour(row["curve"], target["curve"]) if is_brain else drawing.KIND_COLOURS[row["kind"]]
    mark = "o" if is_brain else drawing.KIND_MARKS[row["kind"]]
    if not np.isfinite(row[measure]):
        if measure == "alignment" and np.isfinite(row["alignment_low"]):
            ends = [row["alignment_low"], row["alignment_high"]]
            axes.plot(ends, [height, height], ":", color=colour)
        if measure == "x0":
            words = _describe_missing_midpoint(row)
            place = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center"}
            axes.text(0.5, height, words, fontsize="small", **place)
        return
    values = [row[name] for name in (measure, f"{measure}_low", f"{measure}_high")]
    drawing.draw_estimate(axes, values, height, colour, mark, _find_open_sides(row, measure, target))


def _choose_brain_colour(curve, target):
    """Return the colour of a curve of the brain."""
    colours = {target: drawing.DIFFERENCE_COLOUR}
    colours |= dict.fromkeys(("left_nested", "left"), drawing.LEFT_COLOUR)
    colours |= dict.fromkeys(("right_nested", "right"), drawing.RIGHT_COLOUR)
    return colours.get(curve, drawing.LIGHT_DIFFERENCE)


def _describe_missing_midpoint(row):
    """Write why a curve has no midpoint."""
    if row["is_flat"] is not True:
        return "not fitted"
    return f"rise below {row['rise_bound']:.2g}" if row["is_equivalent_to_flat"] is True else "no transition shown"


def _find_open_sides(row, measure, target):
    """Return whether the true value may be larger, and smaller, where a plateau is not reached."""
    if measure == "x0":
        return row["at_limit"], row["at_start"]
    if measure == "lead":  # the target's midpoint minus that of the row
        return target["at_limit"] or row["at_start"], target["at_start"] or row["at_limit"]
    return False, False


def name_curve(curve, target):
    """Write the name of a curve for readers of a figure."""
    if curve == target:
        return "left − right"
    names = {"left_minus_right": "left − right, best layer", MEAN_SCORE: "mean of left and right"}
    names |= {"left_nested": "left", "right_nested": "right"}
    return names.get(curve, curve)


@rc_context(drawing.STYLE)
def draw_comparison(curves, tables):
    """Draw left minus right of several models and languages over training, and when each rises.

    ``curves`` contains the curves files of all, and ``tables`` their tables of transitions, as pandas.DataFrames with a
    column family (model and language). Layers are chosen on other runs where a family has such curves, else the best
    layer is drawn.
    """
    figure, panels = drawing.make_grid(2, 2, 2.6, drawing.format_title("", curves))
    families = list(curves["family"].unique())
    names = [name for name in tables["curve"].unique() if name not in BRAIN_CURVES]
    for number, family in enumerate(families):
        colour, mark = drawing.choose_colour_and_mark(number)
        points, suffix = drawing.select_difference(curves[curves["family"] == family], family)
        label = family if suffix else f"{family} (best layer)"
        drawing.draw_curve(panels[0], points, family, colour, mark, label=label)
        rows = tables[(tables["family"] == family) & tables["x0"].notna()].to_dict("records")
        target = tables["curve"][tables["family"] == family].iloc[0]
        for row in rows:
            if row["curve"] == target or row["curve"] in names:
                height = 0 if row["curve"] == target else -1 - names.index(row["curve"])
                bounds = [row.get(column) is True for column in ("at_limit", "at_start")]  # absent from old tables
                values = [row[name] for name in ("x0", "x0_low", "x0_high")]
                drawing.draw_estimate(panels[1], values, height - 0.6 * number / len(families), colour, mark, bounds)
    panels[0].axhline(0, color="0.6", linewidth=0.8)
    panels[0].set_ylabel("left − right brain score (r)")
    panels[0].legend(fontsize="x-small")
    drawing.draw_token_axis(panels[0], curves["tokens"])
    panels[1].set_yticks(-np.arange(len(names) + 1) - 0.3, ["left − right", *names])
    panels[1].set_xlabel("midpoint (log10 training tokens)")
    panels[1].margins(x=0.12)
    return figure
