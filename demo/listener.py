"""Simulate a listener: fMRI of a brain whose driving signals are known.

Some voxels of either hemisphere follow the words of the story (lexical signal) and the memory that its
grammar takes (syntactic signal). The left follows the grammar more. The part of the syntactic signal
that counts of words and of parts of speech predict is removed first. Otherwise an untrained model,
which distinguishes words, would predict the left better already. The right has an unrelated signal of
the same spectrum instead, so that both hemispheres have the same variance, spectrum and noise.
"""

import numpy as np
from nibabel import Nifti1Image
from nilearn.datasets import load_mni152_brain_mask
from nilearn.image import resample_img
from scipy.signal import lfilter

from demo.language import CATEGORIES
from pipeline.brain.regions import LANGUAGE_REGIONS
from pipeline.brain.voxels import compute_positions
from pipeline.encoding.hrf import make_hrf_matrix
from pipeline.encoding.signals import TRIM_SCANS, check_n_scans, zscore

VOXEL_MM = 10
# Shares of a driven voxel's variance. Both hemispheres of the null listener have the left's share.
LEXICAL, SYNTACTIC_LEFT, SYNTACTIC_RIGHT = 0.15, 0.30, 0.09
NOISE_AUTOCORRELATION = 0.3  # from one scan to the next
WORD_DIMENSIONS = 4

