"""A simulated listener: fMRI of a brain of which we know what drives it.

Some voxels of either hemisphere follow the words of the story (lexical signal) and what must be
kept in mind of its grammar (syntactic signal); the left follows the grammar more. What counts of
words and of parts of speech predict is taken out of the syntactic signal first: otherwise a model
that was never trained, and knows which word is which, would predict the left better already.
The right gets unrelated signal of the same spectrum in its place, so that both hemispheres vary
as much, as slowly, and with as much noise.
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
from pipeline.encoding.signals import TRIM_SCANS, zscore

VOXEL_MM = 10
# Shares of a driven voxel's variance. The null listener has the left's share on both sides.
LEXICAL, SYNTACTIC_LEFT, SYNTACTIC_RIGHT = 0.15, 0.30, 0.09
NOISE_AUTOCORRELATION = 0.3  # from one scan to the next
WORD_DIMENSIONS = 4

DRIVEN_RADIUS_MM = 25  # wide enough that a quarter of the brain is driven


def brain_mask():
    """nilearn's MNI brain, coarse, symmetric about x = 0, with voxels on the midline."""
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


def driven_pairs(mask):
    """Voxels around the language regions of the left, and their mirror images.

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


def word_features(words, numbers_of_words, embeddings):
    """What is known of every word of a run, before it is turned into signal.

    Parameters
    ----------
    words : list of (word, category, state), as ``language.sentence`` returns them
    numbers_of_words : dict from word to row of embeddings
    embeddings : array of shape (n_different_words, n_dimensions)
        A lexical feature of every word that can occur.

    Returns
    -------
    lexical : array of shape (n_words, n_dimensions)
    syntactic : array of shape (n_words, n_states)
    counts : array of shape (n_words, n_counts)
        One column for each word, each category, and each category of the word before.
    """
    numbers = [numbers_of_words[word] for word, _, _ in words]
    categories = np.eye(len(CATEGORIES))[[CATEGORIES.index(category) for _, category, _ in words]]
    before = np.vstack([np.zeros(len(CATEGORIES)), categories[:-1]])
    syntactic = np.array([list(state.values()) for _, _, state in words])
    return embeddings[numbers], syntactic, np.hstack([np.eye(len(embeddings))[numbers], categories, before])


def signals(runs, other_runs, onsets, offsets, n_scans, rng):
    """Lexical and syntactic signals of a story.

    Parameters
    ----------
    runs : list of runs, each a list of (word, category, state)
    other_runs : likewise, of other stories
        From which is learnt what counts of words predict of the syntax.
    onsets, offsets : array of shape (n_words,), seconds
        The same in every run.
    n_scans : int
    rng : numpy.random.Generator

    Returns
    -------
    list over runs of (lexical, syntactic)
        Arrays of shape (n_scans, n_features), each column z-scored. Over the scans that an
        encoding model sees, syntactic features are orthogonal to the lexical ones and to what
        counts of words predict of them.
    """
    different = sorted({word for run in [*runs, *other_runs] for word, _, _ in run})
    numbers = {word: number for number, word in enumerate(different)}
    embeddings = rng.standard_normal((len(different), WORD_DIMENSIONS))
    lengths = [len(word) for word in different]
    embeddings = zscore(np.column_stack([embeddings, lengths]))
    to_scans = make_hrf_matrix(onsets, offsets, n_scans)

    def convolved(run):
        return [zscore(to_scans @ features) for features in word_features(run, numbers, embeddings)]

    _, syntactic_elsewhere, counts_elsewhere = map(np.vstack, zip(*map(convolved, other_runs), strict=True))
    prediction, *_ = np.linalg.lstsq(counts_elsewhere, syntactic_elsewhere)  # (n_counts, n_states)

    seen, of_runs = slice(TRIM_SCANS, n_scans - TRIM_SCANS), []
    for run in runs:
        lexical, syntactic, counts = convolved(run)
        remaining = np.empty_like(syntactic)
        for feature, predicted in enumerate((counts @ prediction).T):
            known = np.column_stack([np.ones(n_scans), lexical, predicted])
            weights, *_ = np.linalg.lstsq(known[seen], syntactic[seen, feature])
            remaining[:, feature] = syntactic[:, feature] - known @ weights
        of_runs.append((lexical, zscore(remaining)))
    return of_runs


def scramble(signal, rng):
    """Signals of the same spectrum, with random phases: (n_scans, n_voxels) to the same shape."""
    spectrum = np.fft.rfft(signal, axis=0)
    return np.fft.irfft(np.abs(spectrum) * np.exp(2j * np.pi * rng.random(spectrum.shape)), n=len(signal), axis=0)


def smoothing(positions, fwhm_mm):
    """A matrix that makes the columns of independent values resemble their neighbours.

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


def listen(mask, signals_of_runs, syntactic_right, seed, fwhm_mm=0.0):
    """Simulate the fMRI of a listener, and the inter-subject correlation of the voxels.

    Parameters
    ----------
    mask : nibabel image
    signals_of_runs : list over runs of (lexical, syntactic), arrays of shape (n_scans, n_features)
    syntactic_right : float
        Share of variance that the right's driven voxels owe to syntax; the left's is fixed.
    seed : int or list of int
        Decides the weights and the noise, whatever syntactic_right is.
    fwhm_mm : float
        How far voxels resemble their neighbours, in what they weigh and in their noise.

    Returns
    -------
    fmri : list over runs of float32 array of shape (n_scans, n_voxels), z-scored
    isc : array of shape (10, n_voxels)
        High where a voxel is driven.
    """
    rng = np.random.default_rng(seed)
    left, right = driven_pairs(mask)
    n_voxels, n_pairs = len(compute_positions(mask)), len(left)
    n_lexical, n_syntactic = (features.shape[1] for features in signals_of_runs[0])
    # A voxel and its mirror image weigh the features alike.
    lexical_weights = rng.standard_normal((n_lexical, n_pairs))
    syntactic_weights = rng.standard_normal((n_syntactic, n_pairs))
    if fwhm_mm:
        positions = compute_positions(mask)
        of_voxels, of_pairs = smoothing(positions, fwhm_mm), smoothing(positions[left], fwhm_mm)
        lexical_weights, syntactic_weights = lexical_weights @ of_pairs, syntactic_weights @ of_pairs

    fmri = []
    for lexical, syntactic in signals_of_runs:
        noise = rng.standard_normal((len(lexical) + 50, n_voxels))
        if fwhm_mm:
            noise = noise @ of_voxels
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
