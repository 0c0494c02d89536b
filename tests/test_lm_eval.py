"""What the real lm_eval command writes is read as it is."""

import llm_brain_asym as study

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import BadInput, lm_eval_results
from pipeline.tables import write_table

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
    # A run over some of the items is no result.
    part = json.loads(files[0].read_text())
    part["config"]["limit"], part["date"] = 4.0, part["date"] + 1e6
    (written / "lm_eval_results" / "part.json").write_text(json.dumps(part))
    assert files[-1].name.startswith("tiny-pythia_step8_all_2") or files[0].name.startswith("results_")
    table = study.read_lm_eval("tiny-pythia")
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
        rows = lm_eval_results.read_results(path).set_index(["task", "metric"])
        for task, metrics in content["results"].items():
            assert rows.loc[(task, "acc"), "value"] == metrics["acc,none"]
    headline = lm_eval_results.headline(table)
    assert headline.loc["step8", "local_hellaswag"] == by_name.loc[("local_hellaswag", "acc_norm"), "value"]
    assert headline.loc["step8", "local_grammar"] == p
    assert study.read_lm_eval("another").empty
    curve, resamples = lm_eval_results.resampled(table, ["step8", "step16"], 4000)["local_grammar"]
    np.testing.assert_array_equal(curve, [p, np.nan])
    assert np.isnan(resamples[:, 1]).all()
    assert resamples[:, 0].mean() == pytest.approx(p, abs=0.01)
    assert resamples[:, 0].std() == pytest.approx(np.sqrt(p * (1 - p) / 19), rel=0.1)


def results_file(folder, name, **changes):
    """A file as the command writes it for a model of the hub."""
    content = {
        "results": {"hellaswag": {"alias": "hellaswag", "acc,none": 0.5, "acc_stderr,none": "N/A"}},
        "config": {"model_args": {"pretrained": "me/lm", "revision": "tokens5B", "dtype": "float16"}},
        "date": 1000.0,
    }
    (folder / "lm_eval_results").mkdir(exist_ok=True)
    (folder / "lm_eval_results" / name).write_text(json.dumps(content | changes))


def test_models_of_the_hub_and_of_older_versions(study_folder):
    results_file(study_folder, "new.json")
    arguments = {"model_args": "pretrained=me/lm,revision=tokens70B,dtype=float16"}
    results_file(study_folder, "old.json", config=arguments)
    results_file(study_folder, "none.json", config={"model_args": {"pretrained": "me/lm"}})
    results_file(study_folder, "other.json", config={"model_args": {"pretrained": "you/lm", "revision": "tokens5B"}})
    table = study.read_lm_eval("me/lm")
    assert sorted(table["revision"]) == ["", "tokens5B", "tokens70B"]
    assert table["stderr"].isna().all()
    checkpoints = pd.DataFrame({"stem": ["me_lm_tokens5B", "me_lm_tokens9B"], "revision": ["tokens5B", "tokens9B"]})
    scores = study.read_benchmarks("me/lm", checkpoints)
    np.testing.assert_array_equal(scores["hellaswag"], [0.5, np.nan])


def test_a_task_that_is_called_like_one_of_ours_is_not_mixed_with_it(study_folder):
    results_file(study_folder, "x.json", results={"blimp": {"acc,none": 0.8, "acc_stderr,none": 0.01}})
    checkpoints = pd.DataFrame({"stem": ["me_lm_tokens5B"], "revision": ["tokens5B"]})
    path = study.benchmark_path("me_lm_tokens5B", "blimp")
    write_table(path, pd.DataFrame({"paradigm": ["a"], "accuracy": [0.6]}))
    scores = study.read_benchmarks("me/lm", checkpoints)
    assert scores.iloc[0].to_dict() == {"blimp": 0.6, "lm_eval_blimp": 0.8}


@pytest.mark.parametrize(
    "changes", [{"results": [1, 2]}, {"config": {}}, {"date": None, "results": None}, {"config": {"model_args": 3}}]
)
def test_files_of_another_shape_are_named(study_folder, changes):
    results_file(study_folder, "x.json", **changes)
    with pytest.raises(BadInput, match=r"x\.json: the lm_eval command did not write this"):
        study.read_lm_eval("me/lm")


def test_a_study_without_lm_eval_has_no_scores(study_folder):
    assert study.read_lm_eval("me/lm").empty
    checkpoints = pd.DataFrame({"stem": ["me_lm_tokens5B"], "revision": ["tokens5B"]})
    assert study.read_benchmarks("me/lm", checkpoints).shape == (1, 0)
