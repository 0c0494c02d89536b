"""Test the controls of left minus right, and describe whether a difference in reliability explains the asymmetry."""

import numpy as np
import pandas as pd

from pipeline.brain.controls import RELIABILITY_CONTROLS, has_interval
from pipeline.statistics.checkpoints import find_last_to_report, has_own_weights, select_tokens_for_fits
from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval, format_with_interval, round_to
from pipeline.transitions.comparison import TARGETS
from pipeline.transitions.emergence import detect_transition
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS

COLUMNS = "curve revision tokens value low high n_checkpoints p_flat is_flat rises has_same_direction".split()
# Controls that use the ISC, with more power than log(left/right), as far as the ISC measures reliability.
WITH_ISC = ("ceiling_left_minus_right", "ceiling_hemisphere_left_minus_right", "matched_left_minus_right")
NOT_ASYMMETRIES = ("mean", "surprisal")
TITLES = {
    "log_left_right": "log(left/right)",
    "relative_asymmetry": "(left − right)/(left + right)",
    "ceiling_left_minus_right": "left − right of voxels divided by their noise ceilings",
    "ceiling_hemisphere_left_minus_right": "left − right of hemispheres divided by their noise ceilings",
    "matched_left_minus_right": "left − right of mirror pairs matched in ISC",
}


def tabulate_controls(checkpoints, sides, controls):
    """Test whether left minus right, and each of its controls, has a transition over training.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns revision and tokens, and same_weights_as where it is known
    sides : dict, as ``pipeline.brain.curves.compute_brain_curves`` returns it
    controls : dict from name to Curve, as ``pipeline.brain.controls.compute_control_curves`` returns it, with further
        curves where they are known

    Returns
    -------
    pandas.DataFrame with a row for left minus right (first), and for each control. curve; revision, tokens, value, low
        and high at the last checkpoint with weights of its own. n_checkpoints in the fit, p_flat against a flat curve,
        is_flat, and rises (whether the transition goes up; None for a flat curve): NaN or None with fewer than 5
        checkpoints. has_same_direction: whether the control has a transition in the direction of left minus right. None
        where either is not fitted, left minus right is flat, or the curve is not an asymmetry (NOT_ASYMMETRIES).
    """
    target = next(name for name in TARGETS if name in sides)
    tokens = select_tokens_for_fits(checkpoints)
    is_last = (checkpoints["tokens"].to_numpy() == find_last_to_report(checkpoints)) & has_own_weights(checkpoints)
    last = int(np.flatnonzero(is_last)[-1]) if is_last.any() else len(checkpoints) - 1
    rows = []
    for name, curve in ({target: sides[target]} | controls).items():
        low, high = compute_interval(*curve)
        row = {"curve": name, **checkpoints[["revision", "tokens"]].iloc[last]}
        row |= {"value": curve.values[last], "low": low[last], "high": high[last]}
        rows.append(row | _test_transition(tokens, curve))
    for row in rows:
        is_known = rows[0]["is_flat"] is False and row["is_flat"] is not None and row["curve"] not in NOT_ASYMMETRIES
        row["has_same_direction"] = row["rises"] == rows[0]["rises"] if is_known else None
    return pd.DataFrame(rows, columns=COLUMNS)


def _test_transition(tokens, curve):
    """Return n_checkpoints, p_flat, is_flat and rises of a curve.

    A checkpoint counts where it has an interval. Resamples without a value at such a checkpoint do not count: log(left
    / right) may lack a few.
    """
    is_used = (tokens > 0) & has_interval(curve)  # False for NaN
    used = curve.select(is_used)
    used = Curve(used.values, used.resamples[np.isfinite(used.resamples).all(axis=1)])
    row = {"n_checkpoints": int(is_used.sum()), "p_flat": np.nan, "is_flat": None, "rises": None}
    if is_used.sum() < FEWEST_CHECKPOINTS or len(used.resamples) < 2:
        return row
    transition = detect_transition(np.log10(tokens[is_used]), used)
    row |= {"p_flat": transition["p_flat"], "is_flat": transition["is_flat"]}
    return row if row["is_flat"] else row | {"rises": bool(transition["high"] > transition["low"])}


def judge_reliability(table):
    """Judge whether left minus right is more than a difference in reliability explains.

    Only log(left/right) decides for "more": a difference in reliability alone does not move it, and it needs no
    estimate of reliability. Every control can decide against it, by a transition in the opposite direction.

    Parameters
    ----------
    table : pandas.DataFrame, as ``tabulate_controls`` returns it

    Returns
    -------
    str. "unknown": left minus right, or log(left/right), is not fitted. "flat": left minus right has no transition.
        "reliability": log(left/right) has no transition. "disagree": a control has a transition in the opposite
        direction. "more": log(left/right) has a transition in the direction of that of left minus right, and no control
        has one in the opposite direction.
    """
    rows = _list_rows(table)
    difference, ratio = rows[0], next((row for row in rows if row["curve"] == "log_left_right"), None)
    if difference["is_flat"] is True:
        return "flat"
    if difference["is_flat"] is None or ratio is None or ratio["is_flat"] is None:
        return "unknown"
    if any(_is_opposite(row) for row in rows):
        return "disagree"
    return "reliability" if ratio["is_flat"] else "more"


