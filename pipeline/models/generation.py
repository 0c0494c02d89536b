"""Generate texts by ancestral sampling: each token is drawn from the model's own probabilities.

Every text has its own random generator. So a text does not depend on the number of texts, or on the batch that the
model reads.
"""

import contextlib
import hashlib
import os
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import torch
import transformers

from pipeline.errors import is_out_of_memory
from pipeline.models import decoding, tokenization
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
        with draw_noise([seeds[index] for index in indices], model.device) as draw:
            add_noise = _make_noise(model, batch, draw, temperature, progress)
            ends = _write(model, batch, max_new_tokens, add_noise, is_static=is_static, log=log)
        for index, end in zip(indices, ends, strict=True):
            texts[index] = prompts[index] + _decode_end(tokenizer, starts[index][1:], end)
    return texts


@torch.inference_mode()
def _write(model, starts, n_new, processor, *, is_static=False, log=warnings.warn):
    """Return the tokens that a model writes after each start, a list of lists; a processor changes its logits."""
    longest = max(map(len, starts))
    ids = [[start[0]] * (longest - len(start)) + start for start in starts]  # padding is before a text
    is_token = [[0] * (longest - len(start)) + [1] * len(start) for start in starts]
    options = {
        "input_ids": torch.tensor(ids, device=model.device),  # (n_texts, longest)
        "attention_mask": torch.tensor(is_token, device=model.device),
    }
    with explain_model_errors(model, "write texts"):
        if is_static:
            written = decoding.write_statically(model, *options.values(), n_new=n_new, processor=processor, log=log)
        else:
            written = model.generate(**options, max_new_tokens=n_new, logits_processor=[processor])
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

    def force(ids, logits):
        steps.append(logits[0].float().cpu())
        logits = torch.full_like(logits, -1e4)
        logits[:, forced[len(steps) - 1]] = 0
        return logits

    _write(model, starts, len(forced), force, is_static=is_static)
    return torch.stack(steps)


@contextlib.contextmanager
def draw_noise(seeds, device):
    """Yield a function that draws exponential noise for the next token of each text. A context manager.

    The function takes n_vocabulary, and returns a tensor (n_texts, n_vocabulary) on the device. The noise is drawn on
    the CPU, with a generator for each text. So it is the same on every device, in every batch. For a GPU, threads
    draw the noise of the next token while the GPU computes. Before each call, the caller must wait for the GPU.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    @torch.inference_mode()  # of its thread, since the buffers are made in this mode
    def draw_row(row, generator):
        row.exponential_(generator=generator)

    if not draws_ahead(device):

        def draw(n_vocabulary):
            noise = torch.empty(len(seeds), n_vocabulary)
            list(map(draw_row, noise, generators))
            return noise

        yield draw
        return

    n_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    buffers: list[torch.Tensor] = []
    tasks: list[list] = []
    with ThreadPoolExecutor(n_threads) as threads:

        def begin():
            tasks.append([threads.submit(draw_row, *pair) for pair in zip(buffers[0], generators, strict=True)])

        def draw_ahead(n_vocabulary):
            if not buffers:
                shape, is_pinned = (len(seeds), n_vocabulary), device.type == "cuda"
                buffers.extend(torch.empty(shape, pin_memory=is_pinned) for _ in range(2))
                begin()
            for task in tasks.pop():
                task.result()
            buffers.reverse()
            begin()
            return buffers[1].to(device, non_blocking=True, copy=True)

        yield draw_ahead


def draws_ahead(device):
    """Return whether the CPU is free to draw noise while a device computes."""
    return device.type != "cpu"


def _make_noise(model, starts, draw, temperature, progress):
    """Return a logits processor for ``generate``: with Gumbel noise, the most probable token is a random draw."""
    longest = max(map(len, starts))

    def add_noise(ids, logits):  # (n_texts, n_tokens), (n_texts, n_vocabulary)
        noise = -draw(logits.shape[1]).log()
        noisy = logits.float() / temperature + noise
        best, second = noisy.topk(2).values.T
        is_close = best - second < CLOSE_CHOICE / temperature
        # The only wait for the GPU.
        *close, is_finite = torch.cat([is_close, torch.isfinite(logits).all()[None]]).tolist()
        if not is_finite:
            tokenization.check_finite(logits, f"logits of {type(model).__name__}")
        for row in [row for row, is_row_close in enumerate(close) if is_row_close]:
            n_padding = longest - len(starts[row])
            alone = model(input_ids=ids[row : row + 1, n_padding:], use_cache=False).logits[0, -1]
            noisy[row] = alone.float() / temperature + noise[row]
        if progress is not None:
            progress(len(starts))
        return noisy

    return add_noise


def _decode_end(tokenizer, start, end):
    """Return the text of the end. Some tokenizers need the tokens of the start to decode it."""
    before = tokenizer.decode(start, skip_special_tokens=True)
    return tokenizer.decode(start + end, skip_special_tokens=True)[len(before) :]
