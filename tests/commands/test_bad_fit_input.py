"""The two scripts, from files to files: the published method's numbers, and what they say to bad input."""

import gzip
import os
import shutil
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
from helpers import STEM, all_files
from script_faults import edit_timings, refuses

from pipeline.errors import InputError
from study.files.safe_joblib import read_arrays, write_arrays
from study.files.tables import write_table
from study.outputs.comparability import find_differences
from study.paths import (
    activations_path,
    average_subject_path,
    benchmark_path,
    mask_path,
    onsets_offsets_path,
    run_correlations_path,
    text_path,
    word_timings_path,
)
from study.records import write_record
from study.require import require_output


def change_activations(change):
    """Replace every array of the activation file by change(run, layer, array)."""
    path = activations_path(STEM, "en")
    runs = read_arrays(path)
    joblib.dump(
        [[change(run, layer, values) for layer, values in enumerate(layers)] for run, layers in enumerate(runs)],
        path,
        compress="lz4",
    )


FIT_FAULTS = {
    "no activations": (
        lambda folder: activations_path(STEM, "en").unlink(),
        rf"{STEM}_en\.lz4: expected a file, got none; .*extract_llm_activations\.py makes it",
    ),
    "no fmri": (
        lambda folder: [average_subject_path("en", run).unlink() for run in range(4)],
        r"average_subject_run-0\.gz: expected a file, got none\. Get it from http",
    ),
    "a run of fmri too few": (
        lambda folder: average_subject_path("en", 3).unlink(),
        r"onsets_offsets_en\.lz4: expected 3 runs, as .*lpp_en_average_subject has, got 4",
    ),
    "a run shorter than the trimming": (
        lambda folder: write_arrays(average_subject_path("en", 2), np.random.rand(20, 24)),
        r"average_subject_run-2\.gz: run 2: 20 scans are too few: 10 are cut off at each end",
    ),
    "words after the last scan": (
        lambda folder: write_arrays(average_subject_path("en", 2), np.random.rand(30, 24)),
        r"onsets_offsets_en\.lz4 does not fit .*average_subject_run-2\.gz: run 2: word \d+ .* begins after the end",
    ),
    "truncated fmri": (
        lambda folder: average_subject_path("en", 1).write_bytes(average_subject_path("en", 1).read_bytes()[:-100]),
        r"average_subject_run-1\.gz: it is truncated",
    ),
    "two runs of fmri": (
        lambda folder: (
            [average_subject_path("en", run).unlink() for run in (2, 3)],
            write_arrays(onsets_offsets_path("en"), read_arrays(onsets_offsets_path("en"))[:2]),
        ),
        r"lpp_en_average_subject: 2 runs are too few: one is held out",
    ),
    "an image in the place of fmri": (
        lambda folder: shutil.copy(mask_path("en"), average_subject_path("en", 1)),
        r"average_subject_run-1\.gz: expected arrays that joblib wrote, got a NIfTI image\. Write them with joblib",
    ),
    "foreign fmri": (
        lambda folder: average_subject_path("en", 1).write_bytes(gzip.compress(b"some other file")),
        r"average_subject_run-1\.gz: ",
    ),
    "fmri of another brain": (
        lambda folder: write_arrays(average_subject_path("en", 1), np.random.rand(60, 23)),
        r"average_subject_run-1\.gz: expected 24 voxels, as in run 0, got 23",
    ),
    "fmri that is not finite": (
        lambda folder: write_arrays(average_subject_path("en", 1), np.full((60, 24), np.nan)),
        r"average_subject_run-1\.gz: expected finite numbers",
    ),
    "fmri that is no array": (
        lambda folder: write_arrays(average_subject_path("en", 1), [1, 2, 3]),
        r"average_subject_run-1\.gz: expected an array of floats of shape \(n_scans, n_voxels\)",
    ),
    "fmri that does not vary": (
        lambda folder: write_arrays(average_subject_path("en", 1), np.ones((60, 24))),
        r"average_subject_run-1\.gz: expected voxels that vary",
    ),
    "truncated activations": (
        lambda folder: activations_path(STEM, "en").write_bytes(activations_path(STEM, "en").read_bytes()[:-100]),
        rf"{STEM}_en\.lz4: it is truncated",
    ),
    "activations of another story": (
        lambda folder: write_arrays(
            activations_path(STEM, "en"), [[np.ones((7, 32), np.float32)] * 3 for _ in range(4)]
        ),
        rf"{STEM}_en\.lz4: run 0: expected 3 layers of float arrays \(\d+, 32\)",
    ),
    "a run of activations too few": (
        lambda folder: write_arrays(activations_path(STEM, "en"), read_arrays(activations_path(STEM, "en"))[:3]),
        rf"{STEM}_en\.lz4: expected 4 runs, as in .*onsets_offsets_en\.lz4, got 3\. Extract again",
    ),
    "a run of activations too many": (
        lambda folder: write_arrays(
            activations_path(STEM, "en"),
            [run for _ in range(2) for run in read_arrays(activations_path(STEM, "en"))],
        ),
        rf"{STEM}_en\.lz4: expected 4 runs, as in .*onsets_offsets_en\.lz4, got more\. Extract again",
    ),
    "activations without layers": (
        lambda folder: write_arrays(activations_path(STEM, "en"), [[], [], [], []]),
        rf"{STEM}_en\.lz4: expected a list over runs",
    ),
    "activations of one run alone": (
        lambda folder: write_arrays(activations_path(STEM, "en"), read_arrays(activations_path(STEM, "en"))[0]),
        rf"{STEM}_en\.lz4: expected a list over runs",
    ),
    "activations with a value that is no number": (
        lambda folder: change_activations(lambda run, layer, values: values if run * layer != 1 else values + np.nan),
        rf"{STEM}_en\.lz4: run 1, layer 1: values that are not finite numbers",
    ),
    "units that differ between runs": (
        lambda folder: change_activations(lambda run, layer, values: values[:, : 32 - (run == 2)]),
        rf"{STEM}_en\.lz4: run 2: expected 4 layers of float arrays",
    ),
    "complex activations": (
        lambda folder: change_activations(lambda run, layer, values: values.astype(np.complex64)),
        rf"{STEM}_en\.lz4: .*none of numbers",
    ),
    "activations that do not vary in one run": (
        lambda folder: change_activations(lambda run, layer, values: values * (run != 3)),
        rf"{STEM}_en\.lz4: layer 0: no unit varies in run 3",
    ),
    "onsets that are words": (
        lambda folder: write_arrays(onsets_offsets_path("en"), [("a", "b")] * 4),
        r"onsets_offsets_en\.lz4: run 0: expected \(onsets, offsets\)",
    ),
    "a file in the place of the output folder": (
        lambda folder: (folder / "llms_brain_correlations").write_text("here"),
        r"_runs_en\.npz cannot be written: .*llms_brain_correlations is not a folder",
    ),
    "activations that are no list": (
        lambda folder: write_arrays(activations_path(STEM, "en"), np.ones((4, 3))),
        rf"{STEM}_en\.lz4: expected a list over runs",
    ),
    "units that do not vary": (
        lambda folder: write_arrays(
            activations_path(STEM, "en"),
            [[np.zeros_like(layer) for layer in run] for run in read_arrays(activations_path(STEM, "en"))],
        ),
        rf"{STEM}_en\.lz4: layer 0: no unit varies in run 0",
    ),
}


