"""Prepare batches of sentences on the CPU, copy them to the device at once, and sum log-probabilities over sentences.

A batch is a dict of int arrays. A thread prepares it while the device computes the batch before it. Each token of a
sentence has a term: the log-probability of the token after a state.
"""

from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch

from pipeline.models.batches import explain_model_errors, work_in_batches
from pipeline.models.output_layer import compute_log_probabilities_from_states


class StagedBatch(NamedTuple):
    """Keep the arrays of a batch as one tensor on the CPU."""

    values: torch.Tensor
    shapes: dict[str, tuple[int, ...]]


def stage_batch(arrays, device):
    """Return int arrays, a dict, as one tensor, in pinned memory where the device is a CUDA device."""
    values = torch.from_numpy(np.concatenate([array.ravel() for array in arrays.values()]))
    if device.type == "cuda":
        with torch.cuda.device(device):
            values = values.pin_memory()  # the copy waits for no work on the device
    return StagedBatch(values, {name: array.shape for name, array in arrays.items()})


def upload_batch(staged, device):
    """Return the arrays of a staged batch as tensors on a device, a dict, in one copy."""
    values = staged.values.to(device, non_blocking=True)
    parts = values.split([int(np.prod(shape)) for shape in staged.shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(staged.shapes.items(), parts, strict=True)}


def prepare_padded(token_ids, n_columns=0):
    """Return the arrays of a plain batch of sentences. A causal model does not see the padding after a sentence.

    Parameters
    ----------
    token_ids : list of n_sentences lists of int; each list has two tokens or more
    n_columns : int, the width of the batch, if no sentence is longer

    Returns
    -------
    dict of int arrays: ids and is_token (n_sentences, n_columns), and the arrays of ``sum_log_probabilities``
    """
    lengths = np.array(list(map(len, token_ids)))
    columns = np.arange(max(lengths.max(), n_columns))
    is_token = columns < lengths[:, None]  # (n_sentences, n_columns)
    ids = np.zeros(is_token.shape, dtype=int)
    ids[is_token] = np.fromiter(chain.from_iterable(token_ids), dtype=int)
    is_follower = is_token[:, 1:]
    n_terms = is_follower.sum()
    terms = np.full(is_follower.shape, n_terms)
    terms[is_follower] = np.arange(n_terms)
    return {
        "ids": ids,
        "is_token": is_token.astype(int),
        "addresses": (np.arange(ids.size).reshape(ids.shape))[:, :-1][is_follower],
        "states": np.arange(n_terms),
        "followers": ids[:, 1:][is_follower],
        "terms": terms,
    }


def score_padded(batch, model, is_linear=False):
    """Return the log-probabilities of sentences, a float64 tensor (n_sentences,), nats.

    Parameters
    ----------
    batch : dict of int tensors on the device of the model, the arrays of ``prepare_padded``
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
    is_linear : bool, as ``has_linear_logits`` returns it
        Without it, the model computes the logits in its own dtype.
    """
    options = {"input_ids": batch["ids"], "attention_mask": batch["is_token"], "use_cache": False}
    with explain_model_errors(model, "read sentences"):
        if is_linear:
            states = model.base_model(**options).last_hidden_state.flatten(0, 1)
            return sum_log_probabilities(states, batch, model.get_output_embeddings())
        places = batch["addresses"][batch["states"]]  # (n_terms,)
        logits = model(**options).logits.flatten(0, 1)[places].float()  # (n_terms, n_vocabulary)
        terms = -torch.nn.functional.cross_entropy(logits, batch["followers"], reduction="none")
        return _sum_terms(terms.double(), batch)


def sum_log_probabilities(states, batch, layer):
    """Return the sum of the terms of each sentence, a float64 tensor (n_sentences,), nats.

    Parameters
    ----------
    states : tensor (n_addresses, n_units), last hidden states of all places of a batch
    batch : dict of int tensors
        ``addresses`` (n_states,) of the states that are used; ``states`` and ``followers`` (n_terms,), the state of
        each term, by its number among the addresses, and its token; ``terms`` (n_sentences, longest), the terms of
        each sentence, and n_terms where it has no more.
    layer : torch.nn.Linear, the output layer of a model for which ``has_linear_logits`` is True
    """
    terms = compute_log_probabilities_from_states(
        states[batch["addresses"]], batch["states"], batch["followers"], layer
    )
    return _sum_terms(terms, batch)


def _sum_terms(terms, batch):
    """Return the sum of the terms of each sentence. The order of a sum is always the same."""
    return torch.cat([terms, terms.new_zeros(1)])[batch["terms"]].sum(dim=1)


class Reading(NamedTuple):
    """Name a way to read batches of sentences."""

    prepare: Callable  # of lists of token ids: the arrays of a batch
    score: Callable  # of a batch on the device, and the model: a float64 tensor (n_sentences,)


def score_batches(indices, token_ids, model, reading, *, batch_size, log, scores, progress=None, keep=None):
    """Write the log-probabilities of sentences into the scores. Batches whose scores are all known are not read.

    A thread prepares the next batch. The sums of a batch are copied from the device after the next batch has begun, so
    that a GPU waits for neither.

    Parameters
    ----------
    indices : sequence of int, in the order in which sentences are read
    token_ids : list of n_sentences lists of int
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
    reading : Reading
    batch_size : int
    log : callable of a line for the user, where batches are halved
    scores : float64 array (n_sentences,), nats, NaN where not known yet
    progress : callable of the indices of the sentences in a batch, optional
    keep : callable of the scores so far, optional
    """
    waiting: list[tuple] = []

    def prepare(batch):
        if not np.isnan(scores[batch]).any():
            return None
        return stage_batch(reading.prepare([token_ids[index] for index in batch]), model.device)

    def work(batch, staged):
        sums = None
        if staged is not None:
            sums = reading.score(upload_batch(staged, model.device), model)
        finish_waiting()
        waiting.append((batch, sums))

    def finish_waiting():
        while waiting:
            batch, sums = waiting.pop()
            if sums is not None:
                scores[batch] = sums.cpu().numpy()
                if keep is not None:
                    keep(scores)
            if progress is not None:
                progress(batch)

    work_in_batches(indices, batch_size, work, log, prepare)
    finish_waiting()
