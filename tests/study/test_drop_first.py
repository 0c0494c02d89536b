"""--drop_first N of the fit: the first words of each run have no regressor."""

import json

import numpy as np
import pandas as pd
import pytest

from study.files.safe_joblib import read_arrays, write_arrays
from study.inputs.le_petit_prince import read_word_timings
from study.outputs.comparability import find_differences
from study.paths import activations_path, onsets_offsets_path, record_path, run_correlations_path

STEM = "lm_step8"
COMMAND = "fit_average_subject", "--model", STEM, "--alphas", "0", "3", "4"


@pytest.fixture
def extracted(fitting_study):
    """Write random activations of two layers, whose first word is a thousand times larger than the rest."""
    rng, timings = np.random.default_rng(0), read_word_timings("en")
    activations = [[rng.standard_normal((len(words), 5)) for _ in range(2)] for words, _, _ in timings]
    for layers in activations:
        for layer in layers:
            layer[0] *= 1000
    write_arrays(activations_path(STEM, "en"), activations)
    write_arrays(onsets_offsets_path("en"), [times for _, *times in timings])
    return activations


def test_a_fit_without_the_first_words_is_that_of_a_story_without_them(extracted, call):
    path = run_correlations_path(STEM, "en")
    assert call(*COMMAND)[0] == 0
    record = json.loads(record_path(path).read_text())["parameters"]
    assert "drop_first" not in record  # older records stay valid
    whole = np.load(path)["correlations"]
    status, _, error = call(*COMMAND, "--drop_first", 2)
    assert status == 2
    assert "was made with drop_first None: --overwrite makes it again" in error
    assert call(*COMMAND, "--drop_first", 2, "--overwrite")[0] == 0
    dropped = np.load(path)["correlations"]
    assert json.loads(record_path(path).read_text())["parameters"] == record | {"drop_first": 2}
    assert np.abs(dropped - whole).max() > 0.1

    write_arrays(activations_path(STEM, "en"), [[layer[2:] for layer in layers] for layers in extracted])
    times = [[list(times)[2:] for times in run] for run in read_arrays(onsets_offsets_path("en"))]
    write_arrays(onsets_offsets_path("en"), times)
    assert call(*COMMAND, "--overwrite")[0] == 0
    np.testing.assert_allclose(np.load(path)["correlations"], dropped, atol=1e-5)


def test_fits_with_different_first_words_are_named(extracted, call):
    assert call(*COMMAND)[0] == 0
    assert call(*COMMAND, "--overwrite", "--drop_first", 1)[0] == 0
    write_arrays(activations_path("lm_step16", "en"), extracted)
    assert call(*COMMAND[:2], "lm_step16", *COMMAND[3:])[0] == 0
    checkpoints = pd.DataFrame({"stem": [STEM, "lm_step16"], "revision": ["step8", "step16"]})
    differences = find_differences("lm", checkpoints, "en")
    assert "the fit: made with drop_first 1 and null at different checkpoints" in differences


def test_a_run_needs_more_words_than_are_left_out(extracted, call):
    status, _, error = call(*COMMAND, "--drop_first", 1000)
    assert status == 2
    assert "--drop_first 1000: expected fewer words than each run has, got" in error
    assert call(*COMMAND, "--drop_first", 0)[0] == 2
