"""Compute vectors of the units of any story (sentences, bins, words) that contain less than a language model has.

Position and random vectors of units are those of words, in ``pipeline.words.baselines``.

Each function returns a list over runs of float32 arrays (n_units, n_features). Fits z-score every feature.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.words.baselines import N_DIMENSIONS, draw_random_embedding


def compute_unit_length(units_of_runs):
    """Return the number of letters and digits, and of words, of each unit; units_of_runs is a list of lists of str."""
    return [
        np.array([[sum(map(str.isalnum, unit)), len(unit.split())] for unit in units], dtype=np.float32)
        for units in units_of_runs
    ]


def compute_unit_word_rate(units_of_runs):
    """Return the number of words of each unit."""
    return [lengths[:, 1:] for lengths in compute_unit_length(units_of_runs)]


def draw_unit_embedding(units_of_runs, seed, n_dimensions=N_DIMENSIONS):
    """Return the mean over the words of each unit of a random vector for each word type."""
    words_of_units = [unit.split() for units in units_of_runs for unit in units]
    vectors = iter(draw_random_embedding(words_of_units, seed, n_dimensions))
    return [np.stack([next(vectors).mean(axis=0) for _ in units]) for units in units_of_runs]


def compute_oasm(units_of_runs, sigma):
    """Return the ordered autocorrelation of samples (OASM; Hadidi et al. 2026): no text, only neighbourhood.

    Each unit has a feature of its own, which is smoothed over the units of its run by a Gaussian. A held-out run has
    only features that are 0 in all other runs, so that nothing of it can be predicted. Random folds leak: a unit is
    predicted from its neighbours.

    Parameters
    ----------
    units_of_runs : list over runs of sequence of n_units
    sigma : float, standard deviation of the Gaussian, units; 0 for the identity

    Returns
    -------
    list over runs of float32 array (n_units, n_units of all runs)
    """
    n_units, first, features = sum(map(len, units_of_runs)), 0, []
    for units in units_of_runs:
        block = np.zeros((len(units), n_units), dtype=np.float32)
        identity = np.eye(len(units))
        end = first + len(units)
        block[:, first:end] = gaussian_filter1d(identity, sigma, axis=1) if sigma > 0 else identity
        features.append(block)
        first = end
    return features
