"""Locate voxels: their positions in MNI space, and blocks of neighbours for the bootstrap."""

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from pipeline.errors import InputError


def compute_positions(mask_img):
    """MNI coordinates of the voxels of a mask, in the order of every voxel array.

    Parameters
    ----------
    mask_img : nibabel image of shape (x, y, z)
        Non-zero inside the brain; its voxels in C order are the columns of the fMRI.

    Returns
    -------
    float array of shape (n_voxels, 3), millimetres

    Raises
    ------
    InputError
        The image is not of three dimensions, or nothing is inside.
    """
    inside = np.asarray(mask_img.dataobj) != 0
    if inside.ndim != 3 or not inside.any():
        raise InputError(f"a mask of shape {inside.shape} with {inside.sum()} voxels inside is no brain mask")
    return apply_affine(mask_img.affine, np.argwhere(inside))


def fill_volume(values, mask_image):
    """Return a volume with values at the voxels of a mask.

    Parameters
    ----------
    values : array of shape (n_voxels,)
    mask_image : nibabel image of shape (x, y, z)
        Its voxels in C order are those of the values.

    Returns
    -------
    float array of shape (x, y, z)
        NaN outside the mask. float32 values stay float32.
    """
    volume = np.full(mask_image.shape, np.nan, dtype=np.result_type(values, np.float32))
    volume[np.asarray(mask_image.dataobj) != 0] = values
    return volume


def make_blocks(mask_img, edge_mm=20.0):
    """Cubes of neighbouring voxels, for resampling; a cube has its mirror image in it.

    Neighbouring voxels are alike, and so are mirror images: to draw voxels one by one would promise
    more certainty than there is.

    Parameters
    ----------
    mask_img : nibabel image
    edge_mm : float
        Of a cube, millimetres.

    Returns
    -------
    int array of shape (n_voxels,)
        Numbers from 0.
    """
    x, y, z = compute_positions(mask_img).T
    cubes = np.floor(np.stack([np.abs(x), y, z], axis=1) / edge_mm)
    return np.unique(cubes, axis=0, return_inverse=True)[1].ravel()


def tabulate_voxels(mask_img, checkpoints, scores, differences, **columns):
    """The numbers of all maps, a row per voxel.

    Parameters
    ----------
    mask_img : nibabel image
    checkpoints : pandas.DataFrame
        With the column revision.
    scores, differences : arrays of shape (n_checkpoints, n_voxels)
        Brain scores, and ``mirrored_difference`` of them.
    columns : arrays of shape (n_voxels,)
        More, by name.

    Returns
    -------
    pandas.DataFrame with columns x, y, z (MNI, millimetres), those given, then score_{revision} and
    asymmetry_{revision} for every checkpoint
    """
    table = pd.DataFrame(compute_positions(mask_img), columns=["x", "y", "z"]).assign(**columns)
    maps: dict[str, np.ndarray] = {}
    for revision, of_checkpoint, difference in zip(checkpoints["revision"], scores, differences, strict=True):
        maps |= {f"score_{revision}": of_checkpoint, f"asymmetry_{revision}": difference}
    return pd.concat([table, pd.DataFrame(maps).astype(np.float32)], axis=1)
