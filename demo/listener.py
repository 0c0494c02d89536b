"""Simulate a listener: fMRI of a brain whose driving signals are known.

Some voxels of either hemisphere follow the words of the story (lexical signal), the memory that its grammar takes
(syntactic signal), and the memory of a listener who counts the nouns of lists (counting signal). The part of the
last two that counts of words and of parts of speech predict is removed first. Otherwise an untrained model, which
distinguishes words, would predict them already. A hemisphere that follows a signal less has an unrelated signal of
the same spectrum instead, so that both hemispheres have the same variance and spectrum.

fMRI is the mean of simulated subjects, who share the signals and have their own noise. The inter-subject correlation
(ISC) is of the published kind: a prediction of the mean of one half of the subjects from the other half, correlated
with that mean. The published prediction is a ridge regression on all voxels, which contains little noise.
"""

from typing import NamedTuple

import numpy as np
from nibabel import Nifti1Image
from nilearn.datasets import load_mni152_brain_mask
from nilearn.image import resample_img
from scipy.signal import lfilter

from demo.bold import LOST_SCANS, make_scan_matrix, standardize
from demo.language import CATEGORIES
from pipeline.brain.regions import LANGUAGE_REGIONS
from pipeline.brain.voxels import compute_positions
from pipeline.encoding.signals import check_n_scans

VOXEL_MM = 10
NOISE_AUTOCORRELATION = 0.3  # from one scan to the next
BURN_IN_SCANS = 50
WORD_DIMENSIONS = 4
LONGEST_LIST = 25  # words; further words count as the last
N_SUBJECTS, N_TRIALS = 20, 10
# Standard deviation of the log of a voxel's strength of response. In the published English ISC, log(left / right) of
# mirror voxels that are both reliable has a standard deviation of .108, sqrt(2) times this.
FIELD_SD = 0.077
PREDICTION_NOISE = 0.05  # variance of the noise in what one half of the subjects predicts; that of the signal is 1

DRIVEN_RADIUS_MM = 25  # wide enough that a quarter of the brain is driven


class Signals(NamedTuple):
    """Hold the signals of a run, float arrays (n_scans, n_features) with z-scored columns."""

    lexical: np.ndarray
    syntactic: np.ndarray
    counting: np.ndarray


def make_brain_mask():
    """Make a mask of nilearn's MNI brain: coarse, symmetric about x = 0, with voxels on the midline."""
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = -80, -110, -70  # x = -80, -70 ... 80
    mask = resample_img(
        load_mni152_brain_mask(resolution=2),
        target_affine=affine,
        target_shape=(17, 20, 17),
        interpolation="nearest",
        copy_header=True,
        force_resample=True,
    )
    inside = np.asarray(mask.dataobj) != 0
    return Nifti1Image((inside & inside[::-1]).astype(np.int8), affine)


def find_driven_pairs(mask):
    """Find the voxels around the language regions of the left, and their mirror images.

    Returns
    -------
    left, right : int array (n_pairs,), indices into the mask's voxels; ``right[k]`` mirrors ``left[k]``
    """
    positions = compute_positions(mask)
    index_of = {tuple(position): index for index, position in enumerate(positions)}
    centres = np.array(list(LANGUAGE_REGIONS.values()))
    distances = np.linalg.norm(positions[:, None] - centres, axis=2).min(axis=1)
    left = np.flatnonzero((distances < DRIVEN_RADIUS_MM) & (positions[:, 0] < 0))
    return left, np.array([index_of[tuple(positions[index] * [-1, 1, 1])] for index in left])


def make_word_features(words, numbers, embeddings):
    """Make the features of every word of a run, before the HRF turns them into signals.

    Parameters
    ----------
    words : list of (word, category, state), as ``language.speak`` returns them
    numbers : dict from word to row of embeddings
    embeddings : array (n_different_words, n_dimensions), lexical features of every word that can occur

    Returns
    -------
    lexical, syntactic, counting : array (n_words, n_features)
    counts : array (n_words, n_counts), a column for each word, each category, each category of the word before, and
        what ``describe_lists`` returns
    """
    rows = [numbers[word] for word, _, _ in words]
    categories = np.eye(len(CATEGORIES))[[CATEGORIES.index(category) for _, category, _ in words]]
    before = np.vstack([np.zeros(len(CATEGORIES)), categories[:-1]])
    names = list(words[0][2])
    states = np.array([list(state.values()) for _, _, state in words])
    is_count = np.array([name.startswith("count_") for name in names])
    counts = np.hstack([np.eye(len(embeddings))[rows], categories, before, describe_lists(words)])
    return embeddings[rows], states[:, ~is_count], states[:, is_count], counts


