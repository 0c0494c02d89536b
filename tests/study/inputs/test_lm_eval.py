"""What the lm_eval command of 0.4.0 to 0.4.13 writes is read as it is, and a curve has one kind of result."""

import copy
import json
import math
import os
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from lm_eval_content import checkpoints_of, content, differences, scores, write

from pipeline.statistics.resampling import resample_normal
from pipeline.tasks import lm_eval_results, lm_eval_settings
from study.files.tables import write_table
from study.inputs import lm_eval_files
from study.inputs.lm_eval import describe_lm_eval_files, read_lm_eval, read_lm_eval_files
from study.inputs.lm_eval_samples import read_lm_eval_items
from study.outputs.tasks import read_benchmarks
from study.paths import benchmark_path


def test_tasks_metrics_and_errors_are_read_and_the_newest_run_counts(written, monkeypatch):
    monkeypatch.setenv("LTBA_DIR", str(written))
    files = sorted((written / "lm_eval_results").rglob("*.json"))
    assert len(files) == 2
    # A run over some of the items does not count.
    part = json.loads(files[0].read_text())
    part["config"]["limit"], part["date"] = 4.0, part["date"] + 1e6
    (written / "lm_eval_results" / "part.json").write_text(json.dumps(part))
    assert files[-1].name.startswith("tiny-pythia_step8_all_2") or files[0].name.startswith("results_")
    table = read_lm_eval("tiny-pythia")
    assert set(table["revision"]) == {"step8"}
    by_name = table.set_index(["task", "metric"])
    assert sorted(by_name.index) == sorted(
        [
            (task, metric)
            for task in ("local_hellaswag", "local_arc_easy", "local_arc_challenge")
            for metric in ("acc", "acc_norm")
        ]
        + [("local_grammar", "acc"), ("local_group", "acc")]
    )
    # The second run counts where both ran a task.
    shots = by_name.xs("acc", level="metric")["n_shots"].to_dict()
    assert shots["local_hellaswag"] == shots["local_arc_easy"] == 1
    assert shots["local_grammar"] == 2
    p = by_name.loc[("local_grammar", "acc"), "value"]
    assert by_name.loc[("local_grammar", "acc"), "stderr"] == pytest.approx(np.sqrt(p * (1 - p) / 19))
    for path in files:
        content = json.loads(path.read_text())
        rows = lm_eval_files.read_results(path).set_index(["task", "metric"])
        for task, metrics in content["results"].items():
            assert rows.loc[(task, "acc"), "value"] == metrics["acc,none"]
    headline = lm_eval_results.select_headline(table)
    assert headline.loc["step8", "local_hellaswag"] == by_name.loc[("local_hellaswag", "acc_norm"), "value"]
    assert headline.loc["step8", "local_grammar"] == p
    assert read_lm_eval("another").empty
    curve, resamples = resample_normal(lm_eval_results.select_headline_rows(table), ["step8", "step16"], 4000)[
        "local_grammar"
    ]
    np.testing.assert_array_equal(curve, [p, np.nan])
    assert np.isnan(resamples[:, 1]).all()
    assert resamples[:, 0].mean() == pytest.approx(p, abs=0.01)
    assert resamples[:, 0].std() == pytest.approx(np.sqrt(p * (1 - p) / 19), rel=0.1)


def test_items_of_the_command_have_the_score_of_the_command(written, monkeypatch):
    """For a run with an output file, and for a newer run with an output folder."""
    monkeypatch.setenv("LTBA_DIR", str(written))
    assert len(list((written / "lm_eval_results").rglob("samples_*.jsonl"))) == 7
    headline = lm_eval_results.select_headline_rows(read_lm_eval("tiny-pythia"))
    items, (note,) = read_lm_eval_items(headline, ["step8"])
    assert note.startswith("local_group: ")  # a group has no items of its own
    for task, value in headline.set_index("task")["value"].drop("local_group").items():
        assert items[task].shape[0] == 1
        assert set(items[task].ravel()) <= {0, 1}
        assert items[task].mean() == pytest.approx(value, abs=1e-9)


