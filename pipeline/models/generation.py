"""Texts as a language model writes them: every token drawn from the model's own probabilities.

Every text has a random generator of its own, so that it never depends on how many others are
written, or on which of them the model reads together.
"""

import hashlib
import warnings
import weakref

import torch
import transformers

from pipeline.errors import InputError
from pipeline.models.batches import explain_model_errors
from pipeline.models.tokenization import encode_after_bos, encode_usual_text, find_context_length

# Openings of stories and essays that ask for nothing in particular. Each is a whole sentence, so
# that what follows is the model's from its first word on.
PROMPTS = (
    "It was early in the morning when Anna closed the door of the small house behind her.",
    "My grandfather had a garden at the edge of the village, and he worked in it every day.",
    "Nobody in the town remembered who had built the bridge across the river.",
    "There are several reasons why people learn to play an instrument.",
    "Before the railway came, most people in this valley had never seen the sea.",
)

# Reading texts together moves logits by some 1e-5. A choice as close as this is made by reading
# the text alone, so that it is always made alike.
CLOSE_CHOICE = 1e-3

# By which share of the largest logit rounding moves logits where rows are read together.
ROUNDING = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
N_TRIED = 3  # tokens that are written to see whether rows can be read together
N_PADDING = 16  # tokens of padding, at least, to see whether a model ignores it

_can_be_padded: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # found once for each model
_can_be_read_together: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def make_text_seed(seed, prompt, sample):
    """The seed of one text, a whole number of 64 bits, which depends on nothing but these three.

    Parameters
    ----------
    seed : int
        Of all texts.
    prompt : str
    sample : int
        Which of the texts of a prompt, from 0.

    Returns
    -------
    int
    """
    digest = hashlib.sha256(f"{seed} {sample} {prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def continue_prompts(
    model, tokenizer, prompts, seeds, max_new_tokens, temperature=1.0, progress=None, log=warnings.warn
):
    """Let a model go on from some prompts, drawing each token at random (ancestral sampling).

    A token is the one with the highest logit / temperature + Gumbel noise, which is the same as
    drawing it with the probability that the model gives it. In float32, a text is the same
    whatever others are written with it: where a model's logits for a text depend on the padding
    before it, or on the other texts (RWKV, RecurrentGemma), texts are written one length, or one
    text, at a time.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A causal language model, in evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerFast
        A prompt is read after its BOS, or its EOS where it has none; a text ends with its EOS.
    prompts : list of n_texts str
    seeds : list of n_texts int
        A text's own, see ``text_seed``.
    max_new_tokens : int
    temperature : float
        Above 0; 1 draws from the model's own probabilities.
    progress : callable, optional
        Called after each token with the number of texts that are written together.
    log : callable
        Called with a line for the user, once for each model, where texts cannot be written together.

    Returns
    -------
    list of n_texts str
        Each prompt with what follows it.

    Raises
    ------
    InputError
        A text may become longer than the model's context, the model does not know a token or cannot
        write, or its probabilities are not finite.
    """
    starts = encode_after_bos(prompts, model, tokenizer)
    longest, context = max(map(len, starts)), find_context_length(model)
    if context is not None and longest + max_new_tokens > context:
        raise InputError(
            f"a prompt of {longest} tokens and --max_new_tokens {max_new_tokens} do not fit in the model's "
            f"context of {context}: ask for fewer, or give shorter prompts (--prompts)"
        )
    # A checkpoint's own habits, such as a penalty on repetition, are not to act.
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=starts[0][0]
    )
    ends: list[list[int]] = [[]] * len(starts)
    for texts in _texts_to_write_together(model, starts, log):
        some = [starts[text] for text in texts]
        add_noise = _noise(model, _padding(some), [seeds[text] for text in texts], temperature, progress)
        for text, end in zip(texts, _write(model, some, max_new_tokens, add_noise), strict=True):
            ends[text] = end
    return [
        prompt + _decoded_end(tokenizer, start[1:], end)
        for prompt, start, end in zip(prompts, starts, ends, strict=True)
    ]


def _padding(starts):
    """Return how many tokens stand before each start, so that all end in the same place."""
    longest = max(map(len, starts))
    return [longest - len(start) for start in starts]


