"""Check the simulated listeners."""

import random

import numpy as np
import pytest
from nilearn.glm.first_level import compute_regressor

from demo import bold, listener, make_study
from demo.listeners import LISTENERS
from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.brain.scores import select_reliable_voxels
from pipeline.brain.voxels import compute_positions
from pipeline.encoding.signals import TRIM_SCANS
from pipeline.errors import InputError

N_SCANS = 60


def make_signals(delay_s=0.0):
    rng = random.Random(3)
    onsets, offsets = make_study.make_timings(300)
    runs, others = ([make_study.list_words(make_study.tell(300, rng)) for _ in range(n)] for n in (3, 60))
    times = {"onsets": onsets, "offsets": offsets, "n_scans": N_SCANS, "delay_s": delay_s}
    return listener.make_signals(runs, others, **times, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def signals():
    return make_signals()


@pytest.fixture(scope="module")
def mask():
    return listener.make_brain_mask()


def test_the_hrf_is_nearly_that_of_nilearn_and_comes_later_with_a_delay():
    onsets, scans = np.array([10.0, 30.0]), 2.0 * (np.arange(40) + 0.5)
    design = np.array([onsets, [3.0, 3.0], [1.0, 1.0]])
    expected = compute_regressor(design, "glover", scans)[0][:, 0]
    response = bold.make_scan_matrix(onsets, onsets + 3, 40).sum(axis=1)
    assert np.corrcoef(response, expected)[0, 1] > 0.99
    # A delay of one scan moves the response by one scan.
    late = bold.make_scan_matrix(onsets, onsets + 3, 40, delay_s=bold.TR_S).sum(axis=1)
    np.testing.assert_allclose(late[1:], response[:-1], atol=1e-9)


def test_the_brain_is_symmetric_and_a_quarter_of_it_is_driven(mask):
    inside = np.asarray(mask.dataobj)
    assert (inside == inside[::-1]).all()
    (left, right), x = assign_hemispheres(mask), compute_positions(mask)[:, 0]
    assert left.sum() == right.sum()
    assert 800 < left.sum() < 1000
    assert (x == 0).sum() > 100
    driven_left, driven_right = listener.find_driven_pairs(mask)
    assert (x[driven_left] < 0).all()
    np.testing.assert_array_equal(x[driven_left], -x[driven_right])
    assert 0.25 < 2 * len(driven_left) / len(x) < 0.30


def test_memory_is_orthogonal_to_words_within_each_run(signals):
    assert listener.LOST_SCANS == TRIM_SCANS
    for run in signals:
        seen = slice(TRIM_SCANS, N_SCANS - TRIM_SCANS)
        n_lexical = run.lexical.shape[1]
        for memory in (run.syntactic, run.counting):
            varying = memory[seen][:, memory[seen].std(axis=0) > 0]  # a short run may have no list of six
            correlations = np.corrcoef(run.lexical[seen], varying, rowvar=False)[:n_lexical, n_lexical:]
            assert np.abs(correlations).max() < 1e-4


def correlate_mirror_images(fmri, left, right):
    return np.mean(
        [[np.corrcoef(run[:, a], run[:, b])[0, 1] for a, b in zip(left, right, strict=True)] for run in fmri]
    )


def test_voxels_are_made_of_what_they_are_said_to_be_made_of(signals, mask):
    fmri, isc = listener.listen(mask, signals, 1, **LISTENERS["asymmetric"]["options"])
    null, _ = listener.listen(mask, signals, 2)
    left, right = listener.find_driven_pairs(mask)
    assert fmri[0].shape == (N_SCANS, len(compute_positions(mask)))
    assert fmri[0].dtype == np.float32
    reliable = select_reliable_voxels(isc)
    assert reliable[left].mean() > 0.85
    assert reliable[[*left, *right]].sum() > 0.95 * reliable.sum()
    np.testing.assert_allclose(fmri[0].std(axis=0), 1, atol=1e-4)
    # Mirror images share words and grammar: .15 + sqrt(.30 x .09), or .15 + .30.
    assert correlate_mirror_images(fmri, left, right) == pytest.approx(0.15 + np.sqrt(0.30 * 0.09), abs=0.05)
    assert correlate_mirror_images(null, left, right) == pytest.approx(0.45, abs=0.05)


@pytest.mark.parametrize("ratio", [1.0, 0.851])
def test_a_noisier_right_has_a_lower_ceiling_in_that_ratio(signals, mask, ratio):
    left, right = listener.find_driven_pairs(mask)
    means = []
    for seed in range(2):
        _, isc = listener.listen(mask, signals, seed, ceiling_ratio=ratio)
        halves = isc.mean(axis=0) ** 2 * (1 + listener.PREDICTION_NOISE)  # reliability of half of the subjects
        ceilings = np.sqrt(2 * halves / (1 + halves))
        means.append(ceilings[right].mean() / ceilings[left].mean())
        # The signal is .15 + .30 of the variance of the left.
        assert ceilings[left].mean() == pytest.approx(np.sqrt(0.45), abs=0.05)
    assert np.mean(means) == pytest.approx(ratio, abs=0.02)


def test_a_field_varies_over_voxels_and_is_smooth(mask):
    """The strength of the response, seen in the ISC of a listener without other differences."""
    positions = compute_positions(mask)
    field = np.random.default_rng(0).standard_normal((2000, len(positions)))[:, :]
    smooth = listener.make_smoothing_matrix(positions, 20.0)
    assert np.std(listener.FIELD_SD * field @ smooth) == pytest.approx(listener.FIELD_SD, rel=0.05)


def test_neighbours_resemble_each_other_and_vary_as_much(mask):
    left, _ = listener.find_driven_pairs(mask)
    positions = compute_positions(mask)[left]
    matrix = listener.make_smoothing_matrix(positions, 20.0)
    correlations = matrix.T @ matrix
    np.testing.assert_allclose(np.diag(correlations), 1)
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    # A Gaussian of sd s, applied to white noise, leaves a correlation of exp(-d^2 / 4 s^2); near the edge less of it.
    inside = correlations[distances == 10]
    assert np.median(inside) == pytest.approx(np.exp(-(10**2) / (4 * (20 / 2.3548) ** 2)), abs=0.05)


def test_noise_has_variance_1_and_the_autocorrelation_of_fmri(mask):
    noise = listener.make_noise(np.random.default_rng(0), n_scans=500, n_voxels=5)
    assert noise.shape == (listener.N_SUBJECTS, 500, 5)
    assert noise.std() == pytest.approx(1, abs=0.02)
    lagged = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert lagged == pytest.approx(listener.NOISE_AUTOCORRELATION, abs=0.02)


def test_a_story_too_short_for_the_fit_is_refused():
    onsets, offsets = make_study.make_timings(60)
    run = make_study.list_words(make_study.tell(60, random.Random(0)))
    times = {"onsets": onsets, "offsets": offsets, "n_scans": 17, "rng": np.random.default_rng(0)}
    with pytest.raises(InputError, match="17 scans are too few"):
        listener.make_signals([run], [run], **times)


def test_scrambling_keeps_the_spectrum_and_nothing_else():
    rng = np.random.default_rng(0)
    signal = np.cumsum(rng.standard_normal((200, 50)), axis=0)
    scrambled = listener.scramble(signal, rng)
    np.testing.assert_allclose(np.abs(np.fft.rfft(scrambled, axis=0))[1:-1], np.abs(np.fft.rfft(signal, axis=0))[1:-1])
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(signal.T, scrambled.T, strict=True)]
    assert abs(np.mean(correlations)) < 0.25
