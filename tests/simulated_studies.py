"""Check simulated studies, whose truth is known."""

from demo import coverage


def check(results, n_errors):
    """Check the claims of docs/coverage.md, within Monte Carlo error."""
    rows = coverage.compute_coverage(results)
    assert set(rows["listener"]) >= {"asymmetric", "symmetric"}
    # Midpoints and leads of a curve that is seldom detected are those of few, selected studies.
    rows = rows[rows["n_studies"] >= 0.75 * rows["n_studies"].max()]
    assert rows["coverage"].mean() > 0.93
    # Its rise is not over at the last checkpoint, so that its midpoint is a bound (at_limit).
    rows = rows[(rows["curve"] != "blimp_+1_checkpoint") | (rows["quantity"] != "x0")]
    rows = rows[~rows["listener"].str.startswith("field")]  # lasting differences, which no interval covers
    too_low = rows[rows["coverage"] < 0.95 - n_errors * rows["standard_error"]]
    assert too_low.empty, too_low.to_string()
    of_asymmetry = rows[(rows["curve"] == "left_minus_right") & (rows["quantity"] == "value")]
    # Neither too narrow nor, over all checkpoints, too wide. For small effects, intervals are wider than they need be.
    usual = of_asymmetry[of_asymmetry["listener"].isin(["asymmetric", "symmetric"])]
    assert (usual["coverage"] < 0.95 + n_errors * usual["standard_error"]).all()
    assert (of_asymmetry["coverage"] < 0.99).all()
    shares = coverage.count_errors(results)
    least, most = {"all": 1.0}, {"5 % at most": 0.05, "2.5 % at most": 0.025}
    for row in shares[(shares["should_be"] != "") & ~shares["listener"].str.startswith("field")].to_dict("records"):
        if row["should_be"] in least:
            assert row["share"] > least[row["should_be"]] - n_errors * row["standard_error"], row
        else:
            assert row["share"] < most[row["should_be"]] + n_errors * row["standard_error"], row
    assert len(shares) >= 10
