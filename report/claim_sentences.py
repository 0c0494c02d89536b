"""Write the claims of a study in words: undetected transitions, formal against functional competence, specificity."""

import numpy as np

from pipeline.statistics.intervals import SIGNIFICANCE, format_with_interval, round_to

FORMAL_VERDICT = "the asymmetry goes with formal competence rather than with functional competence"
FUNCTIONAL_VERDICT = "the asymmetry goes with functional competence rather than with formal competence"
NO_VERDICT = "these checkpoints do not show which of the two the asymmetry goes with"
CAUTION = (
    " A difference in reliability between the hemispheres is not excluded as the cause of left minus right (see "
    "above), so that nothing is claimed about an asymmetry of language."
)


def describe_undetected(rows):
    """Yield sentences on benchmarks without a detected transition.

    Parameters
    ----------
    rows : dict from benchmark to dict, the rows of the table of ``compare_curves``
    """
    without = {name: row for name, row in rows.items() if row["is_flat"] is True}
    flat = {name: row for name, row in without.items() if not row["p_constant"] < SIGNIFICANCE}
    varying = [name for name in without if name not in flat]
    if varying:
        yield (
            f"Neither a constant nor a single rise or fall describes {' and '.join(varying)}: the alignment is unknown."
        )
    if flat:
        yield f"No transition can be shown in {' and '.join(flat)}."
    small = [f"{name} by at most {row['rise_bound']:.2g}" for name, row in flat.items() if is_small(row)]
    if small:
        yield (
            f"Shown to rise or fall by less than a tenth of the range of scores: {', '.join(small)}. "
            "A benchmark with so small a rise counts as not aligned."
        )
    unknown = [f"{name} by up to {row['rise_bound']:.2g}" for name, row in flat.items() if not is_small(row)]
    if unknown:
        yield f"Of unknown alignment, since they may still rise or fall: {', '.join(unknown)}."


def describe_uncorrected(rows):
    """Write which transitions are not significant once p-values are corrected for the number of benchmarks.

    Parameters
    ----------
    rows : dict from benchmark to dict, the rows of the table of ``compare_curves``

    Returns
    -------
    str, empty where every detected transition is significant after the correction
    """
    detected = {name: row for name, row in rows.items() if row["is_flat"] is False}
    uncertain = [
        f"{name} (p = {row['p_flat']:.2g}, corrected {row['p_holm']:.2g})"
        for name, row in detected.items()
        if row["p_holm"] >= SIGNIFICANCE
    ]
    if not uncertain:
        return ""
    return f"Not significant after Holm's correction for the number of benchmarks: {', '.join(uncertain)}."


def is_small(row):
    """Return whether a benchmark is shown to rise by less than a tenth of its range."""
    return row["is_equivalent_to_flat"] is True


def describe_claim(claim, is_beyond_reliability=True):
    """Describe the comparison of formal with functional competence.

    The verdict is that of the unfavourable version. The low end of a two-sided 95 % interval decides, so that a verdict
    for formal competence is a one-sided test at 2.5 %.

    Parameters
    ----------
    claim : dict or None, as ``pipeline.transitions.claims.compare_kinds`` returns it
    is_beyond_reliability : bool, False where a difference in reliability may explain left minus right. The verdict is
        then one on left minus right, with a caution.

    Returns
    -------
    str, one or more sentences
    """
    words = _describe_difference(claim)
    if is_beyond_reliability or claim is None or claim["reason"]:
        return words
    return words.replace("the asymmetry", "left minus right") + CAUTION


