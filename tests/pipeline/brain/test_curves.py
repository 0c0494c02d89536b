"""Check both choices of layers over training, and left minus right in regions with corrected tests."""

import numpy as np
import pandas as pd
import pytest
from brains import BRAIN, CHECKPOINTS, planted
from scipy.stats import ttest_1samp

from pipeline.brain import region_differences
from pipeline.brain.curves import compute_brain_curves, compute_scores, tabulate_asymmetry
from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.brain.scores import compute_brain_scores, compute_side_curves
from pipeline.brain.voxels import compute_positions, make_blocks
from pipeline.statistics.checkpoints import find_last_to_report, has_own_weights, select_tokens_for_fits
from report import emergence_map

NESTED = ["left_nested", "right_nested", "left_minus_right_nested", "low_nested", "high_nested"]
COLUMNS = ["revision", "tokens", "left", "right", "left_minus_right", "low", "high"]


def correlations(n_runs=9, seed=0):
    """Two checkpoints of three layers, of which the second predicts the left better by 0.1."""
    rng = np.random.default_rng(seed)
    left, _ = assign_hemispheres(BRAIN)
    noise = rng.normal(0.2, 0.05, (2, 3, n_runs, len(left)))
    noise[1] += 0.1 * left
    return list(noise)


def test_both_choices_of_layers_are_there_and_the_maximum_keeps_its_columns():
    left, right = assign_hemispheres(BRAIN)
    scores = compute_scores(correlations())
    curves = compute_brain_curves(scores, left, right, make_blocks(BRAIN, edge_mm=20))
    assert list(curves) == [*NESTED[:3], "left", "right", "left_minus_right"]
    table = tabulate_asymmetry(CHECKPOINTS, curves)
    assert list(table.columns) == [*COLUMNS, *NESTED]
    for suffix, best_layer in [("", "maximum"), ("_nested", "nested")]:
        alone = compute_brain_scores(correlations(), best_layer)
        alone = compute_side_curves(alone, left, right, make_blocks(BRAIN, edge_mm=20))
        for name, (curve, resamples) in alone.items():
            np.testing.assert_array_equal(curves[f"{name}{suffix}"][0], curve)
            np.testing.assert_array_equal(curves[f"{name}{suffix}"][1], resamples)
        difference = alone["left_minus_right"]
        np.testing.assert_allclose(table[f"low{suffix}"], np.percentile(difference[1], 2.5, axis=0))
        assert table[f"low{suffix}"][1] < 0.1 < table[f"high{suffix}"][1]
    # These runs are independent: a layer that is chosen on others is neither better nor worse than another.
    assert table["right_nested"].tolist() == pytest.approx([0.2, 0.2], abs=0.01)
    assert (table["right"] > table["right_nested"] + 0.01).all()


@pytest.mark.parametrize(("n_runs", "expected"), [(3, 0.707), (9, 0.548)])
def test_in_noise_a_layer_chosen_on_other_runs_gives_the_share_of_the_maximum_that_is_said(n_runs, expected):
    """How well one run predicts another is the same number in both directions, as for models trained on noise."""
    rng = np.random.default_rng(0)
    pairs = np.triu(rng.standard_normal((2000, 8, n_runs, n_runs)), 1)  # 2,000 voxels, 8 layers
    by_run = (pairs + pairs.swapaxes(2, 3)).sum(axis=3).transpose(1, 2, 0)  # (n_layers, n_runs, n_voxels)
    scores = compute_scores([by_run])
    assert scores["nested"].mean() / scores["maximum"].mean() == pytest.approx(expected, abs=0.03)


def test_averages_over_runs_have_the_maximum_alone():
    left, right = assign_hemispheres(BRAIN)
    averages = [layers.mean(axis=1, keepdims=True) for layers in correlations()]
    scores = compute_scores(averages)
    assert list(scores) == ["maximum"]
    table = tabulate_asymmetry(CHECKPOINTS, compute_brain_curves(scores, left, right, make_blocks(BRAIN, edge_mm=20)))
    assert list(table.columns) == COLUMNS
    assert table[["low", "high"]].isna().all(axis=None)


def test_checkpoints_with_the_weights_of_others_have_no_place_in_fits():
    checkpoints = pd.DataFrame({"revision": list("abc"), "tokens": [0, 1e9, 2e9]})
    assert has_own_weights(checkpoints).all()
    assert select_tokens_for_fits(checkpoints).tolist() == [0, 1e9, 2e9]
    marked = checkpoints.assign(same_weights_as=["", np.nan, "b"])  # as written, and as read back
    assert has_own_weights(marked).tolist() == [True, True, False]
    np.testing.assert_array_equal(select_tokens_for_fits(marked), [0, 1e9, np.nan])
    assert find_last_to_report(marked) == 1e9
    assert find_last_to_report(marked.assign(same_weights_as="x")) == 2e9
    left, right = assign_hemispheres(BRAIN)
    curves = compute_brain_curves(compute_scores(correlations()), left, right, make_blocks(BRAIN, edge_mm=20))
    table = tabulate_asymmetry(CHECKPOINTS.assign(same_weights_as=["b", ""]), curves)
    assert table["same_weights_as"].tolist() == ["b", ""]


# ---------------------------------------------------------------- regions


def two_regions():
    left, right = assign_hemispheres(BRAIN)
    back = compute_positions(BRAIN)[:, 1] < -40
    nowhere = np.zeros(len(left), dtype=bool)
    return {"back": (left & back, right & back), "all": (left, right), "one-sided": (left, nowhere)}


