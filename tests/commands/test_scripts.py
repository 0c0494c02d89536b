"""The two scripts, from files to files: the published method's numbers, and what they say to bad input."""

import json
import os
import re
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import torch
from encoding_reference import published_method
from helpers import ROOT, STEM, all_files
from nilearn.glm.first_level import compute_regressor
from script_faults import edit_timings, refuses
from threadpoolctl import threadpool_info, threadpool_limits

from study.files.safe_joblib import read_arrays, write_arrays
from study.outputs.correlations import read_correlations
from study.paths import (
    activations_path,
    average_subject_path,
    word_timings_path,
)


def test_from_a_checkpoint_to_the_correlations_of_the_published_method(tiny_study, extract, fit):
    status, printed, _ = extract("--lang", "en")
    assert status == 0
    assert "4 layers (with the embedding) of 32 units" in printed
    activations = joblib.load(tiny_study / "llms_activations" / f"{STEM}_en.lz4")
    onsets_offsets = joblib.load(tiny_study / "llms_activations" / "onsets_offsets_en.lz4")
    timings = pd.read_csv(tiny_study / "lppEN_word_information.csv")
    assert [len(layers) for layers in activations] == [4] * 4
    for run, layers in enumerate(activations):
        rows = timings[timings["section"] == run + 1]
        assert {(layer.shape, layer.dtype.name) for layer in layers} == {((len(rows), 32), "float32")}
        np.testing.assert_array_equal(onsets_offsets[run][0], rows["onset"])
        np.testing.assert_array_equal(onsets_offsets[run][1], rows["offset"])

    status, printed, _ = fit("--alphas", 0, 5, 6)
    assert status == 0
    assert printed.count("layer ") == 5  # a line each, and the best
    with np.load(tiny_study / "llms_brain_correlations" / f"{STEM}_runs_en.npz") as arrays:
        correlations, alphas = arrays["correlations"], arrays["alphas"]
    assert correlations.shape == (4, 4, 24)
    assert correlations.dtype == np.float32
    fmri = [joblib.load(tiny_study / "lpp_en_average_subject" / f"average_subject_run-{run}.gz") for run in range(4)]

    def trimmed(signal):
        kept = signal[10:-10]
        return (kept - kept.mean(axis=0)) / kept.std(axis=0)

    for layer in range(4):
        regressors = []
        for run, (onsets, offsets) in enumerate(onsets_offsets):
            frame_times = np.arange(len(fmri[run])) * 2 + 1
            units = activations[run][layer].T
            columns = [compute_regressor((onsets, offsets - onsets, unit), "glover", frame_times)[0] for unit in units]
            regressors.append(trimmed(np.hstack(columns)))
        expected, expected_alphas = published_method(regressors, [trimmed(run) for run in fmri], np.logspace(0, 5, 6))
        np.testing.assert_allclose(correlations[layer], expected, atol=1e-4)
        np.testing.assert_allclose(alphas[layer], expected_alphas)
        average = joblib.load(tiny_study / "llms_brain_correlations" / f"{STEM}_layer-{layer}_corr_en.gz")
        np.testing.assert_allclose(average, expected.mean(axis=0), atol=1e-4)
        assert average.shape == (24,)


def test_finished_work_is_left_alone_unless_told_otherwise(tiny_study, extract, fit):
    assert extract("--lang", "en")[0] == fit("--alphas", 0, 5, 6)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in tiny_study.rglob("*")}
    status, printed, _ = extract("--lang", "en")
    assert (status, "is there already" in printed) == (0, True)
    status, printed, _ = fit("--alphas", 0, 5, 6)
    assert (status, "is there already" in printed) == (0, True)
    for script, options, said in [
        (fit, ["--alphas", 0, 5, 7], "was made with alphas [0.0, 5.0, 6.0]: --overwrite"),
        (extract, ["--max_length", 64], "was made with max_length None: --overwrite"),
    ]:
        status, _, error = script(*options)
        assert (status, error.count("\n"), said in error) == (2, 1, True)
    assert {path: path.stat().st_mtime_ns for path in tiny_study.rglob("*")} == before
    assert fit("--alphas", 0, 5, 7, "--overwrite")[0] == 0
    record = json.loads((tiny_study / "llms_brain_correlations" / f"{STEM}_runs_en.npz.json").read_text())
    assert record["parameters"] == {"alphas": [0, 5, 7]}
    assert set(record["inputs"]) == {
        f"{STEM}_en.lz4",
        "onsets_offsets_en.lz4",
        *[f"average_subject_run-{run}.gz" for run in range(4)],
    }


def test_rows_that_are_not_used_are_counted(tiny_study, extract):
    assert f"units in {activations_path(STEM, 'en')}\n" in extract()[1]
    edit_timings(tiny_study, lambda rows: pd.concat([rows, rows[:7].assign(word=" ")]))
    _, printed, error = extract("--overwrite")
    n_words = len(pd.read_csv(word_timings_path("en"))) - 7
    assert error == ""
    unused = rf"; 7 of {n_words + 7} rows of lppEN_word_information\.csv have no word"
    assert re.search(rf"^{n_words} words, .*_en\.lz4{unused}$", printed, re.M)