def _list_rows(table):
    """Return left minus right and the controls of reliability, as dicts, in which None stands for what is not known."""
    names = [table["curve"].iloc[0], *RELIABILITY_CONTROLS]
    rows = table[table["curve"].isin(names)].to_dict("records")
    for row in rows:
        for key in ("is_flat", "rises", "has_same_direction"):
            row[key] = None if pd.isna(row[key]) else bool(row[key])
    return rows


def _is_opposite(row):
    """Return whether a control has a transition in the direction opposite to that of left minus right."""
    return row["has_same_direction"] is False and row["is_flat"] is False


def describe_reliability(table):
    """Describe whether left minus right is more than a difference in reliability explains, for the summary.

    Parameters
    ----------
    table : pandas.DataFrame, as ``tabulate_controls`` returns it

    Returns
    -------
    str, one sentence with the verdict of ``judge_reliability``, then sentences on the other controls. Where
        log(left/right) has no transition, but a control with the ISC has, reliability "may explain" the asymmetry:
        log(left/right) has less power (see docs/methods.md).
    """
    verdict, rows = judge_reliability(table), _list_rows(table)
    difference, controls = rows[0], {row["curve"]: row for row in rows[1:]}
    if verdict == "flat":
        moving = [TITLES[name] for name, row in controls.items() if row["is_flat"] is False]
        words = "Left minus right shows no transition that a difference in reliability would have to explain"
        words = f"{words}, though {_join(moving)} {_agree(moving, 'does', 'do')} show one." if moving else f"{words}."
        return words + _describe_constant_difference(difference, controls.get("log_left_right"))
    if verdict == "unknown":
        lacking = "left minus right" if difference["is_flat"] is None else "log(left/right)"
        return (
            "Whether left minus right is more than a difference in reliability between hemispheres is not known: "
            f"{lacking} has intervals at fewer than {FEWEST_CHECKPOINTS} trained checkpoints."
        )
    verb = "rises" if difference["rises"] else "falls"
    ratio, side = controls["log_left_right"], "left" if difference["rises"] else "right"
    last = format_with_interval(ratio["value"], ratio["low"], ratio["high"], write=round_to(3))
    if verdict == "reliability":
        claim = f"More reliable responses on the {side} explain the transition of left minus right as well"
        if any(row["has_same_direction"] for name, row in controls.items() if name in WITH_ISC):
            claim = f"More reliable responses on the {side} may explain the transition of left minus right"
        words = (
            f"{claim}: log(left/right), which they alone do not move, shows no transition ({_format_p(ratio)}; {last} "
            "at the last checkpoint)."
        )
    elif verdict == "disagree":
        opposite = [TITLES[row["curve"]] for row in rows if _is_opposite(row)]
        words = (
            f"A difference in reliability is not excluded as the cause of the asymmetry: left minus right {verb}, but "
            f"{_join(opposite)} {_agree(opposite, 'goes', 'go')} in the opposite direction."
        )
    else:
        words = (
            f"The asymmetry is more than a difference in reliability explains: log(left/right), which such a "
            f"difference alone does not move, also {verb} ({_format_p(ratio)}; {last} at the last checkpoint)."
        )
    return f"{words}{_describe_others(controls, verdict)}"


def _describe_constant_difference(difference, ratio):
    """Describe a left minus right that is not 0 at the last checkpoint, though it shows no transition."""
    if ratio is None or not (difference["low"] > 0 or difference["high"] < 0):
        return ""
    last = format_with_interval(ratio["value"], ratio["low"], ratio["high"], write=round_to(3))
    return (
        " It is not 0 at the last checkpoint, which a difference in reliability alone can cause: log(left/right) is "
        f"{last} there, and shows {'no' if ratio['is_flat'] else 'a'} transition ({_format_p(ratio)})."
    )


def _describe_others(controls, verdict):
    """Describe which of the controls after log(left/right) have a transition, and which have not."""
    rest = {name: row for name, row in controls.items() if name != "log_left_right" and not _is_opposite(row)}
    if verdict == "disagree":
        rest = {name: row for name, row in controls.items() if not _is_opposite(row)}
    sentences = []
    also = [TITLES[name] for name, row in rest.items() if row["has_same_direction"]]
    flat = [f"{TITLES[name]} ({_format_p(row)})" for name, row in rest.items() if row["is_flat"]]
    unknown = [TITLES[name] for name, row in rest.items() if row["is_flat"] is None]
    if also:
        sentences.append(f"The same direction is shown by {_join(also)}.")
    if flat:
        sentences.append(f"No transition is shown by {_join(flat)}.")
    if unknown:
        sentences.append(f"Not known: {_join(unknown)}.")
    return "".join(f" {sentence}" for sentence in sentences)


def _format_p(row):
    """Write the p-value of a row."""
    p = row["p_flat"]
    return f"p {'≤' if p < 0.001 else '='} {p:.4f}" if p < 0.01 else f"p = {p:.2f}"


def _join(names):
    """Join names with commas and a last "and"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _agree(names, singular, plural):
    """Return the verb that agrees with the number of names."""
    return singular if len(names) == 1 else plural
