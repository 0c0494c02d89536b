"""Hemispheres and reliable voxels on the published masks; scores and differences on planted truth."""

import gzip
import struct

import joblib
import nibabel
import numpy as np
import pandas as pd
import pytest

from pipeline import BadInput
from pipeline.asymmetry import (
    LANGUAGE_REGIONS,
    asymmetry_curve,
    atlas_regions,
    best_layer,
    brain_scores,
    cerebellum,
    hemispheres,
    left_right,
    mirrored,
    mirrored_difference,
    nested_brain_scores,
    reliable_voxels,
    resampled_curves,
    resampled_left_right,
    spheres,
    voxel_blocks,
    voxel_positions,
)


def of_language(lang, published):
    mask = nibabel.load(published / "lpp" / f"mask_lpp_{lang}.nii.gz")
    return mask, joblib.load(published / "lpp" / f"isc_10trials_{lang}.gz")


def counts(mask, isc):
    reliable = reliable_voxels(isc)
    (left, right), (first, second) = hemispheres(mask), hemispheres(mask, rule="halves")
    between = ~left & ~right
    return [
        len(reliable),
        between.sum(),
        reliable.sum(),
        *[(reliable & side).sum() for side in (left, right, between, first, second)],
    ]


def test_the_english_brain(published):
    assert counts(*of_language("en", published)) == [25870, 1020, 6468, 3159, 3015, 294, 3297, 3171]


def test_the_french_brain_by_a_count_of_its_own(published):
    """The file is read byte by byte, and voxels are counted one by one."""
    path = published / "lpp" / "mask_lpp_fr.nii.gz"
    with gzip.open(path) as file:
        content = file.read()
    n_x, n_y, n_z = struct.unpack_from("<3h", content, 42)
    step_x, _, _, origin_x = struct.unpack_from("<4f", content, 280)
    (first_byte,) = struct.unpack_from("<f", content, 108)
    voxels = content[int(first_byte) :]
    x_of_voxels = []
    for i in range(n_x):  # C order: x slowest; the file itself has x fastest
        for j in range(n_y):
            for k in range(n_z):
                if voxels[i + n_x * (j + n_y * k)]:
                    x_of_voxels.append(step_x * i + origin_x)
    mask, isc = of_language("fr", published)
    mean_isc = [sum(trials) / 10 for trials in isc.T.tolist()]
    position = 0.75 * (len(mean_isc) - 1)
    below, above = sorted(mean_isc)[int(position) : int(position) + 2]
    threshold = below + (position - int(position)) * (above - below)
    is_reliable = [value > threshold for value in mean_isc]
    half = len(x_of_voxels) // 2
    expected = [
        len(x_of_voxels),
        sum(x == 0 for x in x_of_voxels),
        sum(is_reliable),
        sum(x < 0 and kept for x, kept in zip(x_of_voxels, is_reliable, strict=True)),
        sum(x > 0 and kept for x, kept in zip(x_of_voxels, is_reliable, strict=True)),
        sum(x == 0 and kept for x, kept in zip(x_of_voxels, is_reliable, strict=True)),
        sum(is_reliable[:half]),
        sum(is_reliable[half:]),
    ]
    assert counts(mask, isc) == expected


def test_positions_decide_whatever_the_order_of_the_voxels():
    affine = np.diag([-5.0, 5, 5, 1])
    affine[0, 3] = 10  # x = 10, 5, 0, -5, -10: the first voxels are on the right
    mask = nibabel.Nifti1Image(np.ones((5, 1, 2), np.int8), affine)
    left, right = hemispheres(mask)
    assert voxel_positions(mask)[:, 0].tolist() == [10, 10, 5, 5, 0, 0, -5, -5, -10, -10]
    assert left.tolist() == [False] * 6 + [True] * 4
    assert right.tolist() == [True] * 4 + [False] * 6
    with pytest.raises(BadInput, match="'half'"):
        hemispheres(mask, rule="half")


def test_scores_are_of_the_best_layer_of_each_voxel():
    correlations = np.array([[0.1, 0.5, np.nan, np.nan], [0.3, 0.2, 0.4, np.nan]])
    np.testing.assert_array_equal(brain_scores(correlations), [0.3, 0.5, 0.4, np.nan])
    assert best_layer(correlations, np.array([True, False, False, False])) == 1
    assert best_layer(correlations, np.array([True, True, False, False])) == 0


def planted(n_layers=3, n_runs=9, n_voxels=400, difference=0.05, noise=0.05, seed=0):
    """Correlations in which the left is better by a known difference, at the last layer."""
    rng = np.random.default_rng(seed)
    left = np.arange(n_voxels) < n_voxels // 2
    correlations = rng.normal(0, noise, (n_layers, n_runs, n_voxels))
    correlations[-1] += 0.3 + difference * left
    return correlations.astype(np.float32), left, ~left, np.ones(n_voxels, bool)


