"""Damaged inputs of every kind: one line that names the file, status 2, nothing written.

Damage is made here, on small inputs of the same formats; other tests hold the faults that are particular
to one script (``test_scripts``, ``test_minimal_pairs``, ``test_generated_texts``, ``test_lm_eval``)."""

import json
import re
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
from damage import ANY, HOSTILE, PICKLES, a_flipped_bit, a_folder, empty, noise, with_texts
from helpers import STEM, all_files
from hostile_files import Reduced

from study.files.safe_joblib import read_arrays
from study.paths import (
    activations_path,
    average_subject_path,
    blimp_files,
    onsets_offsets_path,
    text_path,
    word_timings_path,
    zorro_files,
)


@pytest.fixture(autouse=True)
def counted(record_property, request):
    if "harmless" not in request.node.name:
        wrong = getattr(request.node, "callspec", None)
        told = " ".join(getattr(value, "__name__", str(value)) for value in wrong.params.values()) if wrong else ""
        is_hostile = any(words in told for words in ["pickle", "code", "climb", "gigabytes", *map(name_of, HOSTILE)])
        record_property("hostile files" if is_hostile else "damaged files", 1)


def name_of(function):
    return function.__name__


def models_file(name):
    return lambda models: models / "step8" / name


# Which stage reads it, where it is, and how it is damaged.
INPUTS = {
    "text": ("extract", lambda _: text_path("en"), [*ANY, a_flipped_bit]),
    "timings": ("extract", lambda _: word_timings_path("en"), ANY),
    "shared timings": ("extract", lambda _: onsets_offsets_path("en"), PICKLES),
    "config": ("extract", models_file("config.json"), ANY),
    "weights": ("extract", models_file("model.safetensors"), ANY),
    "tokenizer": ("extract", models_file("tokenizer.json"), ANY),
    "fMRI": ("fit", lambda _: average_subject_path("en", 1), PICKLES),
    "activations": ("fit", lambda _: activations_path(STEM, "en"), PICKLES),
    "timings of the activations": ("fit", lambda _: onsets_offsets_path("en"), PICKLES),
    "record of the activations": ("fit", lambda _: activations_path(STEM, "en").with_suffix(".lz4.json"), ANY),
    "BLiMP": ("blimp", lambda _: blimp_files()[1], ANY),
    "Zorro": ("zorro", lambda _: zorro_files()[0], ANY),
    "prompts": ("texts", lambda models: models / "prompts.txt", [empty, noise, a_folder]),
}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [(kind, damage) for kind, (*_, damages) in INPUTS.items() for damage in damages],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_damaged_file_is_named_in_one_line(damaged_study, tiny_study, tmp_path, monkeypatch, kind, damage):
    monkeypatch.chdir(tmp_path)
    stage, models = damaged_study
    script, where, _ = INPUTS[kind]
    if script == "fit" or kind == "shared timings":
        assert stage("extract")[0] == 0
    if kind == "shared timings":
        activations_path(STEM, "en").unlink()
    path = where(models)
    assert path.exists()
    damage(path)
    before = all_files(tmp_path)
    status, _, error = stage(script)
    assert status == 2, error
    assert error.count("\n") == 1, error
    # Of a checkpoint, transformers reads several files: its folder is named.
    named = path.name if path.parent.name != "step8" else str(path.parent)
    assert named in error, error
    remedies = "get |make|download|remove|extract|loaded|run |is no|name another|not there"
    assert re.search(remedies, error, re.IGNORECASE), error
    assert all_files(tmp_path) == before


TABLES = {
    "separated by semicolons": lambda rows: rows.to_csv(index=False, sep=";").encode(),
    "in UTF-16": lambda rows: rows.to_csv(index=False).encode("utf-16"),
    "in Latin 1": lambda rows: rows.replace("prince", "été").assign(word="été").to_csv(index=False).encode("latin-1"),
    "with its words twice": lambda rows: pd.concat([rows, rows]).to_csv(index=False).encode(),
    "with its runs backwards": lambda rows: (
        rows.assign(word=rows["word"].to_numpy()[::-1]).to_csv(index=False).encode()
    ),
    "without words": lambda rows: rows[:0].to_csv(index=False).encode(),
    "with runs that count from 0": lambda rows: rows.assign(section=rows["section"] - 1).to_csv(index=False).encode(),
    "with negative onsets": lambda rows: rows.assign(onset=rows["onset"] - 9).to_csv(index=False).encode(),
    "with missing onsets": lambda rows: rows.assign(onset="").to_csv(index=False).encode(),
}


