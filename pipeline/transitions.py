"""When a curve over training rises, how surely, and which curves rise together.

A curve has a value for each checkpoint. Whatever is said of it here comes with what it would be
had its parts been drawn again: other runs and blocks of voxels, other sentence pairs, other texts
(``resamples`` of shape (n_resamples, n_checkpoints), drawn jointly for all curves of a study, so that
differences between curves have honest intervals too). Ten points alone say next to nothing: two
curves of pure noise over ten checkpoints easily correlate by .5.

A transition is low + (high - low) / (1 + exp(-beta (log10 tokens - x0))): x0 is where it happens,
beta how sharply. For a given x0 and beta that is a straight line in one known shape, so that all
shapes on a fine grid can be tried at once, for thousands of curves, and none is missed by a start
in the wrong place.
"""

import functools

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import false_discovery_control

from pipeline import BadInput
from pipeline.intervals import interval
from pipeline.plateaus import X0_STEP, closest_within, is_under_way, is_unfinished, possible_range

N_BETAS = 40
N_NULL_CURVES = 2000
N_NOISES = 500
FEWEST_CHECKPOINTS = 5
MEASURES = ("alignment", "scaled_distance", "midpoint_difference", "lead")
COLUMNS = [
    *["kind", "n_checkpoints", "is_flat", "p_flat", "is_monotonic", "x0", "x0_low", "x0_high"],
    *["beta", "beta_low", "beta_high", "low", "high", "at_limit", "at_start"],
    *[name for measure in MEASURES for name in (measure, f"{measure}_low", f"{measure}_high")],
    "p_shuffled",
]

# What the benchmarks of the paper measure: formal competence is to know the language, functional
# competence is to do something with it. Listeners to a story in one language are compared with what
# the model can do in that language.
FORMAL = {"en": ("blimp", "zorro", "acceptability"), "fr": ("french_bench_grammar",)}
FUNCTIONAL = {
    "en": ("arithmetic", "dyck", "arc_easy", "arc_challenge", "hellaswag"),
    "fr": ("arithmetic", "dyck", "french_bench_arc_challenge", "french_bench_hellaswag"),
}

LEVEL = 0.05  # of the test against a flat curve
# Left minus right with layers chosen on other runs, where runs are known; else at the published best layer.
TARGETS = ("left_minus_right_nested", "left_minus_right")


def resampled_means(values, groups, n_resamples=1000, seed=0):
    """The curve of a benchmark, had its items been drawn again, with replacement, within each group.

    The same items are drawn at every checkpoint, so that differences along the curve have honest
    intervals. Where items are right or wrong, half an item that is always right and half an item that
    is always wrong can be drawn in each group too (Jeffreys' prior): otherwise a model that has all
    items right would be sure to have all others right.

    Parameters
    ----------
    values : array of shape (n_checkpoints, n_items)
        Whether a pair is right, how acceptable a text is; NaN does not count.
    groups : array of shape (n_items,)
        The paradigm of each pair, the prompt of each text. Every group counts alike.
    n_resamples, seed : int

    Returns
    -------
    curve : array of shape (n_checkpoints,)
    resamples : array of shape (n_resamples, n_checkpoints)
        NaN where all items of a group are.
    """
    rng, groups = np.random.default_rng(seed), np.asarray(groups)
    curves, resamples = [], []
    for group in dict.fromkeys(groups):
        of_group = np.asarray(values, dtype=float)[:, groups == group]  # (n_checkpoints, n_items)
        known = np.isfinite(of_group)
        n_items, chances = of_group.shape[1], np.ones(of_group.shape[1])
        if np.isin(of_group[known], (0, 1)).all():
            is_measured = known.any(axis=1, keepdims=True)
            never, always = np.where(is_measured, 0.0, np.nan), np.where(is_measured, 1.0, np.nan)
            of_group, chances = np.hstack([of_group, never, always]), np.append(chances, [0.5, 0.5])
            known = np.isfinite(of_group)
        counts = rng.multinomial(n_items, chances / chances.sum(), size=n_resamples)  # (n_resamples, n_items)
        counts = np.vstack([np.arange(of_group.shape[1]) < n_items, counts]).astype(float)  # first, every item once
        sums, numbers = counts @ np.where(known, of_group, 0.0).T, counts @ known.T
        means = np.divide(sums, numbers, out=np.full(sums.shape, np.nan), where=numbers > 0)
        curves.append(means[0])
        resamples.append(means[1:])
    return np.mean(curves, axis=0), np.mean(resamples, axis=0)


