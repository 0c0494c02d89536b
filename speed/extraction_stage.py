"""Time the whole stage of extraction, without loading the model, against forward passes and the disk.

    python -m speed.extraction_stage --model_shape pythia-160m
    python -m speed.extraction_stage --model_shape olmo2-7b --dtype bfloat16 --device cuda --threads 16

The stage of ``extract_llm_activations.py`` reads every run of the story, computes surprisal, and writes the word
vectors: 8 GB for the shape of OLMo-2 7B. It cannot be faster than the forward passes and the disk. Wanted: at most
1.3 x the bare forward passes plus the time in which the same number of bytes reaches the disk. The rate of each step
follows, one step at a time: tokens, copies, surprisal, compression, checksum, disk.

The model has random weights. The folder of outputs is temporary, in --folder.
"""

import argparse
import hashlib
import os
import re
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch

from pipeline.models.devices import pick_device
from pipeline.words.tokens import assign_tokens
from pipeline.words.vectors import compute_word_states
from speed import side_by_side
from speed.extraction import WORD, make_windows, place_words, read_story, run_forward_passes
from study.command_line import run_script
from study.files.array_stream import FRAME_BYTES, compress_frame
from study.stages import extraction

WANTED_TIME = 1.3


def main():
    """Time the stage of extraction."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    side_by_side.add_arguments(parser, shapes=["pythia-160m"], n_times=2)
    parser.add_argument("--n_runs", type=int, default=9, help="runs of the story (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the outputs are written (default: that of temporary files)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    texts, story = read_story(args.data)
    tokenizer, texts = side_by_side.train_byte_level_tokenizer(texts), texts[: args.n_runs]
    print(side_by_side.describe_machine(device))
    for shape in args.model_shape:
        model = side_by_side.make_random_model(shape, device, args.dtype)
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            n_bytes = compare_stage(f"{shape}, {args.dtype}: {story}", model, tokenizer, texts, folder, args)
            print_rates(model, tokenizer, texts[0], Path(folder), n_bytes)


def compare_stage(title, model, tokenizer, texts, folder, args):
    """Time the stage, forward passes and the disk in turn, print the table, and return the bytes of the output."""
    write_story(Path(folder), texts)
    os.environ["LTBA_DIR"] = folder
    windows = [
        ids
        for text in texts
        for ids in make_windows(text, tokenizer, model.config.max_position_embeddings, model.device)
    ]
    options = {"model": "random/model", "revision": None, "dtype": args.dtype, "max_length": None, "lang": "en"}
    options |= {"untrained": None, "threads": args.threads, "overwrite": True, "device": str(model.device)}
    options |= {"story": None, "pooling": "mean", "context": "group", "before_norm": False}

    def load(job, *_, **__):
        job.empty_unless_same({"model": "random/model", "files": {"made": str(time.time())}})
        return model, tokenizer

    def run_stage(has_surprisal):
        with mock.patch.object(extraction, "load_for_job", load):
            extraction.extract_activations(argparse.Namespace(**options, surprisal=has_surprisal))

    started = time.perf_counter()
    run_stage(True)
    print(f"{title}: the first call, as of a new process, took {time.perf_counter() - started:.2f} s")
    (output,) = Path(folder).glob("llms_activations/random_model*_en.lz4")
    n_bytes = output.stat().st_size
    print(f"most memory of the process so far: {side_by_side.read_resident_bytes('peak') / 1e9:.1f} GB")
    seconds, _ = side_by_side.call_in_turn(
        {
            "stage with surprisal": lambda: run_stage(True),
            "stage without surprisal": lambda: run_stage(False),
            "bare forward passes": lambda: run_forward_passes(model, windows),
            "disk": lambda: write_bytes(Path(folder, "bytes"), n_bytes),
        },
        args.n_times,
    )
    sums = zip(seconds["bare forward passes"], seconds["disk"], strict=True)
    seconds["forward passes and disk"] = [sum(pair) for pair in sums]
    side_by_side.print_times(
        f"{title}, {n_bytes / 1e9:.2f} GB on the disk", seconds, {"forward passes and disk": ("at most", WANTED_TIME)}
    )
    return n_bytes


def write_story(folder, texts):
    """Write the texts of runs, and words with timings, as the published files."""
    with zipfile.ZipFile(folder / "lpp_en_text.zip", "w") as archive:
        for run, text in enumerate(texts, start=1):
            archive.writestr(f"lpp_en_text/text_en_run{run}.txt", text)
    words = [(word, run) for run, text in enumerate(texts, start=1) for word in re.findall(WORD, text)]
    table = pd.DataFrame(words, columns=["word", "section"])
    table["onset"] = np.arange(len(table), dtype=float)
    table.assign(offset=table["onset"] + 0.5).to_csv(folder / "lppEN_word_information.csv", index=False)


def write_bytes(path, n_bytes):
    """Write random bytes to a file until they are on the disk."""
    content = np.random.default_rng(0).bytes(min(n_bytes, 2**26))
    with open(path, "wb") as file:
        for start in range(0, n_bytes, len(content)):
            file.write(content[: n_bytes - start])
        os.fsync(file.fileno())


def print_rates(model, tokenizer, text, folder, n_bytes):
    """Print the seconds of each step of one run, and the rates of compression, checksum and disk."""
    rows: list[tuple[str, str, str]] = []

    def measure(name, function, size=None, n_times=3):
        function()
        durations = []
        for _ in range(n_times):
            side_by_side.wait_for_device()
            started = time.perf_counter()
            value = function()
            side_by_side.wait_for_device()
            durations.append(time.perf_counter() - started)
        rate = "" if size is None else f"{size / min(durations) / 1e9:.2f} GB/s"
        rows.append((name, f"{1000 * min(durations):.1f}", rate))
        return value

    spans, device = place_words(text), model.device
    windows = make_windows(text, tokenizer, model.config.max_position_embeddings, device)
    encoded = measure("tokens", lambda: tokenizer(text, return_offsets_mapping=True, verbose=False))
    measure("tokens of words", lambda: assign_tokens(spans, encoded["offset_mapping"], text))
    measure("bare forward pass", lambda: run_forward_passes(model, windows))
    vectors = measure("word vectors", lambda: compute_word_states(model, tokenizer, text, spans)).vectors
    measure("word vectors, surprisal", lambda: compute_word_states(model, tokenizer, text, spans, has_surprisal=True))
    if device.type == "cuda":
        kept = torch.empty(vectors.shape, device=device)
        pinned, pageable = torch.empty(vectors.shape, pin_memory=True), torch.empty(vectors.shape)
        measure("copy to pinned memory", lambda: pinned.copy_(kept, non_blocking=True), vectors.nbytes)
        measure("copy to pageable memory", lambda: pageable.copy_(kept), vectors.nbytes)
        measure("new pageable memory", lambda: kept.cpu(), vectors.nbytes)
        del kept, pinned, pageable
    content = vectors.tobytes()[: 2**29]
    pieces = [[content[start : start + FRAME_BYTES]] for start in range(0, len(content), FRAME_BYTES)]
    frames = measure("compression, one thread", lambda: list(map(compress_frame, pieces)), len(content), 1)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        name = f"compression, {torch.get_num_threads()} threads"
        measure(name, lambda: list(threads.map(compress_frame, pieces)), len(content))
    frame = b"".join(piece for pieces in frames for piece in pieces)
    rows.append(("bytes after compression", "", f"{len(frame) / len(content):.2f} of before"))
    measure("checksum", lambda: hashlib.sha256(frame).digest(), len(frame))
    measure("disk", lambda: write_bytes(folder / "bytes", n_bytes), n_bytes, 1)
    side_by_side.print_table("steps of one run, one at a time", ("step", "ms", "rate"), rows)


if __name__ == "__main__":
    run_script(main)
