"""Compute how surprising each word of a story is from the frequencies of words and pairs of words in the story.

Early in training, language models predict unigram and then bigram probabilities (Chang and Bergen 2022). The counts
here are those of the rest of the story: the occurrence of the word itself is left out. Otherwise a word that occurs
once would predict itself, and the bigram probability of most words would be near 1.
"""

import collections
import itertools
import unicodedata

import numpy as np

PRIOR = 0.5  # added to the count of each word (Jeffreys' prior)
STRENGTHS = 2.0 ** np.arange(-2, 13)  # candidates for the weight of the unigrams in a bigram probability, in words


def normalize_word(word):
    """Return a word in one form: lower case, composed characters, one apostrophe."""
    return unicodedata.normalize("NFKC", str(word)).casefold().replace("’", "'").strip()


def count_letters(words):
    """Return the number of letters and digits of each word, a float64 array (n_words,)."""
    return np.array([sum(map(str.isalnum, normalize_word(word))) for word in words], dtype=float)


def compute_unigram_surprisal(words_of_runs):
    """Return -log of the probability of each word in the rest of the story.

    The probability is (n - 1 + 1/2) / (N - 1 + V/2): the word occurs n times among N words, and there are V different
    words.

    Parameters
    ----------
    words_of_runs : list over runs of list of str

    Returns
    -------
    float64 array (n_words of all runs,), nats
    """
    words = [normalize_word(word) for words_of_run in words_of_runs for word in words_of_run]
    counts = collections.Counter(words)
    numbers = np.array([counts[word] for word in words], dtype=float)
    return np.log(len(words) - 1 + PRIOR * len(counts)) - np.log(numbers - 1 + PRIOR)


def compute_bigram_surprisal(words_of_runs):
    """Return -log of the probability of each word after the word before it, in the rest of the story.

    The probability is (n - 1 + s u) / (m - 1 + s): the pair occurs n times, the word before precedes a word m times,
    and u is the unigram probability (a Dirichlet prior, MacKay and Peto 1995). The strength s has the largest
    likelihood of all words, each of them left out once.

    Parameters
    ----------
    words_of_runs : list over runs of list of str

    Returns
    -------
    float64 array (n_words of all runs,), nats; NaN at the first word of a run
    """
    normalized = [[normalize_word(word) for word in words] for words in words_of_runs]
    pairs = collections.Counter(pair for words in normalized for pair in itertools.pairwise(words))
    predecessors = collections.Counter(word for words in normalized for word in words[:-1])
    unigram = np.exp(-compute_unigram_surprisal(words_of_runs))
    n_pairs, n_befores = np.full((2, len(unigram)), np.nan)
    position = 0
    for words in normalized:
        for index in range(1, len(words)):
            n_pairs[position + index] = pairs[words[index - 1], words[index]]
            n_befores[position + index] = predecessors[words[index - 1]]
        position += len(words)
    strengths = STRENGTHS[:, None]
    surprisal = np.log(n_befores - 1 + strengths) - np.log(n_pairs - 1 + strengths * unigram)
    return surprisal[np.nansum(surprisal, axis=1).argmin()]
