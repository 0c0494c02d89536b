"""Items that lm_eval wrote with --log_samples are resampled jointly, and every reason against it is named."""

import itertools
import json
import re

import numpy as np
import pytest
from lm_eval_content import checkpoints_of, content, write

from pipeline.errors import InputError
from pipeline.tasks.lm_eval_results import select_headline_rows
from report.results import compute_benchmark_curves
from study.inputs.lm_eval import read_lm_eval
from study.inputs.lm_eval_samples import LOSS, read_lm_eval_items, read_samples
from study.outputs.tasks import read_benchmarks

REVISIONS = ["step8", "step16", "step32"]
TIME = "2026-11-27T16-57-{}.683198"


def make_lines(acc_norm, filter_name="none", **more):
    """Make lines as 0.4.13 writes them (the texts are left out); acc is the opposite of acc_norm."""
    names = {"filter": filter_name, "metrics": ["acc", "acc_norm"], "target": "3"}
    return [
        {"doc_id": k, "doc": {}, **names, "doc_hash": f"h{k}", "acc": 1.0 - value, "acc_norm": value} | more
        for k, value in enumerate(acc_norm)
    ]


def write_run(study, number, values, lines=None, task="hellaswag", folder=""):
    """Write a run of a checkpoint: results, and samples unless ``lines`` is empty."""
    mean = float(np.mean(values))
    run = content(REVISIONS[number], acc=1 - mean, acc_norm=mean, task=task)
    write(study, f"{folder}lm_step_{TIME.format(10 + number)}.json", run)
    lines = make_lines(values) if lines is None else lines
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    if text:
        return write(study, f"{folder}samples_{task}_{TIME.format(10 + number)}.jsonl", text)
    return None


def read_items(revisions=REVISIONS):
    return read_lm_eval_items(select_headline_rows(read_lm_eval("me/lm", revisions)), revisions)


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 200).astype(float)
    return [first, np.where(rng.random(200) < 0.9, first, 1 - first), np.where(rng.random(200) < 0.1, 1.0, first)]


@pytest.mark.parametrize("folder", ["", "lm_step.json/me__lm/"])
def test_items_are_those_of_the_headline_at_every_checkpoint(study_folder, answers, folder):
    for number, values in enumerate(answers):
        write_run(study_folder, number, values, make_lines(values)[:: 1 if number else -1], folder=folder)
    items, notes = read_items()
    assert notes == []
    expected = np.array(answers)[:, ::-1]  # in the order of the first file
    np.testing.assert_array_equal(items["hellaswag"], expected)
    checkpoints = checkpoints_of(*REVISIONS, "step64")  # without results
    benchmarks = read_benchmarks("me/lm", checkpoints)
    curves, unbounded, notes = compute_benchmark_curves("me/lm", checkpoints, benchmarks)
    assert (list(unbounded), notes) == ([], [])
    np.testing.assert_allclose(curves["hellaswag"].values, benchmarks["hellaswag"])
    differences = np.diff(curves["hellaswag"].resamples[:, :3], axis=1).std(axis=0)
    expected = [(after - before).std() / np.sqrt(200) for before, after in itertools.pairwise(answers)]
    np.testing.assert_allclose(differences, expected, rtol=0.15)
    assert np.isnan(curves["hellaswag"].resamples[:, 3]).all()


def test_without_samples_at_a_checkpoint_the_standard_error_counts_and_a_note_says_what_is_lost(study_folder, answers):
    for number, values in enumerate(answers):
        write_run(study_folder, number, values, lines=[] if number == 1 else None)
    checkpoints = checkpoints_of(*REVISIONS)
    curves, _, notes = compute_benchmark_curves("me/lm", checkpoints, read_benchmarks("me/lm", checkpoints))
    reason = "Expected samples at step16, got none. Run lm_eval with --log_samples."
    assert notes == [f"hellaswag: {LOSS}. {reason}"]
    resamples = curves["hellaswag"].resamples
    np.testing.assert_allclose(resamples.std(axis=0), 0.04, rtol=0.1)  # the error on file
    assert abs(np.corrcoef(resamples[:, 0], resamples[:, 1])[0, 1]) < 0.15