@pytest.fixture
def extracted_study(tiny_study, extract):
    assert extract()[0] == 0
    return tiny_study


@pytest.mark.parametrize("fault", FIT_FAULTS)
def test_the_fit_says_what_is_wrong(extracted_study, fit, fault):
    damage, said = FIT_FAULTS[fault]
    damage(extracted_study)
    refuses(extracted_study, fit, said)


def test_a_missing_activation_file_is_reported_with_the_most_similar_names(tmp_path):
    for name in ["zz-7B_step1", "OLMo-7B_step1", *(f"aa{number}" for number in range(8)), "OLMo-7B_step12"]:
        (tmp_path / f"{name}_en.lz4").touch()
    (tmp_path / "onsets_offsets_en.lz4").touch()
    with pytest.raises(
        InputError, match=r"got none; there are OLMo-7B_step12, OLMo-7B_step1, zz-7B_step1, .* 5 more\."
    ):
        require_output(tmp_path / "OLMO-7B_step12_en.lz4", "extract_llm_activations.py")


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        ("extract_llm_activations", ["--model", "x", "--lang", "de"], r"invalid choice: 'de' \(choose from .*en.*fr"),
        ("extract_llm_activations", ["--model", "x", "--lang", "de"], "CONTRIBUTING.md explains how to add a language"),
        ("extract_llm_activations", [], "required: --model"),
        ("extract_llm_activations", ["--model", "/nowhere/at/all"], "--model /nowhere/at/all: expected a folder"),
        ("fit_average_subject", ["--model", "x", "--lang", "zz"], "invalid choice: 'zz'"),
        ("extract_llm_activations", ["--model", "x\ny"], "argument --model: expected a name, got "),
        ("extract_llm_activations", ["--model", "x\0"], r"argument --model: expected a name, got "),
        ("extract_llm_activations", ["--model", " "], "argument --model: expected a name, got ' '"),
        ("extract_llm_activations", ["--model", "../../x"], r"--model \.\./\.\./x: expected a folder"),
        (
            "extract_llm_activations",
            ["--model", "~/models/x"],
            r"--model ~/models/x: expected .*, got a missing folder",
        ),
        ("extract_llm_activations", ["--model", "./x"], r"--model \./x: expected .*, got a missing folder"),
        ("extract_llm_activations", ["--model", "models/x/step1"], r"--model models/x/step1: .*, got a missing folder"),
        ("extract_llm_activations", ["--model", "x", "--revision", "../../y"], "leads out of the model's folder"),
        ("extract_llm_activations", ["--model", "x", "--revision", "/y"], "leads out of the model's folder"),
        ("generate_texts", ["--model", "x", "--revision", "y/../../z"], "leads out of the model's folder"),
        ("evaluate_llm_dyck", ["--model", "x", "--revision", "a\tb"], "expected a name"),
        ("fit_average_subject", ["--model", "../../x"], r"onsets_offsets_en\.lz4: expected a file, got none"),
        ("fit_average_subject", ["--model", "x", "--alphas", "7", "2", "16"], "--alphas 7 2 16: give two exponents"),
        ("fit_average_subject", ["--model", "x", "--alphas", "2", "7", "1.5"], "--alphas 2 7 1.5: give two exponents"),
        (
            "fit_average_subject",
            ["--model", "x", "--alphas", "nan", "7", "16"],
            "--alphas nan 7 16: give two exponents",
        ),
        ("fit_average_subject", ["--model", "x", "--alphas", "2", "7", "inf"], "--alphas 2 7 inf: give two exponents"),
        ("fit_average_subject", ["--model", "x", "--alphas", "2", "60", "9"], "--alphas 2 60 9: give two exponents"),
        ("fit_average_subject", ["--model", "x", "--threads", "0"], "--threads: 0 is less than 1"),
        ("fit_average_subject", ["--model", "x", "--device", "meta"], "--device meta cannot be used here"),
        ("extract_llm_activations", ["--model", "x", "--max_length", "0"], "0 is less than 1"),
        ("fit_average_subject", ["--model", "x", "--device", "cuda:77"], "--device cuda:77 cannot be used here"),
    ],
)
def test_options_that_cannot_be(tiny_study, call, script, options, said):
    refuses(tiny_study, lambda *more: call(script, *more), said, *options)


