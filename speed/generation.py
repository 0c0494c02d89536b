"""Time generated texts against the memory bandwidth of the device.

    python -m speed.generation
    python -m speed.generation --model_shape olmo2-7b --dtype bfloat16 --device cuda

Each new token of a batch needs all weights of the model once. So no program writes faster than the device reads them:
one step for each time in which it copies half of their bytes, since a copy reads and writes. Wanted on a GPU: the
texts of one batch (--batch_size) take at most 1 / 0.3 of this time, everything included. Then follow the steps of
Transformers' ``generate``, and of the cache of fixed size without and with a graph; both with the draw of tokens, and
the graph also without it and without fused norms; and the draw alone.

The model has random weights, so that texts hardly ever end before --max_new_tokens. Takes two minutes on a CPU, and
half a minute on a GPU, where --threads is all cores by default.
"""

import argparse
import time

import torch

from pipeline.models import decoding, fused_norms, generation, noise
from pipeline.models.devices import pick_device
from speed import side_by_side
from speed.extraction import read_story
from study.command_line import run_script
from study.outputs.texts import PROMPTS

WANTED_SHARE = 0.3  # of the bandwidth


def main():
    """Time the generation of texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    side_by_side.add_arguments(parser, shapes=["pythia-14m"], n_times=2)
    parser.add_argument("--batch_size", type=int, default=50, help="texts at once (default: %(default)s)")
    parser.add_argument("--max_new_tokens", type=int, default=200, help="tokens a text (default: %(default)s)")
    parser.set_defaults(threads=None)
    args = parser.parse_args()
    device = pick_device(args.device)
    torch.set_num_threads(args.threads or (1 if device.type == "cpu" else side_by_side.count_cores()))
    tokenizer = side_by_side.train_byte_level_tokenizer([*read_story(args.data)[0], *PROMPTS])
    print(side_by_side.describe_machine(device))
    bandwidth = measure_bandwidth(device)
    for shape in args.model_shape:
        model = side_by_side.make_random_model(shape, device, args.dtype)
        title = f"{shape}, {args.dtype}, {args.batch_size} texts of {args.max_new_tokens} tokens"
        compare(title, model, tokenizer, bandwidth, args)


def measure_bandwidth(device):
    """Return the bytes that a device reads and writes in a second while it copies a large tensor."""
    source = torch.zeros(2**30 if device.type == "cuda" else 2**27, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds, _ = side_by_side.call_in_turn({"copy": lambda: target.copy_(source)}, 10, warm_up=True)
    return 2 * len(source) / min(seconds["copy"])


def compare(title, model, tokenizer, bandwidth, args):
    """Time texts and their steps, and print both as shares of the bandwidth."""
    # The embedding is not read: a step needs one row for each text.
    embedding = model.get_input_embeddings().weight
    is_tied = embedding is model.get_output_embeddings().weight
    n_bytes = sum(weight.nbytes for weight in model.parameters()) - (0 if is_tied else embedding.nbytes)
    prompts = [PROMPTS[text % len(PROMPTS)] for text in range(args.batch_size)]
    seeds = [generation.make_text_seed(1, prompt, text) for text, prompt in enumerate(prompts)]
    rows = []

    def add_row(name, seconds, n_steps, is_limited=False):
        share = n_bytes * n_steps / seconds / bandwidth
        limit = f"wanted at least {WANTED_SHARE}: {'met' if share >= WANTED_SHARE else 'missed'}" if is_limited else ""
        tokens = f"{args.batch_size * n_steps / seconds:.0f}"
        rows.append((name, f"{seconds:.2f}", f"{1000 * seconds / n_steps:.2f}", tokens, f"{share:.2f}", limit))

    def write(n_new=args.max_new_tokens):
        return generation.continue_prompts(model, tokenizer, prompts, seeds, n_new, log=print)

    write(2 * decoding.N_UNGRAPHED)  # warm, with the tests of the model
    seconds, _ = side_by_side.call_in_turn({"texts": write}, args.n_times)
    add_row("texts", min(seconds["texts"]), args.max_new_tokens, is_limited=model.device.type == "cuda")
    for name, step_seconds, n_steps in time_steps(model, tokenizer, prompts, args.max_new_tokens):
        add_row(name, step_seconds, n_steps)
    columns = ("", "s", "ms a step", "tokens/s", "share of bandwidth", "limit")
    heading = f"{title}: weights {n_bytes / 1e9:.2f} GB a step, bandwidth {bandwidth / 1e12:.3f} TB/s"
    side_by_side.print_table(heading, columns, rows)


def time_steps(model, tokenizer, prompts, n_new):
    """Yield the name, the seconds and the number of steps of some ways to write, and of the draw of tokens."""
    starts = [[0, *ids] for ids in tokenizer(prompts)["input_ids"]]
    longest = max(map(len, starts))
    ids = torch.tensor([[0] * (longest - len(start)) + start for start in starts], device=model.device)
    is_token = torch.tensor([[0] * (longest - len(start)) + [1] * len(start) for start in starts], device=model.device)
    n_few = min(n_new, 10)
    keys = noise.draw_keys(list(range(len(prompts))), n_new, model.device)
    score, choose = generation.make_sampler(model, starts, keys, 1.0, None)

    with torch.inference_mode():
        for n_steps in (2, n_few):
            started = wait()
            model.generate(input_ids=ids, attention_mask=is_token, max_new_tokens=n_steps)
            seconds = wait() - started
        yield "Transformers' generate", seconds, n_few

        def make_reader(scoring=score):
            reader = decoding.StaticReader(model, is_token, longest + n_new, scoring)
            reader.start(ids)
            reader.advance(ids[:, -1:])
            return reader

        def time_reader(reader, n_steps):
            started = wait()
            for _ in range(n_steps):
                scores = reader.advance(ids[:, -1:])
                if reader.score is score:
                    choose(ids, *scores)
            return wait() - started, n_steps

        with fused_norms.fuse_norms(model):
            reader = make_reader()
            yield "cache of fixed size", *time_reader(reader, n_few)
            if model.device.type == "cuda":
                started = wait()
                reader.record_graph(print)
                yield "recording of a graph", wait() - started, 1
                yield "cache of fixed size, a graph", *time_reader(reader, n_new - n_few - 2)
                reader = make_reader(scoring=lambda logits, step: (logits,))
                reader.record_graph(print)
                yield "the same without the draw", *time_reader(reader, n_new // 2)
                del reader
                yield "GPU time by kernel (printed above)", print_kernels(make_reader()), 1
        if model.device.type == "cuda":
            reader = make_reader()
            reader.record_graph(print)
            yield "a graph without fused norms", *time_reader(reader, n_new // 2)
        logits = torch.zeros(len(prompts), model.config.vocab_size, dtype=model.dtype, device=model.device)
        step = torch.zeros(1, dtype=torch.int64, device=model.device)
        score(logits, step)
        started = wait()
        for _ in range(n_few):
            score(logits, step)
        yield "draw of tokens", wait() - started, n_few


def wait():
    """Return the time when the device is done."""
    side_by_side.wait_for_device()
    return time.perf_counter()


def print_kernels(reader):
    """Print where the GPU time of one step goes, and return its seconds."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        reader.advance(reader.token.clone())
        side_by_side.wait_for_device()
    averages = profile.key_averages()
    print(averages.table(sort_by="self_device_time_total", row_limit=20, max_name_column_width=60))
    return sum(event.self_device_time_total for event in averages) / 1e6


if __name__ == "__main__":
    run_script(main)
