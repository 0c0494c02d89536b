"""Check hemispheres and reliable voxels on the published masks, and scores on a known truth."""

import gzip
import struct

import joblib
import nibabel
import numpy as np
import pytest
from brains import BRAIN, CHECKPOINTS, planted, small_brain

from pipeline.brain.curves import tabulate_asymmetry
from pipeline.brain.hemispheres import (
    assign_hemispheres,
    average_sides,
    compute_mirror_log_ratios,
    find_mirror_voxels,
    subtract_mirror_voxels,
)
from pipeline.brain.regions import LANGUAGE_REGIONS, make_atlas_regions, make_cerebellum, make_spheres
from pipeline.brain.scores import compute_brain_scores, compute_side_curves, resample_sides, select_reliable_voxels
from pipeline.brain.voxels import compute_positions, fill_volume, find_inside, make_blocks
from pipeline.errors import InputError


def of_language(lang, published):
    mask = nibabel.load(published / "lpp" / f"mask_lpp_{lang}.nii.gz")
    return mask, joblib.load(published / "lpp" / f"isc_10trials_{lang}.gz")


def counts(mask, isc):
    reliable = select_reliable_voxels(isc)
    (left, right), (first, second) = assign_hemispheres(mask), assign_hemispheres(mask, rule="halves")
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
    left, right = assign_hemispheres(mask)
    assert compute_positions(mask)[:, 0].tolist() == [10, 10, 5, 5, 0, 0, -5, -5, -10, -10]
    assert left.tolist() == [False] * 6 + [True] * 4
    assert right.tolist() == [True] * 4 + [False] * 6
    with pytest.raises(InputError, match="'half'"):
        assign_hemispheres(mask, rule="half")


def test_a_volume_has_each_value_where_its_voxel_is():
    inside = np.zeros((2, 3, 2), np.int8)
    inside[1, 0, 1] = inside[0, 2, 0] = inside[1, 0, 0] = 1
    mask = nibabel.Nifti1Image(inside, np.eye(4))
    for dtype, expected in [(np.float32, np.float32), (float, float), (int, float), (bool, float)]:
        volume = fill_volume(np.array([1, 0, 1], dtype=dtype), mask)
        assert volume.dtype == expected
        assert volume.shape == mask.shape
        assert [volume[0, 2, 0], volume[1, 0, 0], volume[1, 0, 1]] == [1, 0, 1]
        np.testing.assert_array_equal(np.isnan(volume), inside == 0)
    np.testing.assert_array_equal(fill_volume(np.arange(3), mask)[find_inside(mask)], [0, 1, 2])
    for wrong in (np.zeros((2, 2, 2)), np.ones((2, 2, 2, 2))):
        with pytest.raises(InputError, match="the mask: expected voxels inside, in three dimensions, got"):
            compute_positions(nibabel.Nifti1Image(wrong, np.eye(4)))


def test_scores_are_of_the_best_layer_of_each_voxel():
    correlations = np.array([[0.1, 0.5, np.nan, np.nan], [0.3, 0.2, 0.4, np.nan]])
    np.testing.assert_allclose(compute_brain_scores([correlations[:, None]])[0, 0], [0.3, 0.5, 0.4, np.nan])


def test_scores_are_maxima_over_layers_of_averages_over_runs():
    rng = np.random.default_rng(0)
    checkpoints = [rng.normal(0.1, 0.1, (n_layers, 9, 50)) for n_layers in (4, 6)]
    scores = compute_brain_scores(checkpoints)
    assert scores.shape == (2, 9, 50)
    for of_runs, correlations in zip(scores, checkpoints, strict=True):
        np.testing.assert_allclose(of_runs.mean(axis=0), correlations.mean(axis=1).max(axis=0), atol=1e-6)
    # Where only averages are known of one checkpoint, averages are what all have in common.
    averages = compute_brain_scores([checkpoints[0], checkpoints[1].mean(axis=1, keepdims=True)])
    assert averages.shape == (2, 1, 50)
    np.testing.assert_allclose(averages[:, 0], scores.mean(axis=1), atol=1e-6)
    with pytest.raises(InputError, match=r"\(8, 50\) and \(9, 50\)"):
        compute_brain_scores([checkpoints[0], checkpoints[1][:, :8]])
    with pytest.raises(InputError, match="expected maximum or nested, got 'median'"):
        compute_brain_scores(checkpoints, best_layer="median")


