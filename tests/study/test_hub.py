"""Which weights an output was made of: commits and files of the hub, equal weights under two names."""

import hashlib
import json
import shutil

import pandas as pd
import pytest
import torch
import transformers
from helpers import add_blimp, all_files
from hub_models import NAME, NEW, OLD, REVISION, STEM, plain_sha256, record_of

from pipeline.errors import InputError
from pipeline.models import weights
from pipeline.models.loading import load_checkpoint, load_classifier
from study.jobs import Job
from study.outputs.same_weights import describe_weights
from study.records import read_record, record_path, write_record


def test_stages_of_one_checkpoint_have_the_same_weights(hub, two_checkpoints, tiny_study, extract, call, tmp_path):
    add_blimp(tiny_study)
    hub(two_checkpoints / "old", OLD)
    assert extract()[0] == 0
    hub(two_checkpoints / "new", NEW)
    (tmp_path / "prompts.txt").write_text("The prince asked.\n")
    arguments = ["--model", NAME, "--revision", REVISION, "--device", "cpu"]
    blimp = ["evaluate_llm_blimp", *arguments]
    texts = ["generate_texts", *arguments, "--prompts", tmp_path / "prompts.txt", "--max_new_tokens", 3]
    texts += ["--n_samples", 2, "--seed", 1]
    before = all_files(tiny_study)
    for command in (blimp, texts):
        status, _, error = call(*command)
        assert (status, error.count("\n")) == (2, 1)
        assert f"{STEM}_en.lz4: expected commit {NEW[:10]}, got commit {OLD[:10]}" in error
        assert all_files(tiny_study) == before
        assert call(*command, "--overwrite")[0] == 0
        before = all_files(tiny_study)
    checkpoints = pd.DataFrame({"stem": [STEM], "revision": [REVISION]})
    (sentence,) = describe_weights(checkpoints)
    assert sentence.startswith(f"{STEM}_en.lz4 and {STEM}_blimp.csv of {REVISION} were made of different weights")
    assert extract("--overwrite")[0] == 0
    assert describe_weights(checkpoints) == []
    assert extract()[0] == call(*blimp)[0] == call(*texts)[0] == 0


def test_a_local_folder_that_changed_between_stages_is_refused(two_checkpoints, tiny_study, call, tmp_path):
    add_blimp(tiny_study)
    shutil.copytree(two_checkpoints / "old", tmp_path / "lm" / "step8")
    arguments = ["--model", tmp_path / "lm", "--revision", "step8"]
    assert call("evaluate_llm_blimp", *arguments)[0] == 0
    assert call("evaluate_llm_dyck", *arguments)[0] == 0
    shutil.copy(two_checkpoints / "new" / "model.safetensors", tmp_path / "lm" / "step8")
    status, _, error = call("extract_llm_activations", *arguments)
    assert status == 2
    assert "lm_step8_blimp.csv: expected" in error
    assert not list((tiny_study / "llms_activations").glob("*.lz4"))
    assert call("extract_llm_activations", *arguments, "--overwrite")[0] == 0


def test_texts_of_one_checkpoint_have_the_same_weights(hub, two_checkpoints, tiny_study, call, tmp_path):
    (tmp_path / "prompts.txt").write_text("The prince asked.\n")
    command = ["generate_texts", "--model", NAME, "--revision", REVISION, "--prompts", tmp_path / "prompts.txt"]
    command += ["--max_new_tokens", 3, "--output_folder", tmp_path / "texts"]
    hub(two_checkpoints / "old", OLD)
    assert call(*command, "--n_samples", 2)[0] == 0
    # The branch has moved on the hub, and is downloaded while the command runs.
    load = load_checkpoint
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "study.stages.loading.load_checkpoint", lambda *how: hub(two_checkpoints / "new", NEW) and load(*how)
        )
        before = all_files(tmp_path / "texts")
        status, _, error = call(*command, "--n_samples", 3)
    assert status == 2
    assert f"expected commit {NEW[:10]}, got commit {OLD[:10]}" in error
    assert all_files(tmp_path / "texts") == before
    assert call(*command, "--n_samples", 3, "--overwrite")[0] == 0
    texts = sorted((tmp_path / "texts").glob("*.txt"))
    assert [record_of(text)["checkpoint"]["commit"] for text in texts] == [NEW] * 3


