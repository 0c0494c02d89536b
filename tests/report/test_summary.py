"""Check the paragraph in words: its numbers are those of the tables, and it claims no more than they show."""

import numpy as np
import pandas as pd
import pytest

from pipeline.statistics.checkpoints import select_tokens_for_fits
from pipeline.transitions.claims import compare_kinds
from pipeline.transitions.comparison import MEASURES, compare_curves
from pipeline.transitions.tables import tabulate_points
from report import claim_sentences, summary

TOKENS = np.array([1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12])


def analysed(with_runs=True, benchmarks=("blimp", "dyck"), x0=10.5, tokens=TOKENS, same_weights_as=None, **known):
    """A made-up study: left minus right and blimp rise at thirty billion tokens, dyck does not."""
    rng, x = np.random.default_rng(0), np.log10(tokens)
    rise, n = 1 / (1 + np.exp(-4 * (x - x0))), len(tokens)
    truth = {"left": 0.3 + 0.1 * rise, "right": np.full(n, 0.3), "left_minus_right": 0.1 * rise}
    truth |= {f"{name}_nested": curve - 0.2 * (name != "left_minus_right") for name, curve in truth.items()}
    truth |= {"blimp": 0.5 + 0.4 * rise, "dyck": np.full(n, 0.5)}
    sides = [name for name in truth if name.startswith(("left", "right"))]
    curves = {
        name: (curve, curve + 0.005 * rng.standard_normal((300, n)))
        for name, curve in truth.items()
        if name in (*sides, *benchmarks)
    }
    if not with_runs:
        curves = {name: curve for name, curve in curves.items() if not name.endswith("_nested")}
        curves |= {name: (curves[name][0], np.full((2, n), np.nan)) for name in ("left", "right", "left_minus_right")}
    to_compare = {name: curve for name, curve in curves.items() if name.startswith("left_minus") or name not in sides}
    checkpoints = pd.DataFrame({"revision": [f"step{k}" for k in range(n)], "tokens": tokens})
    if same_weights_as is not None:
        checkpoints["same_weights_as"] = same_weights_as
    table, resamples = compare_curves(select_tokens_for_fits(checkpoints), to_compare)
    rows = tabulate_points(checkpoints, curves, table)
    regions = pd.DataFrame(
        {
            "region": ["aSTS", "BA44", "cerebellum"],
            "tokens": tokens[-1],
            "left_minus_right_nested": [0.06, 0.03, -0.03],
            "p_holm": [0.02, 0.2, 0.04] if with_runs else np.nan,
        }
    )
    claim = compare_kinds(table, resamples["alignment"])
    results = {"points": rows, "table": table, "claim": claim, "regions": regions}
    return summary.describe_results("OLMo", "en", **results, **known), table, claim


def test_what_is_found_is_said_with_its_numbers():
    words, table, claim = analysed()
    rows = table.set_index("curve")
    assert "7 checkpoints of OLMo" in words
    assert "After 1 trillion training tokens, the left hemisphere was predicted with a mean correlation of 0." in words
    target = rows.loc["left_minus_right_nested"]
    assert f"midpoint at {10 ** target['x0'] / 1e9:.3g} billion training tokens (95 % interval " in words
    # Layers chosen on other runs first, the published maximum over layers after them.
    first, published = words.index("correlation of 0.200 and the right with 0.100"), words.index("0.400 and the right")
    assert first < words.index("with layers chosen on other runs") < words.index("as published") < published
    assert "which biases both hemispheres further upwards" in words  # layers chosen on other runs have some bias, too
    assert f"{rows.loc['blimp', 'alignment']:.2f} (" in words
    assert "No transition can be shown in dyck." in words
    assert "Left minus right rises with" in words
    assert (
        f"a difference of {claim['difference']:.2f} (95 % interval {claim['low']:.2f} to {claim['high']:.2f})" in words
    )
    assert "formal competence (blimp)" in words
    assert "goes with formal competence rather than" in words
    bound = rows.loc["dyck", "rise_bound"]
    assert f"less than a tenth of the range of scores: dyck by at most {bound:.2g}." in words
    assert "unknown" not in words
    assert "Curves that do not clearly move before or after it: blimp." in words
    assert "Of 3 regions" in words
    assert "the left is predicted better in aSTS and the right is predicted better in cerebellum (p < 0.05," in words
    assert "BA44" not in words
    assert "already" not in words  # there is nothing at the first checkpoint
    assert table["curve"].tolist() == ["left_minus_right_nested", "left_minus_right", "blimp", "dyck"]
    measures = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    assert rows.loc["left_minus_right", measures].isna().all()  # it is not compared with itself