def shapes(x):
    """The sigmoids that are tried for checkpoints at given places.

    A shape must rise by at least half of its height between the first and the last checkpoint:
    plateaus that are further away than that have not been seen. Its steep part (from a tenth to
    nine tenths of the rise) is between half the median distance of checkpoints, below which nobody
    can see a difference, and twice their range.

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
        log10 of training tokens, increasing.

    Returns
    -------
    x0, beta : arrays of shape (n_shapes,)
    values : array of shape (n_shapes, n_checkpoints)
        From 0 to 1.
    units : array of shape (n_shapes, n_checkpoints)
        The same, with mean 0 and sum of squares 1.

    Raises
    ------
    BadInput
        There are fewer than five checkpoints, or x does not increase or is not finite.
    """
    x = np.asarray(x, dtype=float)
    if len(x) < FEWEST_CHECKPOINTS or not (np.diff(x) > 0).all() or not np.isfinite(x).all():
        raise BadInput(f"a transition needs at least 5 trained checkpoints of increasing tokens; here are {len(x)}")
    steep = 2 * np.log(9)  # beta x width from a tenth to nine tenths
    betas = np.geomspace(steep / (2 * (x[-1] - x[0])), steep / (np.median(np.diff(x)) / 2), N_BETAS)
    x0, beta = map(np.ravel, np.meshgrid(np.arange(x[0], x[-1] + X0_STEP / 2, X0_STEP), betas, indexing="ij"))
    values = expit(beta[:, None] * (x - x0[:, None]))
    seen = values[:, -1] - values[:, 0] >= 0.5
    x0, beta, values = x0[seen], beta[seen], values[seen]
    centred = values - values.mean(axis=1, keepdims=True)
    return x0, beta, values, centred / np.linalg.norm(centred, axis=1, keepdims=True)


def fit(x, curves, bounds=None):
    """The sigmoid that is closest to each curve, by least squares, rising or falling.

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
        log10 of training tokens, increasing.
    curves : array of shape (..., n_checkpoints)
    bounds : (float, float), optional
        Range within which both plateaus must lie, as (0, 1) for shares and probabilities.

    Returns
    -------
    dict of arrays of shape (...): x0, beta, low, high, and fitted of shape (..., n_checkpoints)
        low is the plateau before the transition and high the one after it, even where the curve falls.

    Raises
    ------
    BadInput
        As for ``shapes``.
    """
    x0, beta, all_values, units = shapes(x)
    curves = np.asarray(curves, dtype=float)
    best, _ = _most_alike(curves, units)
    values = all_values[best]  # (..., n_checkpoints)
    means = curves.mean(axis=-1, keepdims=True), values.mean(axis=-1, keepdims=True)
    centred = values - means[1]
    slope = ((curves - means[0]) * centred).sum(axis=-1) / (centred**2).sum(axis=-1)
    low = means[0][..., 0] - slope * means[1][..., 0]
    high = low + slope
    if bounds is not None:
        # A sigmoid that is closest of all and within bounds is closest of those within bounds.
        is_beyond = (np.minimum(low, high) < bounds[0]) | (np.maximum(low, high) > bounds[1])
        if is_beyond.any():
            best, low, high = np.array(best), np.array(low), np.array(high)
            within = _closest_within(tuple(x), curves[is_beyond].tobytes(), tuple(bounds))
            best[is_beyond], low[is_beyond], high[is_beyond] = within
            values = all_values[best]
    return {
        "x0": x0[best],
        "beta": beta[best],
        "low": low,
        "high": high,
        "fitted": low[..., None] + (high - low)[..., None] * values,
    }


@functools.lru_cache(maxsize=8)
def _closest_within(x, curves, bounds):
    """Find the shapes closest to curves, given as bytes: each measure of a benchmark fits the same resamples."""
    curves = np.frombuffer(curves).reshape(-1, len(x))
    return closest_within(curves, shapes(np.array(x))[2], bounds)


