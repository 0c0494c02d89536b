"""What the lm_eval command of 0.4.0 to 0.4.13 writes is read as it is, and a curve has one kind of result."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lm_eval_content import content, differences, scores, write

from pipeline.tasks import lm_eval_results, lm_eval_settings
from report import states
from study.files.tables import write_table
from study.inputs import lm_eval_files
from study.inputs.lm_eval import describe_lm_eval_files, read_lm_eval_files
from study.paths import benchmark_path, checkpoint_stem
from study.records import write_record

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
