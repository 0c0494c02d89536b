"""Baselines from files to files: the format of the extraction, a fit as it is, and no false alarm elsewhere."""

import json
import shutil

import joblib
import numpy as np
import pytest
from helpers import STEM, all_files

from pipeline.words.baselines import draw_random_embedding
from report import states
from study.baselines import is_baseline
from study.checkpoints import find_fitted_checkpoints
from study.inputs.le_petit_prince import read_word_timings
from study.outputs.comparability import find_gaps
from study.outputs.correlations import read_correlations
from study.paths import activations_path, onsets_offsets_path, record_path, text_path

EXTRACT = "experiments.baselines.extract"
ALPHAS = ("--alphas", 0, 5, 6)
STEMS = {
    "word_rate": "baseline_word_rate",
    "length_frequency": "baseline_length_frequency",
    "position": "baseline_position",
    "random_embedding": "baseline_random_embedding_seed-1",
    "random_vector": "baseline_random_vector_seed-1",
}


@pytest.fixture
def extract_model(call, tiny_checkpoint):
    checkpoint = ("--model", tiny_checkpoint, "--revision", "step8", "--device", "cpu")
    return lambda *options: call("extract_llm_activations", *checkpoint, *options)


@pytest.fixture
def fit(call):
    return lambda stem: call("fit_average_subject", "--model", stem, "--device", "cpu", *ALPHAS)


@pytest.fixture
def write_tokens(fitting_study):
    """Give the tiny checkpoint training tokens, without which it is no point of a curve."""
    (fitting_study / "training_tokens.csv").write_text("model,revision,tokens\ntiny-pythia,step8,1e9\n")


def test_a_baseline_has_the_format_of_the_extraction_and_is_fitted_as_it_is(fitting_study, call, fit, extract_model):
    words_of_runs = [words for words, _, _ in read_word_timings("en")]
    for baseline, stem in STEMS.items():
        status, printed, _ = call(EXTRACT, "--baseline", baseline, "--n_dimensions", 7)
        assert (status, "words, 1 layer of" in printed) == (0, True)
        runs = joblib.load(activations_path(stem, "en"))
        assert [len(layers) for layers in runs] == [1] * 4
        assert [layers[0].dtype.name for layers in runs] == ["float32"] * 4
        assert [len(layers[0]) for layers in runs] == list(map(len, words_of_runs))
        assert fit(stem)[0] == 0
        assert np.isfinite(read_correlations(stem, "en")).all()
    for (embedding,), expected in zip(
        joblib.load(activations_path("baseline_random_embedding_seed-1", "en")),
        draw_random_embedding(words_of_runs, seed=1, n_dimensions=7),
        strict=True,
    ):
        np.testing.assert_array_equal(embedding, expected)
    timings = joblib.load(onsets_offsets_path("en"))
    for (onsets, offsets), (_, expected, _) in zip(timings, read_word_timings("en"), strict=True):
        np.testing.assert_array_equal(onsets, expected)
        assert (offsets > onsets).all()
    before = onsets_offsets_path("en").read_bytes()
    assert extract_model()[0] == 0  # the timings are shared
    assert onsets_offsets_path("en").read_bytes() == before


def test_a_baseline_is_made_once_and_with_the_same_options(fitting_study, call):
    make = ("--baseline", "random_vector", "--seed", 3)
    assert call(EXTRACT, *make)[0] == 0
    output = activations_path("baseline_random_vector_seed-3", "en")
    record = json.loads(output.with_name(f"{output.name}.json").read_text())
    assert record["parameters"] == {"baseline": "random_vector", "seed": 3, "n_dimensions": 300}
    assert record["seed"] == 3
    assert set(record["inputs"]) == {"lpp_en_text.zip", "lppEN_word_information.csv"}
    before = all_files(fitting_study)
    status, printed, _ = call(EXTRACT, *make)
    assert (status, "is there already" in printed) == (0, True)
    status, _, error = call(EXTRACT, *make, "--n_dimensions", 20)
    assert (status, "was made with n_dimensions 300: --overwrite" in error) == (2, True)
    assert all_files(fitting_study) == before
    assert call(EXTRACT, *make, "--n_dimensions", 20, "--overwrite")[0] == 0


