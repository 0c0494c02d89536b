"""Check bootstrap resamples: strata, groups of items, right and wrong items, scores with a standard error."""

import numpy as np
import pandas as pd
import pytest

from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval
from pipeline.statistics.resampling import draw_counts, resample_means, resample_normal
from pipeline.transitions import flatness
from pipeline.transitions.flatness import compute_flat_p_value, simulate_flat_curves


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


SIZES = {"a": 200, "b": 50, "c": 400}


def test_items_are_drawn_again_within_strata_and_alike_at_every_checkpoint():
    rng = np.random.default_rng(7)
    groups = np.repeat(list(SIZES), list(SIZES.values()))
    share = {"a": 0.5, "b": 0.9, "c": 0.7}
    right = (rng.random((2, 650)) < [share[group] for group in groups]).astype(float)
    values = np.vstack([right, right[1]])  # the last checkpoint is the one before it
    curve, resamples = resample_means(values, groups, n_resamples=3000)
    np.testing.assert_allclose(curve, [row.mean() for row in values])  # each stratum weighs by its items
    # Half an item that is always right, and half of one that is always wrong, may be drawn too.
    centre = [sum((row[groups == g].sum() + 0.5) / (n + 1) * n / 650 for g, n in SIZES.items()) for row in values]
    np.testing.assert_allclose(resamples.mean(axis=0), centre, atol=0.0015)
    np.testing.assert_array_equal(resamples[:, 1], resamples[:, 2])
    variance = sum(right[0][groups == g].var() / n * (n / 650) ** 2 for g, n in SIZES.items())
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


def resample_slowly(values, strata, groups, n_resamples, rng):
    """Resample groups with a loop over resamples, strata and draws: the mean of all items of a checkpoint."""
    resamples = []
    for _ in range(n_resamples):
        total = 0.0
        for stratum in dict.fromkeys(strata):
            members = [values[(strata == stratum) & (groups == group)] for group in set(groups[strata == stratum])]
            largest = max(map(len, members))
            weights = np.append(np.ones(len(members)), [0.5, 0.5])
            choices = [*members, np.zeros(largest), np.ones(largest)]
            drawn = [choices[k] for k in rng.choice(len(choices), len(members), p=weights / weights.sum())]
            total += np.sum(strata == stratum) * np.concatenate(drawn).mean()
        resamples.append(total / len(values))
    return np.array(resamples)


