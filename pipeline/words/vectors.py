"""Compute one vector per word and layer, and the surprisal of words, from one reading of a run."""

import contextlib
import itertools
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from pipeline.errors import InputError, is_out_of_memory
from pipeline.models.batches import explain_model_errors
from pipeline.models.fused_norms import fuse_norms
from pipeline.models.hidden_states import read_states
from pipeline.models.memory import count_free_bytes
from pipeline.models.tokenization import check_finite
from pipeline.words.runs import find_once, has_context, prepare_run
from pipeline.words.surprisal import compute_token_surprisal, sum_over_words
from pipeline.words.word_sums import WordSums

# A GPU reads several windows as one batch. More tokens at once make it no faster.
TOKENS_AT_ONCE = 16_384
WORKSPACE = 64  # numbers for each token and unit that a model computes at once, at most; half of this is usual

# Largest rounding of states that batching causes, as a share of the largest state of a layer.
ROUNDING = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
N_TRIED = 16  # tokens that show whether windows depend on the other windows of a batch


class WordStates(NamedTuple):
    """Hold what a language model computes at the words of one run."""

    vectors: np.ndarray  # float32 (n_layers, n_words, n_units); layer 0 is the embedding
    n_context: np.ndarray  # int (n_words,), tokens that the model reads before a word, without BOS
    n_tokens: np.ndarray  # int (n_words,), tokens of each word
    surprisal: np.ndarray | None  # float64 (n_words,), nats; NaN where a token has no context; None if not requested
    first_token_norm_ratio: np.ndarray  # float64 (n_layers,), the norm at the first token over the median of the rest


def compute_word_vectors(model, tokenizer, text, spans, max_length=None, progress=None):
    """Return the vectors of ``compute_word_states``, a float32 array (n_layers, n_words, n_units)."""
    return compute_word_states(model, tokenizer, text, spans, max_length=max_length, progress=progress).vectors


def compute_word_states(model, tokenizer, text, spans, *, progress=None, **options):
    """Return the states of a language model at the words of a run: ``prepare_run``, then ``read_run``."""
    return read_run(model, prepare_run(model, tokenizer, text, spans, **options), progress)


def read_run(model, run, progress=None):
    """Return the hidden states of a causal language model, pooled over the tokens of each word, and its surprisal.

    InputError is raised if the states cannot be read, or are not finite (float16 overflow), or memory runs out.

    Parameters
    ----------
    model : transformers.PreTrainedModel in evaluation mode
    run : Run, as ``prepare_run`` returns it for this model
    progress : callable of the number of words that a window completed, optional; called after each batch of windows

    Returns
    -------
    WordStates
        The surprisal of a word is the sum over its tokens of -log P(token | all tokens before it in the window).
    """
    with fuse_norms(model) if model.device.type == "cuda" else contextlib.nullcontext():
        vectors, norms, token_surprisal = _read_run(model, run, progress)
    surprisal = None if run.is_linear is None else sum_over_words(token_surprisal, run.ranges)
    states = WordStates(
        vectors, run.n_context, run.ranges[:, 1] - run.ranges[:, 0], surprisal, _compare_first_norm(norms)
    )
    return states if run.order is None else _sort_words(states, run.order)


def _sort_words(states, order):
    """Return the states of words in the order of the text; ``order`` (n_words,) has the index of each word as read."""
    surprisal = None if states.surprisal is None else states.surprisal[order]
    unknown = np.full_like(states.first_token_norm_ratio, np.nan)  # every word has a first token of its own
    return WordStates(states.vectors[:, order], states.n_context[order], states.n_tokens[order], surprisal, unknown)


def _read_run(model, run, progress):
    """Return the vectors of words, and the norm and the surprisal of each token, three arrays.

    Where memory runs out, the run starts over with half the windows at once. ``progress`` is as for ``read_run``.
    """
    n_at_once, last_end = count_windows_at_once(model, run), 0

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
                    f"the memory of the device does not hold the model's work on {run.n_at_most} tokens: let it "
                    "read fewer at once (--max_length), or use another --device"
                ) from error
        n_at_once //= 2  # not inside the except clause, which holds the tensors of the failed batch
        if model.device.type == "cuda":
            torch.cuda.empty_cache()


def count_windows_at_once(model, run):
    """Return the number of windows that a model reads as one batch: 1 on a CPU, where more are not faster.

    On a GPU, half of its free memory is used, or ``TOKENS_AT_ONCE`` where this is less.
    """
    n_bytes = count_free_bytes(model.device)
    if n_bytes is None or len(run.windows) == 1 or run.is_linear is False:  # the logits of all tokens are large
        return 1
    n_fitting = n_bytes // 2 // (WORKSPACE * run.layout.n_units * model.dtype.itemsize)
    n_windows = min(len(run.windows), min(TOKENS_AT_ONCE, n_fitting) // run.n_at_most)
    if n_windows < 2:
        return 1
    with explain_model_errors(model, "read windows as a batch"):
        tried = np.concatenate([run.prefix, run.token_ids])[:N_TRIED]
        find = partial(are_windows_independent, model, run.layout, tried)
        is_free = find_once(model, "are_windows_independent", find)
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
    is_sum = run.pooling == "sum"  # the last token is a mean over one token
    sums = WordSums(n_layers, n_units, run.pooled, n_tokens=run.n_new, device=model.device, is_sum=is_sum)
    surprisal, done = [], 0
    for batch in _list_batches(run.windows, n_at_once):
        end = done + sum(end - new for _, new, end in batch)
        sums.begin_batch(done, end)
        surprisal.append(_read_batch(model, run, batch, sums))
        report(done := end)
    vectors, norms = sums.finish()
    first_wrong = int(np.isfinite(norms.sum(axis=1)).argmin())  # the first layer, if any
    check_finite(norms[first_wrong], f"states of layer {first_wrong}")
    token_surprisal = np.full(run.n_new, np.nan)
    if run.is_linear is not None:
        values = torch.cat(surprisal).cpu().numpy()
        check_finite(values, "surprisal")
        token_surprisal[has_context(run)] = values
    return vectors, norms, token_surprisal


def _list_batches(windows, n_at_once):
    """Return the windows as lists of up to ``n_at_once`` neighbours with the same number of tokens."""
    batches = []
    for _, same in itertools.groupby(windows, lambda window: window[2] - window[0]):
        batches += [list(batch) for batch in _chunk(list(same), n_at_once)]
    return batches


def _chunk(values, size):
    return [values[first : first + size] for first in range(0, len(values), size)]


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
