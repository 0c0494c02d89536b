"""Compute log-probabilities of sentences as trees of shared beginnings, each of which the model reads once.

The sentences of a benchmark share their beginnings: ``The cats that meow are``, ``The cats that meow is``. A causal
language model reads a beginning in the same way whatever follows. So beginnings form a tree: each node is a token, and
each beginning is a path from a root. The root is BOS, or the first token of a sentence without BOS. A row of the
model's input contains as many beginnings as fit. Its attention mask lets each node see only the nodes on its path. The
position of a node is its depth.

The address of a node is row * n_slots + slot.
"""

import inspect

import numpy as np
import torch

from pipeline.models.output_layer import compute_log_probabilities_from_states
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
    paths : int array (n_beginnings, longest), the addresses of each beginning's nodes, then -1
    """
    order = sorted(range(len(beginnings)), key=beginnings.__getitem__)
    lengths = np.array([len(beginnings[index]) for index in order])
    depth = np.arange(lengths.max())
    is_token = depth < lengths[:, None]  # (n_beginnings, longest)
    tokens = np.full(is_token.shape, -1)
    tokens[is_token] = np.concatenate([beginnings[index] for index in order])
    same = (tokens[1:] == tokens[:-1]) & is_token[1:]
    shared = np.append(0, np.logical_and.accumulate(same, axis=1).sum(axis=1))  # with the sequence before

    n_rows = _fill_rows(lengths, shared, max_slots)[0][-1] + 1
    for n_slots in range(max(lengths.max(), -(-(lengths - shared).sum() // n_rows)), max_slots + 1):
        rows, first_slots = _fill_rows(lengths, shared, n_slots)
        if rows[-1] < n_rows:
            break
    shared[first_slots == 0] = 0  # the first sequence of a row shares nothing

    slots = first_slots[:, None] + depth - shared[:, None]
    is_new = (depth >= shared[:, None]) & is_token
    n_slots = slots[is_new].max() + 1
    addresses = rows[:, None] * n_slots + slots
    # A shared node is the last new node of its depth, which has the largest address so far.
    paths = np.maximum.accumulate(np.where(is_new, addresses, -1), axis=0)
    paths[~is_token] = -1

    ids, depths = np.zeros((2, n_rows, n_slots), dtype=int)
    ids.ravel()[addresses[is_new]] = tokens[is_new]
    depths.ravel()[addresses[is_new]] = np.broadcast_to(depth, is_new.shape)[is_new]
    unsorted_paths = np.empty_like(paths)
    unsorted_paths[order] = paths
    return ids, depths, unsorted_paths


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


def make_attention_mask(paths, n_rows, n_slots):
    """Return the attention mask of paths, in which each node sees itself and the nodes before it on its path.

    It is a bool array (n_rows, n_slots, n_slots): ``[row, query, key]`` is True where the query sees the key. An empty
    slot sees itself, since softmax needs a key.
    """
    sees = np.zeros((n_rows * n_slots, n_slots), dtype=bool)
    for depth, nodes in enumerate(paths.T):
        is_node = nodes >= 0
        if depth > 0:
            sees[nodes[is_node]] = sees[paths[is_node, depth - 1]]
        sees[nodes[is_node], nodes[is_node] % n_slots] = True
    sees = sees.reshape(n_rows, n_slots, n_slots)
    sees[:, np.arange(n_slots), np.arange(n_slots)] = True
    return sees


def score_trees(token_ids, model, context):
    """Return the log-probabilities of sentences, read as trees.

    Parameters
    ----------
    token_ids : list of n_sentences lists of int; each list has two tokens or more
        The first is BOS, or a token without a probability.
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
        Its attention takes any mask. Its logits are a linear function of its last hidden states.
    context : int or None, as ``find_context_length`` returns it

    Returns
    -------
    float64 array (n_sentences,), nats
    """
    beginnings = [tokens[:-1] for tokens in token_ids]  # no token follows the last
    max_slots = max(min(ROW_TOKENS, context or ROW_TOKENS), *map(len, beginnings))
    ids, depths, paths = pack_trees(beginnings, max_slots)
    sees = torch.from_numpy(make_attention_mask(paths, *ids.shape))[:, None].to(model.device)
    # Some attention implementations do not take bools, so the mask contains numbers that are added to attention.
    mask = torch.zeros(sees.shape, dtype=model.dtype, device=model.device)  # (n_rows, 1, n_slots, n_slots)
    mask.masked_fill_(~sees, torch.finfo(model.dtype).min)
    states = model.base_model(
        input_ids=torch.from_numpy(ids).to(model.device),
        attention_mask=mask,
        position_ids=torch.from_numpy(depths).to(model.device),
        use_cache=False,
    ).last_hidden_state.flatten(0, 1)  # (n_rows * n_slots, n_units)

    # The addresses of all nodes; then the node before each token of each sentence, and the token.
    is_node = paths >= 0
    arrays = *np.unique(paths[is_node], return_inverse=True), np.concatenate([tokens[1:] for tokens in token_ids])
    addresses, nodes, followers = (torch.from_numpy(array).to(model.device) for array in arrays)
    log_probabilities = compute_log_probabilities_from_states(
        states[addresses], nodes, followers, model.get_output_embeddings()
    )
    scores = np.zeros(is_node.shape)
    scores[is_node] = log_probabilities.cpu().numpy()
    return scores.sum(axis=1)


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
