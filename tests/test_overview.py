"""The study at a glance: what is there, what is to be run, and what is wrong."""

import llm_brain_asym as study

import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, add_blimp

from pipeline import files
from pipeline.tables import write_table
from report import overview

STEM = "tiny-pythia_step8"


@pytest.fixture
def overview_of(call):
    """overview_of(*options) -> (status, stdout, stderr)."""
    return lambda *options: call("llm_brain_asym", *options)


@pytest.fixture
def stages(tiny_study, tiny_checkpoint, call, tmp_path):
    """Run the stages of the tiny checkpoint: stages(name, ...)."""
    add_blimp(tiny_study)
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
    assert told.count("MISSING") == 7
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
    assert (status, told.count("is missing: get it from https://")) == (1, 5)


def test_every_checkpoint_is_in_the_table_with_its_stages(tiny_study, stages, overview_of):
    stages("activations", "fit", "blimp", "texts")
    status, told, _ = overview_of()
    assert status == 0
    assert told.count("MISSING") == 1  # Zorro
    row = next(line for line in told.splitlines() if STEM in line).split()
    assert row[:9] == [STEM, "1.68e+07", "done", "done", "part", "-", "-", "-", "done"]
    assert told.splitlines()[-1] == "blimp is a part: 2 of 67 paradigms, 20 of 67,000 pairs"
    left_minus_right = float(row[-1])
    content = json.loads(overview_of("--json")[1])
    (checkpoint,) = content["checkpoints"]
    assert checkpoint["left_minus_right"] == pytest.approx(left_minus_right, abs=1e-4)
    assert checkpoint["zorro"] == "missing"
    assert sum(row["is_there"] for row in content["inputs"]) == 6
    correlations = study.read_correlations(STEM, "en").mean(axis=1).max(axis=0)
    isc = files.read_arrays(study.isc_path("en")).mean(axis=0)
    reliable = isc > np.percentile(isc, 75)
    x = np.repeat([-10, 0, 10], 8)  # of 3 x 2 x 4 voxels
    expected = correlations[reliable & (x < 0)].mean() - correlations[reliable & (x > 0)].mean()
    assert checkpoint["left_minus_right"] == pytest.approx(expected, abs=1e-6)


def test_what_is_to_be_run_can_be_run(tiny_study, stages, overview_of, call, tiny_checkpoint):
    stages("activations")
    for stage in ("fit", "blimp"):
        status, told, _ = overview_of("--todo", stage)
        assert (status, told.count("\n")) == (0, 1)
        python, script, *options = shlex.split(told)
        assert python == "python"
        assert call(script.removesuffix(".py"), *options)[0] == 0
        assert overview_of("--todo", stage) == (0, "", f"{stage}: nothing is left to be run\n")
    assert overview_of("--todo", "fit", "dyck", "arithmetic")[1].count("\n") == 2
    assert overview_of("--todo", "dyck")[1] == (
        f"python evaluate_llm_dyck.py --model {tiny_checkpoint} --revision step8\n"
    )


def test_what_is_to_be_run_has_the_options_of_the_others(tiny_study, overview_of):
    for revision in ("step1", "step2", "step4"):
        path = study.activations_path(f"me_lm_{revision}", "en")
        write_table(path, pd.DataFrame({"a": [1]}))
        checkpoint = {"model": "me/lm", "revision": revision}
        study.write_record(path, {"revision": revision, "dtype": "bfloat16"}, [], 0, checkpoint)
    for revision, alphas in (("step1", [0, 7, 16]), ("step2", [0, 7, 16]), ("step4", [2, 7, 16])):
        path = study.run_correlations_path(f"me_lm_{revision}", "en")
        write_table(path, pd.DataFrame({"a": [1]}))
        study.write_record(path, {"alphas": alphas}, [], 0, {"model": "me/lm", "revision": revision})
    table = pd.DataFrame(
        {"stem": [f"me_lm_step{k}" for k in (1, 2, 4)], "name": "me_lm", "model": "me/lm", "fit": "done"}
    )
    overview.mark_other_options(table, "fit", "en")
    assert table["fit"].tolist() == ["done", "done", "other options"]
    table = table.assign(activations="done", revision=[f"step{k}" for k in (1, 2, 4)], texts="missing")
    assert overview.to_do("fit", table, "en") == ([], [])  # other options may be meant
    table.loc[2, "fit"] = "missing"
    assert overview.to_do("fit", table, "en") == (
        ["python fit_average_subject.py --model me_lm_step4 --lang en --alphas 0 7 16"],
        [],
    )
    table["activations"], table["fit"] = ["done", "missing", "done"], "missing"
    commands, _ = overview.to_do("activations", table, "en")
    assert commands == ["python extract_llm_activations.py --model me/lm --revision step2 --lang en --dtype bfloat16"]


