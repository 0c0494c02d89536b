"""How far intervals and tests can be trusted, from simulated studies whose truth is known.

``demo/calibration.py`` simulates them, and saves for each study what the analysis said of it and,
as the study ``truth``, what it should have said.
"""

import numpy as np
import pandas as pd

LEVEL = 0.95  # of the intervals


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
    slack = 1e-9 + 1e-6 * found["truth"].abs()  # of numbers that were saved with few digits
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
        share, n = float(np.mean(answers)), len(answers)
        rows.append((question, should_be, share, n, np.sqrt(max(share * (1 - share), 0.05 * 0.95) / n)))

    flat = "no asymmetry is there, and one is said to emerge"
    ask(flat, "5 % at most", of("symmetric", "left_minus_right", "p_flat")["value"] < 1 - LEVEL)
    ask(
        "an asymmetry is there, and is found",
        "all",
        of("asymmetric", "left_minus_right", "p_flat")["value"] < 1 - LEVEL,
    )
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
        is said to go with left minus right (p < .05 or an interval that is not 0; for the correlation,
        r > .63, which is p < .05 for ten points); knows_easy_from_hard, knows_one_checkpoint: how
        often the hard pairs are said to go better with it than the easy ones, and than the same curve
        one checkpoint later.
    """
    studies = results[(results["study"] != "truth") & (results["listener"] == "asymmetric")]
    covered = coverage(results)
    covered = covered[(covered["listener"] == "asymmetric") & ~covered["curve"].isin(["coin", "left_minus_right"])]
    n_studies, rows = studies["study"].nunique(), []
    for measure in ("alignment", "scaled_distance", "midpoint_difference", "lead", "correlation", "p_shuffled"):
        of_measure = studies[studies["quantity"] == measure]
        of_coin = of_measure[of_measure["curve"] == "coin"]
        fooled = {
            "correlation": of_coin["value"] > 0.63,
            "p_shuffled": of_coin["value"] < 1 - LEVEL,
            "alignment": of_coin["low"] > 0,
        }.get(measure, of_coin["value"].notna())
        lowest = covered[covered["quantity"] == measure]["coverage"].min()
        told = [
            _excludes_zero(of_measure[of_measure["curve"] == f"blimp - {other}"]).sum() / n_studies
            if measure not in ("correlation", "p_shuffled")
            else np.nan
            for other in ("zorro", "blimp_+1_checkpoint")
        ]
        rows.append((measure, lowest, len(of_coin) == n_studies, fooled.sum() / n_studies, *told))
    columns = ["measure", "lowest_coverage", "defined_if_flat", "fooled_by_coin", "knows_easy_from_hard"]
    return pd.DataFrame(rows, columns=[*columns, "knows_one_checkpoint"])


def _excludes_zero(rows):
    """Whether each interval lies on one side of 0."""
    return (rows["low"] > 0) | (rows["high"] < 0)
