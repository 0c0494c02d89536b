"""Check the claim of formal against functional competence: what is unknown counts against it."""

import itertools

import numpy as np
import pandas as pd
import pytest

from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import Bounds
from pipeline.statistics.resampling import resample_means
from pipeline.transitions.alignment import compute_alignment
from pipeline.transitions.claims import compare_kinds, compare_targets, list_variants, tabulate_claims
from pipeline.transitions.comparison import compare_curves
from pipeline.transitions.flatness import simulate_flat_curves

X = np.log10(1e3 * 2.0 ** np.arange(11))


def rise(x0, beta=6):
    return 1 / (1 + np.exp(-beta * (X - x0)))


def noisy(curve, sd, rng, n_resamples=200):
    measured = curve + sd * rng.standard_normal(len(curve))
    return Curve(measured, measured + sd * rng.standard_normal((n_resamples, len(curve))))


def make_table(rows, is_flat=False):
    """A table of alignments by name: (kind, alignment). The first row is the target."""
    names = ["left_minus_right", *rows]
    kinds, alignments = (
        ["other", *(kind for kind, _ in rows.values())],
        [np.nan, *(value for _, value in rows.values())],
    )
    return pd.DataFrame({"curve": names, "kind": kinds, "alignment": alignments, "is_flat": is_flat})


def make_bounds(rng, centre):
    """Resamples about a value, or unknown where it is NaN."""
    if np.isnan(centre):
        return Bounds(np.zeros(400), np.ones(400))
    resamples = np.clip(centre + 0.05 * rng.standard_normal(400), 0, 1)
    return Bounds(resamples, resamples)


def test_unknown_alignments_count_against_the_claim():
    """The interval spans those of all ways to fill in what is unknown."""
    rng = np.random.default_rng(0)
    rows = {
        "blimp": ("formal", 0.9),
        "zorro": ("formal", np.nan),
        "arc_easy": ("functional", 0.2),
        "dyck": ("functional", np.nan),
        "arithmetic": ("functional", 0.0),
        "small_endings": ("other", 0.7),
    }
    alignments = {name: make_bounds(rng, value) for name, (_, value) in rows.items()}
    alignments["arithmetic"] = Bounds(np.zeros(400), np.full(400, 0.06))
    claim = compare_kinds(make_table(rows), alignments)
    assert claim["formal_benchmarks"] == "blimp"
    assert claim["functional_benchmarks"] == "arc_easy arithmetic"
    assert claim["undetected_benchmarks"] == "zorro dyck"
    assert claim["difference"] == pytest.approx(0.9 - 0.1)
    assert claim["unfavourable_difference"] == pytest.approx(0.9 / 2 - 1.2 / 3)
    ends = []
    for zorro, dyck, arithmetic in itertools.product((0, 1), (0, 1), (0, 0.06)):
        formal = (alignments["blimp"].least + zorro) / 2
        functional = (alignments["arc_easy"].least + dyck + arithmetic) / 3
        ends.append(np.percentile(formal - functional, [2.5, 97.5]))
    lows, highs = np.transpose(ends)
    assert claim["unfavourable_low"] == pytest.approx(lows.min())
    assert claim["unfavourable_high"] == pytest.approx(highs.max())
    assert claim["unfavourable_low"] < claim["unfavourable_difference"] < claim["low"] < claim["difference"]
    assert claim["reason"] == ""


def test_a_claim_for_functional_competence_has_the_opposite_worst_case():
    rng = np.random.default_rng(1)
    rows = {"blimp": ("formal", 0.1), "zorro": ("formal", np.nan), "dyck": ("functional", 0.9)}
    claim = compare_kinds(make_table(rows), {name: make_bounds(rng, value) for name, (_, value) in rows.items()})
    assert claim["high"] < 0
    assert claim["unfavourable_difference"] == pytest.approx((0.1 + 1) / 2 - 0.9)


def test_without_a_known_alignment_of_a_kind_the_claim_is_nan_with_its_reason():
    rng = np.random.default_rng(2)
    rows = {"blimp": ("formal", 0.9), "dyck": ("functional", np.nan)}
    alignments = {name: make_bounds(rng, value) for name, (_, value) in rows.items()}
    claim = compare_kinds(make_table(rows), alignments)
    assert np.isnan([claim["difference"], claim["low"], claim["high"], claim["functional"]]).all()
    assert "of functional competence" in claim["reason"]
    assert claim["unfavourable_difference"] == pytest.approx(0.9 - 1)
    assert claim["unfavourable_low"] < 0 < claim["unfavourable_high"]
    assert compare_kinds(make_table({"blimp": ("formal", 0.9)}), alignments) is None
    claim = compare_kinds(make_table(rows, is_flat=True), alignments)
    assert claim["reason"] == "no transition is detected in left minus right"
    assert np.isnan(claim["unfavourable_high"])
    assert tabulate_claims(make_table(rows, is_flat=True), alignments).empty


