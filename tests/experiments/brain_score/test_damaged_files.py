"""Damage every file that scoring and comparing read: each time one line and status 2, never a traceback."""

import contextlib
import shutil

import numpy as np
import pytest
from damage import ANY, a_flipped_bit, code

from study.files.safe_joblib import write_arrays
from study.paths import activations_path, brain_benchmark_path, brain_benchmark_scores_path, brain_ceiling_path

N_RUNS, N_UNITS = 5, 30
SCORE = ("experiments.brain_score.score", "--benchmark", "made", "--permutations", 5, "--overwrite")
COMPARE = ("experiments.brain_score.compare",)


@pytest.fixture
def made_study(study_folder, call, tmp_path):
    """A scored model with a nuisance, units and ceilings."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "r.npz", responses=rng.standard_normal((N_UNITS, 4)))
    rows = [f"word{number},{number * N_RUNS // N_UNITS}" for number in range(N_UNITS)]
    (tmp_path / "s.csv").write_text("\n".join(["stimulus,run", *rows]) + "\n")
    (tmp_path / "n.csv").write_text("neuroid,subject\n0,p\n1,p\n2,q\n3,q\n")
    own = ("--responses", tmp_path / "r.npz", "--stimuli", tmp_path / "s.csv", "--neuroids", tmp_path / "n.csv")
    assert call("experiments.brain_score.prepare", "--benchmark", "made", *own)[0] == 0
    for stem, n_layers in {"lm": 2, "baseline_length": 1}.items():
        layers = rng.standard_normal((n_layers, N_UNITS, 3)).astype(np.float32)
        activations_path(stem, "made").parent.mkdir(exist_ok=True)
        runs = [list(run) for run in np.split(layers, N_RUNS, axis=1)]
        write_arrays(activations_path(stem, "made"), runs)
    np.savez(study_folder / "units.npz", mask=np.ones((2, 3), dtype=bool))
    assert call("experiments.brain_score.ceiling", "--benchmark", "made", "--n_pools", 1)[0] == 0
    assert call(*SCORE, "--model", "lm")[0] == 0
    return study_folder


def find_files(folder):
    """Return each file, and the command that reads it."""
    with_all = (*SCORE, "--model", "lm", "--nuisance", "baseline_length", "--units", folder / "units.npz")
    return {
        brain_benchmark_path("made"): with_all,
        activations_path("lm", "made"): with_all,
        activations_path("baseline_length", "made"): with_all,
        folder / "units.npz": with_all,
        brain_ceiling_path("made", "groups", "ridge"): with_all,
        brain_benchmark_scores_path("lm", "made", "groups", "ridge"): COMPARE,
    }


def test_every_damage_of_every_file_is_one_line(made_study, call, tmp_path):
    for path, command in find_files(made_study).items():
        kept = shutil.copy(path, tmp_path / "kept")
        for damage in [a_flipped_bit, *ANY, code]:
            damage(path)
            status, _, error = call(*command)
            if status == 0 and damage is a_flipped_bit:
                shutil.copy(kept, path)  # the bit is in an array that the command does not use
                continue
            assert (status, error.count("\n"), path.name in error) == (2, 1, True), (path.name, damage.__name__, error)
            with contextlib.suppress(IsADirectoryError, PermissionError):
                path.unlink()
            if path.is_dir():
                path.rmdir()
            shutil.copy(kept, path)
    assert not (made_study / "hostile").exists()


def test_arrays_of_other_shapes_are_one_line(made_study, call, tmp_path):
    for path, command in find_files(made_study).items():
        if path.suffix != ".npz":
            continue
        kept = shutil.copy(path, tmp_path / "kept")
        with np.load(kept) as file:
            arrays = dict(file)
        for name, values in arrays.items():
            for wrong in (np.zeros(()), np.zeros((3, 1, 2, 2)), values[:0] if values.ndim else np.array("x")):
                np.savez(path, **(arrays | {name: wrong}))
                status, _, error = call(*command)
                is_one_line = status == 2 and error.count("\n") == 1
                # What a command does not use may have any shape.
                assert is_one_line or status == 0, (path.name, name, wrong.shape, error)
        shutil.copy(kept, path)
