"""Write the result of a study in words and numbers: a paragraph to paste and correct."""

import numpy as np

from pipeline.brain.region_differences import pick_difference_column
from pipeline.statistics.checkpoints import find_last_to_report, has_own_weights
from pipeline.statistics.intervals import (
    SIGNIFICANCE,
    describe_tokens,
    format_with_interval,
    round_to,
    turn_sign,
)
from pipeline.transitions.comparison import BRAIN_CURVES, TARGETS
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS
from pipeline.words.languages import LANGUAGES
from report.baselines import describe_baselines
from report.claim_sentences import (
    describe_claim,
    describe_fragility,
    describe_specificity,
    describe_uncorrected,
    describe_undetected,
)
from report.reliability import describe_reliability, judge_reliability


def describe_results(
    name,
    lang,
    points,
    table,
    claim,
    regions,
    *,
    specificity=None,
    controls=None,
    baselines=None,
    variants=None,
    missing=(),
    differing=(),
):
    """Describe the results of a study.

    Parameters
    ----------
    name, lang : str
    points : pandas.DataFrame, from ``transitions.tables.tabulate_points`` for ``brain.curves.compute_brain_curves``
    table : pandas.DataFrame, from ``transitions.comparison.compare_curves``
    claim : dict or None, from ``transitions.claims.compare_kinds``
    regions : pandas.DataFrame, from ``brain.region_differences.compute_region_curves``
    specificity : pandas.DataFrame or None, from ``transitions.claims.compare_targets``
    controls : pandas.DataFrame or None, from ``reliability.tabulate_controls``
    baselines : pandas.DataFrame or None, from ``baselines.compare_with_baselines``
    variants : pandas.DataFrame or None, from ``transitions.claims.tabulate_claims``
    missing : list of str, a sentence for every gap in the results
    differing : list of str, a sentence for every difference between checkpoints, apart from their training

    Returns
    -------
    str
    """
    rows = table.set_index("curve").to_dict("index")
    target = next(curve for curve in TARGETS if curve in rows)
    benchmarks = {curve: row for curve, row in rows.items() if curve not in BRAIN_CURVES}
    has_interval = points["low"][points["curve"] == target].notna().any()
    sentences = [
        _describe_end(name, lang, points),
        _describe_start(points, target),
        _describe_asymmetry(rows[target], has_interval),
        "" if controls is None else describe_reliability(controls),
        "" if baselines is None else describe_baselines(baselines),
        *_describe_benchmarks(benchmarks, rows[target]),
        describe_claim(claim, controls is None or judge_reliability(controls) == "more"),
        describe_fragility(variants),
        describe_specificity(specificity),
        _describe_regions(regions),
        _describe_same_weights(points[points["curve"] == target]),
        f"Missing: {'; '.join(missing)}." if missing else "",
        f"Differences between checkpoints: {'; '.join(differing)}." if differing else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def explain_too_few_checkpoints(n_trained):
    """Describe what a study with too few checkpoints (int) for fits over training lacks."""
    return (
        f"{_count(n_trained, 'trained checkpoint')} {'is' if n_trained == 1 else 'are'} too few for transitions, "
        f"alignment and emergence, which take {FEWEST_CHECKPOINTS} or more"
    )


def _count(number, noun):
    """Write a number with a noun in the singular or plural."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _describe_end(name, lang, points):
    """Describe both hemispheres at the last checkpoint."""
    last_tokens = find_last_to_report(points)
    last = points[points["tokens"] == last_tokens].set_index("curve")
    n_checkpoints = points[points["curve"] == "left"]["tokens"].nunique()
    verb = "was" if n_checkpoints == 1 else "were"
    words = (
        f"{_count(n_checkpoints, 'checkpoint')} of {name} {verb} compared with the average listener to the story in "
        f"{LANGUAGES[lang].name}. After {describe_tokens(last_tokens)} "
        "training tokens, the left hemisphere was predicted with a mean correlation of "
    )
    published = _describe_sides(last, "")
    if "left_minus_right_nested" not in last.index:
        return (
            f"{words}{published}. These are means over each voxel's best layer on the scored runs, which biases "
            "them upwards: only averages over runs are known, so that layers cannot be chosen on other runs."
        )
    return (
        f"{words}{_describe_sides(last, '_nested')}, with layers chosen on other runs. At each voxel's best layer on "
        "the scored runs, as published, which biases both hemispheres further upwards, the left was predicted with "
        f"{published}."
    )


def _describe_sides(rows, suffix):
    """Describe left, right and their difference, for a choice of layers."""
    left, right, difference = (rows.loc[f"{side}{suffix}"] for side in ("left", "right", "left_minus_right"))
    write = round_to(3)
    return (
        f"{write(left['value'])} and the right with {write(right['value'])}, a difference of "
        f"{format_with_interval(difference['value'], difference['low'], difference['high'])}"
    )


def _describe_start(points, target):
    """Describe a difference at the first checkpoint, where its interval excludes 0."""
    rows = points[points["curve"] == target]
    rows = rows[has_own_weights(rows)].sort_values("tokens")
    if len(rows) < 2 or not (rows["low"].iloc[0] > 0 or rows["high"].iloc[0] < 0):
        return ""
    first = format_with_interval(*rows[["value", "low", "high"]].iloc[0])
    return f"At the first checkpoint left minus right was already {first}."


def _describe_asymmetry(row, has_interval):
    """Describe the transition of left minus right."""
    if not has_interval:
        return "The results of single held-out runs are not known, so that the time of the difference is not known."
    if row["n_checkpoints"] < FEWEST_CHECKPOINTS:
        return "Fewer than five trained checkpoints do not show when the difference emerges."
    if row["is_flat"]:
        return (
            "Over training, no transition of left minus right can be shown: a constant may describe it as well "
            f"(p = {row['p_flat']:.2f})."
        )
    remark = "" if row["is_monotonic"] else ", and turns back on its way"
    p = f"p {'≤' if row['p_flat'] < 0.001 else '='} {row['p_flat']:.4f} against a flat curve"
    verb = "rises" if row["high"] > row["low"] else "falls"
    if row["at_limit"] or row["at_start"]:
        return f"Left minus right {verb} ({p}){remark}; it {_describe_limits(row)}."
    x0, low, high = (10 ** row[column] for column in ("x0", "x0_low", "x0_high"))
    midpoint = format_with_interval(x0, low, high, write=describe_tokens, unit=" training tokens")
    return f"Left minus right {verb} with a midpoint at {midpoint}, {p}{remark}."


def _describe_limits(row):
    """Describe the limits of a midpoint whose plateaus are not both reached."""
    if row["at_limit"] and row["at_start"]:
        return "had begun before the first checkpoint, and had not reached its plateau by the last one"
    if row["at_limit"]:
        least = describe_tokens(10 ** row["x0_low"])
        return f"had not reached its plateau by the last checkpoint: its midpoint is at least {least} tokens"
    most = describe_tokens(10 ** row["x0_high"])
    return f"had begun before the first checkpoint: its midpoint is at most {most} tokens"


def _describe_benchmarks(rows, target):
    """Yield sentences on the alignment, the transitions and the order of the benchmarks."""
    aligned = {name: row for name, row in rows.items() if row["is_flat"] is False and np.isfinite(row["alignment"])}
    if aligned:
        ranked = sorted(aligned.items(), key=lambda item: -item[1]["alignment"])
        alignments = [f"{_format_brief(row, 'alignment')} with {name}" for name, row in ranked]
        yield f"The alignment of left minus right is {', '.join(alignments)}."
    yield describe_uncorrected(rows)
    yield from describe_undetected(rows)
    for name, row in rows.items():
        if row["at_limit"] or row["at_start"]:
            yield f"In {name}, the transition {_describe_limits(row)}."
    rises = target["high"] > target["low"]
    opposite = [name for name, row in aligned.items() if (row["high"] > row["low"]) != rises]
    if opposite:
        yield f"In the opposite direction: {', '.join(opposite)}."
    in_order = {name: row for name, row in aligned.items() if name not in opposite}
    first, last, together, unknown = _sort_by_order(in_order, target)
    for words, names in [("before the asymmetry", first), ("after it", last)]:
        if names:
            yield f"Curves that move {words}, in factors of ten of tokens: {', '.join(names)}."
    if together:
        yield f"Curves that do not clearly move before or after it: {', '.join(together)}."
    if unknown:
        yield f"Curves whose order is not known, since plateaus are not reached: {', '.join(unknown)}."


def _sort_by_order(rows, target):
    """Sort benchmarks into those that move before the asymmetry, after it, neither, or in an unknown order.

    A midpoint that is a bound bounds the lead, too: then a single end of its interval counts.
    """
    first, last, together, unknown = [], [], [], []
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["lead"] if np.isfinite(item[1]["lead"]) else 0):
        lead, low, high = row["lead"], row["lead_low"], row["lead_high"]
        if not np.isfinite([lead, low, high]).all():
            continue
        can_be_more = target["at_limit"] or row["at_start"]
        can_be_less = target["at_start"] or row["at_limit"]
        if low > 0 and not can_be_less:
            first.append(f"{name} by {_format_lead((lead, low, high), can_be_more)}")
        elif high < 0 and not can_be_more:
            last.append(f"{name} by {_format_lead(turn_sign(lead, low, high), can_be_less)}")
        elif can_be_more or can_be_less:
            unknown.append(name)
        else:
            together.append(name)
    return first, last, together, unknown


def _format_lead(lead, is_least):
    """Write a lead above 0; of a lower bound, only the lower end of its interval counts."""
    lead, low, high = lead
    write = round_to(2)
    return f"at least {write(low)}" if is_least else format_with_interval(lead, low, high, write=write, name="")


def _describe_regions(regions):
    """Describe the regions with a difference at the last checkpoint."""
    tested = regions[regions["p_holm"].notna()]
    if tested.empty:
        return ""
    difference, remains = tested[pick_difference_column(tested)], tested["p_holm"] < SIGNIFICANCE
    better = [
        f"the {side} is predicted better in {', '.join(map(str, tested['region'][remains & (sign * difference > 0)]))}"
        for side, sign in [("left", 1), ("right", -1)]
        if (remains & (sign * difference > 0)).any()
    ]
    words = " and ".join(better) or "none shows a difference"
    return (
        f"Of {_count(len(tested), 'region')} (of language, and the cerebellum) at the last checkpoint, {words} "
        "(p < 0.05, corrected for their number by Holm's method)."
    )


def _describe_same_weights(rows):
    """Describe the checkpoints with the weights of another checkpoint."""
    shared = rows[~has_own_weights(rows)]
    if shared.empty:
        return ""
    pairs = [f"{row['revision']} has the same weights as {row['same_weights_as']}" for row in shared.to_dict("records")]
    return f"Left out of every fit over training, since their training tokens are uncertain: {', '.join(pairs)}."


def _format_brief(row, measure):
    """Write a measure with its interval, with two decimals."""
    low, high = row[f"{measure}_low"], row[f"{measure}_high"]
    return format_with_interval(row[measure], low, high, write=round_to(2), name="")
