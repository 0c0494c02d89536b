"""Texts as a language model writes them: every token drawn from the model's own probabilities.

Every text has a random generator of its own, so that it never depends on how many others are
written, or on which of them the model reads together.
"""

import hashlib

import torch
import transformers

from pipeline import BadInput

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


def text_seed(seed, prompt, sample):
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


@torch.inference_mode()
def continue_prompts(model, tokenizer, prompts, seeds, max_new_tokens, temperature=1.0, progress=None):
    """Let a model go on from some prompts, drawing each token at random (ancestral sampling).

    A token is the one with the highest logit / temperature + Gumbel noise, which is the same as
    drawing it with the probability that the model gives it. In float32, a text is the same
    whatever others are written with it.

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

    Returns
    -------
    list of n_texts str
        Each prompt with what follows it.

    Raises
    ------
    BadInput
        A text may become longer than the model's context, or its probabilities are not finite.
    """
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if bos is None:
        raise BadInput("the tokenizer has neither BOS nor EOS to start a text with")
    starts = [[bos, *ids] for ids in tokenizer(prompts, add_special_tokens=False)["input_ids"]]
    longest = max(map(len, starts))
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and longest + max_new_tokens > context:
        raise BadInput(
            f"a prompt of {longest} tokens and --max_new_tokens {max_new_tokens} do not fit in the model's "
            f"context of {context}: ask for fewer, or give shorter prompts (--prompts)"
        )

    # A checkpoint's own habits, such as a penalty on repetition, are not to act.
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=tokenizer.eos_token_id, pad_token_id=bos
    )
    padding = [longest - len(start) for start in starts]
    ids = torch.tensor([[bos] * n + start for n, start in zip(padding, starts, strict=True)])  # (n_texts, longest)
    is_token = torch.tensor([[0] * n + [1] * len(start) for n, start in zip(padding, starts, strict=True)])
    chosen = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=is_token.to(model.device),
        logits_processor=[_noise(model, padding, seeds, temperature, progress)],
    )
    return [
        prompt + _decoded_end(tokenizer, start[1:], row[longest:].tolist())
        for prompt, start, row in zip(prompts, starts, chosen, strict=True)
    ]


def _noise(model, padding, seeds, temperature, progress):
    """What turns the choice of the most probable token into a random draw, for ``generate``."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def add_noise(ids, logits):  # (n_texts, n_tokens), (n_texts, n_vocabulary)
        if not torch.isfinite(logits).all():
            raise BadInput(
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
