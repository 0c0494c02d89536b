"""Check how coverage and error rates of simulated studies are counted, and their values."""

import numpy as np
import pandas as pd
import pytest
from simulated_studies import check

from demo import calibration as simulation
from demo import coverage, listener, simulated_benchmarks
from pipeline.brain.voxels import compute_positions

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


def test_neighbours_resemble_each_other_and_vary_as_much():
    rng = np.random.default_rng(0)
    positions = compute_positions(simulation.make_driven_mask())
    values = rng.standard_normal((4000, len(positions))) @ listener.make_smoothing_matrix(positions, 20.0)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=0.06)
    correlations, distances = np.corrcoef(values.T), np.linalg.norm(positions[:, None] - positions, axis=2)
    # A Gaussian of sd s, applied to white noise, leaves a correlation of exp(-d^2 / 4 s^2); near the edge less of it.
    inside = correlations[distances == 10]
    assert np.median(inside) == pytest.approx(np.exp(-(10**2) / (4 * (20 / 2.3548) ** 2)), abs=0.05)
    assert abs(correlations[distances > 60].mean()) < 0.01


def test_a_shift_is_by_whole_checkpoints_and_leaves_the_untrained_one():
    curve = np.arange(6)
    assert simulated_benchmarks.shift_checkpoints(curve, 2).tolist() == [0, 1, 1, 1, 2, 3]
    assert simulated_benchmarks.shift_checkpoints(curve, -2).tolist() == [0, 3, 4, 5, 5, 5]


def test_the_saved_studies_are_as_the_page_of_coverage_describes_them():
    results = coverage.read_calibration()
    assert results.groupby("listener")["study"].nunique().to_dict() == {"asymmetric": 151, "symmetric": 151}
    check(results, n_errors=3)
    measures = coverage.compare_measures(results).set_index("measure")
    # Why alignment is the headline.
    assert measures.loc["alignment", "defined_if_flat"]
    assert measures.loc["alignment", "lowest_coverage"] > 0.9
    assert measures.loc["alignment", "misled_by_coin"] < 0.05
    assert measures.loc["alignment", "misled_by_symmetry"] < 0.05
    assert measures.loc["correlation", ["misled_by_coin", "misled_by_symmetry"]].min() > 0.1
    assert measures.loc["alignment", "separates_easy_pairs"] > 0.8


def test_measures_that_are_gone_do_not_count():
    results = coverage.read_calibration()
    gone = results.assign(quantity="scaled_distance")
    table = coverage.compute_coverage(results)
    assert set(table["quantity"]) <= set(coverage.QUANTITIES)
    pd.testing.assert_frame_equal(coverage.compute_coverage(pd.concat([results, gone])), table)


def test_the_page_of_coverage_is_what_the_command_writes(call, tmp_path):
    assert call("demo.coverage", "--output", tmp_path / "coverage.md")[0] == 0
    assert (tmp_path / "coverage.md").read_text() == coverage.PAGE.read_text(), "run python -m demo.coverage"
