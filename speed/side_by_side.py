"""Time several implementations in turn, and print a table that compares them.

Two runs of the same program differ by more than two good implementations of one computation: other
programs run on the same machine, and processors change their pace. So all implementations of a stage
are timed in one process, in turn, several times. The ratio of their medians counts.
"""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

# The published data, where they are next to the checkout.
PUBLISHED = Path(__file__).parents[2] / "shared" / "data"

GPT_NEOX, OLMO2 = transformers.GPTNeoXConfig, transformers.Olmo2Config
_PYTHIA = {"vocab_size": 50_304, "max_position_embeddings": 2048}
_OLMO2 = {"vocab_size": 100_352, "max_position_embeddings": 4096}
# Width, layers, heads and width inside the feed-forward layers of published models.
SHAPES = {
    "pythia-14m": (GPT_NEOX, (128, 6, 4, 512), _PYTHIA),
    "pythia-160m": (GPT_NEOX, (768, 12, 12, 3072), _PYTHIA),
    "olmo2-7b": (OLMO2, (4096, 32, 32, 11_008), _OLMO2),
}


# ---------------------------------------------------------------- time


def call_in_turn(functions, n_times, warm_up=False, only_once=()):
    """Call several functions in turn, several times over.

    Parameters
    ----------
    functions : dict of str to callable
        Each does the same work in a different way.
    n_times : int
        Rounds, in each of which every function is called once.
    warm_up : bool
        Whether each is called once before the first round, without being timed.
    only_once : collection of str
        Functions that are called in the first round only.

    Returns
    -------
    seconds : dict of str to list of float
    values : dict of str to what the function returned the last time
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    values = {}
    for k in range(-int(warm_up), n_times):
        for name, function in functions.items():
            if k > 0 and name in only_once:
                continue
            wait_for_device()
            started = time.perf_counter()
            values[name] = function()
            wait_for_device()
            if k >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds, values


def wait_for_device():
    """Wait until the GPU is done: it still works when a call has returned."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def print_times(title, seconds, wanted=None):
    """Print how implementations compare with the first implementation, which is ours.

    Parameters
    ----------
    title : str
    seconds : dict of str to list of float
        As ``call_in_turn`` returns them.
    wanted : dict of str to (str, float), optional
        The limit for an implementation: ``("at least", 3)`` if its median is to be 3 times ours or
        more, ``("at most", 1.15)`` if ours is to be 1.15 times its median or less.

    Returns
    -------
    bool
        Whether every limit is met.
    """
    medians = {name: float(np.median(durations)) for name, durations in seconds.items()}
    ours = next(iter(medians))
    rows, are_met = [], True
    for name, median in medians.items():
        ratio, limit = f"{median / medians[ours]:.2f}" if name != ours else "", ""
        if wanted and name in wanted:
            direction, bound = wanted[name]
            if direction == "at least":
                factor, subject = median / medians[ours], "it takes"
                is_met = factor >= bound
            else:
                factor, subject = medians[ours] / median, "ours takes"
                is_met = factor <= bound
            limit = f"{subject} {factor:.2f} x, wanted {direction} {bound:.3g} x: {'met' if is_met else 'missed'}"
            are_met &= is_met
        spread = f"{min(seconds[name]):.2f}..{max(seconds[name]):.2f}"
        rows.append((name, f"{median:.2f}", spread, str(len(seconds[name])), ratio, limit))
    print_table(title, ("", "median s", "min..max", "n", "of ours", "limit"), rows)
    return are_met


def print_table(title, columns, rows):
    """Print a table of text in Markdown, with aligned columns."""
    widths = [max(len(row[column]) for row in (columns, *rows)) for column in range(len(columns))]
    print(f"\n{title}\n")
    for row in (columns, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
    print(flush=True)


# ---------------------------------------------------------------- memory


def read_resident_bytes(quantity="now", pid="self"):
    """Return the memory that a process holds now, or with ``"peak"`` the most that it has held, in bytes.

    The peak is counted from the start of the program. The peak of ``getrusage`` may be of the process that started it.
    Linux only.
    """
    field = {"now": "VmRSS:", "peak": "VmHWM:"}[quantity]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(field))
    return 1024 * int(kilobytes)


def run_in_fresh_process(module, *arguments):
    """Run ``python -m module arguments``, and return the whole numbers in its last line, a list of int."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr[-2000:]}")
    return list(map(int, done.stdout.splitlines()[-1].split()))


# ---------------------------------------------------------------- machine and models


def describe_machine(device="cpu"):
    """Return a description of the machine in one line."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), cpu)
    words = f"{cpu}, {count_cores()} cores, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"
    return words + (f", {torch.cuda.get_device_name(device)}" if torch.device(device).type == "cuda" else "")


def count_cores():
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def make_random_model(shape, device="cpu", dtype="float32"):
    """Return a causal language model of a published shape with random weights, made on the device.

    Parameters
    ----------
    shape : str
        One of ``SHAPES``.
    device : str or torch.device
    dtype : str

    Returns
    -------
    transformers.PreTrainedModel
        In evaluation mode. The weights are the same each time on the same device.
    """
    config_class, (hidden, n_layers, n_heads, intermediate), sizes = SHAPES[shape]
    config = config_class(
        hidden_size=hidden,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        intermediate_size=intermediate,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        **sizes,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    return model.eval()


def train_byte_level_tokenizer(texts, vocab_size=50_304):
    """Train a byte-level BPE tokenizer on texts until their words are tokens; BOS is token 0.

    Parameters
    ----------
    texts : iterable of str
    vocab_size : int
        The most tokens that it may have.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        As Pythia's, it adds nothing before a text.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    end = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<|endoftext|>")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **end)


def add_arguments(parser, shapes, n_times=None):
    """Add the options that all measurements of models share."""
    parser.add_argument("--model_shape", choices=list(SHAPES), nargs="+", default=shapes, help="(default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto (CUDA if there is one), cpu, cuda, cuda:1 ...")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--n_times", type=int, default=n_times, help="rounds of timing")
    parser.add_argument("--data", type=Path, default=PUBLISHED, help="folder of the published data")
