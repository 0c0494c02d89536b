"""Project values of voxels to the cortex of the left hemisphere: fsaverage5, which nilearn contains."""

from typing import NamedTuple

import numpy as np
from nibabel.affines import apply_affine
from nilearn.datasets import fetch_surf_fsaverage
from nilearn.surface import load_surf_data, load_surf_mesh
from scipy.sparse import csr_array

from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.brain.voxels import compute_positions, fill_volume

DEPTHS = np.linspace(0, 1, 5)  # from white matter (0) to pia (1)
LEAST_WEIGHT = 0.5  # of voxels with a value, for a vertex to have a value
THINNEST_CORTEX_MM = 1.0  # the average thickness is smaller only on the medial wall, which is not cortex


class Surface(NamedTuple):
    """Contain the cortex of the left hemisphere: n_vertices places, joined by n_faces triangles.

    Attributes
    ----------
    inflated : float32 array (n_vertices, 3), places on the inflated cortex, in its own millimetres
    white, pial : float32 array (n_vertices, 3), places below and above the cortex, MNI millimetres (of MNI305, which
        differs from MNI152 by a few millimetres)
    faces : int32 array (n_faces, 3), the vertices of each triangle
    depth : float32 array (n_vertices,), above 0 in a sulcus, below 0 on a gyrus
    is_cortex : bool array (n_vertices,), False on the medial wall
    """

    inflated: np.ndarray
    white: np.ndarray
    pial: np.ndarray
    faces: np.ndarray
    depth: np.ndarray
    is_cortex: np.ndarray


def read_left_surface():
    """Return the ``Surface`` of fsaverage5, from files of nilearn: nothing is downloaded."""
    files = fetch_surf_fsaverage("fsaverage5")
    inflated, white, pial = (load_surf_mesh(files[name]) for name in ("infl_left", "white_left", "pial_left"))
    return Surface(
        inflated=inflated.coordinates,
        white=white.coordinates,
        pial=pial.coordinates,
        faces=inflated.faces,
        depth=load_surf_data(files["sulc_left"]),
        is_cortex=load_surf_data(files["thick_left"]) >= THINNEST_CORTEX_MM,
    )


def project_to_left_surface(values, mask_image, surface):
    """Project values of the voxels of the left hemisphere to the cortex.

    A vertex gets the mean of its values at five depths of the cortex, by linear interpolation between neighbouring
    voxels. Neighbours without a value do not count, and neither do voxels of the right or the midline. A vertex has no
    value where less than half of the weight belongs to voxels with a value.

    Parameters
    ----------
    values : array (..., n_voxels); NaN is without a value
    mask_image : nibabel image in MNI space
    surface : Surface

    Returns
    -------
    array (..., n_vertices), NaN where a vertex has no value and on the medial wall
    """
    left, _ = assign_hemispheres(mask_image)
    weights = compute_weights(mask_image, surface)
    flat = np.where(left, values, np.nan).reshape(-1, len(left)).T
    has_value = np.isfinite(flat)
    total = weights @ has_value.astype(float)
    is_known = (total >= LEAST_WEIGHT) & surface.is_cortex[:, None]
    projected = np.full(total.shape, np.nan)
    sums = weights @ np.where(has_value, flat, 0)
    projected[is_known] = sums[is_known] / total[is_known]
    return projected.T.reshape(*np.shape(values)[:-1], -1)


def compute_weights(mask_image, surface):
    """Compute the weight of each voxel at each vertex, a sparse array (n_vertices, n_voxels).

    The weights of a vertex add up to 1, or to less where some of its neighbours lie outside the mask.
    """
    n_vertices, n_voxels = len(surface.white), len(compute_positions(mask_image))
    white, pial = surface.white.astype(float), surface.pial.astype(float)
    points = white + DEPTHS[:, None, None] * (pial - white)
    places = apply_affine(np.linalg.inv(mask_image.affine), points.reshape(-1, 3))  # in voxels
    vertices = np.tile(np.arange(n_vertices), len(DEPTHS))
    indices = np.nan_to_num(fill_volume(np.arange(n_voxels), mask_image), nan=-1).astype(int)
    first = np.floor(places).astype(int)
    rows, columns, weights = [], [], []
    for corner in np.ndindex(2, 2, 2):
        neighbours = first + corner
        is_inside = ((neighbours >= 0) & (neighbours < mask_image.shape)).all(axis=1)
        is_inside[is_inside] = indices[tuple(neighbours[is_inside].T)] >= 0
        rows.append(vertices[is_inside])
        columns.append(indices[tuple(neighbours[is_inside].T)])
        weights.append(np.prod(1 - np.abs(places - neighbours)[is_inside], axis=1) / len(DEPTHS))
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(entries, shape=(n_vertices, n_voxels))  # entries of the same place are added
