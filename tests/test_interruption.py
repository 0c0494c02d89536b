"""Scripts that are killed at every step they take with a file, and equal jobs at the same time."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
import torch
import transformers
from conftest import ENGLISH, ROOT, all_files, byte_level_tokenizer

PROMPTS = ["The prince asked.", "It was lonely."]
CHECKPOINT = ["--model", "MODELS/tiny-pythia", "--revision", "step8", "--device", "cpu"]
# Each with what must be there before, by the stages that make it.
STAGES = {
    "extract": (["extract_llm_activations.py", *CHECKPOINT], []),
    "fit": (["fit_average_subject.py", *CHECKPOINT, "--alphas", "0", "5", "6"], ["extract"]),
    "blimp": (["evaluate_llm_blimp.py", *CHECKPOINT, "--batch_size", "8"], []),
    "texts": (
        [
            *["generate_texts.py", *CHECKPOINT, "--prompts", "MODELS/prompts.txt", "--n_samples", "3"],
            *["--max_new_tokens", "30", "--batch_size", "2"],
        ],
        [],
    ),
    "judge": (
        [
            *["evaluate_linguistic_acceptability.py", "--classifier", "MODELS/judge", "--device", "cpu"],
            *["--batch_size", "2"],
        ],
        ["texts"],
    ),
}
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def run(tmp_path, tiny_checkpoint):
    """run(stage, folder, at=None, signal=None) -> (status, printed, number of steps), in a fresh process."""
    models = tmp_path / "models"
    models.mkdir()
    (models / tiny_checkpoint.name).symlink_to(tiny_checkpoint)
    (models / "prompts.txt").write_text("".join(f"{prompt}\n" for prompt in PROMPTS))
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    tokenizer.pad_token = "<bos>"
    torch.manual_seed(0)
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, pad_token_id=0, id2label={0: "unacceptable", 1: "acceptable"},
    )  # fmt: skip
    transformers.DebertaV2ForSequenceClassification(config).save_pretrained(models / "judge")
    tokenizer.save_pretrained(models / "judge")

    zygote = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "zygote.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def order(stage, folder, at=None, signal=None):
        output = tmp_path / "printed.txt"
        arguments = [argument.replace("MODELS", str(models)) for argument in STAGES[stage][0]]
        content = {"arguments": arguments, "environment": {"LTBA_DIR": str(folder)}, "output": str(output)}
        content |= {"folder": str(folder), "at": at, "signal": signal}
        print(json.dumps(content), file=zygote.stdin, flush=True)
        answer = json.loads(zygote.stdout.readline())
        return answer["status"], output.read_text(), answer["n_steps"]

    yield order
    zygote.stdin.close()
    zygote.wait()


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


def contents(folder):
    """Every file and its content, but for when and how it was made."""
    found = {}
    for path, content in all_files(folder).items():
        if path.suffix == ".json" and path.parent.name != "models":
            record = json.loads(content)
            for key in ("command", "finished", "seconds"):
                record.pop(key, None)
            content = json.dumps(record).encode()
        found[str(path.relative_to(folder))] = content
    return found


def is_hidden(name):
    return any(part.startswith(".") for part in name.split("/"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_that_is_killed_leaves_nothing_half_done_and_goes_on(tiny_study, tmp_path, run, stage):
    add_blimp(tiny_study)
    for before in STAGES[stage][1]:
        assert run(before, tiny_study)[0] == 0
    inputs = contents(tiny_study)
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(tiny_study, undisturbed)
    status, printed, n_steps = run(stage, undisturbed)
    assert status == 0, printed
    expected = contents(undisturbed)
    assert not any(map(is_hidden, expected)), sorted(expected)
    assert len(expected) > len(inputs)
    assert n_steps > 20

    n_kills = 0
    for at in range(1, n_steps + 1):
        folder = tmp_path / "killed"
        shutil.copytree(tiny_study, folder)
        number = SIGNALS[at % 3]
        status, printed, _ = run(stage, folder, at, number)
        assert status == (-9 if number == signal.SIGKILL else 128 + number), (at, status, printed)
        if number != signal.SIGKILL:
            name = STAGES[stage][0][0]
            stopped = f"{name}: stopped by {number.name}; the same command goes on from what is finished\n"
            assert printed.endswith(stopped)
        assert "Traceback" not in printed
        found = contents(folder)
        whole = {name: content for name, content in found.items() if not is_hidden(name)}
        assert whole.items() <= expected.items(), at
        assert whole.items() >= inputs.items(), at
        status, printed, _ = run(stage, folder)
        assert status == 0, (at, printed)
        assert contents(folder) == expected, at
        shutil.rmtree(folder)
        n_kills += 1
    print(f"{stage}: killed at each of {n_kills} steps, whole and the same afterwards")