def test_a_planted_difference_is_found_with_its_interval():
    curve = tabulate_asymmetry(CHECKPOINTS, compute_side_curves(*planted()))
    assert list(curve.columns) == ["revision", "tokens", "left", "right", "left_minus_right", "low", "high"]
    assert curve["left_minus_right"].tolist() == pytest.approx([0, 0.05], abs=0.005)
    assert curve["left"].tolist() == pytest.approx([0.3, 0.35], abs=0.005)
    assert curve["low"][0] < 0 < curve["high"][0]
    assert 0.04 < curve["low"][1] < 0.05 < curve["high"][1] < 0.06


def test_voxels_without_a_score_do_not_count():
    scores, left, right, blocks = planted(noise=0)
    scores[0, 2, 7] = np.nan
    for of_checkpoint, expected in zip(scores, (0.3, 0.35), strict=True):
        assert average_sides(of_checkpoint.mean(axis=0), left, right) == (pytest.approx(expected), pytest.approx(0.3))
    curve = tabulate_asymmetry(CHECKPOINTS, compute_side_curves(scores, left, right, blocks))
    np.testing.assert_allclose(curve[["left_minus_right", "low", "high"]], [[0] * 3, [0.05] * 3], atol=1e-9)


def test_without_single_runs_there_is_no_interval():
    scores, *voxels = planted()
    curve = tabulate_asymmetry(CHECKPOINTS, compute_side_curves(scores.mean(axis=1, keepdims=True), *voxels))
    assert curve["left_minus_right"][1] == pytest.approx(0.05, abs=0.005)
    assert curve[["low", "high"]].isna().all(axis=None)


def test_voxels_of_another_brain_are_an_error():
    scores, left, right, _ = planted()
    with pytest.raises(InputError, match=f"{len(left) - 1} voxels in the correlations and {len(left)} in the mask"):
        average_sides(scores[0, 0, :-1], left, right)
    with pytest.raises(InputError, match="no \\(reliable\\) voxel"):
        average_sides(scores[0, 0], left, right & left)
    with pytest.raises(InputError, match="ISC"):
        select_reliable_voxels(np.ones(5))


# ---------------------------------------------------------------- regions


def test_the_language_regions_are_the_published_ones(published):
    mask, _ = of_language("en", published)
    inside = find_inside(mask)
    regions = make_spheres(mask)
    assert len(regions) == len(LANGUAGE_REGIONS) == 7
    mirror = find_mirror_voxels(mask)
    for name, (left, right) in regions.items():
        region = nibabel.load(published / "lpp" / "roi_masks" / f"{name.replace('/', '_')}.nii.gz")
        np.testing.assert_array_equal(left, (np.asarray(region.dataobj) != 0)[inside])
        with_mirror = mirror[left][mirror[left] >= 0]
        np.testing.assert_array_equal(np.flatnonzero(right), np.sort(with_mirror))
        x = compute_positions(mask)[:, 0]
        assert (x[left] < 0).all()
        assert (x[right] > 0).all()


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_mirror_images_are_on_the_other_side(published, lang):
    mask, _ = of_language(lang, published)
    positions, mirror = compute_positions(mask), find_mirror_voxels(mask)
    has_one = mirror >= 0
    assert has_one.mean() > 0.9
    np.testing.assert_array_equal(positions[mirror[has_one]], positions[has_one] * [-1, 1, 1])
    np.testing.assert_array_equal(mirror[mirror[has_one]], np.flatnonzero(has_one))
    # Whoever has none would have it outside the brain.
    missing = {tuple(position) for position in positions[~has_one] * [-1, 1, 1]}
    assert not missing & {tuple(position) for position in positions}


