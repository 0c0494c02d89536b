"""Compute controls of left minus right that a difference in reliability alone does not move, or moves less.

If the right differs from the left by nothing but a lower noise ceiling, left minus right is (k_left - k_right) times
what the model predicts. It rises when the model improves. log(left/right) is then log(k_left / k_right) at every
checkpoint: it does not rise.
"""

import numpy as np

from pipeline.brain.reliability import compute_ceilings, match_mirror_pairs
from pipeline.brain.scores import compute_side_curves
from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import MOST_MISSING

RELIABILITY_CONTROLS = (
    "log_left_right",
    "relative_asymmetry",
    "ceiling_left_minus_right",
    "ceiling_hemisphere_left_minus_right",
    "matched_left_minus_right",
)


def compute_control_curves(scores, left, right, blocks, isc, mask_image, *, isc_kind="prediction", n_resamples=1000):
    """Compute the controls of left minus right over training.

    All are resampled over the same runs and blocks as left minus right of ``compute_brain_curves``. Layers are chosen
    on other runs where runs are known, else at the published maximum.

    Parameters
    ----------
    scores : dict, as ``curves.compute_scores`` returns it
    left, right, blocks, n_resamples : as for ``compute_side_curves``, with the same InputError
    isc : array (n_trials, n_voxels)
    mask_image : nibabel image on a grid that is symmetric about x = 0 (else InputError)
    isc_kind : {"prediction", "halves"}, as for ``reliability.compute_ceilings``, with the same InputError

    Returns
    -------
    dict from name to Curve:
        mean : the mean of both sides
        log_left_right : log(left / right); NaN where a side is not above 0
        relative_asymmetry : (left - right) / (left + right); NaN where a side is not above 0
        ceiling_left_minus_right : each voxel divided by its noise ceiling, then left minus right. Voxels without a
            ceiling do not count.
        ceiling_hemisphere_left_minus_right : the mean of each side divided by the mean ceiling of the side, then left
            minus right
        matched_left_minus_right : left minus right over mirror pairs that are matched in ISC

    A control without a voxel on a side is NaN at all checkpoints.
    """
    values = scores["nested"] if "nested" in scores else scores["maximum"]
    is_drawn = (left | right) & np.isfinite(values).all(axis=(0, 1))
    resampling = {"blocks": blocks, "n_resamples": n_resamples, "drawn": is_drawn}
    sides = compute_side_curves(values, left, right, **resampling)
    ceilings = compute_ceilings(isc, isc_kind)
    has_ceiling = np.isfinite(ceilings)
    pairs = match_mirror_pairs(isc, left & is_drawn, right & is_drawn, mask_image)
    unknown = dict.fromkeys(sides, Curve(np.full(len(values), np.nan), np.full((n_resamples, len(values)), np.nan)))

    def compute_sides(numbers, lefts, rights):
        is_known = lefts.any() and rights.any()
        return compute_side_curves(numbers, lefts, rights, **resampling) if is_known else unknown

    with_ceiling = left & has_ceiling, right & has_ceiling
    by_voxel = compute_sides(values / ceilings, *with_ceiling)
    above = compute_sides(values, *with_ceiling)  # the same voxels, undivided
    below = compute_sides(np.broadcast_to(ceilings, (1, *values.shape[1:])), *with_ceiling)
    by_side = [_combine(np.divide, above[side], below[side]) for side in ("left", "right")]
    return {
        "mean": _combine(lambda lefts, rights: (lefts + rights) / 2, sides["left"], sides["right"]),
        "log_left_right": _combine(_compute_log_ratio, sides["left"], sides["right"]),
        "relative_asymmetry": _combine(_compute_relative_difference, sides["left"], sides["right"]),
        "ceiling_left_minus_right": by_voxel["left_minus_right"],
        "ceiling_hemisphere_left_minus_right": _combine(np.subtract, *by_side),
        "matched_left_minus_right": compute_sides(values, pairs.left, pairs.right)["left_minus_right"],
    }


def _combine(function, first, second):
    """Return the curve of a function of two curves with the same resamples."""
    return Curve(function(first.values, second.values), function(first.resamples, second.resamples))


def _keep_positive(lefts, rights):
    """Return both sides, NaN where either is not above 0."""
    is_positive = (lefts > 0) & (rights > 0)
    return np.where(is_positive, lefts, np.nan), np.where(is_positive, rights, np.nan)


def _compute_log_ratio(lefts, rights):
    """Return log(left / right), NaN where a side is not above 0."""
    return np.subtract(*np.log(_keep_positive(lefts, rights)))


def _compute_relative_difference(lefts, rights):
    """Return (left - right) / (left + right), NaN where a side is not above 0."""
    lefts, rights = _keep_positive(lefts, rights)
    return (lefts - rights) / (lefts + rights)


def has_interval(curve):
    """Return where a curve has a value and a 95 % interval, a bool array (n_checkpoints,)."""
    return np.isfinite(curve.values) & (np.isfinite(curve.resamples).mean(axis=0) >= 1 - MOST_MISSING)


def describe_control_gaps(curves, revisions):
    """List the checkpoints at which a control has no value or no interval, a sentence for each control with a gap.

    Parameters
    ----------
    curves : dict from name to Curve, as ``compute_control_curves`` returns it
    revisions : sequence of n_checkpoints str
    """
    reasons = dict.fromkeys(
        ("log_left_right", "relative_asymmetry"),
        "the mean of a side is not above 0, there or in more than one of twenty resamples",
    )
    sentences = []
    for name, curve in curves.items():
        has_gap = ~has_interval(curve)
        if not np.isfinite(curve.resamples).any():
            if not np.isfinite(curve.values).any():
                sentences.append(f"{name}: not known, since a side has no voxel for it")
        elif has_gap.any():
            places = ", ".join(np.asarray(revisions, dtype=str)[has_gap])
            reason = reasons.get(name, "more than one of twenty resamples contains no voxel of a side")
            sentences.append(f"{name}: no interval at {places}, since {reason}")
    return sentences
