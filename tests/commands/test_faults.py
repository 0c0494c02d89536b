"""Damaged inputs of every kind: one line that names the file, status 2, nothing written.

Damage is made here, on small inputs of the same formats; other tests hold the faults that are particular
to one script (``test_scripts``, ``test_minimal_pairs``, ``test_generated_texts``, ``test_lm_eval``).
"""

import gzip
import json
import re
import shutil
import zipfile
from pathlib import Path

import joblib
import lz4.frame
import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers import add_blimp, all_files
from hostile_files import Reduced, a_bomb, a_nest, an_array_of_terabytes, endless_bytes, endless_text

from pipeline.errors import InputError
from study.checkpoints import find_fitted_checkpoints
from study.files.safe_joblib import read_arrays, write_arrays
from study.files.tables import write_table
from study.inputs.le_petit_prince import read_isc, read_mask
from study.inputs.lm_eval import describe_lm_eval_files
from study.outputs.correlations import read_all_correlations
from study.outputs.tasks import read_benchmark_items, read_benchmarks
from study.paths import (
    acceptability_path,
    activations_path,
    average_subject_path,
    benchmark_pairs_path,
    benchmark_path,
    blimp_files,
    generated_texts_folder,
    isc_path,
    layer_correlations_path,
    lm_eval_folder,
    mask_path,
    onsets_offsets_path,
    run_correlations_path,
    text_path,
    tokens_table_path,
    word_timings_path,
    zorro_files,
)

STEM = "tiny-pythia_step8"


@pytest.fixture(autouse=True)
def counted(record_property, request):
    if "harmless" not in request.node.name:
        wrong = getattr(request.node, "callspec", None)
        told = " ".join(getattr(value, "__name__", str(value)) for value in wrong.params.values()) if wrong else ""
        is_hostile = any(words in told for words in ["pickle", "code", "climb", "gigabytes", *map(name_of, HOSTILE)])
        record_property("hostile files" if is_hostile else "damaged files", 1)


def name_of(function):
    return function.__name__


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3 - 1])


def noise(path):
    path.write_bytes(np.random.default_rng(0).bytes(3000))


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_flipped_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def code(path):
    """A pickle that would make a file, in the compression that the name promises."""
    content = Reduced(open, "hostile", "w").pickled()
    path.write_bytes({".gz": gzip.compress, ".lz4": lz4.frame.compress}.get(path.suffix, bytes)(content))


