"""Check blocks and matched pairs on the published ISC, and noise ceilings on simulated listeners."""

import functools

import joblib
import nibabel
import numpy as np
import pytest
from brains import BRAIN

from pipeline.brain.hemispheres import assign_hemispheres, find_mirror_voxels
from pipeline.brain.reliability import BALANCE, CALIPER, LOWEST_ISC, compute_ceilings, match_mirror_pairs
from pipeline.brain.scores import FEWEST_BLOCKS, resample_sides, select_reliable_voxels
from pipeline.brain.voxels import count_blocks, make_blocks
from pipeline.encoding.cross_validation import cross_validate
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.signals import zscore
from pipeline.errors import InputError


def read_published(lang, published):
    """Return the mask, the ISC, and the reliable voxels of each side."""
    mask = nibabel.load(published / "lpp" / f"mask_lpp_{lang}.nii.gz")
    isc = joblib.load(published / "lpp" / f"isc_10trials_{lang}.gz")
    reliable = select_reliable_voxels(isc)
    left, right = assign_hemispheres(mask)
    return mask, isc, left & reliable, right & reliable


# ---------------------------------------------------------------- blocks


@pytest.mark.parametrize(
    ("lang", "errors", "n_blocks"),
    [
        ("en", {12: 0.0033, 16: 0.0038, 20: 0.0038, 30: 0.0049, 40: 0.0055, 50: 0.0061, 60: 0.0088}, {40: 31, 60: 17}),
        ("fr", {12: 0.0029, 16: 0.0031, 20: 0.0028, 30: 0.0034, 40: 0.0038, 50: 0.0044, 60: 0.0048}, {40: 33, 60: 17}),
    ],
)
def test_the_standard_error_of_the_published_isc_grows_with_the_blocks(published, lang, errors, n_blocks):
    """The numbers of the docstring of make_blocks."""
    mask, isc, left, right = read_published(lang, published)
    scores = isc.mean(axis=0)[None, None]
    for edge_mm, expected in errors.items():
        lefts, rights = resample_sides(scores, left, right, make_blocks(mask, edge_mm), n_resamples=4000)
        assert (lefts - rights).std() == pytest.approx(expected, rel=0.06)  # 4,000 resamples: 1.1 % standard error
    for edge_mm, number in n_blocks.items():
        assert count_blocks(make_blocks(mask, edge_mm), left | right) == number
    np.testing.assert_array_equal(make_blocks(mask), make_blocks(mask, 40))


def test_fewer_than_eight_blocks_are_not_drawn():
    (left, right), blocks = assign_hemispheres(BRAIN), make_blocks(BRAIN, edge_mm=20)
    assert count_blocks(blocks, left | right) == FEWEST_BLOCKS == 8
    scores = np.random.default_rng(0).normal(0.1, 0.1, (2, 1, len(left)))
    lefts, _ = resample_sides(scores, left, right, blocks)
    assert lefts.std(axis=0).min() > 0.001  # a single run: all of this is the blocks'
    in_seven = blocks > 0
    lefts, rights = resample_sides(scores, left & in_seven, right & in_seven, blocks)
    np.testing.assert_allclose(lefts, np.tile(scores[:, 0, left & in_seven].mean(axis=1), (1000, 1)))
    np.testing.assert_allclose(rights, np.tile(scores[:, 0, right & in_seven].mean(axis=1), (1000, 1)))


# ---------------------------------------------------------------- matched pairs


@pytest.mark.parametrize(("lang", "n_candidates", "n_pairs"), [("en", 2469, 1307), ("fr", 2505, 1402)])
def test_published_mirror_pairs_are_matched(published, lang, n_candidates, n_pairs):
    mask, isc, left, right = read_published(lang, published)
    pairs = match_mirror_pairs(isc, left, right, mask)
    assert (pairs.n_candidates, pairs.n_pairs) == (n_candidates, n_pairs)
    mean_isc = isc.mean(axis=0)
    assert abs(pairs.isc_difference) < 0.0001
    assert mean_isc[pairs.left].mean() - mean_isc[pairs.right].mean() == pytest.approx(pairs.isc_difference, abs=1e-12)
    assert mean_isc[left].mean() - mean_isc[right].mean() > 0.007
    ceilings = compute_ceilings(isc)
    assert abs(ceilings[pairs.left].mean() - ceilings[pairs.right].mean()) < 0.0002


