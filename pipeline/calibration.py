"""How far intervals and tests can be trusted, from simulated studies whose truth is known.

``demo/calibration.py`` simulates them, and saves for each study what the analysis said of it and,
as the study ``truth``, what it should have said.
"""

import numpy as np
import pandas as pd

LEVEL = 0.95  # of the intervals
CRITICAL_R = 0.521  # p < .05, one-sided, for eleven points: as many as the embedded study has trained checkpoints


def coverage(results):
    """How often 95 % intervals enclose the true value.

    Parameters
    ----------
    results : pandas.DataFrame with columns listener, study, curve, quantity, tokens, value, low, high
        A row per study, curve and quantity (and checkpoint, where the quantity is ``value``); the study
        ``truth`` has the true values.

    Returns
    -------
    pandas.DataFrame with columns listener, curve, quantity, truth, mean, n_studies, coverage, standard_error
        A row per curve and quantity that has a true value and an interval; values of a curve are
        averaged over checkpoints. n_studies counts those in which there was an interval. The standard
        error is that of the coverage over studies; where all agree, that of a true coverage of 95 %.
    """
    keys = ["listener", "curve", "quantity", "tokens"]
    is_truth = results["study"] == "truth"
    truth = results[is_truth].rename(columns={"value": "truth"})[[*keys, "truth"]]
    found = results[~is_truth & results["low"].notna()].merge(truth, on=keys)
    slack = 5e-5  # numbers are saved with four decimals
    found["covered"] = (found["low"] <= found["truth"] + slack) & (found["truth"] - slack <= found["high"])
    of_studies = found.groupby(["listener", "curve", "quantity", "study"], sort=False).agg(
        truth=("truth", "mean"), mean=("value", "mean"), covered=("covered", "mean")
    )
    table = of_studies.groupby(["listener", "curve", "quantity"], sort=False).agg(
        truth=("truth", "mean"),
        mean=("mean", "mean"),
        n_studies=("covered", "size"),
        coverage=("covered", "mean"),
        standard_error=("covered", "sem"),
    )
    of_chance = np.sqrt(LEVEL * (1 - LEVEL) / table["n_studies"])
    table["standard_error"] = table["standard_error"].where(table["standard_error"] > 0, of_chance)
    return table.reset_index()


def by_quantity(table):
    """Coverage of each kind of interval, averaged over curves, and that of the worst curve.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``coverage`` returns it.

    Returns
    -------
    pandas.DataFrame with columns listener, interval_of, n_curves, coverage, lowest, of_curve, standard_error
        The standard error is that of the lowest coverage.
    """
    left_minus_right = table["curve"] == "left_minus_right"
    table = table.assign(
        interval_of=table["quantity"].where(~left_minus_right, "left minus right: " + table["quantity"])
    )
    rows = []
    for (listener, quantity), of_quantity in table.groupby(["listener", "interval_of"], sort=False):
        worst = of_quantity.loc[of_quantity["coverage"].idxmin()]
        values = (of_quantity["coverage"].mean(), worst["coverage"], worst["curve"], worst["standard_error"])
        rows.append((listener, quantity, len(of_quantity), *values))
    columns = ["listener", "interval_of", "n_curves", "coverage", "lowest", "of_curve", "standard_error"]
    return pd.DataFrame(rows, columns=columns)