def test_length_and_frequency_record_whether_wordfreq_was_there(fitting_study, call):
    assert call(EXTRACT, "--baseline", "length_frequency")[0] == 0
    path = activations_path("baseline_length_frequency", "en")
    parameters = json.loads(path.with_name(f"{path.name}.json").read_text())["parameters"]
    assert parameters.keys() == {"baseline", "wordfreq"}
    ((first, *_), *_) = joblib.load(path)
    assert first.shape[1] == (2 if parameters["wordfreq"] is None else 3)


def test_another_folder_gets_vectors_and_timings(fitting_study, call, tmp_path):
    folder = tmp_path / "elsewhere"
    assert call(EXTRACT, "--baseline", "word_rate", "--output_folder", folder)[0] == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {"baseline_word_rate_en.lz4", "baseline_word_rate_en.lz4.json", "onsets_offsets_en.lz4"}
    assert not (fitting_study / "llms_activations").exists()


def test_a_static_baseline_is_layer_0_of_a_checkpoint(fitting_study, call, extract_model, tiny_checkpoint):
    status, _, error = call(EXTRACT, "--baseline", f"static:{STEM}")
    assert (status, f"{STEM}_en.lz4: expected a file, got none" in error) == (2, True)
    assert extract_model()[0] == 0
    assert call(EXTRACT, "--baseline", f"static:{STEM}")[0] == 0
    status, printed, _ = call(EXTRACT, "--baseline", f"static:{tiny_checkpoint}", "--revision", "step8")
    assert (status, "is there already" in printed) == (0, True)
    made, source = (joblib.load(activations_path(stem, "en")) for stem in (f"baseline_static_{STEM}", STEM))
    for (vectors,), layers in zip(made, source, strict=True):
        np.testing.assert_array_equal(vectors, layers[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--baseline", "glove"], "expected one of word_rate"),
        (["--baseline", "static:"], "expected one of word_rate"),
        (["--baseline", "word_rate", "--revision", "step8"], "--revision: expected static:MODEL with it"),
        (["--baseline", "random_vector", "--seed", "-1"], "-1 is less than 0"),
        (["--baseline", "oasm:x", "--story", "mine"], "a number of units from 0 to 100"),
        (["--baseline", "oasm:1e9", "--story", "mine"], "a number of units from 0 to 100"),
        (["--baseline", "oasm:1"], "expected --story with it, got none"),
        (["--baseline", "length_frequency", "--story", "mine"], "expected --lang with it, got --story"),
        (["--baseline", "length", "--story", "mine", "--lang", "fr"], "expected one of them, got both"),
        (["--baseline", "length", "--story", "mine"], "mine.csv: expected a file, got none"),
    ],
)
def test_wrong_options_end_in_one_line(study_folder, call, options, message):
    status, _, error = call(EXTRACT, *options)
    assert (status, error.count("\n"), message in error) == (2, 1, True)


def test_units_of_a_story_table_have_the_same_baselines(study_folder, call, extract_model):
    (study_folder / "stories").mkdir()
    rows = ["run,unit,text_before", "1,The end.,", '1,A prince slept, " "'.replace(", ", ","), "2,The fox,"]
    (study_folder / "stories" / "mine.csv").write_text("\n".join(rows) + "\n")

    def make(baseline, stem, *options):
        status, printed, error = call(EXTRACT, "--story", "mine", "--baseline", baseline, *options)
        assert status == 0, error
        assert "3 units, 1 layer of" in printed
        assert is_baseline(stem)
        return np.concatenate([layers[0] for layers in joblib.load(activations_path(stem, "mine"))])

    assert make("word_rate", "baseline_word_rate").tolist() == [[2], [3], [2]]
    assert make("length", "baseline_length").tolist() == [[6, 2], [12, 3], [6, 2]]
    position = make("position", "baseline_position")
    np.testing.assert_allclose(position, [[0, 0, 0], [1, 1, np.log(2)], [0, 0, 0]], rtol=1e-6)
    assert make("random_vector", "baseline_random_vector_seed-1", "--n_dimensions", 7).shape == (3, 7)
    embedding = make("random_embedding", "baseline_random_embedding_seed-2", "--seed", 2)
    expected = draw_random_embedding([["the", "fox"]], seed=2)[0].mean(axis=0)
    np.testing.assert_allclose(embedding[2], expected, rtol=1e-6)
    assert make("oasm:0.0", "baseline_oasm_0").tolist() == np.eye(3).tolist()
    assert extract_model("--story", "mine", "--no-surprisal")[0] == 0
    static = make(f"static:{STEM}", f"baseline_static_{STEM}")
    layers = [run[0] for run in joblib.load(activations_path(STEM, "mine"))]
    np.testing.assert_array_equal(static, np.concatenate(layers))
    record = json.loads(record_path(activations_path("baseline_oasm_0", "mine")).read_text())
    assert record["parameters"] == {"baseline": "oasm:0"}
    assert set(record["inputs"]) == {"mine.csv"} or set(record["inputs"]) == {"stories/mine.csv"}
    assert not onsets_offsets_path("mine").exists()


