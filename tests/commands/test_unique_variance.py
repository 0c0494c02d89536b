"""The fit with a nuisance, from files to files: output, record, check, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import STEM
from script_faults import refuses

from pipeline.encoding.cross_validation import cross_validate
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.unique_variance import compute_unique_variance
from study.files.safe_joblib import write_arrays
from study.inputs.le_petit_prince import read_average_subject
from study.inputs.story import make_hrf_matrices, make_layer_regressors, prepare_fmri
from study.outputs.activations import read_activations, read_onsets_offsets
from study.outputs.correlations import read_correlations
from study.outputs.unique_variance import read_unique_scores, read_unique_variance
from study.paths import activations_path, onsets_offsets_path, run_correlations_path, unique_correlations_path
from study.records import record_path

OPTIONS = ["--alphas", 0, 5, 6, "--nuisance_alphas", -1, 3, 3]


@pytest.fixture
def study_with_nuisances(tiny_study, extract, fit):
    """The tiny study, extracted and fitted, with two nuisances: length has two columns, noise has five."""
    assert extract()[0] == fit("--alphas", 0, 5, 6)[0] == 0
    rng = np.random.default_rng(0)
    n_words = [len(onsets) for onsets, _ in read_onsets_offsets("en")]
    for name, n_columns in [("length", 2), ("noise", 5)]:
        layers_of_runs = [[rng.random((n, n_columns), dtype=np.float32)] for n in n_words]
        write_arrays(activations_path(name, "en"), layers_of_runs)
    return tiny_study


def make_regressors(stem):
    """Return regressors, a list over layers of array (n_scans, n_units), and the fMRI, as the fit makes them."""
    fmri = read_average_subject("en")
    path = onsets_offsets_path("en")
    matrices = make_hrf_matrices(read_onsets_offsets("en"), path, list(map(len, fmri)), "en")
    runs = [
        make_layer_regressors(layers, matrix, path, 0)
        for layers, matrix in zip(read_activations(stem, "en"), matrices, strict=True)
    ]
    return list(map(np.concat, zip(*runs, strict=True))), prepare_fmri(fmri, "en")


def test_output_and_record_are_those_of_the_functions(study_with_nuisances, fit):
    before = {path: path.read_bytes() for path in run_correlations_path("x", "en").parent.iterdir()}
    status, printed, _ = fit(*OPTIONS, "--nuisance", "noise", "length")
    assert status == 0
    assert "the nuisance alone, 7 columns: correlation" in printed
    assert f"in {unique_correlations_path(STEM, 'en')}" in printed

    layers, fmri = make_regressors(STEM)
    nuisance = np.concat([make_regressors(stem)[0][0] for stem in ("length", "noise")], axis=1)
    folds, targets = hold_out_runs(list(map(len, fmri))), np.concat(fmri)
    alone, alphas_alone = cross_validate(nuisance, targets, folds, np.logspace(-1, 3, 13))
    arrays = read_unique_variance(STEM, "en")
    for layer, features in enumerate(layers):
        options = {"nuisance": nuisance, "nuisance_alphas": np.logspace(-1, 3, 3)}
        both, chosen = cross_validate(features, targets, folds, np.logspace(0, 5, 6), **options)
        np.testing.assert_allclose(arrays["correlations"][layer], both, atol=1e-6)
        np.testing.assert_array_equal(arrays["alphas"][layer], chosen[:, 0])
        np.testing.assert_array_equal(arrays["nuisance_alphas"][layer], chosen[:, 1])
        np.testing.assert_allclose(arrays["unique"][layer], compute_unique_variance(both, alone), atol=1e-6)
    np.testing.assert_allclose(arrays["nuisance_correlations"], alone, atol=1e-6)
    np.testing.assert_array_equal(arrays["nuisance_alone_alphas"], alphas_alone)

    record = json.loads(record_path(unique_correlations_path(STEM, "en")).read_text())
    nuisance_alphas = {"alphas": [0, 5, 6], "nuisance_alphas": [-1, 3, 3]}
    assert record["parameters"] == nuisance_alphas | {"nuisance": ["length", "noise"]}
    assert {"length_en.lz4", "noise_en.lz4", f"{STEM}_en.lz4"} <= set(record["inputs"])
    assert record["checkpoint"]["revision"] == "step8"
    # The fit without nuisance is as it was.
    assert {path: path.read_bytes() for path in before} == before
    assert read_correlations(STEM, "en").shape == arrays["unique"].shape


def test_another_nuisance_is_not_taken_for_the_same(study_with_nuisances, fit):
    assert fit(*OPTIONS, "--nuisance", "length", "noise")[0] == 0
    assert "is there already" in fit(*OPTIONS, "--nuisance", "noise", "length")[1]
    for options, reason in [
        ([*OPTIONS, "--nuisance", "length"], "was made with nuisance ['length', 'noise']: --overwrite makes it again"),
        (
            [*OPTIONS[:4], "--nuisance", "length", "noise"],
            "was made with nuisance_alphas [-1.0, 3.0, 3.0]: --overwrite",
        ),
    ]:
        status, _, error = fit(*options)
        assert (status, error.count("\n")) == (2, 1)
        assert reason in error
    write_arrays(activations_path("noise", "en"), [[np.ones((1, 1), np.float32)]])
    assert "which has changed since: --overwrite" in fit(*OPTIONS, "--nuisance", "length", "noise")[2]


def test_what_cannot_be_a_nuisance_is_refused(study_with_nuisances, fit):
    assert "--nuisance_alphas: expected --nuisance too" in fit("--nuisance_alphas", 0, 3, 2)[2]
    assert "--nuisance_alphas 5 3 2: give two exponents" in fit("--nuisance", "noise", "--nuisance_alphas", 5, 3, 2)[2]
    assert "word_rate_en.lz4" in fit("--nuisance", "word_rate")[2]
    n_words = [len(onsets) for onsets, _ in read_onsets_offsets("en")]
    write_arrays(activations_path("noise", "en"), [[np.zeros((n, 2), np.float32)] for n in n_words])
    refuses(
        study_with_nuisances,
        lambda: fit("--nuisance", "noise"),
        "noise_en.lz4: no unit varies in run 0",
    )


def test_the_check_finds_damage_and_other_inputs(study_with_nuisances, fit, call):
    def check():
        _, printed, error = call("llm_brain_asym", "--check")
        return printed + error

    assert fit(*OPTIONS, "--nuisance", "noise")[0] == 0
    path = unique_correlations_path(STEM, "en")
    assert path.name not in check()
    whole = path.read_bytes()
    arrays = read_unique_variance(STEM, "en")
    for damage, reason in [
        ({"unique": arrays["unique"] + 0.1}, "unique is not the difference of correlations"),
        ({"correlations": arrays["correlations"] * 50}, "correlations are not from -1 to 1"),
        ({"correlations": arrays["correlations"][1:]}, "correlations are float32 of shape (3, 4, 24)"),
    ]:
        with open(path, "wb") as file:
            np.savez(file, **(arrays | damage))
        assert f"{path} is not as it was written" in check()
        assert reason in check()
    path.write_bytes(whole)
    assert path.name not in check()


def test_unique_variances_with_different_nuisances_are_not_mixed(study_with_nuisances, fit):
    stems = ["m_a", "m_b", "m_c", "m_d"]
    assert fit(*OPTIONS, "--nuisance", "noise")[0] == 0
    made = unique_correlations_path(STEM, "en")
    for stem in stems[:3]:
        unique_correlations_path(stem, "en").write_bytes(made.read_bytes())
        record = json.loads(record_path(made).read_text())
        if stem == "m_b":
            record["parameters"]["nuisance"] = ["length"]
        record_path(unique_correlations_path(stem, "en")).write_text(json.dumps(record))
    checkpoints = pd.DataFrame({"stem": stems, "revision": list("abcd")})
    unique, nuisance, sentences = read_unique_scores(checkpoints, "en")
    assert [values is None for values in unique] == [False, True, False, True]
    np.testing.assert_array_equal(unique[0], read_unique_variance(STEM, "en")["unique"])
    assert nuisance == ["noise"]
    assert sentences == [
        "unique variance was not computed for d",
        "unique variance of b was computed in another way than that of most checkpoints",
    ]
    assert read_unique_scores(checkpoints[3:], "en") == ([None], [], [])
