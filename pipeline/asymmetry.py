"""From voxel correlations to hemispheres: reliable voxels, best layer, left minus right."""

import numpy as np
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
    """A voxel's score: the highest over layers of its correlation averaged over left-out runs.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_voxels)
        Averaged over runs. A voxel that is NaN in every layer stays NaN.

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
    left, right, reliable : bool arrays of shape (n_voxels,)

    Returns
    -------
    left, right : arrays of shape (...)
    """
    if not (left & reliable).any() or not (right & reliable).any():
        raise BadInput("a hemisphere has no reliable voxel: mask and ISC do not belong together")
    return np.nanmean(scores[..., left & reliable], axis=-1), np.nanmean(scores[..., right & reliable], axis=-1)


def resampled_left_right(correlations, left, right, reliable, n_resamples=1000, seed=0):
    """Hemisphere scores of resampled studies: left-out runs drawn with replacement.

    The layers are chosen anew in every resampled study, as in the real one. The same seed draws
    the same runs for every checkpoint, so that differences between checkpoints are paired.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_runs, n_voxels)
    left, right, reliable : bool arrays of shape (n_voxels,)

    Returns
    -------
    left, right : arrays of shape (n_resamples,)
    """
    n_layers, n_runs, n_voxels = correlations.shape
    counts = np.random.default_rng(seed).multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n_resamples)
    lefts, rights = np.empty(n_resamples), np.empty(n_resamples)
    kept = reliable & (left | right)
    correlations = correlations[:, :, kept].astype(np.float32)
    weights = (counts / n_runs).astype(np.float32)  # (n_resamples, n_runs)
    for k in range(n_resamples):
        scores = brain_scores(np.einsum("r,lrv->lv", weights[k], correlations))
        lefts[k], rights[k] = left_right(scores, left[kept], right[kept], reliable[kept])
    return lefts, rights
