"""The paragraph: its numbers are those of the tables, and it says no more than they do."""

import numpy as np
import pandas as pd
import pytest

from pipeline import summary, transitions

TOKENS = np.array([1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12])
X = np.log10(TOKENS)


def analysed(with_runs=True, benchmarks=("blimp", "dyck"), **known):
    """A made-up study: left minus right and blimp rise at ten billion tokens, dyck does not."""
    rng = np.random.default_rng(0)
    rise = 1 / (1 + np.exp(-4 * (X - 10.5)))
    truth = {"left": 0.1 + 0.1 * rise, "right": np.full(7, 0.1), "left_minus_right": 0.1 * rise}
    truth |= {"blimp": 0.5 + 0.4 * rise, "dyck": np.full(7, 0.5)}
    curves = {
        name: (curve, curve + 0.005 * rng.standard_normal((300, 7)))
        for name, curve in truth.items()
        if name in ("left", "right", "left_minus_right", *benchmarks)
    }
    if not with_runs:
        curves |= {name: (curves[name][0], np.full((2, 7), np.nan)) for name in ("left", "right", "left_minus_right")}
    to_compare = {name: curve for name, curve in curves.items() if name not in ("left", "right")}
    table, again = transitions.compare(TOKENS, to_compare)
    checkpoints = pd.DataFrame({"revision": [f"step{k}" for k in range(7)], "tokens": TOKENS})
    points = transitions.points(checkpoints, curves, table)
    regions = pd.DataFrame(
        {
            "region": ["aSTS", "BA44", "cerebellum"],
            "tokens": 1e12,
            "low": [0.02, -0.01, -0.05] if with_runs else np.nan,
            "high": [0.1, 0.05, -0.01] if with_runs else np.nan,
        }
    )
    claim = transitions.formal_minus_functional(table, again["alignment"])
    return summary.in_words("OLMo", "en", points, table, claim, regions, **known), table, claim


def test_what_is_found_is_said_with_its_numbers():
    words, table, claim = analysed()
    rows = table.set_index("curve")
    assert "7 checkpoints of OLMo" in words
    assert "After 1 trillion training tokens, the left hemisphere was predicted with a mean correlation of 0." in words
    assert f"midpoint at {10 ** rows.loc['left_minus_right', 'x0'] / 1e9:.3g} billion training tokens" in words
    assert f"{rows.loc['blimp', 'alignment']:.2f} (" in words
    assert "No transition can be shown in dyck." in words
    assert "Left minus right rises with" in words
    assert (
        f"a difference of {claim['difference']:.2f} (95 % interval {claim['low']:.2f} to {claim['high']:.2f})" in words
    )
    assert "formal competence (blimp)" in words
    assert "goes with formal competence rather than" in words
    assert "are all flat: no transition could be shown" in words
    assert "Neither before nor after it, as far as can be told: blimp." in words
    assert "the left is predicted better in aSTS and the right is predicted better in cerebellum" in words


def test_what_is_not_known_is_not_said():
    words, _, _ = analysed(benchmarks=())
    assert "that takes at least one benchmark of either kind" in words
    assert "alignment is" not in words
    words, _, _ = analysed(with_runs=False)
    assert "only averages over runs are known" in words
    assert "Since no left-out runs are known, nothing can be said" in words
    assert "nan" not in words
    assert "Of 3 regions" not in words
    assert words.count("Missing:") == 0 and "not alike" not in words


def test_gaps_and_differences_are_said():
    words, _, _ = analysed(missing=["zorro has no value at step3"], not_alike=["the fit: made with alphas 1 and 2"])
    assert words.endswith(
        "Missing: zorro has no value at step3. Checkpoints are not alike: the fit: made with alphas 1 and 2."
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (512, "512"), (2e9, "2 billion"), (3.896e12, "3.9 trillion"), (2097152, "2.1 million")],
)
def test_tokens_are_said_as_one_says_them(number, words):
    assert summary.tokens_in_words(number) == words
