"""The study folder: names, safe reading, whole writing, records, checkpoints."""

import json
import pickle

import joblib
import numpy as np
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model
from study_files import ACTIVATIONS, Call

from pipeline.errors import InputError
from pipeline.models.devices import pick_device
from pipeline.models.loading import load_checkpoint
from study.cache import check_unchanged, open_cache
from study.files.atomic import hidden_path, lock, write_whole
from study.files.safe_joblib import write_arrays
from study.jobs import is_finished
from study.records import record_path, write_record


def test_an_output_is_whole_or_not_there(tmp_path):
    path = tmp_path / "deep" / "a.gz"
    write_arrays(path, np.ones(3))
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), write_whole(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.gz"]


def test_links_in_the_place_of_outputs_and_of_work_are_not_followed(tmp_path, monkeypatch):
    """Neither is what they point to written to or removed."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "study"
    elsewhere.mkdir()
    folder.mkdir()
    (elsewhere / "precious").write_text("kept")
    path = folder / "a.gz"
    path.symlink_to(elsewhere / "precious")
    hidden_path(path, "tmp").symlink_to(elsewhere / "precious")
    write_arrays(path, np.ones(3))
    assert not path.is_symlink()
    np.testing.assert_array_equal(joblib.load(path), np.ones(3))

    hidden_path(path, "parts").symlink_to(elsewhere)
    with open_cache(path, {}, [], print) as parts:
        (parts / "part").write_text("new")
    hidden_path(path, "lock").symlink_to(elsewhere / "lock")
    with pytest.raises(OSError), lock(path):
        pass
    assert {file.name: file.read_text() for file in elsewhere.iterdir()} == {"precious": "kept"}


def test_files_that_change_while_they_are_used_are_named(tmp_path):
    source = tmp_path / "source"
    source.write_text("1")
    with open_cache(tmp_path / "output", {}, [source], print) as parts:
        check_unchanged(parts)
        source.write_text("23")
        with pytest.raises(InputError, match=r"source has changed while it was used\. Run the same command again"):
            check_unchanged(parts)


def test_the_same_arrays_make_the_same_bytes(tmp_path):
    for name in ["a.gz", "a.lz4"]:
        write_arrays(tmp_path / name, ACTIVATIONS)
        before = (tmp_path / name).read_bytes()
        write_arrays(tmp_path / name, ACTIVATIONS)
        assert (tmp_path / name).read_bytes() == before


def test_how_an_output_was_made_is_beside_it(tmp_path):
    source, output = tmp_path / "in.csv", tmp_path / "out.gz"
    source.write_text("1\n")
    write_arrays(output, np.ones(3))
    write_record(output, {"alphas": (2, 7, 16)}, [source], started=0.0, seed=3)
    record = json.loads((tmp_path / "out.gz.json").read_text())
    assert record["inputs"] == {"in.csv": "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"}
    assert record["versions"]["torch"] == torch.__version__
    assert (record["seed"], record["seconds"] > 1e9) == (3, True)

    assert is_finished(output, {"alphas": (2, 7, 16)}, overwrite=False)
    assert not is_finished(output, {"alphas": (2, 7, 16)}, overwrite=True)
    assert not is_finished(tmp_path / "other.gz", {}, overwrite=False)
    with pytest.raises(InputError, match=r"out\.gz was made with alphas \[2, 7, 16\]: --overwrite"):
        is_finished(output, {"alphas": (0, 7, 16)}, overwrite=False)
    # A new output has no old record, and one that someone else made is left alone.
    write_arrays(output, np.ones(3))
    assert not record_path(output).exists()
    assert is_finished(output, {"alphas": (0, 7, 16)}, overwrite=False)


@pytest.mark.parametrize("architecture", ["olmo2", "gpt_neox"])
def test_a_local_checkpoint_is_loaded(tmp_path, architecture):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    saved = random_model(architecture, len(tokenizer), context=64)
    saved.save_pretrained(tmp_path / "lm" / "step4")
    tokenizer.save_pretrained(tmp_path / "lm" / "step4")
    model, loaded_tokenizer, checkpoint = load_checkpoint(str(tmp_path / "lm"), "step4", "cpu", "float32")
    assert not model.training
    assert loaded_tokenizer.is_fast
    assert loaded_tokenizer(ENGLISH)["input_ids"] == tokenizer(ENGLISH)["input_ids"]
    for name, weights in saved.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weights, rtol=0, atol=0)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(checkpoint["files"])
    half, _, _ = load_checkpoint(str(tmp_path / "lm" / "step4"), None, "auto", "bfloat16")
    assert half.dtype == torch.bfloat16


def test_safetensors_come_before_pickles_and_code_is_never_run(tmp_path):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    model = random_model("gpt_neox", len(tokenizer), context=64)
    model.save_pretrained(tmp_path / "lm")
    tokenizer.save_pretrained(tmp_path / "lm")
    (tmp_path / "lm" / "pytorch_model.bin").write_bytes(pickle.dumps(Call()))
    load_checkpoint(str(tmp_path / "lm"), None, "cpu", "float32")
    (tmp_path / "lm" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        load_checkpoint(str(tmp_path / "lm"), None, "cpu", "float32")

    config = json.loads((tmp_path / "lm" / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    config["model_type"] = "evil"
    (tmp_path / "lm" / "config.json").write_text(json.dumps(config))
    (tmp_path / "lm" / "evil.py").write_text("open('hostile', 'w')")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_checkpoint(str(tmp_path / "lm"), None, "cpu", "float32")


def test_what_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "lm").mkdir()
    with pytest.raises(InputError, match=r"lm/step3 holds no checkpoint"):
        load_checkpoint(str(tmp_path / "lm"), "step3", "cpu", "float32")
    with pytest.raises(InputError, match=r"checkpoint nobody/no-such-model: it cannot be loaded"):
        load_checkpoint("nobody/no-such-model", None, "cpu", "float32")
    name = f"{tmp_path.name}/lm-7b"  # a folder, or owner and name on the hub
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path.parent)
        with pytest.raises(
            InputError, match=rf"{name}: .*the folder {tmp_path.name} has no folder lm-7b; or is that its"
        ):
            load_checkpoint(name, None, "cpu", "float32")
    with pytest.raises(InputError, match="--device cuda:99 cannot be used here"):
        pick_device("cuda:99")