def describe_lists(words):
    """Describe how long a list has been going on, without counting its nouns: one-hot codes (n_words, LONGEST_LIST)."""
    features, place = np.zeros((len(words), LONGEST_LIST)), 0
    for row, (_, category, state) in enumerate(words):
        is_list = any(value for name, value in state.items() if name.startswith("count_"))
        place = 1 if category == "number" else (place + 1) * is_list
        if is_list:
            features[row, min(place, LONGEST_LIST) - 1] = 1
    return features


def make_signals(runs, training_runs, onsets, offsets, n_scans, rng, delay_s=0.0):
    """Make the signals of a story.

    Parameters
    ----------
    runs : list of runs, each a list of (word, category, state)
    training_runs : likewise, of further stories, which train the prediction of signals from counts of words
    onsets, offsets : array (n_words,), seconds, the same in every run
    n_scans : int
    rng : numpy.random.Generator
    delay_s : float, seconds by which the HRF is late

    Returns
    -------
    list over runs of Signals. Over the scans that an encoding model is fitted to, syntactic and counting features are
        orthogonal to the lexical features and to their prediction from counts of words.
    """
    different = sorted({word for run in [*runs, *training_runs] for word, _, _ in run})
    numbers = {word: number for number, word in enumerate(different)}
    embeddings = rng.standard_normal((len(different), WORD_DIMENSIONS))
    embeddings = standardize(np.column_stack([embeddings, [len(word) for word in different]]))
    check_n_scans(n_scans)
    to_scans = make_scan_matrix(onsets, offsets, n_scans, delay_s)

    def convolve(run):
        return [standardize(to_scans @ features) for features in make_word_features(run, numbers, embeddings)]

    _, *training_memory, training_counts = map(np.vstack, zip(*map(convolve, training_runs), strict=True))
    prediction, *_ = np.linalg.lstsq(training_counts, np.hstack(training_memory))  # (n_counts, n_states)

    kept, signals = slice(LOST_SCANS, n_scans - LOST_SCANS), []
    for run in runs:
        lexical, syntactic, counting, counts = convolve(run)
        memory = np.hstack([syntactic, counting])
        remaining = np.empty_like(memory)
        for feature, predicted in enumerate((counts @ prediction).T):
            regressors = np.column_stack([np.ones(n_scans), lexical, predicted])
            weights, *_ = np.linalg.lstsq(regressors[kept], memory[kept, feature])
            remaining[:, feature] = memory[:, feature] - regressors @ weights
        signals.append(Signals(lexical, *np.split(standardize(remaining), [syntactic.shape[1]], axis=1)))
    return signals


def scramble(signal, rng):
    """Give signals random phases and keep their spectrum: (n_scans, n_voxels) to the same shape."""
    spectrum = np.fft.rfft(signal, axis=0)
    return np.fft.irfft(np.abs(spectrum) * np.exp(2j * np.pi * rng.random(spectrum.shape)), n=len(signal), axis=0)


def make_smoothing_matrix(positions, fwhm_mm):
    """Make a matrix that smooths independent values over neighbouring voxels.

    Parameters
    ----------
    positions : array (n_voxels, 3), millimetres
    fwhm_mm : float, full width at half maximum of a Gaussian

    Returns
    -------
    array (n_voxels, n_voxels); ``values @ matrix`` has the variance of the values, of shape (n, n_voxels)
    """
    squares = ((positions[:, None] - positions) ** 2).sum(axis=2)
    matrix = np.exp(-squares / (2 * (fwhm_mm / np.sqrt(8 * np.log(2))) ** 2))
    return matrix / np.linalg.norm(matrix, axis=0)


def make_noise(rng, n_scans, n_voxels, sources=None):
    """Make noise of mean 0 and variance 1 with the autocorrelation of fMRI, for every subject.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_scans, n_voxels : int
    sources : array (n_sources, n_voxels) as ``make_smoothing_matrix`` returns it, or None for independent voxels

    Returns
    -------
    float32 array (N_SUBJECTS, n_scans, n_voxels)
    """
    n_columns = n_voxels if sources is None else len(sources)
    noise = rng.standard_normal((N_SUBJECTS, n_scans + BURN_IN_SCANS, n_columns), dtype=np.float32)
    scale = np.float32(np.sqrt(1 - NOISE_AUTOCORRELATION**2))
    noise = lfilter([scale], np.array([1, -NOISE_AUTOCORRELATION], dtype=np.float32), noise, axis=1)[:, BURN_IN_SCANS:]
    return noise if sources is None else noise @ sources