@pytest.mark.parametrize("excess", [-0.02, 0.0, 0.02, 0.2])
def test_pairs_are_matched_as_by_a_plain_loop(excess):
    rng = np.random.default_rng(0)
    (left, right), mirror = assign_hemispheres(BRAIN), find_mirror_voxels(BRAIN)
    isc = rng.uniform(0.3, 0.4, (10, len(left))) + excess * left
    left, right = left & (rng.random(len(left)) < 0.9), right & (rng.random(len(left)) < 0.9)
    pairs = match_mirror_pairs(isc, left, right, BRAIN)
    candidates = [(isc[:, v].mean() - isc[:, mirror[v]].mean(), v) for v in np.flatnonzero(left) if right[mirror[v]]]
    kept = [pair for pair in candidates if abs(pair[0]) <= CALIPER]
    sign = np.sign(sum(difference for difference, _ in kept))
    while kept and sign * sum(difference for difference, _ in kept) > 0:
        kept.remove(max(kept, key=lambda pair: sign * pair[0]))
    if kept and abs(np.mean([difference for difference, _ in kept])) >= BALANCE:
        kept = []
    assert pairs.n_candidates == len(candidates)
    assert np.flatnonzero(pairs.left).tolist() == sorted(v for _, v in kept)
    assert np.flatnonzero(pairs.right).tolist() == sorted(mirror[v] for _, v in kept)
    if excess == 0.2:
        assert pairs.n_pairs == 0
        assert np.isnan(pairs.isc_difference)


# ---------------------------------------------------------------- noise ceilings


def test_voxels_without_isc_have_no_ceiling():
    isc = np.tile([-0.1, LOWEST_ISC, 0.2, 0.5, 1.0], (10, 1))
    np.testing.assert_allclose(compute_ceilings(isc, "halves"), [np.nan, np.nan, (1 / 3) ** 0.5, (2 / 3) ** 0.5, 1])
    by_hand = [np.nan, np.nan, (0.08 / 1.04) ** 0.5, (0.5 / 1.25) ** 0.5, 1]
    np.testing.assert_allclose(compute_ceilings(isc), by_hand)
    with pytest.raises(InputError, match="isc_kind: expected prediction or halves, got 'pairs'"):
        compute_ceilings(isc, "pairs")


N_SUBJECTS, N_PAIRS, N_SCANS, TRUE_RATIO = 24, 100, 150, 0.92


@functools.cache
def simulate_listeners(n_signals):
    """Scores of a model in the average of all listeners, and both kinds of ISC; voxels of the right come second.

    Every voxel follows some signals of the brain. The model predicts half of each voxel's signal variance. The right
    has more noise in each listener, so that the ceiling of its average is 0.92 times that of the left.
    """
    rng = np.random.default_rng(0)
    n_scans = 9 * N_SCANS
    signals = zscore(rng.standard_normal((n_scans, n_signals)) @ rng.standard_normal((n_signals, N_PAIRS)))
    model = zscore(0.5**0.5 * signals + 0.5**0.5 * zscore(rng.standard_normal(signals.shape)))
    signals, model = np.hstack([signals, signals]), np.hstack([model, model])
    reliability = np.repeat([2 / 3, 2 / 3 * TRUE_RATIO**2], N_PAIRS)  # of the average of all; of half: 1/2 on the left
    noise_of_one = np.sqrt(N_SUBJECTS * (1 - reliability) / reliability)
    halves = [
        np.mean([signals + noise_of_one * rng.standard_normal(signals.shape) for _ in range(N_SUBJECTS // 2)], axis=0)
        for _ in range(2)
    ]
    average = (halves[0] + halves[1]) / 2
    folds = hold_out_runs([N_SCANS] * 9)
    predicted = cross_validate(zscore(halves[0]), zscore(halves[1]), folds, np.logspace(2, 7, 16))[0].mean(axis=0)
    same_voxel = (zscore(halves[0]) * zscore(halves[1])).mean(axis=0)
    scores = (zscore(model) * zscore(average)).mean(axis=0)
    return scores, {"prediction": predicted, "halves": same_voxel}


def compute_ratio(values):
    """Return the mean of the right over the mean of the left."""
    return values[N_PAIRS:].mean() / values[:N_PAIRS].mean()


def test_ceilings_undo_more_noise_on_the_right():
    """With its own formula, each kind of ISC makes both sides equal; plain division and the other formula do not."""
    scores, iscs = simulate_listeners(n_signals=20)
    assert compute_ratio(scores) == pytest.approx(TRUE_RATIO, abs=0.015)
    for kind, isc in iscs.items():
        assert compute_ratio(scores / compute_ceilings(isc[None], kind)) == pytest.approx(1, abs=0.02)
        assert compute_ratio(scores / isc) > 1.03
    assert compute_ratio(scores / compute_ceilings(iscs["prediction"][None], "halves")) < 0.97
    assert compute_ratio(scores / compute_ceilings(iscs["halves"][None], "prediction")) > 1.05


def test_a_poor_prediction_gives_the_less_reliable_side_too_much():
    """The correction is too large where all voxels predict little better than the same voxel alone."""
    scores, iscs = simulate_listeners(n_signals=200)
    assert iscs["prediction"].mean() < iscs["halves"].mean() + 0.06
    assert simulate_listeners(n_signals=20)[1]["prediction"].mean() > iscs["halves"].mean() + 0.12
    ratio = compute_ratio(scores / compute_ceilings(iscs["prediction"][None]))
    assert 1.02 < ratio < compute_ratio(scores / iscs["prediction"])
    assert compute_ratio(scores / compute_ceilings(iscs["halves"][None], "halves")) == pytest.approx(1, abs=0.02)
