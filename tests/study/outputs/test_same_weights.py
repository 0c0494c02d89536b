"""Equal weights under several revisions, and two models of one folder name: what is told of them."""

import json

import numpy as np
import pandas as pd
import pytest

from study.checkpoints import find_fitted_checkpoints
from study.files.safe_joblib import write_arrays
from study.files.tables import write_table
from study.outputs.comparability import find_differences
from study.outputs.correlations import read_all_correlations, read_correlations
from study.outputs.same_weights import describe_weights, mark_same_weights
from study.paths import (
    activations_path,
    all_layer_correlations_paths,
    benchmark_pairs_path,
    benchmark_path,
    layer_correlations_path,
    run_correlations_path,
)
from study.records import record_path, write_record

# ---------------------------------------------------------------- equal weights under several revisions


def make_study(folder, weights_of_steps, seed_of_steps):
    """A study of which every step has a fit and BLiMP; which weights are on record, and which numbers came out."""
    rng = {seed: np.random.default_rng(seed) for seed in seed_of_steps.values()}
    numbers = {seed: (rng[seed].normal(size=(3, 2, 24)), rng[seed].normal(size=4)) for seed in rng}
    for step, seed in seed_of_steps.items():
        stem = f"me_pythia_step{step}"
        correlations, scores = numbers[seed]
        checkpoint = {"model": "me/pythia", "revision": f"step{step}"}
        if step in weights_of_steps:
            checkpoint |= {"commit": f"{step:040x}", "files": weights_of_steps[step]}
        path = run_correlations_path(stem, "en")
        path.parent.mkdir(exist_ok=True)
        np.savez(path, correlations=correlations, alphas=np.ones((3, 2)))
        write_record(path, {"alphas": [2, 7, 16]}, [], 0, checkpoint)
        for layer, of_layer in enumerate(correlations):
            write_arrays(layer_correlations_path(stem, layer, "en"), of_layer.mean(axis=0))
        pairs = pd.DataFrame({"paradigm": "p", "pair": range(4), "logprob_good": scores, "logprob_bad": -1.0})
        write_table(benchmark_pairs_path(stem, "blimp"), pairs)
        accuracy = pd.DataFrame({"paradigm": ["p"], "accuracy": [(scores > -1).mean()]})
        write_table(benchmark_path(stem, "blimp"), accuracy)


def marked(lang="en"):
    """The column of the table, by revision, as the notebook makes it."""
    checkpoints, _ = find_fitted_checkpoints("me/pythia", lang)
    checkpoints, correlations, _ = read_all_correlations(checkpoints, lang)
    table = mark_same_weights(checkpoints, correlations, lang)
    return dict(zip(table["revision"], table["same_weights_as"], strict=True)), table


SHARDS = {"model-00001-of-00002.safetensors": "1", "model-00002-of-00002.safetensors": "2"}
SHARDS_AGAIN = {"model_a-1-of-2.safetensors": "2", "model_b-2-of-2.safetensors": "1"}


def test_weights_of_the_same_checksums_are_marked(study_folder):
    one, two = {"model.safetensors": "w", "config.json": "a"}, {"model.safetensors": "w", "config.json": "b"}
    by_step = {1: one, 2: {"model.safetensors": "v"}, 4: two, 8: SHARDS, 16: SHARDS_AGAIN}
    make_study(study_folder, by_step, {step: step for step in by_step})
    column, table = marked()
    assert column == {"step1": "step4", "step2": "", "step4": "step1", "step8": "step16", "step16": "step8"}
    consequence = "they are drawn hollow and left out of every fit over training"
    assert find_differences("me/pythia", table, "en") == [
        f"{steps} have the same weights: {consequence}, since their step is unknown"
        for steps in ("step1 and step4", "step8 and step16")
    ]


@pytest.mark.parametrize("kept", ["correlations", "averages", "pairs", "activations"])
def test_outputs_equal_to_the_last_bit_are_marked(study_folder, kept):
    make_study(study_folder, {}, {1: 1, 2: 2, 4: 1, 8: 3})
    for step in (1, 2, 4, 8):
        stem = f"me_pythia_step{step}"
        if kept == "averages":
            run_correlations_path(stem, "en").unlink()
        if kept != "pairs":
            benchmark_pairs_path(stem, "blimp").unlink()
        if kept in ("pairs", "activations"):
            noise = np.random.default_rng(step).normal(size=(3, 2, 24))
            np.savez(run_correlations_path(stem, "en"), correlations=noise)
        if kept == "activations":
            path = activations_path(stem, "en")
            path.parent.mkdir(exist_ok=True)
            path.touch()
            write_record(path, {}, [], 0, checksums={path.name: str(step % 3)})
    expected = {1: "step4", 2: "step8", 4: "step1", 8: "step2"} if kept == "activations" else {1: "step4", 4: "step1"}
    column, table = marked()
    assert {int(name[4:]): others for name, others in column.items() if others} == expected
    assert describe_weights(table)[0].startswith(
        "step1 and step4 have the same weights (or outputs of one were copied: they are equal to the last bit)"
    )


def test_numbers_that_say_nothing_make_no_weights_equal(study_folder):
    make_study(study_folder, {}, {1: 1, 2: 2, 4: 3})
    for step, value in ((1, np.nan), (2, np.nan), (4, 0.0)):
        path = run_correlations_path(f"me_pythia_step{step}", "en")
        np.savez(path, correlations=np.full((3, 2, 24), value))
    assert set(marked()[0].values()) == {""}
    nearly = np.random.default_rng(0).normal(size=(3, 2, 24))
    for step in (1, 2, 4):
        np.savez(run_correlations_path(f"me_pythia_step{step}", "en"), correlations=nearly)
        nearly[0, 0, step] = np.nextafter(nearly[0, 0, step], 1)
    assert set(marked()[0].values()) == {""}


