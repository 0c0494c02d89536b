"""Scripts that are killed at every step they take with a file, equal jobs at the same time, full disks."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT, Stopped, counting_calls
from interrupted import STAGES, check_whole, command, contents, is_hidden, undisturbed

from pipeline.models.loading import load_checkpoint, load_classifier
from pipeline.models.sentence_scores import compute_log_probabilities
from pipeline.tasks import acceptability
from study.files.atomic import hidden_path

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_that_is_killed_leaves_nothing_half_done_and_goes_on(
    prepared, run, stage, tmp_path, pytestconfig, record_property
):
    """At each step of its work with files, if the test is a long one; else at a few (``test_jobs`` takes each)."""
    study_folder, folder = prepared(stage), tmp_path / "killed"
    inputs = contents(study_folder)
    expected, n_steps = undisturbed(run, stage, study_folder)
    assert n_steps > 20

    steps = range(1, n_steps + 1, 1 if pytestconfig.getoption("soak") else max(9, n_steps // 4))
    for at in steps:
        shutil.copytree(study_folder, folder)
        number = SIGNALS[at % 3]
        answer = run(stage, folder, at=at, signal=number)
        assert answer["status"] == (-9 if number == signal.SIGKILL else 128 + number), (at, answer)
        if number != signal.SIGKILL:
            stopped = f"stopped by {number.name}; the same command goes on from what is finished\n"
            assert answer["printed"].endswith(f"{STAGES[stage][0][0]}: {stopped}")
        assert "Traceback" not in answer["printed"]
        check_whole(folder, inputs, expected)
        answer = run(stage, folder)
        assert answer["status"] == 0, (at, answer)
        assert contents(folder) == expected, at
        shutil.rmtree(folder)
    record_property("kills", len(steps))


OVERWRITTEN = {
    "extract": (["--max_length", "50"], "llms_activations"),
    "fit": (["--alphas", "1", "4", "4"], "llms_brain_correlations"),
    "blimp": (["--leading_space"], "blimp_results"),
}


@pytest.mark.parametrize("stage", OVERWRITTEN)
def test_old_and_new_outputs_are_never_mixed(prepared, run, stage, tmp_path, pytestconfig, record_property):
    study_folder, folder = prepared(stage), tmp_path / "killed"
    options, place = OVERWRITTEN[stage]
    assert run(stage, study_folder)["status"] == 0
    old = contents(study_folder / place)
    shutil.copytree(study_folder, folder)
    answer = run(stage, folder, *options, "--overwrite")
    assert answer["status"] == 0, answer
    new, n_steps = contents(folder / place), answer["n_steps"]
    assert old.keys() == new.keys()
    steps = range(1, n_steps + 1, 2 if pytestconfig.getoption("soak") else max(11, n_steps // 4))
    for at in steps:
        shutil.rmtree(folder)
        shutil.copytree(study_folder, folder)
        assert run(stage, folder, *options, "--overwrite", at=at, signal=signal.SIGKILL)["status"] == -9
        found = contents(folder / place)
        whole = {name: content for name, content in found.items() if not is_hidden(name)}
        assert whole.items() <= old.items() or whole.items() <= new.items(), at
        assert run(stage, folder, *options, "--overwrite")["status"] == 0
        assert contents(folder / place) == new, at
    record_property("kills", len(steps))


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_that_is_killed_again_and_again_comes_to_its_end(prepared, run, stage, record_property):
    """Every time after as many steps: it would never end if it did not go on from where it was."""
    study_folder = prepared(stage)
    expected, n_steps = undisturbed(run, stage, study_folder)
    n_kills = 0
    while True:
        answer = run(stage, study_folder, at=n_steps * 4 // 5, signal=signal.SIGKILL)
        if answer["status"] == 0:
            break
        assert answer["status"] == -9
        n_kills += 1
        assert n_kills < 20
    assert n_kills > 0
    assert contents(study_folder) == expected
    record_property("kills", n_kills)


# What does a unit of a job's work, and how many there are.
UNITS = {
    "extract": ("study.stages.extraction.read_run", 4),
    "fit": ("study.stages.fit.cross_validate", 4),
    "texts": ("study.stages.texts.continue_prompts", 6 // 2),
}


@pytest.mark.parametrize("stage", UNITS)
def test_finished_parts_are_not_made_again(prepared, models, call, stage, monkeypatch):
    prepared(stage)
    script, *options = command(stage, models)
    name, n_units = UNITS[stage]
    with counting_calls(monkeypatch, name, most=2), pytest.raises(Stopped):
        call(script.removesuffix(".py"), *options)
    with counting_calls(monkeypatch, name) as calls:
        assert call(script.removesuffix(".py"), *options)[0] == 0
    assert len(calls) == n_units - 2


@pytest.mark.parametrize("n_known", [0, 8, 24, 40])
def test_minimal_pairs_go_on_with_the_first_batch_that_is_not_known(models, n_known, monkeypatch):
    model, tokenizer, _ = load_checkpoint(str(models / "tiny-pythia"), "step8", "cpu")
    sentences = [f"The {word} of number {k} is here." for word in ("prince", "snake") for k in range(20)]
    kept = []

    def keep_copy(scores):
        kept.append(scores.copy())

    whole = compute_log_probabilities(sentences, model, tokenizer, 8, keep=keep_copy)
    assert [np.isfinite(scores).sum() for scores in kept] == [8, 16, 24, 32, 40]
    known = next((scores for scores in kept if np.isfinite(scores).sum() == n_known), np.full(40, np.nan))
    kept.clear()
    again = compute_log_probabilities(sentences, model, tokenizer, 8, known=known, keep=keep_copy)
    np.testing.assert_array_equal(again, whole)
    assert [np.isfinite(scores).sum() for scores in kept] == [n for n in (8, 16, 24, 32, 40) if n > n_known]
    known[np.isfinite(known)] = -1.0  # whatever is known is taken, in its place
    again = compute_log_probabilities(sentences, model, tokenizer, 8, known=known)
    np.testing.assert_array_equal(again == -1, np.isfinite(known))


@pytest.mark.parametrize("n_known", [0, 4, 9])
def test_judging_goes_on_with_the_first_batch_that_is_not_known(models, n_known):
    model, tokenizer, _ = load_classifier(str(models / "judge"), "cpu")
    sentences = [f"It is {'very ' * k}good." for k in range(9)]
    kept = []
    whole = acceptability.judge_sentences(
        sentences, model, tokenizer, 1, 2, keep=lambda judged: kept.append(judged.copy())
    )
    known = next((judged for judged in kept if np.isfinite(judged[:, 0]).sum() == n_known), np.full((9, 2), np.nan))
    n_calls = len(kept)
    again = acceptability.judge_sentences(sentences, model, tokenizer, 1, 2, known=known, keep=kept.append)
    np.testing.assert_array_equal(again, whole)
    assert len(kept) - n_calls == -(-(9 - n_known) // 2)


def test_parts_of_other_work_are_not_used(prepared, run):
    """Other penalties, and other activations: the fit begins anew."""
    study_folder, other = prepared("fit"), ["--alphas", "1", "4", "4"]
    expected, n_steps = undisturbed(run, "fit", study_folder, *other)
    assert run("fit", study_folder, at=n_steps * 2 // 3, signal=signal.SIGKILL)["status"] == -9
    parts = hidden_path(study_folder / "llms_brain_correlations" / "tiny-pythia_step8_runs_en.npz", "parts")
    assert len(list(parts.glob("layer-*.npz"))) > 1
    answer = run("fit", study_folder, *other)
    assert answer["status"] == 0
    differ = "alphas [0.0, 5.0, 6.0] (now [1.0, 4.0, 4.0])"
    assert f"starts over: its cached parts were made with {differ}\n" in answer["printed"]
    assert contents(study_folder) == expected


def test_parts_that_are_damaged_are_named(prepared, run):
    study_folder = prepared("fit")
    parts = hidden_path(study_folder / "llms_brain_correlations" / "tiny-pythia_step8_runs_en.npz", "parts")
    _, n_steps = undisturbed(run, "fit", study_folder)
    assert run("fit", study_folder, at=n_steps * 2 // 3, signal=signal.SIGKILL)["status"] == -9
    (parts / "layer-0.npz").write_bytes(b"PK")
    answer = run("fit", study_folder)
    assert answer["status"] == 2
    assert f"layer-0.npz: remove {parts}, so that the work starts over" in answer["printed"]


def shell(script, folder, *options):
    """The command as a user types it."""
    environment = os.environ | {"LTBA_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, ROOT / script, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_command_is_stopped_at_any_time(prepared, models, run, stage, pytestconfig, record_property):
    """As a user starts it, and while it still imports what it needs."""
    study_folder = prepared(stage)
    inputs = contents(study_folder)
    expected, _ = undisturbed(run, stage, study_folder)
    script, *options = command(stage, models)
    started = time.monotonic()
    whole = shell(script, study_folder.with_name("nowhere"), *options)
    whole.communicate()
    seconds = time.monotonic() - started  # of the imports, which end with the folder that is not there
    shares = [k / 12 for k in range(1, 22)] if pytestconfig.getoption("soak") else [0.3]
    for k, share in enumerate(shares):
        number = SIGNALS[(k + 2) % 3]
        process = shell(script, study_folder, *options)
        time.sleep(max(0.15, share * seconds))
        process.send_signal(number)
        printed, _ = process.communicate()
        if process.returncode == 0:  # it was faster
            break
        assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), (share, printed)
        assert "Traceback" not in printed
        assert number == signal.SIGKILL or printed.count("stopped by") == 1
        check_whole(study_folder, inputs, expected)
    assert run(stage, study_folder)["status"] == 0
    assert contents(study_folder) == expected
    record_property("kills", len(shares))
