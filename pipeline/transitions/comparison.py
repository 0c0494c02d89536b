"""Compare the transitions of two curves: which rises first, and which rise together."""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from pipeline.statistics.intervals import compute_interval
from pipeline.tasks.table import classify_benchmark
from pipeline.transitions.emergence import detect_transition
from pipeline.transitions.flatness import (
    LEVEL,
    N_NOISES,
    are_flat,
    compute_flat_p_value,
    compute_shuffled_p_value,
    fit_unit_shape,
    simulate_flat_curves,
)
from pipeline.transitions.plateaus import find_possible_range
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS, find_most_similar, fit_sigmoids, sample_sigmoids

MEASURES = ("alignment", "scaled_distance", "midpoint_difference", "lead")
COLUMNS = [
    *["kind", "n_checkpoints", "is_flat", "p_flat", "is_monotonic", "x0", "x0_low", "x0_high"],
    *["beta", "beta_low", "beta_high", "low", "high", "at_limit", "at_start"],
    *[name for measure in MEASURES for name in (measure, f"{measure}_low", f"{measure}_high")],
    "p_shuffled",
]

# Left minus right with layers chosen on other runs, where runs are known; else at the published best layer.
TARGETS = ("left_minus_right_nested", "left_minus_right")


def compute_alignment(x, curve, resamples, other, other_resamples, nulls, bounds=None):
    """How much of one curve the transition of another one explains: 0 not at all, 1 all of it.

    The squared correlation of the curve with the sigmoid that is fitted to the other one, corrected
    for the noise of both: for what the curve's noise adds and takes, and for how well that sigmoid,
    had it been measured with the other curve's noise, would explain itself. 0 where they go in opposite
    directions.

    A flat curve has no transition, and so explains nothing, and has nothing to be explained, however
    its noise may look: that is what a correlation of the two curves cannot promise. Each resampled
    curve is asked anew whether it is flat, so that the interval of a curve that is flat for want of
    data is wide.

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
    curve, other : arrays of shape (n_checkpoints,)
    resamples, other_resamples : arrays of shape (n_resamples, n_checkpoints)
        Drawn jointly where the curves are made of the same things.
    nulls : pair of what ``null_distributions`` returns, of curve and other
    bounds : (float, float), optional
        Of the other curve's plateaus, as for ``fit``.

    Returns
    -------
    value : float
    of_resamples : array of shape (n_resamples,)
    """
    noise = np.cov(resamples - resamples.mean(axis=1, keepdims=True), rowvar=False)
    shape = fit_sigmoids(x, other, bounds)["fitted"]
    other_noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(x)), np.cov(other_resamples, rowvar=False), N_NOISES, method="eigh"
    )

    def explained(curves, others, n_noises):
        curves = curves - curves.mean(axis=-1, keepdims=True)
        units = fit_unit_shape(x, others, bounds)
        part = np.maximum(0, (curves * units).sum(axis=-1)) ** 2 - n_noises * ((units @ noise) * units).sum(axis=-1)
        again = fit_unit_shape(x, shape + np.sqrt(n_noises) * other_noise, bounds)
        ceiling = np.mean(np.maximum(0, again @ fit_unit_shape(x, shape, bounds)) ** 2)
        whole = ceiling * ((curves**2).sum(axis=-1) - n_noises * np.trace(noise))
        return np.clip(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), 0, 1)

    p_values = [compute_flat_p_value(x, one, null) for one, null in zip((curve, other), nulls, strict=True)]
    value = 0.0 if max(p_values) >= LEVEL else float(explained(curve, other, 1))
    # A resampled curve has the noise of what was measured, and that of drawing it again.
    again = explained(resamples, other_resamples, 2)
    again[are_flat(x, resamples, nulls[0]) | are_flat(x, other_resamples, nulls[1])] = 0
    return value, again


