"""Check values on the cortex: known functions of position, a plain loop, nilearn, and voxels without a value."""

import math
import socket

import nibabel
import numpy as np
import pytest
from nilearn.surface import InMemoryMesh, vol_to_surf

from demo.listener import make_brain_mask
from pipeline.brain.surfaces import DEPTHS, project_to_left_surface, read_left_surface
from pipeline.brain.voxels import compute_positions, fill_volume


def make_box(edge_mm, shift_mm=0.0):
    """A mask of all voxels of a box around the brain, so that each vertex has eight neighbours."""
    half = np.ceil(np.array([90, 130, 100]) / edge_mm).astype(int)
    affine = np.diag([edge_mm, edge_mm, edge_mm, 1.0])
    affine[:3, 3] = -half * edge_mm + [0, shift_mm, 0]
    return nibabel.Nifti1Image(np.ones(2 * half + 1, np.int8), affine)


SURFACE = read_left_surface()
MIDDLE = (SURFACE.white.astype(float) + SURFACE.pial) / 2


def test_the_surface_is_read_without_a_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    surface = read_left_surface()
    assert surface.inflated.shape == surface.white.shape == surface.pial.shape == (10242, 3)
    assert surface.faces.shape == (20480, 3)
    assert (surface.pial[surface.is_cortex, 0] < 2).all()


def test_the_wall_is_in_the_middle_and_a_twentieth():
    """The medial wall, where white matter and pia of fsaverage5 meet."""
    wall = ~SURFACE.is_cortex
    assert 0.04 < wall.mean() < 0.09
    assert (np.linalg.norm(SURFACE.pial - SURFACE.white, axis=1)[wall] < 1.5).all()


@pytest.mark.parametrize(
    "mask", [make_box(4.0), make_box(4.0, shift_mm=2.0), make_brain_mask()], ids=["4", "4+2", "10"]
)
def test_positions_are_those_of_the_left_within_a_voxel(mask):
    edge_mm = mask.header.get_zooms()[0]
    projected = project_to_left_surface(compute_positions(mask).T, mask, SURFACE)
    is_known = np.isfinite(projected).all(axis=0)
    assert is_known.mean() > 0.8
    assert (projected[0, is_known] < 0).all()
    assert np.abs(projected[:, is_known].T - MIDDLE[is_known]).max() < edge_mm
    inner = is_known & (MIDDLE[:, 0] < -2 * edge_mm)  # away from the midline and, in the box, from its ends
    if mask.shape == make_box(4.0).shape:
        np.testing.assert_allclose(projected[:, inner].T, MIDDLE[inner], atol=1e-4)


def test_it_is_nilearns_projection_where_every_neighbour_has_a_value():
    mask = make_box(4.0)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, int(np.asarray(mask.dataobj).sum())))
    volumes = np.stack([fill_volume(each, mask) for each in values], axis=-1)
    pial, white = (InMemoryMesh(places, SURFACE.faces) for places in (SURFACE.pial, SURFACE.white))
    image = nibabel.Nifti1Image(volumes, mask.affine)
    nilearns = vol_to_surf(image, pial, inner_mesh=white, depth=list(DEPTHS))
    projected = project_to_left_surface(values, mask, SURFACE)
    inner = SURFACE.is_cortex & (np.maximum(SURFACE.white, SURFACE.pial)[:, 0] < -4)
    assert inner.sum() > 7000
    np.testing.assert_allclose(projected[:, inner].T, nilearns[inner], atol=1e-6)


def loop(values, mask, vertex):
    """A vertex's value by a loop over depths and neighbours."""
    volume = fill_volume(values, mask)
    inverse = np.linalg.inv(mask.affine)
    white, pial = SURFACE.white[vertex].tolist(), SURFACE.pial[vertex].tolist()
    numerator = total = 0.0
    for depth in (0, 0.25, 0.5, 0.75, 1):
        x, y, z = (below + depth * (above - below) for below, above in zip(white, pial, strict=True))
        place = [float(row @ [x, y, z, 1]) for row in inverse[:3]]
        for i in (0, 1):
            for j in (0, 1):
                for k in (0, 1):
                    at = [math.floor(place[0]) + i, math.floor(place[1]) + j, math.floor(place[2]) + k]
                    if not all(0 <= index < length for index, length in zip(at, mask.shape, strict=True)):
                        continue
                    x_mm = mask.affine[0] @ [*at, 1]
                    value = volume[tuple(at)]
                    if x_mm < 0 and math.isfinite(value):
                        weight = math.prod(1 - abs(p - index) for p, index in zip(place, at, strict=True)) / 5
                        numerator += weight * value
                        total += weight
    return numerator / total if total >= 0.5 and SURFACE.is_cortex[vertex] else math.nan


def test_it_is_the_plain_loop_with_holes_in_the_brain():
    mask = make_brain_mask()
    rng = np.random.default_rng(1)
    values = rng.normal(size=int(np.asarray(mask.dataobj).sum()))
    values[rng.random(len(values)) < 0.4] = np.nan
    projected = project_to_left_surface(values, mask, SURFACE)
    vertices = rng.choice(len(projected), 400, replace=False)
    expected = np.array([loop(values, mask, vertex) for vertex in vertices])
    assert 0.2 < np.isnan(expected).mean() < 0.8
    np.testing.assert_allclose(projected[vertices], expected, atol=1e-9)


def test_no_zero_and_nothing_of_the_right_is_smeared_into_a_value():
    mask = make_brain_mask()
    rng = np.random.default_rng(2)
    values = np.where(compute_positions(mask)[:, 0] < 0, 3.0, -1e9)
    values[rng.random(len(values)) < 0.4] = np.nan
    projected = project_to_left_surface(values, mask, SURFACE)
    is_known = np.isfinite(projected)
    assert 0.2 < is_known.mean() < 0.8
    np.testing.assert_allclose(projected[is_known], 3.0, rtol=1e-12)
    assert not is_known[~SURFACE.is_cortex].any()


def test_maps_may_have_any_number_of_leading_axes():
    mask = make_brain_mask()
    values = np.random.default_rng(3).normal(size=(2, 3, int(np.asarray(mask.dataobj).sum())))
    projected = project_to_left_surface(values, mask, SURFACE)
    assert projected.shape == (2, 3, 10242)
    np.testing.assert_array_equal(projected[1, 2], project_to_left_surface(values[1, 2], mask, SURFACE))
    assert np.isnan(project_to_left_surface(np.full_like(values[0, 0], np.nan), mask, SURFACE)).all()
