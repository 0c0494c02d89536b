"""Measure how far intervals and tests can be trusted, in simulated studies whose truth is known.

    python -m demo.coverage

reads   demo/calibration.csv.gz     results of the analysis for each simulated study, and the truth
writes  docs/coverage.md            tables of coverage and of error rates

``demo/calibration.py`` simulates the studies. ``demo/coverage.md`` is the page without its tables.
"""

import string
from pathlib import Path

import numpy as np
import pandas as pd

from demo.error_rates import LEVEL, count_errors, excludes_zero, select_rows
from demo.listeners import LISTENERS
from study.command_line import ArgumentParser, run_script
from study.files.atomic import write_text
from study.files.tables import read_values
from study.paths import calibration_path

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
CRITICAL_R = 0.521  # p < .05, one-sided, for the eleven trained checkpoints of the embedded study
# Saved studies may contain further measures, which the analysis no longer computes.
QUANTITIES = ("value", "x0", "beta", "alignment", "midpoint_difference", "lead")
MOST_CORRELATED = 0.5  # between listeners with seeds of their own
MEASURES = ("alignment", "midpoint_difference", "lead", "correlation")


def main():
    """Write the page of coverage."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--output", type=Path, default=PAGE, help="the page (default: docs/coverage.md)")
    args = parser.parse_args()
    page = render_page(read_calibration())
    write_text(args.output, page)
    print(f"coverage of the intervals in {args.output}")


def read_calibration():
    """Read the simulated studies of demo/calibration.py."""
    return read_values(calibration_path(), text=["study"])


def render_page(results):
    """Return the page of coverage in Markdown.

    Parameters
    ----------
    results : pandas.DataFrame
        As for ``compute_coverage``, of asymmetric, symmetric and any further listeners.

    Returns
    -------
    str
    """
    template = string.Template(Path(__file__).with_name("coverage.md").read_text(encoding="utf-8"))
    return template.substitute(
        listeners=format_table(list_listeners(results)),
        missing=describe_missing(results),
        history=describe_draws(results),
        intervals=format_table(summarize_quantities(compute_coverage(results))),
        tests=format_table(count_errors(results)),
        measures=format_table(compare_measures(results)),
    )


def list_listeners(results):
    """List the listeners with saved studies: a table with columns listener, truth, n_studies."""
    numbers = results[results["study"] != "truth"].groupby("listener")["study"].nunique()
    rows = [(f"`{name}`", how["truth"], numbers[name]) for name, how in LISTENERS.items() if name in numbers]
    return pd.DataFrame(rows, columns=["listener", "truth", "n_studies"])


def describe_missing(results):
    """Name the listeners without saved studies, the empty str where all have studies."""
    missing = [f"`{name}`" for name in LISTENERS if name not in set(results["listener"])]
    return f"Not simulated yet: {', '.join(missing)}." if missing else ""


def describe_draws(results):
    """Describe how many independent draws the saved studies are: studies of the same seeds are the same draws."""
    curves = results[(results["curve"] == "left_minus_right") & (results["quantity"] == "value")]
    first = curves[(curves["study"] != "truth") & (curves["tokens"] == 0)].pivot(
        index="study", columns="listener", values="value"
    )
    r = first.corr().to_numpy()[np.triu_indices(first.shape[1], k=1)].max()
    n_studies = int(first.count().max())
    if r < MOST_CORRELATED:
        return f"Studies are independent between listeners: left minus right correlates at most {r:.2f} between them."
    return (
        f"The saved studies are {n_studies} independent draws, not more: studies of the same number have the same seed "
        f"for all listeners (left minus right before training correlates {r:.2f}). They were simulated by an earlier "
        "version: the HRF was the pipeline's, the ISC was set by hand, and each voxel had its best layer on the scored "
        "runs."
    )


def format_table(table):
    """Write a pandas table in Markdown, with three decimals; NaN is an empty cell."""
    lines = [table.columns, ["---"] * len(table.columns), *(map(_format_cell, row) for row in table.to_numpy())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _format_cell(value):
    """Write a cell of a table."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.3f}"
    return str(value)


