"""Assign voxels to hemispheres, and compare left with right."""

import numpy as np
from nibabel.affines import apply_affine

from pipeline.brain.voxels import compute_positions
from pipeline.errors import InputError


def assign_hemispheres(mask_img, rule="position"):
    """Which voxels belong to the left and to the right hemisphere.

    By position, left is x < 0 and right x > 0 in MNI millimetres, and a voxel on the midline
    belongs to neither. ``rule="halves"`` splits the list of voxels in two, as the published code
    does: the midline then goes half to one side and half to the other.

    Parameters
    ----------
    mask_img : nibabel image of shape (x, y, z)
    rule : {"position", "halves"}

    Returns
    -------
    left, right : bool arrays of shape (n_voxels,)

    Raises
    ------
    InputError
        There is no such rule, or the mask is none (see ``voxel_positions``).
    """
    x = compute_positions(mask_img)[:, 0]
    if rule == "halves":
        # The published masks are stored from left to right; in whatever order another one is, left is left.
        left = np.zeros(len(x), dtype=bool)
        left[np.argsort(x, kind="stable")[: len(x) // 2]] = True
        return left, ~left
    if rule == "position":
        # An affine made of decimals may put the midline a rounding error away from 0.
        return x < -1e-3, x > 1e-3
    raise InputError(f"unknown rule {rule!r} for hemispheres: choose position or halves")


def find_mirror_voxels(mask_img):
    """The voxel at each voxel's mirrored position (x to -x), or -1 where that is outside the mask.

    Parameters
    ----------
    mask_img : nibabel image
        Its grid must map onto itself when it is mirrored, as the published masks' does.

    Returns
    -------
    int array of shape (n_voxels,)

    Raises
    ------
    InputError
        Voxels and their mirrored positions do not lie on the same grid.
    """
    positions = compute_positions(mask_img)
    places = apply_affine(np.linalg.inv(mask_img.affine), positions * [-1, 1, 1])  # in voxels of the image
    if not np.allclose(places, np.rint(places), atol=1e-3):
        raise InputError("the mask's grid is not symmetric about x = 0: resample it before hemispheres are mirrored")
    places = np.rint(places).astype(int)
    number = np.full(mask_img.shape, -1)
    number[np.asarray(mask_img.dataobj) != 0] = np.arange(len(positions))
    on_grid = ((places >= 0) & (places < mask_img.shape)).all(axis=1)
    found = np.full(len(positions), -1)
    found[on_grid] = number[tuple(places[on_grid].T)]
    return found


def average_sides(scores, left, right):
    """Mean score of the voxels of each side; voxels without a score do not count.

    Parameters
    ----------
    scores : array of shape (..., n_voxels)
        Of checkpoints, or of layers, and voxels.
    left, right : bool arrays of shape (n_voxels,)
        The voxels of each side: the reliable ones of a hemisphere, or all of a region.

    Returns
    -------
    left, right : arrays of shape (...)

    Raises
    ------
    InputError
        The voxels are not as many as the mask's, or a side has none.
    """
    if not scores.shape[-1] == len(left) == len(right):
        raise InputError(
            f"{scores.shape[-1]} voxels in the correlations and {len(left)} in the mask: they are not of the same study"
        )
    if not left.any() or not right.any():
        raise InputError("a side has no (reliable) voxel: mask and ISC are not of the same study")
    return np.nanmean(scores[..., left], axis=-1), np.nanmean(scores[..., right], axis=-1)


def subtract_mirror_voxels(scores, mask_img):
    """Each voxel of the left minus its mirror image on the right.

    Parameters
    ----------
    scores : array of shape (..., n_voxels)
    mask_img : nibabel image

    Returns
    -------
    array of shape (..., n_voxels)
        On the right, the same with the sign turned; NaN on the midline, and where there is no mirror image.

    Raises
    ------
    InputError
        The mask's grid is not symmetric (see ``mirrored``).
    """
    mirror, (left, right) = find_mirror_voxels(mask_img), assign_hemispheres(mask_img)
    has_one = (left | right) & (mirror >= 0)
    difference = np.full(np.shape(scores), np.nan)
    difference[..., has_one] = scores[..., has_one] - scores[..., mirror[has_one]]
    return difference
