"""Scripts that are killed at every step they take with a file, equal jobs at the same time, full disks."""

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import transformers
from helpers import ENGLISH, ROOT, add_blimp, all_files, byte_level_tokenizer
from hostile_files import a_bomb, a_nest, an_array_of_terabytes, endless_bytes, endless_text

from pipeline.models.loading import load_checkpoint, load_classifier
from pipeline.models.sentence_scores import compute_log_probabilities
from pipeline.tasks import acceptability
from study.files.atomic import hidden_path
from study.files.safe_joblib import read_arrays

CHECKPOINT = ["--model", "MODELS/tiny-pythia", "--revision", "step8", "--device", "cpu"]
# Each with the stages that make what it reads.
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
def models(tmp_path, tiny_checkpoint):
    """Checkpoints, a judge, and prompts."""
    folder = tmp_path / "models"
    shutil.copytree(tiny_checkpoint, folder / tiny_checkpoint.name)
    shutil.copytree(tiny_checkpoint / "step8", folder / tiny_checkpoint.name / "step16")
    (folder / "prompts.txt").write_text("The prince asked.\nIt was lonely.\n")
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    tokenizer.pad_token = "<bos>"
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, pad_token_id=0, id2label={0: "unacceptable", 1: "acceptable"},
    )  # fmt: skip
    for name in ("judge", "another_judge"):
        transformers.DebertaV2ForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def command(stage, models, *options):
    """Arguments of a stage's script; of options that are given twice, the last one counts."""
    return [argument.replace("MODELS", str(models)) for argument in [*STAGES[stage][0], *options]]


@pytest.fixture
def run(together, models):
    """run(stage, folder, *options, **what goes wrong) -> its answer."""
    return lambda stage, folder, *options, **wrong: together(folder, (command(stage, models, *options), wrong))[0]


@pytest.fixture
def prepared(tiny_study, run):
    """prepared(stage): a study in which the stage can begin."""

    def prepare(stage):
        add_blimp(tiny_study)
        for before in STAGES[stage][1]:
            assert run(before, tiny_study)["status"] == 0
        return tiny_study

    return prepare


def contents(folder):
    """Every file and its content; of records, without the command and the time."""
    found = {}
    for path, content in all_files(folder).items():
        if path.suffix == ".json" and "finished" in (record := json.loads(content)):
            content = json.dumps({key: record[key] for key in record.keys() - {"command", "finished", "seconds"}})
        found[str(path.relative_to(folder))] = content
    return found


def is_hidden(name):
    return any(part.startswith(".") for part in name.split("/"))


def undisturbed(run, stage, study_folder, *options):
    """What a study holds after a stage, and how many steps that took."""
    folder = study_folder.with_name("undisturbed")
    shutil.copytree(study_folder, folder)
    answer = run(stage, folder, *options)
    assert answer["status"] == 0, answer
    expected = contents(folder)
    assert not any(map(is_hidden, expected)), sorted(expected)
    assert len(expected) > len(contents(study_folder))
    shutil.rmtree(folder)
    return expected, answer["n_steps"]


def check_whole(folder, inputs, expected):
    """What is there under a final name is what was there before, or what should come to be."""
    whole = {name: content for name, content in contents(folder).items() if not is_hidden(name)}
    assert whole.items() <= expected.items()
    assert whole.items() >= inputs.items()


# ---------------------------------------------------------------- killed


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_that_is_killed_leaves_nothing_half_done_and_goes_on(
    prepared, run, stage, tmp_path, pytestconfig, record_property
):
    """At each step of its work with files, if the test is a long one; else at every ninth."""
    study_folder, folder = prepared(stage), tmp_path / "killed"
    inputs = contents(study_folder)
    expected, n_steps = undisturbed(run, stage, study_folder)
    assert n_steps > 20

    steps = range(1, n_steps + 1, 1 if pytestconfig.getoption("soak") else 9)
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
    steps = range(1, n_steps + 1, 2 if pytestconfig.getoption("soak") else 11)
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
    "extract": ("study.stages.extraction.compute_word_vectors", 4),
    "fit": ("study.stages.fit.cross_validate", 4),
    "texts": ("study.stages.texts.continue_prompts", 6 // 2),
}