def test_the_claim_is_tabulated_for_other_choices_and_kinds():
    rng = np.random.default_rng(3)
    rows = {
        "blimp": ("formal", 0.9),
        "dyck": ("functional", 0.1),
        "hellaswag": ("functional", 0.3),
        "small_endings": ("other", 0.7),
        "minus_surprisal": ("other", 0.9),
        "blimp_morphology": ("other", 0.8),
        "mean": ("other", 0.9),
    }
    table, alignments = make_table(rows), {name: make_bounds(rng, value) for name, (_, value) in rows.items()}
    assert list(list_variants(table)) == [
        "all benchmarks",
        "without blimp",
        "without dyck",
        "without hellaswag",
        "dyck as formal",
        "hellaswag as formal",
        "small_endings as formal",
        "small_endings as functional",
    ]
    claims = tabulate_claims(table, alignments).set_index("variant")
    expected = {
        "all benchmarks": 0.9 - 0.2,
        "without blimp": np.nan,
        "without dyck": 0.9 - 0.3,
        "dyck as formal": 0.5 - 0.3,
        "hellaswag as formal": 0.6 - 0.1,
        "small_endings as formal": 0.8 - 0.2,
        "small_endings as functional": 0.9 - 1.1 / 3,
    }
    for variant, difference in expected.items():
        assert claims.loc[variant, "difference"] == pytest.approx(difference, nan_ok=True)
    assert claims.loc["without blimp", "reason"]
    # In French, English benchmarks are of no kind, and are not given one.
    french = make_table({name: ("other", value) for name, (_, value) in rows.items()})
    assert list(list_variants(french)) == ["all benchmarks", "small_endings as formal", "small_endings as functional"]


@pytest.mark.parametrize("x0", [4.6, 5.2])
def test_specificity_is_the_difference_of_two_alignments(x0):
    """Of left minus right, which rises with the benchmark, and of the mean score, which rises earlier or with it."""
    rng = np.random.default_rng(4)
    curves = {
        "left_minus_right": noisy(0.1 * rise(5.2), 0.003, rng),
        "mean": noisy(0.1 + 0.2 * rise(x0), 0.003, rng),
        "blimp": noisy(0.5 + 0.4 * rise(5.2), 0.01, rng),
        "zorro": noisy(0.5 + 0.4 * rise(4.6), 0.01, rng),
        "dyck": noisy(np.full(11, 0.5), 0.01, rng),
    }
    table, resamples = compare_curves(10**X, curves)
    rows = compare_targets(10**X, curves, table, resamples["alignment"]).set_index("curve")
    assert rows.index.tolist() == ["blimp", "zorro"]
    alone, again = compare_curves(10**X, {"mean": curves["mean"], "blimp": curves["blimp"]}, target="mean")
    blimp = rows.loc["blimp"]
    assert blimp["rival_alignment"] == alone["alignment"].iloc[1]
    assert blimp["difference"] == blimp["alignment"] - blimp["rival_alignment"]
    assert blimp["low"] <= blimp["difference"] <= blimp["high"]
    least = resamples["alignment"]["blimp"].least - again["alignment"]["blimp"].most
    assert blimp["low"] == min(np.percentile(least, 2.5), blimp["difference"])
    assert (blimp["low"] > 0) == (x0 == 4.6)
    flat = curves | {"left_minus_right": noisy(np.zeros(11), 0.003, rng)}
    table, resamples = compare_curves(10**X, flat)
    assert (
        compare_targets(10**X, flat, table, resamples["alignment"])[["difference", "low", "high"]].isna().all(axis=None)
    )
    without_mean = {name: curve for name, curve in curves.items() if name != "mean"}
    assert compare_targets(10**X, without_mean, table, resamples["alignment"]).empty


def draw_pairs(true_rise, rng, n_pairs=1200):
    """Minimal pairs: a pair that is learnt stays right; the other pairs are right by chance, and change little."""
    chance = rng.random((n_pairs, 1)) < 0.5
    is_changed = rng.random((n_pairs, 11)) < 0.3
    guesses = np.where(is_changed, rng.random((n_pairs, 11)) < 0.5, chance)
    is_learnt = rng.random((n_pairs, 1)) < 2 * true_rise
    learnt_at = rng.logistic(5.2, 1 / 8, (n_pairs, 1))
    right = np.where(is_learnt & (learnt_at <= X), True, guesses)
    return resample_means(right.T.astype(float), np.arange(n_pairs) % 4, 100)


def test_a_weak_transition_is_not_taken_for_none():
    """A benchmark with a small rise at the same time is as close to left minus right as the hard pairs are.

    Where a missing transition counted as no alignment, a rise of .02 gave the wrong answer in half of the studies.
    """
    rng, n, weak_rises = np.random.default_rng(5), 12, (0.05, 0.02)
    n_wrong = dict.fromkeys(weak_rises, 0)
    for _ in range(n):
        target = noisy(0.116 * rise(5.2), 0.006, rng, 100)
        null = simulate_flat_curves(X, target.resamples)
        hard, *weak = (
            compute_alignment(
                *(X, target, curve),
                nulls=(null, simulate_flat_curves(X, curve.resamples)),
                bounds=(0, 1),
                score_range=0.5,
            )
            for curve in (draw_pairs(true_rise, rng) for true_rise in (0.5, *weak_rises))
        )
        for true_rise, (value, bounds) in zip(weak_rises, weak, strict=True):
            worst = 1.0 if np.isnan(value) else value
            n_wrong[true_rise] += hard[1].subtract(bounds).compute_interval(hard[0] - worst)[0] > 0
    most = n * (0.025 + 2 * np.sqrt(0.025 * 0.975 / n))
    assert all(number <= most for number in n_wrong.values())
