"""What must hold in simulated studies."""

from demo import coverage


def check(results, n_errors):
    """Everything that the notebook says of the simulated studies, within Monte Carlo error."""
    rows = coverage.coverage(results)
    assert set(rows["listener"]) == {"asymmetric", "symmetric"}
    # The distance of two curves cannot be below 0, and noise only adds to it: the notebook says so.
    rows = rows[rows["quantity"] != "scaled_distance"]
    assert rows["coverage"].mean() > 0.93
    too_low = rows[rows["coverage"] < 0.95 - n_errors * rows["standard_error"]]
    assert too_low.empty, too_low.to_string()
    of_asymmetry = rows[(rows["curve"] == "left_minus_right") & (rows["quantity"] == "value")]
    # Neither too narrow nor, over all checkpoints, too wide.
    assert (of_asymmetry["coverage"] < 0.95 + n_errors * of_asymmetry["standard_error"]).all()
    shares = coverage.shares(results)
    least, most = {"all": 1.0, "most": 0.8}, {"5 % at most": 0.05, "2.5 % at most": 0.025}
    for row in shares.to_dict("records"):
        if row["should_be"] in least:
            assert row["share"] > least[row["should_be"]] - n_errors * row["standard_error"], row
        else:
            assert row["share"] < most[row["should_be"]] + n_errors * row["standard_error"], row
    assert len(shares) >= 10
    return coverage
