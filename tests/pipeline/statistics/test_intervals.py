"""Check that every estimate lies within its interval, in tables and in sentences."""

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.statistics.intervals import (
    Bounds,
    average_bounds,
    compute_interval,
    compute_simultaneous_band,
    describe_tokens,
    format_with_interval,
    round_to,
    turn_sign,
)

numbers = st.floats(-1e6, 1e6)
triples = st.tuples(numbers, numbers, numbers).map(sorted).map(lambda ends: (ends[1], ends[0], ends[2]))
NUMBER = r"(-?\d+(?:\.\d+)?)"


def printed(words):
    return [float(part) for part in re.fullmatch(rf"{NUMBER} \(95 % interval {NUMBER} to {NUMBER}\)", words).groups()]


@given(triples, st.integers(0, 6))
@example((-0.001, -0.002, 0.0), 2)  # must not be written -0.00
def test_the_written_estimate_lies_in_the_written_interval(values, n_digits):
    words = format_with_interval(*values, round_to(n_digits))
    estimate, low, high = printed(words)
    assert low <= estimate <= high
    assert not re.search(r"-0(\.0+)?( |\)|$)", words)
    for number, of_words in zip(values, (estimate, low, high), strict=True):
        assert of_words == pytest.approx(number, abs=0.51 * 10**-n_digits)


@given(numbers, numbers, numbers)
def test_whatever_the_interval_is_the_estimate_is_not_written_outside(estimate, one, other):
    values = printed(format_with_interval(estimate, min(one, other), max(one, other)))
    assert values[1] <= values[0] <= values[2]


@given(triples)
def test_turning_the_sign_turns_everything_and_twice_is_nothing(values):
    turned = turn_sign(*values)
    assert turned[1] <= turned[0] <= turned[2]
    assert turned == (-values[0], -values[2], -values[1])
    assert turn_sign(*turned) == values


def test_a_lead_of_another_is_written_with_its_interval_turned():
    assert format_with_interval(*turn_sign(-0.30, -0.30, -0.10), round_to(2), name="") == "0.30 (0.10 to 0.30)"


@given(st.tuples(numbers, numbers, numbers), st.sets(st.integers(0, 2), min_size=1))
def test_what_is_not_known_is_said_in_words(values, unknown):
    values = [np.nan if place in unknown else value for place, value in enumerate(values)]
    words = format_with_interval(*values)
    assert "nan" not in words
    assert words == "not known" if 0 in unknown else words.endswith("(no interval is known)")


@given(st.lists(st.floats(0, 1e15), min_size=2, max_size=2).map(sorted))
@example([999.4e6, 999.9e6])
def test_tokens_keep_their_order_in_words(pair):
    sizes = {"": 1, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
    values = []
    for number in pair:
        value, _, size = describe_tokens(number).partition(" ")
        values.append(float(value) * sizes[size])
        assert values[-1] == pytest.approx(number, rel=0.0051)
    assert values[0] <= values[1]


def test_one_billion_is_not_a_thousand_million():
    assert describe_tokens(999.9e6) == "1 billion"
    assert "nan" not in describe_tokens(np.nan)


# ---------------------------------------------------------------- from resamples


@given(st.floats(-5, 5), st.integers(0, 2**32 - 1), st.booleans())
def test_the_interval_contains_the_estimate_however_resamples_are_skewed(estimate, seed, is_skewed):
    rng = np.random.default_rng(seed)
    resamples = rng.exponential(size=200) if is_skewed else rng.standard_normal(200)
    low, high = compute_interval(estimate, resamples)
    percentiles = np.percentile(resamples, [2.5, 97.5])
    assert low == min(percentiles[0], estimate)
    assert high == max(percentiles[1], estimate)


def test_each_point_has_an_interval_of_its_own():
    rng = np.random.default_rng(0)
    estimates, resamples = np.arange(4.0), np.arange(4.0) + rng.standard_normal((1000, 4))
    estimates[1] = np.nan
    resamples[:40, 2] = np.nan  # one in twenty-five
    resamples[:60, 3] = np.nan
    low, high = compute_interval(estimates, resamples)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, False, True]
    for k, first in [(0, 0), (2, 40)]:
        np.testing.assert_allclose([low[k], high[k]], np.percentile(resamples[first:, k], [2.5, 97.5]))
    assert np.shape(compute_interval(1.0, np.ones(10))) == (2,)
    assert np.isnan(compute_interval(np.zeros(3), np.full((2, 3), np.nan))).all()


