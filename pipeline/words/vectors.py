"""Compute one vector per word and layer from the hidden states of a language model."""

from functools import partial

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from pipeline.errors import InputError
from pipeline.models.batches import explain_model_errors, is_out_of_memory
from pipeline.models.hidden_states import find_layers, read_states
from pipeline.models.tokenization import check_token_ids, find_context_length
from pipeline.words.tokens import assign_tokens

# Windows of a run that is longer than the model's context advance by this many tokens.
STEP_TOKENS = 64

# Words whose vectors are added up at once, so that little is held beside the vectors themselves.
WORDS_AT_ONCE = 256


def split_windows(n_tokens, max_tokens):
    """Overlapping windows over a run, so that all but the first tokens have much left context.

    The first window starts the run; the next ones end 64 tokens later each (half a window later
    where a window has no more than 64 tokens), and only their new tokens are kept.

    Parameters
    ----------
    n_tokens : int
        Tokens in the run.
    max_tokens : int
        Tokens in a window.

    Returns
    -------
    list of (start, new, end)
        The model reads tokens ``start:end``; the states of ``new:end`` are kept.
    """
    step = STEP_TOKENS if max_tokens > STEP_TOKENS else max(1, max_tokens // 2)
    end = min(n_tokens, max_tokens)
    found = [(0, 0, end)]
    while end < n_tokens:
        new, end = end, min(n_tokens, end + step)
        found.append((max(0, end - max_tokens), new, end))
    return found


def compute_word_vectors(model, tokenizer, text, spans, max_length=None, progress=None):
    """Hidden states of a causal language model, averaged over each word's tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode. Its output layer is not used.
    tokenizer : transformers.PreTrainedTokenizerFast
        Special tokens that it puts before a text (BOS) stand at the start of every window and
        belong to no word; those that it puts after a text are left out.
    text : str
        The text of one run, as it is written.
    spans : int array of shape (n_words, 2)
        Start and end character of each word.
    max_length : int, optional
        Tokens that the model reads at once, BOS included; the model's context by default, or the
        whole run for a model that has none.
    progress : callable, optional
        Called after each window with the number of words that it completed.

    Returns
    -------
    vectors : float32 array of shape (n_layers, n_words, n_units)
        Layer 0 is the embedding.

    Raises
    ------
    InputError
        ``max_length`` is beyond the model's context or leaves no room for a token, the text is
        empty or has a token that the model does not know, the model's states cannot be read, or they
        are not finite (a float16 overflow).
    """
    encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
    is_special = np.array(encoded["special_tokens_mask"], dtype=bool)
    token_ids = np.array(encoded["input_ids"])
    # Special tokens stand before and after the text, never inside it.
    n_before = int(np.argmin(is_special)) if not is_special.all() else 0
    prefix, token_ids = token_ids[:n_before], token_ids[~is_special]
    offsets = np.array(encoded["offset_mapping"]).reshape(-1, 2)[~is_special]
    ranges = assign_tokens(spans, offsets, text)

    check_token_ids([*prefix, *token_ids], text, model, tokenizer)
    context = find_context_length(model)
    if max_length is not None and context is not None and max_length > context:
        raise InputError(f"--max_length {max_length} is beyond the model's context of {context} tokens")
    window_tokens = (max_length or context or len(prefix) + len(token_ids)) - len(prefix)
    if window_tokens < 1:
        raise InputError(f"--max_length {max_length} leaves no room for a token of the text")

    with explain_model_errors(model, "be read layer by layer"):
        layout = find_layers(model, np.concatenate([prefix, token_ids])[: len(prefix) + window_tokens])
    n_layers, n_units = layout.n_layers, layout.n_units
    vectors = torch.zeros(n_layers, len(spans), n_units, device=model.device)
    for start, new, end in split_windows(len(token_ids), window_tokens):
        ids = np.concatenate([prefix, token_ids[start:end]])
        words = np.flatnonzero((ranges[:, 0] < end) & (ranges[:, 1] > new))
        few = (words[first : first + WORDS_AT_ONCE] for first in range(0, len(words), WORDS_AT_ONCE))
        shares = [[share.to(model.device) for share in _shares(some, ranges, new, end)] for some in few]
        totals = torch.zeros(n_layers, device=model.device)
        add = partial(_add_words, vectors=vectors, totals=totals, n_new=end - new, shares=shares)
        try:
            with explain_model_errors(model, f"read {len(ids)} tokens at once (--max_length sets how many)"):
                read_states(model, ids, layout, add)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"the memory of the device does not hold the model's work on {len(ids)} tokens: let it read fewer "
                "at once (--max_length), or use another --device"
            ) from error
        if not (is_finite := torch.isfinite(totals).cpu()).all():
            raise InputError(
                f"the states of layer {int(is_finite.int().argmin())} are not finite numbers: "
                "the checkpoint is damaged, or its activations overflow this --dtype"
            )
        if progress is not None:
            progress(int(np.sum((ranges[:, 1] > new) & (ranges[:, 1] <= end))))
    return vectors.cpu().numpy()


def _add_words(layer, states, vectors, totals, n_new, shares):
    """Add what the new tokens of a window, its last ones, contribute to the vectors of their words.

    Parameters
    ----------
    layer : int
    states : tensor of shape (n_tokens, n_units)
    vectors : tensor of shape (n_layers, n_words of the run, n_units)
    totals : tensor of shape (n_layers,)
        Receives the sum of the new tokens' states, which is not finite if one of them is not.
    n_new : int
    shares : list of sequences of tensor
        As ``_shares`` returns them, for all words in which a new token is.
    """
    kept = states[-n_new:].float()  # (n_new_tokens, n_units)
    for words, firsts, tokens, weights in shares:
        sums = embedding_bag(tokens, kept, firsts, mode="sum", per_sample_weights=weights)  # (n_words, n_units)
        vectors[layer].index_add_(0, words, sums)
    totals[layer] = kept.sum()


def _shares(words, ranges, new, end):
    """Tokens new:end as shares of some words that they are in.

    Returns
    -------
    words : int tensor of shape (n_words,)
    firsts : int tensor of shape (n_words,)
        Where the shares of each word begin in those of all.
    tokens : int tensor of shape (n_shares,)
        Counted from ``new`` on.
    weights : float tensor of shape (n_shares,)
        1 / tokens of the word.
    """
    inside = [np.arange(max(first, new), min(last, end)) - new for first, last in ranges[words]]
    n_inside = np.array([len(tokens) for tokens in inside], dtype=int)
    weights = np.repeat(1 / (ranges[words, 1] - ranges[words, 0]), n_inside).astype(np.float32)
    tokens = np.concatenate([np.empty(0, dtype=int), *inside])
    return tuple(map(torch.from_numpy, (words, np.cumsum(n_inside) - n_inside, tokens, weights)))