def _describe_difference(claim):
    """Describe the difference between both kinds, with its verdict."""
    if claim is None:
        return (
            "Formal and functional competence cannot be compared: that takes at least one benchmark of either kind, "
            "with intervals, at five trained checkpoints or more."
        )
    if claim["reason"]:
        worst = f"{_describe_worst(claim)}." if has_unknown(claim) else ""
        return f"Formal and functional competence are not compared: {claim['reason']}.{worst}"
    formal, functional = (claim[f"{kind}_benchmarks"].replace(" ", ", ") for kind in ("formal", "functional"))
    write = round_to(2)
    words = (
        f"Mean alignment is {write(claim['formal'])} with benchmarks of formal competence ({formal}) and "
        f"{write(claim['functional'])} with those of functional competence ({functional}), a difference of "
        f"{format_difference(claim)}"
    )
    verdict = _judge(claim)
    if not has_unknown(claim):
        return f"{words}: {verdict}."
    worst_verdict = _judge(claim, "unfavourable_")
    if worst_verdict == verdict:
        return f"{words}: {verdict}.{_describe_worst(claim)}: the verdict stays."
    kind = "formal" if verdict == FORMAL_VERDICT else "functional"
    return (
        f"{words}: the benchmarks of known alignment alone would suggest that the asymmetry is closer to {kind} "
        f"competence.{_describe_worst(claim)}: {worst_verdict}."
    )


def has_unknown(claim):
    """Return whether the claim has a version with unknown alignments at their most unfavourable values."""
    return bool(claim["undetected_benchmarks"]) and np.isfinite(claim["unfavourable_difference"])


def _describe_worst(claim):
    """Describe the claim with unknown alignments at their most unfavourable values, without full stop."""
    names = claim["undetected_benchmarks"].replace(" ", ", ")
    difference = format_difference(claim, "unfavourable_")
    return f" With the unknown alignment of {names} at its most unfavourable value, the difference is {difference}"


def _judge(claim, prefix=""):
    """Return the verdict on a difference, whose columns begin with a prefix."""
    if claim[f"{prefix}low"] > 0:
        return FORMAL_VERDICT
    return FUNCTIONAL_VERDICT if claim[f"{prefix}high"] < 0 else NO_VERDICT


def format_difference(row, prefix=""):
    """Write a difference with its interval, whose columns begin with a prefix."""
    difference, low, high = (row[f"{prefix}{name}"] for name in ("difference", "low", "high"))
    return format_with_interval(difference, low, high, write=round_to(2))


def describe_fragility(variants):
    """Describe the benchmarks without which the claim is not made, the empty str without any.

    variants is the pandas.DataFrame of ``pipeline.transitions.claims.tabulate_claims``, or None.
    """
    if variants is None or variants.empty or not variants["unfavourable_low"].iloc[0] > 0:
        return ""
    rows = [row for row in variants.to_dict("records")[1:] if not row.get("unfavourable_low", np.nan) > 0]
    words = [
        f"{row['variant']} ({format_difference(row, 'unfavourable_')})"
        for row in rows
        if np.isfinite(row.get("unfavourable_difference", np.nan))
    ]
    return f"With another choice of benchmarks, the claim is not shown: {', '.join(words)}." if words else ""


def describe_specificity(specificity):
    """Describe whether left minus right is closer to each formal benchmark than the mean brain score is.

    specificity is the pandas.DataFrame of ``pipeline.transitions.claims.compare_targets``, or None. Returns a str,
    empty without a benchmark.
    """
    if specificity is None or specificity.empty:
        return ""
    groups: dict[str, list[str]] = {
        "Left minus right is closer than the mean brain score to": [],
        "The mean brain score is closer than left minus right to": [],
        "Left minus right is not shown to be closer than the mean brain score to": [],
        "It is not known whether left minus right or the mean brain score is closer to": [],
    }
    closer, farther, undecided, unknown = groups.values()
    for row in specificity.to_dict("records"):
        if not np.isfinite(row["difference"]):
            unknown.append(row["curve"])
            continue
        words = f"{row['curve']} (difference in alignment {format_difference(row)})"
        (closer if row["low"] > 0 else farther if row["high"] < 0 else undecided).append(words)
    return " ".join(f"{words} {', '.join(names)}." for words, names in groups.items() if names)
