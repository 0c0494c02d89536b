"""Compare the published method with the numbers of brainscore-language, stored and, where it is installed, made now."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from brainscore_reference import SUBJECTS, list_stimulus_ids, make_arrays
from helpers import ROOT
from sklearn.model_selection import ShuffleSplit

from pipeline.brain.benchmark_scores import aggregate
from pipeline.brain.ceilings import compute_ceilings, list_pools
from pipeline.encoding.nested_folds import split_as_brainscore
from pipeline.encoding.nested_ridge import (
    PUBLISHED_ALPHAS,
    compute_fold_grams,
    cross_validate_nested,
    prepare_targets,
)
from pipeline.encoding.nested_scoring import score_as_brainscore
from pipeline.similarity.cka import compute_cka, compute_gram
from pipeline.similarity.rsa import compare_rdms, compute_rdm
from study.inputs.brain_benchmarks import read_published

FOLDER = Path(__file__).parent
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
PYTHON = Path(os.environ.get("BRAINSCORE_PYTHON", ROOT / ".venv-brainscore" / "bin" / "python"))
RESPONSES, FEATURES, GROUPS = make_arrays()


def cross_validate(features, targets, method):
    folds = {
        "linear_shuffled": split_as_brainscore(len(GROUPS)),
        "ridge_groups": split_as_brainscore(len(GROUPS), GROUPS, n_folds=4),
    }[method]
    return cross_validate_nested(
        compute_fold_grams(features, folds, has_z_scores=False),
        targets,
        folds,
        PUBLISHED_ALPHAS,
        regression=method.partition("_")[0],
        prepared=prepare_targets(targets, folds, has_z_scores=False),
        score=score_as_brainscore,
    ).correlations


@pytest.mark.parametrize("width", ["wide", "narrow"])
@pytest.mark.parametrize("method", ["linear_shuffled", "ridge_groups"])
def test_correlations_of_every_split_and_neuroid(method, width):
    correlations, expected = cross_validate(FEATURES[width], RESPONSES, method), EXPECTED[f"{method}_{width}"]
    np.testing.assert_allclose(correlations, expected["correlations"], atol=1e-6)
    assert aggregate(correlations) == pytest.approx(expected["raw"], abs=1e-6)


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_cka_and_rdms(width):
    features = FEATURES[width]
    subsets = [test for _, test in ShuffleSplit(10, test_size=0.9, random_state=1).split(RESPONSES)]

    def compare(rows):
        x, y = features[rows], RESPONSES[rows]
        return compute_cka(compute_gram(x), compute_gram(y)), compare_rdms(compute_rdm(x), compute_rdm(y))

    everything = compare(np.arange(len(GROUPS)))
    assert everything == pytest.approx([EXPECTED[f"cka_{width}"], EXPECTED[f"rdm_{width}"]], abs=1e-6)
    averages = np.mean([compare(rows) for rows in subsets], axis=0)
    expected = [EXPECTED[f"cka_subsets_{width}"], EXPECTED[f"rdm_subsets_{width}"]]
    np.testing.assert_allclose(averages, expected, atol=1e-6)


@pytest.mark.parametrize(("method", "predicted"), [("linear_shuffled", ["s1", "s3"]), ("ridge_groups", ["s2", "s5"])])
def test_ceilings_of_every_neuroid(method, predicted):
    """Of some subjects, since SciPy's fit takes seconds for each neuroid."""
    for subject in predicted:
        targets = RESPONSES[:, subject == SUBJECTS]
        by_size = {
            size: np.stack([cross_validate(RESPONSES[:, np.isin(SUBJECTS, pool)], targets, method) for pool in pools])
            for size, pools in list_pools(list(SUBJECTS), subject).items()
        }
        expected = np.array(EXPECTED[f"ceiling_{method}"]["by_neuroid"])
        ceilings = compute_ceilings(by_size, as_published=True).extrapolated
        np.testing.assert_allclose(ceilings, expected[subject == SUBJECTS], atol=1e-6)
        assert np.median(expected) == pytest.approx(EXPECTED[f"ceiling_{method}"]["ceiling"])


def test_a_file_of_the_published_writer_is_read():
    read, n_dropped = read_published(FOLDER / "assy_made.nc", "pereira384")
    np.testing.assert_array_equal(read.responses, RESPONSES)
    assert n_dropped == 0
    assert read.subjects.tolist() == SUBJECTS.tolist()
    assert read.groups.tolist() == GROUPS.tolist()
    assert read.units[:2].tolist() == ["Sentence 0 is made.", "Sentence 1 is made."]
    assert len(list_stimulus_ids(GROUPS)) == len(read.units)


@pytest.mark.slow
def test_the_stored_numbers_are_those_that_brainscore_language_gives_now(tmp_path):
    if not PYTHON.is_file():
        pytest.skip("brainscore-language is not here: make .venv-brainscore/made, or set BRAINSCORE_PYTHON")
    command = [str(PYTHON), str(ROOT / "tests" / "brainscore_reference.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    now = json.loads((tmp_path / "expected.json").read_text())
    assert now.keys() == EXPECTED.keys()
    for key, expected in EXPECTED.items():
        pairs = (
            [(expected, now[key])]
            if isinstance(expected, float)
            else zip(expected.values(), now[key].values(), strict=True)
        )
        for stored, value in pairs:
            np.testing.assert_allclose(value, stored, atol=1e-8)
    read, _ = read_published(tmp_path / "assy_made.nc", "pereira384")
    np.testing.assert_array_equal(read.responses, RESPONSES)