def test_a_task_with_items_does_not_change_the_rest(study_folder, answers):
    for revision in REVISIONS:
        write(study_folder, f"old_{revision}.json", content(revision, task="arc_easy"))
    before = compute_benchmark_curves("me/lm", checkpoints_of(*REVISIONS), read_benchmarks("me/lm", checkpoints_of()))
    for number, values in enumerate(answers):
        write_run(study_folder, number, values)
    after = compute_benchmark_curves("me/lm", checkpoints_of(*REVISIONS), read_benchmarks("me/lm", checkpoints_of()))
    np.testing.assert_array_equal(after[0]["arc_easy"].resamples, before[0]["arc_easy"].resamples)
    assert list(after[0]) == ["arc_easy", "hellaswag"]


def test_of_several_filters_the_filter_of_the_metric_counts(tmp_path):
    path = tmp_path / "samples.jsonl"
    lines = make_lines([1.0, 0.0], "strict") + make_lines([1.0, 1.0], "flexible")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(read_samples(path, "acc_norm,strict").values()) == [1, 0]
    assert list(read_samples(path, "acc_norm,flexible").values()) == [1, 1]
    with pytest.raises(InputError, match=r"samples\.jsonl: expected samples with acc_norm, got none"):
        read_samples(path, "acc_norm")
    with pytest.raises(InputError, match="expected a metric that is a mean over items, got f1"):
        read_samples(path, "f1")
    older = [{"doc_id": 0, "acc_norm": True}, {"doc_id": 1, "acc_norm": 0}]  # 0.4.3: neither filter nor checksum
    path.write_text("".join(json.dumps(line) + "\n" for line in older))
    assert read_samples(path, "acc_norm") == {(0, ""): 1.0, (1, ""): 0.0}


LINE = json.dumps(make_lines([1.0])[0]) + "\n"
DAMAGES = {
    "cut": ([LINE[:40]], "line 1: expected a sample of lm_eval, got"),
    "without the metric": (
        [LINE.replace("acc_norm", "x")],
        r"line 1: expected a sample of lm_eval, got KeyError\('acc_norm'\)",
    ),
    "not a number": ([LINE.replace("1.0", "NaN")], "line 1: expected a sample of lm_eval"),
    "a list": ([LINE, "[1]\n"], "line 2: expected a sample of lm_eval"),
    "an item twice": ([LINE, LINE], "line 2: expected each item once, got item 0 for the second time"),
    "fewer items": (
        make_lines([1.0, 1.0, 0.0]),
        "expected items with a mean of 0.500000, got 3 items with a mean of 0.666667",
    ),
    "other items": (
        make_lines([1.0, 0.0, 1.0, 0.0], doc_hash="x"),
        r"expected the items of samples_hellaswag_.*, got others",
    ),
    "not text": (["\udcff"], "expected samples of lm_eval, got text that is not in UTF-8"),
    "empty": (["\n"], "line 1: expected a sample of lm_eval"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_samples_that_cannot_be_used_are_named(study_folder, damage):
    lines, message = DAMAGES[damage]
    values = [1.0, 0.0, 1.0, 0.0]
    write_run(study_folder, 0, values)
    path = write_run(study_folder, 1, values)
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    path.write_bytes(text.encode(errors="surrogateescape"))
    items, (note,) = read_items(REVISIONS[:2])
    assert items == {}
    assert note.startswith(f"hellaswag: {LOSS}. {path}: ")
    assert re.search(message, note)
    assert "\n" not in note


def test_samples_that_cannot_be_opened_are_named(tmp_path):
    (tmp_path / "samples.jsonl").mkdir()
    with pytest.raises(InputError, match=r"samples\.jsonl: expected samples of lm_eval, got Is a directory"):
        read_samples(tmp_path / "samples.jsonl", "acc")
