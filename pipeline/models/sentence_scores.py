"""Compute log-probabilities of sentences under a language model."""

import contextlib
import warnings
from functools import partial

import numpy as np
import torch

from pipeline.errors import InputError
from pipeline.models import prefix_trees
from pipeline.models.batch_size import choose_batch_size
from pipeline.models.batches import explain_model_errors, work_in_batches
from pipeline.models.fused_norms import fuse_norms
from pipeline.models.near_ties import compute_rounding, score_in_fixed_shape, settle_near_ties
from pipeline.models.output_layer import has_linear_logits
from pipeline.models.sentence_batches import Reading, prepare_padded, score_batches, score_padded
from pipeline.models.tokenization import (
    check_context_length,
    check_finite,
    encode_after_bos,
    encode_texts,
    find_context_length,
)

# About the number of sentences that are scored both as trees and in plain batches, to compare the scores.
N_TRIED = 32

# Largest difference between both scores: its root mean square as a share of the scores'. Random models of 4 to 32
# layers stayed below 3e-7, 7e-4 and 4e-3 where they could read trees. With hardly trained weights and in half
# precision, some models that cannot read trees stay below as well: see ``prefix_trees.reason_unsupported``.
ROUNDING = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}


@torch.inference_mode()
def compute_log_probabilities(
    sentences,
    model,
    tokenizer,
    batch_size=None,
    progress=None,
    log=warnings.warn,
    known=None,
    keep=None,
    has_bos=True,
    is_mean=False,
    pairs=(),
    measure=None,
):
    """Return the log-probability of each sentence: the sum over its tokens of log P(token | BOS and tokens before).

    InputError is raised if the tokenizer has neither BOS nor EOS; a sentence has no token (without BOS, fewer than
    two), a token without a row in the model, or more tokens than the model's context; a sentence does not fit in
    memory, the model cannot read it, or its log-probability is not finite.

    Parameters
    ----------
    sentences : sequence of n_sentences str
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
        Probabilities are normalized over its whole output vocabulary, in float32 where its logits are linear (see
        ``has_linear_logits``).
    tokenizer : transformers.PreTrainedTokenizerFast
        The model reads each sentence after one BOS, or one EOS where the tokenizer has no BOS.
    batch_size : int, optional, by default of ``choose_batch_size``; batches are halved where memory runs out
    progress : callable of the indices of the sentences in a batch, optional; called after each batch
    log : callable of a line for the user, when the model cannot read trees, or batches are halved
    known : float64 array (n_sentences,), optional; the last argument of ``keep`` before the same work was interrupted
    keep : callable of the sums so far, optional; called after each batch; NaN where not known yet
    has_bos : bool; without BOS, the sum begins with the second token, since the first token has no probability
    is_mean : bool, divide each sum by the number of its tokens
    pairs : int array (n_pairs, 2), optional, indices of sentences that are compared; near-ties are read once more
    measure : callable of numbers for the record, a dict, optional: batch_size, near_ties, near_tie_nats

    Returns
    -------
    float64 array (n_sentences,), nats
    """
    token_ids = (encode_after_bos if has_bos else encode_texts)(sentences, model, tokenizer)
    context = find_context_length(model)
    _check_lengths(sentences, token_ids, context=context, has_bos=has_bos)

    scores = np.full(len(token_ids), np.nan) if known is None else known.copy()
    n_terms = np.array([len(ids) - 1 for ids in token_ids]) if is_mean else np.ones(len(token_ids))
    with fuse_norms(model) if model.device.type == "cuda" else contextlib.nullcontext():
        measures = _score_all(
            scores, sentences, token_ids, model=model, context=context, batch_size=batch_size, log=log,
            pairs=pairs, n_terms=n_terms, progress=progress, keep=keep,
        )  # fmt: skip
    if measure is not None:
        measure(measures)
    return scores / n_terms


