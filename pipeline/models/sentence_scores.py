"""Compute log-probabilities of sentences under a language model."""

import warnings
from functools import partial

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from pipeline.errors import InputError
from pipeline.models import prefix_trees
from pipeline.models.batches import explain_model_errors, work_in_batches
from pipeline.models.output_layer import compute_log_probabilities_from_states, has_linear_logits
from pipeline.models.tokenization import (
    check_context_length,
    check_finite,
    encode_after_bos,
    encode_texts,
    find_context_length,
)

# About the number of sentences that are scored both as trees and as plain batches, to compare the scores.
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
    batch_size=64,
    progress=None,
    log=warnings.warn,
    known=None,
    keep=None,
    has_bos=True,
    is_mean=False,
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
    batch_size : int, sentences of a batch; batches are halved where memory runs out
    progress : callable of the indices of the sentences in a batch, optional; called after each batch
    log : callable of a line for the user, when the model cannot read trees, or batches are halved
    known : float64 array (n_sentences,), optional; the last argument of ``keep`` before the same work was interrupted
    keep : callable of the sums so far, optional; called after each batch; NaN where not known yet
    has_bos : bool; without BOS, the sum begins with the second token, since the first token has no probability
    is_mean : bool, divide each sum by the number of its tokens

    Returns
    -------
    float64 array (n_sentences,), nats
    """
    token_ids = (encode_after_bos if has_bos else encode_texts)(sentences, model, tokenizer)
    context = find_context_length(model)
    _check_lengths(sentences, token_ids, context=context, has_bos=has_bos)

    # Neighbours share a beginning. No token follows the last token of a sentence, so it belongs to no beginning.
    order = sorted(range(len(token_ids)), key=lambda index: token_ids[index][:-1])
    score_all = partial(_score_all, token_ids=token_ids, batch_size=batch_size, log=log)
    score_batch, reason = _choose_reading(
        sentences, token_ids, order, model=model, context=context, score_all=score_all
    )
    if reason:
        log(f"{type(model).__name__} cannot read sentences as trees ({reason}): it reads plain batches, more slowly")
        order.sort(key=lambda index: -len(token_ids[index]))  # similar lengths need little padding

    scores = np.full(len(token_ids), np.nan) if known is None else known.copy()
    score_all(order, score_batch=score_batch, scores=scores, progress=progress, keep=keep)
    _check_scores(sentences, scores)
    return scores / [len(ids) - 1 for ids in token_ids] if is_mean else scores


def _choose_reading(sentences, token_ids, order, *, model, context, score_all):
    """Return the function that scores a batch, and why it does not read trees, or None where it does."""
    tried = _select_tried(token_ids, order)
    batch_size, log = score_all.keywords["batch_size"], score_all.keywords["log"]
    is_linear = _has_linear_logits([token_ids[tried[0]], token_ids[tried[-1]]], model, batch_size, log)
    score_plain_batch = partial(_score_batch, model=model, is_linear=is_linear)
    plain = np.full(len(token_ids), np.nan)
    score_all(tried, score_batch=score_plain_batch, scores=plain)
    _check_scores([sentences[index] for index in tried], plain[tried])
    reason = _find_reason_against_trees(
        plain, tried, token_ids, model=model, context=context, is_linear=is_linear, score_all=score_all
    )
    return score_plain_batch if reason else partial(_score_trees, model=model, context=context), reason


def _select_tried(token_ids, order):
    """Return indices of neighbours, evenly spaced in the order, and of the longest sentence."""
    positions = np.linspace(0, len(order) - 1, N_TRIED // 2).astype(int)
    longest = max(order, key=lambda index: len(token_ids[index]))
    neighbours = (order[position] for first in positions for position in (max(first - 1, 0), first))
    return sorted({longest, *neighbours})


def _has_linear_logits(token_ids, model, batch_size, log):
    """Return whether the logits of a model for all of these sentences, some of them padded, are linear."""
    results = []

    def work(batch):
        results.append(has_linear_logits(model, *_pad(batch, model)))

    work_in_batches(token_ids, batch_size, work, log)
    return all(results)


def _find_reason_against_trees(plain, tried, token_ids, model, context, is_linear, score_all):
    """Return why a model cannot read trees, or None where trees give the plain scores of the tried sentences."""
    if reason := prefix_trees.reason_unsupported(model, max(map(len, token_ids))):
        return reason
    if not is_linear:
        return "its logits are more than those of a linear layer"
    as_trees = np.full(len(token_ids), np.nan)
    score_trees = partial(prefix_trees.score_trees, model=model, context=context)
    try:
        score_all(tried, score_batch=score_trees, scores=as_trees)
    except (InputError, torch.AcceleratorError):  # too little memory, or a lost device
        raise
    except Exception as error:  # a model that does not support the mask can raise any exception
        return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
    difference = np.sqrt(np.mean((as_trees - plain)[tried] ** 2) / np.mean(plain[tried] ** 2))
    if difference <= ROUNDING[model.dtype]:
        return None
    return f"log-probabilities would be off by {difference:.1g} of their size"


def _score_all(indices, token_ids, score_batch, batch_size, log, scores, progress=None, keep=None):
    """Write the log-probabilities of sentences into the scores. Batches whose scores are all known are not read."""

    def work(batch):
        if np.isnan(scores[batch]).any():
            scores[batch] = score_batch([token_ids[index] for index in batch])
            if keep is not None:
                keep(scores)
        if progress is not None:
            progress(batch)

    work_in_batches(indices, batch_size, work, log)


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
        check_context_length(len(ids), context, source=f"sentence {sentence[:80]!r}", remedy="Shorten the sentence.")


def _score_trees(token_ids, model, context):
    """Return the log-probabilities of sentences as trees, and explain errors."""
    with explain_model_errors(model, "read sentences"):
        return prefix_trees.score_trees(token_ids, model, context)


def _pad(token_ids, model):
    """Return sentences, lists of token ids, as a batch, and its attention mask: int tensors (n_sentences, n_tokens)."""
    # Padding comes after the sentence, so that a causal model does not see it.
    ids = pad_sequence([torch.tensor(ids) for ids in token_ids], batch_first=True).to(model.device)
    lengths = torch.tensor(list(map(len, token_ids)), device=model.device)
    return ids, (torch.arange(ids.shape[1], device=model.device) < lengths[:, None]).long()


def _score_batch(token_ids, model, is_linear=False):
    """Return the log-probabilities of sentences, lists of two token ids or more, in one plain batch.

    ``is_linear`` is what ``has_linear_logits`` returns. Without it, the model computes the logits in its own dtype.
    """
    ids, is_token = _pad(token_ids, model)
    options = {"input_ids": ids, "attention_mask": is_token, "use_cache": False}
    followers, is_follower = ids[:, 1:], is_token[:, 1:].bool()
    scores = torch.zeros(followers.shape, dtype=torch.float64, device=model.device)  # (n_sentences, n_tokens - 1)
    with explain_model_errors(model, "read sentences"):
        if is_linear:
            states = model.base_model(**options).last_hidden_state[:, :-1][is_follower]  # (n_followers, n_units)
            rows, layer = torch.arange(len(states), device=model.device), model.get_output_embeddings()
            log_probabilities = compute_log_probabilities_from_states(states, rows, followers[is_follower], layer)
        else:
            logits = model(**options).logits[:, :-1][is_follower].float()  # (n_followers, n_vocabulary)
            log_probabilities = -torch.nn.functional.cross_entropy(logits, followers[is_follower], reduction="none")
    scores[is_follower] = log_probabilities.double()
    return scores.sum(dim=1).cpu().numpy()
