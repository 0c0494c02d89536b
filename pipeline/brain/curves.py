"""Brain scores over training for both choices of layers: on other runs, and at the published maximum.

The highest of several noisy layers promises more than there is: where fMRI is nothing but noise, it gives a
correlation above 0. A layer that is chosen on other runs promises less. So this choice (``nested``) comes first
in tables, figures and words, and the published one (the maximum over layers) stands next to it.

Nested scores are not quite free of that. The models that predict the other runs were trained on this run, too.
In noise, how well run r predicts run s and how well s predicts r are one number, so that a layer that is good at
the other runs by chance is good at this one by the same chance. For n runs, noise alone then gives
sqrt(n / (2 (2 n - 3))) of what the maximum gives: 55 % for nine runs, 71 % for three. In left minus right, both
sides have the same share of it. A choice that is free of it needs fits that leave out two runs at a time.
"""

from pipeline.brain.scores import compute_brain_scores, compute_side_curves
from pipeline.statistics.intervals import compute_interval

SIDES = ("left", "right", "left_minus_right")


def compute_scores(correlations):
    """Compute brain scores for both choices of layers.

    Parameters
    ----------
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)

    Returns
    -------
    dict from "nested" and "maximum" to float32 array of shape (n_checkpoints, n_runs, n_voxels)
        As ``asymmetry.brain_scores`` returns it. Without "nested" where only averages over runs are known of
        some checkpoint.

    Raises
    ------
    InputError
        As for ``asymmetry.brain_scores``.
    """
    maximum = compute_brain_scores(correlations, best_layer="maximum")
    if maximum.shape[1] == 1:
        return {"maximum": maximum}
    return {"nested": compute_brain_scores(correlations, best_layer="nested"), "maximum": maximum}


def compute_brain_curves(scores, left, right, blocks, n_resamples=1000):
    """Compute both sides and their difference over training, for both choices of layers.

    Parameters
    ----------
    scores : dict
        As ``scores_by_choice`` returns it.
    left, right, blocks, n_resamples
        As for ``asymmetry.side_curves``.

    Returns
    -------
    dict from name to (curve, resamples)
        Arrays of shape (n_checkpoints,) and (n_resamples, n_checkpoints). The names are left_nested,
        right_nested and left_minus_right_nested, where runs are known; then left, right and
        left_minus_right. The same runs and blocks are drawn for both choices.

    Raises
    ------
    InputError
        As for ``asymmetry.left_right``.
    """
    curves: dict = {}
    for choice, suffix in [("nested", "_nested"), ("maximum", "")]:
        if choice in scores:
            sides = compute_side_curves(scores[choice], left, right, blocks, n_resamples)
            curves |= {f"{name}{suffix}": curve for name, curve in sides.items()}
    return curves


def tabulate_asymmetry(checkpoints, curves):
    """Write both sides and their difference over training as a table.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens; same_weights_as is kept where it is there.
    curves : dict
        As ``brain_curves`` returns it.

    Returns
    -------
    pandas.DataFrame with a row per checkpoint
        revision, tokens; left, right, left_minus_right (at the best layer, as published), low, high; and where
        runs are known left_nested, right_nested, left_minus_right_nested, low_nested, high_nested (layers
        chosen on other runs); then same_weights_as. low and high, with and without "_nested", enclose 95 % of
        the differences of resampled studies; NaN where only averages over runs are known.
    """
    columns: dict = {}
    for suffix in ("", "_nested"):
        if f"left{suffix}" in curves:
            columns |= {f"{name}{suffix}": curves[f"{name}{suffix}"][0] for name in SIDES}
            difference = curves[f"left_minus_right{suffix}"]
            columns[f"low{suffix}"], columns[f"high{suffix}"] = compute_interval(*difference)
    return add_checkpoints(checkpoints, columns)


def add_checkpoints(checkpoints, columns):
    """Put columns between revision and tokens of the checkpoints and, where there is one, same_weights_as."""
    table = checkpoints[["revision", "tokens"]].reset_index(drop=True).assign(**columns)
    if "same_weights_as" in checkpoints:
        table["same_weights_as"] = checkpoints["same_weights_as"].to_numpy()
    return table
