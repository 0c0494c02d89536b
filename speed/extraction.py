"""Time the word vectors of a story against the bare forward passes of the model.

    python -m speed.extraction
    python -m speed.extraction --model_shape olmo2-7b --dtype bfloat16 --device cuda

No program can read hidden states faster than the model computes them. So ``compute_word_vectors``,
which tokenizes, reads the windows, and averages the states of every layer over the tokens of each word,
is timed against the model's bare forward pass over the same windows (the same token ids, no output
layer, no cache, no hidden states kept), and against that with hidden states kept as Transformers keeps
them. Wanted: at most 1.15 x the time of the bare forward pass (1.2 x on a GPU), both where a run of the
story fits in the model's context and where it is read in windows of 512 tokens that advance by 64. A GPU
reads several windows as one batch. Word vectors with surprisal are timed too, without a limit.
``speed.extraction_stage`` times the whole stage with its writing.

Memory is measured in fresh processes: the first reads all runs of the story, the second does only
the bare forward passes of the first two runs. Wanted: no more than the model, the hidden states of one window, and
1.2 x the word vectors. On a GPU, word vectors need not be there at all, and the same limit holds for
its memory.

The model has random weights. The story is The Little Prince where it is in the folder of published data
(--data), or a story in the small language of the demonstration. One thread (--threads): several threads
wait for each other as soon as another program runs. Takes about five minutes.
"""

import argparse
import random
import re
import zipfile
from unittest import mock

import numpy as np
import torch

from demo import language, make_study
from pipeline.models.devices import pick_device
from pipeline.words import vectors
from pipeline.words.alignment import align
from pipeline.words.runs import STEP_TOKENS, prepare_run, split_windows
from pipeline.words.vectors import compute_word_vectors, read_run
from speed import side_by_side
from study.command_line import run_script
from study.inputs.le_petit_prince import TEXT_PASSWORD
from study.threads import read_ahead

WORD = r"[^\W_]+(?:[’'][^\W_]+)*"
SHORT_CONTEXT = 512
WANTED_TIME, WANTED_OUTPUT = {"cpu": 1.15, "gpu": 1.2}, 1.2