def test_a_checkpoint_that_is_not_fitted_counts_too(study_folder):
    make_study(study_folder, {step: {"model.safetensors": "w"} for step in (1, 2)}, {1: 1, 2: 2, 4: 4, 8: 8})
    path = activations_path("me_pythia_step2", "en")
    path.parent.mkdir(exist_ok=True)
    run_correlations_path("me_pythia_step2", "en").rename(path)
    record = record_path(run_correlations_path("me_pythia_step2", "en"))
    record.rename(record_path(path))
    for layer in all_layer_correlations_paths("me_pythia_step2", "en"):
        layer.unlink()
    column, table = marked()
    assert column == {"step1": "step2", "step4": "", "step8": ""}
    assert describe_weights(table)[0].startswith("step1 and step2 have the same weights")


def test_the_overview_tells_of_equal_weights(study_folder, call):
    by_step = {step: {"model.safetensors": str(step % 4)} for step in (1, 2, 4, 8, 16)}
    make_study(study_folder, by_step, {step: step for step in by_step})
    sentence = "step4, step8 and step16 have the same weights: they are drawn hollow"
    status, printed, _ = call("llm_brain_asym")
    assert (status, printed.count("the same weights")) == (0, 1)
    assert sentence in printed.splitlines()[-1]
    status, printed, _ = call("llm_brain_asym", "--check")
    assert f"warning: {sentence}" in printed
    content = json.loads(call("llm_brain_asym", "--json")[1])
    column = {row["revision"]: row["same_weights_as"] for row in content["checkpoints"]}
    assert column["step8"] == "step4, step16"
    assert column["step1"] == column["step2"] == ""
    assert content["notices"][0].startswith(sentence)


def test_correlations_are_read_once_for_the_overview(study_folder, call, monkeypatch):
    make_study(study_folder, {}, {1: 1, 2: 2})
    read, names = read_correlations, []
    monkeypatch.setattr("report.states.read_correlations", lambda stem, lang: names.append(stem) or read(stem, lang))
    assert call("llm_brain_asym")[0] == 0
    assert sorted(names) == ["me_pythia_step1", "me_pythia_step2"]


def test_a_checkpoint_of_no_known_training_is_not_compared(study_folder, call):
    make_study(study_folder, {step: {"model.safetensors": "w"} for step in (4, 8)}, {4: 4, 8: 8})
    for path in (study_folder / "llms_brain_correlations").glob("*step8*"):
        path.rename(path.with_name(path.name.replace("step8", "main")))
    for path in (study_folder / "blimp_results").glob("*step8*"):
        path.unlink()
    record = next((study_folder / "llms_brain_correlations").glob("*main*.json"))
    record.write_text(record.read_text().replace('"step8"', '"main"'))
    assert "same weights" not in call("llm_brain_asym")[1]


def test_weights_that_are_the_same_in_part_are_told(study_folder):
    others = [SHARDS | {"model-00002-of-00002.safetensors": str(number)} for number in (2, 3, 4)]
    others[2]["model-00001-of-00002.safetensors"] = "5"
    by_step = dict(zip((1, 2, 4), others, strict=True))
    make_study(study_folder, by_step, {step: step for step in by_step})
    column, table = marked()
    assert set(column.values()) == {""}
    assert describe_weights(table) == [
        "step1 and step2 share model-00001-of-00002.safetensors, though their other weights differ: one of them may "
        "have been uploaded wrongly"
    ]


# ---------------------------------------------------------------- two models of one folder name


def write_fits(records):
    """Fits of checkpoints of a model called lm, with a dict on record for each."""
    for number, (step, checkpoint) in enumerate(records.items()):
        stem = f"lm_tokens{step}K"
        for path in (layer_correlations_path(stem, 0, "en"), run_correlations_path(stem, "en")):
            path.parent.mkdir(exist_ok=True)
        correlations = np.random.default_rng(number).normal(size=(1, 2, 24))
        np.savez(run_correlations_path(stem, "en"), correlations=correlations)
        write_arrays(layer_correlations_path(stem, 0, "en"), correlations[0].mean(axis=0))
        checkpoint = {"model": "lm", "revision": f"tokens{step}K"} | checkpoint
        write_record(run_correlations_path(stem, "en"), {}, [], 0, checkpoint)


def test_two_models_of_one_folder_name_are_told(study_folder, call):
    write_fits({1: {"folder": "/a/lm"}, 2: {"folder": "/b/lm"}, 4: {"model": "/a/lm"}, 8: {"files": {"x": "y"}}})
    sentence = "checkpoints come from 2 folders, /a/lm and /b/lm, which may contain different models of the same name"
    printed = call("llm_brain_asym")[1]
    assert sentence in printed.splitlines()[-1]
    assert f"warning: {sentence}" in call("llm_brain_asym", "--check")[1]
    checkpoints, _ = find_fitted_checkpoints("lm", "en")
    assert any(sentence in line for line in find_differences("lm", checkpoints, "en"))


def test_a_model_that_was_moved_is_one_model(study_folder, call):
    write_fits({1: {"folder": "/a/lm"}, 2: {"folder": "/b/lm"}})
    path = benchmark_path("lm_tokens2K", "blimp")
    write_table(path, pd.DataFrame({"paradigm": ["p"], "accuracy": [0.5]}))
    write_record(path, {}, [], 0, {"model": "lm", "revision": "tokens2K", "folder": "/a/lm"})
    assert "folders" not in call("llm_brain_asym")[1]
    write_fits({1: {"folder": "/a/lm"}, 2: {"folder": "/a/lm"}})
    assert "folders" not in call("llm_brain_asym")[1]
