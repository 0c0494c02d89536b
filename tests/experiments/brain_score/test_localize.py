"""Localise units by stimuli of our own, and compare the test with a loop over units."""

import json

import numpy as np
import pytest
from localizer_stimuli import write_stimuli
from scipy.stats import ttest_ind

from pipeline.errors import InputError
from pipeline.similarity.localization import choose_random_units, compute_welch_t, select_top_units
from study.paths import language_units_path, record_path

LOCALIZE = "experiments.brain_score.localize"


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_units_are_selected_and_recorded(study_folder, call, tiny_checkpoint, tmp_path, pooling):
    stimuli = write_stimuli(tmp_path / "s.csv")
    checkpoint = ("--model", tiny_checkpoint, "--revision", "step8", "--device", "cpu")
    status, printed, _ = call(LOCALIZE, *checkpoint, "--stimuli", stimuli, "--share", 0.1, "--pooling", pooling)
    path = language_units_path("tiny-pythia_step8")
    assert (status, f"in {path}" in printed) == (0, True)
    with np.load(path) as arrays:
        t, mask, control = arrays["t"], arrays["mask"], arrays["random_mask"]
        assert mask.sum() == round(0.1 * t.size)
        assert t[mask].min() >= t[~mask].max()
        assert not (mask & control).any()
        assert (mask.sum(axis=1) == control.sum(axis=1)).all()
    record = json.loads(record_path(path).read_text())
    assert (record["parameters"]["share"], record["parameters"]["pooling"]) == (0.1, pooling)
    status, _, error = call(LOCALIZE, *checkpoint, "--stimuli", stimuli, "--share", 0.2, "--pooling", pooling)
    assert (status, "--overwrite" in error) == (2, True)


def test_wrong_stimuli_are_one_line(study_folder, call, tiny_checkpoint, tmp_path):
    checkpoint = ("--model", tiny_checkpoint, "--revision", "step8", "--device", "cpu")
    path = write_stimuli(tmp_path / "s.csv")
    path.write_text(path.read_text().replace(",N", ",X"))
    status, _, error = call(LOCALIZE, *checkpoint, "--stimuli", path)
    assert (status, "stim14: expected S or N, got 'X'" in error, error.count("\n")) == (2, True, 1)
    assert call(LOCALIZE, *checkpoint, "--stimuli", path, "--share", 2)[0] == 2


def test_t_is_that_of_a_loop_over_units():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((7, 2, 5)) + 1, 3 * rng.standard_normal((5, 2, 5))
    first[:, 1, 4] = second[:, 1, 4] = 2
    t, p = compute_welch_t(first, second)
    for layer in range(2):
        for unit in range(4):
            expected = ttest_ind(first[:, layer, unit], second[:, layer, unit], equal_var=False)
            assert (t[layer, unit], p[layer, unit]) == pytest.approx((expected.statistic, expected.pvalue))
    assert (t[1, 4], p[1, 4]) == (0, 1)
    with pytest.raises(InputError, match="2 or more"):
        compute_welch_t(first[:1], second)


def test_a_planted_unit_is_selected_and_ties_do_not_exceed_the_share():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 40, 3, 10))
    first[:, 1, 7] += 5
    mask = select_top_units(compute_welch_t(first, second)[0], 1 / 30)
    assert np.argwhere(mask).tolist() == [[1, 7]]
    assert select_top_units(np.ones((2, 5)), 0.3).sum() == 3
    assert not select_top_units(-np.ones((2, 5)), 0.3).any()
    assert choose_random_units(mask, 0).sum() == 1