def test_regions_of_an_atlas_are_mirrored_whatever_it_calls_the_right():
    mask = BRAIN
    labels = np.zeros((10, 8, 6), np.int16)  # of 5 mm, so that the grids differ
    labels[:4, :4] = 7  # left, in the back
    labels[:4, 4:] = 9
    labels[4:, :] = 33  # whatever stands on the right
    affine = np.diag([5.0, 5, 5, 1])
    affine[:3, 3] = -22.5, -62.5, -42.5
    regions = make_atlas_regions(mask, nibabel.Nifti1Image(labels, affine))
    assert list(regions) == [7, 9]
    positions = compute_positions(mask)
    for label, in_the_back in [(7, True), (9, False)]:
        left, right = regions[label]
        for side, sign in [(left, -1), (right, 1)]:
            expected = (np.sign(positions[:, 0]) == sign) & ((positions[:, 1] < -42) == in_the_back)
            np.testing.assert_array_equal(side, expected)


def test_an_atlas_without_a_region_on_the_left_is_refused():
    labels = np.zeros((10, 8, 6), np.int16)
    affine = np.diag([5.0, 5, 5, 1])
    affine[:3, 3] = -22.5, -62.5, -42.5
    with pytest.raises(InputError, match="the atlas has no region in the mask"):
        make_atlas_regions(BRAIN, nibabel.Nifti1Image(labels, affine))
    labels[5:] = 4
    with pytest.raises(InputError, match="no region lies left of the midline: mirror it"):
        make_atlas_regions(BRAIN, nibabel.Nifti1Image(labels, affine))
    assert list(make_atlas_regions(BRAIN, nibabel.Nifti1Image(labels[::-1].copy(), affine))) == [4]


def test_a_grid_that_is_not_symmetric_cannot_be_mirrored():
    with pytest.raises(InputError, match="not symmetric about x = 0"):
        find_mirror_voxels(small_brain(shift_mm=3))


def test_the_cerebellum_is_low_and_in_the_back():
    mask = BRAIN
    left, right = make_cerebellum(mask)
    positions = compute_positions(mask)
    assert left.sum() == right.sum() > 0
    assert (positions[left | right][:, 1] < -40).all()
    assert (positions[left | right][:, 2] < -24).all()


