"""Compute log-probabilities of sentences as trees of shared beginnings, each of which the model reads once.

The sentences of a benchmark share their beginnings: ``The cats that meow are``, ``The cats that meow is``. A causal
language model reads a beginning in the same way whatever follows. So beginnings form a tree: each node is a token, and
each beginning is a path from a root. The root is BOS, or the first token of a sentence without BOS. A row of the
model's input contains as many beginnings as fit. Its attention mask lets each node see only the nodes on its path. The
position of a node is its depth. The nodes of a row are in preorder: the nodes below a node follow it without a gap.

The address of a node is row * n_slots + slot.
"""

import inspect
from itertools import chain

import numpy as np
import torch

from pipeline.models.sentence_batches import sum_log_probabilities
from pipeline.models.tokenization import get_text_config

# Nodes of a row: longer rows share more, but need more attention and memory. On BLiMP, Pythia-14M and Pythia-160M are
# about as fast with 96 as with 256.
ROW_TOKENS = 192


def pack_trees(beginnings, max_slots):
    """Pack token sequences as trees into rows.

    Sequences are taken in sorted order. Each adds the nodes to a row that it does not share with the sequence before.
    Where the row would become too long, a new row begins with a new root. The number of rows is as small as this order
    allows, and the rows are as short as their number allows.

    Parameters
    ----------
    beginnings : list of n_beginnings lists of int, token ids; each list has a token or more
    max_slots : int, most nodes of a row; no beginning may be longer

    Returns
    -------
    ids : int array (n_rows, n_slots), the token of each node, 0 in empty slots
    depths : int array (n_rows, n_slots), the number of tokens before each node, 0 in empty slots
    ends : int array (n_rows, n_slots), the slot after the last node below each node, the next slot for empty slots
    paths : int array (n_beginnings, longest), the addresses of each beginning's nodes, then -1
    """
    order = sorted(range(len(beginnings)), key=beginnings.__getitem__)
    lengths = np.array([len(beginnings[index]) for index in order])
    depth = np.arange(lengths.max())
    is_token = depth < lengths[:, None]  # (n_beginnings, longest)
    tokens = np.full(is_token.shape, -1)
    tokens[is_token] = np.fromiter(chain.from_iterable(beginnings[index] for index in order), dtype=int)
    same = (tokens[1:] == tokens[:-1]) & is_token[1:]
    shared = np.append(0, np.logical_and.accumulate(same, axis=1).sum(axis=1))  # with the sequence before

    rows, first_slots = _fill_few_rows(lengths, shared, max_slots)
    shared[first_slots == 0] = 0  # the first sequence of a row shares nothing

    slots = first_slots[:, None] + depth - shared[:, None]
    is_new = (depth >= shared[:, None]) & is_token
    n_rows, n_slots = rows[-1] + 1, slots[is_new].max() + 1
    addresses = rows[:, None] * n_slots + slots
    # A shared node is the last new node of its depth, which has the largest address so far.
    paths = np.maximum.accumulate(np.where(is_new, addresses, -1), axis=0)
    paths[~is_token] = -1

    ids, depths = np.zeros((2, n_rows, n_slots), dtype=int)
    ids.ravel()[addresses[is_new]] = tokens[is_new]
    depths.ravel()[addresses[is_new]] = np.broadcast_to(depth, is_new.shape)[is_new]
    ends = np.tile(np.arange(1, n_slots + 1), (n_rows, 1))
    # The last node of a sequence is the last node so far. A node keeps the last end that is assigned to it.
    last_slots = paths[np.arange(len(paths)), lengths - 1] % n_slots
    ends.ravel()[paths[is_token]] = np.broadcast_to(last_slots[:, None] + 1, is_token.shape)[is_token]
    unsorted_paths = np.empty_like(paths)
    unsorted_paths[order] = paths
    return ids, depths, ends, unsorted_paths