def test_what_is_not_known_is_not_said():
    words, _, _ = analysed(benchmarks=())
    assert "that takes at least one benchmark of either kind" in words
    assert "alignment is" not in words
    words, _, _ = analysed(with_runs=False)
    assert "only averages over runs are known" in words
    assert "The results of single held-out runs are not known" in words
    assert "nan" not in words
    assert "Of 3 regions" not in words
    assert words.count("Missing:") == 0 and "Differences between checkpoints" not in words
    assert "which biases them upwards" in words
    assert "chosen on other runs." in words


def make_claim(difference, unfavourable=None, **known):
    """A claim of zorro and blimp against dyck and arithmetic, which may be unknown."""
    numbers = {"formal": 0.9, "functional": 0.2, "formal_benchmarks": "blimp zorro", "functional_benchmarks": "dyck"}
    names = ("difference", "low", "high")
    numbers |= dict(zip(names, difference, strict=True)) | {"undetected_benchmarks": "", "reason": ""}
    if unfavourable:
        numbers |= {"undetected_benchmarks": "arithmetic"}
    values = unfavourable or difference
    return numbers | {f"unfavourable_{name}": value for name, value in zip(names, values, strict=True)} | known


def test_the_verdict_is_that_of_the_unfavourable_version_and_both_are_given():
    words = claim_sentences.describe_claim(make_claim((0.7, 0.5, 0.8)))
    assert words.endswith("(95 % interval 0.50 to 0.80): the asymmetry goes with formal competence rather than with "
                          "functional competence.")  # fmt: skip
    words = claim_sentences.describe_claim(make_claim((0.7, 0.5, 0.8), (0.2, 0.1, 0.8)))
    assert words.endswith("With the unknown alignment of arithmetic at its most unfavourable value, the difference is "
                          "0.20 (95 % interval 0.10 to 0.80): the verdict stays.")  # fmt: skip
    words = claim_sentences.describe_claim(make_claim((0.7, 0.5, 0.8), (0.2, -0.1, 0.8)))
    assert "goes with formal competence" not in words
    assert "benchmarks of known alignment alone would suggest that the asymmetry is closer to formal" in words
    assert words.endswith("these checkpoints do not show which of the two the asymmetry goes with.")
    words = claim_sentences.describe_claim(make_claim((-0.7, -0.8, -0.5)))
    assert "goes with functional competence rather" in words
    unknown = (np.nan, np.nan, np.nan)
    words = claim_sentences.describe_claim(make_claim(unknown, (-0.1, -0.3, 0.9), reason="r"))
    assert words.startswith("Formal and functional competence are not compared: r. With the unknown")
    words = claim_sentences.describe_claim(make_claim(unknown, unknown, reason="r"))
    assert words == "Formal and functional competence are not compared: r."


def test_specificity_is_described_for_each_benchmark():
    rows = [("blimp", 0.3, 0.1, 0.5), ("zorro", 0.1, -0.1, 0.2), ("acceptability", -0.3, -0.5, -0.1)]
    rows.append(("french_bench_grammar", np.nan, np.nan, np.nan))
    specificity = pd.DataFrame(rows, columns=["curve", "difference", "low", "high"])
    words = claim_sentences.describe_specificity(specificity)
    assert "Left minus right is closer than the mean brain score to blimp (difference in alignment 0.30 (95 %" in words
    assert "The mean brain score is closer than left minus right to acceptability (" in words
    assert "not shown to be closer than the mean brain score to zorro (" in words
    assert words.endswith("or the mean brain score is closer to french_bench_grammar.")
    assert claim_sentences.describe_specificity(None) == ""


