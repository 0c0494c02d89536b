"""The study folder: names, safe reading, whole writing, records, checkpoints."""

import gzip
import io
import pickle
import weakref
import zlib

import joblib
import nibabel
import numpy as np
import pandas as pd
import pytest
from hostile_files import Reduced
from study_files import ACTIVATIONS, Call

from pipeline.errors import InputError
from study.checkpoints import find_fitted_checkpoints
from study.files.safe_joblib import read_array_lists, read_arrays, write_arrays
from study.files.tables import write_table
from study.inputs.le_petit_prince import read_atlas, read_word_timings
from study.outputs.comparability import find_gaps
from study.outputs.correlations import read_all_correlations, read_correlations
from study.outputs.tasks import read_acceptability_items, read_benchmarks
from study.paths import (
    acceptability_path,
    activations_path,
    atlas_path,
    average_subject_path,
    benchmark_path,
    checkpoint_stem,
    generated_texts_folder,
    isc_path,
    layer_correlations_path,
    mask_path,
    onsets_offsets_path,
    run_correlations_path,
    study_folder,
    text_path,
    word_timings_path,
)
from study.records import write_record


def equal(one, other):
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one.dtype == other.dtype and np.array_equal(one, other)


def test_the_names_are_the_published_ones(study_folder):
    stem = checkpoint_stem("allenai/OLMo-2-1124-7B", "stage1-step150-tokens1B")
    assert stem == "allenai_OLMo-2-1124-7B_stage1-step150-tokens1B"
    names = {
        text_path("en"): "lpp_en_text.zip",
        word_timings_path("fr"): "lppFR_word_information.csv",
        average_subject_path("fr", 8): "lpp_fr_average_subject/average_subject_run-8.gz",
        mask_path("en"): "mask_lpp_en.nii.gz",
        isc_path("en"): "isc_10trials_en.gz",
        activations_path(stem, "en"): f"llms_activations/{stem}_en.lz4",
        onsets_offsets_path("en"): "llms_activations/onsets_offsets_en.lz4",
        layer_correlations_path(stem, 32, "en"): f"llms_brain_correlations/{stem}_layer-32_corr_en.gz",
        run_correlations_path(stem, "en"): f"llms_brain_correlations/{stem}_runs_en.npz",
    }
    for path, name in names.items():
        assert path == study_folder / name


def test_a_local_model_goes_by_the_name_of_its_folder(tmp_path):
    (tmp_path / "some" / "small-lm").mkdir(parents=True)
    assert checkpoint_stem(str(tmp_path / "some" / "small-lm"), "step8") == "small-lm_step8"
    assert checkpoint_stem(str(tmp_path / "some" / "small-lm")) == "small-lm"


def test_without_ltba_dir_the_study_is_beside_the_script(monkeypatch):
    monkeypatch.delenv("LTBA_DIR", raising=False)
    assert (study_folder() / "llm_brain_asym.py").is_file()


def test_checkpoints_are_found_in_the_order_of_their_training(study_folder):
    for stem in ["me_lm_tokens20B", "me_lm_tokens3B", "me_lm_final", "me_lm2_tokens1B"]:
        write_arrays(layer_correlations_path(stem, 0, "en"), np.zeros(3))
    write_arrays(layer_correlations_path("me_lm_tokens5B", 0, "fr"), np.zeros(3))
    found, left_out = find_fitted_checkpoints("me/lm", "en")
    assert found["stem"].tolist() == ["me_lm_tokens3B", "me_lm_tokens20B"]
    assert found["tokens"].tolist() == [3e9, 20e9]
    assert left_out == ["final"]
    with pytest.raises(InputError, match="expected fitted checkpoints of me/else in en"):
        find_fitted_checkpoints("me/else", "en")