def test_two_penalties_are_told_to_be_ends(tiny_study, extract, fit):
    assert extract()[0] == 0
    assert "both penalties of --alphas 3 5 2 are ends of the range" in fit("--alphas", 3, 5, 2)[1]
    assert "ends of the range" not in fit("--alphas", 3, 5, 3, "--overwrite")[1]


def test_the_judge_that_is_asked_by_default_is_in_the_help(call):
    status, printed, _ = call("evaluate_linguistic_acceptability", "--help")
    assert (status, "(default: yiiino/deberta-v3-large-" in printed) == (0, True)


def test_a_fit_in_tf32_is_not_taken_for_another(tiny_study, extract, fit):
    assert extract()[0] == fit()[0] == 0
    record = tiny_study / "llms_brain_correlations" / f"{STEM}_runs_en.npz.json"
    record.write_text(record.read_text().replace('"parameters": {', '"parameters": {"tf32": true, '))
    assert '"tf32": true' in record.read_text()
    status, _, error = fit()
    assert (status, "was made with tf32 True: --overwrite" in error) == (2, True)


def test_a_device_that_is_too_small_for_the_fit_is_told_in_one_line(tiny_study, extract, fit, monkeypatch):
    assert extract()[0] == 0

    def out_of_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr("study.inputs.story.trim_and_zscore", out_of_memory)
    refuses(tiny_study, fit, "the memory does not hold it: --device cpu may have more")


def test_threads_are_as_many_as_asked_for(tiny_study, extract, fit, monkeypatch):
    monkeypatch.setenv("RAYON_NUM_THREADS", "")
    before, used = torch.get_num_threads(), []
    for stage, n_threads in [(extract, 1), (fit, 3)]:
        with threadpool_limits():  # puts things back
            try:
                assert stage("--threads", n_threads)[0] == 0
                used.append({torch.get_num_threads()} | {pool["num_threads"] for pool in threadpool_info()})
            finally:
                torch.set_num_threads(before)
    assert used == [{1}, {3}]


def test_the_same_work_makes_the_same_bytes(tiny_study, extract, fit):
    outputs = []
    for _ in range(2):
        assert extract("--overwrite")[0] == fit("--alphas", 0, 5, 6, "--overwrite")[0] == 0
        outputs.append({path: content for path, content in all_files(tiny_study).items() if path.suffix != ".json"})
    assert outputs[0] == outputs[1]


def test_results_are_nearly_the_same_with_other_numbers_of_threads(tiny_study, extract, fit):
    results, before = [], torch.get_num_threads()
    with threadpool_limits():  # puts things back
        for n_threads in (1, 2, 4):
            assert extract("--overwrite", "--threads", n_threads)[0] == 0
            assert fit("--alphas", 0, 5, 6, "--overwrite", "--threads", n_threads)[0] == 0
            vectors = read_arrays(activations_path(STEM, "en"))
            correlations = read_correlations(STEM, "en")
            results.append((np.concatenate([np.stack(layers) for layers in vectors], axis=1), correlations))
    torch.set_num_threads(before)
    for vectors, correlations in results[1:]:
        np.testing.assert_allclose(vectors, results[0][0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(correlations, results[0][1], atol=1e-5)


def test_a_voxel_that_does_not_vary_is_nan_and_counted(tiny_study, extract, fit):
    path = average_subject_path("en", 1)
    run = read_arrays(path)
    run[:, 5] = 3
    write_arrays(path, run)
    assert extract()[0] == 0
    status, printed, error = fit("--alphas", 0, 5, 6)
    assert (status, error) == (0, "")
    assert "voxels that do not vary in some run, whose correlation is NaN: 1\n" in printed
    average = joblib.load(tiny_study / "llms_brain_correlations" / f"{STEM}_layer-0_corr_en.gz")
    assert np.flatnonzero(np.isnan(average)).tolist() == [5]


def test_nothing_happens_when_a_script_is_imported(study_folder):
    import extract_llm_activations
    import fit_average_subject

    assert extract_llm_activations.__doc__.strip().splitlines()[2].startswith("    python extract_llm_activations.py")
    assert fit_average_subject.__doc__.strip().splitlines()[2].startswith("    python fit_average_subject.py")
    assert not list(study_folder.iterdir())


def test_where_the_reader_of_the_output_is_gone_a_script_ends_quietly(tmp_path):
    """``python llm_brain_asym.py | head``: once all is printed at the end, and once in the middle."""
    code = "import sys; sys.argv = ['x.py']; import llm_brain_asym as s; s.run_script(lambda: {})"
    for what in ("print('x')", "[print('x' * 99) for _ in range(9999)]", "(print('x'), sys.exit(1))"):
        read, write = os.pipe()
        os.close(read)
        run = subprocess.run(
            [sys.executable, "-c", code.format(what)],
            **{"cwd": ROOT, "stdout": write, "stderr": subprocess.PIPE, "text": True},
        )
        os.close(write)
        assert (run.returncode, run.stderr) == (141, "")