def test_another_model_of_the_same_name_is_not_taken_for_it(tiny_study, call, tiny_checkpoint, tmp_path):
    options = ["extract_llm_activations", "--revision", "step8", "--model"]
    assert call(*options, tiny_checkpoint)[0] == 0
    moved = tmp_path / "elsewhere" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, moved)
    assert "is there already" in call(*options, moved)[1]
    (moved / "step8" / "generation_config.json").write_text("{}")  # which is not used
    assert "is there already" in call(*options, moved)[1]
    config = moved / "step8" / "config.json"
    config.write_text(config.read_text() + "\n")
    before = all_files(tiny_study)
    status, _, err = call(*options, moved)
    assert status == 2
    assert "was made with the model" in err
    assert "which is another one: --overwrite" in err
    assert all_files(tiny_study) == before


def test_work_on_files_that_have_changed_since_is_not_taken_for_finished(tiny_study, extract, fit):
    assert extract()[0] == fit()[0] == 0
    change_activations(lambda run, layer, values: 2 * values + layer)
    later = run_correlations_path(STEM, "en").stat().st_mtime + 10
    os.utime(activations_path(STEM, "en"), (later, later))
    status, _, err = fit()
    assert status == 2
    assert f"{STEM}_en.lz4, which has changed since: --overwrite makes it again" in err
    os.utime(text_path("en"), (later, later))  # a newer copy of the same file
    assert "is there already" in extract()[1]


