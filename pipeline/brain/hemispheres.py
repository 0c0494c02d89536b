"""Assign voxels to hemispheres, and compare left with right."""

import numpy as np
from nibabel.affines import apply_affine

from pipeline.brain.voxels import compute_positions, fill_volume
from pipeline.errors import InputError


def assign_hemispheres(mask_image, rule="position"):
    """Return which voxels belong to the left and to the right hemisphere, two bool arrays (n_voxels,).

    By position, left is x < 0 and right is x > 0 in MNI millimetres. A voxel on the midline belongs to neither.
    ``rule="halves"`` splits the list of voxels in two, as the published code does. Half of the midline then belongs to
    each side. InputError is raised if the rule is unknown, or the mask is not valid (see ``find_inside``).

    Parameters
    ----------
    mask_image : nibabel image (x, y, z)
    rule : {"position", "halves"}
    """
    x = compute_positions(mask_image)[:, 0]
    if rule == "halves":
        # The published masks are stored from left to right. Other masks may be stored in another order.
        left = np.zeros(len(x), dtype=bool)
        left[np.argsort(x, kind="stable")[: len(x) // 2]] = True
        return left, ~left
    if rule == "position":
        # An affine of rounded decimals may put the midline a rounding error away from 0.
        return x < -1e-3, x > 1e-3
    raise InputError(f"rule: expected position or halves, got {rule!r}")


def find_mirror_voxels(mask_image):
    """Find the voxel at each voxel's mirrored position (x to -x).

    InputError is raised if voxels and their mirrored positions do not lie on the same grid.

    Parameters
    ----------
    mask_image : nibabel image, whose grid must map onto itself when it is mirrored, as those of the published masks do

    Returns
    -------
    int array (n_voxels,), the index of the mirror image; -1 where the mirrored position lies outside the mask
    """
    positions = compute_positions(mask_image)
    places = apply_affine(np.linalg.inv(mask_image.affine), positions * [-1, 1, 1])  # in voxels of the image
    if not np.allclose(places, np.rint(places), atol=1e-3):
        raise InputError("the mask's grid is not symmetric about x = 0: resample it before hemispheres are mirrored")
    places = np.rint(places).astype(int)
    indices = np.nan_to_num(fill_volume(np.arange(len(positions)), mask_image), nan=-1).astype(int)
    is_on_grid = ((places >= 0) & (places < mask_image.shape)).all(axis=1)
    mirror = np.full(len(positions), -1)
    mirror[is_on_grid] = indices[tuple(places[is_on_grid].T)]
    return mirror


def average_sides(scores, left, right):
    """Compute the mean score of the voxels of each side. Voxels without a score do not count.

    InputError is raised if the scores have another number of voxels than the mask, or a side has no voxel.

    Parameters
    ----------
    scores : array (..., n_voxels), for example of checkpoints and voxels, or of layers and voxels
    left, right : bool array (n_voxels,), the reliable voxels of a hemisphere, or all voxels of a region

    Returns
    -------
    left, right : array (...)
    """
    if not scores.shape[-1] == len(left) == len(right):
        raise InputError(
            f"{scores.shape[-1]} voxels in the correlations and {len(left)} in the mask: they are not of the same study"
        )
    if not left.any() or not right.any():
        raise InputError("a side has no (reliable) voxel: mask and ISC are not of the same study")
    return np.nanmean(scores[..., left], axis=-1), np.nanmean(scores[..., right], axis=-1)


def subtract_mirror_voxels(scores, mask_image):
    """Subtract the score of each voxel's mirror image from the voxel's score.

    Parameters
    ----------
    scores : array (..., n_voxels)
    mask_image : nibabel image, as for ``find_mirror_voxels``, with the same InputError

    Returns
    -------
    array (..., n_voxels), left minus right on the left, right minus left on the right; NaN on the midline, and for
        voxels without a mirror image
    """
    mirror, (left, right) = find_mirror_voxels(mask_image), assign_hemispheres(mask_image)
    has_mirror = (left | right) & (mirror >= 0)
    difference = np.full(np.shape(scores), np.nan)
    difference[..., has_mirror] = scores[..., has_mirror] - scores[..., mirror[has_mirror]]
    return difference


def compute_mirror_log_ratios(scores, mask_image):
    """Compute the natural logarithm of each voxel's score, divided by the score of the voxel's mirror image.

    Parameters
    ----------
    scores : array (..., n_voxels)
    mask_image : nibabel image, as for ``find_mirror_voxels``, with the same InputError

    Returns
    -------
    array (..., n_voxels), log(left / right) on the left, log(right / left) on the right; NaN where either score is not
        above 0, on the midline, and for voxels without a mirror image
    """
    scores = np.asarray(scores, dtype=float)
    logarithms = np.full(scores.shape, np.nan)
    np.log(scores, out=logarithms, where=scores > 0)
    return subtract_mirror_voxels(logarithms, mask_image)
