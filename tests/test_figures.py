"""Figures of studies that are not all there."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pipeline import figures, transitions


@pytest.mark.parametrize(
    "tokens", [[1e9, 3e9, 5e9], [0.0, 1e9, 3e9], [0.0], [1e9], [1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12]]
)
@pytest.mark.parametrize("knows_runs", [True, False])
def test_every_panel_is_drawn_whatever_is_known(tokens, knows_runs):
    """Few checkpoints, flat left minus right, no intervals, a benchmark at its ceiling, one without errors."""
    tokens = np.array(tokens)
    rng, n = np.random.default_rng(0), len(tokens)
    checkpoints = pd.DataFrame({"revision": [f"step{k}" for k in range(n)], "tokens": tokens})
    curves = {
        "left_minus_right": (
            np.zeros(n),
            0.01 * rng.standard_normal((50, n)) if knows_runs else np.full((2, n), np.nan),
        ),
        "blimp": (np.linspace(0.5, 0.9, n), np.linspace(0.5, 0.9, n) + 0.01 * rng.standard_normal((50, n))),
        "zorro": (np.ones(n), np.ones((50, n)) - 0.001 * rng.random((50, n))),
        "hellaswag": (np.full(n, 0.3), np.full((2, n), np.nan)),
    }
    table, _ = transitions.compare(tokens, curves)
    points = transitions.points(checkpoints, curves, table)
    assert not np.isinf(points.select_dtypes("number")).any(axis=None)
    for figure in (
        figures.asymmetry_figure(points, "t"),
        figures.benchmark_figure(points, table, "t"),
        figures.transition_figure(table, "t"),
        figures.region_figure(
            points[points["curve"] == "blimp"].rename(columns={"value": "left_minus_right"}).assign(region="r"), "t"
        ),
    ):
        figure.canvas.draw()
        assert figure.axes[0].get_xlabel()
        plt.close(figure)


def test_more_curves_than_colours_can_be_told_apart():
    rows = [("prompt", f"prompt {k}", tokens, 0.1 * k, 0.1 * k, 0.1 * k) for k in range(8) for tokens in (1e3, 1e4)] + [
        ("judge", "one", tokens, 0.5, 0.4, 0.6) for tokens in (1e3, 1e4)
    ]
    points = pd.DataFrame(rows, columns=["by", "curve", "tokens", "value", "low", "high"])
    figure = figures.acceptability_figure(points, "t")
    styles = {(line.get_color(), line.get_marker()) for line in figure.axes[0].get_lines()}
    assert len(styles) == 8
    plt.close(figure)