def _fill_few_rows(lengths, shared, max_slots):
    """Return what ``_fill_rows`` returns for the fewest slots that need no more rows than max_slots."""
    n_rows = _fill_rows(lengths, shared, max_slots)[0][-1] + 1
    too_few, enough = max(lengths.max(), -(-(lengths - shared).sum() // n_rows)) - 1, max_slots
    while enough - too_few > 1:  # more slots never need more rows
        n_slots = (too_few + enough) // 2
        if _fill_rows(lengths, shared, n_slots)[0][-1] < n_rows:
            enough = n_slots
        else:
            too_few = n_slots
    return _fill_rows(lengths, shared, enough)


def _fill_rows(lengths, shared, n_slots):
    """Return the row of each beginning, and the slot of its first new node, int arrays."""
    rows, first_slots = np.empty((2, len(lengths)), dtype=int)
    row, used = -1, n_slots
    for index, (length, n_shared) in enumerate(zip(lengths.tolist(), shared.tolist(), strict=True)):
        if used + length - n_shared > n_slots or row < 0:
            row, used, n_shared = row + 1, 0, 0
        rows[index], first_slots[index] = row, used
        used += length - n_shared
    return rows, first_slots


def prepare_trees(token_ids, context):
    """Return the arrays of a batch of sentences as trees, a dict of int arrays.

    Parameters
    ----------
    token_ids : list of n_sentences lists of int; each list has two tokens or more
        The first is BOS, or a token without a probability.
    context : int or None, as ``find_context_length`` returns it

    Returns
    -------
    dict of int arrays: ids, depths, ends as ``pack_trees`` returns them, and the arrays of ``sum_log_probabilities``
        A token whose node is shared is predicted once.
    """
    beginnings = [tokens[:-1] for tokens in token_ids]  # no token follows the last
    max_slots = max(min(ROW_TOKENS, context or ROW_TOKENS), *map(len, beginnings))
    ids, depths, ends, paths = pack_trees(beginnings, max_slots)
    is_node = paths >= 0
    is_used = np.zeros(ids.size, dtype=bool)
    is_used[paths[is_node]] = True
    addresses, places = np.flatnonzero(is_used), np.cumsum(is_used) - 1
    places = np.where(is_node, places[paths], -1)  # (n_sentences, longest), of nodes among the addresses

    # A token is predicted from the node before it: the token of each node, then the last token of each sentence.
    n_sentences, n_nodes = len(paths), len(addresses)
    before = np.arange(n_nodes)  # a root has no node before it, and its term is never summed
    before[places[:, 1:][is_node[:, 1:]]] = places[:, :-1][is_node[:, 1:]]
    last = is_node.sum(axis=1) - 1
    terms = np.full(paths.shape, n_nodes + n_sentences)
    terms[:, :-1][is_node[:, 1:]] = places[:, 1:][is_node[:, 1:]]
    terms[np.arange(n_sentences), last] = n_nodes + np.arange(n_sentences)
    return {
        "ids": ids,
        "depths": depths,
        "ends": ends,
        "addresses": addresses,
        "states": np.append(before, places[np.arange(n_sentences), last]),
        "followers": np.append(ids.ravel()[addresses], [tokens[-1] for tokens in token_ids]),
        "terms": terms,
    }


def make_attention_mask(ends, dtype):
    """Return the attention mask of trees, in which each node sees itself and the nodes before it on its path.

    Parameters
    ----------
    ends : int tensor (n_rows, n_slots), as ``pack_trees`` returns it
    dtype : torch.dtype

    Returns
    -------
    tensor (n_rows, 1, n_slots, n_slots)
        ``[row, 0, query, key]`` is 0 where the query sees the key, and the lowest number elsewhere. Some attention
        implementations do not take bools. An empty slot sees itself, since softmax needs a key.
    """
    slots = torch.arange(ends.shape[1], device=ends.device)
    sees = (slots[:, None] >= slots) & (slots[:, None] < ends[:, None])  # (n_rows, query, key)
    mask = torch.zeros(sees.shape, dtype=dtype, device=ends.device)
    return mask.masked_fill_(~sees, torch.finfo(dtype).min)[:, None]


def read_trees(batch, model):
    """Return the last hidden states of all slots, a tensor (n_rows * n_slots, n_units)."""
    return model.base_model(
        input_ids=batch["ids"],
        attention_mask=make_attention_mask(batch["ends"], model.dtype),
        position_ids=batch["depths"],
        use_cache=False,
    ).last_hidden_state.flatten(0, 1)


def score_trees(batch, model):
    """Return the log-probabilities of sentences, a float64 tensor (n_sentences,), nats.

    Parameters
    ----------
    batch : dict of int tensors on the device of the model, the arrays of ``prepare_trees``
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
        Its attention takes any mask. Its logits are a linear function of its last hidden states.
    """
    return sum_log_probabilities(read_trees(batch, model), batch, model.get_output_embeddings())


def reason_unsupported(model, longest):
    """Return why a model cannot read sentences of up to ``longest`` tokens as trees, a str, or None.

    A comparison of scores may not show it: in half precision, and with hardly trained weights, rounding hides errors.
    """
    if "position_ids" not in inspect.signature(model.base_model.forward).parameters:
        return "it takes tokens by their place in the row, not by their position"
    for name, value in get_text_config(model).to_dict().items():
        is_window = "window" in name or name == "attention_chunk_size"
        if is_window and isinstance(value, int) and 0 < value < longest and not isinstance(value, bool):
            return f"{name} {value} is less than {longest} tokens"
    return None
