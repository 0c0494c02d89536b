"""Generate texts by ancestral sampling: each token is drawn from the model's own probabilities.

Every text has its own random generator. So a text does not depend on the number of texts, or on the batch that the
model reads.
"""

import hashlib
import warnings
import weakref

import torch
import transformers

from pipeline.models import tokenization
from pipeline.models.batches import explain_model_errors

# Batching changes logits by some 1e-5. Where the best two tokens are closer than this, the model reads the text alone,
# so that the choice does not depend on the batch.
CLOSE_CHOICE = 1e-3

# Largest effect of rounding on logits when rows are batched, as a share of the largest logit.
ROUNDING = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
N_TRIED = 3  # tokens that are written to test whether rows can be batched
N_PADDING = 16  # least tokens of padding that test whether a model ignores padding

# Results of these tests, once for each model: they take time, and are logged for the user.
_ignores_padding: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_ignores_batch: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def make_text_seed(seed, prompt, sample):
    """Return the seed of one text, an int of 64 bits; sample is its number among the texts of its prompt, from 0."""
    digest = hashlib.sha256(f"{seed} {sample} {prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def continue_prompts(
    model, tokenizer, prompts, seeds, max_new_tokens, temperature=1.0, progress=None, log=warnings.warn
):
    """Continue prompts with tokens that are drawn from a model's probabilities (ancestral sampling).

    Each token has the highest logit / temperature + Gumbel noise, which draws it with the model's probability. In
    float32, a text does not depend on its batch. Where a model's logits depend on the padding before a text, or on the
    texts in the batch (RWKV, RecurrentGemma), texts are written one length, or one text, at a time. InputError is
    raised if a text may become longer than the model's context, a token has no row in the model, the model cannot
    write, or its logits are not finite.

    Parameters
    ----------
    model : transformers.PreTrainedModel, a causal language model in evaluation mode
    tokenizer : transformers.PreTrainedTokenizerFast
        The model reads its BOS, or its EOS where it has no BOS, before a prompt. Its EOS ends a text.
    prompts : list of n_texts str
    seeds : list of n_texts int, as ``make_text_seed`` returns them
    max_new_tokens : int
    temperature : float above 0; 1 draws from the model's own probabilities
    progress : callable of the number of texts in the batch, optional; called after each token
    log : callable of a line for the user, once for each model, where texts cannot be batched

    Returns
    -------
    list of n_texts str, each prompt with its continuation
    """
    starts = tokenization.encode_after_bos(prompts, model, tokenizer)
    longest = max(map(len, starts))
    tokenization.check_context_length(
        longest + max_new_tokens,
        tokenization.find_context_length(model),
        source=f"a prompt of {longest} tokens and --max_new_tokens {max_new_tokens}",
        remedy="Use fewer new tokens or shorter prompts (--prompts).",
    )
    # The checkpoint's own generation settings, such as a penalty on repetition, are replaced.
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=starts[0][0]
    )
    texts = [""] * len(prompts)
    for indices in _group_into_batches(model, starts, log):
        batch = [starts[index] for index in indices]
        add_noise = _make_noise(model, batch, [seeds[index] for index in indices], temperature, progress)
        for index, end in zip(indices, _write(model, batch, max_new_tokens, add_noise), strict=True):
            texts[index] = prompts[index] + _decode_end(tokenizer, starts[index][1:], end)
    return texts


@torch.inference_mode()
def _write(model, starts, n_new, processor):
    """Return the tokens that a model writes after each start, a list of lists; a processor changes its logits."""
    longest = max(map(len, starts))
    ids = [[start[0]] * (longest - len(start)) + start for start in starts]  # padding is before a text
    is_token = [[0] * (longest - len(start)) + [1] * len(start) for start in starts]
    with explain_model_errors(model, "write texts"):
        written = model.generate(
            input_ids=torch.tensor(ids, device=model.device),  # (n_texts, longest)
            attention_mask=torch.tensor(is_token, device=model.device),
            max_new_tokens=n_new,
            logits_processor=[processor],
        )
    return written[:, longest:].tolist()


def _group_into_batches(model, starts, log):
    """Return lists of indices of texts that a model can write in one batch.

    A batch is possible where a text's logits are the same as when the model reads the text alone.
    """
    indices = list(range(len(starts)))
    if len(starts) == 1:
        return [indices]
    name, shortest, longest = type(model).__name__, min(starts, key=len), max(starts, key=len)
    if model not in _ignores_batch:
        n_usual = len(shortest) - 1
        usual = shortest[:1] + tokenization.encode_usual_text(model, max(n_usual, 1))[:n_usual]
        _ignores_batch[model] = _are_logits_same(model, shortest, usual)
        if not _ignores_batch[model]:
            log(f"{name}: what it writes depends on the other texts in a batch: one text at a time")
    if not _ignores_batch[model]:
        return [[index] for index in indices]
    if len(shortest) == len(longest):
        return [indices]
    if model not in _ignores_padding:
        # Long padding shows an effect that one token may hide.
        much_longer = shortest + tokenization.encode_usual_text(model, N_PADDING)
        _ignores_padding[model] = _are_logits_same(model, shortest, max(longest, much_longer, key=len))
        if not _ignores_padding[model]:
            log(f"{name}: what it writes depends on the padding before a prompt: one length at a time")
    if _ignores_padding[model]:
        return [indices]
    lengths = sorted(set(map(len, starts)))
    return [[index for index in indices if len(starts[index]) == length] for length in lengths]


def _are_logits_same(model, start, companion):
    """Return whether a model's logits after a start are the same when the batch has a second start."""
    forced = tokenization.encode_usual_text(model, N_TRIED)
    alone, batched = (_compute_logits(model, starts, forced) for starts in ([start], [start, companion]))
    limit = ROUNDING.get(model.dtype, ROUNDING[torch.float32]) * alone.abs().max()
    return bool((alone - batched).abs().max() <= limit)


def _compute_logits(model, starts, forced):
    """Return the logits of the first start before each forced token, a tensor of shape (n_forced, n_vocabulary)."""
    steps = []

    def force(ids, logits):
        steps.append(logits[0].float().cpu())
        logits = torch.full_like(logits, -1e4)
        logits[:, forced[len(steps) - 1]] = 0
        return logits

    _write(model, starts, len(forced), force)
    return torch.stack(steps)


def _make_noise(model, starts, seeds, temperature, progress):
    """Return a logits processor for ``generate``: with Gumbel noise, the most probable token is a random draw."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    longest = max(map(len, starts))

    def add_noise(ids, logits):  # (n_texts, n_tokens), (n_texts, n_vocabulary)
        tokenization.check_finite(logits, f"logits of {type(model).__name__}")
        noise = torch.stack([-torch.empty(logits.shape[1]).exponential_(generator=g).log() for g in generators])
        noisy = logits.float().cpu() / temperature + noise
        best, second = noisy.topk(2).values.T
        for row in torch.nonzero(best - second < CLOSE_CHOICE / temperature).flatten().tolist():
            n_padding = longest - len(starts[row])
            alone = model(input_ids=ids[row : row + 1, n_padding:], use_cache=False).logits[0, -1]
            noisy[row] = alone.float().cpu() / temperature + noise[row]
        if progress is not None:
            progress(len(seeds))
        return noisy.to(logits.device)

    return add_noise


def _decode_end(tokenizer, start, end):
    """Return the text of the end. Some tokenizers need the tokens of the start to decode it."""
    before = tokenizer.decode(start, skip_special_tokens=True)
    return tokenizer.decode(start + end, skip_special_tokens=True)[len(before) :]
