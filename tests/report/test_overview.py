"""The study at a glance: what is there, what is to be run, and what is wrong."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from helpers import STEM, add_blimp

from report import overview, states
from study.checkpoints import find_fitted_checkpoints
from study.files.atomic import hidden_path
from study.files.safe_joblib import read_arrays, write_arrays
from study.files.tables import write_table
from study.outputs.correlations import read_correlations
from study.paths import (
    activations_path,
    benchmark_pairs_path,
    benchmark_path,
    isc_path,
    layer_correlations_path,
    lm_eval_folder,
    mask_path,
    run_correlations_path,
)
from study.records import record_path


@pytest.fixture
def overview_of(call):
    """overview_of(*options) -> (status, stdout, stderr)."""
    return lambda *options: call("llm_brain_asym", *options)


@pytest.fixture
def stages(fitting_study, tiny_checkpoint, call, tmp_path):
    """Run the stages of the tiny checkpoint: stages(name, ...)."""
    add_blimp(fitting_study)
    (tmp_path / "prompts.txt").write_text("The prince asked.\n")
    checkpoint = ["--model", tiny_checkpoint, "--revision", "step8", "--device", "cpu"]
    commands = {
        "activations": ["extract_llm_activations", *checkpoint],
        "fit": ["fit_average_subject", "--model", STEM, "--alphas", 0, 5, 6],
        "blimp": ["evaluate_llm_blimp", *checkpoint],
        "texts": [
            *["generate_texts", *checkpoint, "--prompts", tmp_path / "prompts.txt"],
            *["--n_samples", 2, "--max_new_tokens", 5],
        ],
    }

    def run(*names):
        for name in names:
            status, _, error = call(*commands[name])
            assert status == 0, error

    return run


def test_an_empty_study_tells_what_is_missing_and_how_to_get_it(study_folder, overview_of):
    status, told, _ = overview_of()
    assert status == 0
    assert (told.count("MISSING"), told.count("not there (optional)")) == (5, 4)
    assert [line for line in told.splitlines() if line.startswith("to get")] == [
        f"to get what is missing, in {study_folder}:",
        f"to get what is optional, in {study_folder}:",
    ]
    assert "git clone --depth 1 https://github.com/phueb/Zorro" in told
    assert told.count("git clone --depth 1 https://github.com/l-bg/") == 1  # for three of them
    assert "lppEN_word_information.csv" in told
    assert "no checkpoint yet: extract_llm_activations.py makes the first" in told
    assert "lppFR_word_information.csv" in overview_of("--lang", "fr")[1]
    assert overview_of("--todo", "fit") == (
        0,
        "",
        "no checkpoint is known yet: extract_llm_activations.py makes the first\n",
    )
    status, told, _ = overview_of("--check")
    assert (status, told.count("expected a file, got none. Get it from https://")) == (1, 5)


def test_every_checkpoint_is_in_the_table_with_its_stages(tiny_study, stages, overview_of):
    stages("activations", "fit", "blimp", "texts")
    status, told, _ = overview_of()
    assert status == 0
    assert (told.count("MISSING"), told.count("not there (optional)")) == (0, 3)  # Zorro, atlas, tokens
    row = next(line for line in told.splitlines() if STEM in line).split()
    assert row[:9] == [STEM, "16.8M", "done", "done", "part", "-", "-", "-", "done"]
    assert told.splitlines()[-1] == "blimp is a part: 2 of 67 paradigms, 20 of 67,000 pairs"
    left_minus_right = float(row[-1])
    assert "checkpoint tokens activations" in told
    content = json.loads(overview_of("--json")[1])
    (checkpoint,) = content["checkpoints"]
    assert checkpoint["left_minus_right"] == pytest.approx(left_minus_right, abs=1e-4)
    assert (checkpoint["zorro"], checkpoint["tokens"]) == ("missing", 8 * 2_097_152)
    assert sum(row["is_there"] for row in content["inputs"]) == 6
    correlations = read_correlations(STEM, "en").mean(axis=1).max(axis=0)
    isc = read_arrays(isc_path("en")).mean(axis=0)
    reliable = isc > np.percentile(isc, 75)
    x = np.repeat([-10, 0, 10], 8)  # of 3 x 2 x 4 voxels
    expected = correlations[reliable & (x < 0)].mean() - correlations[reliable & (x > 0)].mean()
    assert checkpoint["left_minus_right"] == pytest.approx(expected, abs=1e-6)


def test_activations_may_be_deleted_when_they_are_fitted(tiny_study, stages, overview_of):
    stages("activations", "fit")
    activations_path(STEM, "en").unlink()
    status, told, _ = overview_of("--check")
    assert (status, told.splitlines()[-1]) == (0, "nothing is wrong")
    assert overview_of("--todo", "activations") == (0, "", "activations: nothing is left to be run\n")
    run_correlations = run_correlations_path(STEM, "en")
    run_correlations.unlink()
    assert "averages: of the fit, single runs are missing" in overview_of()[1]
    status, told, _ = overview_of("--check")
    assert status == 1
    assert f"{run_correlations} is missing, though {run_correlations.name}.json lists it" in told


def test_a_model_in_a_folder_that_was_relative_is_known_elsewhere(
    tiny_study, stages, overview_of, tiny_checkpoint, call, monkeypatch
):
    monkeypatch.chdir(tiny_checkpoint.parents[1])
    model = f"{tiny_checkpoint.parent.name}/{tiny_checkpoint.name}"
    assert call("extract_llm_activations", "--model", model, "--revision", "step8", "--device", "cpu")[0] == 0
    stages("fit")
    (tiny_study / "training_tokens.csv").write_text("model,revision,tokens\ntiny-pythia,step8,5\n")
    monkeypatch.chdir(tiny_study)
    (checkpoint,) = json.loads(overview_of("--json")[1])["checkpoints"]
    assert (checkpoint["name"], checkpoint["tokens"]) == ("tiny-pythia", 5)
    checkpoints, left_out = find_fitted_checkpoints("tiny-pythia", "en")
    assert (checkpoints["revision"].tolist(), left_out) == (["step8"], [])


def change_layer(folder):
    path = layer_correlations_path(STEM, 1, "en")
    write_arrays(path, read_arrays(path) + 0.1)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_pairs(folder):
    path = benchmark_pairs_path(STEM, "blimp")
    pairs = pd.read_csv(path)
    write_table(path, pairs.assign(logprob_good=pairs["logprob_bad"] - 1))


WRONG = {
    "an average": (change_layer, "layer-1_corr_en.gz is not"),
    "a flipped bit in activations": (lambda folder: flip(activations_path(STEM, "en")), f"{STEM}_en.lz4"),
    "a flipped bit in correlations": (lambda folder: flip(run_correlations_path(STEM, "en")), f"{STEM}_runs_en"),
    "pairs": (change_pairs, f"{STEM}_blimp.csv is not what"),
    "an average that is gone": (
        lambda folder: layer_correlations_path(STEM, 2, "en").unlink(),
        "layer-2_corr_en.gz is missing",
    ),
    "ISC": (lambda folder: write_arrays(isc_path("en"), np.ones((10, 25))), "isc_10trials_en.gz"),
    "other timings": (
        lambda folder: (
            (folder / "lppEN_word_information.csv").write_text("word,onset,offset,section\n"),
            os.utime(folder / "lppEN_word_information.csv", (4e9, 4e9)),
        ),
        f"{STEM}_en.lz4 was made from",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_whatever_is_wrong_is_found(tiny_study, stages, overview_of, fault):
    stages("activations", "fit", "blimp", "texts")
    status, told, error = overview_of("--check")
    assert (status, told.splitlines()[-1], error) == (0, "no error, 1 warning", "")  # BLiMP is a part
    damage, said = WRONG[fault]
    damage(tiny_study)
    status, told, _ = overview_of("--check")
    assert status == 1
    assert said in told


def test_work_that_was_stopped_is_told(tiny_study, stages, overview_of):
    stages("activations", "fit")
    path = run_correlations_path(STEM, "en")
    path.unlink()
    layer_correlations_path(STEM, 0, "en").unlink()
    parts = hidden_path(path, "parts")
    parts.mkdir()
    for layer in range(3):
        (parts / f"layer-{layer}.npz").write_bytes(b"")
    assert "3 layers" in overview_of()[1]


def test_options_that_are_as_frequent_as_others_are_not_other_options(study_folder):
    assert states.find_most_common(["a", "b", None]) is None
    assert states.find_most_common(["a", "b", "a"]) == "a"
    assert states.find_most_common([None]) is None


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(0, "0"), (512, "512"), (1000, "1K"), (2048, "2.05K"), (999_999, "1M"), (16_777_216, "16.8M"), (32e9, "32B"),
     (30.72e9, "30.7B"), (558e9, "558B"), (1477e9, "1477B"), (3896e9, "3896B"), (15e12, "15000B"), (np.nan, "?")],
)  # fmt: skip
def test_tokens_are_written_as_revisions_write_them(tokens, words):
    assert overview.abbreviate_tokens(tokens) == words


def test_what_is_no_file_or_no_folder_is_not_there(fitting_study, overview_of):
    timings = fitting_study / "lppEN_word_information.csv"
    timings.unlink()
    timings.mkdir()
    (fitting_study / "blimp" / "data").mkdir(parents=True)
    (fitting_study / "Zorro" / "sentences" / "babyberta").mkdir(parents=True)
    (fitting_study / "Zorro" / "sentences" / "babyberta" / "README").touch()
    mask_path("en").unlink()
    mask_path("en").symlink_to(fitting_study / "nowhere")
    (fitting_study / "atlas.nii.gz").touch()
    states = {row["what"]: (row["state"], row["is_there"]) for row in json.loads(overview_of("--json")[1])["inputs"]}
    assert states == {
        "text of the story": ("there", True),
        "word timings": ("is a folder (expected a file)", False),
        "brain mask": ("is a link to nothing", False),
        "ISC": ("there", True),
        "average subject": ("there", True),
        "BLiMP": ("is an empty folder", False),
        "Zorro": ("is a folder of other files", False),
        "atlas": ("there", True),
        "training tokens": ("not there (optional)", False),
    }
    printed = overview_of()[1]
    assert re.search(rf"^is a folder \(expected a file\)  word timings +{timings}$", printed, re.M)
    assert "MISSING" not in printed


def test_a_damaged_file_does_not_hide_the_others(tiny_study, stages, overview_of):
    stages("activations", "blimp")
    lm_eval_folder().mkdir()
    (lm_eval_folder() / "x.json").write_text("{")
    record = record_path(benchmark_path(STEM, "blimp"))
    record.write_text("{")
    status, told, _ = overview_of()
    assert status == 0
    row = next(line for line in told.splitlines() if STEM in line).split()
    assert row[:5] == [STEM, "16.8M", "done", "-", "damaged"]
    assert "damaged: a file cannot be read; --check shows which one, and why" in told
    status, told, _ = overview_of("--check")
    assert status == 1
    assert f"error: {record}: remove it" in told
