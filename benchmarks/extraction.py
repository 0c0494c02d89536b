"""Word vectors of a story against the forward passes alone that they take.

    python -m benchmarks.extraction
    python -m benchmarks.extraction --model_shape olmo2-7b --dtype bfloat16 --device cuda

No program can read hidden states faster than the model computes them. So ``activations.word_vectors``,
which tokenizes, reads the windows, and averages the states of every layer over the tokens of each word,
is timed against the model's bare forward pass over the same windows (the same token ids, no output
layer, no cache, no hidden states kept), and against that with hidden states kept as Transformers keeps
them. Wanted: at most 1.15 x the time of the bare forward pass, both where a run of the story fits in
the model's context and where it is read in windows of 512 tokens that advance by 64.

Memory is measured in fresh processes, one that reads all runs of the story and one that does no more
than the bare forward passes of the first two. Wanted: no more than the model, the hidden states of one window, and
1.2 x the word vectors. On a GPU, word vectors need not be there at all, and the same limit holds for
its memory.

The model has random weights. The story is The Little Prince where it is in the folder of published data
(--data), or one in the small language of the demonstration. One thread (--threads): several wait for
each other as soon as another program runs, and then tell nothing. Takes some five minutes.
"""

import argparse
import random
import re
import zipfile

import numpy as np
import torch

from benchmarks import side_by_side
from pipeline.models.loading import pick_device
from pipeline.words.alignment import align
from pipeline.words.vectors import STEP_TOKENS, compute_word_vectors, split_windows
from study.command_line import run_script
from study.inputs.le_petit_prince import TEXT_PASSWORD

WORD = r"[^\W_]+(?:[’'][^\W_]+)*"
SHORT_CONTEXT = 512
WANTED_TIME, WANTED_OUTPUT = 1.15, 1.2


def main():
    """Time the extraction of word vectors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    side_by_side.add_arguments(parser, shapes=["pythia-160m"], n_times=3)
    parser.add_argument("--n_runs", type=int, default=1, help="whole runs that are timed (default: %(default)s)")
    parser.add_argument("--memory_of", choices=["words", "forward"], help=argparse.SUPPRESS)  # in a process of its own
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    texts, what = read_story(args.data)
    tokenizer = side_by_side.byte_level_tokenizer(texts)
    if args.memory_of:
        print(*memory_of(args.memory_of, args.model_shape[0], device, args.dtype, texts, tokenizer))
        return

    print(side_by_side.machine(device))
    for shape in args.model_shape:
        model = side_by_side.random_model(shape, device, args.dtype)
        first = [words_of(text) for text in texts[: args.n_runs]]
        n_words = sum(map(len, first))
        title = f"{shape}, {args.dtype}: {args.n_runs} run(s) of {what}, {n_words} words, whole in the context"
        compare_times(title, model, tokenizer, texts[: args.n_runs], None, args.n_times)
        part = texts[0][: first[0][len(first[0]) // 3, 0]]
        title = (
            f"{shape}, {args.dtype}: a third of a run of {what}, {len(words_of(part))} words, "
            f"windows of {SHORT_CONTEXT} tokens that advance by {STEP_TOKENS}"
        )
        compare_times(title, model, tokenizer, [part], SHORT_CONTEXT, args.n_times)
        del model
        compare_memory(shape, args, device, what, texts)


def read_story(folder):
    """The text of each run, and what it is: The Little Prince, or a story in the small language."""
    for path in (folder / "lpp" / "lpp_en_text.zip", folder / "lpp_en_text.zip"):
        if path.is_file():
            with zipfile.ZipFile(path) as archive:
                names = sorted(name for name in archive.namelist() if name.endswith(".txt"))
                texts = [archive.read(name, pwd=TEXT_PASSWORD).decode("utf-8-sig") for name in names]
            return texts, "The Little Prince"
    from demo import language, make_study

    rng = random.Random(1)
    runs = [make_study.tell(1700, rng) for _ in range(9)]
    texts = [" ".join(language.spell([word for word, _, _ in words]) for words in run) for run in runs]
    return texts, "a story in the small language (The Little Prince is not here)"


def words_of(text):
    """Characters of every word, int array of shape (n_words, 2), as the extraction has them."""
    return align(re.findall(WORD, text), text, "en")


def windows_of(text, tokenizer, max_tokens, device):
    """Token ids of every window that a run is read in, a list of int tensors of shape (1, n_tokens)."""
    ids = torch.tensor(tokenizer(text, verbose=False)["input_ids"], device=device)[None]
    return [ids[:, start:end] for start, _, end in split_windows(ids.shape[1], max_tokens)]


@torch.inference_mode()
def forward_passes(model, windows, **options):
    """Nothing but the model's own work: no output layer, and nothing done with what comes out."""
    for ids in windows:
        model.base_model(input_ids=ids, use_cache=False, **options)


