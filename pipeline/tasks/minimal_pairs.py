"""Score minimal pairs, and average accuracies over paradigms.

Each paradigm is weighted by its number of pairs. This is the plain mean where all paradigms have equally many pairs, as
in BLiMP, Zorro and Dyck. In arithmetic, a plain mean would be almost as noisy as its three small paradigms.
"""

import warnings

import numpy as np
import pandas as pd

from pipeline.models.sentence_scores import compute_log_probabilities


def score_pairs(
    pairs,
    model,
    tokenizer,
    batch_size=None,
    leading_space=False,
    progress=None,
    log=warnings.warn,
    **options,
):
    """Return pairs with the log-probabilities of both sentences.

    Parameters
    ----------
    pairs : pandas.DataFrame with columns good, bad (a row per pair), and any other columns
    model, tokenizer, batch_size : as ``compute_log_probabilities`` takes them
    leading_space : bool, put a space before each sentence, as the BLiMP task of lm-eval does
    progress : callable of the number of sentences that a batch completed, two for each pair, optional
    log : callable of a line for the user
    options : known, keep, has_bos, is_mean, measure, as ``compute_log_probabilities`` takes them

    Returns
    -------
    pandas.DataFrame
        The pairs with two more columns, logprob_good and logprob_bad, in nats. Each distinct sentence is scored once,
        so that a pair of identical sentences is an exact tie. The batch size decides no near-tie.
    """
    indices, sentences = pd.factorize(pairs[["good", "bad"]].to_numpy(dtype=object).ravel())
    n_times = np.bincount(indices, minlength=len(sentences))

    def count_done(batch):
        if progress is not None:
            progress(n_times[batch].sum())

    scores = compute_log_probabilities(
        [" " + sentence if leading_space else sentence for sentence in sentences],
        model,
        tokenizer,
        batch_size=batch_size,
        progress=count_done,
        log=log,
        pairs=indices.reshape(-1, 2),
        **options,
    )
    scores = scores[indices].reshape(-1, 2)  # (n_pairs, 2), good and bad
    return pairs.assign(logprob_good=scores[:, 0], logprob_bad=scores[:, 1])


def select_first_pairs(pairs, limit=None):
    """Return the first pairs of each paradigm, at most limit (None for all), in the same order, for a trial run."""
    return pairs if limit is None else pairs.groupby("paradigm", sort=False).head(limit).reset_index(drop=True)


def compute_accuracies(pairs):
    """Return the share of pairs in which the good sentence is more probable, for each paradigm.

    Parameters
    ----------
    pairs : pandas.DataFrame with columns paradigm, phenomenon, logprob_good, logprob_bad (and field)

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, n_pairs, n_ties, accuracy (and field)
        A row per paradigm, in the order of the pairs. A tie counts as wrong.
    """
    pairs = pairs.assign(
        tie=pairs["logprob_good"] == pairs["logprob_bad"], right=pairs["logprob_good"] > pairs["logprob_bad"]
    )
    columns = {"phenomenon": ("phenomenon", "first"), "n_pairs": ("right", "size"), "n_ties": ("tie", "sum")}
    columns["accuracy"] = ("right", "mean")
    if "field" in pairs:
        columns["field"] = ("field", "first")
    return pairs.groupby("paradigm", sort=False).agg(**columns).reset_index()


def average_accuracies(accuracies, part):
    """Return the mean accuracy over paradigms, a float, with each paradigm weighted by its number of pairs.

    Parameters
    ----------
    accuracies : pandas.Series of float, indexed by paradigm
    part : tuple of (paradigm, number of pairs), as ``pipeline.tasks.table`` defines it
        Where a number is not known, all paradigms have equal weights.
    """
    numbers = dict(part)
    if None in numbers.values():
        return float(accuracies.mean())
    return float(np.average(accuracies, weights=[numbers[paradigm] for paradigm in accuracies.index]))


def average_by_phenomenon(table):
    """Return the mean accuracy over the paradigms of each phenomenon, and over all paradigms.

    Each paradigm is weighted by its number of pairs.

    Parameters
    ----------
    table : pandas.DataFrame, as ``compute_accuracies`` returns it

    Returns
    -------
    pandas.DataFrame with columns phenomenon, paradigms, n_pairs, n_ties, accuracy
        The last row, ``all``, is the mean over all paradigms.
    """
    columns = {"paradigms": ("paradigm", "size"), "n_pairs": ("n_pairs", "sum"), "n_ties": ("n_ties", "sum")}
    columns["n_right"] = ("n_right", "sum")
    table = table.assign(n_right=table["accuracy"] * table["n_pairs"])
    parts = [table, table.assign(phenomenon="all")]
    rows = pd.concat([part.groupby("phenomenon", sort=False).agg(**columns).reset_index() for part in parts])
    accuracy = rows.pop("n_right") / rows["n_pairs"]
    return rows.assign(accuracy=accuracy).reset_index(drop=True)