def listen(
    mask,
    signals,
    seed,
    *,
    lexical=0.15,
    syntactic=(0.30, 0.30),
    counting=(0.0, 0.0),
    ceiling_ratio=1.0,
    field_mm=None,
    sources=None,
):
    """Simulate the fMRI of an average subject, and the inter-subject correlation of the voxels.

    Shares are of the variance of a driven voxel of the average subject.

    Parameters
    ----------
    mask : nibabel image
    signals : list over runs of Signals
    seed : int or list of int, which determines weights, noise and field
    lexical : float, share of the words
    syntactic, counting : (float, float), shares of a signal on the left and on the right
    ceiling_ratio : float, noise ceiling (square root of the reliability) of the right over that of the left. Below 1,
        the right has more noise. The shares of the right's signals are smaller in the same proportion.
    field_mm : float or None, smoothness (FWHM) of lasting differences in the strength of response between voxels
    sources : array (n_sources, n_voxels), of smooth noise and smooth weights (see ``make_noise``)

    Returns
    -------
    fmri : list over runs of float32 array (n_scans, n_voxels), z-scored
    isc : array (N_TRIALS, n_voxels), averaged over runs
    """
    rng = np.random.default_rng(seed)
    left, right = find_driven_pairs(mask)
    positions = compute_positions(mask)
    memory = {"syntactic": syntactic, "counting": counting}
    weights = {name: _draw_weights(rng, getattr(signals[0], name), left, sources) for name in ("lexical", *memory)}
    signal_share = lexical + sum(map(max, memory.values()))
    noise_sd = np.full(len(positions), np.sqrt(1 - signal_share))
    noise_sd[right] = np.sqrt(1 / ceiling_ratio**2 - signal_share)
    strength = np.ones(len(positions))
    if field_mm:
        strength = np.exp(FIELD_SD * rng.standard_normal(len(positions)) @ make_smoothing_matrix(positions, field_mm))
    shares = _draw_halves(rng)
    fmri, isc = [], np.zeros((N_TRIALS, len(positions)))
    for run in signals:
        response = np.zeros((len(run.lexical), len(positions)))
        drives = _drive_voxels(run, weights, lexical=lexical, memory=memory, rng=rng)
        for voxels, driven in zip((left, right), drives, strict=True):
            response[:, voxels] = driven
        noise = np.tensordot(shares, make_noise(rng, *response.shape, sources), axes=1)
        # The average subject, then the halves that are predicted: (1 + N_TRIALS, n_scans, n_voxels).
        averages = response * strength + np.sqrt(N_SUBJECTS) * noise_sd * noise
        fmri.append(standardize(averages[0]).astype(np.float32))
        kept = slice(LOST_SCANS, len(response) - LOST_SCANS)
        prediction = standardize(response[kept]) + np.sqrt(PREDICTION_NOISE) * rng.standard_normal(response[kept].shape)
        prediction = standardize(prediction)
        isc += [(prediction * standardize(half[kept])).mean(axis=0) / len(signals) for half in averages[1:]]
    return fmri, isc


def _draw_halves(rng):
    """Return the weight of each subject in the average subject, then in the half of each trial: (1 + N_TRIALS, n)."""
    trials = [rng.permutation(N_SUBJECTS) < N_SUBJECTS / 2 for _ in range(N_TRIALS)]
    shares = np.stack([np.ones(N_SUBJECTS), *trials], dtype=np.float32)
    return shares / shares.sum(axis=1, keepdims=True)


def _drive_voxels(run, weights, lexical, memory, rng):
    """Return what drives the voxels of the left and of the right in a run, arrays (n_scans, n_pairs)."""
    words = np.sqrt(lexical) * standardize(run.lexical @ weights["lexical"])
    drives = [words, words]
    for name, shares in memory.items():
        if not any(shares):
            continue
        signal = standardize(getattr(run, name) @ weights[name])
        for side, share in enumerate(shares):
            drives[side] = drives[side] + np.sqrt(share) * signal
            if max(shares) > share:
                drives[side] += np.sqrt(max(shares) - share) * standardize(scramble(signal, rng))
    return drives


def _draw_weights(rng, features, left, sources):
    """Draw the weights (n_features, n_pairs) of a signal's features: the same for a voxel and its mirror image."""
    if sources is None:
        return rng.standard_normal((features.shape[1], len(left)))
    return rng.standard_normal((features.shape[1], len(sources))) @ sources[:, left]
