"""Read near-ties in batches of a fixed shape, so that the size of other batches decides no minimal pair.

The rounding of a matrix product depends on its shape. So the sum of a sentence depends on the size of the batch, and
on its neighbours in a tree: by 1e-5 nats in float32, by tenths of a nat in bfloat16. The rounding of a model is
measured on some sentences. Two sentences whose sums differ by less than NEAR_TIE times the rounding are read in plain
batches of a fixed shape. The sum of a sentence in such a batch depends neither on the batch size nor on the other
sentences, where the device computes all rows of a product in the same way, as tests show for the CPU.
"""

from functools import partial

import numpy as np

from pipeline.models.sentence_batches import Reading, prepare_padded, score_batches, score_padded

# Most tokens of a batch of the fixed shape, padding included: enough for the device to be fast. Columns are a multiple
# of 4: with 8, and 2,048 tokens, 1,020 sentences of BLiMP need 18,432 slots; with 4, and 1,536 tokens, 13,824.
FIXED_TOKENS = {"cpu": 256, "gpu": 1536}
N_COLUMNS = 4
NEAR_TIE = 10  # times the rounding of a sum, root mean square


def score_in_fixed_shape(indices, token_ids, model, log, is_linear, context, scores):
    """Write the log-probabilities of sentences into the scores, read in plain batches of a fixed shape.

    Parameters
    ----------
    indices : sequence of int
    token_ids : list of n_sentences lists of int
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
    log : callable of a line for the user, where batches are halved
    is_linear : bool, as ``has_linear_logits`` returns it
    context : int or None, as ``find_context_length`` returns it
    scores : float64 array (n_sentences,), nats, NaN where not known yet
    """
    n_tokens = FIXED_TOKENS["cpu" if model.device.type == "cpu" else "gpu"]
    by_width: dict[int, list[int]] = {}
    for index in indices:
        # With a column more than the longest sentence has, every batch contains padding: its mask is never left out.
        width = -(-(len(token_ids[index]) + 1) // N_COLUMNS) * N_COLUMNS
        by_width.setdefault(min(width, context or width), []).append(index)
    for width, same_width in sorted(by_width.items()):
        n_rows = 2 ** int(np.log2(max(n_tokens // width, 1)))
        # The last batch is filled with copies of a sentence.
        filled = same_width + same_width[:1] * (-len(same_width) % n_rows)
        reading = Reading(partial(_prepare_fixed, n_columns=width), partial(score_padded, is_linear=is_linear))
        score_batches(filled, token_ids, model, reading, batch_size=n_rows, log=log, scores=scores)


def _prepare_fixed(token_ids, n_columns):
    """Return the arrays of a plain batch whose output layer has a fixed shape as well: it reads padding too."""
    arrays = prepare_padded(token_ids, n_columns)
    return arrays | {"addresses": np.arange(arrays["ids"].size), "states": arrays["addresses"]}


def compute_rounding(scores, fixed, n_terms):
    """Return the root mean square of the differences of two readings, in nats, both divided by n_terms."""
    return float(np.sqrt(np.mean(((scores - fixed) / n_terms) ** 2)))


def settle_near_ties(scores, pairs, *, n_terms, rounding, score_fixed):
    """Replace the scores of near-ties by those of the fixed shape, and return numbers that describe this, a dict.

    Parameters
    ----------
    scores : float64 array (n_sentences,), nats, which is changed
    pairs : int array (n_pairs, 2), indices of sentences with different tokens
    n_terms : array (n_sentences,), by which the scores are divided before they are compared
    rounding : float, as ``compute_rounding`` returns it
    score_fixed : callable of indices and scores, ``score_in_fixed_shape``

    Returns
    -------
    dict
        ``near_ties``, the number of pairs whose difference is at most ``near_tie_nats``. Equal sums of different tokens
        are among them: with another batch size, they may differ.
    """
    nats = NEAR_TIE * rounding
    differences = np.abs(np.diff((scores / n_terms)[pairs], axis=1)[:, 0])
    near_ties = np.flatnonzero(differences <= nats)
    compared = np.unique(pairs[near_ties])
    fixed = np.full(len(scores), np.nan)
    score_fixed(compared, scores=fixed)
    scores[compared] = fixed[compared]
    return {"near_ties": len(near_ties), "near_tie_nats": nats}