def compute_scaled_distance(x, curve, other, bounds=None):
    """Root mean square distance of two curves, each scaled from its own first plateau (0) to its last (1).

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
    curve, other : arrays of shape (..., n_checkpoints)
    bounds : (float, float), optional
        Of the curve's plateaus, as for ``fit``.

    Returns
    -------
    array of shape (...)
        NaN where the plateaus of a curve are equal.
    """

    def scaled(curves, bounds=None):
        plateaus = fit_sigmoids(x, curves, bounds)
        low, high = plateaus["low"][..., None], plateaus["high"][..., None]
        return np.divide(curves - low, high - low, out=np.full(curves.shape, np.nan), where=high != low)

    return np.sqrt(np.mean((scaled(np.asarray(curve), bounds) - scaled(np.asarray(other))) ** 2, axis=-1))


def compute_lead(x, curve, other, bounds=None):
    """By how many decades of tokens one curve moves before another: the shift that aligns them best.

    The sigmoid of the curve is moved along the other one, up to where it leaves the checkpoints.

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
    curve, other : arrays of shape (..., n_checkpoints)
    bounds : (float, float), optional
        Of the curve's plateaus, as for ``fit``.

    Returns
    -------
    array of shape (...)
        Above 0 where the curve moves before the other.

    Raises
    ------
    InputError
        As for ``shapes``.
    """
    x0, beta, _, units = sample_sigmoids(x)
    found = fit_sigmoids(x, curve, bounds)
    allowed = beta == np.reshape(found["beta"], (-1, 1))  # (n_curves, n_shapes)
    return x0[find_most_similar(np.asarray(other), units, allowed)[0]] - found["x0"]


def compare_curves(tokens, curves, lang="en", target=None, unbounded=()):
    """The transition of every curve, and how it goes with that of one of them.

    The plateaus of a benchmark whose scores are shares or probabilities lie between 0 and 1 (see
    ``plateaus.possible_range``); those of left minus right may lie anywhere.

    Parameters
    ----------
    tokens : array of shape (n_checkpoints,)
        Training tokens, increasing; an untrained checkpoint (0) has no place on a logarithmic axis,
        and is left out. So is one of NaN (see ``checkpoints.tokens_for_fits``).
    curves : dict from name to (curve, resamples)
        Of shapes (n_checkpoints,) and (n_resamples, n_checkpoints); NaN where a checkpoint has no value,
        or might have none had it been measured again.
    lang : {"en", "fr"}
        Of the story.
    target : str, optional
        The curve that the others are compared with: the first of TARGETS that is there, unless it is given.
        Another one of TARGETS has a row in the table, without a comparison.
    unbounded : collection of str
        Other curves whose plateaus may lie anywhere, though their scores lie between 0 and 1.

    Returns
    -------
    table : pandas.DataFrame with a row per curve
        What ``transition`` says of it, at the checkpoints that it has a value at; then, at those that the
        target has a value at too, alignment, scaled_distance (of the other curve and the target),
        midpoint_difference (the target's x0 minus the other's) and lead (how many decades the other one
        moves first), each with its interval in columns that end in _low and _high; and p_shuffled, which
        says whether the two correlate more than with their steps in another order, corrected for the
        number of curves (Benjamini & Hochberg 1995). NaN where there are fewer than 5 checkpoints.
    again : dict from measure to dict from name to array of shape (n_resamples,)
        The measures of the resampled curves.
    """
    tokens = np.asarray(tokens, dtype=float)
    x = np.log10(np.where(tokens > 0, tokens, np.nan))
    target = target or next(name for name in TARGETS if name in curves)
    bounds = {
        name: None if name in (*TARGETS, *unbounded) else find_possible_range(curve)
        for name, (curve, _) in curves.items()
    }
    measured = {
        name: np.isfinite(np.vstack([x, curve, resamples])).all(axis=0) for name, (curve, resamples) in curves.items()
    }
    rows, nulls = {}, {}
    again: dict[str, dict[str, np.ndarray]] = {measure: {} for measure in MEASURES}

    def null(name, at):  # found by simulation, so once for each curve and set of checkpoints
        key = name, at.tobytes()
        if key not in nulls:
            nulls[key] = simulate_flat_curves(x[at], curves[name][1][:, at])
        return nulls[key]

    for name in [target, *(name for name in curves if name != target)]:
        (curve, resamples), there = curves[name], measured[name]
        rows[name] = {"kind": classify_benchmark(name, lang), "n_checkpoints": int(there.sum())}
        if there.sum() >= FEWEST_CHECKPOINTS:
            rows[name] |= detect_transition(
                x[there], curve[there], resamples[:, there], null(name, there), bounds[name]
            )
        both = there & measured[target]
        if name in (target, *TARGETS) or both.sum() < FEWEST_CHECKPOINTS:
            continue
        one, one_again, other, other_again = (values[..., both] for values in (*curves[target], *curves[name]))
        nulls_of_both = null(target, both), null(name, both)
        of_both = compute_measures(x[both], one, one_again, other, other_again, nulls_of_both, bounds[name])
        for measure, (value, of_resamples) in of_both.items():
            low, high = compute_interval(value, of_resamples)
            rows[name] |= {measure: float(value), f"{measure}_low": float(low), f"{measure}_high": float(high)}
            again[measure][name] = of_resamples
        rows[name]["p_shuffled"] = compute_shuffled_p_value(one, other)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("curve").reset_index()
    table = table.reindex(columns=["curve", *COLUMNS])
    for column in ("at_limit", "at_start"):  # not fitted: neither
        table[column] = table[column].eq(True)
    table["p_shuffled"] = table["p_shuffled"].astype(float)
    if (known := table["p_shuffled"].notna()).any():
        table.loc[known, "p_shuffled"] = false_discovery_control(table.loc[known, "p_shuffled"])
    return table, again