def _score_all(scores, sentences, token_ids, *, model, context, batch_size, log, pairs, n_terms, **callables):
    """Write the log-probability of each sentence, a sum, into the scores, and return numbers for the record."""
    # Neighbours share a beginning. No token follows the last token of a sentence, so it belongs to no beginning.
    order = sort_by_beginning(token_ids)
    tried = _select_tried(token_ids, order)
    is_linear = _has_linear_logits([token_ids[tried[0]], token_ids[tried[-1]]], model, log)
    if batch_size is None:
        batch_size = choose_batch_size(model, np.mean(list(map(len, token_ids))), has_all_logits=not is_linear)
    score = partial(score_batches, token_ids=token_ids, model=model, batch_size=batch_size, log=log)
    padded = Reading(prepare_padded, partial(score_padded, is_linear=is_linear))
    plain, as_trees = np.full((2, len(token_ids)), np.nan)
    score(tried, reading=padded, scores=plain)
    _check_scores([sentences[index] for index in tried], plain[tried])
    reason = _find_reason_against_trees(
        plain[tried], tried, as_trees, model=model, context=context, is_linear=is_linear, score=score
    )
    reading = Reading(partial(prefix_trees.prepare_trees, context=context), _score_trees)
    if reason:
        log(f"{type(model).__name__} cannot read sentences as trees ({reason}): it reads plain batches, more slowly")
        order.sort(key=lambda index: -len(token_ids[index]))  # similar lengths need little padding
        reading = padded
    score(order, reading=reading, scores=scores, **callables)
    measures = {"batch_size": batch_size}
    if len(pairs):
        score_fixed = partial(
            score_in_fixed_shape, token_ids=token_ids, model=model, log=log, is_linear=is_linear, context=context
        )
        if reason:
            score_fixed(tried, scores=as_trees)  # a second reading, to measure the rounding
        rounding = compute_rounding(plain[tried], as_trees[tried], n_terms[tried])
        # Two sentences of the same tokens are an exact tie, and stay so.
        different = [[first, second] for first, second in pairs if token_ids[first] != token_ids[second]]
        compared = np.array(different, dtype=int).reshape(-1, 2)
        measures |= settle_near_ties(scores, compared, n_terms=n_terms, rounding=rounding, score_fixed=score_fixed)
    _check_scores(sentences, scores)
    return measures


def sort_by_beginning(token_ids):
    """Return the indices of sentences in the order of their tokens without the last, a list of int."""
    # Bytes compare faster than lists, and in the same order, where the first byte of a number is the largest.
    keys = [np.array(ids[:-1], dtype=">u4").tobytes() for ids in token_ids]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _select_tried(token_ids, order):
    """Return indices of neighbours, evenly spaced in the order, and of the longest sentence."""
    positions = np.linspace(0, len(order) - 1, N_TRIED // 2).astype(int)
    longest = max(order, key=lambda index: len(token_ids[index]))
    neighbours = (order[position] for first in positions for position in (max(first - 1, 0), first))
    return sorted({longest, *neighbours})


def _has_linear_logits(token_ids, model, log):
    """Return whether the logits of a model for both sentences, of which the shorter is padded, are linear."""
    results = []

    def work(batch):
        arrays = prepare_padded(batch)
        ids, is_token = (torch.from_numpy(arrays[name]).to(model.device) for name in ("ids", "is_token"))
        results.append(has_linear_logits(model, ids, is_token))

    work_in_batches(token_ids, len(token_ids), work, log)
    return all(results)


def _find_reason_against_trees(plain, tried, as_trees, *, model, context, is_linear, score):
    """Return why a model cannot read trees, or None where trees give the plain scores of the tried sentences.

    The scores of the tried sentences as trees are written into as_trees.
    """
    if reason := prefix_trees.reason_unsupported(model, max(map(len, score.keywords["token_ids"]))):
        return reason
    if not is_linear:
        return "its logits are more than those of a linear layer"
    reading = Reading(partial(prefix_trees.prepare_trees, context=context), prefix_trees.score_trees)
    try:
        score(tried, reading=reading, scores=as_trees)
    except (InputError, torch.AcceleratorError):  # too little memory, or a lost device
        raise
    except Exception as error:  # a model that does not support the mask can raise any exception
        return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
    difference = np.sqrt(np.mean((as_trees[tried] - plain) ** 2) / np.mean(plain**2))
    if difference <= ROUNDING[model.dtype]:
        return None
    return f"log-probabilities would be off by {difference:.1g} of their size"


def _score_trees(batch, model):
    """Return the log-probabilities of sentences as trees, and explain errors."""
    with explain_model_errors(model, "read sentences"):
        return prefix_trees.score_trees(batch, model)


def _check_scores(sentences, scores):
    """Check that all log-probabilities are finite."""
    first = int(np.argmin(np.isfinite(scores)))  # the first that is not finite, if any
    check_finite(scores[first], f"log-probability of {sentences[first]!r}")


def _check_lengths(sentences, token_ids, context, has_bos):
    """Check that every sentence has a token with a probability, and fits in the context."""
    for sentence, ids in zip(sentences, token_ids, strict=True):
        if len(ids) < 2:
            expected = "a token or more, got none" if has_bos else f"two tokens or more without BOS, got {len(ids)}"
            raise InputError(f"sentence {sentence!r}: expected {expected}. Remove the sentence.")
        if context is not None and len(ids) > context:
            source, remedy = f"sentence {sentence[:80]!r}", "Shorten the sentence."
            check_context_length(len(ids), context, source=source, remedy=remedy)