def test_two_checkpoints_of_equal_training_are_named(study_folder):
    for revision in ("tokens5B", "again-tokens5B", "tokens7B"):
        write_arrays(layer_correlations_path(f"lm_{revision}", 0, "en"), np.zeros(3))
    with pytest.raises(InputError, match=r"got the same for .*tokens5B and .*tokens5B.*training_tokens\.csv"):
        find_fitted_checkpoints("lm", "en")


def test_a_model_whose_name_begins_like_another_s_is_not_mixed_with_it(study_folder):
    """A record tells the model and the revision; without one, an underscore may belong to either."""
    for stem, checkpoint in [
        ("me_lm_tokens3B", None),
        ("me_lm_large_tokens5B", None),
        ("me_lm_xl_tokens7B", {"model": "me/lm_xl", "revision": "tokens7B"}),
        ("me_lm_run_2-tokens9B", {"model": "me/lm", "revision": "run_2-tokens9B"}),
    ]:
        write_arrays(layer_correlations_path(stem, 0, "en"), np.zeros(3))
        if checkpoint:
            write_record(run_correlations_path(stem, "en"), {}, [], 0, checkpoint)
    found, left_out = find_fitted_checkpoints("me/lm", "en")
    assert found["revision"].tolist() == ["tokens3B", "run_2-tokens9B"]
    assert left_out == ["large_tokens5B"]
    assert find_fitted_checkpoints("me/lm_xl", "en")[0]["revision"].tolist() == ["tokens7B"]


def test_published_files_are_read_and_ours_by_joblib(tmp_path):
    for name in ["a.lz4", "a.gz"]:
        write_arrays(tmp_path / name, ACTIVATIONS)
        assert equal(joblib.load(tmp_path / name), ACTIVATIONS)
        assert equal(read_arrays(tmp_path / name), ACTIVATIONS)
    with open(tmp_path / "zlib.gz", "wb") as file:
        joblib.dump(ACTIVATIONS, file, compress=4)
    joblib.dump(ACTIVATIONS, tmp_path / "gzip.gz", compress=("gzip", 4))
    joblib.dump(ACTIVATIONS, tmp_path / "a_joblib.lz4", compress="lz4")
    assert (tmp_path / "zlib.gz").read_bytes()[:1] == b"\x78"
    for name in ["zlib.gz", "gzip.gz", "a_joblib.lz4"]:
        assert equal(read_arrays(tmp_path / name), ACTIVATIONS)
    assert read_arrays(tmp_path / "gzip.gz")[0][0].dtype == np.float32
    assert not list(tmp_path.glob(".*"))


def test_the_published_isc_is_read(published):
    isc = read_arrays(published / "lpp" / "isc_10trials_en.gz")
    assert isc.shape == (10, 25870)
    assert np.array_equal(isc, joblib.load(published / "lpp" / "isc_10trials_en.gz"))


def joblib_file(value):
    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    return buffer.getvalue()


