"""Make a brain benchmark with a known truth, in the published netCDF-4 layout.

A neuroid is a sum of four independent parts, whose shares of variance are known: planted features of the sentence,
its length, a drift within the passage that contains nothing about the text, and noise. Planted features and length are
the same for all subjects. Drift and noise are of the neuroid alone.
"""

import random
from typing import NamedTuple

import h5py
import numpy as np

from demo.language import CATEGORIES, speak, spell

SHARES = {"planted": 0.30, "length": 0.05, "drift": 0.30, "noise": 0.35}
NULL_SHARES = {"planted": 0.0, "length": 0.0, "drift": 0.6, "noise": 0.4}
N_TOPICS, N_PASSAGES, N_SENTENCES = 24, 2, 4  # passages of a topic, sentences of a passage
N_SUBJECTS, N_NEUROIDS = 5, 30  # neuroids of a subject
DRIFT_SENTENCES = 3.0  # e-folding length of the drift


class MadeBenchmark(NamedTuple):
    """Hold sentences (list of str), their topics and passages, planted features (n, n_planted), length, weights."""

    sentences: list
    topics: np.ndarray
    passages: np.ndarray
    planted: np.ndarray
    length: np.ndarray


def make_sentences(seed):
    """Make sentences and what is planted: how often each category of words occurs, without their total."""
    rng = random.Random(f"{seed} brain benchmark")
    spoken = [speak(rng) for _ in range(N_TOPICS * N_PASSAGES * N_SENTENCES)]
    sentences = [spell([word for word, _, _ in words]) for words in spoken]
    length = np.array([len(words) for words in spoken], dtype=float)
    counts = np.array([[sum(kind == name for _, kind, _ in words) for name in CATEGORIES] for words in spoken], float)
    counts = counts[:, counts.std(axis=0) > 0]
    design = np.stack([np.ones(len(length)), length], axis=1)
    residuals = counts - design @ np.linalg.lstsq(design, counts, rcond=None)[0]
    vectors, values, _ = np.linalg.svd(residuals, full_matrices=False)
    planted = vectors[:, values > 1e-9 * values[0]][:, :6] * np.sqrt(len(length))  # six features of variance 1
    passages = np.repeat(np.arange(N_TOPICS * N_PASSAGES), N_SENTENCES)
    return MadeBenchmark(sentences, passages // N_PASSAGES, passages, planted, _standardise(length))


def make_responses(made, shares, seed):
    """Return responses (n_sentences, n_neuroids) and the weights of the planted features and length (7, n_neuroids)."""
    rng, n_neuroids = np.random.default_rng(seed), N_SUBJECTS * N_NEUROIDS
    weights = rng.standard_normal((made.planted.shape[1], n_neuroids))
    weights *= np.sqrt(shares["planted"]) / np.linalg.norm(weights, axis=0)
    signs = rng.choice([-1, 1], n_neuroids) * np.sqrt(shares["length"])
    n = len(made.sentences)
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    same = made.passages[:, None] == made.passages
    covariance = np.where(same, np.exp(-distance / DRIFT_SENTENCES), 0)
    drift = np.linalg.cholesky(covariance + 1e-9 * np.eye(n)) @ rng.standard_normal((n, n_neuroids))
    responses = made.planted @ weights + made.length[:, None] * signs
    responses += np.sqrt(shares["drift"]) * drift + np.sqrt(shares["noise"]) * rng.standard_normal((n, n_neuroids))
    return responses, np.vstack([weights, signs])


def compute_analytic_ceilings(weights, shares):
    """Return the correlation with the best prediction from all other subjects, and from infinitely many subjects.

    The signal is planted features and length. The rest is independent between neuroids. The best linear prediction
    knows all covariances, so that a fit to a finite number of sentences stays below it.

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
    """Write a benchmark as brainscore-language publishes Pereira2018: netCDF-4, ``data`` and 1-D coordinates."""
    n_sentences, n_neuroids = responses.shape
    subjects = [f"s{number // N_NEUROIDS + 1}" for number in range(n_neuroids)]
    within = np.arange(n_sentences) % N_SENTENCES
    texts = {
        "stimulus": made.sentences,
        "experiment": ["384sentences"] * n_sentences,
        "story": [f"topic {topic}" for topic in made.topics],
        "passage_label": [f"passage {passage}" for passage in made.passages],
        "stimulus_id": [f"384sentences.{number}" for number in range(n_sentences)],
        "subject": subjects,
        "neuroid_id": [f"{subject}.{number}" for number, subject in enumerate(subjects)],
        "atlas": ["language"] * n_neuroids,
    }
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=responses, compression="gzip", compression_opts=9, shuffle=True)
        for name, values in texts.items():
            file.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())
        file.create_dataset("stimulus_num", data=N_SENTENCES * made.passages + within)


def _standardise(values):
    """Return values with mean 0 and variance 1."""
    return (values - values.mean()) / values.std()