def test_texts_that_are_written_again_are_all_of_the_new_weights(
    hub, two_checkpoints, tiny_study, call, tmp_path, monkeypatch
):
    (tmp_path / "prompts.txt").write_text("The prince asked.\n")
    command = ["generate_texts", "--model", NAME, "--revision", REVISION, "--prompts", tmp_path / "prompts.txt"]
    command += ["--max_new_tokens", 3, "--n_samples", 3, "--batch_size", 1, "--overwrite"]
    hub(two_checkpoints / "old", OLD)
    finish_one, finished = Job.finish, []

    def finish_two(*arguments, **options):
        if len(finished) == 2:
            raise InputError("stopped here")
        finished.append(finish_one(*arguments, **options))

    with monkeypatch.context() as patch:
        patch.setattr(Job, "finish", finish_two)
        assert "stopped here" in call(*command)[2]
    hub(two_checkpoints / "new", NEW)
    status, printed, _ = call(*command)
    assert (status, "starts over" in printed, "3 of them new" in printed) == (0, True, True)
    texts = sorted((tiny_study / "generated_texts").glob("*.txt"))
    assert [record_of(text)["checkpoint"]["commit"] for text in texts] == [NEW] * 3


def test_texts_are_judged_by_one_classifier(hub, tiny_study, call, tmp_path, two_checkpoints):
    tokenizer = transformers.AutoTokenizer.from_pretrained(two_checkpoints / "old")
    tokenizer.pad_token = tokenizer.eos_token
    for seed, name in enumerate(("old", "new")):
        torch.manual_seed(seed)
        config = transformers.GPTNeoXConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
        config.id2label, config.pad_token_id = {0: "unacceptable", 1: "acceptable"}, 0
        transformers.GPTNeoXForSequenceClassification(config).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    folder = tiny_study / "generated_texts"
    folder.mkdir()
    parameters = {"model": "me_lm", "revision": "tokens5B", "prompt": "It"}

    def write_text(sample):
        text = folder / f"me_lm_tokens5B_gen_0_{sample}.txt"
        text.write_text("It is here. The fox sleeps.")
        write_record(text, parameters, [], 0)

    judge = "somebody/judge"
    command = ["evaluate_linguistic_acceptability", "--device", "cpu", "--classifier", judge]
    write_text(0)
    hub(tmp_path / "old", OLD, judge, "main")
    assert call(*command)[0] == 0
    assert record_of(folder / "me_lm_gen_cola.csv")["checkpoint"]["classifiers"]["somebody_judge"]["commit"] == OLD
    hub(tmp_path / "old", "3" * 40, judge, "main")  # a commit with the same files
    write_text(1)
    assert call(*command)[0] == 0
    hub(tmp_path / "new", NEW, judge, "main")
    before = all_files(folder)
    assert "somebody/judge of commit 3333333333, and main is now of commit 2222222222" in call(*command)[2]
    # It is downloaded only now: the cache had the one that judged the others.
    hub(tmp_path / "old", OLD, judge, "main")
    write_text(2)
    before = all_files(folder)
    load = load_classifier
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "study.stages.acceptability.load_classifier",
            lambda *how: hub(tmp_path / "new", NEW, judge, "main") and load(*how),
        )
        status, _, error = call(*command)
    assert status == 2
    assert "me_lm_gen_cola.csv: expected commit 2222222222, got commit 3333333333" in error
    assert all_files(folder) == before
    assert call(*command, "--overwrite")[0] == 0


def test_the_folder_of_a_local_model_is_on_record(two_checkpoints, monkeypatch):
    monkeypatch.chdir(two_checkpoints.parent)
    checkpoint = load_checkpoint(two_checkpoints.name, "old", "cpu")[2]
    assert (checkpoint["model"], checkpoint["folder"]) == (two_checkpoints.name, str(two_checkpoints))
    assert checkpoint["files"] == {file.name: plain_sha256(file) for file in (two_checkpoints / "old").iterdir()}


