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
    asymmetry_curve,
    best_layer,
    brain_scores,
    hemispheres,
    left_right,
    reliable_voxels,
    resampled_left_right,
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
