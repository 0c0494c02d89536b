"""Compute log-probabilities of sentences under a language model."""

import warnings

import numpy as np
import torch

from pipeline.errors import InputError
from pipeline.models import prefix_trees
from pipeline.models.batches import explain_model_errors, work_in_batches
from pipeline.models.tokenization import encode_after_bos, find_context_length

# About how many sentences are read in both ways to find out.
N_TRIED = 32

# How far both may be apart: the root mean square as a share of the scores'. Random models of 4 to 32
# layers stayed below 3e-7, 7e-4 and 4e-3 where they could read trees. With weights that are hardly trained
# and in half precision, so do some that cannot: hence what ``prefix_trees.why_not`` asks beforehand.
ROUNDING = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}


@torch.inference_mode()
def compute_log_probabilities(
    sentences, model, tokenizer, batch_size=64, progress=None, log=warnings.warn, known=None, keep=None
):
    """Log-probability of each sentence: the sum over its tokens of log P(token | BOS and before).

    Parameters
    ----------
    sentences : sequence of n_sentences str
    model : transformers.PreTrainedModel
        A causal language model, in evaluation mode. Probabilities are normalised over its whole
        output vocabulary, in float32.
    tokenizer : transformers.PreTrainedTokenizerFast
        Its BOS, or its EOS where it has none, stands before each sentence, once.
    batch_size : int
        Sentences that the model reads at once; fewer where the memory of its device is too small.
    progress : callable, optional
        Called after each batch with the indices of the sentences in it.
    log : callable
        Called with a line for the user when the model cannot read trees, or the batches become smaller.
    known : float64 array of shape (n_sentences,), optional
        What ``keep`` was last called with when the same work was interrupted.
    keep : callable, optional
        Called after each batch with the log-probabilities so far, NaN where they are not known yet.

    Returns
    -------
    float64 array of shape (n_sentences,), nats

    Raises
    ------
    InputError
        The tokenizer has neither BOS nor EOS, a sentence has no token or one that the model does not
        know, it does not fit in the model's context or the memory, the model cannot read it, or a
        log-probability is not finite.
    """
    tokens_of = encode_after_bos(sentences, model, tokenizer)
    _check_lengths(sentences, tokens_of, find_context_length(model))

    # Neighbours share a beginning; the last token of a sentence begins nothing.
    order = sorted(range(len(tokens_of)), key=lambda index: tokens_of[index][:-1])
    tried = _sentences_to_try(tokens_of, order)
    plain = np.full(len(tokens_of), np.nan)
    _score_all(tried, tokens_of, model, _score_batch, batch_size, log, plain)
    _check_finite([sentences[index] for index in tried], plain[tried])
    score_batch = _score_trees
    if reason := _why_not_as_trees(plain, tried, tokens_of, model, batch_size, log):
        log(f"{type(model).__name__} cannot read sentences as trees ({reason}): it reads plain batches, more slowly")
        score_batch = _score_batch
        order.sort(key=lambda index: -len(tokens_of[index]))  # of one length, so that there is little padding

    scores = np.full(len(tokens_of), np.nan) if known is None else known.copy()
    _score_all(order, tokens_of, model, score_batch, batch_size, log, scores, progress, keep)
    _check_finite(sentences, scores)
    return scores


def _sentences_to_try(tokens_of, order):
    """Indices of neighbours from all over the order, and of the longest sentence, whose ends are farthest apart."""
    pairs = np.linspace(0, len(order) - 1, N_TRIED // 2).astype(int)
    longest = max(order, key=lambda index: len(tokens_of[index]))
    return sorted({longest, *(order[place] for first in pairs for place in (max(first - 1, 0), first))})


def _why_not_as_trees(plain, tried, tokens_of, model, batch_size, log):
    """Why a model cannot read trees, or None where it scores the sentences that are tried as it did plainly."""
    longest = max(map(len, tokens_of))
    if reason := prefix_trees.reason_unsupported(model, longest):
        return reason
    try:
        if not prefix_trees.has_linear_logits(tokens_of[tried[0]], model):
            return "its logits are more than those of a linear layer"
        as_trees = np.full(len(tokens_of), np.nan)
        _score_all(tried, tokens_of, model, prefix_trees.score_trees, batch_size, log, as_trees)
    except (InputError, torch.AcceleratorError):  # the memory is too small, or the device is lost
        raise
    except Exception as error:  # models that do not expect such a mask stumble over it in many ways
        reason = " ".join(str(error).split())
        return f"{type(error).__name__}: {reason[:80]}"
    apart = np.sqrt(np.mean((as_trees - plain)[tried] ** 2) / np.mean(plain[tried] ** 2))
    if apart <= ROUNDING[model.dtype]:
        return None
    return f"log-probabilities would be off by {apart:.1g} of their size"


def _score_all(indices, tokens_of, model, score_batch, batch_size, log, scores, progress=None, keep=None):
    """Put log-probabilities of the sentences that the indices name in their places among the scores.

    Batches whose scores are all known are left out.
    """

    def work(batch):
        if np.isnan(scores[batch]).any():
            scores[batch] = score_batch([tokens_of[index] for index in batch], model)
            if keep is not None:
                keep(scores)
        if progress is not None:
            progress(batch)

    work_in_batches(indices, batch_size, work, log)


def _check_finite(sentences, scores):
    if not np.isfinite(scores).all():
        wrong = sentences[np.flatnonzero(~np.isfinite(scores))[0]]
        raise InputError(
            f"the log-probability of {wrong!r} is not a finite number: "
            "the checkpoint is damaged, or its activations overflow this --dtype"
        )


def _check_lengths(sentences, tokens_of, context):
    """Every sentence must have a token, and fit in the context."""
    for sentence, tokens in zip(sentences, tokens_of, strict=True):
        if len(tokens) < 2:
            raise InputError(f"the sentence {sentence!r} has no token")
        if context is not None and len(tokens) > context:
            raise InputError(f"{len(tokens)} tokens do not fit in the model's context of {context}: {sentence[:80]!r}")


def _score_trees(tokens_of, model):
    """Log-probabilities of a few sentences by a model that has read some as trees already."""
    with explain_model_errors(model, "read sentences"):
        return prefix_trees.score_trees(tokens_of, model)


def _score_batch(tokens_of, model):
    """Log-probabilities of a few sentences, given as token ids that start with BOS."""
    n_tokens = max(map(len, tokens_of))
    ids = torch.zeros(len(tokens_of), n_tokens, dtype=torch.long)
    is_token = torch.zeros(len(tokens_of), n_tokens, dtype=torch.long)
    for row, tokens in enumerate(tokens_of):
        # Padding stands after the sentence, where no token of it looks.
        ids[row, : len(tokens)] = torch.tensor(tokens)
        is_token[row, : len(tokens)] = 1
    ids, is_token = ids.to(model.device), is_token.to(model.device)  # (n_sentences, n_tokens)
    with explain_model_errors(model, "read sentences"):
        logits = model(input_ids=ids, attention_mask=is_token, use_cache=False).logits  # (.., n_tokens, n_vocabulary)
    of_tokens = -torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none"
    ).reshape(ids[:, 1:].shape)  # (n_sentences, n_tokens - 1)
    return (of_tokens * is_token[:, 1:]).sum(dim=1, dtype=torch.float64).cpu().numpy()