@pytest.mark.parametrize("correlation", [-1, 0, 1])
def test_groups_are_drawn_as_by_a_slow_loop(correlation):
    """Strata of several sizes; in the last, a limit has cut one group."""
    rng = np.random.default_rng(3)
    strata = np.repeat(["a", "b", "c"], [40, 10, 7])
    groups = np.concatenate([np.arange(n) // 2 for n in (40, 10, 7)])  # of the same names in each stratum
    first = rng.random(57) < 0.6
    is_copied = rng.random(57) < abs(correlation)
    partner = np.arange(57) - 1
    is_second = np.concatenate([np.arange(n) % 2 == 1 for n in (40, 10, 7)])
    values = np.where(is_second & is_copied, first[partner] if correlation > 0 else ~first[partner], first).astype(
        float
    )
    curve, resamples = resample_means(np.stack([values, values]), strata, 3000, groups=groups)
    slow = resample_slowly(values, strata, groups, 3000, np.random.default_rng(4))
    assert curve[0] == pytest.approx(values.mean())
    assert resamples[:, 0].mean() == pytest.approx(slow.mean(), abs=5 * slow.std() / np.sqrt(3000))
    assert resamples[:, 0].std() == pytest.approx(slow.std(), rel=0.06)
    np.testing.assert_allclose(
        np.percentile(resamples[:, 0], [2.5, 50, 97.5]), np.percentile(slow, [2.5, 50, 97.5]), atol=0.012
    )
    np.testing.assert_array_equal(resamples[:, 0], resamples[:, 1])  # the same groups at every checkpoint


def test_names_and_order_of_groups_do_not_count():
    rng = np.random.default_rng(5)
    values, strata, groups = rng.integers(0, 2, (3, 60)), np.repeat(["a", "b"], 30), np.arange(60) // 2
    expected = resample_means(values, strata, 50, groups=groups)
    renamed = resample_means(values, strata, 50, groups=np.array([f"match {99 - group}" for group in groups]))
    np.testing.assert_array_equal(expected.resamples, renamed.resamples)
    alone = resample_means(values, strata, 50, groups=np.arange(60)[::-1])
    np.testing.assert_array_equal(alone.resamples, resample_means(values, strata, 50).resamples)


@pytest.mark.parametrize("in_group", [(0, 1), (1, 1), (0, 0)])
def test_no_interval_has_width_0_where_all_groups_are_the_same(in_group):
    """Whether a model has one pair of each group right, or both, or none."""
    values = np.tile(in_group, 500).astype(float)[None]
    curve, resamples = resample_means(values, np.zeros(1000), 2000, groups=np.arange(1000) // 2)
    low, high = compute_interval(curve[0], resamples[:, 0])
    assert curve[0] == np.mean(in_group)
    assert 0.001 < high - low < 0.008  # up to four of 500 groups
    assert low <= curve[0] <= high


def test_intervals_of_groups_cover_what_they_should():
    """Groups with both, one or none of two pairs right, from shares near one half to nearly all groups the same."""
    rng, covered = np.random.default_rng(13), []
    for share in np.repeat([0.5, 0.05, 0.005, 0.001], 30):
        n_right = rng.choice([0, 1, 2], 300, p=[share / 4, 1 - share, 3 * share / 4])
        values = np.stack([n_right > 0, n_right > 1], axis=1).reshape(1, 600).astype(float)
        curve, resamples = resample_means(values, np.zeros(600), 1000, groups=np.arange(600) // 2)
        low, high = compute_interval(curve[0], resamples[:, 0])
        covered.append(low <= 0.5 + share / 4 <= high)
    assert np.mean(covered) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 120)


def test_small_paradigms_do_not_carry_the_variance_of_arithmetic():
    sizes = {"addition_1_digit": 78, "subtraction_1_digit": 44, "multiplication_1_digit": 78} | dict.fromkeys(
        "abcdef", 1000
    )
    strata = np.repeat(list(sizes), list(sizes.values()))
    values = np.random.default_rng(0).integers(0, 2, (1, len(strata))).astype(float)
    variances = [resample_means(values[:, strata == name], strata[strata == name]).resamples.var() for name in sizes]
    assert sum(variances[:3]) / sum(variances) > 0.85  # as a plain mean over paradigms would have it
    weighted = [variance * size**2 for variance, size in zip(variances, sizes.values(), strict=True)]
    assert sum(weighted[:3]) / sum(weighted) < 0.05
    total = resample_means(values, strata).resamples.std()
    assert total == pytest.approx(np.sqrt(sum(weighted)) / 6200, rel=0.1)


TOKENS = 4_194_304 * np.array([150, 600, 1000, 3000, 7000, 19000, 51000, 133000, 352000, 928646])


def make_matched_answers(rise, rng):
    """Make the answers of a model with one of two right in each group, which comes to have both right in some.

    Return values (n_checkpoints, 6200), and strata and groups of the size of arithmetic.
    """
    sizes = [78, 44, 78, *[1000] * 6]
    strata = np.repeat(np.arange(9), sizes)
    groups = np.concatenate([np.arange(n) // 2 for n in sizes])
    preference, luck, rows = rng.standard_normal(3100), rng.random(3100), []
    for reached in 1 / (1 + np.exp(-4 * (np.log10(TOKENS) - 10.8))):
        preference = 0.9 * preference + np.sqrt(1 - 0.9**2) * rng.standard_normal(3100)
        has_both = luck < 2 * rise * reached
        rows.append(np.stack([(preference > 0) | has_both, (preference <= 0) | has_both], axis=1).ravel())
    return np.array(rows, dtype=float), strata, groups


def is_rise_found(curve):
    x = np.log10(TOKENS)
    return compute_flat_p_value(x, curve.values, simulate_flat_curves(x, curve.resamples)) < 0.05


@pytest.mark.parametrize(("rise", "is_found"), [(0.01, True), (0.0, False)])
def test_a_small_rise_in_pairs_that_were_made_together_is_found_by_groups_alone(rise, is_found, monkeypatch):
    monkeypatch.setattr(flatness, "N_NULL_CURVES", 300)
    for seed in range(3):
        values, strata, groups = make_matched_answers(rise, np.random.default_rng(seed))
        assert np.corrcoef(values[0, ::2], values[0, 1::2])[0, 1] < -0.9
        by_groups, by_pairs = resample_means(values, strata, 300, groups=groups), resample_means(values, strata, 300)
        assert by_pairs.resamples.std(axis=0).max() > 4 * by_groups.resamples.std(axis=0).max()
        assert is_rise_found(by_groups) == is_found
        assert not is_rise_found(by_pairs)


def test_items_of_all_checkpoints_drawn_together_have_less_noise_in_a_rise():
    """As answers to the items of a task of lm_eval, which are similar at every checkpoint."""
    rng = np.random.default_rng(1)
    ability, noise = rng.standard_normal(1172), rng.standard_normal((2, 1172))
    values = (np.sqrt(0.7) * ability + np.sqrt(0.3) * noise < [[-0.67], [-0.6]]).astype(float)
    jointly = resample_means(values, np.zeros(1172)).resamples
    error = np.sqrt(values.var(axis=1) / 1171)
    assert jointly.std(axis=0) == pytest.approx(error, rel=0.1)
    expected = (values[1] - values[0]).std() / np.sqrt(1171)
    assert (jointly[:, 1] - jointly[:, 0]).std() == pytest.approx(expected, rel=0.1)
    assert expected < 0.8 * np.sqrt(np.sum(error**2))
