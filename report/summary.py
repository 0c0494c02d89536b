"""The result in words, with the numbers in it: a paragraph that can be pasted and corrected."""

import numpy as np

from pipeline.brain.region_differences import pick_difference_column
from pipeline.statistics.checkpoints import find_last_to_report, has_own_weights
from pipeline.statistics.intervals import (
    SIGNIFICANCE,
    count_decimals,
    describe_tokens,
    format_with_interval,
    turn_sign,
)
from pipeline.transitions.comparison import TARGETS
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS
from pipeline.words.languages import LANGUAGES


def describe_results(name, lang, points, table, claim, regions, missing=(), not_alike=()):
    """Say what was found.

    Parameters
    ----------
    name, lang : str
    points : pandas.DataFrame
        As ``transitions.points`` returns it, with the curves of ``brain_curves.brain_curves``.
    table : pandas.DataFrame
        As ``transitions.compare`` returns it.
    claim : dict or None
        As ``transitions.formal_minus_functional`` returns it.
    regions : pandas.DataFrame
        As ``regions.region_curves`` returns it.
    missing : list of str
        What is not there, in words.
    not_alike : list of str
        In what checkpoints were not treated alike, in words.

    Returns
    -------
    str
    """
    rows = table.set_index("curve").to_dict("index")
    target = next(curve for curve in TARGETS if curve in rows)
    benchmarks = {curve: row for curve, row in rows.items() if curve not in TARGETS}
    has_interval = points["low"][points["curve"] == target].notna().any()
    sentences = [
        _at_the_end(name, lang, points),
        _at_the_start(points, target),
        _asymmetry(rows[target], has_interval),
        *_benchmarks(benchmarks, rows[target]),
        _claim(claim, benchmarks),
        _regions(regions),
        _same_weights(points[points["curve"] == target]),
        f"Missing: {'; '.join(missing)}." if missing else "",
        f"Checkpoints are not alike: {'; '.join(not_alike)}." if not_alike else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def explain_too_few_checkpoints(n_trained):
    """Say that a study has too few checkpoints for fits over training.

    Parameters
    ----------
    n_trained : int

    Returns
    -------
    str
    """
    return (
        f"{_counted(n_trained, 'trained checkpoint')} {'is' if n_trained == 1 else 'are'} too few for transitions, "
        f"alignment and emergence, which take {FEWEST_CHECKPOINTS} or more"
    )


def _counted(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _at_the_end(name, lang, points):
    last_tokens = find_last_to_report(points)
    last = points[points["tokens"] == last_tokens].set_index("curve")
    n_checkpoints = points[points["curve"] == "left"]["tokens"].nunique()
    verb = "was" if n_checkpoints == 1 else "were"
    words = (
        f"{_counted(n_checkpoints, 'checkpoint')} of {name} {verb} compared with the average listener to the story in "
        f"{LANGUAGES[lang].name}. After {describe_tokens(last_tokens)} "
        "training tokens, the left hemisphere was predicted with a mean correlation of "
    )
    published = _sides(last, "")
    if "left_minus_right_nested" not in last.index:
        return (
            f"{words}{published}. These are means over each voxel's best layer on the scored runs, which flatters "
            "them: only averages over runs are known, so that layers cannot be chosen on other runs."
        )
    return (
        f"{words}{_sides(last, '_nested')}, with layers chosen on other runs. At each voxel's best layer on the scored "
        f"runs, as published, which flatters both hemispheres more, the left was predicted with {published}."
    )


def _sides(rows, suffix):
    left, right, difference = (rows.loc[f"{side}{suffix}"] for side in ("left", "right", "left_minus_right"))
    write = count_decimals(3)
    return (
        f"{write(left['value'])} and the right with {write(right['value'])}, a difference of "
        f"{format_with_interval(difference['value'], difference['low'], difference['high'])}"
    )


def _at_the_start(points, target):
    rows = points[points["curve"] == target]
    rows = rows[has_own_weights(rows)].sort_values("tokens")
    if len(rows) < 2 or not (rows["low"].iloc[0] > 0 or rows["high"].iloc[0] < 0):
        return ""
    first = format_with_interval(*rows[["value", "low", "high"]].iloc[0])
    return f"At the first checkpoint left minus right was already {first}."


def _asymmetry(row, has_interval):
    if not has_interval:
        return "Since no left-out runs are known, nothing can be said of when the difference arises, and how surely."
    if row["n_checkpoints"] < FEWEST_CHECKPOINTS:
        return "At fewer than five trained checkpoints, nothing can be said of when the difference arises."
    if row["is_flat"]:
        return (
            "Over training, no transition of left minus right can be shown: a constant may describe it as well "
            f"(p = {row['p_flat']:.2f})."
        )
    back = "" if row["is_monotonic"] else ", and turns back on its way"
    p = f"p {'≤' if row['p_flat'] < 0.001 else '='} {row['p_flat']:.4f} against a flat curve"
    verb = "rises" if row["high"] > row["low"] else "falls"
    if row["at_limit"] or row["at_start"]:
        return f"Left minus right {verb} ({p}){back}; it {_open_ended(row)}."
    x0, low, high = (10 ** row[column] for column in ("x0", "x0_low", "x0_high"))
    midpoint = format_with_interval(x0, low, high, describe_tokens, unit=" training tokens")
    return f"Left minus right {verb} with a midpoint at {midpoint}, {p}{back}."


def _open_ended(row):
    """Say within what limits a midpoint lies that has not been seen."""
    if row["at_limit"] and row["at_start"]:
        return "had begun before the first checkpoint, and had not reached its plateau by the last one"
    if row["at_limit"]:
        least = describe_tokens(10 ** row["x0_low"])
        return f"had not reached its plateau by the last checkpoint: its midpoint is at least {least} tokens"
    most = describe_tokens(10 ** row["x0_high"])
    return f"had begun before the first checkpoint: its midpoint is at most {most} tokens"


def _benchmarks(rows, target):
    aligned = {name: row for name, row in rows.items() if row["is_flat"] is False and np.isfinite(row["alignment"])}
    if aligned:
        ranked = sorted(aligned.items(), key=lambda item: -item[1]["alignment"])
        alignments = [f"{_brief(row, 'alignment')} with {name}" for name, row in ranked]
        yield f"Its alignment is {', '.join(alignments)}."
    flat = [name for name, row in rows.items() if row["is_flat"] is True]
    if flat:
        yield f"No transition can be shown in {' and '.join(flat)}."
    for name, row in rows.items():
        if row["at_limit"] or row["at_start"]:
            yield f"In {name}, the transition {_open_ended(row)}."
    first, last, together, unknown = _order(aligned, target)
    for words, names in [("before the asymmetry", first), ("after it", last)]:
        if names:
            yield f"What moves {words}, in factors of ten of tokens: {', '.join(names)}."
    if together:
        yield f"Neither before nor after it, as far as can be told: {', '.join(together)}."
    if unknown:
        yield f"Which comes first cannot be told, since plateaus have not been seen: {', '.join(unknown)}."


def _order(rows, target):
    """Sort benchmarks by whether they move before the asymmetry, after it, neither, or nobody knows.

    A midpoint that is a bound bounds the lead, too: one end of its interval is then all that counts.
    """
    first, last, together, unknown = [], [], [], []
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["lead"] if np.isfinite(item[1]["lead"]) else 0):
        lead, low, high = row["lead"], row["lead_low"], row["lead_high"]
        if not np.isfinite([lead, low, high]).all():
            continue
        can_be_more = target["at_limit"] or row["at_start"]
        can_be_less = target["at_start"] or row["at_limit"]
        if low > 0 and not can_be_less:
            first.append(f"{name} by {_lead((lead, low, high), can_be_more)}")
        elif high < 0 and not can_be_more:
            last.append(f"{name} by {_lead(turn_sign(lead, low, high), can_be_less)}")
        elif can_be_more or can_be_less:
            unknown.append(name)
        else:
            together.append(name)
    return first, last, together, unknown


def _lead(lead, is_least):
    """Write a lead above 0; of one that is a lower bound, only the lower end of its interval counts."""
    lead, low, high = lead
    write = count_decimals(2)
    return f"at least {write(low)}" if is_least else format_with_interval(lead, low, high, write, name="")


def _claim(claim, benchmarks):
    if claim is None:
        return (
            "Formal and functional competence cannot be compared: that takes at least one benchmark of either kind, "
            "with intervals, at five trained checkpoints or more."
        )
    verdict = "the asymmetry goes with formal competence rather than with functional competence"
    if claim["high"] < 0:
        verdict = "the asymmetry goes with functional competence rather than with formal competence"
    elif claim["low"] <= 0:
        verdict = "these checkpoints cannot tell which of the two the asymmetry goes with"
    formal, functional = (claim[f"{of_kind}_benchmarks"].split() for of_kind in ("formal", "functional"))
    write = count_decimals(2)
    words = (
        f"Mean alignment is {write(claim['formal'])} with benchmarks of formal competence ({', '.join(formal)}) and "
        f"{write(claim['functional'])} with those of functional competence ({', '.join(functional)}), a difference of "
        f"{format_with_interval(claim['difference'], claim['low'], claim['high'], write)}: {verdict}."
    )
    if all(benchmarks[name]["is_flat"] is True for name in functional):
        words += " Those of functional competence are all flat: no transition could be shown; one may be there."
    return words


def _regions(regions):
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
        f"Of {_counted(len(tested), 'region')} (of language, and the cerebellum) at the last checkpoint, {words} "
        "(p < 0.05, corrected for their number by Holm's method)."
    )


def _same_weights(rows):
    shared = rows[~has_own_weights(rows)]
    if shared.empty:
        return ""
    pairs = [f"{row['revision']} has the same weights as {row['same_weights_as']}" for row in shared.to_dict("records")]
    return f"Left out of every fit over training, since nobody knows how long they were trained: {', '.join(pairs)}."


def _brief(row, measure):
    return format_with_interval(row[measure], row[f"{measure}_low"], row[f"{measure}_high"], count_decimals(2), name="")