def a_type_of_its_own(path):
    """An array whose description is told, past all that is looked at, to be one of objects."""
    content = Path(f"{path}.joblib")
    joblib.dump(np.zeros(3), content)
    described = content.read_bytes()
    content.unlink()
    assert b"\x8c\x02f8" in described
    path.write_bytes(
        {".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix](described.replace(b"\x8c\x02f8", b"\x8c\x02O8"))
    )


def nothing_added(path):
    """A list in a list, to which nothing is added."""
    path.write_bytes({".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix](b"\x80\x04](e]a."))


ANY = [empty, cut, noise, a_folder]
HOSTILE = [code, an_array_of_terabytes, a_bomb, a_nest, endless_text, endless_bytes, a_type_of_its_own, nothing_added]
PICKLES = [*ANY, a_flipped_bit, *HOSTILE]


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


@pytest.fixture
def damaged_study(tiny_study, tiny_checkpoint, tmp_path, call):
    """A study of which every stage can be run: stage(name) -> (status, stdout, stderr), and the models' folder."""
    models = tmp_path / "models" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, models)
    (models / "prompts.txt").write_text("The prince asked.\nIt was lonely.\n")
    add_blimp(tiny_study)
    zorro = tiny_study / "Zorro" / "sentences" / "babyberta"
    zorro.mkdir(parents=True)
    (zorro / "agreement-one.txt").write_text("a princes is .\na prince is .\n" * 20)
    checkpoint = ["--model", models, "--revision", "step8", "--device", "cpu"]
    commands = {
        "extract": ["extract_llm_activations", *checkpoint],
        "fit": ["fit_average_subject", *checkpoint, "--alphas", 0, 5, 6],
        "blimp": ["evaluate_llm_blimp", *checkpoint],
        "zorro": ["evaluate_llm_zorro", *checkpoint],
        "texts": [
            *["generate_texts", *checkpoint, "--prompts", models / "prompts.txt"],
            *["--n_samples", 1, "--max_new_tokens", 5],
        ],
    }
    return lambda name: call(*commands[name]), models


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


def with_texts(change):
    """Write the archive of texts anew, with other names or texts."""
    path = text_path("en")
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in change(texts).items():
            archive.writestr(name, text)


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


# ---------------------------------------------------------------- what the notebook reads


@pytest.fixture
def fitted(tiny_study):
    """Results of every kind for one checkpoint, as the notebook reads them."""
    rng = np.random.default_rng(0)
    for layer in range(2):
        write_arrays(layer_correlations_path(STEM, layer, "en"), rng.random(24))
    path = run_correlations_path(STEM, "en")
    np.savez_compressed(path, correlations=rng.random((2, 4, 24)), alphas=np.ones((2, 4)))
    write_table(benchmark_path(STEM, "blimp"), pd.DataFrame({"paradigm": ["p"], "accuracy": [0.5]}))
    pairs = pd.DataFrame({"paradigm": ["p"], "pair": [0], "logprob_good": [-1.0], "logprob_bad": [-2.0]})
    write_table(benchmark_pairs_path(STEM, "blimp"), pairs)
    tokens_table_path().write_text("model,revision,tokens\ntiny-pythia,step8,16777216\n")
    table = pd.DataFrame({"revision": ["step8"], "tokens": [1.0], "prompt": [0], "sample": [0], "classifier": ["c"]})
    table = table.assign(n_sentences=1, mean_probability=0.5, share_acceptable=1.0)
    write_table(acceptability_path("tiny-pythia", generated_texts_folder()), table)
    results = {"config": {"model_args": "pretrained=tiny-pythia,revision=step8"}, "date": 1.0}
    results["results"] = {"arc_easy": {"acc,none": 0.5, "acc_stderr,none": 0.1}}
    (tiny_study / "lm_eval_results").mkdir()
    (tiny_study / "lm_eval_results" / "step8.json").write_text(json.dumps(results))
    return tiny_study


def read_everything():
    """Everything that the notebook reads of a study."""
    mask = read_mask("en")
    read_isc("en", int(np.count_nonzero(mask.get_fdata())))
    checkpoints, _ = find_fitted_checkpoints("tiny-pythia", "en")
    read_all_correlations(checkpoints, "en")
    read_benchmarks("tiny-pythia", checkpoints)
    read_benchmark_items("tiny-pythia", checkpoints)


def only_averages(damage):
    """Damage the correlations of a layer where there are none of single runs, as from the published code."""

    def of_layer(path):
        run_correlations_path(STEM, "en").unlink()
        damage(path)

    of_layer.__name__ = damage.__name__
    return of_layer


def without(column):
    def damage(path):
        write_table(path, pd.read_csv(path).drop(columns=column))

    damage.__name__ = f"without {column}"
    return damage


def with_words(column):
    def damage(path):
        write_table(path, pd.read_csv(path).astype(object).assign(**{column: "many"}))

    damage.__name__ = f"words for {column}"
    return damage


def a_mask_of_another_size(path):
    nibabel.Nifti1Image(np.ones((3, 2, 5), dtype=np.int8), np.eye(4)).to_filename(path)


def a_mask_that_claims_to_be_huge(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = np.array([20_000] * 3, dtype="<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))


def an_isc_of_another_language(path):
    write_arrays(path, np.ones((10, 25)))


def words_in_the_place_of_numbers(path):
    np.savez(path, correlations=np.full((2, 4, 24), "r"), alphas=np.ones((2, 4)))


def in_bzip2(path):
    content = {name: path.read_bytes()[:100] for name in ("correlations.npy", "alphas.npy")}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, values in content.items():
            archive.writestr(name, values)


def of_two_dimensions(path):
    np.savez(path, correlations=np.ones((2, 24)), alphas=np.ones(2))


def objects(path):
    np.savez(path, correlations=np.array([Reduced(open, "hostile", "w")], dtype=object))


def a_huge_archive(path):
    np.savez_compressed(path, correlations=np.zeros((1, 1, 2**28 + 1)))


def as_of_another_program(path):
    path.write_text("[1, 2]")


def nested_json(path):
    path.write_text('{"config": ' + "[" * 100_000)


RESULTS = {
    "mask": (lambda: mask_path("en"), [*ANY, a_mask_that_claims_to_be_huge]),
    "ISC": (lambda: isc_path("en"), [*PICKLES, an_isc_of_another_language]),
    "mask and ISC": (lambda: mask_path("en"), [a_mask_of_another_size]),
    "correlations": (
        lambda: run_correlations_path(STEM, "en"),
        [*ANY, of_two_dimensions, objects, words_in_the_place_of_numbers, in_bzip2, a_huge_archive],
    ),
    "averages": (
        lambda: layer_correlations_path(STEM, 1, "en"),
        [only_averages(damage) for damage in PICKLES if damage is not a_folder],
    ),
    "accuracies": (
        lambda: benchmark_path(STEM, "blimp"),
        [empty, noise, without("accuracy"), with_words("accuracy")],
    ),
    "pairs": (
        lambda: benchmark_pairs_path(STEM, "blimp"),
        [empty, cut, noise, a_flipped_bit, a_bomb, without("logprob_bad"), with_words("logprob_good")],
    ),
    "acceptability": (
        lambda: acceptability_path("tiny-pythia", generated_texts_folder()),
        [empty, noise, without("mean_probability"), with_words("mean_probability")],
    ),
    "training tokens": (lambda: tokens_table_path(), [empty, noise, without("tokens"), with_words("tokens")]),
}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [(kind, damage) for kind, (_, damages) in RESULTS.items() for damage in damages],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_damaged_result_is_named_in_the_notebook(fitted, tmp_path, monkeypatch, kind, damage):
    monkeypatch.chdir(tmp_path)
    read_everything()
    path = RESULTS[kind][0]()
    damage(path)
    with pytest.raises(InputError) as error:
        read_everything()
    assert path.name in str(error.value)
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("damage", [*ANY[:3], as_of_another_program, nested_json], ids=lambda value: value.__name__)
def test_a_damaged_result_of_lm_eval_is_named_and_keeps_nothing_from_being_read(fitted, tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    path = lm_eval_folder() / "step8.json"
    damage(path)
    read_everything()
    (note,) = describe_lm_eval_files(["tiny-pythia"])
    assert note.startswith(f"{path}: expected results of lm_eval, got ")
    assert "remove" not in note


# ---------------------------------------------------------------- what is harmless


def test_what_is_harmless_is_accepted(damaged_study):
    stage, models = damaged_study
    path = word_timings_path("en")
    rows = pd.read_csv(path).assign(pos="NOUN")
    path.write_bytes(b"\xef\xbb\xbf" + rows.to_csv(index=False).replace("\n", "\r\n").encode())
    with_texts(lambda texts: {name: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n") for name, text in texts.items()})
    (models / "prompts.txt").write_bytes(b"\xef\xbb\xbfThe prince asked.\r\nIt was lonely.\r\n")
    for path in (*blimp_files(), *zorro_files()):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    for name in ("extract", "fit", "blimp", "zorro", "texts"):
        status, _, error = stage(name)
        assert status == 0, error
    pairs = pd.read_csv(benchmark_pairs_path(STEM, "zorro"))
    assert not pairs["good"].str.contains("\r").any()