def test_a_planted_difference_is_found_with_its_interval():
    checkpoints = pd.DataFrame({"revision": ["a", "b"], "tokens": [1e9, 2e9]})
    none, *voxels = planted(difference=0)
    some, *_ = planted()
    curve = asymmetry_curve(checkpoints, [none, some], *voxels)
    assert list(curve.columns) == ["revision", "tokens", "left", "right", "left_minus_right", "low", "high"]
    assert curve["left_minus_right"].tolist() == pytest.approx([0, 0.05], abs=0.005)
    assert curve["left"].tolist() == pytest.approx([0.3, 0.35], abs=0.005)
    assert curve["low"][0] < 0 < curve["high"][0]
    assert 0.04 < curve["low"][1] < 0.05 < curve["high"][1] < 0.06


def test_resampling_is_of_runs_and_draws_the_same_ones_everywhere():
    correlations, *voxels = planted(n_runs=5)
    lefts, rights = resampled_left_right(correlations, *voxels, n_resamples=50)
    # The same, one study at a time and without weights.
    counts = np.random.default_rng(0).multinomial(5, [0.2] * 5, size=50)
    for k, of_run in enumerate(counts):
        drawn = [run for run in range(5) for _ in range(of_run[run])]
        scores = correlations[:, drawn].mean(axis=1).max(axis=0)
        assert lefts[k] == pytest.approx(scores[voxels[0]].mean(), abs=1e-6)
        assert rights[k] == pytest.approx(scores[voxels[1]].mean(), abs=1e-6)


def test_voxels_without_a_score_do_not_count():
    correlations, *voxels = planted(noise=0)
    correlations[:, 2, 7] = np.nan
    left, right = left_right(brain_scores(correlations.mean(axis=1)), *voxels)
    assert (left, right) == (pytest.approx(0.35), pytest.approx(0.3))


def test_without_single_runs_there_is_no_interval():
    correlations, *voxels = planted()
    checkpoints = pd.DataFrame({"revision": ["a"], "tokens": [1e9]})
    curve = asymmetry_curve(checkpoints, [correlations.mean(axis=1, keepdims=True)], *voxels)
    assert curve["left_minus_right"][0] == pytest.approx(0.05, abs=0.005)
    assert curve[["low", "high"]].isna().all(axis=None)


def test_voxels_of_another_brain_are_an_error():
    correlations, left, right, reliable = planted()
    with pytest.raises(BadInput, match="399 voxels in the correlations, 400 in the mask"):
        left_right(correlations[0, 0, :-1], left, right, reliable)
    with pytest.raises(BadInput, match="no reliable voxel"):
        left_right(correlations[0, 0], left, right, reliable & left)
    with pytest.raises(BadInput, match="ISC"):
        reliable_voxels(np.ones(5))


# ---------------------------------------------------------------- regions


def test_the_language_regions_are_the_published_ones(published):
    mask, _ = of_language("en", published)
    inside = np.asarray(mask.dataobj) != 0
    regions = spheres(mask)
    assert len(regions) == len(LANGUAGE_REGIONS) == 7
    mirror = mirrored(mask)
    for name, (left, right) in regions.items():
        region = nibabel.load(published / "lpp" / "roi_masks" / f"{name.replace('/', '_')}.nii.gz")
        np.testing.assert_array_equal(left, (np.asarray(region.dataobj) != 0)[inside])
        with_mirror = mirror[left][mirror[left] >= 0]
        np.testing.assert_array_equal(np.flatnonzero(right), np.sort(with_mirror))
        x = voxel_positions(mask)[:, 0]
        assert (x[left] < 0).all()
        assert (x[right] > 0).all()


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_mirror_images_are_on_the_other_side(published, lang):
    mask, _ = of_language(lang, published)
    positions, mirror = voxel_positions(mask), mirrored(mask)
    has_one = mirror >= 0
    assert has_one.mean() > 0.9
    np.testing.assert_array_equal(positions[mirror[has_one]], positions[has_one] * [-1, 1, 1])
    np.testing.assert_array_equal(mirror[mirror[has_one]], np.flatnonzero(has_one))
    # Whoever has none would have it outside the brain.
    missing = {tuple(position) for position in positions[~has_one] * [-1, 1, 1]}
    assert not missing & {tuple(position) for position in positions}


def small_brain(shift_mm=0.0):
    affine = np.diag([10.0, 10, 10, 1])
    affine[:3, 3] = -20 + shift_mm, -60, -40
    return nibabel.Nifti1Image(np.ones((5, 4, 3), np.int8), affine)  # x = -20 ... 20


