"""Compute brain scores over training for both choices of layers: on other runs, and at the published maximum.

The highest correlation of several noisy layers is biased upwards: in fMRI of pure noise, it is above 0. A layer
that is chosen on other runs has less bias. So this choice (``nested``) comes first in tables, figures and words,
and the published choice (the maximum over layers) comes second.

Nested scores keep a part of the bias, since the models of the other runs were trained on the held-out run too.
In noise, run r predicts run s exactly as well as s predicts r. So a layer that fits the other runs by chance also
fits the held-out run by chance. For n runs, noise alone then gives sqrt(n / (2 (2 n - 3))) of the maximum's bias:
55 % for nine runs, 71 % for three. Left and right have the same share of this bias. A choice without bias needs
fits that hold out two runs at a time.
"""

import numpy as np

from pipeline.brain.scores import add_checkpoints, compute_brain_scores, compute_side_curves
from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval

SIDES = ("left", "right", "left_minus_right")
CONTROL_COLUMNS = (
    "mean",
    "log_left_right",
    "relative_asymmetry",
    "ceiling_left_minus_right",
    "matched_left_minus_right",
    "unique_left_minus_right",
    "surprisal",
    "ceiling_hemisphere_left_minus_right",
)


def compute_scores(correlations):
    """Compute brain scores for both choices of layers.

    Parameters
    ----------
    correlations : list over checkpoints of array (n_layers, n_runs, n_voxels)

    Returns
    -------
    dict from "nested" and "maximum" to float32 array (n_checkpoints, n_runs, n_voxels), from ``compute_brain_scores``
        (which raises InputError); without "nested" where only averages over runs are known of some checkpoint
    """
    maximum = compute_brain_scores(correlations, best_layer="maximum")
    if maximum.shape[1] == 1:
        return {"maximum": maximum}
    return {"nested": compute_brain_scores(correlations, best_layer="nested"), "maximum": maximum}


def compute_brain_curves(scores, left, right, blocks, n_resamples=1000):
    """Compute both sides and their difference over training, for both choices of layers.

    Parameters
    ----------
    scores : dict, as ``compute_scores`` returns it
    left, right, blocks, n_resamples : as for ``compute_side_curves``, with the same InputError

    Returns
    -------
    dict from name to Curve: left_nested, right_nested and left_minus_right_nested where runs are known, then left,
        right and left_minus_right. The same runs and blocks are drawn for both choices.
    """
    curves: dict[str, Curve] = {}
    for choice, suffix in [("nested", "_nested"), ("maximum", "")]:
        if choice in scores:
            sides = compute_side_curves(scores[choice], left, right, blocks=blocks, n_resamples=n_resamples)
            curves |= {f"{name}{suffix}": curve for name, curve in sides.items()}
    return curves


def tabulate_asymmetry(checkpoints, curves, controls=None):
    """Tabulate both sides and their difference over training, with their controls.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns revision and tokens, and same_weights_as where it is known
    curves : dict, as ``compute_brain_curves`` returns it
    controls : dict from name to Curve, such as ``controls.compute_control_curves`` returns it, with further curves
        where they are known. None adds no columns.

    Returns
    -------
    pandas.DataFrame with a row per checkpoint: revision and tokens. left, right, left_minus_right, low and high at the
        best layer, as published. The same five with "_nested" where runs are known, with layers chosen on other runs.
        Then NAME, NAME_low and NAME_high for each of CONTROL_COLUMNS, NaN for a curve that is not in controls, and for
        every further curve in controls. Then same_weights_as. low and high are the 95 % interval of left minus right,
        NaN where only averages over runs are known.
    """
    columns: dict[str, np.ndarray] = {}
    for suffix in ("", "_nested"):
        if f"left{suffix}" in curves:
            columns |= {f"{name}{suffix}": curves[f"{name}{suffix}"].values for name in SIDES}
            low, high = compute_interval(*curves[f"left_minus_right{suffix}"])
            columns |= {f"low{suffix}": low, f"high{suffix}": high}
    if controls is not None:
        unknown = Curve(np.full(len(checkpoints), np.nan), np.full((1, len(checkpoints)), np.nan))
        for name in dict.fromkeys([*CONTROL_COLUMNS, *controls]):
            curve = controls.get(name, unknown)
            low, high = compute_interval(*curve)
            columns |= {name: curve.values, f"{name}_low": low, f"{name}_high": high}
    return add_checkpoints(checkpoints, columns)
