"""Check bootstrap resamples: groups of items, right and wrong items, scores with a standard error."""

import numpy as np
import pandas as pd
import pytest

from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval
from pipeline.statistics.resampling import draw_counts, resample_means, resample_normal


def test_counts_are_draws_with_replacement_in_proportion_to_weights():
    counts = draw_counts(np.random.default_rng(0), 6, np.array([1, 2, 0, 3.0]), 4000)
    assert (counts.sum(axis=1) == 6).all()
    np.testing.assert_allclose(counts.mean(axis=0), [1, 2, 0, 3], atol=0.06)
    np.testing.assert_allclose(counts.var(axis=0), [6 * p * (1 - p) for p in (1 / 6, 1 / 3, 0, 1 / 2)], rtol=0.1)


def test_scores_with_an_error_are_normal_and_independent():
    results = pd.DataFrame(
        [("b", "y", 0.5, 0.1), ("b", "x", 0.7, np.nan), ("a", "x", 0.2, 0.01)],
        columns=["task", "revision", "value", "stderr"],
    )
    curves = resample_normal(results, ["x", "y", "z"], 4000)
    assert list(curves) == ["a", "b"]
    assert isinstance(curves["a"], Curve)
    np.testing.assert_array_equal(curves["b"].values, [0.7, 0.5, np.nan])
    assert np.isfinite(curves["b"].resamples).all(axis=0).tolist() == [False, True, False]
    assert curves["b"].resamples[:, 1].std() == pytest.approx(0.1, rel=0.05)
    assert curves["a"].resamples[:, 0].mean() == pytest.approx(0.2, abs=0.001)


def test_a_curve_is_a_tuple_and_can_be_cut():
    curve = Curve(np.arange(3.0), np.arange(6.0).reshape(2, 3))
    values, resamples = curve.select(np.array([True, False, True]))
    assert values.tolist() == [0, 2]
    assert resamples.tolist() == [[0, 2], [3, 5]]


def test_items_are_drawn_again_within_groups_and_alike_at_every_checkpoint():
    rng = np.random.default_rng(7)
    groups = np.repeat(["a", "b", "c"], [200, 50, 400])
    share = {"a": 0.5, "b": 0.9, "c": 0.7}
    right = (rng.random((2, 650)) < [share[group] for group in groups]).astype(float)
    values = np.vstack([right, right[1]])  # the last checkpoint is the one before it
    curve, resamples = resample_means(values, groups, n_resamples=3000)
    by_hand = [np.mean([row[groups == group].mean() for group in "abc"]) for row in values]
    np.testing.assert_allclose(curve, by_hand)
    # Half an item that is always right, and half of one that is always wrong, may be drawn too.
    centre = [np.mean([(row[groups == g].sum() + 0.5) / (np.sum(groups == g) + 1) for g in "abc"]) for row in values]
    np.testing.assert_allclose(resamples.mean(axis=0), centre, atol=0.0015)
    np.testing.assert_array_equal(resamples[:, 1], resamples[:, 2])
    variance = sum(row.var() / n for row, n in [(right[0][groups == g], np.sum(groups == g)) for g in "abc"]) / 9
    assert resamples[:, 0].std() == pytest.approx(np.sqrt(variance), rel=0.1)
    values[0, groups == "b"] = np.nan
    values[1, 0] = np.nan
    curve, resamples = resample_means(values, groups, n_resamples=10)
    assert np.isnan(curve).tolist() == [True, False, False]
    assert np.isnan(resamples).any(axis=0).tolist() == [True, False, False]


def test_a_model_that_has_all_pairs_right_is_not_sure_of_all_others():
    """Near the ends, intervals of shares cover what they should: on average, since shares come in steps."""
    rng, covered = np.random.default_rng(12), []
    for share in np.repeat([0.9, 0.995, 0.999, 0.9998], 40):
        right = rng.random((1, 900)) < share
        curve, resamples = resample_means(right.astype(float), np.repeat(["a", "b", "c"], 300), 1000)
        low, high = compute_interval(curve[0], resamples[:, 0])
        assert low < curve[0] <= high + 1e-12
        covered.append(low <= share <= high)
    assert np.mean(covered) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 160)
    assert np.mean(covered[-40:]) > 0.9  # where nearly all are right, and drawing again alone knows nothing
    # What is no share is drawn as it is.
    _, resamples = resample_means(np.full((1, 20), 0.7), np.zeros(20), 50)
    np.testing.assert_allclose(resamples, 0.7)