HOSTILE = {
    "a call": pickle.dumps(Call()),
    "a call in a list": joblib_file([Call()]),
    "a call in an array": joblib_file(np.array([Call()], dtype=object)),
    "an array of objects in a dict": joblib_file({"a": np.array([[1], "x"], dtype=object)}),
    "print": pickle.dumps(print),
    "numpy.load": pickle.dumps(np.load),
    "a call in numpy's own pickle": pickle.dumps(np.array([Call()], dtype=object)),
    "numpy.ndarray called with a dtype": Reduced(np.ndarray, (2,), np.dtype("O"), b"A" * 16).pickled(),
    "numpy.ndarray called with a name": Reduced(np.ndarray, (2,), "O", b"A" * 16).pickled(),
    # An array of objects that claims to have none: bytes would become pointers.
    "bytes as objects": joblib_file(np.array([b"A" * 8])).replace(b"S8", b"O8"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_files_that_could_run_code_are_not_opened(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=r"a\.gz: .*(it was not opened|is none of numbers|takes no arguments)"):
        read_arrays(path)
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("name", ["ours.gz", "ours.lz4", "zlib.gz"])
def test_no_flipped_bit_and_no_missing_end_goes_unnoticed(tmp_path, name):
    path = tmp_path / name
    if name == "zlib.gz":
        joblib.dump(ACTIVATIONS, path, compress=("zlib", 3))
    else:
        write_arrays(path, ACTIVATIONS)
    content = path.read_bytes()
    for position in range(0, len(content), max(1, len(content) // 300)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            value = read_arrays(path)
        except InputError:
            continue
        assert equal(value, ACTIVATIONS), position  # a flag in the header that means nothing here
    for missing in (1, 4, 9, 50):
        path.write_bytes(content[:-missing])
        with pytest.raises(InputError, match=name):
            read_arrays(path)


@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("n_runs", [1, 4])
def test_lists_of_arrays_are_used_as_they_are_read_and_then_let_go(tmp_path, n_runs, n_layers):
    runs = [[np.full((2, 3), 10.0 * run + layer) for layer in range(n_layers)] for run in range(n_runs)]
    for path in (tmp_path / "ours.lz4", tmp_path / "theirs.lz4"):
        if path.name == "ours.lz4":
            write_arrays(path, runs)
        else:
            joblib.dump(runs, path, compress="lz4")
        arrays = []  # that have been read and are still in memory

        def add_up(layers, arrays=arrays):
            assert not any(array() is not None for array in arrays)
            arrays += [weakref.ref(layer) for layer in layers]
            return sum(layer.sum() for layer in layers)

        assert list(map(add_up, read_array_lists(path))) == [sum(layer.sum() for layer in layers) for layers in runs]
        assert len(arrays) == n_runs * n_layers


def test_a_file_is_not_blamed_for_what_is_done_with_it(tmp_path):
    path = tmp_path / "a.lz4"
    write_arrays(path, [[np.ones(2)]])
    with pytest.raises(ZeroDivisionError):
        for _ in read_array_lists(path):
            1 / 0  # noqa: B018


DAMAGED = {
    "empty": b"",
    "not compressed": b"not compressed at all",
    "nothing compressed": gzip.compress(b""),
    "no pickle": gzip.compress(b"no pickle"),
    "gzip cut short": gzip.compress(joblib_file(ACTIVATIONS))[:-30],
    "zlib cut short": zlib.compress(joblib_file(ACTIVATIONS))[:-30],
    "pickle cut short": gzip.compress(joblib_file(ACTIVATIONS)[:-30]),
    "bytes exchanged": gzip.compress(joblib_file(ACTIVATIONS))[:40]
    + b"damaged"
    + gzip.compress(joblib_file(ACTIVATIONS))[47:],
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "average_subject_run-0.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"average_subject_run-0\.gz: "):
        read_arrays(path)


def test_correlations_are_read_with_and_without_single_runs(study_folder):
    of_runs = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    for layer in range(3):
        write_arrays(layer_correlations_path("lm", layer, "en"), of_runs[layer].mean(axis=0))
    averages = read_correlations("lm", "en")
    assert averages.shape == (3, 1, 5)
    np.testing.assert_allclose(averages[:, 0], of_runs.mean(axis=1))
    np.savez_compressed(run_correlations_path("lm", "en"), correlations=of_runs, alphas=np.ones((3, 4)))
    np.testing.assert_array_equal(read_correlations("lm", "en"), of_runs)


def test_gaps_of_a_study_are_told(study_folder):
    rng, stems = np.random.default_rng(0), [f"lm_tokens{n}B" for n in (1, 2, 3)]
    for stem in stems:
        for layer in range(2 if stem == stems[1] else 3):
            write_arrays(layer_correlations_path(stem, layer, "en"), rng.random(5))
    write_arrays(activations_path("lm_tokens4B", "en"), ACTIVATIONS)
    for stem in (stems[0], "lm_tokens4B"):
        path = benchmark_path(stem, "blimp")
        write_table(path, pd.DataFrame({"paradigm": ["a", "b"], "accuracy": [0.25, 0.75]}))
    checkpoints, _ = find_fitted_checkpoints("lm", "en")
    checkpoints, correlations, unfinished = read_all_correlations(checkpoints, "en")
    assert unfinished == ["tokens2B"]
    assert checkpoints["stem"].tolist() == [stems[0], stems[2]]
    assert [of_checkpoint.shape for of_checkpoint in correlations] == [(3, 1, 5)] * 2
    benchmarks = read_benchmarks("lm", checkpoints)
    assert find_gaps("lm", checkpoints, benchmarks, "en") == [
        "extracted and not fitted, or not known how long they were trained: lm_tokens4B_en.lz4",
        "not run for any fitted checkpoint: zorro, arithmetic, dyck, acceptability",
        "blimp has no value at tokens3B",
    ]


def test_acceptability_is_told_apart_by_prompt_and_by_judge(study_folder):
    assert read_acceptability_items("lm", pd.DataFrame({"revision": ["a"]})) == []
    rows = [
        (revision, tokens, prompt, sample, judge, 1, 0.1 * prompt + 0.2 * sample + 0.4 * (judge == "two") + shift, 1)
        for revision, tokens, shift in [("early", 1, 0.0), ("late", 2, 0.1)]
        for prompt in (0, 1)
        for sample in (0, 1)
        for judge in ("one", "two")
    ]
    columns = "revision tokens prompt sample classifier n_sentences mean_probability share_acceptable".split()
    write_table(acceptability_path("lm", generated_texts_folder()), pd.DataFrame(rows, columns=columns))
    checkpoints = pd.DataFrame({"revision": ["early", "late", "later"]})
    items = {(by, which): values for by, which, values in read_acceptability_items("lm", checkpoints)}
    assert list(items) == [("prompt", "prompt 0"), ("prompt", "prompt 1"), ("judge", "one"), ("judge", "two")]
    # Averaged over judges, a row for each checkpoint and a column for each text; NaN where nothing was written.
    np.testing.assert_allclose(items["prompt", "prompt 1"], [[0.3, 0.5], [0.4, 0.6], [np.nan, np.nan]])
    np.testing.assert_allclose(items["judge", "two"], [[0.4, 0.6, 0.5, 0.7], [0.5, 0.7, 0.6, 0.8], [np.nan] * 4])


def test_an_atlas_is_optional_and_of_whole_numbers(study_folder):
    assert read_atlas() is None
    for values, is_fine in [(np.ones((2, 2, 2)), True), (np.full((2, 2, 2), 0.5), False), (np.ones((2, 2)), False)]:
        nibabel.Nifti1Image(values.astype(np.float32), np.eye(4)).to_filename(atlas_path())
        if is_fine:
            assert read_atlas().shape == (2, 2, 2)
        else:
            with pytest.raises(InputError, match=r"atlas\.nii\.gz: expected"):
                read_atlas()


def test_timings_in_windows_clothes_are_read(tiny_study):
    path = word_timings_path("en")
    before = read_word_timings("en")
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    after = read_word_timings("en")
    assert [words for words, _, _ in before] == [words for words, _, _ in after]
    assert all(equal([a[1], a[2]], [b[1], b[2]]) for a, b in zip(before, after, strict=True))


def test_rows_without_a_word_are_dropped_and_null_is_a_word(tiny_study):
    path = word_timings_path("en")
    header, first, *others = path.read_text().splitlines()
    rows = ["0,,0.1,0.2,1", "0, ,0.1,0.2,1", "0,null,0,0.2,1", "0,nan,0,0.2,1"]
    n_before = len(read_word_timings("en")[0][0])
    path.write_text("\n".join([header, *rows, first, *others]) + "\n")
    words = read_word_timings("en")[0][0]
    assert words[:2] == ["null", "nan"]
    assert len(words) == n_before + 2
