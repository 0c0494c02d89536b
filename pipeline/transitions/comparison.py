"""Compare the transitions of curves: which curve rises first, and which curves rise together."""

import functools

import numpy as np
import pandas as pd

from pipeline.statistics.curve import Curve
from pipeline.statistics.holm import correct_holm
from pipeline.statistics.intervals import Bounds, make_columns
from pipeline.tasks.table import classify_benchmark
from pipeline.transitions.alignment import MEASURES, compute_measures
from pipeline.transitions.emergence import detect_transition
from pipeline.transitions.equivalence import NEGLIGIBLE_SHARE, compute_rise_bound, find_score_range
from pipeline.transitions.flatness import simulate_flat_curves
from pipeline.transitions.plateaus import find_possible_range
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS

COLUMNS = (
    "curve kind n_checkpoints is_flat p_flat p_holm p_constant rise_bound is_equivalent_to_flat is_monotonic "
    "x0 x0_low x0_high beta beta_low beta_high low high at_limit at_start "
    "alignment alignment_low alignment_high "
    "midpoint_difference midpoint_difference_low midpoint_difference_high lead lead_low lead_high"
).split()

# Left minus right with layers chosen on other runs, where runs are known; else at the published best layer.
TARGETS = ("left_minus_right_nested", "left_minus_right")
MEAN_SCORE = "mean"  # of both hemispheres
# Of the story under the model: the obvious rivals of grammar, which are not benchmarks either.
RIVALS = ("minus_surprisal", "unigram_agreement", "bigram_agreement")
# Curves of the brain are no benchmarks: they have rows in the table of transitions, and do not count in a claim.
BRAIN_CURVES = (
    *TARGETS,
    *("left_nested", "right_nested", "left", "right", MEAN_SCORE, "log_left_right", "relative_asymmetry"),
    *("ceiling_left_minus_right", "ceiling_hemisphere_left_minus_right"),
    *("matched_left_minus_right", "unique_left_minus_right"),
)


def select_brain_curves(sides):
    """Select the curves of the brain that take part in the comparison, and add their mean where it is missing.

    Parameters
    ----------
    sides : dict from name to Curve, as ``pipeline.brain.curves.compute_brain_curves`` returns it

    Returns
    -------
    dict from name to Curve: those of TARGETS, then left, right and their mean with layers chosen on other runs, where
        runs are known (left_nested, right_nested), else at the best layer (left, right)
    """
    suffix = "_nested" if "left_nested" in sides else ""
    hemispheres = {name: Curve(*sides[name]) for name in (f"left{suffix}", f"right{suffix}")}
    left, right = hemispheres.values()
    mean = Curve((left.values + right.values) / 2, (left.resamples + right.resamples) / 2)
    targets = {name: sides[name] for name in TARGETS if name in sides}
    return targets | hemispheres | {MEAN_SCORE: sides.get(MEAN_SCORE, mean)}