def compute_coverage(results):
    """Compute how often 95 % intervals enclose the true value.

    Parameters
    ----------
    results : pandas.DataFrame with columns listener, study, curve, quantity, tokens, value, low, high
        A row per study, curve and quantity (and checkpoint, where the quantity is ``value``). The study
        ``truth`` has the true values. Only QUANTITIES count.

    Returns
    -------
    pandas.DataFrame with columns listener, curve, quantity, truth, mean, n_studies, coverage, standard_error
        A row per curve and quantity that has a true value and an interval. Values of a curve are
        averaged over checkpoints. n_studies counts the studies with an interval. The standard
        error is that of the coverage over studies; where all studies agree, that of a true coverage of 95 %.
    """
    keys = ["listener", "curve", "quantity", "tokens"]
    results = results[results["quantity"].isin(QUANTITIES)]
    is_truth = results["study"] == "truth"
    truth = results[is_truth].rename(columns={"value": "truth"})[[*keys, "truth"]]
    intervals = results[~is_truth & results["low"].notna()].merge(truth, on=keys)
    slack = 5e-5  # numbers are saved with four decimals
    intervals["covered"] = intervals["truth"].between(intervals["low"] - slack, intervals["high"] + slack)
    studies = intervals.groupby(["listener", "curve", "quantity", "study"], sort=False).agg(
        truth=("truth", "mean"), mean=("value", "mean"), covered=("covered", "mean")
    )
    table = studies.groupby(["listener", "curve", "quantity"], sort=False).agg(
        truth=("truth", "mean"),
        mean=("mean", "mean"),
        n_studies=("covered", "size"),
        coverage=("covered", "mean"),
        standard_error=("covered", "sem"),
    )
    chance_error = np.sqrt(LEVEL * (1 - LEVEL) / table["n_studies"])
    table["standard_error"] = table["standard_error"].where(table["standard_error"] > 0, chance_error)
    return table.reset_index()


def summarize_quantities(table):
    """Return the coverage of each kind of interval: its mean over curves, and that of the worst curve.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``compute_coverage`` returns it.

    Returns
    -------
    pandas.DataFrame with columns listener, quantity, n_curves, coverage, lowest, worst_curve, standard_error
        The standard error is that of the lowest coverage.
    """
    is_target = table["curve"] == "left_minus_right"
    table = table.assign(quantity=table["quantity"].where(~is_target, "left minus right: " + table["quantity"]))
    rows = []
    for (listener, quantity), curves in table.groupby(["listener", "quantity"], sort=False):
        worst = curves.loc[curves["coverage"].idxmin()]
        values = (curves["coverage"].mean(), worst["coverage"], worst["curve"], worst["standard_error"])
        rows.append((listener, quantity, len(curves), *values))
    columns = ["listener", "quantity", "n_curves", "coverage", "lowest", "worst_curve", "standard_error"]
    return pd.DataFrame(rows, columns=columns)


def compare_measures(results):
    """Compare the measures of how a benchmark goes with left minus right.

    Parameters
    ----------
    results : pandas.DataFrame
        As for ``compute_coverage``.

    Returns
    -------
    pandas.DataFrame with a row per measure
        lowest_coverage: of its intervals, over all benchmarks that have a transition; defined_if_flat:
        whether a benchmark without a transition has a value; misled_by_coin: how often that benchmark
        seems to go with left minus right; misled_by_symmetry: how often the hard pairs seem to,
        where no asymmetry emerges; separates_easy_pairs, separates_one_checkpoint: how often the
        hard pairs seem to go better, or closer, with it than the easy pairs, and than the same
        curve one checkpoint later. The criterion is p < .05, or a 95 % interval.
    """
    coverage = compute_coverage(results)
    is_benchmark = ~coverage["curve"].isin(["coin", "left_minus_right"])
    lowest = coverage[(coverage["listener"] == "asymmetric") & is_benchmark].groupby("quantity")["coverage"].min()
    n_studies = len(select_rows(results, "asymmetric", "left_minus_right", "p_flat"))
    rows = []
    for measure in MEASURES:
        coin = select_rows(results, "asymmetric", "coin", measure)
        null = select_rows(results, "symmetric", "blimp", measure)
        misled = [_count_related(estimates, measure) / n_studies for estimates in (coin, null)]
        separated = [_count_separated(results, name, measure) / n_studies for name in ("zorro", "blimp_+1_checkpoint")]
        rows.append((measure, lowest.get(measure, np.nan), len(coin) == n_studies, *misled, *separated))
    columns = ["measure", "lowest_coverage", "defined_if_flat", "misled_by_coin", "misled_by_symmetry"]
    return pd.DataFrame(rows, columns=[*columns, "separates_easy_pairs", "separates_one_checkpoint"])


def is_related(rows, measure):
    """Return whether a benchmark goes with left minus right in each study; None for a measure that cannot show it.

    A difference of midpoints, or a lead, does not show whether two curves go together.
    """
    if measure == "alignment":
        return rows["low"] > 0
    return rows["value"] > CRITICAL_R if measure == "correlation" else None


def _count_related(rows, measure):
    """Return the number of studies in which a benchmark goes with left minus right."""
    answers = is_related(rows, measure)
    return np.nan if answers is None else answers.sum()


def _count_separated(results, benchmark, measure):
    """Return the number of studies in which a measure separates a benchmark from the hard pairs."""
    if measure == "correlation":  # without an interval of the difference
        hard, compared = (select_rows(results, "asymmetric", curve, measure) for curve in ("blimp", benchmark))
        return (is_related(hard, measure) & ~is_related(compared, measure)).sum()
    return excludes_zero(select_rows(results, "asymmetric", f"blimp - {benchmark}", measure)).sum()


if __name__ == "__main__":
    run_script(main)