def test_nothing_that_was_not_drawn_has_an_interval():
    resamples = np.random.default_rng(0).standard_normal((100, 3))
    resamples[:, 1] = 0.7
    for compute in (compute_interval, compute_simultaneous_band):
        low, high = compute(np.array([0.0, 0.7, 0.0]), resamples)
        assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, False]


# ---------------------------------------------------------------- of a whole curve


def test_the_simultaneous_band_is_that_of_a_loop_over_resamples():
    rng = np.random.default_rng(1)
    estimate = np.array([0.1, 0.2, np.nan, 0.4, 0.5])
    resamples = np.nan_to_num(estimate) + rng.standard_normal((300, 5)) * [0.1, 0.3, 0.2, 0.0, 0.2]
    resamples[:3, 4] = np.nan  # one in a hundred
    known = [0, 1, 4]
    errors = {k: np.nanstd(resamples[:, k]) for k in known}
    largest = [max(abs(row[k] - estimate[k]) / errors[k] for k in known if np.isfinite(row[k])) for row in resamples]
    half = np.quantile(largest, 0.95) * np.array([errors[k] for k in known])
    low, high = compute_simultaneous_band(estimate, resamples)
    np.testing.assert_allclose(low[known], estimate[known] - half)
    np.testing.assert_allclose(high[known], estimate[known] + half)
    assert np.isnan(low[[2, 3]]).all()  # without an estimate, and where nothing was drawn


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_simultaneous_band_encloses_the_whole_true_curve_in_95_percent_of_studies(correlation):
    rng, n_studies, n_points = np.random.default_rng(2), 400, 10
    distance = np.abs(np.subtract.outer(np.arange(n_points), np.arange(n_points)))
    sd = np.linspace(0.5, 2, n_points)
    root = np.linalg.cholesky(np.outer(sd, sd) * np.where(distance == 0, 1.0, correlation**distance))
    truth = np.linspace(0, 3, n_points)
    n_covered, n_covered_pointwise = 0, 0
    for _ in range(n_studies):
        estimate = truth + root @ rng.standard_normal(n_points)
        resamples = estimate + rng.standard_normal((500, n_points)) @ root.T
        low, high = compute_simultaneous_band(estimate, resamples)
        n_covered += ((low <= truth) & (truth <= high)).all()
        pointwise = compute_interval(estimate, resamples)
        n_covered_pointwise += ((pointwise[0] <= truth) & (truth <= pointwise[1])).all()
        assert ((low <= pointwise[0]) & (pointwise[1] <= high)).all()
    error = np.sqrt(0.95 * 0.05 / n_studies)
    assert n_covered / n_studies == pytest.approx(0.95, abs=3 * error)
    assert n_covered_pointwise / n_studies < 0.9  # which is why a pointwise band is called pointwise


# ---------------------------------------------------------------- of what is known within bounds


@given(st.integers(0, 2**32 - 1))
def test_the_bounds_of_a_difference_are_those_of_all_values_within_bounds(seed):
    rng = np.random.default_rng(seed)
    first, second, third = (Bounds(*np.sort(rng.random((2, 20)), axis=0)) for _ in range(3))
    difference = first.subtract(second)
    np.testing.assert_allclose(difference.least, [min(a - b for a in (p, q) for b in (r, s))
                               for p, q, r, s in zip(*first, *second, strict=True)])  # fmt: skip
    np.testing.assert_allclose(difference.most, [max(a - b for a in (p, q) for b in (r, s))
                               for p, q, r, s in zip(*first, *second, strict=True)])  # fmt: skip
    mean = average_bounds([first, second, third])
    np.testing.assert_allclose(mean.least, (first.least + second.least + third.least) / 3)
    np.testing.assert_allclose(mean.most, (first.most + second.most + third.most) / 3)
    low, high = mean.compute_interval(0.5)
    assert low == min(np.percentile(mean.least, 2.5), 0.5)
    assert high == max(np.percentile(mean.most, 97.5), 0.5)
    assert np.isnan(mean.compute_interval(np.nan)).all()
