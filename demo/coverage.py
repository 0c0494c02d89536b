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
    level = 1 - LEVEL  # of tests
    of_symmetry, of_asymmetry = (
        lambda curve, quantity, listener=listener: _said(results, listener, curve, quantity)
        for listener in ("symmetric", "asymmetric")
    )
    questions = [
        (
            "no asymmetry is there, and one is said to emerge",
            "5 % at most",
            of_symmetry("left_minus_right", "p_flat")["value"] < level,
        ),
        (
            "an asymmetry is there, and is found",
            "all",
            of_asymmetry("left_minus_right", "p_flat")["value"] < level,
        ),
        (
            "no asymmetry is there, and one is said to emerge in some pair of voxels",
            "5 % at most",
            of_symmetry("left_minus_right", "n_emerging_pairs")["value"] > 0,
        ),
        (
            "a benchmark that knows nothing is said to have a transition",
            "5 % at most",
            of_asymmetry("coin", "p_flat")["value"] < level,
        ),
        *_who_comes_first(results),
        (
            "two samples of the same benchmark are said to be aligned differently",
            "5 % at most",
            _excludes_zero(of_asymmetry("blimp - blimp_again", "alignment")),
        ),
        (
            "a benchmark (coin) does not rise, and the asymmetry is said to be closer to the hard pairs",
            "most",
            of_asymmetry("blimp - coin", "alignment")["low"] > 0,
        ),
        (
            "a benchmark (weak) rises alike but weakly, and the asymmetry is said to be closer to the hard pairs",
            "5 % at most",
            of_asymmetry("blimp - weak", "alignment")["low"] > 0,
        ),
    ]
    rows = [(question, should_be, *_share(answers)) for question, should_be, answers in questions]
    return pd.DataFrame(rows, columns=["question", "should_be", "share", "n_studies", "standard_error"])


def _who_comes_first(results):
    """Questions, with their answers, about every benchmark that leads or follows by .2 decades or more."""
    is_lead = (results["quantity"] == "lead") & (results["listener"] == "asymmetric")
    truth = results[is_lead & (results["study"] == "truth")].set_index("curve")["value"]
    for curve, lead in truth[truth.abs() > 0.2].items():
        found = _said(results, "asymmetric", curve, "lead")
        words = f"{curve} leads by {lead:+.2f} decades"
        yield f"{words}, and its lead has that sign", "all", np.sign(found["value"]) == np.sign(lead)
        wrong = found["high"] < 0 if lead > 0 else found["low"] > 0
        yield f"{words}, and its interval has the other sign", "2.5 % at most", wrong


def _share(answers):
    """The share of answers that are yes, their number, and its standard error: at least that of a share of 5 %."""
    if not len(answers):
        return np.nan, 0, np.nan
    share = float(np.mean(answers))
    return share, len(answers), np.sqrt(max(share * (1 - share), LEVEL * (1 - LEVEL)) / len(answers))


def _said(results, listener, curve, quantity):
    """What was said of one quantity of one curve, a row per study."""
    rows = results[(results["listener"] == listener) & (results["curve"] == curve) & (results["study"] != "truth")]
    return rows[rows["quantity"] == quantity].set_index("study")


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
    covered = coverage(results)
    covered = covered[(covered["listener"] == "asymmetric") & ~covered["curve"].isin(["coin", "left_minus_right"])]
    lowest = covered.groupby("quantity")["coverage"].min()
    n_studies = len(_said(results, "asymmetric", "left_minus_right", "p_flat"))
    # A distance, or a difference of midpoints, says nothing of whether two curves go together.
    verdicts = {
        "alignment": lambda rows: rows["low"] > 0,
        "correlation": lambda rows: rows["value"] > CRITICAL_R,
        "p_shuffled": lambda rows: rows["value"] < 1 - LEVEL,
    }
    rows = []
    for measure in ("alignment", "scaled_distance", "midpoint_difference", "lead", "correlation", "p_shuffled"):
        of_coin = _said(results, "asymmetric", "coin", measure)
        of_symmetry = _said(results, "symmetric", "blimp", measure)
        fooled = [
            verdicts[measure](of_one).sum() / n_studies if measure in verdicts else np.nan
            for of_one in (of_coin, of_symmetry)
        ]
        told = []
        for other in ("zorro", "blimp_+1_checkpoint"):
            if measure in ("correlation", "p_shuffled"):  # without an interval of the difference
                one, two = (
                    verdicts[measure](_said(results, "asymmetric", curve, measure)) for curve in ("blimp", other)
                )
                differs = one & ~two
            else:
                differs = _excludes_zero(_said(results, "asymmetric", f"blimp - {other}", measure))
            told.append(differs.sum() / n_studies)
        rows.append((measure, lowest.get(measure, np.nan), len(of_coin) == n_studies, *fooled, *told))
    columns = ["measure", "lowest_coverage", "defined_if_flat", "fooled_by_coin", "fooled_by_symmetry"]
    return pd.DataFrame(rows, columns=[*columns, "knows_easy_from_hard", "knows_one_checkpoint"])


def _excludes_zero(rows):
    """Whether each interval lies on one side of 0."""
    return (rows["low"] > 0) | (rows["high"] < 0)
