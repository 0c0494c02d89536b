"""Fixtures that tests of this folder share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lm_eval_content import GROUP, TASK


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
            str(tasks), "--device", "cpu", "--batch_size", "4", "--output_path", str(folder / output), "--log_samples",
            *options,
        ]  # fmt: skip
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]

    # As in the README, and then again with other options, into a folder.
    run("local_hellaswag,local_arc,local_grammar", "lm_eval_results/tiny-pythia_step8_all.json", "--num_fewshot", "2")
    run("local_hellaswag,local_group", "lm_eval_results", "--num_fewshot", "1")
    return folder