def later_than(path, seconds=10):
    return (path.stat().st_mtime + seconds,) * 2


@pytest.mark.parametrize("path", [text_path, word_timings_path], ids=["text", "timings"])
def test_activations_of_a_story_that_has_changed_since_are_not_fitted(tiny_study, extract, fit, path):
    assert extract()[0] == 0
    story = path("en")
    if path is text_path:
        with zipfile.ZipFile(story, "a") as archive:
            archive.writestr("note", "of another edition")
    else:
        edit_timings(tiny_study, lambda rows: rows.assign(onset=rows["onset"] + 0.01))
    os.utime(story, later_than(activations_path(STEM, "en")))
    said = rf"{STEM}_en\.lz4: expected an output made from the current .*{story.name}, got .*\.py --overwrite"
    refuses(tiny_study, fit, said)
    assert extract("--overwrite")[0] == fit()[0] == 0


def test_a_fit_of_other_activations_than_are_there_is_told_in_the_notebook(tiny_study, extract, fit):
    assert extract()[0] == fit()[0] == 0
    checkpoints = pd.DataFrame({"stem": [STEM], "revision": ["step8"]})
    assert find_differences("tiny-pythia", checkpoints, "en") == []
    change_activations(lambda run, layer, values: 2 * values + layer)
    os.utime(activations_path(STEM, "en"), later_than(run_correlations_path(STEM, "en")))
    assert find_differences("tiny-pythia", checkpoints, "en") == [
        f"the fit of {STEM} was made from another {STEM}_en.lz4: fit_average_subject.py --overwrite"
    ]


def test_a_study_folder_that_is_not_there_is_named(tmp_path, monkeypatch, call):
    monkeypatch.setenv("LTBA_DIR", str(tmp_path / "nowhere"))
    for script in ("evaluate_llm_dyck", "fit_average_subject", "generate_texts"):
        status, _, err = call(script, "--model", "x")
        assert status == 2
        assert "nowhere: expected a folder, got none. Make it, or name another." in err
    assert not list(tmp_path.iterdir())


def test_what_is_not_alike_along_a_curve_is_told(tiny_study, extract, fit):
    assert extract()[0] == fit()[0] == 0
    stem = STEM.replace("step8", "step16")
    for make in (activations_path, run_correlations_path, benchmark_path):
        for name, value in ((STEM, 1), (stem, 2)):
            path = make(name, "dyck" if make is benchmark_path else "en")
            write_table(path, pd.DataFrame({"paradigm": ["p"] * value, "accuracy": 0.5}))
            write_record(path, {"revision": name, "seed": value, "dtype": "float32"}, [], 0)
    checkpoints = pd.DataFrame({"stem": [STEM, stem], "revision": ["step8", "step16"]})
    assert find_differences("tiny-pythia", checkpoints, "en") == [
        "dyck is another part at step8 (1 of 7 paradigms) than in the rest of the curve (2 of 7 paradigms), "
        "and is left out there",
        "the fit: made with seed 1 and 2 at different checkpoints",
        "activations: made with seed 1 and 2 at different checkpoints",
        "dyck: made with seed 1 and 2 at different checkpoints",
    ]
    assert find_differences("tiny-pythia", checkpoints[:1], "en") == []


def test_a_context_beyond_the_model_s_is_named(tiny_study, extract):
    refuses(tiny_study, extract, "--max_length 129: expected 128 tokens at most", "--max_length", 129)