def _most_alike(curves, units, allowed=None):
    """The shape that each curve is most like, rising or falling, and how much so.

    Parameters
    ----------
    curves : array of shape (..., n_checkpoints)
    units : array of shape (n_shapes, n_checkpoints)
        With mean 0 and sum of squares 1.
    allowed : bool array of shape (..., n_shapes), optional
        Leaves only some shapes to each curve.

    Returns
    -------
    best : int array of shape (...)
    likeness : array of shape (...)
        Its square is what that shape explains of the curve's sum of squares.
    """
    flat, units = curves.reshape(-1, curves.shape[-1]), units.astype(np.float32)
    flat = (flat - flat.mean(axis=1, keepdims=True)).astype(np.float32)
    best, likeness = np.empty(len(flat), dtype=int), np.empty(len(flat))
    for first in range(0, len(flat), 16):  # so many at once stay in the processor's cache
        chunk = slice(first, first + 16)
        of_shapes = np.abs(flat[chunk] @ units.T)  # (16, n_shapes)
        if allowed is not None:
            of_shapes[~allowed[chunk]] = -1
        best[chunk], likeness[chunk] = of_shapes.argmax(axis=1), of_shapes.max(axis=1)
    return best.reshape(curves.shape[:-1]), likeness.reshape(curves.shape[:-1])


def null_distributions(x, resamples, seed=0):
    """How much like a transition flat curves look.

    Two kinds of flat curves are asked: those with the noise that is known from resampling, and those
    with noise of unknown size, in case checkpoints differ by more than resampling can show. That is
    found by simulation, which takes into account that the best of many shapes is chosen.

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
    resamples : array of shape (n_resamples, n_checkpoints)

    Returns
    -------
    explained : array of shape (n_curves,)
        Sums of squares that the best sigmoid explains of curves with known noise.
    ratios : array of shape (n_curves,)
        Of curves with unknown noise, what it explains over what it leaves.
    """
    noise = np.cov(resamples, rowvar=False)
    rng = np.random.default_rng(seed)
    known = rng.multivariate_normal(np.zeros(len(noise)), noise, N_NULL_CURVES, method="eigh")
    return _explained_and_left(x, known)[0], _ratios_of_unknown_noise(tuple(x), seed)


@functools.lru_cache
def _ratios_of_unknown_noise(x, seed):
    """Ratios of ``null_distributions``, which depend on nothing but the checkpoints, given as a tuple."""
    noise = np.random.default_rng([seed, 1]).standard_normal((N_NULL_CURVES, len(x)))
    explained, left = _explained_and_left(np.array(x), noise)
    return explained / left


def flat_p_value(x, curve, null):
    """How likely a flat curve would look as much like a transition as this one does.

    The larger of two p-values, so that a transition is one that neither kind of noise explains.

    Parameters
    ----------
    x, curve : arrays of shape (n_checkpoints,)
    null : as ``null_distributions`` returns it

    Returns
    -------
    float
    """
    explained, left = _explained_and_left(x, np.asarray(curve, dtype=float))
    n_known, n_unknown = np.sum(null[0] >= explained), np.sum(null[1] * left >= explained)
    return float((1 + max(n_known, n_unknown)) / (1 + N_NULL_CURVES))


def _are_flat(x, resamples, null):
    """Which resampled curves would be called flat: they have the noise of the curve, and that of drawing again."""
    explained, left = _explained_and_left(x, resamples)
    limits = [np.quantile(values, 1 - LEVEL) for values in null]
    return (explained < 2 * limits[0]) | (explained < limits[1] * left)


def _explained_and_left(x, curves):
    """Sums of squares, about its mean, that the best sigmoid explains of each curve, and leaves."""
    _, _, _, units = shapes(x)
    centred = curves - curves.mean(axis=-1, keepdims=True)
    explained = _most_alike(curves, units)[1] ** 2
    return explained, np.maximum((centred**2).sum(axis=-1) - explained, 0)