def test_activations_may_be_deleted_when_they_are_fitted(tiny_study, stages, overview_of):
    stages("activations", "fit")
    study.activations_path(STEM, "en").unlink()
    (tiny_study / "Zorro").mkdir()
    assert overview_of("--check")[:2] == (0, "nothing is wrong\n")
    assert overview_of("--todo", "activations") == (0, "", "activations: nothing is left to be run\n")
    run_correlations = study.run_correlations_path(STEM, "en")
    run_correlations.unlink()
    assert "averages: of the fit, single runs are missing" in overview_of()[1]
    status, told, _ = overview_of("--check")
    assert status == 1
    assert f"{run_correlations} is missing, though {run_correlations.name}.json tells of it" in told


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
    checkpoints, left_out = study.fitted_checkpoints("tiny-pythia", "en")
    assert (checkpoints["revision"].tolist(), left_out) == (["step8"], [])


def change_layer(folder):
    path = study.layer_correlations_path(STEM, 1, "en")
    files.write_arrays(path, files.read_arrays(path) + 0.1)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_pairs(folder):
    path = study.benchmark_pairs_path(STEM, "blimp")
    pairs = pd.read_csv(path)
    write_table(path, pairs.assign(logprob_good=pairs["logprob_bad"] - 1))


WRONG = {
    "an average": (change_layer, "layer-1_corr_en.gz is not"),
    "a flipped bit in activations": (lambda folder: flip(study.activations_path(STEM, "en")), f"{STEM}_en.lz4"),
    "a flipped bit in correlations": (lambda folder: flip(study.run_correlations_path(STEM, "en")), f"{STEM}_runs_en"),
    "pairs": (change_pairs, f"{STEM}_blimp.csv is not what"),
    "an average that is gone": (
        lambda folder: study.layer_correlations_path(STEM, 2, "en").unlink(),
        "layer-2_corr_en.gz is missing",
    ),
    "ISC": (lambda folder: files.write_arrays(study.isc_path("en"), np.ones((10, 25))), "isc_10trials_en.gz"),
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
    note = "note: blimp is a part: 2 of 67 paradigms, 20 of 67,000 pairs\n"
    assert overview_of("--check") == (0, f"{note}nothing is wrong\n", "")
    damage, said = WRONG[fault]
    damage(tiny_study)
    status, told, _ = overview_of("--check")
    assert status == 1
    assert said in told


def test_work_that_was_stopped_is_told(tiny_study, stages, overview_of):
    stages("activations", "fit")
    path = study.run_correlations_path(STEM, "en")
    path.unlink()
    study.layer_correlations_path(STEM, 0, "en").unlink()
    parts = files.hidden(path, "parts")
    parts.mkdir()
    for layer in range(3):
        (parts / f"layer-{layer}.npz").write_bytes(b"")
    assert "3 layers" in overview_of()[1]


def test_an_extraction_that_was_stopped_is_known_and_can_be_run(study_folder, overview_of):
    path = study.activations_path("me_lm_step4", "en")
    path.parent.mkdir()
    with pytest.raises(KeyboardInterrupt), study.parts_of(path, {"revision": "step4"}, "me/lm") as parts:
        (parts / "run-1.npz").write_bytes(b"")
        raise KeyboardInterrupt
    assert "1 run" in overview_of()[1]
    assert overview_of("--todo", "activations") == (
        *(0, "python extract_llm_activations.py --model me/lm --revision step4 --lang en\n"),
        "",
    )


def test_options_that_are_as_frequent_as_others_are_not_other_options(study_folder):
    assert overview.most_common(["a", "b", None]) is None
    assert overview.most_common(["a", "b", "a"]) == "a"
    assert overview.most_common([None]) is None


def test_whoever_reads_no_further_sees_no_error(study_folder):
    """As ``| head`` does once it has its lines."""
    command = f"{shlex.quote(sys.executable)} {ROOT / 'llm_brain_asym.py'} | true; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("141\n", "")
