"""Log-probabilities of sentences that begin alike, with no beginning read twice.

The sentences of a benchmark share their beginnings: ``The cats that meow are``, ``The cats that meow
is``. A causal language model reads a beginning in the same way whatever follows, so beginnings are
laid as a tree: each node is a token, and a beginning is a path from BOS, the root. A row of the
model's input holds as many beginnings as fit, node after node; its attention mask shows each node
only those on the path to it, and its position is its depth.

A node's row and slot are told as one number, its place: row * n_slots + slot.
"""

import inspect

import numpy as np
import torch

from pipeline.models.tokenization import find_context_length, get_text_config

# Nodes in a row: longer rows share more, and cost more attention and memory. On BLiMP, Pythia-14M and
# Pythia-160M are about as fast with 96 as with 256.
ROW_TOKENS = 192
# How much of the output layer's work is done at once: nodes, and logits in all. A processor is fastest
# when the logits stay in its cache, a GPU when there are many of them.
NODES_AT_ONCE = {"cpu": 512, "gpu": 1024}
LOGITS_AT_ONCE = {"cpu": 2**18, "gpu": 2**25}
N_COMPARED = 32  # logits of each block that are looked at to tell what was subtracted from all


def pack_trees(beginnings, max_slots):
    """Lay token sequences as trees into rows.

    They are taken in sorted order. One adds to a row what it does not share with the one before it;
    where the row would become too long, it begins a new row, with a BOS of its own. There are as few
    rows as that takes, and they are as short as that allows.

    Parameters
    ----------
    beginnings : list of n_beginnings lists of int
        Token ids, each list beginning with BOS.
    max_slots : int
        Nodes in a row, at most; no beginning may be longer.

    Returns
    -------
    ids : int array of shape (n_rows, n_slots)
        The token of each node; 0 in slots that the row does not need.
    depths : int array of shape (n_rows, n_slots)
        How many tokens stand before each node; 0 in slots that the row does not need.
    paths : int array of shape (n_beginnings, longest)
        The places of each beginning's nodes, then -1.
    """
    order = sorted(range(len(beginnings)), key=beginnings.__getitem__)
    lengths = np.array([len(beginnings[index]) for index in order])
    depth = np.arange(lengths.max())
    is_token = depth < lengths[:, None]  # (n_beginnings, longest)
    tokens = np.full(is_token.shape, -1)
    tokens[is_token] = np.concatenate([beginnings[index] for index in order])
    same = (tokens[1:] == tokens[:-1]) & is_token[1:]
    shared = np.append(0, np.logical_and.accumulate(same, axis=1).sum(axis=1))  # with the one before

    n_rows = _fill(lengths, shared, max_slots)[0][-1] + 1
    for n_slots in range(max(lengths.max(), -(-(lengths - shared).sum() // n_rows)), max_slots + 1):
        rows, first_slots = _fill(lengths, shared, n_slots)
        if rows[-1] < n_rows:
            break
    shared[first_slots == 0] = 0  # nothing stands before a row's first

    slots = first_slots[:, None] + depth - shared[:, None]
    is_new = (depth >= shared[:, None]) & is_token
    n_slots = slots[is_new].max() + 1
    places = rows[:, None] * n_slots + slots
    # A node that is not new is the last new one of its depth: places grow from one to the next.
    paths = np.maximum.accumulate(np.where(is_new, places, -1), axis=0)
    paths[~is_token] = -1

    ids, depths = np.zeros((2, n_rows, n_slots), dtype=int)
    ids.ravel()[places[is_new]] = tokens[is_new]
    depths.ravel()[places[is_new]] = np.broadcast_to(depth, is_new.shape)[is_new]
    as_given = np.empty_like(paths)
    as_given[order] = paths
    return ids, depths, as_given


def _fill(lengths, shared, n_slots):
    """Row of each beginning, and the slot of the first node that it adds, int arrays."""
    rows, first_slots = np.empty((2, len(lengths)), dtype=int)
    row, used = -1, n_slots
    for index, (length, of_before) in enumerate(zip(lengths.tolist(), shared.tolist(), strict=True)):
        if used + length - of_before > n_slots or row < 0:
            row, used, of_before = row + 1, 0, 0
        rows[index], first_slots[index] = row, used
        used += length - of_before
    return rows, first_slots


def make_attention_mask(paths, n_rows, n_slots):
    """Which nodes each node sees: itself and those before it on its path.

    Parameters
    ----------
    paths : int array of shape (n_beginnings, longest)
        As ``pack`` returns them.
    n_rows, n_slots : int

    Returns
    -------
    bool array of shape (n_rows, n_slots, n_slots)
        ``[row, one, other]``: whether one sees the other. A slot without a node sees itself, since no
        softmax can be taken over nothing.
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


def score_trees(tokens_of, model):
    """Log-probabilities of a few sentences, read as trees.

    Parameters
    ----------
    tokens_of : list of n_sentences lists of int
        Token ids, each list beginning with BOS and having another token.
    model : transformers.PreTrainedModel
        A causal language model, in evaluation mode, whose attention takes any mask, and whose logits
        are those of a linear layer at the states that its last layer leaves.

    Returns
    -------
    float64 array of shape (n_sentences,), nats
    """
    beginnings = [tokens[:-1] for tokens in tokens_of]  # nothing follows the last token
    context = find_context_length(model) or ROW_TOKENS
    ids, depths, paths = pack_trees(beginnings, max(min(ROW_TOKENS, context), *map(len, beginnings)))
    sees = torch.from_numpy(make_attention_mask(paths, *ids.shape)).to(model.device)[
        :, None
    ]  # (n_rows, 1, n_slots, n_slots)
    # As numbers to add to attention: not every way of computing it understands a mask of bools.
    mask = torch.zeros(sees.shape, dtype=model.dtype, device=model.device)
    mask.masked_fill_(~sees, torch.finfo(model.dtype).min)
    states = model.base_model(
        input_ids=torch.from_numpy(ids).to(model.device),
        attention_mask=mask,
        position_ids=torch.from_numpy(depths).to(model.device),
        use_cache=False,
    ).last_hidden_state.flatten(0, 1)  # (n_rows * n_slots, n_units)

    # A row for each node, and a node and the token after it for each token but BOS.
    is_node = paths >= 0
    arrays = *np.unique(paths[is_node], return_inverse=True), np.concatenate([tokens[1:] for tokens in tokens_of])
    nodes, node_of, followers = (torch.from_numpy(array).to(model.device) for array in arrays)
    layer = model.get_output_embeddings()
    states = states[nodes]
    of_tokens = _logits(states, node_of, followers, layer) - _log_sums(states, layer)[node_of]
    scores = np.zeros(is_node.shape)
    scores[is_node] = of_tokens.cpu().numpy()
    return scores.sum(axis=1)


def reason_unsupported(model, longest):
    """What a model's kind tells of why it cannot read trees, or None: where numbers need not tell.

    In half precision, and with weights that are hardly trained, rounding hides what is wrong.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    longest : int
        Tokens of the longest sentence.

    Returns
    -------
    str or None
    """
    if "position_ids" not in inspect.signature(model.base_model.forward).parameters:
        return "it takes tokens by their place in the row, not by their position"
    for name, value in get_text_config(model).to_dict().items():
        is_window = "window" in name or name == "attention_chunk_size"
        if is_window and isinstance(value, int) and 0 < value < longest and not isinstance(value, bool):
            return f"{name} {value} is less than {longest} tokens"
    return None


def has_linear_logits(tokens, model):
    """Whether a model's logits are what its output layer makes of its last states, not scaled or capped.

    Parameters
    ----------
    tokens : list of int
        A sentence's token ids.
    model : transformers.PreTrainedModel

    Returns
    -------
    bool
    """
    ids = torch.tensor(tokens, device=model.device)[None]
    logits = model(input_ids=ids, use_cache=False).logits.float()
    states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    linear = model.get_output_embeddings()(states).float()
    # The same operations on the same numbers, so that what differs is no rounding.
    return bool((logits - linear).norm() <= 1e-3 * logits.norm())


def _logits(states, node_of, tokens, layer):
    """Logit of each token at its node, float64 tensor of shape (n_tokens,)."""
    # As the layer computes it: summed in float32, and rounded to the model's dtype.
    logits = (states[node_of].float() * layer.weight[tokens].float()).sum(dim=1)
    if layer.bias is not None:
        logits += layer.bias[tokens].float()
    return logits.to(states.dtype).double()


def _log_sums(states, layer):
    """Log of the summed exponentials of all logits at each node, float64 tensor of shape (n_nodes,)."""
    kind = "cpu" if states.device.type == "cpu" else "gpu"
    n_nodes, n_logits = NODES_AT_ONCE[kind], LOGITS_AT_ONCE[kind] // NODES_AT_ONCE[kind]
    weights = layer.weight.split(n_logits)
    biases = [None] * len(weights) if layer.bias is None else layer.bias.split(n_logits)
    sums = []
    for some in states.split(n_nodes):
        of_blocks = []
        for weight, bias in zip(weights, biases, strict=True):
            logits = torch.nn.functional.linear(some, weight, bias).float()  # (n_nodes, n_logits)
            # What log_softmax subtracts from each; logsumexp computes the same in twice the time. It can be
            # told from any logit, and loses least where the logit is large: the largest of a few will do.
            few = slice(N_COMPARED)
            of_blocks.append(logits[:, few].amax(dim=1) - logits.log_softmax(dim=1)[:, few].amax(dim=1))
        sums.append(torch.stack(of_blocks).double().logsumexp(dim=0))
    return torch.cat(sums)
