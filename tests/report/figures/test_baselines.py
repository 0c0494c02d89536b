"""The figure of baselines: every baseline at its height, and labels that can be read."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from report.figures.baselines import draw_baselines


def tables(n_baselines):
    """A curve of eight checkpoints, and baselines around 0 in falling order."""
    tokens = np.append(0, 10.0 ** np.arange(3, 10))
    curve = pd.DataFrame({"curve": "left_minus_right_nested", "tokens": tokens, "value": np.linspace(0, 0.02, 8)})
    levels = np.linspace(0.01, -0.03, n_baselines)
    table = pd.DataFrame(
        {"baseline": [f"random embedding {k}" for k in range(n_baselines)], "left_minus_right": levels}
    )
    table = table.assign(low=levels - 0.005, high=levels + 0.006, difference=0.02 - levels)
    table = table.assign(difference_low=0.01 - levels, difference_high=0.03 - levels)
    return curve.assign(low=curve["value"] - 0.004, high=curve["value"] + 0.004), table


@pytest.mark.parametrize("n_baselines", [1, 7, 15])
def test_baselines_share_the_axis_of_the_curve_and_labels_do_not_overlap(n_baselines):
    points, table = tables(n_baselines)
    figure = draw_baselines(points, table, "lm (en)")
    figure.canvas.draw()
    curve, forest, difference = figure.axes
    assert curve.get_ylim() == forest.get_ylim()
    levels = [
        line.get_ydata()[0] for line in curve.lines if len(set(line.get_ydata())) == 1 and line.get_ydata()[0] != 0
    ]
    np.testing.assert_allclose(levels[:n_baselines], table["left_minus_right"])
    for axes, name in ((forest, "left_minus_right"), (difference, "difference")):
        (marks,) = [line for line in axes.lines if line.get_marker() == "s"]
        np.testing.assert_allclose(marks.get_ydata(), table[name])
        low, high = axes.get_ylim()
        assert low < marks.get_ydata().min() and marks.get_ydata().max() < high
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert len(boxes) == n_baselines
        assert not any(first.overlaps(second) for first, second in itertools.combinations(boxes, 2))
        inside = figure.bbox
        assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 for box in boxes)
    plt.close(figure)


def test_a_study_of_averages_has_no_intervals_and_is_drawn():
    points, table = tables(3)
    points = points.assign(curve="left_minus_right", low=np.nan, high=np.nan)
    columns = ["low", "high", "difference_low", "difference_high"]
    figure = draw_baselines(points, table.assign(**dict.fromkeys(columns, np.nan)), "lm (en)")
    figure.canvas.draw()
    assert len(figure.axes) == 3
    plt.close(figure)
