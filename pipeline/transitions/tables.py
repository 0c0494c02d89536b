"""Tabulate the points of many curves, with intervals and scaled between their plateaus."""

import numpy as np
import pandas as pd

from pipeline.statistics.intervals import compute_interval, compute_simultaneous_band
from pipeline.transitions.comparison import BRAIN_CURVES

BAND = ("low_simultaneous", "high_simultaneous")
COLUMNS = (
    *("curve", "revision", "tokens", "value", "low", "high", *BAND),
    *("scaled", "scaled_low", "scaled_high", "same_weights_as"),
)


def tabulate_points(checkpoints, curves, table):
    """Tabulate every point of every curve with its 95 % intervals, and scaled between the plateaus of its curve.

    low and high are the pointwise interval, which holds for its checkpoint. low_simultaneous and high_simultaneous are
    the simultaneous band, which holds for the whole curve (``compute_simultaneous_band``).

    Scaled values are 0 at the plateau before the transition and 1 at the plateau after it. For a flat benchmark, 0 is
    its mean and 1 is a perfect score. They are NaN for other flat curves, and for curves without a row in the table.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns revision and tokens, and same_weights_as where it is known
    curves : dict from name to Curve
    table : pandas.DataFrame, as ``compare_curves`` returns it

    Returns
    -------
    pandas.DataFrame with a row per curve and checkpoint: curve, revision, tokens, value, low, high, low_simultaneous,
        high_simultaneous, scaled, scaled_low, scaled_high, and same_weights_as where the checkpoints have it
    """
    transitions = table.set_index("curve").to_dict("index")
    columns = [column for column in ("revision", "tokens", "same_weights_as") if column in checkpoints]
    tables = []
    for name, (values, resamples) in curves.items():
        low, high = compute_interval(values, resamples)
        points = checkpoints[columns].reset_index(drop=True)
        band = dict(zip(BAND, compute_simultaneous_band(values, resamples), strict=True))
        points = points.assign(curve=name, value=values, low=low, high=high, **band)
        before, after = _find_plateaus(name, transitions.get(name, {}))
        ends = ["low", "high"] if not after < before else ["high", "low"]  # of a curve that falls, scaled low is high
        points[["scaled", "scaled_low", "scaled_high"]] = (points[["value", *ends]] - before) / (after - before)
        tables.append(points)
    together = pd.concat(tables, ignore_index=True)
    return together[[column for column in COLUMNS if column in together]]


def _find_plateaus(name, transition):
    """Return the values of a curve that are scaled to 0 and 1."""
    before, after = transition.get("low", np.nan), transition.get("high", np.nan)
    if transition.get("is_flat") is True:
        after = (
            1.0 if name not in BRAIN_CURVES and before < 1 - 1e-9 else np.nan
        )  # a perfect score has no range above it
    return before, after
