"""Make tables of transitions for many curves."""

import numpy as np
import pandas as pd

from pipeline.statistics.intervals import compute_interval


def tabulate_points(checkpoints, curves, table):
    """Every point of every curve with its 95 % interval, and scaled between the plateaus of its curve.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens.
    curves : dict from name to (curve, resamples)
        As for ``compare``.
    table : pandas.DataFrame
        As ``compare`` returns it. Of a curve that is flat, or not in the table, the scaled value is
        NaN; but of a flat benchmark, 0 is its mean, and 1 a perfect score.

    Returns
    -------
    pandas.DataFrame with columns curve, revision, tokens, value, low, high, scaled, scaled_low, scaled_high,
    and same_weights_as where the checkpoints have it
        A row per curve and checkpoint.
    """
    rows, of_curve = [], table.set_index("curve").to_dict("index")
    columns = [column for column in ("revision", "tokens", "same_weights_as") if column in checkpoints]
    for name, (curve, resamples) in curves.items():
        low, high = compute_interval(curve, resamples)
        of_points = checkpoints[columns].reset_index(drop=True)
        of_points = of_points.assign(curve=name, value=curve, low=low, high=high)
        plateaus = of_curve.get(name, {})
        first, last = plateaus.get("low", np.nan), plateaus.get("high", np.nan)
        if plateaus.get("is_flat") is True:
            is_benchmark = not name.startswith("left_minus_right")
            last = 1.0 if is_benchmark and first < 1 - 1e-9 else np.nan  # where all is right there is no room
        for column in ("value", "low", "high"):
            scaled = "scaled" if column == "value" else f"scaled_{column}"
            of_points[scaled] = (of_points[column] - first) / (last - first)
        rows.append(of_points)
    together = pd.concat(rows, ignore_index=True)
    last = [column for column in ("same_weights_as",) if column in together]
    return together[["curve", *(column for column in together if column not in ("curve", *last)), *last]]