def shares(results):
    """How often tests and signs say what they should not, or should.

    Parameters
    ----------
    results : pandas.DataFrame
        As for ``coverage``.

    Returns
    -------
    pandas.DataFrame with columns question, should_be, share, n_studies, standard_error
    """
    studies = results[results["study"] != "truth"]
    truth = results[results["study"] == "truth"].set_index(["listener", "curve", "quantity"])["value"]

    def of(listener, curve, quantity):
        rows = studies[(studies["listener"] == listener) & (studies["curve"] == curve)]
        return rows[rows["quantity"] == quantity]

    rows = []

    def ask(question, should_be, answers):
        if not len(answers):
            rows.append((question, should_be, np.nan, 0, np.nan))
            return
        share, n = float(np.mean(answers)), len(answers)
        rows.append((question, should_be, share, n, np.sqrt(max(share * (1 - share), 0.05 * 0.95) / n)))

    flat = "no asymmetry is there, and one is said to emerge"
    ask(flat, "5 % at most", of("symmetric", "left_minus_right", "p_flat")["value"] < 1 - LEVEL)
    ask(
        "an asymmetry is there, and is found",
        "all",
        of("asymmetric", "left_minus_right", "p_flat")["value"] < 1 - LEVEL,
    )
    flat_pairs = of("symmetric", "left_minus_right", "n_emerging_pairs")["value"]
    ask("no asymmetry is there, and one is said to emerge in some pair of voxels", "5 % at most", flat_pairs > 0)
    coin = of("asymmetric", "coin", "p_flat")["value"]
    ask("a benchmark that knows nothing is said to have a transition", "5 % at most", coin < 1 - LEVEL)
    leads = studies[(studies["quantity"] == "lead") & (studies["listener"] == "asymmetric")]
    for curve in leads["curve"].unique():
        true_lead = truth.get(("asymmetric", curve, "lead"), np.nan)
        of_curve = leads[leads["curve"] == curve]
        if abs(true_lead) > 0.2:
            right_sign = np.sign(of_curve["value"]) == np.sign(true_lead)
            ask(f"{curve} leads by {true_lead:+.2f} decades, and its lead has that sign", "all", right_sign)
            wrong = np.where(true_lead > 0, of_curve["high"] < 0, of_curve["low"] > 0)
            ask(
                f"{curve} leads by {true_lead:+.2f} decades, and its interval has the other sign",
                "2.5 % at most",
                wrong,
            )
    ask(
        "two samples of the same benchmark are said to be aligned differently",
        "5 % at most",
        _excludes_zero(of("asymmetric", "blimp - blimp_again", "alignment")),
    )
    for other, is_there, should_be in [
        ("coin", "does not rise", "most"),
        ("weak", "rises alike but weakly", "5 % at most"),
    ]:
        ask(
            f"a benchmark ({other}) {is_there}, and the asymmetry is said to be closer to the hard pairs",
            should_be,
            of("asymmetric", f"blimp - {other}", "alignment")["low"] > 0,
        )
    return pd.DataFrame(rows, columns=["question", "should_be", "share", "n_studies", "standard_error"])


def measures(results):
    """What each way of comparing a benchmark with left minus right is worth.

    Parameters
    ----------
    results : pandas.DataFrame
        As for ``coverage``.

    Returns
    -------
    pandas.DataFrame with a row per measure
        lowest_coverage: of its intervals, over all benchmarks that have a transition; defined_if_flat:
        whether a benchmark without a transition has a value; fooled_by_coin: how often that benchmark
        is said to go with left minus right; fooled_by_symmetry: how often the hard pairs are said to,
        where no asymmetry emerges; knows_easy_from_hard, knows_one_checkpoint: how often the
        hard pairs are said to go better, or closer, with it than the easy ones, and than the same
        curve one checkpoint later. What is said is what p < .05, or a 95 % interval, says.
    """
    studies = results[(results["study"] != "truth") & (results["listener"] == "asymmetric")]
    covered = coverage(results)
    covered = covered[(covered["listener"] == "asymmetric") & ~covered["curve"].isin(["coin", "left_minus_right"])]
    n_studies, rows = studies["study"].nunique(), []
    others = ("zorro", "blimp_+1_checkpoint")
    for measure in ("alignment", "scaled_distance", "midpoint_difference", "lead", "correlation", "p_shuffled"):
        of_measure = studies[studies["quantity"] == measure]
        of_curve = {curve: of_one.set_index("study") for curve, of_one in of_measure.groupby("curve")}
        of_coin = of_curve.get("coin", of_measure.iloc[:0])
        is_symmetric = (results["listener"] == "symmetric") & (results["study"] != "truth")
        of_symmetry = results[is_symmetric & (results["quantity"] == measure) & (results["curve"] == "blimp")]

        def is_said(rows, measure=measure):
            if measure == "p_shuffled":
                return rows["value"] < 1 - LEVEL
            return rows["value"] > CRITICAL_R if measure == "correlation" else rows["low"].notna() & (rows["low"] > 0)

        if measure in ("p_shuffled", "correlation"):
            tells = [is_said(of_curve["blimp"]) & ~is_said(of_curve[other]) for other in others]
        else:
            tells = [_excludes_zero(of_curve.get(f"blimp - {other}", of_measure.iloc[:0])) for other in others]
        lowest = covered[covered["quantity"] == measure]["coverage"].min()
        shares_told = [told.sum() / n_studies for told in tells]
        # A distance, or a difference of midpoints, says nothing of whether two curves go together.
        has_a_verdict = measure in ("alignment", "p_shuffled", "correlation")
        fooled = [is_said(of_one).sum() / n_studies if has_a_verdict else np.nan for of_one in (of_coin, of_symmetry)]
        rows.append((measure, lowest, len(of_coin) == n_studies, *fooled, *shares_told))
    columns = ["measure", "lowest_coverage", "defined_if_flat", "fooled_by_coin", "fooled_by_symmetry"]
    columns += ["knows_easy_from_hard"]
    return pd.DataFrame(rows, columns=[*columns, "knows_one_checkpoint"])


def _excludes_zero(rows):
    """Whether each interval lies on one side of 0."""
    return (rows["low"] > 0) | (rows["high"] < 0)
