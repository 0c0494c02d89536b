"""Tabulate the points of many curves, with intervals and scaled between their plateaus."""

import numpy as np
import pandas as pd

from pipeline.statistics.intervals import compute_interval


def tabulate_points(checkpoints, curves, table):
    """Tabulate every point of every curve with its 95 % interval, and scaled between the plateaus of its curve.

    Scaled values are 0 at the plateau before the transition and 1 at the plateau after it. For a flat benchmark, 0 is
    its mean and 1 is a perfect score. They are NaN for other flat curves, and for curves without a row in the table.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns revision and tokens, and same_weights_as where it is known
    curves : dict from name to Curve
    table : pandas.DataFrame, as ``compare_curves`` returns it

    Returns
    -------
    pandas.DataFrame with a row per curve and checkpoint: curve, revision, tokens, value, low, high, scaled, scaled_low,
        scaled_high, and same_weights_as where the checkpoints have it
    """
    transitions = table.set_index("curve").to_dict("index")
    columns = [column for column in ("revision", "tokens", "same_weights_as") if column in checkpoints]
    tables = []
    for name, (values, resamples) in curves.items():
        low, high = compute_interval(values, resamples)
        points = checkpoints[columns].reset_index(drop=True)
        points = points.assign(curve=name, value=values, low=low, high=high)
        before, after = _find_plateaus(name, transitions.get(name, {}))
        points[["scaled", "scaled_low", "scaled_high"]] = (points[["value", "low", "high"]] - before) / (after - before)
        tables.append(points)
    together = pd.concat(tables, ignore_index=True)
    names = "curve revision tokens value low high scaled scaled_low scaled_high same_weights_as".split()
    return together[[column for column in names if column in together]]


def _find_plateaus(name, transition):
    """Return the values of a curve that are scaled to 0 and 1."""
    before, after = transition.get("low", np.nan), transition.get("high", np.nan)
    if transition.get("is_flat") is True:
        is_benchmark = not name.startswith("left_minus_right")
        after = 1.0 if is_benchmark and before < 1 - 1e-9 else np.nan  # a perfect score has no range above it
    return before, after
