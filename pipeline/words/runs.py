"""Prepare the text of a run for a language model: its tokens, the tokens of each word, and the windows of tokens."""

import weakref
from functools import partial
from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError, add_context
from pipeline.models.batches import explain_model_errors
from pipeline.models.hidden_states import find_layers, skip_final_norm
from pipeline.models.tokenization import check_context_length, check_token_ids, find_context_length
from pipeline.words.surprisal import are_logits_linear
from pipeline.words.tokens import assign_tokens, count_spaces_after

STEP_TOKENS = 64  # by which windows advance, where a run is longer than the model's context

# What a few tokens showed of each model: on a GPU, they take as long as a run of the story.
_known_of_models: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class Run(NamedTuple):
    """Hold the tokens of a run, and how a model reads them. New tokens are counted in the order of the windows."""

    prefix: np.ndarray  # int (n_prefix,), special tokens before each window
    token_ids: np.ndarray  # int (n_tokens,)
    windows: list  # of (start, new, end): the model reads start:end, and the states of the new tokens new:end are used
    ranges: np.ndarray  # int (n_words, 2), the first new token of each word, and the end of its tokens
    pooled: np.ndarray  # int (n_words, 2), as ranges, of the tokens in a word's vector: all, or the last one alone
    order: np.ndarray | None  # int (n_words,), where windows are not in the order of words: the place of each word
    n_context: np.ndarray  # int (n_words,), tokens that the model reads before each word, without the prefix
    pooling: str
    layout: NamedTuple  # as find_layers returns it
    is_linear: bool | None  # as are_logits_linear returns it; None for no surprisal

    @property
    def n_new(self):
        """Return the number of new tokens of all windows."""
        return sum(end - new for _, new, end in self.windows)

    @property
    def n_at_most(self):
        """Return the tokens of the longest window, with the prefix."""
        return len(self.prefix) + max(end - start for start, _, end in self.windows)


def prepare_run(
    model,
    tokenizer,
    text,
    spans,
    *,
    max_length=None,
    context_tokens=None,
    pooling="mean",
    before_norm=False,
    has_surprisal=False,
):
    """Prepare the text of a run for a causal language model, a Run.

    InputError is raised if ``max_length`` or ``context_tokens`` is larger than the model's context, or has no room for
    a token; the text is empty, or has a token without a row in the model; the model's states cannot be read.

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
    context_tokens : int, optional
        Every word has a window of its own: up to so many tokens before the word, and the word. 0 reads each word alone.
        By default, the model reads the run from its beginning.
    pooling : {"mean", "sum", "last"}, over the tokens of a word
        The last token is not one that contains only spaces after the word.
    before_norm : bool, read the last layer before the final normalisation
    has_surprisal : bool, prepare for surprisal, which needs the output layer
    """
    prefix, token_ids, offsets = _tokenize(tokenizer, text)
    ranges = assign_tokens(spans, offsets, text)
    n_spaces = count_spaces_after(ranges, spans, offsets, text)
    check_token_ids([*prefix, *token_ids], text, model, tokenizer)
    window_tokens = _choose_window_tokens(model, len(prefix), len(token_ids), max_length)
    first_ids = np.concatenate([prefix, token_ids])[: len(prefix) + window_tokens]
    is_linear = None
    if has_surprisal:
        is_linear = _find_linear(model, tokenizer, text, token_ids, first_ids)
    with explain_model_errors(model, "be read layer by layer"):
        layout = find_once(model, "layout", partial(find_layers, model, first_ids))
    layout = skip_final_norm(layout) if before_norm else layout
    if context_tokens is None:
        windows, order = split_windows(len(token_ids), window_tokens), None
        n_context = _count_context(ranges, windows)
    else:
        windows, ranges, order, n_context = _make_window_of_each_word(ranges, context_tokens)
        longest = max(end - start for start, _, end in windows)
        if longest > window_tokens:
            raise InputError(
                f"--context {context_tokens}: expected windows of at most {window_tokens} tokens, which the model "
                f"reads at once, got {longest} with the longest word. Use a smaller --context."
            )
    pooled = ranges if pooling != "last" else _select_last(ranges, order, n_spaces)
    return Run(prefix, token_ids, windows, ranges, pooled, order, n_context, pooling, layout, is_linear)


def _find_linear(model, tokenizer, text, token_ids, first_ids):
    """Return what ``are_logits_linear`` returns, after a check that the output layer has the tokens of a text."""
    with add_context("surprisal, which --no-surprisal leaves out"):
        check_token_ids(token_ids, text, model, tokenizer, ("output",))
        with explain_model_errors(model, "compute logits"):
            return find_once(model, "is_linear", partial(are_logits_linear, model, first_ids))


def _select_last(ranges, order, n_spaces):
    """Return the range of the last token of each word as read, without spaces after it, int (n_words, 2).

    n_spaces (n_words,) are the tokens of spaces after each word of the text, as ``count_spaces_after`` returns them.
    """
    ends = ranges[:, 1] - (n_spaces if order is None else n_spaces[np.argsort(order)])
    return np.stack([ends - 1, ends], axis=1)


def has_context(run):
    """Return which new tokens have a token before them in their window, a bool array (n_new,)."""
    return np.concatenate([np.arange(new - start, end - start) > -len(run.prefix) for start, new, end in run.windows])


def _count_context(ranges, windows):
    """Return how many tokens the model reads before each word, an int array (n_words,)."""
    starts, news, _ = np.array(windows).T
    window = np.searchsorted(news, ranges[:, 0], side="right") - 1  # of the first token of each word
    return ranges[:, 0] - starts[window]


def _make_window_of_each_word(ranges, context_tokens):
    """Make a window for each word. Windows of one length are neighbours, so that a GPU reads them as a batch.

    Returns
    -------
    windows, ranges, order, n_context : as in a Run
    """
    starts = np.maximum(ranges[:, 0] - context_tokens, 0)
    by_length = np.argsort(ranges[:, 1] - starts, kind="stable")
    ends = np.cumsum((ranges[:, 1] - ranges[:, 0])[by_length])
    windows = np.stack([starts, *ranges.T], axis=1)[by_length].tolist()
    new_ranges = np.stack([np.append(0, ends[:-1]), ends], axis=1)
    return list(map(tuple, windows)), new_ranges, np.argsort(by_length), (ranges[:, 0] - starts)[by_length]


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


def find_once(model, name, find):
    """Return what ``find()`` returns, which is called once for each model and name."""
    known = _known_of_models.setdefault(model, {})
    if name not in known:
        known[name] = find()
    return known[name]


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
    context = find_once(model, "context", partial(find_context_length, model))
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
