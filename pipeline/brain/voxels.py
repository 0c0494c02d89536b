"""Locate voxels in a mask and in MNI space, fill volumes, and make blocks of neighbours for the bootstrap."""

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from pipeline.errors import InputError


def find_inside(mask_image):
    """Return which voxels of an image (x, y, z) lie inside a mask, a bool array of the same shape.

    The mask is non-zero inside the brain. Its voxels in C order are the columns of every voxel array. An image with
    other than three dimensions, or without a voxel inside, raises InputError.
    """
    inside = np.asarray(mask_image.dataobj) != 0
    if inside.ndim != 3 or not inside.any():
        raise InputError(
            f"the mask: expected voxels inside, in three dimensions, got {inside.sum()} in shape {inside.shape}. "
            "Get it again"
        )
    return inside


def compute_positions(mask_image):
    """Compute the positions of a mask's voxels (see ``find_inside``): float array (n_voxels, 3), MNI millimetres."""
    return apply_affine(mask_image.affine, np.argwhere(find_inside(mask_image)))


def fill_volume(values, mask_image):
    """Return a volume (x, y, z) with values (n_voxels,) in the voxels of a mask (see ``find_inside``), NaN outside.

    The volume is float32 for float32 values, else float64.
    """
    values = np.asarray(values)
    volume = np.full(mask_image.shape, np.nan, dtype=values.dtype if values.dtype == np.float32 else float)
    volume[find_inside(mask_image)] = values
    return volume


def make_blocks(mask_image, edge_mm=40.0):
    """Make blocks for resampling: cubes of neighbouring voxels, together with their mirror images.

    Neighbouring voxels resemble each other, and so do mirror images. Resampling single voxels would make intervals too
    narrow. Blocks of 20 mm are also too small. The standard error of left minus right of the published ISC, over
    reliable voxels, grows with the edge:

        edge (mm)   12     16     20     30     40     50     60
        English     .0033  .0038  .0038  .0049  .0055  .0061  .0088
        French      .0029  .0031  .0028  .0034  .0038  .0044  .0048

    Blocks of 40 mm give 31 and 33 blocks with reliable voxels. Blocks of 60 mm give 17, too few for the bootstrap.

    Parameters
    ----------
    mask_image : nibabel image, as for ``find_inside``, with the same InputError
    edge_mm : float, the edge of a cube

    Returns
    -------
    int array (n_voxels,), the block of each voxel, numbered from 0
    """
    x, y, z = compute_positions(mask_image).T
    cubes = np.floor(np.stack([np.abs(x), y, z], axis=1) / edge_mm)
    return np.unique(cubes, axis=0, return_inverse=True)[1].ravel()


def count_blocks(blocks, voxels):
    """Count the blocks (int array (n_voxels,)) that contain some of these voxels (bool array (n_voxels,))."""
    return len(np.unique(blocks[voxels]))


def tabulate_voxels(mask_image, checkpoints, scores, differences, **columns):
    """Tabulate the values of all maps, a row per voxel.

    Parameters
    ----------
    mask_image : nibabel image
    checkpoints : pandas.DataFrame with the column revision
    scores, differences : array (n_checkpoints, n_voxels), brain scores, and their ``subtract_mirror_voxels``
    columns : array (n_voxels,) for each further column, by name

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
