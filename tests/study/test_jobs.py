"""One job: killed at every step, finished once, void where what it was made from has changed."""

import json
import shutil
import signal

import numpy as np
import pytest
from helpers import all_files

from pipeline.errors import InputError
from study import program
from study.cache import cache_folder
from study.files.safe_joblib import read_arrays
from study.jobs import Job
from study.paths import record_path

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "study"
    (folder / "outputs").mkdir(parents=True)
    (folder / "input.txt").write_text("2")
    (folder / "outputs" / "old.gz").write_bytes(b"")
    return folder


def contents(folder):
    """Files by name with their bytes; of records, without the command and the time."""
    files = {}
    for path, content in all_files(folder).items():
        if path.suffix == ".json" and "finished" in (record := json.loads(content)):
            content = {key: record[key] for key in record.keys() - {"command", "finished", "seconds"}}
        files[str(path.relative_to(folder))] = content
    return files


def test_a_job_that_is_killed_at_any_step_leaves_nothing_half_done_and_goes_on(
    light_together, folder, tmp_path, record_property
):
    undisturbed = shutil.copytree(folder, tmp_path / "undisturbed")
    (answer,) = light_together(undisturbed, (["job_command.py"], {}))
    assert (answer["status"], answer["printed"]) == (0, "3 parts\n")
    before, expected = contents(folder), contents(undisturbed)
    assert sorted(expected) == ["input.txt", "outputs/first.gz", "outputs/last.gz", "outputs/last.gz.json"]
    for step in range(1, answer["n_steps"] + 1):
        number, killed = SIGNALS[step % 3], shutil.copytree(folder, tmp_path / f"killed-{step}")
        (stopped,) = light_together(killed, (["job_command.py"], {"at": step, "signal": number}))
        assert stopped["status"] == (-9 if number == signal.SIGKILL else 128 + number), step
        whole = {name: content for name, content in contents(killed).items() if "/." not in name}
        assert whole.items() <= (before | expected).items(), step
        assert ("outputs/last.gz" in whole) <= ({"outputs/first.gz", "outputs/last.gz.json"} <= whole.keys()), step
        (finished,) = light_together(killed, (["job_command.py"], {}))
        assert finished["status"] == 0, (step, finished)
        assert contents(killed) == expected, step
        shutil.rmtree(killed)
    assert answer["n_steps"] > 30
    record_property("kills", answer["n_steps"])


@pytest.fixture
def make_job(folder):
    """Return a function that makes a job on the same output, with other options where they are given."""

    def make(**options):
        options = {"parameters": {"alphas": 3}, "modules": ["study.jobs"], "inputs": [folder / "input.txt"]} | options
        return Job(folder / "outputs" / "last.gz", options.pop("parameters"), **options)

    return make


def interrupt(job):
    """Enter a job, cache a part, and leave by an error."""
    with pytest.raises(KeyboardInterrupt), job:
        job.cached("part", lambda: {"values": np.ones(2)})
        raise KeyboardInterrupt


def has_part(job):
    """Return whether a job finds the cached part; the job is interrupted again."""
    with pytest.raises(KeyboardInterrupt), job:
        is_there = job.load("part") is not None
        raise KeyboardInterrupt
    return is_there


def test_a_part_is_computed_once(make_job):
    interrupt(make_job())
    with make_job() as job:
        np.testing.assert_array_equal(job.cached("part", lambda: pytest.fail("computed"))["values"], np.ones(2))
    assert not cache_folder(job.output).exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"parameters": {"alphas": 4}}, "alphas 3 (now 4)"),
        ({"modules": ["study.jobs", "pipeline.encoding.folds"]}, "another version of pipeline/encoding/folds.py"),
        ({"model": "me/lm"}, 'model null (now "me/lm")'),
    ],
    ids=["options", "program", "model"],
)
def test_parts_that_were_made_in_another_way_are_removed_and_named(make_job, capsys, changed, said):
    interrupt(make_job())
    assert has_part(make_job())
    assert not has_part(make_job(**changed))
    assert f"starts over: its cached parts were made with {said}" in capsys.readouterr().out


def test_parts_are_void_if_an_input_or_the_version_of_a_package_has_changed(make_job, folder, capsys, monkeypatch):
    interrupt(make_job())
    (folder / "input.txt").write_text("34")
    assert not has_part(make_job())
    assert "another input.txt" in capsys.readouterr().out
    interrupt(make_job())
    monkeypatch.setattr("study.jobs.read_versions", lambda: {"torch": "0.1"})
    assert not has_part(make_job())


def test_a_module_that_the_stage_does_not_use_voids_nothing():
    files = {str(file.relative_to(program.ROOT)) for file in program.find_source_files("study.stages.fit")}
    assert {"study/stages/fit.py", "pipeline/encoding/ridge.py", "pipeline/encoding/__init__.py"} <= files
    assert not [file for file in files if file.startswith("report") or "generation" in file or "tasks/dyck" in file]


def test_a_finished_output_is_skipped_and_another_way_of_making_it_is_refused(make_job, capsys):
    with make_job() as job:
        job.finish({job.output: lambda path: path.write_bytes(b"1")}, seed=3)
    record = json.loads(record_path(job.output).read_text())
    assert (record["parameters"], record["seed"], sorted(record["inputs"])) == ({"alphas": 3}, 3, ["input.txt"])
    assert record["program"] == program.read_git_commit()
    with make_job() as again:
        assert again.is_finished
    assert "is there already" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"was made with alphas 3: --overwrite"), make_job(parameters={"alphas": 4}):
        pass
    with make_job(parameters={"alphas": 4}, overwrite=True) as other:
        assert not other.is_finished
        other.finish({other.output: lambda path: path.write_bytes(b"2")})
    assert job.output.read_bytes() == b"2"


def test_an_input_that_changes_during_the_work_is_refused(make_job, folder):
    with pytest.raises(InputError, match=r"input\.txt has changed while it was used"), make_job() as job:
        (folder / "input.txt").write_text("345")
        job.finish({job.output: lambda path: path.write_bytes(b"1")})
    assert not job.output.exists()


def test_the_commit_of_the_project_is_on_record(tmp_path, monkeypatch):
    commit = program.read_git_commit.__wrapped__()
    assert commit == {"commit": None, "has_changes": None} or (len(commit["commit"]) == 40)
    monkeypatch.setattr(program, "ROOT", tmp_path)  # not a checkout
    assert program.read_git_commit.__wrapped__() == {"commit": None, "has_changes": None}


def test_the_smallest_job_writes_what_it_computed(light_together, folder):
    light_together(folder, (["job_command.py"], {}))
    np.testing.assert_array_equal(read_arrays(folder / "outputs" / "first.gz"), [[2] * 3, [3] * 3, [4] * 3])
    assert not (folder / "outputs" / "old.gz").exists()