@pytest.mark.parametrize("fault", TABLES)
def test_a_table_of_timings_that_is_wrong_is_named(damaged_study, tmp_path, fault):
    path = word_timings_path("en")
    path.write_bytes(TABLES[fault](pd.read_csv(path)))
    refused(damaged_study[0], "extract", tmp_path, path.name)


def refused(stage, script, folder, named):
    before = all_files(folder)
    status, _, error = stage(script)
    assert status == 2, error
    assert error.count("\n") == 1, error
    assert named in error, error
    assert all_files(folder) == before


ARCHIVES = {
    "of another folder": lambda texts: {f"elsewhere/{name}": text for name, text in texts.items()},
    "of French texts": lambda texts: {name.replace("_en_", "_fr_"): text for name, text in texts.items()},
    "that begins with run 2": lambda texts: {name: texts[name] for name in list(texts)[1:]},
    "in Latin 1": lambda texts: {
        name: text.decode().replace("a", "é").encode("latin-1", "ignore") for name, text in texts.items()
    },
    "that unpacks to gigabytes": lambda texts: dict.fromkeys(texts, b" " * 2**28),
    "of empty texts": lambda texts: dict.fromkeys(texts, b""),
    "of paths that climb out": lambda texts: {f"../../{name}": text for name, text in texts.items()},
}


@pytest.mark.parametrize("fault", ARCHIVES)
def test_an_archive_of_texts_that_is_wrong_is_named(damaged_study, tmp_path, fault):
    with_texts(ARCHIVES[fault])
    refused(damaged_study[0], "extract", tmp_path, "lpp_en_text.zip")


def test_an_archive_that_is_compressed_in_another_way_is_named(damaged_study, tmp_path):
    """bzip2 unpacks a megabyte at least at once, whatever the archive says of its size."""
    with zipfile.ZipFile(text_path("en"), "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("lpp_en_text/text_en_run1.txt", "a" * 2**20)
    refused(damaged_study[0], "extract", tmp_path, "lpp_en_text.zip")


def test_an_archive_with_another_password_is_named(damaged_study, tmp_path):
    """Python cannot encrypt: a flag says that the texts are encrypted, and the password does not fit them."""
    path = text_path("en")
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            content[start + place] |= 1
    path.write_bytes(content)
    refused(damaged_study[0], "extract", tmp_path, "lpp_en_text.zip")


ARRAYS = {
    "of whole numbers": lambda run: run.astype(int),
    "of one dimension": lambda run: run[:, 0],
    "turned on its side": lambda run: run.T,
    "of infinities": lambda run: run + np.inf,
    "without voxels": lambda run: run[:, :0],
    "without scans": lambda run: run[:0],
    "of texts": lambda run: "fMRI",
    "of complex numbers": lambda run: run * 1j,
    "in a list": lambda run: [run],
}


@pytest.mark.parametrize("fault", ARRAYS)
def test_fmri_that_is_wrong_is_named(damaged_study, tmp_path, fault):
    stage, _ = damaged_study
    assert stage("extract")[0] == 0
    path = average_subject_path("en", 1)
    content = ARRAYS[fault](read_arrays(path))
    path.unlink()
    joblib.dump(content, path, compress=("gzip", 3))
    refused(stage, "fit", tmp_path, path.name)


CHECKPOINTS = {
    "without weights": lambda folder: (folder / "model.safetensors").unlink(),
    "without a tokenizer": lambda folder: [path.unlink() for path in folder.glob("tokenizer*")],
    "with the weights of a smaller model": lambda folder: change_json(folder / "config.json", hidden_size=64),
    "with more layers than weights": lambda folder: change_json(folder / "config.json", num_hidden_layers=9),
    "of a kind that nobody knows": lambda folder: change_json(folder / "config.json", model_type="marvel"),
    "with code of its own": lambda folder: change_json(
        folder / "config.json", model_type="marvel", auto_map={"AutoModelForCausalLM": "code.Model"}
    ),
    "whose weights are a pickle": lambda folder: (
        (folder / "model.safetensors").unlink(),
        (folder / "pytorch_model.bin").write_bytes(Reduced(open, "hostile", "w").pickled()),
    ),
}


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("fault", CHECKPOINTS)
def test_a_checkpoint_that_is_wrong_is_named(damaged_study, tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    stage, models = damaged_study
    CHECKPOINTS[fault](models / "step8")
    refused(stage, "extract", tmp_path, str(models / "step8"))