def emergence(x, of_runs, n_signs=500, seed=0):
    """Where each of many curves rises or falls, for a map of the brain.

    Curves of voxels drift: their noise is the same at all checkpoints, and what the model holds
    changes little from one to the next. So each is compared with itself after the curves of some
    runs have been turned upside down, which makes no difference to a curve of noise; the best of all
    shapes is chosen anew each time.

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
        log10 of training tokens, increasing.
    of_runs : array of shape (n_runs, n_checkpoints, n_curves)
        The curves in each left-out run.
    n_signs : int
        How many ways of turning runs are tried, where there are more than that.
    seed : int

    Returns
    -------
    x0 : array of shape (n_curves,)
        NaN where a curve is flat: of those that are not, at most about 5 % are flat in truth (false
        discovery rate, Benjamini & Hochberg 1995). NaN for a curve that has NaN.
    """
    known = np.isfinite(of_runs).all(axis=(0, 1))
    curves = of_runs[:, :, known].transpose(0, 2, 1)  # (n_runs, n_known, n_checkpoints)
    n_runs = len(curves)
    if 2 ** (n_runs - 1) <= n_signs:  # all ways; to turn all runs is to turn none
        signs = 1 - 2 * (np.arange(2 ** (n_runs - 1))[:, None] >> np.arange(n_runs) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(n_signs, n_runs))
        signs[0] = 1
    units = shapes(x)[3][::10].astype(np.float32)  # every tenth will do to tell a transition from none

    def largest(sign):  # (n_known,)
        return np.abs(np.tensordot(sign, curves, axes=1).astype(np.float32) @ units.T).max(axis=1)

    found = largest(signs[0])
    n_as_large = sum(largest(sign) >= found * (1 - 1e-6) for sign in signs)
    x0 = np.full(len(known), np.nan)
    is_found = false_discovery_control(n_as_large / len(signs)) < LEVEL
    x0[known] = np.where(is_found, fit(x, curves.mean(axis=0))["x0"], np.nan)
    return x0


def is_monotonic(curve, resamples, level=0.01):
    """Whether a curve turns back no more than its noise may make it do.

    Compared is the largest step against the curve's direction between any two checkpoints, in
    standard errors, with the largest one that noise alone makes anywhere.

    Parameters
    ----------
    curve : array of shape (n_checkpoints,)
    resamples : array of shape (n_resamples, n_checkpoints)

    Returns
    -------
    bool
    """
    earlier, later = np.triu_indices(len(curve), k=1)
    direction = 1 if curve[-1] >= curve[0] else -1
    steps = direction * (resamples[:, earlier] - resamples[:, later])  # (n_resamples, n_pairs), against it if above 0
    error = steps.std(axis=0)
    error[error == 0] = np.inf
    against = (direction * (curve[earlier] - curve[later]) / error).max()
    by_noise = ((steps - steps.mean(axis=0)) / error).max(axis=1)
    return bool(np.mean(by_noise >= against) > level)


def transition(x, curve, resamples, null=None, bounds=None):
    """Everything about the transition of one curve.

    Parameters
    ----------
    x : array of shape (n_checkpoints,)
        log10 of training tokens, increasing.
    curve : array of shape (n_checkpoints,)
    resamples : array of shape (n_resamples, n_checkpoints)
    null : what ``null_distributions`` returns, if that is known already
    bounds : (float, float), optional
        Of the plateaus, as for ``fit``. The test against a flat curve does without.

    Returns
    -------
    dict
        is_flat (a constant explains the curve as well), p_flat, is_monotonic (NaN for a flat one); x0,
        beta, low, high, and for x0 and beta a 95 % interval, x0_low, x0_high, beta_low, beta_high. A flat
        curve has NaN for all of these but low and high, which are its mean.
        at_limit: the transition was not over at the last checkpoint, so that x0 is a lower bound (see
        ``plateaus.is_unfinished``). at_start: it had begun before the first one, so that x0 is an upper
        bound (see ``plateaus.is_under_way``). Both are False for a flat curve.
    """
    p_flat = flat_p_value(x, curve, null or null_distributions(x, resamples))
    found = {"is_flat": p_flat >= LEVEL, "p_flat": p_flat, "is_monotonic": is_monotonic(curve, resamples)}
    if found["is_flat"]:
        found["is_monotonic"] = np.nan
        names = ["x0", "x0_low", "x0_high", "beta", "beta_low", "beta_high"]
        found |= {"at_limit": False, "at_start": False}
        return found | dict.fromkeys(names, np.nan) | dict.fromkeys(["low", "high"], float(np.mean(curve)))
    best, again = fit(x, curve, bounds), fit(x, resamples, bounds)
    for name in ("x0", "beta"):
        low, high = interval(best[name], again[name])
        found |= {name: float(best[name]), f"{name}_low": float(low), f"{name}_high": float(high)}
    midpoints, slopes = (np.append(best[name], again[name]) for name in ("x0", "beta"))
    found |= {"at_limit": is_unfinished(x, midpoints, slopes), "at_start": is_under_way(x, midpoints, slopes)}
    return found | {"low": float(best["low"]), "high": float(best["high"])}


