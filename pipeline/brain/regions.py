"""Define regions of the brain as sets of voxels: language regions, cerebellum, an atlas."""

import numpy as np
from nibabel.affines import apply_affine

from pipeline.brain.hemispheres import assign_hemispheres, find_mirror_voxels
from pipeline.brain.voxels import compute_positions
from pipeline.errors import InputError

# Centres of the language regions of the left hemisphere (MNI, millimetres), as in Bonnasse-Gahot &
# Pallier. The regions of the right are their mirror images.
LANGUAGE_REGIONS = {
    "TP": (-48, 15, -27),
    "aSTS": (-54, -12, -12),
    "pSTS": (-51, -39, 3),
    "AG/TPJ": (-52, -56, 22),
    "BA44": (-50, 12, 16),
    "BA45": (-52, 28, 10),
    "BA47": (-44, 34, -8),
}


def make_spheres(mask_image, centres=LANGUAGE_REGIONS, radius_mm=10):
    """Make spheres around centres on either side, (x, y, z) in MNI millimetres, and around their mirror images.

    The result is a dict from the name of a centre to (left, right), bool arrays (n_voxels,).
    """
    positions = compute_positions(mask_image)

    def is_near(x, y, z):
        return np.linalg.norm(positions - [x, y, z], axis=1) <= radius_mm

    return {name: (is_near(-abs(x), y, z), is_near(abs(x), y, z)) for name, (x, y, z) in centres.items()}


def make_atlas_regions(mask_image, atlas_image):
    """Make regions from the left side of an atlas, and from their mirror images on the right.

    Atlases differ in how they label the two sides. So only the labels on the left count here, and the right side of a
    region is the mirror image of its left side. InputError is raised if the mask's grid is not symmetric, or the atlas
    has no region on the left of the mask.

    Parameters
    ----------
    mask_image : nibabel image
    atlas_image : nibabel image of whole numbers, 0 outside all regions. The grid may differ: every voxel of the mask
        takes the label at its position.

    Returns
    -------
    dict from label (int) to (left, right), bool arrays (n_voxels,), of voxels whose mirror image lies in the mask;
        labels without such voxels are omitted
    """
    atlas = np.asarray(atlas_image.dataobj)
    places = np.rint(apply_affine(np.linalg.inv(atlas_image.affine), compute_positions(mask_image))).astype(int)
    is_on_grid = ((places >= 0) & (places < atlas.shape)).all(axis=1)
    labels = np.zeros(len(places), dtype=int)
    labels[is_on_grid] = np.rint(atlas[tuple(places[is_on_grid].T)]).astype(int)
    if not labels.any():
        raise InputError("the atlas has no region in the mask: expected whole numbers at MNI positions, 0 elsewhere")
    mirror = find_mirror_voxels(mask_image)
    labels[~assign_hemispheres(mask_image)[0] | (mirror < 0)] = 0
    if not labels.any():
        raise InputError(
            "the atlas: no region lies left of the midline: mirror it. Only its left side counts; the right of a "
            "region is its mirror image"
        )
    regions = {}
    for label in np.unique(labels[labels != 0]):
        left, right = labels == label, np.zeros(len(labels), dtype=bool)
        right[mirror[left]] = True
        regions[int(label)] = left, right
    return regions


def make_cerebellum(mask_image):
    """Find the left and right cerebellum coarsely, two bool arrays (n_voxels,): y < -40 and z < -24 in MNI millimetres.

    This is the space below the temporal and occipital lobes in the back, except for a few millimetres under the
    tentorium.
    """
    _, y, z = compute_positions(mask_image).T
    left, right = assign_hemispheres(mask_image)
    return left & (y < -40) & (z < -24), right & (y < -40) & (z < -24)
