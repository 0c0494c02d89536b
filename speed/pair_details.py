"""Print where the time of minimal pairs goes, step by step, and whether the batch size decides pairs."""

import time
from collections import Counter
from functools import partial

import numpy as np
import torch

from pipeline.models import output_layer, prefix_trees
from pipeline.models.near_ties import score_in_fixed_shape
from pipeline.models.sentence_batches import stage_batch, sum_log_probabilities, upload_batch
from pipeline.models.sentence_scores import sort_by_beginning
from pipeline.models.tokenization import encode_after_bos, find_context_length
from pipeline.tasks.minimal_pairs import score_pairs
from speed import side_by_side

N_STATES = 4096  # of the output layer on its own
ROW_WIDTHS = (64, 192, 512)  # of trees, in slots
N_FIXED = 300  # sentences that are read in the fixed shape in two orders


class Stopwatch:
    """Add up the seconds of named steps, each until the device has finished it."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    def call(self, step, function, *arguments):
        """Return what a function returns, and count its time."""
        side_by_side.wait_for_device()
        started = time.perf_counter()
        value = function(*arguments)
        side_by_side.wait_for_device()
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started
        return value


@torch.inference_mode()
def print_steps(sentences, model, tokenizer, batch_size):
    """Print the seconds of each step of reading sentences as trees, one step after the other, without a thread."""
    watch, device = Stopwatch(), model.device
    started = time.process_time()
    token_ids = watch.call("tokenization", encode_after_bos, sentences, model, tokenizer)
    processor_seconds = time.process_time() - started  # of all threads
    order = watch.call("sorting", sort_by_beginning, token_ids)
    context = watch.call("context length", find_context_length, model)
    n_states = n_slots = n_terms = 0
    for first in range(0, len(order), batch_size):
        ids = [token_ids[index] for index in order[first : first + batch_size]]
        arrays = watch.call("packing", prefix_trees.prepare_trees, ids, context)
        staged = watch.call("staging (pinned memory)", stage_batch, arrays, device)
        batch = watch.call("upload", upload_batch, staged, device)
        states = watch.call("forward pass", prefix_trees.read_trees, batch, model)
        layer = model.get_output_embeddings()
        sums = watch.call("output layer", sum_log_probabilities, states, batch, layer)
        watch.call("download", sums.cpu)
        n_slots, n_states, n_terms = (
            count + len(arrays[name].ravel())
            for count, name in ((n_slots, "ids"), (n_states, "addresses"), (n_terms, "states"))
        )
        del states, batch, sums
    rows = [(step, f"{seconds:.3f}") for step, seconds in watch.seconds.items()]
    rows.append(("sum", f"{sum(watch.seconds.values()):.3f}"))
    title = f"steps of {len(sentences)} distinct sentences, batches of {batch_size}: {n_slots} slots, {n_states} states"
    side_by_side.print_table(f"{title}, {n_terms} terms", ("step", "seconds"), rows)
    print(f"tokenization: {processor_seconds:.3f} s of all threads together", flush=True)


def print_passes(pairs, model, tokenizer, batch_size):
    """Print number and seconds of the forward passes of each shape, of one scoring of pairs from start to end.

    The first passes check the model and estimate the rounding. The last passes read near-ties in the fixed shape. Each
    pass waits for the device, so that the whole takes longer than usual.
    """
    watch, begun = Stopwatch(), []
    counts: Counter[str] = Counter()

    def begin(module, arguments, options):
        side_by_side.wait_for_device()
        begun.append(time.perf_counter())

    def end(module, arguments, options, output):
        side_by_side.wait_for_device()
        n_rows, n_columns = (arguments[0] if arguments else options["input_ids"]).shape
        shape = f"{n_rows} x {n_columns}"
        counts[shape] += 1
        watch.seconds[shape] = watch.seconds.get(shape, 0.0) + time.perf_counter() - begun.pop()

    handles = [
        model.base_model.register_forward_pre_hook(begin, with_kwargs=True),
        model.base_model.register_forward_hook(end, with_kwargs=True),
    ]
    score = partial(score_pairs, pairs, model, tokenizer, batch_size, leading_space=True)
    scoring = Stopwatch()
    scoring.call("all", score)
    for handle in handles:
        handle.remove()
    rows = [(shape, str(counts[shape]), f"{seconds:.3f}") for shape, seconds in watch.seconds.items()]
    rows.append(("sum", str(sum(counts.values())), f"{sum(watch.seconds.values()):.3f}"))
    title = f"forward passes by rows x columns, in order, of {scoring.seconds['all']:.3f} s in all"
    side_by_side.print_table(title, ("shape", "passes", "seconds"), rows)


@torch.inference_mode()
def print_row_widths(sentences, model, tokenizer):
    """Print the seconds of one forward pass of sentences as trees, in rows of several widths."""
    token_ids, context = encode_after_bos(sentences, model, tokenizer), find_context_length(model)
    usual = prefix_trees.ROW_TOKENS
    for width in ROW_WIDTHS:
        prefix_trees.ROW_TOKENS = width
        arrays = prefix_trees.prepare_trees(token_ids, context)
        batch = upload_batch(stage_batch(arrays, model.device), model.device)
        prefix_trees.read_trees(batch, model)  # warm
        watch = Stopwatch()
        watch.call("read", prefix_trees.read_trees, batch, model)
        n_rows, n_slots = arrays["ids"].shape
        print(f"rows of at most {width}: {n_rows} x {n_slots} slots, {watch.seconds['read']:.4f} s", flush=True)
    prefix_trees.ROW_TOKENS = usual


def print_decisions(pairs, model, tokenizer, batch_sizes, scored):
    """Print how scores with other batch sizes differ from those that are given, and how many decisions do."""
    columns = ["logprob_good", "logprob_bad"]
    expected = scored[columns].to_numpy()
    for batch_size in batch_sizes:
        measures: dict[str, float] = {}
        side_by_side.wait_for_device()
        started = time.perf_counter()
        scores = score_pairs(pairs, model, tokenizer, batch_size, leading_space=True, measure=measures.update)
        seconds, scores = time.perf_counter() - started, scores[columns].to_numpy()
        n_different = np.sum((scores[:, 0] > scores[:, 1]) != (expected[:, 0] > expected[:, 1]))
        difference, largest = scores - expected, np.abs(scores - expected).max()
        print(
            f"--batch_size {batch_size or 'auto'}: {seconds:.2f} s, {measures}; against the first: sums differ by "
            f"{largest:.1e} nats at most, {np.sqrt(np.mean(difference**2)):.1e} root mean square; differences of pairs "
            f"by {np.abs(np.diff(difference, axis=1)).max():.1e}; {n_different} of {len(pairs)} decisions",
            flush=True,
        )


@torch.inference_mode()
def print_fixed_shape(sentences, model, tokenizer):
    """Print how many sums of the fixed shape are the same, to the bit, in another order and with other neighbours."""
    rng = np.random.default_rng(0)
    sentences = [sentences[index] for index in rng.choice(len(sentences), min(N_FIXED, len(sentences)), replace=False)]
    token_ids = encode_after_bos(sentences, model, tokenizer)
    score = partial(
        score_in_fixed_shape, token_ids=token_ids, model=model, log=print, is_linear=True,
        context=find_context_length(model),
    )  # fmt: skip
    first, second = np.full((2, len(sentences)), np.nan)
    some = rng.permutation(len(sentences))[: len(sentences) // 3 + 1]
    score(range(len(sentences)), scores=first)
    score(some, scores=second)
    differences = np.abs(first - second)[some]
    print(
        f"fixed shape: {np.sum(differences == 0)} of {len(some)} sums are equal to the bit with other neighbours; "
        f"largest difference {differences.max():.1e} nats",
        flush=True,
    )


@torch.inference_mode()
def print_output_layer(model):
    """Print time and largest difference of log-probabilities by products in half precision, and all in float32."""
    layer, generator = model.get_output_embeddings(), torch.Generator().manual_seed(0)
    states = torch.randn(N_STATES, layer.weight.shape[1], generator=generator).to(model.device, model.dtype)
    rows = torch.arange(N_STATES, device=model.device)
    watch, can_add, values = Stopwatch(), output_layer.can_add_in_float32, []
    for step in ("as it is", "in float32"):
        compute = partial(output_layer.compute_log_probabilities_from_states, states, rows, rows, layer)
        compute()  # warm
        values.append(watch.call(step, compute))
        output_layer.can_add_in_float32 = never_in_half_precision
    output_layer.can_add_in_float32 = can_add
    seconds = ", ".join(f"{step} {duration:.4f} s" for step, duration in watch.seconds.items())
    difference = (values[0] - values[1]).abs().max().item()
    print(f"output layer of {N_STATES} states: {seconds}; largest difference {difference:.1e} nats", flush=True)


def never_in_half_precision(states, weight):
    """Return False, in place of ``can_add_in_float32``."""
    return False
