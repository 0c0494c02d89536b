"""Find the triangle of a surface behind each pixel of a view, and paint the view.

nilearn's ``plot_surf_stat_map`` takes seconds for a view in a PDF. Here the triangles are searched once a view, and
the colours of each map are looked up.
"""

from typing import NamedTuple

import numpy as np
from matplotlib import colormaps

COLOURS = "RdBu_r"
LIGHTEST_GREY, DARKEST_GREY = 0.85, 0.6  # of a gyrus and a sulcus without a value
DARKEST_SHADE = 0.45  # the light on a triangle that is seen from its edge
PIXELS_PER_MM = 2


class View(NamedTuple):
    """Contain the triangle behind each pixel of a view.

    Attributes
    ----------
    vertices : int array (n_rows, n_columns, 3), the corners of the triangle; -1 where no triangle is seen
    weights : float array (n_rows, n_columns, 3), the nearness of the pixel to each corner; they add up to 1
    light : float array (n_rows, n_columns), up to 1 for a triangle that faces the viewer
    """

    vertices: np.ndarray
    weights: np.ndarray
    light: np.ndarray


def find_triangles(coordinates, faces, side, pixels_per_mm=PIXELS_PER_MM):
    """Find the nearest triangle behind each pixel, seen along the x axis.

    Parameters
    ----------
    coordinates : float array (n_vertices, 3), in millimetres
    faces : int array (n_faces, 3), the vertices of each triangle, counterclockwise from outside
    side : -1 or 1, the sign of the viewer's x; z points upwards

    Returns
    -------
    View
    """
    x, y, z = coordinates.T.astype(float)
    points = np.stack([side * y, -z], axis=1)  # to the right and downwards
    points = (points - points.min(axis=0)) * pixels_per_mm
    n_columns, n_rows = np.ceil(points.max(axis=0)).astype(int) + 1
    corners = points[faces]
    edges = corners[:, 1:] - corners[:, :1]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    first = np.ceil(corners.min(axis=1)).astype(int)
    n_steps = np.floor(corners.max(axis=1)).astype(int) - first + 1

    parts = []
    for step in np.ndindex(*n_steps.max(axis=0)):
        near = np.flatnonzero((n_steps > step).all(axis=1) & (area != 0))
        place = first[near] + step
        right, down = (place - corners[near, 0]).T
        second = (right * edges[near, 1, 1] - down * edges[near, 1, 0]) / area[near]
        third = (edges[near, 0, 0] * down - edges[near, 0, 1] * right) / area[near]
        inside = (second >= 0) & (third >= 0) & (second + third <= 1)
        corner_weights = np.stack([1 - second - third, second, third], axis=1)
        parts.append((place[inside] @ [1, n_columns], near[inside], corner_weights[inside]))
    pixels, triangles, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    nearness = (side * x[faces[triangles]] * weights).sum(axis=1)
    order = np.argsort(nearness, kind="stable")  # of the triangles behind a pixel, the last remains
    view = View(np.full((n_rows, n_columns, 3), -1), np.zeros((n_rows, n_columns, 3)), np.zeros((n_rows, n_columns)))
    view.vertices.reshape(-1, 3)[pixels[order]] = faces[triangles[order]]
    view.weights.reshape(-1, 3)[pixels[order]] = weights[order]
    facing = np.clip(side * compute_normals(coordinates, faces)[:, 0], 0, 1)
    view.light[...] = DARKEST_SHADE + (1 - DARKEST_SHADE) * (facing[view.vertices] * view.weights).sum(axis=-1)
    return view


def compute_normals(coordinates, faces):
    """Compute the direction to the outside at each vertex, float array (n_vertices, 3) of length 1."""
    first, second, third = np.moveaxis(coordinates.astype(float)[faces], 1, 0)
    normals = np.zeros(coordinates.shape)
    np.add.at(normals, faces, np.cross(second - first, third - first)[:, None])
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def colour_vertices(values, limit, depth):
    """Return the colours of vertices, float array (n_vertices, 3).

    Parameters
    ----------
    values : array (n_vertices,); NaN is grey
    limit : float, the value of the last colour; the first colour is at minus this value
    depth : array (n_vertices,), above 0 in a sulcus, which is darker
    """
    colours = np.repeat(shade_depth(depth)[:, None], 3, axis=1)
    is_known = np.isfinite(values)
    colours[is_known] = colormaps[COLOURS]((values[is_known] / limit + 1) / 2)[:, :3]
    return colours


def shade_depth(depth):
    """Return the grey of vertices without a value, from 0 (black) to 1; for depth see ``colour_vertices``."""
    return np.interp(depth, [-0.5, 0.5], [LIGHTEST_GREY, DARKEST_GREY])


def paint(view, colours):
    """Return an image (n_rows, n_columns, 4) of a view, red to alpha, in which no triangle is transparent."""
    colours = (colours[view.vertices] * view.weights[..., None]).sum(axis=2) * view.light[..., None]
    return np.concatenate([colours, (view.vertices[..., :1] >= 0)], axis=-1)
