"""Compute log-probabilities of tokens from hidden states: the output layer of a model, in float32 in any dtype.

In bfloat16, a logit near 16 is rounded by up to 0.06 nats. Sums of log-probabilities then differ between batch sizes,
and so do some decisions about minimal pairs. The hidden states of a model in half precision are exact in float32, and
so are its weights. So the output layer is computed in float32, in blocks that need little memory.

A GPU multiplies states and weights in half precision as they are, and adds in float32: the products of two numbers in
half precision are exact in float32, so that only the order of the sum differs.
"""

import torch

from pipeline.errors import InputError, is_out_of_memory

# Block size of the output layer: states, and logits in all. A CPU is fastest when the logits stay in its cache, a GPU
# when the blocks are large.
STATES_AT_ONCE = {"cpu": 512, "gpu": 1024}
LOGITS_AT_ONCE = {"cpu": 2**18, "gpu": 2**25}
N_COMPARED = 32  # logits of each block from which its log-sum is computed


@torch.inference_mode()
def has_linear_logits(model, ids, is_token=None):
    """Return whether the logits of a model are those of its output layer, neither scaled nor capped.

    Only then ``compute_log_probabilities_from_states`` takes the model. An InputError, a lack of memory, and a lost
    device are raised unchanged.

    Parameters
    ----------
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
    ids : int tensor (n_sentences, n_tokens), on the model's device
    is_token : int tensor (n_sentences, n_tokens), the attention mask; 0 for padding. By default, all are tokens
    """
    options = {"input_ids": ids, "use_cache": False} | ({} if is_token is None else {"attention_mask": is_token})
    try:
        logits = model(**options).logits
        states = model.base_model(**options).last_hidden_state
        layer = model.get_output_embeddings()
        linear = torch.nn.functional.linear(states, layer.weight, layer.bias)
        if is_token is not None:
            logits, linear = logits[is_token.bool()], linear[is_token.bool()]
        # Both are the same operations on the same numbers, so that rounding explains no difference.
        return bool((logits.float() - linear.float()).norm() <= 1e-3 * logits.float().norm())
    except Exception as error:  # a model without such an output layer can raise any exception
        if isinstance(error, InputError | torch.AcceleratorError) or is_out_of_memory(error):
            raise
        return False


def compute_log_probabilities_from_states(states, rows, tokens, layer):
    """Return the log-probability of tokens after hidden states.

    Parameters
    ----------
    states : tensor (n_states, n_units), last hidden states, after the final normalisation, in the dtype of the model
    rows : int tensor (n_tokens,), the state from which each token is predicted
    tokens : int tensor (n_tokens,)
    layer : torch.nn.Linear, the output layer of a model for which ``has_linear_logits`` is True

    Returns
    -------
    float64 tensor (n_tokens,), nats, normalized over the whole output vocabulary, in float32
    """
    return _compute_logits(states, rows, tokens, layer) - _compute_log_sums(states, layer)[rows]


def _compute_logits(states, rows, tokens, layer):
    """Return the logit of each token after its state, a float64 tensor of shape (n_tokens,)."""
    logits = (states[rows].float() * layer.weight[tokens].float()).sum(dim=1)
    if layer.bias is not None:
        logits += layer.bias[tokens].float()
    return logits.double()


def _compute_log_sums(states, layer):
    """Return the log-sum-exp of all logits at each state, a float64 tensor of shape (n_states,)."""
    kind = "cpu" if states.device.type == "cpu" else "gpu"
    n_states, n_logits = STATES_AT_ONCE[kind], LOGITS_AT_ONCE[kind] // STATES_AT_ONCE[kind]
    weights = layer.weight.split(n_logits)
    biases = [None] * len(weights) if layer.bias is None else layer.bias.float().split(n_logits)
    sums = []
    for block_states in states.split(n_states):
        if not can_add_in_float32(block_states, layer.weight):
            block_states = block_states.float()
        block_sums = []
        for weight, bias in zip(weights, biases, strict=True):
            logits = _multiply(block_states, weight, bias)  # (n_states, n_logits)
            # log_softmax subtracts the log-sum from each logit, in half the time of logsumexp. The difference for a
            # large logit has the least rounding: the largest of a few logits is enough.
            few = slice(N_COMPARED)
            block_sums.append(logits[:, few].amax(dim=1) - logits.log_softmax(dim=1)[:, few].amax(dim=1))
        sums.append(torch.stack(block_sums).double().logsumexp(dim=0))
    return torch.cat(sums) if sums else states.new_empty(0, dtype=torch.float64)


def _multiply(states, weight, bias):
    """Return float32 logits of a block of states and weights, float32 or None for the bias."""
    if can_add_in_float32(states, weight):
        logits = torch.mm(states, weight.T, out_dtype=torch.float32)
        return logits if bias is None else logits.add_(bias)
    # A block of weights at a time is float32: the whole matrix may not fit in memory twice.
    return torch.nn.functional.linear(states, weight.float(), bias)


def can_add_in_float32(states, weight):
    """Return whether the device adds products of both in float32 while both are in half precision: CUDA does."""
    return states.is_cuda and states.dtype == weight.dtype and weight.dtype in (torch.bfloat16, torch.float16)
