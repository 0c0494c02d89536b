"""Compute one vector per word and layer, and the surprisal of words, from one reading of a language model."""

import weakref
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from pipeline.errors import InputError, add_context, is_out_of_memory
from pipeline.models.batches import explain_model_errors
from pipeline.models.hidden_states import find_layers, read_states
from pipeline.models.memory import count_free_bytes
from pipeline.models.tokenization import check_context_length, check_finite, check_token_ids, find_context_length
from pipeline.words.surprisal import are_logits_linear, compute_token_surprisal, sum_over_words
from pipeline.words.tokens import assign_tokens
from pipeline.words.word_sums import WordSums

STEP_TOKENS = 64  # by which windows advance, where a run is longer than the model's context

# A GPU reads several windows as one batch. More tokens at once make it no faster.
TOKENS_AT_ONCE = 16_384
WORKSPACE = 64  # numbers for each token and unit that a model computes at once, at most; half of this is usual

# Largest rounding of states that batching causes, as a share of the largest state of a layer.
ROUNDING = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
N_TRIED = 16  # tokens that show whether windows depend on the other windows of a batch

# What a few tokens showed of each model: on a GPU, they take as long as a run of the story.
_known_of_models: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class WordStates(NamedTuple):
    """Hold what a language model computes at the words of one run."""

    vectors: np.ndarray  # float32 (n_layers, n_words, n_units); layer 0 is the embedding
    n_tokens: np.ndarray  # int (n_words,), tokens of each word
    surprisal: np.ndarray | None  # float64 (n_words,), nats; NaN where a token has no context; None if not requested
    first_token_norm_ratio: np.ndarray  # float64 (n_layers,), the norm at the first token over the median of the rest


class _Run(NamedTuple):
    """Hold the tokens of a run, and how a model reads them."""

    prefix: np.ndarray  # int (n_prefix,), special tokens before each window
    token_ids: np.ndarray  # int (n_tokens,)
    ranges: np.ndarray  # int (n_words, 2), tokens of each word
    windows: list  # as split_windows returns them
    layout: NamedTuple  # as find_layers returns it
    is_linear: bool | None  # as are_logits_linear returns it; None for no surprisal


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
                is_linear = _find_once(model, "is_linear", partial(are_logits_linear, model, first_ids))
    with explain_model_errors(model, "be read layer by layer"):
        layout = _find_once(model, "layout", partial(find_layers, model, first_ids))
    run = _Run(prefix, token_ids, ranges, split_windows(len(token_ids), window_tokens), layout, is_linear)
    vectors, norms, token_surprisal = _read_run(model, run, first_ids, progress)
    surprisal = sum_over_words(token_surprisal, ranges) if has_surprisal else None
    return WordStates(vectors, ranges[:, 1] - ranges[:, 0], surprisal, _compare_first_norm(norms))


def _find_once(model, name, find):
    """Return what ``find()`` returns, which is called once for each model and name."""
    known = _known_of_models.setdefault(model, {})
    if name not in known:
        known[name] = find()
    return known[name]


def _read_run(model, run, first_ids, progress):
    """Return the vectors of words, and the norm and the surprisal of each token, three arrays.

    Where memory runs out, the run starts over with half the windows at once. ``first_ids`` are those of the first
    window, and ``progress`` is as for ``compute_word_states``.
    """
    n_at_once, last_end = count_windows_at_once(model, run, first_ids), 0

    def report(end):
        nonlocal last_end
        if progress is not None and end > last_end:
            progress(int(np.sum((run.ranges[:, 1] > last_end) & (run.ranges[:, 1] <= end))))
            last_end = end

    while True:
        try:
            return _read_windows(model, run, n_at_once, report)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if n_at_once == 1:
                raise InputError(
                    f"the memory of the device does not hold the model's work on {len(first_ids)} tokens: let it "
                    "read fewer at once (--max_length), or use another --device"
                ) from error
        n_at_once //= 2  # not inside the except clause, which holds the tensors of the failed batch
        if model.device.type == "cuda":
            torch.cuda.empty_cache()