def test_a_layer_chosen_on_other_runs_promises_no_more_than_there_is():
    """Of layers of pure noise, the best one seems good; chosen on other runs, it does not."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (12, 9, 500))
    assert compute_brain_scores([noise]).mean() > 0.04
    assert abs(compute_brain_scores([noise], best_layer="nested").mean()) < 0.005
    noise[3] += 0.5
    (nested,) = compute_brain_scores([noise], best_layer="nested")
    assert nested.mean() == pytest.approx(0.5, abs=0.01)
    by_hand = [
        np.mean([noise[np.delete(noise[:, :, v], run, axis=1).mean(axis=1).argmax(), run, v] for run in range(9)])
        for v in range(20)
    ]
    np.testing.assert_allclose(nested.mean(axis=0)[:20], by_hand, atol=1e-6)
    noise[:, 2, 5] = np.nan  # a voxel that does not vary in one run
    for best_layer_is in ("maximum", "nested"):
        assert np.argwhere(np.isnan(compute_brain_scores([noise], best_layer_is)[0])).tolist() == [[2, 5]]
    with pytest.raises(InputError, match="on other runs"):
        compute_brain_scores([noise[:, :1]], best_layer="nested")


# ---------------------------------------------------------------- resampled runs and blocks


def test_blocks_hold_neighbours_and_their_mirror_images():
    mask = BRAIN
    blocks, positions, mirror = make_blocks(mask, edge_mm=20), compute_positions(mask), find_mirror_voxels(mask)
    np.testing.assert_array_equal(blocks, blocks[mirror])
    for block in np.unique(blocks):
        inside = np.abs(positions[blocks == block] * [1, 1, 1])
        assert (np.ptp(np.abs(inside), axis=0) < 20).all()
    assert 1 < len(np.unique(blocks)) < len(blocks)


def test_resamples_are_studies_with_other_runs_and_blocks():
    """Against the definition, followed plainly with the numbers that were drawn."""
    rng = np.random.default_rng(0)
    (left, right), blocks = assign_hemispheres(BRAIN), make_blocks(BRAIN, edge_mm=20)
    reliable = rng.random(len(left)) < 0.7
    left, right = left & reliable, right & reliable
    scores = rng.normal(0.1, 0.1, (2, 4, len(left)))
    scores[0, 2, np.flatnonzero(left)[0]] = np.nan
    lefts, rights = resample_sides(scores, left, right, blocks, n_resamples=5, seed=3)
    assert lefts.shape == rights.shape == (5, 2)

    left[np.flatnonzero(left)[0]] = False  # it does not vary in one run
    draw = np.random.default_rng(3)
    runs = draw.multinomial(4, [1 / 4] * 4, size=5)
    of_blocks = np.unique(blocks[left | right])
    times = draw.multinomial(len(of_blocks), [1 / len(of_blocks)] * len(of_blocks), size=5)
    for resample in range(5):
        for checkpoint in range(2):
            drawn_runs = np.repeat(np.arange(4), runs[resample])
            of_voxels = scores[checkpoint, drawn_runs].mean(axis=0)
            for side, found in [(left, lefts), (right, rights)]:
                drawn = [
                    score
                    for block, n in zip(of_blocks, times[resample], strict=True)
                    for score in of_voxels[side & (blocks == block)].tolist() * n
                ]
                assert found[resample, checkpoint] == pytest.approx(np.mean(drawn), abs=1e-6)
    # Another region of the same study is drawn with the same runs.
    again = resample_sides(
        scores[:, :, left | right],
        left[left | right],
        right[left | right],
        np.zeros(1, int).repeat((left | right).sum()),
        5,
        3,
    )
    by_hand = (runs / 4) @ scores[1][:, left].mean(axis=1)
    np.testing.assert_allclose(again[0][:, 1], by_hand)


def test_every_voxel_is_compared_with_its_mirror_image():
    mask = BRAIN
    (left, right), positions = assign_hemispheres(mask), compute_positions(mask)
    scores = positions @ [[0.1], [0.01], [0.001]]  # grows from left to right
    difference = subtract_mirror_voxels(scores.T, mask)
    assert difference.shape == (1, len(positions))
    np.testing.assert_allclose(difference[0, left | right], 0.2 * positions[left | right, 0])
    assert np.isnan(difference[0, ~left & ~right]).all()


def test_log_ratios_are_of_a_voxel_and_its_mirror_image_where_both_are_above_0():
    x, y, z = compute_positions(BRAIN).T
    scores = np.full(len(x), 0.2)
    scores[x < 0] = 0.3
    scores[(x == -10) & (y == -60)] = 0.0
    scores[(x == 20) & (z == -40)] = -0.1
    scores[(x == -20) & (z == -30)] = np.nan
    ratios = compute_mirror_log_ratios(np.stack([scores, 2 * scores]), BRAIN)
    for place, ratio in zip(zip(x, y, z, strict=True), ratios[0], strict=True):
        is_unknown = place[0] == 0 or place[:2] in {(-10, -60), (10, -60)}
        is_unknown |= abs(place[0]) == 20 and place[2] in {-40, -30}
        expected = np.nan if is_unknown else np.log(1.5) * (1 if place[0] < 0 else -1)
        np.testing.assert_allclose(ratio, expected, rtol=1e-12)
    np.testing.assert_allclose(ratios[1], ratios[0], rtol=1e-9)  # twice as high on both sides