def test_every_region_has_a_curve_an_interval_and_a_test_at_the_end():
    scores = {"nested": planted()[0], "maximum": planted(seed=1)[0]}
    known = two_regions()
    curves = region_differences.compute_region_curves(CHECKPOINTS, scores, known)
    assert curves["region"].tolist() == ["back", "back", "all", "all"]
    for name, rows in curves.groupby("region"):
        left, right = known[name]
        assert (rows["n_left"] == left.sum()).all()
        assert (rows["n_right"] == right.sum()).all()
        for choice, suffix in [("nested", "_nested"), ("maximum", "")]:
            by_run = scores[choice][..., left].mean(axis=-1) - scores[choice][..., right].mean(axis=-1)
            np.testing.assert_allclose(rows[f"left_minus_right{suffix}"], by_run.mean(axis=1), atol=1e-9)
            # The variance of Nadeau & Bengio is 1/9 + 1/8 of the runs', that of the t test 1/9.
            plain = [ttest_1samp(runs, 0).confidence_interval() for runs in by_run]
            wider = np.sqrt((1 / 9 + 1 / 8) * 9)
            half = np.array([(ends.high - ends.low) / 2 for ends in plain]) * wider
            np.testing.assert_allclose(rows[f"high{suffix}"] - rows[f"low{suffix}"], 2 * half)
            assert rows[f"left_minus_right{suffix}"].between(rows[f"low{suffix}"], rows[f"high{suffix}"]).all()
        assert rows["p"].notna().tolist() == rows["p_holm"].notna().tolist() == [False, True]
        assert rows["p"].iloc[1] < 0.001
        assert (rows["interval_over"] == "runs").all()
        # The test and the interval agree.
        assert rows["low_nested"].iloc[1] > 0
    scores["nested"][0, 3, known["back"][0]] = np.nan
    assert region_differences.compute_region_curves(CHECKPOINTS, scores, known)["region"].tolist() == ["all", "all"]


def test_the_test_is_at_the_last_checkpoint_with_weights_of_its_own():
    scores = {"nested": planted()[0], "maximum": planted()[0]}
    checkpoints = CHECKPOINTS.assign(same_weights_as=["", "a"])
    curves = region_differences.compute_region_curves(checkpoints, scores, two_regions())
    assert curves["p"].notna().tolist() == [True, False] * 2
    assert list(curves.columns)[-1] == "same_weights_as"


def test_regions_of_averages_have_neither_interval_nor_test():
    scores = {"maximum": planted()[0].mean(axis=1, keepdims=True)}
    curves = region_differences.compute_region_curves(CHECKPOINTS, scores, two_regions())
    assert curves[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert not set(NESTED) & set(curves.columns)
    assert region_differences.compute_region_curves(CHECKPOINTS, scores, {}).empty


def test_runs_that_share_their_training_are_tested_with_the_level_that_is_said():
    """How run r predicts run s and s predicts r are one number in noise: the plain t test is fooled, this is not."""
    rng, n_runs, n_studies = np.random.default_rng(0), 9, 4000
    pairs = rng.standard_normal((n_studies, n_runs, n_runs))
    pairs = np.triu(pairs, 1) + np.triu(pairs, 1).transpose(0, 2, 1)
    by_run = pairs.sum(axis=2)
    error = np.sqrt(0.05 * 0.95 / n_studies)
    assert np.mean(region_differences.compute_p_over_runs(by_run)[3] < 0.05) < 0.065 + 3 * error
    assert np.mean(ttest_1samp(by_run, 0, axis=1).pvalue < 0.05) > 0.12


def test_the_largest_regions_are_those_with_layers_chosen_on_other_runs():
    curves = pd.DataFrame({"region": [1, 2, 3], "left_minus_right": [3, 2, 1], "left_minus_right_nested": [1, -3, 2]})
    assert region_differences.select_largest(curves, 2)["region"].tolist() == [2, 3]


def test_the_map_of_emergence_leaves_out_shared_weights():
    tokens = 1e9 * 2.0 ** np.arange(7)
    checkpoints = pd.DataFrame({"revision": [f"step{k}" for k in range(7)], "tokens": tokens})
    left, _ = assign_hemispheres(BRAIN)
    rng = np.random.default_rng(0)
    rise = 1 / (1 + np.exp(-6 * (np.log10(tokens) - 9.9)))
    scores = rng.normal(0, 0.01, (7, 9, len(left))) + 0.3 * rise[:, None, None] * left
    everywhere = np.ones(len(left), dtype=bool)
    log_tokens, n_pairs = emergence_map.compute_emergence_map(checkpoints, scores, BRAIN, everywhere)
    assert n_pairs == left.sum()
    assert np.isfinite(log_tokens[left]).all()
    assert np.isnan(log_tokens[~left]).all()
    assert np.median(log_tokens[left]) == pytest.approx(9.9, abs=0.05)
    scores[3] = 9  # whatever a checkpoint of unknown training shows
    marked = checkpoints.assign(same_weights_as=["", "", "", "step6", "", "", ""])
    assert np.nanmedian(emergence_map.compute_emergence_map(marked, scores, BRAIN, everywhere)[0]) == pytest.approx(
        9.9, abs=0.05
    )
    few = marked.assign(same_weights_as=["step6"] * 3 + [""] * 4)
    for log_tokens, n_pairs in [
        emergence_map.compute_emergence_map(few, scores, BRAIN, everywhere),
        emergence_map.compute_emergence_map(checkpoints, None, BRAIN, everywhere),
    ]:
        assert n_pairs == 0
        assert np.isnan(log_tokens).all()
