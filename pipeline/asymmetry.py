"""From voxel correlations to hemispheres: reliable voxels, best layer, left minus right."""

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from pipeline import BadInput

RELIABLE_PERCENTILE = 75


def voxel_positions(mask_img):
    """MNI coordinates of the voxels of a mask, in the order of every voxel array.

    Parameters
    ----------
    mask_img : nibabel image of shape (x, y, z)
        Non-zero inside the brain; its voxels in C order are the columns of the fMRI.

    Returns
    -------
    float array of shape (n_voxels, 3), millimetres
    """
    inside = np.asarray(mask_img.dataobj) != 0
    if inside.ndim != 3 or not inside.any():
        raise BadInput(f"a mask of shape {inside.shape} with {inside.sum()} voxels inside is no brain mask")
    return apply_affine(mask_img.affine, np.argwhere(inside))


def hemispheres(mask_img, rule="position"):
    """Which voxels belong to the left and to the right hemisphere.

    By position, left is x < 0 and right x > 0 in MNI millimetres, and a voxel on the midline
    belongs to neither. ``rule="halves"`` splits the list of voxels in two, as the published code
    does: the midline then goes half to one side and half to the other.

    Parameters
    ----------
    mask_img : nibabel image
    rule : {"position", "halves"}

    Returns
    -------
    left, right : bool arrays of shape (n_voxels,)
    """
    x = voxel_positions(mask_img)[:, 0]
    if rule == "halves":
        left = np.arange(len(x)) < len(x) // 2
        return left, ~left
    if rule == "position":
        # An affine made of decimals may put the midline a rounding error away from 0.
        return x < -1e-3, x > 1e-3
    raise BadInput(f"unknown rule {rule!r} for hemispheres: choose position or halves")


def reliable_voxels(isc, percentile=RELIABLE_PERCENTILE):
    """Voxels whose inter-subject correlation, averaged over trials, is above a percentile.

    Parameters
    ----------
    isc : array of shape (n_trials, n_voxels)
    percentile : float

    Returns
    -------
    bool array of shape (n_voxels,)
    """
    isc = np.asarray(isc)
    if isc.ndim != 2 or not np.isfinite(isc).all():
        raise BadInput(f"an ISC of shape {isc.shape} is not (n_trials, n_voxels) of finite numbers")
    mean_isc = isc.mean(axis=0)
    return mean_isc > np.percentile(mean_isc, percentile)


def brain_scores(correlations):
    """A voxel's score: its correlation at its best layer.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_voxels)
        Averaged over left-out runs. A voxel that is NaN in every layer stays NaN.

    Returns
    -------
    array of shape (n_voxels,)
    """
    return np.fmax.reduce(correlations, axis=0)


def left_right(scores, left, right, reliable):
    """Mean score of the reliable voxels of each hemisphere; voxels without a score do not count.

    Parameters
    ----------
    scores : array of shape (..., n_voxels)
        Of voxels, or of layers and voxels.
    left, right, reliable : bool arrays of shape (n_voxels,)

    Returns
    -------
    left, right : arrays of shape (...)

    Raises
    ------
    BadInput
        The voxels are not as many as the mask's, or a hemisphere has no reliable one.
    """
    if not scores.shape[-1] == len(left) == len(right) == len(reliable):
        raise BadInput(
            f"{scores.shape[-1]} voxels in the correlations, {len(left)} in the mask and {len(reliable)} in the ISC: "
            "they are not of the same study"
        )
    if not (left & reliable).any() or not (right & reliable).any():
        raise BadInput("a hemisphere has no reliable voxel: mask and ISC are not of the same study")
    return np.nanmean(scores[..., left & reliable], axis=-1), np.nanmean(scores[..., right & reliable], axis=-1)


def best_layer(correlations, voxels):
    """The layer that predicts some voxels best on average.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_voxels)
    voxels : bool array of shape (n_voxels,)

    Returns
    -------
    int
    """
    return int(np.nanmean(correlations[:, voxels], axis=1).argmax())


def resampled_left_right(correlations, left, right, reliable, n_resamples=1000, seed=0):
    """Hemisphere scores of resampled studies, whose left-out runs are drawn with replacement.

    Every resampled study chooses its best layers anew, as the real one does. The same seed draws
    the same runs for every checkpoint, so that differences between checkpoints are paired.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_runs, n_voxels)
    left, right, reliable : bool arrays of shape (n_voxels,)
    n_resamples, seed : int

    Returns
    -------
    lefts, rights : arrays of shape (n_resamples,)
    """
    n_runs = correlations.shape[1]
    counts = np.random.default_rng(seed).multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n_resamples)
    kept = reliable & (left | right)
    correlations = correlations[:, :, kept].astype(np.float32)
    left, right, reliable = left[kept], right[kept], reliable[kept]
    studies = []
    for weights in (counts / n_runs).astype(np.float32):  # (n_runs,)
        scores = brain_scores(np.einsum("r,lrv->lv", weights, correlations))
        studies.append(left_right(scores, left, right, reliable))
    lefts, rights = np.array(studies).T
    return lefts, rights


def asymmetry_curve(checkpoints, correlations, left, right, reliable, n_resamples=1000):
    """Brain scores of both hemispheres and their difference over training.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens.
    correlations : iterable over checkpoints of array of shape (n_layers, n_runs, n_voxels)
        With a single run, only averages over runs are known, and no interval can be given.
    left, right, reliable : bool arrays of shape (n_voxels,)
    n_resamples : int

    Returns
    -------
    pandas.DataFrame with columns revision, tokens, left, right, left_minus_right, low, high
        low and high enclose 95 % of the differences of studies with resampled runs.
    """
    rows = []
    for of_checkpoint in correlations:
        score_left, score_right = left_right(brain_scores(of_checkpoint.mean(axis=1)), left, right, reliable)
        low = high = np.nan
        if of_checkpoint.shape[1] > 1:
            lefts, rights = resampled_left_right(of_checkpoint, left, right, reliable, n_resamples)
            low, high = np.percentile(lefts - rights, [2.5, 97.5])
        rows.append((score_left, score_right, score_left - score_right, low, high))
    curve = pd.DataFrame(rows, columns=["left", "right", "left_minus_right", "low", "high"])
    return pd.concat([checkpoints[["revision", "tokens"]].reset_index(drop=True), curve], axis=1)
