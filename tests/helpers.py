"""What several tests need: texts, small models, small studies, commands as forks."""

import contextlib
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import torch
import transformers
from nbclient import NotebookClient
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub: no test may look a model up

ROOT = Path(__file__).parents[1]

STEM = "tiny-pythia_step8"  # of the checkpoint of most tests
SHARED = ROOT.parent / "shared"

# Curly quotes, accents, a ligature and a dash: characters of several bytes, which BPE may cut.
ENGLISH = (
    "“Where are the people?” asked the little prince at last. “It is a little lonely in the desert…”\n"
    "“It is lonely among people too,” said the snake. The prince didn’t answer; he gazed at him for a long time. "
    "“You are a funny animal,” he said at last, “as thin as a finger…” — “But I am more powerful than the finger "
    "of a king,” said the snake. "
)

FRENCH = (
    "« Où sont les hommes ? » reprit enfin le petit prince. « On est un peu seul dans le désert… »\n"
    "« On est seul aussi chez les hommes », dit le serpent. Le petit prince le regarda longtemps : « Tu es une drôle "
    "de bête, lui dit-il enfin, mince comme un doigt… Mon cœur n’est pas là-bas, c’est égal. » "
)

# How OLMo-2's tokenizer cuts a text before BPE: a word has the space, quote or apostrophe before it.
# Pythia's, as GPT-2's, has nothing but the space.
OLMO2_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level_tokenizer(text, vocab_size, adds_bos, architecture="gpt_neox"):
    """A byte-level BPE tokenizer, trained on a text, that puts BOS before a text or does not."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if architecture == "olmo2":
        pieces = pre_tokenizers.Split(Regex(OLMO2_PIECES), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["<bos>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    steps = [processors.ByteLevel(trim_offsets=True)]
    if adds_bos:
        steps.append(processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)]))
    tokenizer.post_processor = processors.Sequence(steps)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<bos>")


def random_model(architecture, vocab_size, context):
    """A small, randomly initialised model of a real architecture, with the weights of no training."""
    sizes = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": context,
        "initializer_range": 0.3,  # large enough that context matters
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    torch.manual_seed(0)
    if architecture == "olmo2":
        return transformers.Olmo2ForCausalLM(transformers.Olmo2Config(**sizes, pad_token_id=0)).eval()
    return transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**sizes)).eval()


def add_blimp(folder):
    """A few pairs of two paradigms."""
    data = folder / "blimp" / "data"
    data.mkdir(parents=True)
    words = ["prince", "snake", "desert", "flower", "king", "star", "fox", "well", "rose", "sheep"]
    for paradigm in ("one", "two"):
        records = [
            {
                "linguistics_term": "agreement",
                "field": "syntax",
                "sentence_good": f"The {word} of number {paradigm} is here.",
                "sentence_bad": f"The {word} of number {paradigm} are here.",
            }
            for word in words
        ]
        (data / f"{paradigm}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def all_files(folder):
    """Every file in a folder, with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_embedded_study(folder, *options):
    """Run the embedded study as ``make demo`` does; returns what was printed."""
    run = ["bash", str(ROOT / "demo" / "run.sh"), str(folder), *options]
    return subprocess.run(
        [sys.executable, "-m", "demo.forked_commands", *run],
        **{"cwd": ROOT, "capture_output": True, "text": True},
    )


def make_bare_study(folder, words):
    """The embedded study before its first stage: 4 runs, two checkpoints that have learnt next to nothing."""
    command = [sys.executable, "-m", "demo.make_study", "--output_folder", folder, "--runs", 4, "--words", words]
    command += ["--steps", 1, "--judge_steps", 2]
    subprocess.run([str(word) for word in command], cwd=ROOT, check=True, capture_output=True)


def execute_notebook(folder, monkeypatch, **variables):
    """Run analyze_results.ipynb on a study folder; returns what it printed."""
    for name, value in ({"LTBA_DIR": str(folder), "LTBA_MODEL": "small_lm", "LTBA_LANG": "en"} | variables).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(ROOT / "analyze_results.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def words_in(text):
    return np.array([match.span() for match in re.finditer(r"[^\W_]+(?:[’'][^\W_]+)*", text)])


@contextlib.contextmanager
def zygote(*options):
    """Start tests/zygote.py; yields run(folder, (arguments, what goes wrong), ...) -> answers."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "zygote.py", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(folder, *jobs):
        same = {"environment": {"LTBA_DIR": str(folder)}, "folder": str(folder)}
        orders = [same | {"arguments": arguments} | wrong for arguments, wrong in jobs]
        print(json.dumps(orders), file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    yield run
    process.stdin.close()
    process.wait()


class Stopped(BaseException):
    """Stands for a signal: no code of the project catches it."""


@contextlib.contextmanager
def counting_calls(monkeypatch, name, most=None):
    """Count the calls of a function, by its dotted name: a list with True for each; Stopped at the call after most."""
    module, _, function = name.rpartition(".")
    does, calls = getattr(importlib.import_module(module), function), []

    def counted(*arguments, **options):
        if len(calls) == most:
            raise Stopped
        calls.append(True)
        return does(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(name, counted)
        yield calls
