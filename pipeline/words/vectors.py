"""Compute one vector per word and layer, and the surprisal of words, from one reading of a language model."""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from pipeline.errors import InputError, add_context, is_out_of_memory
from pipeline.models.batches import explain_model_errors
from pipeline.models.hidden_states import find_layers, read_states
from pipeline.models.tokenization import check_context_length, check_finite, check_token_ids, find_context_length
from pipeline.words.surprisal import are_logits_linear, compute_token_surprisal, sum_over_words
from pipeline.words.tokens import assign_tokens

STEP_TOKENS = 64  # by which windows advance, where a run is longer than the model's context
WORDS_AT_ONCE = 256  # whose vectors are summed at once, so that the shares of their tokens need little memory


class WordStates(NamedTuple):
    """Hold what a language model computes at the words of one run."""

    vectors: np.ndarray  # float32 (n_layers, n_words, n_units); layer 0 is the embedding
    n_tokens: np.ndarray  # int (n_words,), tokens of each word
    surprisal: np.ndarray | None  # float64 (n_words,), nats; NaN where a token has no context; None if not requested
    first_token_norm_ratio: np.ndarray  # float64 (n_layers,), the norm at the first token over the median of the rest


def split_windows(n_tokens, max_tokens):
    """Return overlapping windows over a run, so that all but the first tokens have much left context.

    The first window begins at the first token. Each next window ends 64 tokens later, or half a window later where a
    window has 64 tokens or fewer. Only the new tokens of a window are used.

    Parameters
    ----------
    n_tokens, max_tokens : int, tokens of the run and of a window

    Returns
    -------
    list of (start, new, end): the model reads tokens ``start:end``, and the states of tokens ``new:end`` are used
    """
    step = STEP_TOKENS if max_tokens > STEP_TOKENS else max(1, max_tokens // 2)
    end = min(n_tokens, max_tokens)
    windows = [(0, 0, end)]
    while end < n_tokens:
        new, end = end, min(n_tokens, end + step)
        windows.append((max(0, end - max_tokens), new, end))
    return windows


def compute_word_vectors(model, tokenizer, text, spans, max_length=None, progress=None):
    """Return the vectors of ``compute_word_states``, a float32 array (n_layers, n_words, n_units)."""
    return compute_word_states(model, tokenizer, text, spans, max_length=max_length, progress=progress).vectors


def compute_word_states(model, tokenizer, text, spans, max_length=None, progress=None, has_surprisal=False):
    """Return the hidden states of a causal language model, averaged over the tokens of each word, and its surprisal.

    InputError is raised if ``max_length`` is larger than the model's context, or has no room for a token; the text is
    empty, or has a token without a row in the model; the model's states cannot be read, or are not finite (float16
    overflow).

    Parameters
    ----------
    model : transformers.PreTrainedModel in evaluation mode
    tokenizer : transformers.PreTrainedTokenizerFast
        Every window begins with the special tokens that it puts before a text (BOS). They belong to no word. The
        special tokens that it puts after a text are not read.
    text : str, the text of one run
    spans : int array (n_words, 2), start and end character of each word
    max_length : int, optional
        Tokens of a window, BOS included. The default is the model's context, or the whole run where it has no limit.
    progress : callable of the number of words that a window completed, optional; called after each window
    has_surprisal : bool, compute surprisal, which needs the output layer

    Returns
    -------
    WordStates
        The surprisal of a word is the sum over its tokens of -log P(token | all tokens before it in the window).
    """
    prefix, token_ids, offsets = _tokenize(tokenizer, text)
    ranges = assign_tokens(spans, offsets, text)
    check_token_ids([*prefix, *token_ids], text, model, tokenizer)
    window_tokens = _choose_window_tokens(model, len(prefix), len(token_ids), max_length)
    first_ids = np.concatenate([prefix, token_ids])[: len(prefix) + window_tokens]
    is_linear = None
    if has_surprisal:
        with add_context("surprisal, which --no-surprisal leaves out"):
            check_token_ids(token_ids, text, model, tokenizer, ("output",))
            with explain_model_errors(model, "compute logits"):
                is_linear = are_logits_linear(model, first_ids)

    with explain_model_errors(model, "be read layer by layer"):
        layout = find_layers(model, first_ids)
    vectors = torch.zeros(layout.n_layers, len(spans), layout.n_units, device=model.device)
    norms = torch.zeros(layout.n_layers, len(token_ids), device=model.device)  # of the states of each token
    token_surprisal = np.full(len(token_ids), np.nan)
    for start, new, end in split_windows(len(token_ids), window_tokens):
        ids = np.concatenate([prefix, token_ids[start:end]])
        shares = _share_all_tokens(ranges, new, end, model.device)
        add = partial(_add_states, vectors=vectors, norms=norms[:, new:end], shares=shares)
        token_surprisal[new:end] = _read_window(model, ids, layout, add, n_new=end - new, is_linear=is_linear)
        first_wrong = int(torch.isfinite(norms[:, new:end].sum(dim=1)).int().argmin())  # the first layer, if any
        check_finite(norms[first_wrong, new:end], f"states of layer {first_wrong}")
        if progress is not None:
            progress(int(np.sum((ranges[:, 1] > new) & (ranges[:, 1] <= end))))
    surprisal = sum_over_words(token_surprisal, ranges) if has_surprisal else None
    n_tokens = ranges[:, 1] - ranges[:, 0]
    return WordStates(vectors.cpu().numpy(), n_tokens, surprisal, _compare_first_norm(norms.cpu().numpy()))


def _compare_first_norm(norms):
    """Return the norm at the first token divided by the median norm of the other tokens, NaN without other tokens.

    ``norms`` is (n_layers, n_tokens), of a run without its BOS; the result is float64 (n_layers,).
    """
    if norms.shape[1] < 2:
        return np.full(len(norms), np.nan)
    medians = np.median(norms[:, 1:], axis=1).astype(float)
    return np.divide(norms[:, 0], medians, out=np.full(len(norms), np.nan), where=medians > 0)


def _tokenize(tokenizer, text):
    """Return the special tokens before a text, the ids of its tokens, and their offsets, int arrays."""
    encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
    is_special = np.array(encoded["special_tokens_mask"], dtype=bool)
    token_ids = np.array(encoded["input_ids"])
    # Special tokens are before and after the text, never inside it.
    n_before = int(np.argmin(is_special)) if not is_special.all() else 0
    offsets = np.array(encoded["offset_mapping"]).reshape(-1, 2)[~is_special]
    return token_ids[:n_before], token_ids[~is_special], offsets


def _choose_window_tokens(model, n_prefix, n_tokens, max_length):
    """Return the number of tokens of the text in a window."""
    context = find_context_length(model)
    if max_length is not None:
        source, remedy = f"--max_length {max_length}", "Use a smaller --max_length."
        check_context_length(max_length, context, source=source, remedy=remedy)
    window_tokens = (max_length or context or n_prefix + n_tokens) - n_prefix
    if window_tokens < 1:
        raise InputError(
            f"--max_length {max_length}: expected more than the {n_prefix} special tokens before a text, "
            f"got {max_length}. Use a larger --max_length."
        )
    return window_tokens


def _share_all_tokens(ranges, new, end, device):
    """Return what ``_share_tokens`` returns of each block of words with tokens in ``new:end``, on a device."""
    words = np.flatnonzero((ranges[:, 0] < end) & (ranges[:, 1] > new))
    blocks = (words[first : first + WORDS_AT_ONCE] for first in range(0, len(words), WORDS_AT_ONCE))
    return [[share.to(device) for share in _share_tokens(block, ranges, new, end)] for block in blocks]


def _read_window(model, ids, layout, add, *, n_new, is_linear):
    """Read a window of tokens (n_tokens,), and return the surprisal of its new tokens, the last n_new, or NaN.

    ``add`` is called as by ``read_states``. ``is_linear`` is as for ``compute_token_surprisal``; None for no surprisal.
    """
    try:
        with explain_model_errors(model, f"read {len(ids)} tokens at once (--max_length sets how many)"):
            states = read_states(model, ids, layout, add)
            if is_linear is None:
                return np.nan
            return compute_token_surprisal(model, ids, states, n_new, is_linear)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"the memory of the device does not hold the model's work on {len(ids)} tokens: let it read fewer "
            "at once (--max_length), or use another --device"
        ) from error


