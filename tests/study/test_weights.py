"""Which weights an output was made of: commits and files of the hub, equal weights under two names."""

import contextlib
import json
import shutil

import joblib
import numpy as np
import pytest
import torch
import transformers
from helpers import all_files
from hub_models import NAME, NEW, OLD, REVISION, STEM, plain_sha256, record_of

from pipeline.errors import InputError
from pipeline.models.loading import load_checkpoint
from study import cache
from study.paths import activations_path
from study.records import record_path


@contextlib.contextmanager
def stopped_after(n_parts, monkeypatch):
    """Stop a command when it has kept so many parts."""
    kept, save = [], cache.save_arrays

    def save_and_stop(path, **arrays):
        save(path, **arrays)
        kept.append(path)
        if len(kept) == n_parts:
            raise InputError("stopped here")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "save_arrays", save_and_stop)
        yield


def activations_of(folder, call):
    """The word vectors of a local checkpoint."""
    assert call("extract_llm_activations", "--model", folder)[0] == 0
    return joblib.load(activations_path(folder.name, "en"))


def test_commit_and_checksums_are_on_record(hub, two_checkpoints, tiny_study, extract):
    snapshot = hub(two_checkpoints / "old", OLD)
    assert extract()[0] == 0
    checkpoint = record_of(activations_path(STEM, "en"))["checkpoint"]
    assert checkpoint["commit"] == OLD
    assert checkpoint["files"] == {file.name: plain_sha256(file) for file in snapshot.iterdir()}


def test_a_branch_that_moves_while_it_is_loaded_is_not_mixed(hub, two_checkpoints, monkeypatch):
    hub(two_checkpoints / "new", NEW)
    hub(two_checkpoints / "old", OLD)
    load = transformers.AutoTokenizer.from_pretrained

    def load_and_move(*arguments, **options):
        tokenizer = load(*arguments, **options)
        hub(two_checkpoints / "new", NEW)
        return tokenizer

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", load_and_move)
    model, _, checkpoint = load_checkpoint(NAME, REVISION, "cpu")
    assert checkpoint["commit"] == OLD
    assert checkpoint["files"]["model.safetensors"] == plain_sha256(two_checkpoints / "old" / "model.safetensors")
    expected = transformers.AutoModelForCausalLM.from_pretrained(two_checkpoints / "old").state_dict()
    for name, values in model.state_dict().items():
        torch.testing.assert_close(values, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("revision", [OLD, "v1.0", "refs/pr/7", None])
def test_a_commit_a_tag_and_no_revision_are_loaded(hub, two_checkpoints, revision):
    hub(two_checkpoints / "old", OLD)
    with contextlib.suppress(FileNotFoundError):
        hub(two_checkpoints / "old", OLD, revision="main")
    repository = hub(two_checkpoints / "old", OLD, revision="v1.0").parents[1]
    (repository / "refs" / "refs" / "pr").mkdir(parents=True)
    (repository / "refs" / "refs" / "pr" / "7").write_text(OLD)
    assert load_checkpoint(NAME, revision, "cpu")[2]["commit"] == OLD


def test_parts_of_another_commit_are_not_mixed_with_the_new_one(
    hub, two_checkpoints, tiny_study, extract, call, monkeypatch
):
    expected = activations_of(two_checkpoints / "new", call)
    hub(two_checkpoints / "old", OLD)
    with stopped_after(2, monkeypatch):
        assert "stopped here" in extract()[2]
    hub(two_checkpoints / "new", NEW)
    status, printed, _ = extract()
    assert status == 0
    assert "starts over: its parts were made from another checkpoint" in printed
    path = activations_path(STEM, "en")
    assert record_of(path)["checkpoint"]["commit"] == NEW
    for layers, expected_layers in zip(joblib.load(path), expected, strict=True):
        np.testing.assert_array_equal(layers, expected_layers)


def test_a_commit_that_changes_no_weights_changes_nothing(hub, two_checkpoints, tiny_study, extract, monkeypatch):
    hub(two_checkpoints / "old", OLD)
    with stopped_after(2, monkeypatch):
        extract()
    snapshot = hub(two_checkpoints / "old", NEW)
    for name in ("README.md", "LICENSE", "pytorch_model.bin", "onnx.py"):  # of which loading reads nothing
        (snapshot / name).write_text("edited")
    status, printed, _ = extract()
    assert (status, "starts over" in printed) == (0, False)
    assert record_of(activations_path(STEM, "en"))["checkpoint"]["commit"] == NEW
    hub(two_checkpoints / "old", "3" * 40)
    status, printed, _ = extract()
    assert (status, printed.count("\n"), "is there already" in printed) == (0, 1, True)


@pytest.mark.parametrize("changed", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_finished_output_of_another_commit_is_refused(hub, two_checkpoints, tiny_study, extract, tmp_path, changed):
    hub(two_checkpoints / "old", OLD)
    assert extract()[0] == 0
    source = shutil.copytree(two_checkpoints / "old", tmp_path / "source")
    with open(source / changed, "ab") as file:
        file.write(b"\n")
    hub(source, NEW)
    before = all_files(tiny_study)
    status, printed, error = extract()
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert f"was made with the model {NAME} of commit {OLD[:10]}, and {REVISION} is now of commit {NEW[:10]}" in error
    assert "--overwrite" in error
    assert all_files(tiny_study) == before


def test_a_commit_that_is_not_in_the_cache_in_whole_is_told(hub, two_checkpoints, tiny_study, extract):
    hub(two_checkpoints / "old", OLD)
    assert extract()[0] == 0
    snapshot = hub(two_checkpoints / "old", NEW)
    (snapshot / "model.safetensors").unlink()
    status, printed, _ = extract()
    assert (status, "is there already" in printed) == (0, True)
    assert f"{REVISION} is now of commit {NEW[:10]}, which cannot be compared" in printed
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").write_text("{}")  # what is there shows that it is another one
    assert extract()[0] == 2


def test_outputs_stay_where_the_cache_was_deleted_and_where_old_records_name_no_commit(
    hub, two_checkpoints, tiny_study, extract, tmp_path
):
    hub(two_checkpoints / "old", OLD)
    assert extract()[0] == 0
    shutil.rmtree(tmp_path / "hub")
    status, printed, _ = extract()
    assert (status, printed.count("\n")) == (0, 1)
    path = activations_path(STEM, "en")
    for record in ({"commit": None}, {"commit": OLD}, {}):
        content = record_of(path)
        content["checkpoint"] = {"model": NAME, "revision": REVISION, "dtype": "float32"} | record
        record_path(path).write_text(json.dumps(content))
        assert extract()[:2] == (0, f"{path} is there already\n")
    hub(two_checkpoints / "new", NEW)
    assert extract()[0] == 0  # without checksums, it cannot be shown to be another one
    content["checkpoint"]["model"] = "somebody_else/lm"
    record_path(path).write_text(json.dumps(content))
    assert "which is another one" in extract()[2]
