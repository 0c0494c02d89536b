"""Test folds: test samples are never training samples."""

import numpy as np
import pytest

from pipeline.encoding.folds import hold_out_blocks, hold_out_groups, hold_out_runs, split_into_parts
from pipeline.errors import InputError

FOLDS = {
    "runs": hold_out_runs([5, 3, 4, 6]),
    "groups": hold_out_groups(np.array(list("aabbccddeeffaabb")), 3),
    "a fold for each group": hold_out_groups(np.array([7, 7, 2, 2, 5, 5, 7])),
    "blocks": hold_out_blocks(50, 5, gap=0),
    "blocks with a gap": hold_out_blocks(103, 5, gap=4),
}


@pytest.mark.parametrize("folds", FOLDS.values(), ids=FOLDS)
def test_sets_are_disjoint_and_every_sample_is_tested_once(folds):
    n_samples = 1 + max(samples.max() for fold in folds for samples in fold)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(n_samples))
    for fold in folds:
        test, validation, inner, training = map(set, fold)
        assert min(map(len, fold)) > 0
        assert not (test & validation or test & inner or test & training or validation & inner)
        assert inner | validation <= training
        assert all((np.diff(samples) > 0).all() for samples in fold)


def test_runs_are_those_of_the_published_scheme():
    first, second, third = hold_out_runs([2, 3, 1])
    assert [samples.tolist() for samples in first] == [[0, 1], [2, 3, 4], [5], [2, 3, 4, 5]]
    assert [samples.tolist() for samples in second] == [[2, 3, 4], [0, 1], [5], [0, 1, 5]]
    assert [samples.tolist() for samples in third] == [[5], [0, 1], [2, 3, 4], [0, 1, 2, 3, 4]]


def test_groups_are_never_split():
    groups = np.array(list("aabbccddeeffaabb"))
    for fold in FOLDS["groups"]:
        assert not set(groups[fold.test]) & set(groups[fold.training])
        assert not set(groups[fold.validation]) & set(groups[fold.inner_training])


def test_a_gap_lies_on_either_side_of_a_block():
    for fold in FOLDS["blocks with a gap"]:
        assert np.abs(fold.test[:, None] - fold.training).min() == 5
        assert np.abs(fold.validation[:, None] - fold.inner_training).min() >= 5
        assert np.abs(fold.test[:, None] - fold.validation).min() >= 5


@pytest.mark.parametrize("folds", FOLDS.values(), ids=FOLDS)
def test_all_sets_are_unions_of_parts(folds):
    n_samples = 1 + max(samples.max() for fold in folds for samples in fold)
    parts = split_into_parts(folds, n_samples)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n_samples))
    for fold in folds:
        for samples in fold:
            inside = [part for part in parts if set(part) <= set(samples)]
            np.testing.assert_array_equal(np.sort(np.concatenate(inside)), samples)
    if folds is FOLDS["runs"]:
        assert [part.tolist() for part in parts] == [fold.test.tolist() for fold in folds]


def test_folds_that_cannot_be_made_are_errors():
    with pytest.raises(InputError, match="2 runs are too few"):
        hold_out_runs([5, 5])
    with pytest.raises(InputError, match=r"expected 3 folds or more, .* got 4 of 3 groups"):
        hold_out_groups([1, 2, 3, 1], 4)
    with pytest.raises(
        InputError, match="expected 3 blocks or more, of more than 20 samples each, got 5 of 100 samples"
    ):
        hold_out_blocks(100, 5, gap=10)
