"""Fixtures that tests of this folder share."""

import shlex
import shutil
import sys

import pytest

from study.records import write_record


@pytest.fixture
def to_do(call):
    """to_do(stage, ...) -> (status, stdout, stderr)."""
    return lambda *stages: call("llm_brain_asym", "--todo", *stages)


@pytest.fixture
def model(tiny_checkpoint, tmp_path):
    """A model of two revisions."""
    folder = tmp_path / "models" / tiny_checkpoint.name
    for revision in ("step8", "step16"):
        shutil.copytree(tiny_checkpoint / "step8", folder / revision)
    return folder


@pytest.fixture
def make_output(monkeypatch):
    """make_output(path, command, parameters, checkpoint): an output with the record that a script would leave."""

    def make(path, command, parameters, model="me/lm"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        checkpoint = {"model": model, "revision": parameters.get("revision")}
        write_record(path, parameters, [], 0, checkpoint)

    return make


@pytest.fixture
def check(call):
    """check() -> (status, stdout, stderr)."""
    return lambda *options: call("llm_brain_asym", "--check", *options)