def compare_times(title, model, tokenizer, texts, max_length, n_times):
    """Time word vectors of some texts and the forward passes that they take; print the table."""
    spans = [words_of(text) for text in texts]
    context = max_length or model.config.max_position_embeddings
    windows = [ids for text in texts for ids in windows_of(text, tokenizer, context, model.device)]
    n_tokens = sum(ids.shape[1] for ids in windows)
    seconds, _ = side_by_side.alternately(
        {
            "word vectors": lambda: [
                compute_word_vectors(model, tokenizer, *of_run, max_length) for of_run in zip(texts, spans, strict=True)
            ],
            "bare forward pass": lambda: forward_passes(model, windows),
            "with hidden states": lambda: forward_passes(model, windows, output_hidden_states=True),
        },
        n_times,
        warm_up=True,
    )
    side_by_side.times_table(
        f"{title}; {len(windows)} windows, {n_tokens} tokens read",
        seconds,
        {"bare forward pass": ("at most", WANTED_TIME)},
    )


def memory_of(what, shape, device, dtype, texts, tokenizer):
    """Bytes held once the model is there and the most afterwards: (before, peak), of a fresh process.

    Of the GPU's memory, if the model is on one.
    """
    spans = [words_of(text) for text in texts]
    model = side_by_side.random_model(shape, device, dtype)
    on_gpu = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if on_gpu else side_by_side.resident_bytes()
    if what == "forward":
        for text in texts[:2]:
            forward_passes(model, windows_of(text, tokenizer, model.config.max_position_embeddings, device))
    else:
        vectors = [
            compute_word_vectors(model, tokenizer, *of_run) for of_run in zip(texts, spans, strict=True)
        ]  # runs of (n_layers, n_words, n_units), all kept, as the extraction does
        del vectors
    peak = torch.cuda.max_memory_allocated(device) if on_gpu else side_by_side.resident_bytes("peak")
    return before, peak


def compare_memory(shape, args, device, what, texts):
    """Measure what the extraction of all runs takes, each in a fresh process; print the table."""
    options = ["--model_shape", shape, "--device", device, "--dtype", args.dtype, "--threads", args.threads]
    options += ["--data", args.data.resolve()]
    before, words = side_by_side.in_fresh_process("benchmarks.extraction", *options, "--memory_of", "words")
    of_forward = side_by_side.in_fresh_process("benchmarks.extraction", *options, "--memory_of", "forward")
    _, (hidden, n_layers, *_), sizes = side_by_side.SHAPES[shape]
    n_words = sum(len(words_of(text)) for text in texts)
    bytes_per_number = torch.finfo(getattr(torch, args.dtype)).bits // 8
    window = (n_layers + 1) * sizes["max_position_embeddings"] * hidden * bytes_per_number
    output = (n_layers + 1) * n_words * hidden * np.dtype(np.float32).itemsize
    limit = before + window + WANTED_OUTPUT * output

    def mb(n_bytes):
        return f"{n_bytes / 1e6:.0f}"

    rows = [
        ("model and program, before", mb(before), ""),
        ("hidden states of one window", mb(window), ""),
        ("word vectors", mb(output), ""),
        ("peak of the bare forward passes", mb(of_forward[1]), f"{mb(of_forward[1] - of_forward[0])} above the model"),
        (
            "peak of the extraction",
            mb(words),
            f"{mb(words - before)} above the model, wanted at most {mb(limit - before)}: "
            + ("met" if words <= limit else "missed"),
        ),
    ]
    where = "memory of the GPU" if device.type == "cuda" else "memory"
    side_by_side.print_table(
        f"{shape}, {args.dtype}: {where}, {len(texts)} runs of {what}, {n_words} words",
        ("", "MB", "limit"),
        rows,
    )


if __name__ == "__main__":
    run_script(main)
