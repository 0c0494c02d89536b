"""What the lm_eval command of 0.4.0 to 0.4.13 writes is read as it is, and a curve has one kind of result."""

import copy
import json
import math
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.statistics.resampling import resample_normal
from pipeline.tasks import lm_eval_results, lm_eval_settings
from report import states
from study.files.tables import write_table
from study.inputs import lm_eval_files
from study.inputs.lm_eval import describe_lm_eval_files, read_lm_eval, read_lm_eval_files
from study.outputs.comparability import find_differences
from study.outputs.tasks import read_benchmarks
from study.paths import benchmark_path, checkpoint_stem
from study.records import write_record

# Small tasks of the kinds and with the metrics of the published study: hellaswag (acc, acc_norm),
# ai2_arc (a tag with two tasks), french_bench_grammar (acc alone), and a group with an average.
TASK = """\
task: {task}
{tag}
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {data}
validation_split: validation
fewshot_split: validation
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{right}}}}"
doc_to_choice: "{{{{answers}}}}"
metric_list:
{metrics}
"""
GROUP = """\
group: local_group
task: [local_arc_easy, local_arc_challenge]
aggregate_metric_list:
  - metric: acc
    weight_by_size: true
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory, tiny_checkpoint):
    """The study folder in which the command has left its results, run with an output file and with a folder."""
    folder = tmp_path_factory.mktemp("lm_eval")
    data, tasks = folder / "data.jsonl", folder / "tasks"
    tasks.mkdir()
    items = [{"question": f"Where is {k}?", "answers": ["here", "over there", "no"], "right": k % 3} for k in range(20)]
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    for task, tag, metrics in [
        ("local_hellaswag", "", ["acc", "acc_norm"]),
        ("local_arc_easy", "tag: local_arc", ["acc", "acc_norm"]),
        ("local_arc_challenge", "tag: local_arc", ["acc", "acc_norm"]),
        ("local_grammar", "", ["acc"]),
    ]:
        lines = "".join(f"  - metric: {metric}\n" for metric in metrics)
        (tasks / f"{task}.yaml").write_text(TASK.format(task=task, tag=tag, data=data, metrics=lines))
    (tasks / "group.yaml").write_text(GROUP)

    def run(tasks_named, output, *options):
        command = [
            str(Path(sys.executable).with_name("lm_eval")), "--model", "hf", "--model_args",
            f"pretrained={tiny_checkpoint / 'step8'},dtype=float32", "--tasks", tasks_named, "--include_path",
            str(tasks), "--device", "cpu", "--batch_size", "4", "--output_path", str(folder / output), *options,
        ]  # fmt: skip
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]

    # As in the README, and then again with other options, into a folder.
    run("local_hellaswag,local_arc,local_grammar", "lm_eval_results/tiny-pythia_step8_all.json", "--num_fewshot", "2")
    run("local_hellaswag,local_group", "lm_eval_results", "--num_fewshot", "1")
    return folder


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


# ---------------------------------------------------------------- files as the versions write them


def content(revision="step8", acc=0.5, acc_norm=0.6, shots=0, date=1e9, task="hellaswag", **model_args):
    """A run as 0.4.13 writes it, of a model of the hub; without acc_norm, the task has acc alone."""
    metrics = {"name": task, "alias": task, "sample_len": 100, "acc,none": acc, "acc_stderr,none": 0.05}
    if acc_norm is not None:
        metrics |= {"acc_norm,none": acc_norm, "acc_norm_stderr,none": 0.04}
    return {
        "results": {task: metrics},
        "group_subtasks": {},
        "configs": {task: {"task": task, "output_type": "multiple_choice", "num_fewshot": shots}},
        "versions": {task: 1.0},
        "n-shot": {task: shots},
        "n-samples": {task: {"original": 100, "effective": 100}},
        "config": {
            "model": "hf",
            "model_args": {"pretrained": "me/lm", "revision": revision, "dtype": "float16"} | model_args,
            **{"model_dtype": "torch.float16", "model_revision": revision, "model_sha": "abc"},
            **{"batch_size": "64", "batch_sizes": [], "device": "cpu", "use_cache": None, "limit": None},
            **{"gen_kwargs": {}, "fewshot_seed": 1234},
        },
        "git_hash": "4d77279",
        "date": date,
        "transformers_version": "5.23.0",
        "lm_eval_version": "0.4.13",
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
    }


def as_older(run, date=True):
    """The same run as 0.4.0 to 0.4.2 write it: less is recorded, and model_args as on the command line."""
    names = ["results", "configs", "versions", "n-shot", "config", "git_hash", *(["date"] if date else [])]
    older = {name: copy.deepcopy(run[name]) for name in names}
    older["config"] = {name: older["config"][name] for name in ("model", "model_args", "batch_size", "device", "limit")}
    older["config"]["model_args"] = ",".join(f"{name}={value}" for name, value in run["config"]["model_args"].items())
    for metrics in older["results"].values():
        metrics.pop("name"), metrics.pop("sample_len")
    return older


def write(folder, name, run):
    """Write a file of the lm_eval command into the study."""
    path = folder / "lm_eval_results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(run if isinstance(run, str) else json.dumps(run, indent=2))
    return path


def checkpoints_of(*revisions):
    return pd.DataFrame({"stem": [f"me_lm_{revision}" for revision in revisions], "revision": revisions})


def scores(*revisions, task="hellaswag"):
    """The curve of a task, as the notebook has it: the table and the resamples must agree."""
    table = read_benchmarks("me/lm", checkpoints_of(*revisions))[task].to_numpy()
    curves = resample_normal(lm_eval_results.select_headline_rows(read_lm_eval("me/lm", revisions)), revisions)
    np.testing.assert_array_equal(curves[task][0], table)
    np.testing.assert_array_equal(np.isfinite(curves[task][1]).all(axis=0), np.isfinite(table))
    return list(table)


def differences(*revisions):
    return find_differences("me/lm", checkpoints_of(*revisions), "en")


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


# ---------------------------------------------------------------- strange files, and those of others

STRANGE = {
    "truncated.json": json.dumps(content())[:200],
    "empty.json": "",
    "list.json": "[1, 2]",
    "number.json": "3",
    "of_another_program.json": '{"model_type": "gpt_neox"}',
    "results_as_list.json": json.dumps(content() | {"results": [1, 2]}),
    "without_config.json": json.dumps({name: value for name, value in content().items() if name != "config"}),
    "of_0.3.json": json.dumps(content() | {"results": {"hellaswag": {"acc": 0.3, "acc_stderr": 0.1}}}),
    "deep.json": "[" * 100_000,
    "predicted_only.json": json.dumps(content() | {"results": {"hellaswag": {"bypass,none": 999}}}),
}


def test_a_strange_file_is_named_and_never_keeps_the_rest_from_being_read(study_folder):
    for name, text in STRANGE.items():
        write(study_folder, name, text)
    (study_folder / "lm_eval_results" / "gone.json").symlink_to("nowhere.json")
    (study_folder / "lm_eval_results" / "latin.json").write_bytes(b'{"results": "\xe9"}')
    write(study_folder, "good.json", content())
    assert scores("step8") == [0.6]
    notes = describe_lm_eval_files(["me/lm"])
    for name in [*STRANGE, "gone.json", "latin.json"]:
        (note,) = [note for note in notes if f"{study_folder / 'lm_eval_results' / name}: expected" in note]
        assert "\n" not in note
        assert not re.search("remove|delete|move", note)
    assert len(notes) == len(STRANGE) + 2
    wrong = read_lm_eval_files()[1]
    assert {Path(note.split(": ")[0]).name for note in wrong} == {
        *("truncated.json", "empty.json", "deep.json", "gone.json", "latin.json"),
    }


def test_results_of_others_are_one_line_and_never_wrong(study_folder, call):
    write(study_folder, "good.json", content())
    for k, others in enumerate(
        [
            {"pretrained": "you/lm", "revision": "step8"},
            {"model": "me/lm", "base_url": "http://localhost:8000"},
            {"pretrained": "me/lm", "base_url": "http://localhost:8000"},
            {},
            "engine=davinci",
            None,
        ]
    ):
        run = content(acc_norm=0.1, date=2e9)
        run["config"]["model_args"] = others
        write(study_folder, f"{k}.json", run)
    assert scores("step8") == [0.6]
    (note,) = describe_lm_eval_files(["me/lm"])
    assert note == f"{study_folder / 'lm_eval_results'}: 6 files of other models or APIs, not used"
    add_checkpoint("me/lm", "step8")
    status, told, _ = call("llm_brain_asym")
    assert status == 0
    assert told.count("other models") == 1
    assert "1 task" in told
    wrong = call("llm_brain_asym", "--check")[1]
    assert "lm_eval_results" not in wrong.replace(note, "")
    assert note in wrong


def test_a_truncated_file_is_wrong_and_another_program_s_is_not(study_folder, call):
    add_checkpoint("me/lm", "step8")
    other = write(study_folder, "other.json", "[]")
    assert f"\nwarning: lm_eval: {other}: expected" in call("llm_brain_asym", "--check")[1]
    truncated = write(study_folder, "truncated.json", "{")
    assert f"\nerror: {truncated}: expected" in call("llm_brain_asym", "--check")[1]


def add_checkpoint(model, revision):
    """Leave a table of BLiMP of a checkpoint, so that the overview has a row for it."""
    path = benchmark_path(checkpoint_stem(model, revision), "blimp")
    write_table(path, pd.DataFrame({"paradigm": ["p"], "accuracy": [0.5]}))
    write_record(path, {"revision": revision}, [], 0, {"model": model, "revision": revision})


def test_a_limit_and_a_revision_of_a_local_folder_are_said(study_folder):
    limited = content(date=2e9, acc_norm=0.1)
    limited["config"]["limit"] = 10.0
    path = write(study_folder, "limited.json", limited)
    write(study_folder, "good.json", content())
    local = content(pretrained="/elsewhere/me_lm", revision="step16")
    moot = write(study_folder, "local.json", local)
    assert scores("step8", "step16")[0] == 0.6
    assert np.isnan(scores("step8", "step16")[1])
    assert describe_lm_eval_files(["me/lm"]) == [
        f"{path}: made with --limit, and not used",
        f"{moot}: revision= has no effect on a local folder: the folder itself was evaluated",
    ]


def test_the_overview_reads_every_file_once(study_folder, monkeypatch, call):
    revisions = [f"step{2**k}" for k in range(6)]
    for revision in revisions:
        add_checkpoint("me/lm", revision)
        write(study_folder, f"{revision}.json", content(revision))
    write(study_folder, "adapter.json", content(task="arc", revision="step4", peft="me/adapter"))
    for revision in ("step1", "step2"):
        write(study_folder, f"arc_{revision}.json", content(task="arc", revision=revision))
    read, read_results = [], lm_eval_files.read_results
    monkeypatch.setattr(lm_eval_files, "read_results", lambda path: read.append(path) or read_results(path))
    told = call("llm_brain_asym")[1]
    assert len(read) == len(set(read)) == 9
    by_revision = states.tabulate_states("en").set_index("revision")["lm_eval"].to_dict()
    assert by_revision == {
        **dict.fromkeys(revisions, "1 task"),
        **{"step1": "2 tasks", "step2": "2 tasks", "step4": "1 task, 1 with other options"},
    }
    assert "1 with other options" in told


# ---------------------------------------------------------------- one kind of result in a curve

REVISIONS = ["step8", "step16", "step32"]


@pytest.fixture
def three(study_folder):
    """A curve of three checkpoints: 0.1, 0.2 and 0.89."""
    for revision, value in zip(REVISIONS, (0.1, 0.2, 0.89), strict=True):
        write(study_folder, f"{revision}.json", content(revision, acc=0.757, acc_norm=value))
    return study_folder


def change(run, name, value):
    """Change what is recorded of a run: an argument of the model, or something else."""
    if name == "shots":
        run["n-shot"]["hellaswag"] = value
    elif name in ("model", "model_dtype"):
        run["config"][name] = value
    elif name in run:
        run[name] = value
    else:
        run["config"]["model_args"][name] = value


KINDS = [
    ({"peft": "somebody/adapter"}, "peft somebody/adapter"),
    ({"lora_local_path": "adapter"}, "lora_local_path adapter"),
    ({"delta": "somebody/delta"}, "delta somebody/delta"),
    ({"load_in_4bit": True}, "load_in_4bit"),
    ({"load_in_8bit": "True", "bnb_4bit_quant_type": "nf4"}, "bnb_4bit_quant_type nf4, load_in_8bit"),
    ({"autogptq": True}, "autogptq"),
    ({"gptqmodel": True}, "gptqmodel"),
    ({"gguf_file": "lm.gguf"}, "gguf_file lm.gguf"),
    ({"quantization": "awq"}, "quantization awq"),
    ({"quantization_config": {"bits": 4}}, 'quantization_config {"bits": 4}'),
    ({"model_dtype": "torch.float32"}, "dtype float32 instead of float16"),
    ({"model": "vllm"}, "model type vllm instead of hf"),
    ({"tokenizer": "you/other"}, "tokenizer you/other"),
    ({"add_bos_token": True}, "add_bos_token"),
    ({"use_fast_tokenizer": False}, "use_fast_tokenizer False"),
    ({"max_length": 512}, "max_length 512"),
    ({"subfolder": "ema"}, "subfolder ema"),
    ({"steer_path": "vectors.pt"}, "steer_path vectors.pt"),
    (
        {"chat_template": "{{ messages }}", "chat_template_sha": "0", "fewshot_as_multiturn": True},
        "chat template 0, few",
    ),
    ({"chat_template": "{{ messages }}"}, "chat template "),
    ({"system_instruction": "Be good."}, "system instruction "),
    ({"system_instruction_sha": "1234567890"}, "system instruction 12345678"),
    ({"shots": 5}, "shots 5 instead of 0"),
]


@pytest.mark.parametrize(("changes", "words"), KINDS, ids=[next(iter(changes)) for changes, _ in KINDS])
def test_a_newer_run_of_another_kind_displaces_nothing_and_is_said(three, changes, words):
    run = content("step32", acc_norm=0.31, date=2e9)
    for name, value in changes.items():
        change(run, name, value)
    write(three, "again.json", run)
    assert scores(*REVISIONS) == [0.1, 0.2, 0.89]
    (sentence,) = differences(*REVISIONS)
    assert sentence.startswith(f"hellaswag: its curve is acc_norm; left out are runs with {words}")
    assert sentence.endswith(" at step32")
    # At a checkpoint that has no other run, there is a gap.
    (three / "lm_eval_results" / "step32.json").unlink()
    assert scores(*REVISIONS)[:2] == [0.1, 0.2]
    assert np.isnan(scores(*REVISIONS)[2])
    assert differences(*REVISIONS) == [sentence]


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "cuda:1"},
        {"batch_size": 3, "max_batch_size": 64},
        {"parallelize": True, "max_memory_per_gpu": "10GiB", "device_map": "auto"},
        {"trust_remote_code": True},
        {"cache_dir": "/cache"},
        {"low_cpu_mem_usage": True},
        {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.8},
        {"peft": None, "load_in_4bit": False, "quantization": "None"},
        {"model": "huggingface"},
        {"fewshot_as_multiturn": True},  # has no effect without a chat template
        {"tokenizer": "me/lm"},
    ],
)
def test_where_and_how_fast_it_ran_makes_no_difference(three, changes):
    run = content("step32", acc_norm=0.5, date=2e9)
    for name, value in changes.items():
        change(run, name, value)
    write(three, "again.json", run)
    assert scores(*REVISIONS) == [0.1, 0.2, 0.5]
    assert differences(*REVISIONS) == []


def test_a_newer_run_with_acc_alone_displaces_nothing(three):
    write(three, "again.json", content("step32", acc=0.7, acc_norm=None, date=2e9))
    assert scores(*REVISIONS) == [0.1, 0.2, 0.89]
    assert differences(*REVISIONS) == [
        "hellaswag: its curve is acc_norm; left out are newer runs without acc_norm at step32"
    ]
    (three / "lm_eval_results" / "step32.json").unlink()
    assert scores(*REVISIONS)[:2] == [0.1, 0.2]
    assert np.isnan(scores(*REVISIONS)[2])
    assert differences(*REVISIONS) == ["hellaswag: its curve is acc_norm; left out are acc without acc_norm at step32"]
    # Where most have acc alone, the curve is acc everywhere.
    write(three, "step16.json", content("step16", acc=0.4, acc_norm=None))
    assert scores(*REVISIONS) == [0.757, 0.4, 0.7]


def test_most_checkpoints_decide_then_the_plain_kind_then_the_newest(study_folder):
    write(study_folder, "plain.json", content("step8", acc_norm=0.1, date=1.0))
    write(study_folder, "4bit.json", content("step8", acc_norm=0.2, date=2.0, load_in_4bit=True))
    assert scores("step8") == [0.1]
    write(study_folder, "5shots.json", content("step8", acc_norm=0.3, date=3.0, shots=5))
    assert scores("step8") == [0.3]
    write(study_folder, "4bit16.json", content("step16", acc_norm=0.4, date=0.0, load_in_4bit=True))
    assert scores("step8", "step16") == [0.2, 0.4]
    # Only the checkpoints of the curve count.
    assert scores("step8") == [0.3]
    (sentence,) = differences("step8", "step16")
    assert "runs with no load_in_4bit at step8" in sentence
    assert "runs with no load_in_4bit, shots 5 instead of 0 at step8" in sentence


def test_every_task_has_a_kind_of_its_own(three):
    for revision in REVISIONS:
        write(three, f"arc_{revision}.json", content(revision, task="arc", acc_norm=0.3, shots=25, peft="me/adapter"))
    assert scores(*REVISIONS) == [0.1, 0.2, 0.89]
    assert scores(*REVISIONS, task="arc") == [0.3] * 3
    assert differences(*REVISIONS) == []


def test_versions_of_a_task_and_parts_of_its_items_are_said(three):
    run = content("step32", acc_norm=0.89)
    run["versions"]["hellaswag"] = "2"
    write(three, "step32.json", run)
    assert differences(*REVISIONS) == ["hellaswag: its curve has version 1 at step8, step16 and version 2 at step32"]
    assert scores(*REVISIONS) == [0.1, 0.2, 0.89]
    run = content("step32", acc_norm=0.5, date=2e9)
    run["n-samples"]["hellaswag"]["effective"] = 40  # --samples
    write(three, "again.json", run)
    assert scores(*REVISIONS) == [0.1, 0.2, 0.89]
    assert "runs with items 40 of 100 at step32" in differences(*REVISIONS)[0]


def test_how_texts_are_generated_counts_for_tasks_that_generate(three):
    run = content("step32", acc_norm=0.5, date=2e9)
    run["config"]["gen_kwargs"] = "temperature=1"
    write(three, "again.json", run)
    assert scores(*REVISIONS) == [0.1, 0.2, 0.5]
    run["configs"]["hellaswag"]["output_type"] = "generate_until"
    write(three, "again.json", run)
    assert scores(*REVISIONS) == [0.1, 0.2, 0.89]
    assert 'gen_kwargs {"temperature": "1"} at step32' in differences(*REVISIONS)[0]


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


def test_a_dtype_that_is_not_recorded_is_that_of_most_others():
    rows = [
        ("x.json", "me/lm", f"step{k}", "t", "acc", 0.1 * k, 0.01, 0.0, "1", json.dumps({"dtype": dtype}), False, k)
        for k, dtype in enumerate(["auto", "auto", "float16", "float16", "float16"])
    ]
    curves, sentences = lm_eval_results.choose_curves(pd.DataFrame(rows, columns=lm_eval_files.COLUMNS))
    np.testing.assert_allclose(curves["value"], [0, 0.1, 0.2, 0.3, 0.4])
    assert sentences == ["t: dtype float16 is assumed, since it is not recorded, at step0, step1"]


def test_another_prompt_under_the_same_name_is_another_kind():
    def settings(text):
        content = {"config": {}, "configs": {"t": {"doc_to_text": text, "output_type": "multiple_choice"}}}
        return lm_eval_settings.read_task_settings(content, "t")[0]

    assert settings("{{question}}") == settings("{{question}}") != settings("Question: {{question}}")
    assert "prompt" not in settings("<function doc_to_text at 0x7f00>")