def _add_states(layer, states, vectors, norms, shares):
    """Add the states (n_tokens, n_units) of a window's new tokens, its last, to the vectors of their words.

    ``norms`` (n_layers, n_new) receives the norm of the state of each new token. ``vectors`` is a tensor (n_layers,
    n_words of the run, n_units). ``_share_tokens`` returns the ``shares`` of each block of words.
    """
    new_states = states[-norms.shape[1] :].float()  # (n_new, n_units)
    for words, firsts, tokens, weights in shares:
        sums = embedding_bag(tokens, new_states, firsts, mode="sum", per_sample_weights=weights)  # (n_words, n_units)
        vectors[layer].index_add_(0, words, sums)
    norms[layer] = torch.linalg.vector_norm(new_states, dim=1)


def _share_tokens(words, ranges, new, end):
    """Return the tokens new:end of each word, and their weights in its mean, as four tensors.

    Returns
    -------
    words, firsts : int tensor (n_words,), the words, and the index of each word's first share
    tokens : int tensor (n_shares,), the token of each share, counted from ``new`` on
    weights : float32 tensor (n_shares,), 1 / number of tokens of the word
    """
    inside = [np.arange(max(first, new), min(last, end)) - new for first, last in ranges[words]]
    n_inside = np.array([len(tokens) for tokens in inside], dtype=int)
    weights = np.repeat(1 / (ranges[words, 1] - ranges[words, 0]), n_inside).astype(np.float32)
    tokens = np.concatenate([np.empty(0, dtype=int), *inside])
    return tuple(map(torch.from_numpy, (words, np.cumsum(n_inside) - n_inside, tokens, weights)))