def test_benchmarks_that_may_rise_are_called_unknown():
    rows = {"dyck": {"is_flat": True, "is_equivalent_to_flat": True, "rise_bound": 0.03, "p_constant": 0.6},
            "arithmetic": {"is_flat": True, "is_equivalent_to_flat": False, "rise_bound": 0.083, "p_constant": 0.4},
            "blimp": {"is_flat": False, "is_equivalent_to_flat": False, "rise_bound": 0.9}}  # fmt: skip
    assert list(claim_sentences.describe_undetected(rows)) == [
        "No transition can be shown in dyck and arithmetic.",
        "Shown to rise or fall by less than a tenth of the range of scores: dyck by at most 0.03. "
        "A benchmark with so small a rise counts as not aligned.",
        "Of unknown alignment, since they may still rise or fall: arithmetic by up to 0.083.",
    ]


def test_transitions_that_do_not_survive_the_correction_are_named():
    rows = {"blimp": {"is_flat": False, "p_flat": 0.0005, "p_holm": 0.002},
            "dyck": {"is_flat": False, "p_flat": 0.016, "p_holm": 0.16},
            "zorro": {"is_flat": True, "p_flat": 0.3, "p_holm": 0.6}}  # fmt: skip
    words = "Not significant after Holm's correction for the number of benchmarks: dyck (p = 0.016, corrected 0.16)."
    assert claim_sentences.describe_uncorrected(rows) == words
    del rows["dyck"]
    assert claim_sentences.describe_uncorrected(rows) == ""


def test_a_rise_that_is_not_over_is_not_dated():
    """Up to ten billion tokens, of a rise whose midpoint is at thirty billion."""
    tokens = 1e9 * 2.0 ** np.arange(6)
    words, table, _ = analysed(x0=10.5, tokens=tokens)
    rows = table.set_index("curve")
    for curve, name in [("left_minus_right_nested", "; it"), ("blimp", "In blimp, the transition")]:
        assert rows.loc[curve, "at_limit"]
        least = summary.describe_tokens(10 ** rows.loc[curve, "x0_low"])
        ending = f"had not reached its plateau by the last checkpoint: its midpoint is at least {least} tokens."
        assert f"{name} {ending}" in words
    assert "with a midpoint at" not in words
    # Where midpoints are not known, their order is not known either.
    assert "Curves whose order is not known, since plateaus are not reached: blimp." in words
    assert "Curves that move" not in words


def test_a_rise_that_had_begun_is_not_dated_either():
    tokens = 1e9 * 2.0 ** np.arange(8)
    words, table, _ = analysed(x0=9.1, tokens=tokens)
    most = summary.describe_tokens(10 ** table.set_index("curve").loc["left_minus_right_nested", "x0_high"])
    assert f"; it had begun before the first checkpoint: its midpoint is at most {most} tokens." in words
    assert "At the first checkpoint left minus right was already 0.0401 (95 % interval 0." in words
    words, _, _ = analysed(x0=9.1, tokens=tokens[:1])
    assert "already" not in words


def test_a_lead_and_its_interval_have_one_sign():
    target = {"at_limit": False, "at_start": False, "low": 0.0, "high": 0.1}
    rows = {
        "early": {"lead": 0.3, "lead_low": 0.1, "lead_high": 0.4},
        "late": {"lead": -0.30, "lead_low": -0.30, "lead_high": -0.10},
        "with": {"lead": 0.0, "lead_low": -0.1, "lead_high": 0.1},
        "late_and_not_over": {"lead": -0.3, "lead_low": -0.4, "lead_high": -0.2, "at_limit": True},
        "early_and_not_over": {"lead": 0.3, "lead_low": 0.2, "lead_high": 0.4, "at_limit": True},
        "early_and_begun": {"lead": 0.2, "lead_low": 0.1, "lead_high": 0.3, "at_start": True},
    }
    shared = {"is_flat": False, "p_flat": 0.001, "p_holm": 0.01, "x0_low": 9, "x0_high": 10}
    shared |= {"alignment": 0.5, "alignment_low": 0.4, "alignment_high": 0.6}
    rows = {name: target | shared | row for name, row in rows.items()}
    words = [sentence for sentence in summary._describe_benchmarks(rows, target) if sentence.startswith("Curves ")]
    assert words == [
        "Curves that move before the asymmetry, in factors of ten of tokens: early by 0.30 (0.10 to 0.40), "
        "early_and_begun by at least 0.10.",
        "Curves that move after it, in factors of ten of tokens: late by 0.30 (0.10 to 0.30), "
        "late_and_not_over by at least 0.20.",
        "Curves that do not clearly move before or after it: with.",
        "Curves whose order is not known, since plateaus are not reached: early_and_not_over.",
    ]
    # An asymmetry that is not over comes later than it seems.
    words = " ".join(summary._describe_benchmarks(rows, target | {"at_limit": True}))
    assert "early by at least 0.10" in words
    assert "late" not in words.partition("that move after it")[2].partition("Curves")[0]


