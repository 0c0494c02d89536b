"""Check views of a surface against a plain search, and the figure of the cortex."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from demo.listener import make_brain_mask
from pipeline.brain.hemispheres import compute_mirror_log_ratios, subtract_mirror_voxels
from pipeline.brain.surfaces import read_left_surface
from pipeline.brain.voxels import compute_positions
from report.figures.rendering import colour_vertices, compute_normals, find_triangles, paint
from report.figures.surfaces import count_ratios, draw_surfaces, find_limits

MASK = make_brain_mask()
N_VOXELS = int(np.asarray(MASK.dataobj).sum())


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def make_tetrahedra(rng, n=6):
    """Tetrahedra in front of and behind each other, with triangles counterclockwise from outside."""
    coordinates, faces = [], []
    for number in range(n):
        corners = rng.normal(size=(4, 3)) * 5 + rng.normal(size=3) * [20, 3, 3]
        for triangle in [(0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2)]:
            a, b, c = corners[list(triangle)]
            is_outside = np.cross(b - a, c - a) @ (a - corners.mean(axis=0)) > 0
            faces.append([4 * number + k for k in (triangle if is_outside else triangle[::-1])])
        coordinates.append(corners)
    return np.concatenate(coordinates), np.array(faces)


@pytest.mark.parametrize("side", [-1, 1])
def test_the_nearest_triangle_is_that_of_a_plain_search(side):
    coordinates, faces = make_tetrahedra(np.random.default_rng(0))
    view = find_triangles(coordinates, faces, side, pixels_per_mm=2)
    right, up = side * coordinates[:, 1], coordinates[:, 2]
    n_seen = 0
    for row, column in np.ndindex(view.light.shape):
        y, z = right.min() + column / 2, up.max() - row / 2
        nearest, seen, is_at_edge = -np.inf, None, False
        for face in faces:
            matrix = np.stack([right[face], up[face], np.ones(3)])
            weights = np.linalg.solve(matrix, [y, z, 1])
            is_at_edge |= abs(weights.min()) < 1e-9  # where rounding decides
            if weights.min() >= 0 and (nearness := side * coordinates[face, 0] @ weights) > nearest:
                nearest, seen = nearness, (face, weights)
        if is_at_edge:
            continue
        if seen is None:
            assert (view.vertices[row, column] == -1).all()
        else:
            n_seen += 1
            np.testing.assert_array_equal(view.vertices[row, column], seen[0])
            np.testing.assert_allclose(view.weights[row, column], seen[1], atol=1e-9)
    assert n_seen > 100


def test_the_lateral_view_has_the_temporal_pole_on_the_left_and_the_medial_view_on_the_right():
    surface = read_left_surface()
    for side, is_lateral in [(-1, True), (1, False)]:
        view = find_triangles(surface.inflated, surface.faces, side, pixels_per_mm=0.5)
        seen = view.vertices[..., 0]
        y = np.where(seen >= 0, surface.pial[seen, 1], np.nan)
        z = np.where(seen >= 0, surface.pial[seen, 2], np.nan)
        half = y.shape[1] // 2
        assert (np.nanmean(y[:, :half]) > np.nanmean(y[:, half:])) == is_lateral
        assert np.nanmean(z[: len(z) // 2]) > np.nanmean(z[len(z) // 2 :])
        assert (np.nanmean(surface.pial[seen[seen >= 0], 0]) < -30) == is_lateral
        towards_viewer = side * compute_normals(surface.inflated, surface.faces)[np.unique(seen[seen >= 0]), 0]
        assert (towards_viewer > -0.2).mean() > 0.99


def test_colours_are_those_of_the_scale_and_grey_is_darker_in_a_sulcus():
    depth = np.array([1.0, -1.0, 0, 0, 0, 0])
    colours = colour_vertices(np.array([np.nan, np.nan, 0, 0.5, 2, -2]), limit=0.5, depth=depth)
    assert colours[0, 0] < colours[1, 0]
    assert (colours[:2] == colours[:2, :1]).all()
    np.testing.assert_allclose(colours[2:], [colormaps["RdBu_r"](level)[:3] for level in (0.5, 1.0, 1.0, 0.0)])


def test_an_image_has_the_mean_colour_of_the_corners_and_nothing_beside_the_brain():
    coordinates, faces = make_tetrahedra(np.random.default_rng(1), n=1)
    view = find_triangles(coordinates, faces, 1)
    image = paint(view, np.tile(to_rgb("tab:red"), (4, 1)))
    is_seen = view.vertices[..., 0] >= 0
    np.testing.assert_array_equal(image[..., 3], is_seen)
    np.testing.assert_allclose(image[is_seen, :3], view.light[is_seen, None] * to_rgb("tab:red"))
    assert view.light[is_seen].max() <= 1


def make_scores(n_checkpoints):
    """Scores of a left that pulls ahead in front, and of a right that is not predicted at the back."""
    x, y, _ = compute_positions(MASK).T
    growth = np.linspace(0, 1, n_checkpoints)[:, None] if n_checkpoints > 1 else np.ones((1, 1))
    scores = 0.1 + 0.1 * growth * ((x < 0) & (y > -20))
    return np.where((x > 0) & (y < -60), -0.01, scores)


@pytest.mark.parametrize("n_checkpoints", [1, 7])
def test_the_figure_shows_both_quantities_from_both_sides(n_checkpoints):
    scores = make_scores(n_checkpoints)
    checkpoints = pd.DataFrame({"revision": "r", "tokens": 1e9 * 2.0 ** np.arange(n_checkpoints)})
    differences, ratios = subtract_mirror_voxels(scores, MASK), compute_mirror_log_ratios(scores, MASK)
    figure = draw_surfaces(differences, ratios, checkpoints, MASK, title="small_lm (en)")
    views = [axes for axes in figure.axes if axes.images]
    assert len(views) == 4 * min(5, n_checkpoints)
    lateral = views[-4].images[0].get_array()  # left minus right, the last checkpoint
    front, back = lateral[:, : lateral.shape[1] // 4], lateral[:, -lateral.shape[1] // 4 :]
    assert redness(front) > 0.15
    assert redness(back) > 0.15  # 0.11
    ratio = views[-2].images[0].get_array()
    assert redness(ratio[:, : ratio.shape[1] // 4]) > 0.15
    assert abs(redness(ratio[:, -ratio.shape[1] // 4 :])) < 0.01  # grey: no ratio
    assert (n_checkpoints == 1) or redness(views[0].images[0].get_array()[:, : lateral.shape[1] // 4]) < 0.01
    words = " ".join(text.get_text() for text in figure.texts)
    n_ratios, n_pairs = count_ratios(ratios, MASK)
    assert 0 < n_ratios[-1] < n_pairs
    assert f"ratios: {n_ratios[-1]}\nof {n_pairs} pairs" in words
    assert ("5 of 7 checkpoints" in figure.get_suptitle()) == (n_checkpoints == 7)


def redness(image):
    """Mean of red minus blue over the pixels of an image in which something is drawn."""
    seen = image[image[..., 3] > 0]
    return float((seen[:, 0] - seen[:, 2]).mean())


def test_pairs_are_counted_once_each():
    x, y, _ = compute_positions(MASK).T
    ratios = compute_mirror_log_ratios(make_scores(1), MASK)
    n_ratios, n_pairs = count_ratios(ratios, MASK)
    assert n_pairs == (x < 0).sum() == (x > 0).sum()
    assert n_ratios[0] == ((x < 0) & (y >= -60)).sum()


def test_a_model_that_predicts_nothing_and_a_brain_without_ratios_can_be_drawn():
    zeros, unknown = np.zeros((1, N_VOXELS)), np.full((1, N_VOXELS), np.nan)
    checkpoints = pd.DataFrame({"revision": ["r"], "tokens": [0.0]})
    figure = draw_surfaces(subtract_mirror_voxels(zeros, MASK), unknown, checkpoints, MASK, title="t")
    figure.canvas.draw()
    assert all(abs(redness(axes.images[0].get_array())) < 0.02 for axes in figure.axes if axes.images)


def test_the_scales_are_those_of_the_largest_difference_and_of_nearly_all_ratios():
    values = np.linspace(-2, 1, 3001)
    limits = find_limits(np.stack([[values], [values * 10]]))
    assert limits[0] == 2
    assert limits[1] == pytest.approx(np.percentile(np.abs(values * 10), 99))
    assert find_limits(np.full((2, 1, 5), np.nan)) == [0.01, 0.01]