def compute_measures(x, curve, resamples, other, other_resamples, nulls, bounds=None):
    """All measures of how another curve goes with one.

    Parameters
    ----------
    x, curve, resamples, other, other_resamples, nulls, bounds
        As for ``alignment``.

    Returns
    -------
    dict from measure (of MEASURES) to (value, of_resamples)
        A float and an array of shape (n_resamples,). Where either curve is flat, alignment alone.
    """
    found = {"alignment": compute_alignment(x, curve, resamples, other, other_resamples, nulls, bounds)}
    if not any(compute_flat_p_value(x, *one) >= LEVEL for one in zip((curve, other), nulls, strict=True)):
        for measure, function in [
            ("scaled_distance", compute_scaled_distance),
            ("midpoint_difference", _midpoint_difference),
            ("lead", compute_lead),
        ]:
            found[measure] = function(x, other, curve, bounds), function(x, other_resamples, resamples, bounds)
    return found


def _midpoint_difference(x, curve, other, bounds):
    """By how many decades the other curve's midpoint comes later."""
    return fit_sigmoids(x, other)["x0"] - fit_sigmoids(x, curve, bounds)["x0"]


def compare_kinds(table, alignments):
    """The paper's claim as one number: is the asymmetry closer to formal than to functional competence?

    The mean alignment of the benchmarks of either kind that are there, their difference, and its
    95 % interval.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``compare`` returns it.
    alignments : dict from name to array of shape (n_resamples,)
        ``again["alignment"]`` of ``compare``.

    Returns
    -------
    dict with formal, functional, difference, low, high, and formal_benchmarks and functional_benchmarks,
    which name what they are means of; None where a kind has no benchmark
    """
    known = table[table["curve"].isin(alignments)]
    found: dict = {}
    of_resamples = {}
    for of_kind in ("formal", "functional"):
        rows = known[known["kind"] == of_kind]
        if rows.empty:
            return None
        found[of_kind] = float(rows["alignment"].mean())
        found[f"{of_kind}_benchmarks"] = " ".join(rows["curve"])
        of_resamples[of_kind] = np.mean([alignments[name] for name in rows["curve"]], axis=0)
    difference = found["formal"] - found["functional"]
    low, high = compute_interval(difference, of_resamples["formal"] - of_resamples["functional"])
    return found | {"difference": difference, "low": float(low), "high": float(high)}