def test_an_untrained_model_is_made_without_weights(fitting_study, call, extract_model, fit, tiny_checkpoint, tmp_path):
    assert extract_model("--untrained", 5)[0] == 0
    stem = f"{STEM}_untrained-5"
    record = json.loads(activations_path(stem, "en").with_name(f"{stem}_en.lz4.json").read_text())
    assert record["seed"] == record["parameters"]["untrained"] == record["checkpoint"]["untrained"] == 5
    assert "model.safetensors" not in record["checkpoint"]["files"]
    before = activations_path(stem, "en").read_bytes()
    assert "is there already" in extract_model("--untrained", 5)[1]
    assert not activations_path(STEM, "en").exists()
    copy = tmp_path / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    moved = ("extract_llm_activations", "--model", copy, "--revision", "step8", "--device", "cpu", "--untrained", 5)
    status, printed, error = call(*moved)
    assert (status, "is there already" in printed) == (0, True), error
    assert call(*moved, "--overwrite")[0] == 0
    assert activations_path(stem, "en").read_bytes() == before
    assert fit(stem)[0] == 0


def test_baselines_are_listed_and_never_points_of_a_curve(fitting_study, call, fit, extract_model, write_tokens):
    assert extract_model()[0] == fit(STEM)[0] == extract_model("--untrained", 5)[0] == 0
    stems = [f"{STEM}_untrained-5", "baseline_position", "baseline_random_vector_seed-1"]
    for baseline in ("position", "random_vector"):
        assert call(EXTRACT, "--baseline", baseline)[0] == 0
    # Not fitted yet.
    checkpoints, left_out = find_fitted_checkpoints("tiny-pythia", "en")
    assert (list(checkpoints["stem"]), left_out) == ([STEM], [])
    assert not any("extracted and not fitted" in gap for gap in find_gaps("tiny-pythia", checkpoints, {}, "en"))
    status, printed, error = call("llm_brain_asym", "--todo", "activations", "fit", "blimp")
    commands = printed.splitlines()
    options = " ".join(map(str, ALPHAS))
    expected = {f"python fit_average_subject.py --model {stem} --lang en --device cpu {options}" for stem in stems}
    assert expected < set(commands)
    assert not any("blimp" in command and any(stem in command for stem in stems) for command in commands)
    assert "its files do not show its model" not in error
    for stem in stems:
        assert fit(stem)[0] == 0
    # And now they are.
    checkpoints, left_out = find_fitted_checkpoints("tiny-pythia", "en")
    assert (list(checkpoints["stem"]), left_out) == ([STEM], [])
    assert list(states.tabulate_states("en")["stem"]) == [STEM]
    table = states.tabulate_baselines("en")
    assert (list(table["stem"]), set(table["fit"])) == (sorted(stems), {"done"})
    status, printed, _ = call("llm_brain_asym", "--check")
    assert "1 known, 1 of them fitted" in printed
    assert "3 known, 3 of them fitted" in printed
    assert not any(stem in line for line in printed.splitlines() for stem in stems), printed
    status, printed, _ = call("llm_brain_asym")
    assert status == 0
    assert all(any(line.split()[:1] == [stem] for line in printed.splitlines()) for stem in stems)


def test_a_damaged_and_an_outdated_baseline_are_errors(fitting_study, call, fit):
    for baseline in ("position", "word_rate"):
        assert call(EXTRACT, "--baseline", baseline)[0] == fit(f"baseline_{baseline}")[0] == 0
    path = activations_path("baseline_position", "en")
    path.write_bytes(path.read_bytes()[:-20])
    status, printed, _ = call("llm_brain_asym", "--check")
    assert (status, f"error: {path} is not as it was written" in printed) == (1, True)
    text_path("en").write_bytes(text_path("en").read_bytes() + b"\n")
    assert set(states.tabulate_baselines("en")["activations"]) == {"outdated"}
