"""Check how coverage and error rates of simulated studies are counted, and their values."""

import numpy as np
import pandas as pd
import pytest
from simulated_studies import check

from demo import coverage, error_rates
from demo.listeners import LISTENERS

COLUMNS = ["listener", "study", "curve", "quantity", "tokens", "value", "low", "high"]


def make_results(n_studies, half_width, seed=0):
    """Studies whose estimates scatter around the truth with standard deviation 1."""
    rng, rows = np.random.default_rng(seed), []
    for curve, truth in [("one", 5.0), ("two", -3.0)]:
        rows.append(("asymmetric", "truth", curve, "x0", np.nan, truth, np.nan, np.nan))
        for number, value in enumerate(truth + rng.standard_normal(n_studies)):
            rows.append(("asymmetric", str(number), curve, "x0", np.nan, value, value - half_width, value + half_width))
    for tokens in (0.0, 1e3):
        rows.append(("asymmetric", "truth", "one", "value", tokens, 0.0, np.nan, np.nan))
        for number in range(n_studies):  # of every study, one point of two is covered
            rows.append(("asymmetric", str(number), "one", "value", tokens, 1.0, 0.5 * (tokens > 0), 2.0))
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize(("half_width", "expected"), [(1.96, 0.95), (1.0, 0.683)])
def test_coverage_is_counted(half_width, expected):
    table = coverage.compute_coverage(make_results(4000, half_width)).set_index(["curve", "quantity"])
    for curve in ("one", "two"):
        row = table.loc[(curve, "x0")]
        assert row["coverage"] == pytest.approx(expected, abs=4 * row["standard_error"])
        assert row["standard_error"] == pytest.approx(np.sqrt(expected * (1 - expected) / 4000), rel=0.05)
    assert table.loc[("two", "x0"), "truth"] == -3
    points = table.loc[("one", "value")]
    assert points["coverage"] == 0.5
    assert points["n_studies"] == 4000
    summary = coverage.summarize_quantities(table.reset_index()).set_index("quantity")
    assert summary.loc["x0", "lowest"] == table.xs("x0", level="quantity")["coverage"].min()


def test_the_saved_studies_are_as_the_page_of_coverage_describes_them():
    results = coverage.read_calibration()
    assert {"asymmetric", "symmetric"} <= set(results["listener"]) <= set(LISTENERS)
    assert results.groupby("listener")["study"].nunique().min() > 150
    check(results, n_errors=3)
    measures = coverage.compare_measures(results).set_index("measure")
    # Why alignment is the headline.
    assert measures.loc["alignment", "defined_if_flat"]
    assert measures.loc["alignment", "lowest_coverage"] > 0.9
    assert measures.loc["alignment", "misled_by_coin"] < 0.05
    assert measures.loc["alignment", "misled_by_symmetry"] < 0.05
    assert measures.loc["correlation", ["misled_by_coin", "misled_by_symmetry"]].min() > 0.1
    assert measures.loc["alignment", "separates_one_checkpoint"] > 0.5
    assert measures.loc["lead", "separates_easy_pairs"] > measures.loc["alignment", "separates_easy_pairs"] > 0.1


def test_a_reliability_control_that_emerges_too_often_counts_as_an_error():
    rows = [
        ("noisier_right_0.851", str(number), curve, "p_flat", np.nan, p, np.nan, np.nan)
        for number in range(100)
        for curve, p in [("left_minus_right", 0.001), ("log_left_right", 0.01 if number < 30 else 0.5)]
    ]
    errors = error_rates.count_errors(pd.DataFrame(rows, columns=COLUMNS)).set_index("answer")
    assert errors.loc["left minus right emerges", "share"] == 1
    assert errors.loc["left minus right emerges", "should_be"] == ""
    for answer in ("the log of left over right emerges", "left minus right and the log of left over right emerge"):
        assert errors.loc[answer, "share"] == pytest.approx(0.3)
        assert errors.loc[answer, "should_be"] == "5 % at most"


def test_claims_of_studies_that_make_none_count_as_studies():
    rows = [("symmetric", str(n), "left_minus_right", "p_flat", np.nan, 0.5, np.nan, np.nan) for n in range(10)]
    rows.append(("symmetric", "3", "claim against counting", "difference", np.nan, 0.5, 0.1, 0.9))
    errors = error_rates.count_errors(pd.DataFrame(rows, columns=COLUMNS)).set_index("answer")
    claim = errors.loc["closer to formal competence than to counting"]
    assert (claim["share"], claim["n_studies"], claim["should_be"]) == (0.1, 10, "2.5 % at most")


def test_measures_that_are_gone_do_not_count():
    results = coverage.read_calibration()
    gone = results.assign(quantity="scaled_distance")
    table = coverage.compute_coverage(results)
    assert set(table["quantity"]) <= set(coverage.QUANTITIES)
    pd.testing.assert_frame_equal(coverage.compute_coverage(pd.concat([results, gone])), table)


def test_the_page_of_coverage_is_what_the_command_writes(call, tmp_path):
    assert call("demo.coverage", "--output", tmp_path / "coverage.md")[0] == 0
    assert (tmp_path / "coverage.md").read_text() == coverage.PAGE.read_text(), "run python -m demo.coverage"