def main():
    """Time the extraction of word vectors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    side_by_side.add_arguments(parser, shapes=["pythia-160m"], n_times=3)
    parser.add_argument("--n_runs", type=int, default=1, help="whole runs that are timed (default: %(default)s)")
    parser.add_argument("--skip_memory", action="store_true", help="do not measure memory")
    parser.add_argument(
        # For a fresh process that this program starts.
        "--measure_memory",
        choices=["words", "forward"],
        help=argparse.SUPPRESS,
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    texts, story = read_story(args.data)
    tokenizer = side_by_side.train_byte_level_tokenizer(texts)
    if args.measure_memory:
        print(*measure_memory(args.measure_memory, args.model_shape[0], device, args.dtype, texts, tokenizer))
        return

    print(side_by_side.describe_machine(device))
    for shape in args.model_shape:
        model = side_by_side.make_random_model(shape, device, args.dtype)
        first = [place_words(text) for text in texts[: args.n_runs]]
        n_words = sum(map(len, first))
        title = f"{shape}, {args.dtype}: {args.n_runs} run(s) of {story}, {n_words} words, whole in the context"
        compare_times(title, model, tokenizer, texts[: args.n_runs], None, args.n_times)
        part = texts[0][: first[0][len(first[0]) // 3, 0]]
        title = (
            f"{shape}, {args.dtype}: a third of a run of {story}, {len(place_words(part))} words, "
            f"windows of {SHORT_CONTEXT} tokens that advance by {STEP_TOKENS}"
        )
        compare_times(title, model, tokenizer, [part], SHORT_CONTEXT, args.n_times)
        del model
        if not args.skip_memory:
            compare_memory(shape, args, device, story, texts)


def read_story(folder):
    """Return the text of each run, and the name of the story: The Little Prince, or a story in the small language."""
    for path in (folder / "lpp" / "lpp_en_text.zip", folder / "lpp_en_text.zip"):
        if path.is_file():
            with zipfile.ZipFile(path) as archive:
                names = sorted(name for name in archive.namelist() if name.endswith(".txt"))
                texts = [archive.read(name, pwd=TEXT_PASSWORD).decode("utf-8-sig") for name in names]
            return texts, "The Little Prince"
    rng = random.Random(1)
    runs = [make_study.tell(1700, rng) for _ in range(9)]
    texts = [" ".join(language.spell([word for word, _, _ in words]) for words in run) for run in runs]
    return texts, "a story in the small language (The Little Prince is not here)"


def place_words(text):
    """Return the characters of every word, int array of shape (n_words, 2), as the extraction places them."""
    return align(re.findall(WORD, text), text, "en")


def make_windows(text, tokenizer, max_tokens, device):
    """Return the token ids of every window of a run, a list of int tensors of shape (1, n_tokens)."""
    ids = torch.tensor(tokenizer(text, verbose=False)["input_ids"], device=device)[None]
    return [ids[:, start:end] for start, _, end in split_windows(ids.shape[1], max_tokens)]


@torch.inference_mode()
def run_forward_passes(model, windows, **options):
    """Run the model on windows, without its output layer, and drop the hidden states."""
    for ids in windows:
        model.base_model(input_ids=ids, use_cache=False, **options)


def compare_times(title, model, tokenizer, texts, max_length, n_times):
    """Time word vectors of some texts and the bare forward passes of the same windows, and print the table."""
    spans = [place_words(text) for text in texts]
    context = max_length or model.config.max_position_embeddings
    windows = [ids for text in texts for ids in make_windows(text, tokenizer, context, model.device)]
    n_tokens = sum(ids.shape[1] for ids in windows)

    def extract(has_surprisal=False):
        """Compute the states of all texts, and keep none: new pinned memory takes longer than kept memory."""
        options = {"max_length": max_length, "has_surprisal": has_surprisal}
        runs = (prepare_run(model, tokenizer, *run, **options) for run in zip(texts, spans, strict=True))
        for run in read_ahead(runs):  # as the stage does
            read_run(model, run)

    seconds, _ = side_by_side.call_in_turn(
        {
            "word vectors": extract,
            "with surprisal": lambda: extract(has_surprisal=True),
            "bare forward pass": lambda: run_forward_passes(model, windows),
            "with hidden states": lambda: run_forward_passes(model, windows, output_hidden_states=True),
        },
        n_times,
        warm_up=True,
    )
    side_by_side.print_times(
        f"{title}; {len(windows)} windows, {n_tokens} tokens read",
        seconds,
        {"bare forward pass": ("at most", WANTED_TIME["cpu" if model.device.type == "cpu" else "gpu"])},
    )
    if len(windows) > len(texts):
        batched = compute_word_vectors(model, tokenizer, texts[0], spans[0], max_length)
        with mock.patch.object(vectors, "count_windows_at_once", lambda *_: 1):
            alone = compute_word_vectors(model, tokenizer, texts[0], spans[0], max_length)
        difference = np.abs(batched - alone).max() / np.abs(alone).max()
        print(f"batched windows differ from windows one by one by {difference:.1e} of the largest value at most")


def measure_memory(work, shape, device, dtype, texts, tokenizer):
    """Return the memory of this process once the model is loaded, and its peak afterwards: (before, peak), in bytes.

    The memory of the GPU, if the model is on a GPU.
    """
    spans = [place_words(text) for text in texts]
    model = side_by_side.make_random_model(shape, device, dtype)
    is_on_gpu = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if is_on_gpu else side_by_side.read_resident_bytes()
    if work == "forward":
        for text in texts[:2]:
            run_forward_passes(model, make_windows(text, tokenizer, model.config.max_position_embeddings, device))
    else:
        previous = None  # while the model reads a run, the stage writes the run before
        for text, words in zip(texts, spans, strict=True):
            previous = compute_word_vectors(model, tokenizer, text, words)
        del previous
    peak = torch.cuda.max_memory_allocated(device) if is_on_gpu else side_by_side.read_resident_bytes("peak")
    return before, peak


def compare_memory(shape, args, device, story, texts):
    """Measure the memory of the extraction of all runs in a fresh process, and print the table."""
    options = ["--model_shape", shape, "--device", device, "--dtype", args.dtype, "--threads", args.threads]
    options += ["--data", args.data.resolve()]
    before, words = side_by_side.run_in_fresh_process("speed.extraction", *options, "--measure_memory", "words")
    forward = side_by_side.run_in_fresh_process("speed.extraction", *options, "--measure_memory", "forward")
    _, (hidden, n_layers, *_), sizes = side_by_side.SHAPES[shape]
    n_words = sum(len(place_words(text)) for text in texts)
    bytes_per_number = torch.finfo(getattr(torch, args.dtype)).bits // 8
    window = (n_layers + 1) * sizes["max_position_embeddings"] * hidden * bytes_per_number
    output = (n_layers + 1) * n_words * hidden * np.dtype(np.float32).itemsize
    limit = before + window + WANTED_OUTPUT * output

    def format_mb(n_bytes):
        return f"{n_bytes / 1e6:.0f}"

    rows = [
        ("model and program, before", format_mb(before), ""),
        ("hidden states of one window", format_mb(window), ""),
        ("word vectors", format_mb(output), ""),
        (
            "peak of the bare forward passes",
            format_mb(forward[1]),
            f"{format_mb(forward[1] - forward[0])} above the model",
        ),
        (
            "peak of the extraction",
            format_mb(words),
            f"{format_mb(words - before)} above the model, wanted at most {format_mb(limit - before)}: "
            + ("met" if words <= limit else "missed"),
        ),
    ]
    where = "memory of the GPU" if device.type == "cuda" else "memory"
    side_by_side.print_table(
        f"{shape}, {args.dtype}: {where}, {len(texts)} runs of {story}, {n_words} words",
        ("", "MB", "limit"),
        rows,
    )


if __name__ == "__main__":
    run_script(main)