def compare_curves(tokens, curves, lang="en", target=None, unbounded=()):
    """Detect the transition of every curve, and compare it with the transition of the target.

    Parameters
    ----------
    tokens : array (n_checkpoints,), training tokens, increasing. Checkpoints of 0 tokens (untrained) and of NaN (see
        ``select_tokens_for_fits``) are omitted.
    curves : dict from name to Curve. A checkpoint is omitted where a value or a resample is NaN.
    lang : {"en", "fr"}, language of the story
    target : str, the curve that benchmarks are compared with, by default the first of TARGETS in curves. Every other
        curve of TARGETS has a row in the table, without a comparison.
    unbounded : collection of str, benchmarks whose plateaus may lie anywhere, like those of left minus right. The
        plateaus of a benchmark with scores between 0 and 1 also lie between 0 and 1 (see ``find_possible_range``).

    Returns
    -------
    table : pandas.DataFrame with a row per curve. What ``detect_transition`` returns, at the checkpoints of the curve.
        p_holm is p_flat corrected for the number of benchmarks (NaN for other curves).
        rise_bound is the largest rise or fall that the curve is compatible with (see ``compute_rise_bound``).
        is_equivalent_to_flat is whether no transition is detected and rise_bound is below a tenth of the range of
        scores; NaN where the range is not known. Then alignment, midpoint_difference (the target's x0 minus the
        curve's) and lead (by how many decades the curve rises first), at the checkpoints of both curves, each with its
        interval in columns that end in _low and _high. An unknown alignment is NaN, with the interval 0 to 1. All are
        NaN where there are fewer than 5 checkpoints.
    resampled_measures : dict from measure to dict from name to Bounds for alignment, else to array (n_resamples,)
    """
    tokens = np.asarray(tokens, dtype=float)
    x = np.log10(np.where(tokens > 0, tokens, np.nan))
    curves = {name: Curve(*curve) for name, curve in curves.items()}
    target = target or next(name for name in TARGETS if name in curves)
    curves = {target: curves[target]} | curves  # the target has the first row
    is_measured = {name: np.isfinite(np.vstack([x, *curve])).all(axis=0) for name, curve in curves.items()}

    @functools.cache
    def simulate_null(name, is_used):
        return simulate_flat_curves(x[list(is_used)], curves[name].resamples[:, list(is_used)])

    rows: dict[str, dict] = {}
    resampled_measures: dict[str, dict] = {measure: {} for measure in MEASURES}
    for name, curve in curves.items():
        used, shared = is_measured[name], is_measured[name] & is_measured[target]
        is_unbounded = name in BRAIN_CURVES or name in unbounded
        bounds = None if is_unbounded else find_possible_range(curve.values)
        score_range = find_score_range(name, curve.values, is_unbounded)
        rows[name] = {"kind": classify_benchmark(name, lang), "n_checkpoints": int(used.sum())}
        if used.sum() >= FEWEST_CHECKPOINTS:
            options = {"null": simulate_null(name, tuple(used)), "bounds": bounds, "score_range": score_range}
            rows[name] |= _describe_curve(x[used], curve.select(used), **options)
        if name in (target, *TARGETS) or shared.sum() < FEWEST_CHECKPOINTS:
            continue
        pair = curves[target].select(shared), curve.select(shared)
        nulls = simulate_null(target, tuple(shared)), simulate_null(name, tuple(shared))
        measures = compute_measures(x[shared], *pair, nulls=nulls, bounds=bounds, score_range=score_range)
        for measure, (value, resamples) in measures.items():
            rows[name] |= _make_measure_columns(measure, value, resamples)
            resampled_measures[measure][name] = resamples
    return _make_table(rows), resampled_measures


def _make_table(rows):
    """Return the table of ``compare_curves``; rows is a dict from curve to dict."""
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("curve").reset_index().reindex(columns=COLUMNS)
    table["p_holm"] = correct_holm(table["p_flat"].where(~table["curve"].isin(BRAIN_CURVES)))
    limits = ["at_limit", "at_start"]
    table[limits] = table[limits].eq(True)  # False where a curve is not fitted
    return table


def _describe_curve(x, curve, *, null, bounds, score_range):
    """Return the columns of a curve that do not depend on the target, a dict."""
    row = detect_transition(x, curve, null=null, bounds=bounds)
    rise_bound = compute_rise_bound(x, curve)
    is_small = np.nan if score_range is None else row["is_flat"] and rise_bound < NEGLIGIBLE_SHARE * score_range
    return row | {"rise_bound": rise_bound, "is_equivalent_to_flat": is_small}


def _make_measure_columns(measure, value, resamples):
    """Return a measure and its interval: name, name_low, name_high; the interval of an unknown alignment is 0 to 1."""
    if not isinstance(resamples, Bounds):
        return make_columns(measure, value, resamples)
    low, high = resamples.compute_interval(value) if np.isfinite(value) else (0.0, 1.0)
    return {measure: value, f"{measure}_low": low, f"{measure}_high": high}