def test_regions_of_an_atlas_are_mirrored_whatever_it_calls_the_right():
    mask = small_brain()
    labels = np.zeros((10, 8, 6), np.int16)  # of 5 mm, so that the grids differ
    labels[:4, :4] = 7  # left, in the back
    labels[:4, 4:] = 9
    labels[4:, :] = 33  # whatever stands on the right
    affine = np.diag([5.0, 5, 5, 1])
    affine[:3, 3] = -22.5, -62.5, -42.5
    regions = atlas_regions(mask, nibabel.Nifti1Image(labels, affine))
    assert list(regions) == [7, 9]
    positions = voxel_positions(mask)
    for label, in_the_back in [(7, True), (9, False)]:
        left, right = regions[label]
        for side, sign in [(left, -1), (right, 1)]:
            expected = (np.sign(positions[:, 0]) == sign) & ((positions[:, 1] < -42) == in_the_back)
            np.testing.assert_array_equal(side, expected)


def test_a_grid_that_is_not_symmetric_cannot_be_mirrored():
    with pytest.raises(BadInput, match="not symmetric about x = 0"):
        mirrored(small_brain(shift_mm=3))


def test_the_cerebellum_is_low_and_in_the_back():
    mask = small_brain()
    left, right = cerebellum(mask)
    positions = voxel_positions(mask)
    assert left.sum() == right.sum() > 0
    assert (positions[left | right][:, 1] < -40).all()
    assert (positions[left | right][:, 2] < -24).all()


def test_a_layer_chosen_on_other_runs_promises_no_more_than_there_is():
    """Of layers of pure noise, the best one seems good; chosen on other runs, it does not."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (12, 9, 500))
    assert brain_scores(noise.mean(axis=1)).mean() > 0.04
    assert nested_brain_scores(noise).shape == (9, 500)
    assert abs(nested_brain_scores(noise).mean()) < 0.005
    noise[3] += 0.5
    assert nested_brain_scores(noise).mean() == pytest.approx(0.5, abs=0.01)
    by_hand = [
        np.mean([noise[np.delete(noise[:, :, v], run, axis=1).mean(axis=1).argmax(), run, v] for run in range(9)])
        for v in range(20)
    ]
    np.testing.assert_allclose(nested_brain_scores(noise).mean(axis=0)[:20], by_hand)
    noise[:, 2, 5] = np.nan  # a voxel that does not vary in one run
    assert np.argwhere(np.isnan(nested_brain_scores(noise))).tolist() == [[2, 5]]
    with pytest.raises(BadInput, match="on other runs"):
        nested_brain_scores(noise[:, :1])


# ---------------------------------------------------------------- resampled runs and blocks


def test_blocks_hold_neighbours_and_their_mirror_images():
    mask = small_brain()
    blocks, positions, mirror = voxel_blocks(mask, edge_mm=20), voxel_positions(mask), mirrored(mask)
    np.testing.assert_array_equal(blocks, blocks[mirror])
    for block in np.unique(blocks):
        inside = np.abs(positions[blocks == block] * [1, 1, 1])
        assert (np.ptp(np.abs(inside), axis=0) < 20).all()
    assert 1 < len(np.unique(blocks)) < len(blocks)


def test_resampled_curves_are_those_of_studies_with_other_runs_and_blocks():
    """Against the definition, followed plainly with the numbers that were drawn."""
    rng = np.random.default_rng(0)
    mask = small_brain()
    left, right = hemispheres(mask)
    blocks, reliable = voxel_blocks(mask), rng.random(len(left)) < 0.7
    correlations = [rng.normal(0.1, 0.1, (3, 4, len(left))) for _ in range(2)]
    correlations[0][:, 2, np.flatnonzero(reliable & left)[0]] = np.nan
    lefts, rights = resampled_curves(correlations, left, right, reliable, blocks, n_resamples=5, seed=3)
    assert lefts.shape == rights.shape == (5, 2)

    kept = reliable & (left | right)
    kept[np.flatnonzero(reliable & left)[0]] = False  # it does not vary in one run
    draw = np.random.default_rng(3)
    runs = draw.multinomial(4, [1 / 4] * 4, size=5)
    of_blocks = np.unique(blocks[kept])
    times = draw.multinomial(len(of_blocks), [1 / len(of_blocks)] * len(of_blocks), size=5)
    for resample in range(5):
        for checkpoint in range(2):
            drawn_runs = np.repeat(np.arange(4), runs[resample])
            scores = correlations[checkpoint][:, drawn_runs].mean(axis=1).max(axis=0)
            for side, found in [(left, lefts), (right, rights)]:
                drawn = [
                    score
                    for block, n in zip(of_blocks, times[resample], strict=True)
                    for score in scores[kept & side & (blocks == block)].tolist() * n
                ]
                assert found[resample, checkpoint] == pytest.approx(np.mean(drawn), abs=1e-6)


def test_every_voxel_is_compared_with_its_mirror_image():
    mask = small_brain()
    (left, right), positions = hemispheres(mask), voxel_positions(mask)
    scores = positions @ [[0.1], [0.01], [0.001]]  # grows from left to right
    difference = mirrored_difference(scores.T, mask)
    assert difference.shape == (1, len(positions))
    np.testing.assert_allclose(difference[0, left | right], 0.2 * positions[left | right, 0])
    assert np.isnan(difference[0, ~left & ~right]).all()