def alignment(x, curve, resamples, other, other_resamples, nulls, bounds=None):
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
    shape = fit(x, other, bounds)["fitted"]
    other_noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(x)), np.cov(other_resamples, rowvar=False), N_NOISES, method="eigh"
    )

    def explained(curves, others, n_noises):
        curves = curves - curves.mean(axis=-1, keepdims=True)
        units = _unit_shape(x, others, bounds)
        part = np.maximum(0, (curves * units).sum(axis=-1)) ** 2 - n_noises * ((units @ noise) * units).sum(axis=-1)
        again = _unit_shape(x, shape + np.sqrt(n_noises) * other_noise, bounds)
        ceiling = np.mean(np.maximum(0, again @ _unit_shape(x, shape, bounds)) ** 2)
        whole = ceiling * ((curves**2).sum(axis=-1) - n_noises * np.trace(noise))
        return np.clip(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), 0, 1)

    p_values = [flat_p_value(x, one, null) for one, null in zip((curve, other), nulls, strict=True)]
    value = 0.0 if max(p_values) >= LEVEL else float(explained(curve, other, 1))
    # A resampled curve has the noise of what was measured, and that of drawing it again.
    again = explained(resamples, other_resamples, 2)
    again[_are_flat(x, resamples, nulls[0]) | _are_flat(x, other_resamples, nulls[1])] = 0
    return value, again


def _unit_shape(x, curves, bounds=None):
    """The fitted sigmoid of each curve, with mean 0 and sum of squares 1; 0 where the curve does not vary."""
    shape = fit(x, curves, bounds)["fitted"]
    shape = shape - shape.mean(axis=-1, keepdims=True)
    size = np.linalg.norm(shape, axis=-1, keepdims=True)
    return np.divide(shape, size, out=np.zeros_like(shape), where=size > 0)


def scaled_distance(x, curve, other, bounds=None):
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
        plateaus = fit(x, curves, bounds)
        low, high = plateaus["low"][..., None], plateaus["high"][..., None]
        return np.divide(curves - low, high - low, out=np.full(curves.shape, np.nan), where=high != low)

    return np.sqrt(np.mean((scaled(np.asarray(curve), bounds) - scaled(np.asarray(other))) ** 2, axis=-1))


def lead(x, curve, other, bounds=None):
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
    BadInput
        As for ``shapes``.
    """
    x0, beta, _, units = shapes(x)
    found = fit(x, curve, bounds)
    allowed = beta == np.reshape(found["beta"], (-1, 1))  # (n_curves, n_shapes)
    return x0[_most_alike(np.asarray(other), units, allowed)[0]] - found["x0"]


def shuffled_steps_p_value(curve, other, n_shuffles=2000, seed=0):
    """Whether two curves correlate more than they would if the steps of one came in another order.

    Its steps from each checkpoint to the next are put in random order, which keeps where the curve
    begins and ends and how large its steps are.

    Parameters
    ----------
    curve, other : arrays of shape (n_checkpoints,)

    Returns
    -------
    float
    """
    rng = np.random.default_rng(seed)
    steps = rng.permuted(np.tile(np.diff(other), (n_shuffles, 1)), axis=1)
    shuffled = np.concatenate([np.zeros((n_shuffles, 1)), np.cumsum(steps, axis=1)], axis=1)
    found = _correlation(curve, other)
    return float((1 + np.sum(_correlation(curve, shuffled) >= found - 1e-12)) / (1 + n_shuffles))


def kind(curve, lang):
    """What kind of competence in a language a benchmark measures: formal, functional, or other."""
    return "formal" if curve in FORMAL[lang] else "functional" if curve in FUNCTIONAL[lang] else "other"


def compare(tokens, curves, lang="en", target=None, unbounded=()):
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
        name: None if name in (*TARGETS, *unbounded) else possible_range(curve) for name, (curve, _) in curves.items()
    }
    measured = {
        name: np.isfinite(np.vstack([x, curve, resamples])).all(axis=0) for name, (curve, resamples) in curves.items()
    }
    rows, nulls = {}, {}
    again: dict[str, dict[str, np.ndarray]] = {measure: {} for measure in MEASURES}

    def null(name, at):  # found by simulation, so once for each curve and set of checkpoints
        key = name, at.tobytes()
        if key not in nulls:
            nulls[key] = null_distributions(x[at], curves[name][1][:, at])
        return nulls[key]

    for name in [target, *(name for name in curves if name != target)]:
        (curve, resamples), there = curves[name], measured[name]
        rows[name] = {"kind": kind(name, lang), "n_checkpoints": int(there.sum())}
        if there.sum() >= FEWEST_CHECKPOINTS:
            rows[name] |= transition(x[there], curve[there], resamples[:, there], null(name, there), bounds[name])
        both = there & measured[target]
        if name in (target, *TARGETS) or both.sum() < FEWEST_CHECKPOINTS:
            continue
        one, one_again, other, other_again = (values[..., both] for values in (*curves[target], *curves[name]))
        nulls_of_both = null(target, both), null(name, both)
        of_both = measures(x[both], one, one_again, other, other_again, nulls_of_both, bounds[name])
        for measure, (value, of_resamples) in of_both.items():
            low, high = interval(value, of_resamples)
            rows[name] |= {measure: float(value), f"{measure}_low": float(low), f"{measure}_high": float(high)}
            again[measure][name] = of_resamples
        rows[name]["p_shuffled"] = shuffled_steps_p_value(one, other)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("curve").reset_index()
    table = table.reindex(columns=["curve", *COLUMNS])
    for column in ("at_limit", "at_start"):  # not fitted: neither
        table[column] = table[column].eq(True)
    table["p_shuffled"] = table["p_shuffled"].astype(float)
    if (known := table["p_shuffled"].notna()).any():
        table.loc[known, "p_shuffled"] = false_discovery_control(table.loc[known, "p_shuffled"])
    return table, again


def measures(x, curve, resamples, other, other_resamples, nulls, bounds=None):
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
    found = {"alignment": alignment(x, curve, resamples, other, other_resamples, nulls, bounds)}
    if not any(flat_p_value(x, *one) >= LEVEL for one in zip((curve, other), nulls, strict=True)):
        for measure, function in [
            ("scaled_distance", scaled_distance),
            ("midpoint_difference", _midpoint_difference),
            ("lead", lead),
        ]:
            found[measure] = function(x, other, curve, bounds), function(x, other_resamples, resamples, bounds)
    return found


def _midpoint_difference(x, curve, other, bounds):
    """By how many decades the other curve's midpoint comes later."""
    return fit(x, other)["x0"] - fit(x, curve, bounds)["x0"]


