"""Locate voxels in a mask and in MNI space, fill volumes, and make blocks of neighbours for the bootstrap."""

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from pipeline.errors import InputError


def find_inside(mask_image):
    """Return which voxels of an image lie inside a mask.

    Parameters
    ----------
    mask_image : nibabel image of shape (x, y, z)
        Non-zero inside the brain. Its voxels in C order are the columns of every voxel array.

    Returns
    -------
    bool array of shape (x, y, z)

    Raises
    ------
    InputError
        The image has other than three dimensions, or no voxel lies inside.
    """
    inside = np.asarray(mask_image.dataobj) != 0
    if inside.ndim != 3 or not inside.any():
        raise InputError(
            f"the mask: expected voxels inside, in three dimensions, got {inside.sum()} in shape {inside.shape}. "
            "Get it again"
        )
    return inside


def compute_positions(mask_image):
    """Compute the positions of a mask's voxels, in the order of every voxel array.

    Parameters
    ----------
    mask_image : nibabel image of shape (x, y, z)
        As for ``find_inside``.

    Returns
    -------
    float array of shape (n_voxels, 3), MNI millimetres

    Raises
    ------
    InputError
        As for ``find_inside``.
    """
    return apply_affine(mask_image.affine, np.argwhere(find_inside(mask_image)))


def fill_volume(values, mask_image):
    """Return a volume with these values in the voxels of a mask.

    Parameters
    ----------
    values : array of shape (n_voxels,)
    mask_image : nibabel image of shape (x, y, z)
        As for ``find_inside``.

    Returns
    -------
    float array of shape (x, y, z)
        NaN outside the mask. float32 for float32 values, else float64.

    Raises
    ------
    InputError
        As for ``find_inside``.
    """
    values = np.asarray(values)
    volume = np.full(mask_image.shape, np.nan, dtype=values.dtype if values.dtype == np.float32 else float)
    volume[find_inside(mask_image)] = values
    return volume


def make_blocks(mask_image, edge_mm=20.0):
    """Make blocks for resampling: cubes of neighbouring voxels, together with their mirror images.

    Neighbouring voxels resemble each other, and so do mirror images. Resampling single voxels would make
    intervals too narrow.

    Parameters
    ----------
    mask_image : nibabel image
    edge_mm : float
        Edge of a cube.

    Returns
    -------
    int array of shape (n_voxels,)
        The block of each voxel, numbered from 0.
    """
    x, y, z = compute_positions(mask_image).T
    cubes = np.floor(np.stack([np.abs(x), y, z], axis=1) / edge_mm)
    return np.unique(cubes, axis=0, return_inverse=True)[1].ravel()


def tabulate_voxels(mask_image, checkpoints, scores, differences, **columns):
    """Tabulate the values of all maps, a row per voxel.

    Parameters
    ----------
    mask_image : nibabel image
    checkpoints : pandas.DataFrame
        With the column revision.
    scores, differences : arrays of shape (n_checkpoints, n_voxels)
        Brain scores, and what ``subtract_mirror_voxels`` returns for the scores.
    columns : arrays of shape (n_voxels,)
        Further columns, by name.

    Returns
    -------
    pandas.DataFrame with columns x, y, z (MNI, millimetres), the further columns, then score_{revision} and
    asymmetry_{revision} for every checkpoint
    """
    table = pd.DataFrame(compute_positions(mask_image), columns=["x", "y", "z"]).assign(**columns)
    maps: dict[str, np.ndarray] = {}
    for revision, score, difference in zip(checkpoints["revision"], scores, differences, strict=True):
        maps |= {f"score_{revision}": score, f"asymmetry_{revision}": difference}
    return pd.concat([table, pd.DataFrame(maps).astype(np.float32)], axis=1)
