"""Compare regressors with nilearn."""

import numpy as np
import pytest
from nilearn.glm.first_level import compute_regressor

from pipeline.encoding.hrf import make_hrf_matrix
from pipeline.errors import InputError


def random_words(rng, n_words, seconds):
    """Return onsets and offsets with pauses, overlaps, and words without duration."""
    onsets = np.sort(rng.uniform(0, seconds, n_words))
    durations = rng.exponential(0.3, n_words) * (rng.random(n_words) > 0.1)
    return onsets, onsets + durations


@pytest.mark.parametrize(
    ("n_scans", "n_words", "tr_s"), [(282, 1500, 2.0), (368, 1900, 2.0), (23, 9, 2.0), (90, 200, 1.3)]
)
def test_the_hrf_matrix_is_nilearn_s_compute_regressor(n_scans, n_words, tr_s):
    rng = np.random.default_rng(n_scans)
    onsets, offsets = random_words(rng, n_words, (n_scans - 0.5) * tr_s)
    onsets[-1], offsets[-1] = n_scans * tr_s - 0.01, n_scans * tr_s + 3  # runs on after the last scan
    values = rng.standard_normal((n_words, 12))
    frame_times = (np.arange(n_scans) + 0.5) * tr_s
    expected = np.column_stack(
        [compute_regressor((onsets, offsets - onsets, unit), "glover", frame_times)[0][:, 0] for unit in values.T]
    )
    regressors = make_hrf_matrix(onsets, offsets, n_scans, tr_s) @ values
    assert np.abs(regressors - expected).max() < 1e-5 * np.abs(expected).max()
    # The script uses the product in float32.
    product = make_hrf_matrix(onsets, offsets, n_scans, tr_s).astype(np.float32) @ values.astype(np.float32)
    assert np.abs(product - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("onsets", "offsets", "message"),
    [
        ([0, 3, np.nan], [1, 4, 5], "word 3 .* has no onset"),
        ([0, 3, 4], [1, 2.5, 5], "word 2 .3 to 2.5 s. ends before it begins"),
        ([-1, 3, 4], [1, 3.5, 5], "word 1 .* begins before the run"),
        ([0, 3, 80], [1, 3.5, 81], "word 3 .* begins after the end of the 40 scans of 2 s"),
        ([0, 3], [1, 3.5, 5], "expected onsets and offsets of equal length"),
    ],
)
def test_times_that_cannot_be_are_errors(onsets, offsets, message):
    with pytest.raises(InputError, match=message):
        make_hrf_matrix(np.array(onsets), np.array(offsets), 40)
    with pytest.raises(InputError, match="expected two scans or more, got 1"):
        make_hrf_matrix(np.array([0.0]), np.array([1.0]), 1)
