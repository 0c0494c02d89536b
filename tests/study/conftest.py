"""Fixtures that tests of this folder share."""

import hashlib
import shutil

import huggingface_hub
import pytest
import torch
import transformers
from hub_models import NAME, REVISION, plain_sha256


@pytest.fixture(scope="module")
def two_checkpoints(tiny_checkpoint, tmp_path_factory):
    """Folders of two checkpoints of one model: their weights differ, configuration and tokenizer do not."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(tiny_checkpoint / "step8", folder / "old")
    shutil.copytree(tiny_checkpoint / "step8", folder / "new")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "old")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.9
    model.save_pretrained(folder / "new")
    return folder


@pytest.fixture(params=["plain files", "links"])
def hub(request, tmp_path, monkeypatch):
    """A cache of the hub, as huggingface_hub lays it out; hub(folder, commit) makes a branch be that commit."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))

    def upload(source, commit, name=NAME, revision=REVISION):
        repository = cache / f"models--{name.replace('/', '--')}"
        snapshot = repository / "snapshots" / commit
        for folder in (snapshot, repository / "blobs", repository / "refs"):
            folder.mkdir(parents=True, exist_ok=True)
        for file in source.iterdir():
            if request.param == "plain files":
                shutil.copy(file, snapshot / file.name)
                continue
            is_large = file.suffix == ".safetensors"
            blob = plain_sha256(file) if is_large else hashlib.sha1(file.read_bytes()).hexdigest()
            shutil.copy(file, repository / "blobs" / blob)
            (snapshot / file.name).unlink(missing_ok=True)
            (snapshot / file.name).symlink_to(f"../../blobs/{blob}")
        (repository / "refs" / revision).write_text(commit)
        return snapshot

    return upload


@pytest.fixture
def extract(call):
    return lambda *options: call("extract_llm_activations", "--model", NAME, "--revision", REVISION, *options)