def as_older(run, date=True):
    """The same run as 0.4.0 to 0.4.2 write it: less is recorded, and model_args as on the command line."""
    names = ["results", "configs", "versions", "n-shot", "config", "git_hash", *(["date"] if date else [])]
    older = {name: copy.deepcopy(run[name]) for name in names}
    older["config"] = {name: older["config"][name] for name in ("model", "model_args", "batch_size", "device", "limit")}
    older["config"]["model_args"] = ",".join(f"{name}={value}" for name, value in run["config"]["model_args"].items())
    for metrics in older["results"].values():
        metrics.pop("name"), metrics.pop("sample_len")
    return older


LAYOUTS = {
    "a file (0.4.0 to 0.4.2)": "step8.json",
    "a file for lines (0.4.0 to 0.4.2)": "step8.jsonl",
    "a folder (0.4.0 to 0.4.2)": "step8_hellaswag/results.json",
    "a folder with a file's name (0.4.3 to 0.4.8)": "step8.json/me__lm/results_2025-01-01T00-00-00.0.json",
    "a folder (0.4.3 to 0.4.13)": "step8_hellaswag/me__lm/results_2025-01-01T00-00-00.123456.json",
    "a file with the time (0.4.9 to 0.4.13)": "step8_2026-11-27T09-55-35.658929.json",
    "moved by hand": "gpu 1/old/moved.json",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("version", [content, lambda: as_older(content()), lambda: as_older(content(), date=False)])
def test_every_layout_is_read(study_folder, layout, version):
    write(study_folder, LAYOUTS[layout], version())
    samples = {"doc_id": 0, "doc": {"results": {}}, "target": "1", "acc": 1.0}
    write(
        study_folder, "samples_hellaswag_2025-01-01T00-00-00.0.jsonl", json.dumps(samples) + "\n" + json.dumps(samples)
    )
    write(study_folder, "lm__hellaswag.jsonl", json.dumps([samples], indent=2))  # 0.4.0 to 0.4.2
    write(study_folder, ".ipynb_checkpoints/step8-checkpoint.json", "not JSON")
    assert scores("step8") == [0.6]
    assert describe_lm_eval_files(["me/lm"]) == []
    (row,) = read_lm_eval("me/lm").query("metric == 'acc_norm'").to_dict("records")
    assert row == {**row, "revision": "step8", "task": "hellaswag", "value": 0.6, "stderr": 0.04, "n_shots": 0}


def test_a_file_that_is_too_large_is_not_called_broken(study_folder, monkeypatch):
    write(study_folder, "large.json", content())
    monkeypatch.setattr(lm_eval_files, "MOST_BYTES", 10)
    _, (sentence,), _ = read_lm_eval_files()
    assert "large.json: expected at most 10 bytes, got more" in sentence and "broken" not in sentence


def test_a_linked_folder_is_read_once(study_folder, tmp_path):
    path = write(study_folder, "runs/step8.json", content())
    path.parent.rename(tmp_path / "runs")
    (study_folder / "lm_eval_results" / "linked").symlink_to(tmp_path / "runs")
    (tmp_path / "runs" / "back").symlink_to(study_folder / "lm_eval_results")
    assert scores("step8") == [0.6]
    assert len(read_lm_eval_files()[0]) == 2  # acc and acc_norm


MODEL_ARGS = [
    "pretrained=me/lm,revision=step8,dtype=float16",
    "pretrained=me/lm,revision=step8,dtype=float16,",
    " pretrained=me/lm , revision = step8,dtype=float16 ,,trust_remote_code=True,parallelize=False",
    "revision=step8,dtype='float16',pretrained=\"me/lm\",peft=None,load_in_4bit=false,max_memory_per_gpu=a=b",
    '{"pretrained": "me/lm", "revision": "step8", "dtype": "torch.float16", "peft": null, "load_in_4bit": false}',
    {"pretrained": "me/lm", "revision": "step8", "dtype": "half", "device": "cuda:1", "tokenizer": "me/lm"},
    {"pretrained": "me/lm/", "revision": "step8", "dtype": "float16", "use_fast_tokenizer": True, "backend": "causal"},
]


@pytest.mark.parametrize("model_args", MODEL_ARGS, ids=range(len(MODEL_ARGS)))
@pytest.mark.parametrize("has_dtype", [True, False])
def test_every_form_of_the_model_s_arguments_is_one_kind_of_run(study_folder, model_args, has_dtype):
    run = content()
    run["config"]["model_args"] = model_args
    if not has_dtype:
        del run["config"]["model_dtype"]
    write(study_folder, "a.json", run)
    for step in (16, 32):
        write(study_folder, f"{step}.json", content(f"step{step}", acc_norm=step / 100))
    assert scores("step8", "step16", "step32") == [0.6, 0.16, 0.32]
    assert differences("step8", "step16", "step32") == []


def test_values_with_an_equals_sign_and_numbers_for_revisions():
    assert lm_eval_settings.parse_model_args("pretrained=a=b,x=1=2=3,alone") == {
        "pretrained": "a=b",
        "x": "1=2=3",
        "alone": "",
    }
    assert lm_eval_settings.parse_model_args({"revision": 1000, "a": {"c": 1, "b": 2}}) == {
        "revision": "1000",
        "a": '{"b": 2, "c": 1}',
    }
    for nothing in (None, "", 3, [1], "{broken"):
        assert lm_eval_settings.parse_model_args(nothing) == {}


def test_which_revision_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    local = tmp_path / "models" / "lm"
    (local / "main").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(local)
    for name, pretrained, revision, expected in [
        ("me_lm", "me/lm", "step8", "step8"),
        ("me_lm", "me/lm", "", "main"),  # of the hub, none is main
        ("me_lm", "me/lm", "main", "main"),
        ("me_lm", "you/lm", "step8", None),
        ("me_lm", "me/lm2", "step8", None),
        ("me_lm", "", "step8", None),
        ("lm", str(local), "", ""),
        ("lm", str(local), "step8", ""),  # a local folder has no revisions
        ("lm", str(local / "main"), "", "main"),  # a sub-folder of that name is not the folder itself
        ("lm", str(tmp_path / "linked" / "main"), "", "main"),
        ("lm", "models/lm/main/", "", "main"),
        ("lm", "lm/step8", "", "step8"),
        ("lm", "/elsewhere/lm/step8", "", "step8"),
        ("lm", "/elsewhere/lm/stage1/step8", "main", "stage1/step8"),
        ("lm", "/elsewhere/lm", "", ""),
        ("lm", "/elsewhere/lm2/step8", "", None),
    ]:
        assert lm_eval_files.match_revision(name, pretrained, revision) == expected, (name, pretrained, revision)


def test_a_sub_folder_of_a_local_model_is_a_revision(study_folder):
    write(study_folder, "a.json", content(pretrained="/elsewhere/me_lm", revision="", subfolder="step8"))
    assert scores("step8") == [0.6]
    assert differences("step8") == describe_lm_eval_files(["me/lm"]) == []


def test_without_a_date_the_time_in_the_name_counts_then_the_file_s_own(study_folder):
    older = as_older(content(), date=False)
    write(study_folder, "new_2030-01-01T00-00-00.0.json", older)
    value = copy.deepcopy(older)
    value["results"]["hellaswag"]["acc_norm,none"] = 0.1
    other = write(study_folder, "other.json", value)
    for year, expected in [(2029, 0.6), (2031, 0.1)]:
        time = datetime(year, 1, 1).timestamp()
        os.utime(other, (time, time))
        assert scores("step8") == [expected]
    dated = content(acc_norm=0.2, date=datetime(2032, 1, 1).timestamp())
    write(study_folder, "dated_2000-01-01T00-00-00.0.json", dated)  # what is recorded counts before the name
    assert scores("step8") == [0.2]


def test_of_the_same_kind_the_newest_counts_and_a_copy_changes_nothing(study_folder):
    write(study_folder, "b.json", content(acc_norm=0.1, date=1.0))
    write(study_folder, "a.json", content(acc_norm=0.2, date=2.0))
    write(study_folder, "copy/a.json", content(acc_norm=0.2, date=2.0))
    assert scores("step8") == [0.2]
    assert differences("step8") == []


def test_groups_filters_and_values_that_are_no_numbers(study_folder):
    run = content(shots=5)
    run["results"] = {
        "mmlu": {"alias": "mmlu", "acc,none": 0.3, "acc_stderr,none": 0.01},
        "mmlu_law": {"alias": " - law", "acc,none": 0.4, "acc_stderr,none": "N/A"},
        "gsm8k": {
            "exact_match,strict-match": 0.1,
            "exact_match_stderr,strict-match": 0.01,
            "exact_match,flexible-extract": 0.2,
            "exact_match_stderr,flexible-extract": 0.02,
        },
        "arc": {"acc,none": "N/A", "acc_norm,none": math.nan, "bypass,none": 999},
        "tag": {" ": " ", "alias": "tag"},
    }
    run["group_subtasks"] = {"mmlu": ["mmlu_law"], "tag": ["arc"]}
    run["n-shot"] = {"mmlu": 0, "mmlu_law": 5, "gsm8k": 5}
    run["versions"] = {"mmlu": "N/A", "mmlu_law": 1.0, "gsm8k": 3.0}
    write(study_folder, "a.json", run)
    table = read_lm_eval("me/lm").set_index(["task", "metric"])
    assert table["value"].to_dict() == {
        ("mmlu", "acc"): 0.3,
        ("mmlu_law", "acc"): 0.4,
        ("gsm8k", "exact_match,strict-match"): 0.1,
        ("gsm8k", "exact_match,flexible-extract"): 0.2,
    }
    assert set(table["n_shots"]) == {5}  # a group has the shots of its tasks
    assert table["stderr"].fillna(-1).to_list().count(-1) == 1
    headline = lm_eval_results.select_headline(table.reset_index())
    assert headline.loc["step8"].to_dict() == {"gsm8k": 0.1, "mmlu": 0.3, "mmlu_law": 0.4}


def test_a_task_that_is_called_like_one_of_ours_is_not_mixed_with_it(study_folder):
    write(study_folder, "x.json", content(task="blimp", acc=0.8, acc_norm=None))
    path = benchmark_path("me_lm_step8", "blimp")
    write_table(path, pd.DataFrame({"paradigm": ["a"], "accuracy": [0.6]}))
    table = read_benchmarks("me/lm", checkpoints_of("step8"))
    assert table.iloc[0].to_dict() == {"blimp": 0.6, "lm_eval_blimp": 0.8}


def test_a_study_without_lm_eval_has_no_scores(study_folder):
    assert read_lm_eval("me/lm").empty
    assert read_benchmarks("me/lm", checkpoints_of("step8")).shape == (1, 0)
    assert describe_lm_eval_files(["me/lm"]) == differences("step8") == []
    (study_folder / "lm_eval_results").mkdir()
    assert resample_normal(lm_eval_results.select_headline_rows(read_lm_eval("me/lm", ["step8"])), ["step8"]) == {}


def test_a_file_of_the_command_with_an_adapter_or_a_chat_template(written, monkeypatch, tmp_path):
    """The same with a file that the installed version has written."""
    (path,) = (written / "lm_eval_results").glob("*_all_*.json")
    monkeypatch.setenv("LTBA_DIR", str(tmp_path))
    run = json.loads(path.read_text())
    write(tmp_path, "step8.json", run)
    plain = read_lm_eval("tiny-pythia")
    run["date"] += 1e6
    run["config"]["model_args"]["peft"] = "somebody/adapter"
    for metrics in run["results"].values():
        metrics["acc,none"] = 0.123
    write(tmp_path, "again.json", run)
    pd.testing.assert_frame_equal(read_lm_eval("tiny-pythia"), plain)
    assert describe_lm_eval_files(["tiny-pythia"]) == []
    run["config"]["model_args"].pop("peft")
    write(tmp_path, "again.json", run)
    assert set(read_lm_eval("tiny-pythia").query("metric == 'acc'")["value"]) == {0.123}