def test_shared_weights_are_said_and_left_out():
    words, table, _ = analysed(same_weights_as=["", "", "", "", "", "", "step5"])
    assert "After 300 billion training tokens" in words
    assert "Left out of every fit over training" in words
    assert "step6 has the same weights as step5." in words
    assert (table["n_checkpoints"] == 6).all()


def test_one_is_not_written_as_many():
    words, _, _ = analysed(tokens=TOKENS[:1])
    assert words.startswith("1 checkpoint of OLMo was compared")
    assert analysed()[0].startswith("7 checkpoints of OLMo were compared")
    assert summary.explain_too_few_checkpoints(1).startswith("1 trained checkpoint is too few")
    assert summary.explain_too_few_checkpoints(3).startswith("3 trained checkpoints are too few")


def test_gaps_and_differences_are_said():
    words, _, _ = analysed(missing=["zorro has no value at step3"], differing=["the fit: made with alphas 1 and 2"])
    two, _, _ = analysed(missing=["zorro has no value at step3", "not run: dyck"])
    assert two.endswith("Missing: zorro has no value at step3; not run: dyck.")
    assert words.endswith(
        "Missing: zorro has no value at step3. Differences between checkpoints: the fit: made with alphas 1 and 2."
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (512, "512"), (2e9, "2 billion"), (3.896e12, "3.9 trillion"), (2097152, "2.1 million")],
)
def test_tokens_are_said_as_one_says_them(number, words):
    assert summary.describe_tokens(number) == words


@pytest.mark.parametrize("is_log_ratio_flat", [True, False])
def test_nothing_is_claimed_about_an_asymmetry_that_reliability_may_explain(is_log_ratio_flat):
    rows = [{"curve": "left_minus_right_nested", "is_flat": False, "rises": True, "has_same_direction": True}]
    flat = {"is_flat": is_log_ratio_flat, "rises": None if is_log_ratio_flat else True}
    rows.append({"curve": "log_left_right", **flat, "has_same_direction": not is_log_ratio_flat})
    numbers = {"p_flat": 0.001, "value": 0.1, "low": 0.05, "high": 0.15}
    controls = pd.DataFrame([row | numbers | ({"p_flat": 0.5} if row["is_flat"] else {}) for row in rows])
    words = analysed(controls=controls)[0]
    assert ("The asymmetry is more than a difference in reliability explains" in words) != is_log_ratio_flat
    assert ("the asymmetry goes with formal competence" in words) != is_log_ratio_flat
    assert ("left minus right goes with formal competence" in words) == is_log_ratio_flat
    assert ("nothing is claimed about an asymmetry of language" in words) == is_log_ratio_flat


def test_a_benchmark_without_which_the_claim_is_not_shown_is_named():
    rows = [("all benchmarks", 0.6, 0.2, 0.7), ("without arithmetic", 0.4, -0.1, 0.5), ("without dyck", 0.5, 0.3, 0.6)]
    columns = ["variant", "unfavourable_difference", "unfavourable_low", "unfavourable_high"]
    variants = pd.DataFrame(rows, columns=columns)
    words = claim_sentences.describe_fragility(variants)
    expected = "With another choice of benchmarks, the claim is not shown: without arithmetic "
    assert words == f"{expected}(0.40 (95 % interval -0.10 to 0.50))."
    assert claim_sentences.describe_fragility(variants.drop(index=1)) == ""
    assert claim_sentences.describe_fragility(variants.iloc[[1, 2]]) == ""  # not shown with all benchmarks either


def test_a_curve_that_rises_and_falls_is_not_called_flat():
    row = {"is_flat": True, "rise_bound": 1.1, "is_equivalent_to_flat": np.nan}
    rows = {"hump": row | {"p_constant": 0.0005}, "noise": row | {"p_constant": 0.4}}
    words = " ".join(claim_sentences.describe_undetected(rows))
    assert "Neither a constant nor a single rise or fall describes hump" in words
    assert "No transition can be shown in noise." in words
