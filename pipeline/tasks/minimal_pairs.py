"""Score minimal pairs, and average over paradigms."""

import warnings

import numpy as np
import pandas as pd

from pipeline.models.sentence_scores import compute_log_probabilities


def score_pairs(
    pairs,
    model,
    tokenizer,
    batch_size=64,
    leading_space=False,
    progress=None,
    log=warnings.warn,
    known=None,
    keep=None,
):
    """Log-probabilities of both sentences of every pair.

    Parameters
    ----------
    pairs : pandas.DataFrame with columns good, bad
        A row per pair, and any other columns.
    model, tokenizer, batch_size
        As ``log_probabilities`` takes them.
    leading_space : bool
        Whether a space is put before each sentence, as the BLiMP task of lm-eval does.
    progress : callable, optional
        Called after each batch with the number of sentences that it completed, two a pair.
    log : callable
        Called with a line for the user.
    known, keep
        As ``log_probabilities`` takes them, to go on from where the work was interrupted.

    Returns
    -------
    pandas.DataFrame
        The pairs with two more columns, logprob_good and logprob_bad, in nats. A sentence that
        occurs twice is scored once, so that a pair of identical sentences is a tie to the last bit.
    """
    sentences, where = np.unique(pairs[["good", "bad"]].to_numpy(dtype=object).ravel(), return_inverse=True)
    of_sentence = where.reshape(-1, 2)  # (n_pairs, 2), good and bad
    n_times = np.bincount(where, minlength=len(sentences))
    texts = [" " + sentence if leading_space else sentence for sentence in sentences]
    scores = compute_log_probabilities(
        texts,
        model,
        tokenizer,
        batch_size,
        progress and (lambda done: progress(n_times[done].sum())),
        log,
        known,
        keep,
    )
    return pairs.assign(logprob_good=scores[of_sentence[:, 0]], logprob_bad=scores[of_sentence[:, 1]])


def select_first_pairs(pairs, limit=None):
    """Return the first pairs of each paradigm, for a trial.

    Parameters
    ----------
    pairs : pandas.DataFrame with a column paradigm
    limit : int, optional
        Pairs of a paradigm; by default all.

    Returns
    -------
    pandas.DataFrame
        The same rows, or fewer, in the same order.
    """
    return pairs if limit is None else pairs.groupby("paradigm", sort=False).head(limit).reset_index(drop=True)


def compute_accuracies(pairs):
    """Share of pairs that a model has right, for each paradigm.

    Parameters
    ----------
    pairs : pandas.DataFrame with columns paradigm, phenomenon, logprob_good, logprob_bad
        And field, where the benchmark knows it.

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, n_pairs, n_ties, accuracy (and field)
        A row per paradigm, in the order of the pairs. A tie is not right.
    """
    pairs = pairs.assign(
        tie=pairs["logprob_good"] == pairs["logprob_bad"], right=pairs["logprob_good"] > pairs["logprob_bad"]
    )
    columns = {"phenomenon": ("phenomenon", "first"), "n_pairs": ("right", "size"), "n_ties": ("tie", "sum")}
    columns["accuracy"] = ("right", "mean")
    if "field" in pairs:
        columns["field"] = ("field", "first")
    return pairs.groupby("paradigm", sort=False).agg(**columns).reset_index()


def average_by_phenomenon(table):
    """Mean accuracy over the paradigms of each phenomenon, and over all paradigms.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``accuracies`` returns it.

    Returns
    -------
    pandas.DataFrame with columns phenomenon, paradigms, n_pairs, n_ties, accuracy
        The last row, ``all``, is the mean over paradigms: every paradigm counts alike.
    """
    columns = {"paradigms": ("paradigm", "size"), "n_pairs": ("n_pairs", "sum"), "n_ties": ("n_ties", "sum")}
    columns["accuracy"] = ("accuracy", "mean")
    rows = table.groupby("phenomenon", sort=False).agg(**columns).reset_index()
    everything = table.assign(phenomenon="all").groupby("phenomenon").agg(**columns).reset_index()
    return pd.concat([rows, everything], ignore_index=True)