def test_a_checksum_is_read_from_the_name_that_the_hub_gave(tmp_path):
    repository = tmp_path / "models--a--b"
    snapshot, blobs = repository / "snapshots" / OLD, repository / "blobs"
    for folder in (snapshot, blobs, tmp_path / "blobs"):
        folder.mkdir(parents=True)
    stated = "ab" * 32
    (blobs / stated).write_text("what it holds is not read")
    (snapshot / "model.safetensors").symlink_to(f"../../blobs/{stated}")
    # The hub's store for several repositories names files by another checksum of 64 digits.
    (tmp_path / "blobs" / ("cd" * 32)).write_text("in the store")
    (blobs / ("ef" * 32)).symlink_to(tmp_path / "blobs" / ("cd" * 32))
    (snapshot / "shard.safetensors").symlink_to(blobs / ("ef" * 32))
    (snapshot / "direct.bin").symlink_to(tmp_path / "blobs" / ("cd" * 32))
    (blobs / ("12" * 20)).write_text("small")
    (snapshot / "config.json").symlink_to(f"../../blobs/{'12' * 20}")
    (snapshot / "README.md").write_text("not part of it")
    (snapshot / "gone.json").symlink_to("../../blobs/gone")
    assert weights.compute_checksums(snapshot) == {
        "model.safetensors": stated,
        "shard.safetensors": "ef" * 32,
        "direct.bin": hashlib.sha256(b"in the store").hexdigest(),
        "config.json": hashlib.sha256(b"small").hexdigest(),
    }


@pytest.mark.parametrize(
    ("names", "loaded"),
    [
        ("model.safetensors pytorch_model.bin consolidated.safetensors", "model.safetensors"),
        ("model-00001-of-00002.safetensors model-00002-of-00002.safetensors pytorch_model.bin", "0 1"),
        ("pytorch_model.bin optimizer.pt training_args.bin rng_state.pth", "pytorch_model.bin"),
        ("pytorch_model-00001-of-00002.bin pytorch_model-00002-of-00002.bin tf_model.h5", "0 1"),
        ("adapter_model.safetensors tokenizer.model", "adapter_model.safetensors"),
        ("optimizer.pt scheduler.pt tokenizer.json", ""),
    ],
)
def test_which_files_the_weights_are_loaded_from(names, loaded):
    names = names.split()
    expected = [names[int(name)] if name.isdigit() else name for name in loaded.split()]
    assert list(weights.select_weights(dict.fromkeys(names, "0"))) == expected


BASE = {"config.json": "c", "tokenizer.json": "t", "model.safetensors": "w"}


@pytest.mark.parametrize(
    ("changes", "local", "of_hub"),
    [
        ({}, True, True),
        ({"model.safetensors": "v"}, False, False),
        ({"config.json": "x"}, False, False),
        ({"optimizer.pt": "x", "pytorch_model.bin": "x", "trainer_state.json": "x"}, True, True),
        ({"special_tokens_map.json": "x"}, False, True),  # on the hub, it may not have been needed before
        ({"tokenizer_config.json": "x"}, False, False),  # which is always asked for
        ({"model.safetensors": None}, False, None),  # not downloaded yet
        ({"tokenizer.json": None}, False, None),
        ({"model.safetensors": None, "config.json": "x"}, False, False),
        ({"model.safetensors": None, "model-00001-of-00002.safetensors": "x"}, False, False),
    ],
)
def test_when_two_checkpoints_are_the_same(changes, local, of_hub):
    now = {name: checksum for name, checksum in (BASE | changes).items() if checksum}
    assert weights.is_same({"files": BASE}, {"files": now}) is local
    assert weights.is_same({"files": BASE, "commit": OLD}, {"files": now, "commit": NEW}) is of_hub
    assert weights.is_same({"files": BASE, "commit": OLD}, {"commit": OLD}) is True
    assert weights.is_same({"commit": OLD}, {"commit": NEW, "files": now}) is None
    assert weights.is_same({}, {"files": now}) is None


@pytest.mark.parametrize("content", [{"commit": 3}, {"folder": 3}, {"files": {"a": 1}}, {"files": []}])
def test_a_record_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "x.csv"
    record_path(path).write_text(json.dumps({"parameters": {}, "checkpoint": {"model": "m"} | content}))
    with pytest.raises(InputError, match=r"x\.csv\.json: remove it"):
        read_record(path)
