"""Scripts that are killed at every step they take with a file, equal jobs at the same time, full disks."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest
from helpers import ROOT
from hostile_files import a_bomb, a_nest, an_array_of_terabytes, endless_bytes, endless_text
from interrupted import STAGES, check_whole, command, contents, is_hidden, undisturbed

from study.files.safe_joblib import read_arrays


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
    assert f"cannot be written: {folder} is not a folder that you may write to" in run.stderr
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
