"""Damaged inputs of every kind: one line that names the file, status 2, nothing written."""

import gzip
import json
import zipfile

import nibabel
import numpy as np
import pandas as pd
import pytest
from damage import (
    ANY,
    PICKLES,
    a_flipped_bit,
    a_folder,
    cut,
    empty,
    noise,
    with_texts,
)
from helpers import STEM
from hostile_files import Reduced, a_bomb

from pipeline.errors import InputError
from study.checkpoints import find_fitted_checkpoints
from study.files.safe_joblib import write_arrays
from study.files.tables import write_table
from study.inputs.le_petit_prince import read_isc, read_mask
from study.inputs.lm_eval import describe_lm_eval_files
from study.outputs.correlations import read_all_correlations
from study.outputs.tasks import read_benchmark_items, read_benchmarks
from study.paths import (
    acceptability_path,
    benchmark_pairs_path,
    benchmark_path,
    blimp_files,
    generated_texts_folder,
    isc_path,
    layer_correlations_path,
    lm_eval_folder,
    mask_path,
    run_correlations_path,
    tokens_table_path,
    word_timings_path,
    zorro_files,
)


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
