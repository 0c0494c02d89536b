"""Make a brain benchmark with a known truth, in the published netCDF-4 layout of Blank2014.

A neuroid is a sum of four independent parts, whose shares of variance are known: planted features of the word, its
length, a drift within the passage that contains nothing about the text, and noise. The planted features are the memory
of a listener who follows the syntax (``demo.language.describe_memory``), without what the category of the word and its
place in the sentence contain: they depend on the order of words. Planted features and length are the same for all
subjects. Drift and noise are of the neuroid alone.
"""

import random
from typing import NamedTuple

import h5py
import numpy as np

from demo.language import CATEGORIES, speak, spell

SHARES = {"planted": 0.30, "length": 0.05, "drift": 0.30, "noise": 0.35}
NULL_SHARES = {"planted": 0.0, "length": 0.0, "drift": 0.6, "noise": 0.4}
N_PASSAGES, N_SENTENCES = 12, 4  # sentences of a passage
N_SUBJECTS, N_NEUROIDS = 5, 30  # neuroids of a subject
N_PLANTED = 6  # features
DRIFT_WORDS = 3.0  # e-folding length of the drift


class MadeBenchmark(NamedTuple):
    """Hold words (list of str), passage, sentence and place of each, planted features (n, N_PLANTED), length."""

    words: list
    passages: np.ndarray
    sentences: np.ndarray
    places: np.ndarray
    planted: np.ndarray
    length: np.ndarray


def make_words(seed):
    """Make the words of all passages, and what is planted. The full stop of a sentence belongs to its last word."""
    rng = random.Random(f"{seed} brain benchmark")
    words, place_of_words, categories, memories = [], [], [], []
    for sentence in range(N_PASSAGES * N_SENTENCES):
        spoken = speak(rng, with_state=True)
        words += spell([word for word, _, _ in spoken]).split(" ")
        for place, (_, category, memory) in enumerate(spoken[:-1]):
            place_of_words.append((sentence // N_SENTENCES, sentence % N_SENTENCES, place))
            categories.append([category == name for name in CATEGORIES])
            memories.append(list(memory.values()))
    passages, sentences, places = np.array(place_of_words).T
    length = _standardise(np.array([sum(map(str.isalnum, word)) for word in words], dtype=float))
    known = [np.ones(len(words)), length, places, np.log1p(places), *np.array(categories, dtype=float).T]
    planted = _find_components(np.array(memories, dtype=float), np.stack(known, axis=1))
    return MadeBenchmark(words, passages, sentences, places, planted, length)


def _find_components(memories, known):
    """Return the principal components of memories without what is known, of variance 1, (n_words, N_PLANTED)."""
    memories = memories[:, memories.std(axis=0) > 0]
    memories = (memories - memories.mean(axis=0)) / memories.std(axis=0)
    residuals = memories - known @ np.linalg.lstsq(known, memories, rcond=None)[0]
    vectors = np.linalg.svd(residuals, full_matrices=False)[0]
    return vectors[:, :N_PLANTED] * np.sqrt(len(memories))


def make_responses(made, shares, seed):
    """Return responses (n_words, n_neuroids) and the weights of planted features and length (7, n_neuroids)."""
    rng, n_neuroids = np.random.default_rng(seed), N_SUBJECTS * N_NEUROIDS
    weights = rng.standard_normal((made.planted.shape[1], n_neuroids))
    weights *= np.sqrt(shares["planted"]) / np.linalg.norm(weights, axis=0)
    signs = rng.choice([-1, 1], n_neuroids) * np.sqrt(shares["length"])
    n = len(made.words)
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    same = made.passages[:, None] == made.passages
    covariance = np.where(same, np.exp(-distance / DRIFT_WORDS), 0)
    drift = np.linalg.cholesky(covariance + 1e-9 * np.eye(n)) @ rng.standard_normal((n, n_neuroids))
    responses = made.planted @ weights + made.length[:, None] * signs
    responses += np.sqrt(shares["drift"]) * drift + np.sqrt(shares["noise"]) * rng.standard_normal((n, n_neuroids))
    return responses, np.vstack([weights, signs])


def compute_analytic_ceilings(weights, shares):
    """Return the correlation with the best prediction from all other subjects, and from infinitely many subjects.

    The signal is planted features and length. The rest is independent between neuroids. The best linear prediction
    knows all covariances, so that a fit to a finite number of words stays below it.

    Returns
    -------
    at_n : float array (n_neuroids,)
    extrapolated : float, the square root of the share of the signal
    """
    owners = np.repeat(np.arange(N_SUBJECTS), N_NEUROIDS)
    signal = weights.T @ weights
    rest, at_n = shares["drift"] + shares["noise"], np.empty(len(owners))
    for subject in range(N_SUBJECTS):
        others = owners != subject
        covariance = signal[np.ix_(others, others)] + rest * np.eye(others.sum())
        with_neuroids = signal[np.ix_(others, ~others)]
        at_n[~others] = np.sqrt(np.einsum("on,on->n", with_neuroids, np.linalg.solve(covariance, with_neuroids)))
    return at_n, np.sqrt(shares["planted"] + shares["length"])


def write_published_layout(path, made, responses):
    """Write a benchmark as brainscore-language publishes Blank2014: netCDF-4, ``data`` and 1-D coordinates."""
    n_neuroids = responses.shape[1]
    subjects = [f"s{number // N_NEUROIDS + 1}" for number in range(n_neuroids)]
    texts = {
        "stimulus": [f"{word} " for word in made.words],  # a bin ends in a space
        "story": [f"passage {passage}" for passage in made.passages],
        "subject_id": subjects,
        "neuroid_id": [f"{subject}.{number}" for number, subject in enumerate(subjects)],
        "fROI_area": ["made"] * n_neuroids,
    }
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=responses, compression="gzip", compression_opts=9, shuffle=True)
        for name, values in texts.items():
            file.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())
        file.create_dataset("sentence_number_in_story", data=made.sentences)
        file.create_dataset("part_number_in_sentence", data=made.places)


def _standardise(values):
    """Return values with mean 0 and variance 1."""
    return (values - values.mean()) / values.std()