DRIVEN_RADIUS_MM = 25  # wide enough that a quarter of the brain is driven


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
    left, right : int arrays of shape (n_pairs,)
        Indices into the mask's voxels; ``right[k]`` mirrors ``left[k]``.
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
    embeddings : array of shape (n_different_words, n_dimensions)
        Lexical features of every word that can occur.

    Returns
    -------
    lexical : array of shape (n_words, n_dimensions)
    syntactic : array of shape (n_words, n_states)
    counts : array of shape (n_words, n_counts)
        A column for each word, each category, and each category of the word before.
    """
    rows = [numbers[word] for word, _, _ in words]
    categories = np.eye(len(CATEGORIES))[[CATEGORIES.index(category) for _, category, _ in words]]
    before = np.vstack([np.zeros(len(CATEGORIES)), categories[:-1]])
    syntactic = np.array([list(state.values()) for _, _, state in words])
    return embeddings[rows], syntactic, np.hstack([np.eye(len(embeddings))[rows], categories, before])


def make_signals(runs, training_runs, onsets, offsets, n_scans, rng):
    """Make the lexical and syntactic signals of a story.

    Parameters
    ----------
    runs : list of runs, each a list of (word, category, state)
    training_runs : likewise, of further stories
        They train the prediction of the syntactic signal from counts of words.
    onsets, offsets : array of shape (n_words,), seconds
        The same in every run.
    n_scans : int
    rng : numpy.random.Generator

    Returns
    -------
    list over runs of (lexical, syntactic)
        Arrays of shape (n_scans, n_features), each column z-scored. Over the scans that an
        encoding model is fitted to, syntactic features are orthogonal to the lexical features and to
        their prediction from counts of words.
    """
    different = sorted({word for run in [*runs, *training_runs] for word, _, _ in run})
    numbers = {word: number for number, word in enumerate(different)}
    embeddings = rng.standard_normal((len(different), WORD_DIMENSIONS))
    lengths = [len(word) for word in different]
    embeddings = zscore(np.column_stack([embeddings, lengths]))
    check_n_scans(n_scans)
    to_scans = make_hrf_matrix(onsets, offsets, n_scans)

    def convolve(run):
        return [zscore(to_scans @ features) for features in make_word_features(run, numbers, embeddings)]

    _, training_syntactic, training_counts = map(np.vstack, zip(*map(convolve, training_runs), strict=True))
    prediction, *_ = np.linalg.lstsq(training_counts, training_syntactic)  # (n_counts, n_states)

    kept, signals = slice(TRIM_SCANS, n_scans - TRIM_SCANS), []
    for run in runs:
        lexical, syntactic, counts = convolve(run)
        remaining = np.empty_like(syntactic)
        for feature, predicted in enumerate((counts @ prediction).T):
            regressors = np.column_stack([np.ones(n_scans), lexical, predicted])
            weights, *_ = np.linalg.lstsq(regressors[kept], syntactic[kept, feature])
            remaining[:, feature] = syntactic[:, feature] - regressors @ weights
        signals.append((lexical, zscore(remaining)))
    return signals


def scramble(signal, rng):
    """Give signals random phases and keep their spectrum: (n_scans, n_voxels) to the same shape."""
    spectrum = np.fft.rfft(signal, axis=0)
    return np.fft.irfft(np.abs(spectrum) * np.exp(2j * np.pi * rng.random(spectrum.shape)), n=len(signal), axis=0)


def make_smoothing_matrix(positions, fwhm_mm):
    """Make a matrix that smooths independent values over neighbouring voxels.

    Parameters
    ----------
    positions : array of shape (n_voxels, 3), millimetres
    fwhm_mm : float
        Full width at half maximum of a Gaussian.

    Returns
    -------
    array of shape (n_voxels, n_voxels)
        ``values @ matrix`` has the variance of the values, of shape (n, n_voxels).
    """
    squares = ((positions[:, None] - positions) ** 2).sum(axis=2)
    matrix = np.exp(-squares / (2 * (fwhm_mm / np.sqrt(8 * np.log(2))) ** 2))
    return matrix / np.linalg.norm(matrix, axis=0)


def listen(mask, signals, syntactic_right, seed, fwhm_mm=0.0):
    """Simulate the fMRI of a listener, and the inter-subject correlation of the voxels.

    Parameters
    ----------
    mask : nibabel image
    signals : list over runs of (lexical, syntactic), arrays of shape (n_scans, n_features)
    syntactic_right : float
        Share of the syntactic signal in the variance of the right's driven voxels; the left's share is fixed.
    seed : int or list of int
        Determines the weights and the noise, for every syntactic_right.
    fwhm_mm : float
        Smoothness of the weights and of the noise over voxels.

    Returns
    -------
    fmri : list over runs of float32 array of shape (n_scans, n_voxels), z-scored
    isc : array of shape (10, n_voxels)
        High where a voxel is driven.
    """
    rng = np.random.default_rng(seed)
    left, right = find_driven_pairs(mask)
    n_voxels, n_pairs = len(compute_positions(mask)), len(left)
    n_lexical, n_syntactic = (features.shape[1] for features in signals[0])
    # A voxel and its mirror image have the same weights.
    lexical_weights = rng.standard_normal((n_lexical, n_pairs))
    syntactic_weights = rng.standard_normal((n_syntactic, n_pairs))
    if fwhm_mm:
        positions = compute_positions(mask)
        smooth_noise = make_smoothing_matrix(positions, fwhm_mm)
        smooth_weights = make_smoothing_matrix(positions[left], fwhm_mm)
        lexical_weights, syntactic_weights = lexical_weights @ smooth_weights, syntactic_weights @ smooth_weights

    fmri = []
    for lexical, syntactic in signals:
        noise = rng.standard_normal((len(lexical) + 50, n_voxels))
        if fwhm_mm:
            noise = noise @ smooth_noise
        noise = zscore(lfilter([1], [1, -NOISE_AUTOCORRELATION], noise, axis=0)[50:])
        words, grammar = zscore(lexical @ lexical_weights), zscore(syntactic @ syntactic_weights)
        run = noise.copy()
        for voxels, share in [(left, SYNTACTIC_LEFT), (right, syntactic_right)]:
            unrelated = zscore(scramble(grammar, rng))
            run[:, voxels] = (
                np.sqrt(LEXICAL) * words
                + np.sqrt(share) * grammar
                + np.sqrt(SYNTACTIC_LEFT - share) * unrelated
                + np.sqrt(1 - LEXICAL - SYNTACTIC_LEFT) * noise[:, voxels]
            )
        fmri.append(zscore(run))
    isc = rng.normal(0.05, 0.03, (10, n_voxels))
    isc[:, [*left, *right]] += 0.3
    return fmri, isc