def count_windows_at_once(model, run, first_ids):
    """Return the number of windows that a model reads as one batch: 1 on a CPU, where more are not faster.

    On a GPU, half of its free memory is used, or ``TOKENS_AT_ONCE`` where this is less.
    """
    n_bytes = count_free_bytes(model.device)
    if n_bytes is None or len(run.windows) == 1 or run.is_linear is False:  # the logits of all tokens are large
        return 1
    n_fitting = n_bytes // 2 // (WORKSPACE * run.layout.n_units * model.dtype.itemsize)
    n_windows = min(len(run.windows), min(TOKENS_AT_ONCE, n_fitting) // len(first_ids))
    if n_windows < 2:
        return 1
    with explain_model_errors(model, "read windows as a batch"):
        tried = first_ids[:N_TRIED]
        is_free = _find_once(
            model, "are_windows_independent", partial(are_windows_independent, model, run.layout, tried)
        )
    return n_windows if is_free else 1


def are_windows_independent(model, layout, ids):
    """Return whether a model computes the same states of tokens, an int array (n_tokens,), in a batch as alone."""

    def read(windows):
        layers = []
        read_states(model, windows, layout, lambda _, states: layers.append(states[0].float()))
        return torch.stack(layers)

    alone, batched = read(ids[None]), read(np.stack([ids, ids[::-1]]))
    limits = ROUNDING.get(model.dtype, ROUNDING[torch.float32]) * alone.abs().amax(dim=(1, 2))
    return bool(((alone - batched).abs().amax(dim=(1, 2)) <= limits).all())


def _read_windows(model, run, n_at_once, report):
    """Return what ``_read_run`` returns, from batches of ``n_at_once`` windows; report is called with tokens done."""
    n_layers, n_units = run.layout.n_layers, run.layout.n_units
    sums = WordSums(n_layers, n_units, run.ranges, n_tokens=len(run.token_ids), device=model.device)
    surprisal = []
    for first in range(0, len(run.windows), n_at_once):
        batch = run.windows[first : first + n_at_once]
        sums.begin_batch(batch[0][1], batch[-1][2])
        surprisal.append(_read_batch(model, run, batch, sums))
        report(batch[-1][2])
    vectors, norms = sums.finish()
    first_wrong = int(np.isfinite(norms.sum(axis=1)).argmin())  # the first layer, if any
    check_finite(norms[first_wrong], f"states of layer {first_wrong}")
    token_surprisal = np.full(len(run.token_ids), np.nan)
    if run.is_linear is not None:
        values = torch.cat(surprisal).cpu().numpy()
        check_finite(values, "surprisal")
        token_surprisal[len(token_surprisal) - len(values) :] = values  # all but a first token without context
    return vectors, norms, token_surprisal


def _read_batch(model, run, batch, sums):
    """Read windows as one batch, add their states to the sums of words, and return the surprisal of new tokens.

    The surprisal is a tensor on the device, without a first token that has no context; None for no surprisal.
    """
    ids = np.stack([np.concatenate([run.prefix, run.token_ids[start:end]]) for start, _, end in batch])
    n_ids, n_prefix = ids.shape[1], len(run.prefix)
    positions = np.concatenate(
        [row * n_ids + n_prefix + np.arange(new - start, end - start) for row, (start, new, end) in enumerate(batch)]
    )  # of the new tokens, in ids.ravel()
    is_slice = len(batch) == 1
    new = slice(positions[0], None) if is_slice else torch.from_numpy(positions).to(model.device)

    def add(layer, layer_states):
        # Reformer adds states of padding.
        sums.add(layer, layer_states[:, :n_ids].flatten(0, 1)[new])

    task = f"read {n_ids} tokens at once (--max_length sets how many)"
    with explain_model_errors(model, task), torch.inference_mode():
        states = read_states(model, ids, run.layout, add)
        if run.is_linear is None:
            return None
        return compute_token_surprisal(model, ids, states, positions[positions % n_ids > 0], run.is_linear)


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
    context = _find_once(model, "context", partial(find_context_length, model))
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
