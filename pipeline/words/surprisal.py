"""Compute the surprisal of tokens and words from the last hidden states of a language model.

The surprisal of a token is -log P(token | the tokens before it), in nats (Levy 2008). It needs one more output layer,
and no further reading of the text where the logits of the model are linear (see ``has_linear_logits``).
"""

import numpy as np
import torch

from pipeline.models.output_layer import compute_log_probabilities_from_states, has_linear_logits

N_TRIED = 16  # tokens from which linear logits are recognised


def are_logits_linear(model, ids):
    """Return whether the output layer gives the logits of the first of some token ids, an int array (n_tokens,)."""
    return has_linear_logits(model, torch.tensor(ids[:N_TRIED], device=model.device)[None])


@torch.inference_mode()
def compute_token_surprisal(model, ids, states, positions, is_linear):
    """Return the surprisal of some tokens of windows, without waiting for the device.

    Parameters
    ----------
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
    ids : int array (n_windows, n_tokens), all tokens of the windows, BOS included
    states : tensor (n_windows, n_tokens, n_units), the last hidden states, as ``read_states`` returns them; None unless
        is_linear
    positions : int array (n_positions,), of tokens in ``ids.ravel()``, each with a token before it in its window
    is_linear : bool, as ``are_logits_linear`` returns it. Otherwise the model reads the windows once more, and computes
        the logits in its own dtype.

    Returns
    -------
    float64 tensor (n_positions,), nats
    """
    targets = torch.from_numpy(ids.ravel()[positions]).to(model.device)
    rows = torch.from_numpy(positions - 1).to(model.device)
    if is_linear:
        layer, all_rows = model.get_output_embeddings(), torch.arange(len(rows), device=model.device)
        return -compute_log_probabilities_from_states(states.flatten(0, 1)[rows], all_rows, targets, layer)
    logits = model(input_ids=torch.tensor(ids, device=model.device), use_cache=False).logits
    logits = logits.flatten(0, 1)[rows].float()  # (n_positions, n_vocabulary)
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none").double()


def sum_over_words(token_surprisal, ranges):
    """Return the surprisal of words, a float64 array (n_words,): the sum over the tokens of each word.

    ``token_surprisal`` is (n_tokens,), and ``ranges`` (n_words, 2) are those of ``assign_tokens``. Words that share a
    token each get the surprisal of the whole token. A word with a token without context is NaN.
    """
    return np.array([token_surprisal[first:end].sum() for first, end in ranges], dtype=float)
