"""Draw left minus right over training next to left minus right of baselines."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context

from report.figures import drawing

COLUMNS = (("left_minus_right", "low", "high"), ("difference", "difference_low", "difference_high"))
LINE = {"color": "0.75", "linewidth": 0.7, "zorder": 0.5}


@rc_context(drawing.STYLE)
def draw_baselines(points, table, title):
    """Draw left minus right over training, that of each baseline, and the last checkpoint minus each baseline.

    The first two panels share their vertical axis: a line leads from each baseline through the curve. Intervals are
    95 % intervals. ``points`` is the table of ``draw_asymmetry``, ``table`` that of ``baselines.tabulate_baselines``,
    with a baseline or more.
    """
    n_baselines = len(table)
    room = max(1.1, 0.22 * n_baselines + 0.5)  # inches of each panel of baselines
    size = (drawing.ONE_COLUMN_INCHES + 2 * room, 3.4)
    ratios = [drawing.ONE_COLUMN_INCHES, room, room]
    figure, panels = plt.subplots(1, 3, figsize=size, layout="constrained", width_ratios=ratios)
    panels[1].sharey(panels[0])
    figure.suptitle(drawing.format_title(title, points), fontsize="medium")
    _draw_curve(panels[0], points, table["left_minus_right"])
    places = np.arange(n_baselines)
    panels[1].hlines(table["left_minus_right"], -1, places, **LINE)
    for axes, names in zip(panels[1:], COLUMNS, strict=True):
        estimate, low, high = (table[name].to_numpy(float) for name in names)
        axes.vlines(places, low, high, color=drawing.DIFFERENCE_COLOUR)
        axes.plot(places, estimate, "s", color=drawing.DIFFERENCE_COLOUR)
        axes.axhline(0, color="0.6", linewidth=0.8, linestyle="--", zorder=0.6)
        axes.set_xticks(places, list(table["baseline"]), rotation=90, fontsize="small")
        axes.set_xlim(-1, n_baselines - 0.4)
    panels[1].tick_params(labelleft=False)
    for axes, heading in zip(panels, ("over training", "baselines", "last checkpoint\nminus baseline"), strict=True):
        axes.set_title(heading, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_curve(axes, points, levels):
    """Draw left minus right over training, and a line at the level of each baseline."""
    has_nested = (points["curve"] == "left_minus_right_nested").any()
    curve = "left_minus_right_nested" if has_nested else "left_minus_right"
    axes.axhline(0, color="0.6", linewidth=0.8, linestyle="--", zorder=0.6)
    for level in levels:
        axes.axhline(level, **LINE)
    drawing.draw_curve(axes, points, curve, drawing.DIFFERENCE_COLOUR, "o")
    axes.set_ylabel("left − right brain score (r)")
    drawing.draw_token_axis(axes, points["tokens"], most=5)
