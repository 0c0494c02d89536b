"""Share what tests of lm_eval need."""

import json

import numpy as np
import pandas as pd

from pipeline.statistics.resampling import resample_normal
from pipeline.tasks import lm_eval_results
from study.inputs.lm_eval import read_lm_eval
from study.outputs.comparability import find_differences
from study.outputs.tasks import read_benchmarks

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
