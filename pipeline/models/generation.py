"""Generate texts by ancestral sampling: each token is drawn from the model's own probabilities.

Every text has its own random keys (``noise``). So a text does not depend on the number of texts, on the batch that the
model reads, or on the device that draws.
"""

import hashlib
import warnings
import weakref

import torch
import transformers

from pipeline.errors import is_out_of_memory
from pipeline.models import decoding, tokenization
from pipeline.models.batches import explain_model_errors
from pipeline.models.noise import draw_keys, make_noise

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
_writes_statically: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


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
        is_static = _can_write_statically(model, batch, max_new_tokens, log)
        keys = draw_keys([seeds[index] for index in indices], max_new_tokens, model.device)
        sampler = make_sampler(model, batch, keys, temperature, progress)
        ends = _write(model, batch, max_new_tokens, *sampler, is_static=is_static, log=log)
        for index, end in zip(indices, ends, strict=True):
            texts[index] = prompts[index] + _decode_end(tokenizer, starts[index][1:], end)
    return texts


@torch.inference_mode()
def _write(model, starts, n_new, score, choose, *, is_static=False, log=warnings.warn):
    """Return the tokens that a model writes after each start, a list of lists.

    score and choose are functions as ``decoding.write_statically`` calls them.
    """
    longest = max(map(len, starts))
    ids = [[start[0]] * (longest - len(start)) + start for start in starts]  # padding is before a text
    is_token = [[0] * (longest - len(start)) + [1] * len(start) for start in starts]
    options = {
        "input_ids": torch.tensor(ids, device=model.device),  # (n_texts, longest)
        "attention_mask": torch.tensor(is_token, device=model.device),
    }

    def process(ids, logits):
        step = torch.tensor([ids.shape[1] - longest], device=model.device)
        tokens = choose(ids, *score(logits, step))
        return logits.scatter(1, tokens[:, None], torch.inf)  # generate writes the most probable token

    with explain_model_errors(model, "write texts"):
        if is_static:
            how = {"n_new": n_new, "score": score, "choose": choose, "log": log}
            written = decoding.write_statically(model, *options.values(), **how)
        else:
            written = model.generate(**options, max_new_tokens=n_new, logits_processor=[process])
    return written[:, longest:].tolist()


def _can_write_statically(model, starts, n_new, log):
    """Return whether a model on a GPU writes with a cache of fixed size, with the same logits as without."""
    if not has_graphs(model.device) or n_new <= decoding.N_UNGRAPHED or not decoding.can_write_statically(model):
        return False
    known, is_padded = _writes_statically.setdefault(model, {}), len(set(map(len, starts))) > 1
    if is_padded not in known:
        shortest = min(starts, key=len)
        longer = shortest + tokenization.encode_usual_text(model, N_PADDING)
        batch = [shortest, longer] if is_padded else [shortest]
        forced = tokenization.encode_usual_text(model, N_TRIED)
        try:
            plain, static = (_compute_logits(model, batch, forced, is_static=way) for way in (False, True))
            known[is_padded] = _is_same_within_rounding(model, plain, static)
        except Exception as error:  # an architecture that does not support this cache can raise any exception
            if is_out_of_memory(error) or isinstance(error, torch.AcceleratorError):
                raise
            known[is_padded] = False
        if not known[is_padded]:
            log(f"{type(model).__name__}: it does not write the same with a cache of fixed size: texts take longer")
    return known[is_padded]


def has_graphs(device):
    """Return whether a device repeats recorded steps."""
    return device.type == "cuda"


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
    return _is_same_within_rounding(model, *(_compute_logits(model, s, forced) for s in ([start], [start, companion])))


def _is_same_within_rounding(model, expected, logits):
    limit = ROUNDING.get(model.dtype, ROUNDING[torch.float32]) * expected.abs().max()
    return bool((expected - logits).abs().max() <= limit)


def _compute_logits(model, starts, forced, *, is_static=False):
    """Return the logits of the first start before each forced token, a tensor of shape (n_forced, n_vocabulary)."""
    steps = []

    def choose(ids, logits):
        steps.append(logits[0].float().cpu())
        return torch.full((len(starts),), forced[len(steps) - 1], device=logits.device)

    _write(model, starts, len(forced), lambda logits, step: (logits,), choose, is_static=is_static)
    return torch.stack(steps)


def make_sampler(model, starts, keys, temperature, progress):
    """Return two functions: the first scores the next tokens on the device, the second chooses from its results.

    The second waits for the device, and reads texts alone where the batch might decide.
    """
    longest = max(map(len, starts))
    # In half precision, batching changes logits by far more than a close choice.
    limit = CLOSE_CHOICE / temperature if model.dtype == torch.float32 else 0.0

    def score(logits, step):  # (n_texts, n_vocabulary), number of tokens before (1,)
        noisy = make_noise(keys.index_select(1, step)[:, 0], logits.shape[1]).add_(logits.float() / temperature)
        best, tokens = noisy.max(dim=1)
        second = noisy.scatter_(1, tokens[:, None], -torch.inf).amax(dim=1)
        is_finite = torch.isfinite(torch.stack(logits.aminmax()).float()).all()
        return logits, tokens, torch.cat([best - second < limit, is_finite[None]])

    def choose(ids, logits, tokens, flags):
        *close, is_finite = flags.tolist()  # the only wait for the GPU
        if not is_finite:
            tokenization.check_finite(logits, f"logits of {type(model).__name__}")
        for row in [row for row, is_row_close in enumerate(close) if is_row_close]:
            n_padding = longest - len(starts[row])
            alone = model(input_ids=ids[row : row + 1, n_padding:], use_cache=False).logits[:, -1]
            noise = make_noise(keys[row : row + 1, ids.shape[1] - longest], alone.shape[1])
            tokens[row] = (noise + alone.float() / temperature).argmax()
        if progress is not None:
            progress(len(starts))
        return tokens

    return score, choose


def _decode_end(tokenizer, start, end):
    """Return the text of the end. Some tokenizers need the tokens of the start to decode it."""
    before = tokenizer.decode(start, skip_special_tokens=True)
    return tokenizer.decode(start + end, skip_special_tokens=True)[len(before) :]