@torch.inference_mode()
def _write(model, starts, n_new, processor):
    """Return the tokens that a model writes after each start, a list of lists, with a processor of its logits."""
    padding, longest = _padding(starts), max(map(len, starts))
    ids = [[start[0]] * n + start for n, start in zip(padding, starts, strict=True)]
    is_token = [[0] * n + [1] * len(start) for n, start in zip(padding, starts, strict=True)]
    with explain_model_errors(model, "write texts"):
        written = model.generate(
            input_ids=torch.tensor(ids, device=model.device),  # (n_texts, longest)
            attention_mask=torch.tensor(is_token, device=model.device),
            max_new_tokens=n_new,
            logits_processor=[processor],
        )
    return written[:, longest:].tolist()


def _texts_to_write_together(model, starts, log):
    """Return the indices of the texts that a model can write together, in groups.

    Whether it can be seen where a text's logits are the same as when the text is written alone.
    """
    everything = list(range(len(starts)))
    if len(starts) == 1:
        return [everything]
    shortest, longest = min(starts, key=len), max(starts, key=len)
    name, lines = type(model).__name__, []
    if model not in _can_be_read_together:
        other = shortest[:1] + encode_usual_text(model, max(len(shortest) - 1, 1))[: len(shortest) - 1]
        _can_be_read_together[model] = _are_logits_same(model, shortest, other)
        if not _can_be_read_together[model]:
            lines.append(f"{name}: what it writes depends on the other texts in a batch: one text at a time")
    if not _can_be_read_together[model]:
        groups = [[text] for text in everything]
    elif len(shortest) == len(longest):
        groups = [everything]
    else:
        if model not in _can_be_padded:
            # Long padding shows what a single token may hide.
            much_longer = shortest + encode_usual_text(model, N_PADDING)
            _can_be_padded[model] = _are_logits_same(model, shortest, max(longest, much_longer, key=len))
            if not _can_be_padded[model]:
                lines.append(f"{name}: what it writes depends on the padding before a prompt: one length at a time")
        lengths = sorted(set(map(len, starts)))
        by_length = [[text for text in everything if len(starts[text]) == length] for length in lengths]
        groups = [everything] if _can_be_padded[model] else by_length
    for line in lines:
        log(line)
    return groups


def _are_logits_same(model, start, other):
    """Return whether a model's logits after a start are the same when another start is read with it."""
    forced = encode_usual_text(model, N_TRIED)
    alone, together = (_logits_after(model, starts, forced) for starts in ([start], [start, other]))
    limit = ROUNDING.get(model.dtype, ROUNDING[torch.float32]) * alone.abs().max()
    return bool((alone - together).abs().max() <= limit)


def _logits_after(model, starts, forced):
    """Return the logits of the first of some starts, after each of the tokens that follow it."""
    logits_of_steps = []

    def force(ids, logits):
        logits_of_steps.append(logits[0].float().cpu())
        logits = torch.full_like(logits, -1e4)
        logits[:, forced[len(logits_of_steps) - 1]] = 0
        return logits

    _write(model, starts, len(forced), force)
    return torch.stack(logits_of_steps)


def _noise(model, padding, seeds, temperature, progress):
    """What turns the choice of the most probable token into a random draw, for ``generate``."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def add_noise(ids, logits):  # (n_texts, n_tokens), (n_texts, n_vocabulary)
        if not torch.isfinite(logits).all():
            raise InputError(
                "the logits are not finite numbers: the checkpoint is damaged, or they overflow this --dtype"
            )
        noise = torch.stack([-torch.empty(logits.shape[1]).exponential_(generator=g).log() for g in generators])
        noisy = logits.float().cpu() / temperature + noise
        best, second = noisy.topk(2).values.T
        for row in torch.nonzero(best - second < CLOSE_CHOICE / temperature).flatten().tolist():
            alone = model(input_ids=ids[row : row + 1, padding[row] :], use_cache=False).logits[0, -1]
            noisy[row] = alone.float().cpu() / temperature + noise[row]
        if progress is not None:
            progress(len(seeds))
        return noisy.to(logits.device)

    return add_noise


def _decoded_end(tokenizer, start, end):
    """What the tokens of the end add to the text of the start; some tokenizers need both to tell."""
    before = tokenizer.decode(start, skip_special_tokens=True)
    return tokenizer.decode(start + end, skip_special_tokens=True)[len(before) :]
