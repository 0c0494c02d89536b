"""Simulate a study of full size: word vectors and fMRI, random numbers."""

import numpy as np

from pipeline.encoding.hrf import TR_S
from pipeline.encoding.signals import zscore
from study.files.safe_joblib import write_arrays
from study.paths import activations_path, average_subject_path, onsets_offsets_path
from study.threads import map_in_threads

SCANS_OF_RUNS = (282, 298, 340, 303, 265, 343, 325, 292, 368)
WORDS_PER_SCAN = 5.5
N_VOXELS, N_UNITS, N_LAYERS = 25_870, 4096, 33


def make_word_times(rng, n_scans):
    """Return the onsets and offsets of random words, seconds."""
    onsets = np.sort(rng.uniform(0, TR_S * n_scans - 5, int(WORDS_PER_SCAN * n_scans)))
    return onsets, onsets + rng.uniform(0.1, 0.5, len(onsets))


def simulate_voxels(rng, regressors):
    """Return z-scored fMRI of one run, float32 array (n_scans, n_voxels); some units drive half of the voxels."""
    driven = regressors[:, :50].sum(axis=1, keepdims=True) * (np.arange(N_VOXELS) % 2)
    return zscore(0.1 * driven + rng.standard_normal((len(regressors), N_VOXELS), dtype=np.float32))


def simulate_words(rng):
    """Return word times and random word vectors, two lists over runs."""
    words = [make_word_times(rng, n_scans) for n_scans in SCANS_OF_RUNS]
    return words, [rng.standard_normal((len(onsets), N_UNITS), dtype=np.float32) for onsets, _ in words]


def write_full_study(rng):
    """Write random activations, timings and fMRI of full size; layers share memory while they are written."""
    words = [make_word_times(rng, n_scans) for n_scans in SCANS_OF_RUNS]
    write_arrays(onsets_offsets_path("en"), words)
    n_most = max(len(onsets) for onsets, _ in words) + N_LAYERS
    values = rng.standard_normal((n_most, N_UNITS), dtype=np.float32)
    runs = [[values[layer : layer + len(onsets)] for layer in range(N_LAYERS)] for onsets, _ in words]
    write_arrays(activations_path("full", "en"), runs)
    fmri = [rng.standard_normal((n_scans, N_VOXELS)) for n_scans in SCANS_OF_RUNS]
    map_in_threads(write_arrays, [average_subject_path("en", run) for run in range(len(fmri))], fmri)
