"""Draw the scores of models on a brain benchmark, next to baselines and ceiling."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import NullFormatter

from report.figures import drawing
from study.baselines import is_baseline

BASELINE_COLOUR = "#999999"


@rc_context(drawing.STYLE)
def draw_benchmark(rows, curves, title):
    """Draw the models of a benchmark, one line each, and the curve over training where there is one.

    Parameters
    ----------
    rows : pandas.DataFrame, the rows of one benchmark, splits and regression of ``brain_compare.compare_models``
    curves : dict from model's name to (tokens, Curve of scores, Curve of accuracies on BLiMP)
    title : str
    """
    models = rows.sort_values("r")
    size = (2 * drawing.ONE_COLUMN_INCHES, max(2.2, 0.16 * len(models) + 0.9))
    figure, (left, right) = plt.subplots(1, 2, figsize=size, layout="constrained", sharex=False)
    figure.suptitle(title, fontsize="medium")
    for height, row in enumerate(models.itertuples()):
        is_grey = is_baseline(row.model)
        colour = BASELINE_COLOUR if is_grey else drawing.LEFT_COLOUR
        drawing.draw_estimate(left, (row.r, row.low, row.high), height, colour, "s" if is_grey else "o")
    left.set_yticks(range(len(models)), [row.model for row in models.itertuples()], fontsize="x-small")
    left.set_xlabel("r, layers chosen on other folds")
    left.axvline(0, color="0.6", linewidth=0.8, linestyle="--", zorder=0.5)
    ceiling, best = rows["ceiling"].iloc[0], rows["baseline_r"].max()
    if np.isfinite(ceiling):
        left.axvline(ceiling, color=drawing.RIGHT_COLOUR, linewidth=0.8)
        left.set_title("orange: ceiling from the other subjects", fontsize="small")
    if curves:
        _draw_curves(right, curves, {"ceiling": ceiling, "best baseline": best})
    else:
        right.set_axis_off()
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_curves(axes, curves, levels):
    """Draw scores over training, BLiMP on an axis of its own where it is known, and lines at levels by their names."""
    blimp_axes = None
    for number, (name, (tokens, curve, blimp)) in enumerate(curves.items()):
        colour, mark = drawing.choose_colour_and_mark(number)
        shown = tokens > 0
        low, high = np.nanpercentile(curve.resamples[:, shown], [2.5, 97.5], axis=0)
        axes.fill_between(tokens[shown], low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(tokens[shown], curve.values[shown], f"{mark}-", color=colour, label=name)
        if np.isfinite(blimp.values[shown]).any():
            blimp_axes = blimp_axes or axes.twinx()
            blimp_axes.plot(tokens[shown], blimp.values[shown], "--", color=colour)
            blimp_axes.set_ylabel("accuracy on BLiMP (dashed)")
            blimp_axes.set_ylim(0.4, 1)
            blimp_axes.spines["top"].set_visible(False)
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training tokens")
    axes.set_ylabel("r")
    for (label, value), colour in zip(levels.items(), (drawing.RIGHT_COLOUR, "0.6"), strict=True):
        if np.isfinite(value):
            axes.axhline(value, color=colour, linewidth=0.8, label=label)
    axes.legend(fontsize="x-small")