def formal_minus_functional(table, alignments):
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
    low, high = interval(difference, of_resamples["formal"] - of_resamples["functional"])
    return found | {"difference": difference, "low": float(low), "high": float(high)}


def points(checkpoints, curves, table):
    """Every point of every curve with its 95 % interval, and scaled between the plateaus of its curve.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens.
    curves : dict from name to (curve, resamples)
        As for ``compare``.
    table : pandas.DataFrame
        As ``compare`` returns it. Of a curve that is flat, or not in the table, the scaled value is
        NaN; but of a flat benchmark, 0 is its mean, and 1 a perfect score.

    Returns
    -------
    pandas.DataFrame with columns curve, revision, tokens, value, low, high, scaled, scaled_low, scaled_high,
    and same_weights_as where the checkpoints have it
        A row per curve and checkpoint.
    """
    rows, of_curve = [], table.set_index("curve").to_dict("index")
    columns = [column for column in ("revision", "tokens", "same_weights_as") if column in checkpoints]
    for name, (curve, resamples) in curves.items():
        low, high = interval(curve, resamples)
        of_points = checkpoints[columns].reset_index(drop=True)
        of_points = of_points.assign(curve=name, value=curve, low=low, high=high)
        plateaus = of_curve.get(name, {})
        first, last = plateaus.get("low", np.nan), plateaus.get("high", np.nan)
        if plateaus.get("is_flat") is True:
            is_benchmark = not name.startswith("left_minus_right")
            last = 1.0 if is_benchmark and first < 1 - 1e-9 else np.nan  # where all is right there is no room
        for column in ("value", "low", "high"):
            scaled = "scaled" if column == "value" else f"scaled_{column}"
            of_points[scaled] = (of_points[column] - first) / (last - first)
        rows.append(of_points)
    together = pd.concat(rows, ignore_index=True)
    last = [column for column in ("same_weights_as",) if column in together]
    return together[["curve", *(column for column in together if column not in ("curve", *last)), *last]]


def _correlation(one, other):
    """Pearson's r along the last axis; 0 where either does not vary."""
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    one, other = one - one.mean(axis=-1, keepdims=True), other - other.mean(axis=-1, keepdims=True)
    size = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.divide((one * other).sum(axis=-1), size, out=np.zeros_like(size), where=size > 0)