class Killed(BaseException):
    """Nobody catches it."""


@pytest.mark.parametrize("stage", UNITS)
def test_finished_parts_are_not_made_again(prepared, models, call, stage, monkeypatch):
    prepared(stage)
    script, *options = command(stage, models)
    name, n_units = UNITS[stage]
    module, _, function = name.rpartition(".")
    does, n_done, most = getattr(importlib.import_module(module), function), 0, 2

    def counted(*arguments, **options):
        nonlocal n_done
        if n_done == most:
            raise Killed
        n_done += 1
        return does(*arguments, **options)

    monkeypatch.setattr(name, counted)
    with pytest.raises(Killed):
        call(script.removesuffix(".py"), *options)
    n_done, most = 0, None
    assert call(script.removesuffix(".py"), *options)[0] == 0
    assert n_done == n_units - 2


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


# ---------------------------------------------------------------- at the same time


@pytest.mark.parametrize("stage", STAGES)
def test_equal_jobs_at_the_same_time_do_the_work_once(
    prepared, together, models, run, stage, pytestconfig, record_property
):
    study_folder, n_races = prepared(stage), 20 if pytestconfig.getoption("soak") else 2
    expected, _ = undisturbed(run, stage, study_folder)
    for _ in range(n_races):
        folder = study_folder.with_name("race")
        shutil.copytree(study_folder, folder)
        answers = together(folder, *[(command(stage, models), {})] * 4)
        assert [answer["status"] for answer in answers] == [0] * 4, answers
        assert contents(folder) == expected
        idle = [answer for answer in answers if re.search("is there already| 0 of them new", answer["printed"])]
        assert len(idle) == 3, answers
        shutil.rmtree(folder)
    record_property("races", n_races)


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_that_waits_goes_on_when_the_other_is_killed(prepared, together, models, run, stage, record_property):
    study_folder = prepared(stage)
    expected, n_steps = undisturbed(run, stage, study_folder)
    killed = {"at": n_steps * 2 // 3, "signal": signal.SIGKILL}
    answers = together(study_folder, *[(command(stage, models), wrong) for wrong in (killed, {}, {})])
    assert {answer["status"] for answer in answers[1:]} == {0}, answers
    assert contents(study_folder) == expected
    record_property("races", 1)


def test_checkpoints_at_the_same_time_share_the_timings(prepared, together, models, record_property):
    """Four jobs at once, as GNU parallel runs them: two checkpoints, and all that is made of them."""
    study_folder = prepared("extract")
    for stages in (("extract", "blimp"), ("fit", "texts")):
        jobs = [
            (command(stage, models, "--revision", revision), {}) for stage in stages for revision in ("step8", "step16")
        ]
        assert [answer["status"] for answer in together(study_folder, *jobs)] == [0] * 4
    found = contents(study_folder)
    assert sum(name.endswith("_gen_0_0.txt") for name in found) == 2
    assert sum(name.endswith("_runs_en.npz") for name in found) == 2
    assert not any(map(is_hidden, found))
    activations = read_arrays(study_folder / "llms_activations" / "tiny-pythia_step16_en.lz4")
    assert [len(layers) for layers in activations] == [4] * 4
    same = "llms_activations/tiny-pythia_step{}_en.lz4"
    assert found[same.format(8)] == found[same.format(16)]
    record_property("races", 2)


def test_two_judges_at_the_same_time_are_in_one_table(prepared, together, models, record_property):
    study_folder = prepared("judge")
    judges = ["judge", "another_judge"]
    jobs = [(command("judge", models, "--classifier", str(models / judge)), {}) for judge in judges]
    assert [answer["status"] for answer in together(study_folder, *jobs)] == [0, 0]
    table = pd.read_csv(study_folder / "generated_texts" / "tiny-pythia_gen_cola.csv")
    assert table.groupby("classifier").size().to_dict() == dict.fromkeys(judges, 6)
    record_property("races", 1)


# ---------------------------------------------------------------- disks and folders


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_named_and_costs_nothing(prepared, run, stage, record_property):
    """Files may have so many bytes and no more, which the system tells as it tells a full disk."""
    study_folder = prepared(stage)
    inputs = contents(study_folder)
    expected, _ = undisturbed(run, stage, study_folder)
    for largest in (0, 10, 100, 400, 1000, 5000):
        answer = run(stage, study_folder, largest=largest)
        if answer["status"] == 0:
            break
        assert answer["status"] == 2, answer
        assert answer["printed"].splitlines()[-1].startswith(f"{STAGES[stage][0][0]}: {study_folder}"), answer
        assert answer["printed"].endswith(" cannot be written: File too large\n")
        assert "Traceback" not in answer["printed"]
        check_whole(study_folder, inputs, expected)
    assert largest > 0
    assert run(stage, study_folder)["status"] == 0
    assert contents(study_folder) == expected
    record_property("full disks", 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a folder that cannot be written to")
def test_a_folder_that_can_only_be_read_is_named(prepared, models):
    study_folder = prepared("extract")
    folder = study_folder / "llms_activations"
    folder.mkdir()
    script, *options = command("extract", models)
    mounted = f"mount --bind '{folder}' '{folder}' && mount -o remount,ro,bind '{folder}' && exec \"$@\""
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, ROOT / script, *options],
        env=os.environ | {"LTBA_DIR": str(study_folder)},
        capture_output=True,
        text=True,
    )
    if "unshare" in run.stderr or "mount" in run.stderr:
        pytest.skip(f"folders cannot be mounted here: {run.stderr.strip()}")
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert f"cannot be written: {folder} is no folder that you may write to" in run.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("extract", "lppEN_word_information.csv"),
        ("fit", "llms_activations/tiny-pythia_step8_en.lz4"),
        ("fit", "lpp_en_average_subject/average_subject_run-2.gz"),
        ("blimp", "blimp/data/two.jsonl"),
    ],
)
def test_a_file_that_vanishes_meanwhile_is_named(prepared, run, stage, name, tmp_path):
    study_folder = prepared(stage)
    _, n_steps = undisturbed(run, stage, study_folder)
    for at in range(1, n_steps, n_steps // 4):
        folder = tmp_path / "vanished"
        shutil.copytree(study_folder, folder)
        inputs = contents(folder)
        answer = run(stage, folder, at=at, remove=str(folder / name))
        if answer["status"] != 0:  # it had been read for the last time
            assert answer["status"] == 2, (at, answer)
            assert "Traceback" not in answer["printed"]
            assert name.rpartition("/")[2] in answer["printed"].splitlines()[-1] or "has" in answer["printed"], answer
            del inputs[name]
            found = {path: content for path, content in contents(folder).items() if not is_hidden(path)}
            assert found.items() >= inputs.items()
            assert not any(path.endswith((".npz", "_blimp.csv")) for path in found)
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["lpp_en_average_subject/average_subject_run-1.gz", "llms_activations/{stem}_en.lz4"])
def test_hostile_files_take_little_memory(prepared, run, name):
    study_folder = prepared("fit")
    usual = run("fit", study_folder)["memory"]
    assert usual > 0
    path = study_folder / name.format(stem="tiny-pythia_step8")
    for damage in (an_array_of_terabytes, a_bomb, a_nest, endless_text, endless_bytes):
        damage(path)
        answer = run("fit", study_folder, "--overwrite")
        assert answer["status"] == 2
        assert path.name in answer["printed"]
        assert answer["memory"] < usual + 150e6
