"""Draw left minus right over training next to its controls."""

import numpy as np
from matplotlib import rc_context

from pipeline.transitions.comparison import TARGETS
from report.figures import drawing
from report.reliability import NOT_ASYMMETRIES

TITLES = {
    "left_minus_right_nested": "left − right",
    "left_minus_right": "left − right",
    "log_left_right": "log(left / right)",
    "relative_asymmetry": "(left − right) / (left + right)",
    "ceiling_left_minus_right": "left − right, voxels / ceiling",
    "ceiling_hemisphere_left_minus_right": "left − right, sides / ceiling",
    "matched_left_minus_right": "left − right, pairs matched in ISC",
    "unique_left_minus_right": "left − right of unique r²",
    "mean": "(left + right) / 2",
    "surprisal": "surprisal of the story",
}


@rc_context(drawing.STYLE)
def draw_controls(points, controls, title):
    """Draw left minus right and each control over training, in panels of the same size.

    The bands are 95 % intervals of single points. A title contains the test against a flat curve.

    Parameters
    ----------
    points : pandas.DataFrame, as ``transitions.tables.tabulate_points`` returns it for left minus right and controls
    controls : pandas.DataFrame, as ``report.reliability.tabulate_controls`` returns it; left minus right comes first
    title : str

    Returns
    -------
    matplotlib Figure; a curve without any value is omitted
    """
    is_known = points.groupby("curve")["value"].count() > 0
    rows = [row for row in controls.to_dict("records") if is_known.get(row["curve"], False)]
    rows.sort(key=lambda row: row["curve"] in NOT_ASYMMETRIES)  # not differences: last
    figure, panels = drawing.make_grid(len(rows), 3, 1.9, drawing.format_title(title, points))
    for axes, row in zip(panels, rows, strict=False):
        name = row["curve"]
        colour = drawing.DIFFERENCE_COLOUR if name in TARGETS else drawing.SERIES[0]
        axes.axhline(0, color="0.6", linewidth=0.8)
        drawing.draw_curve(axes, points, name, colour, "o")
        axes.set_title(f"{TITLES.get(name, name)}\n{_write_test(row)}", fontsize="medium")
        drawing.draw_token_axis(axes, points["tokens"], most=5)
    return figure


def _write_test(row):
    """Write the result of the test against a flat curve."""
    if not np.isfinite(row["p_flat"]):
        return "not tested"
    if row["is_flat"]:
        return f"no transition shown (p = {row['p_flat']:.2g})"
    return f"{'rises' if row['rises'] else 'falls'} (p = {row['p_flat']:.2g})"
