"""Detect when a curve over training rises, with intervals."""

import numpy as np
from scipy.stats import false_discovery_control

from pipeline.statistics.intervals import SIGNIFICANCE, make_columns
from pipeline.transitions.flatness import compute_constant_p_value, compute_flat_p_value, simulate_flat_curves
from pipeline.transitions.plateaus import is_under_way, is_unfinished
from pipeline.transitions.sigmoids import fit_sigmoids, sample_sigmoids


def detect_emergence(x, curves_by_run, n_signs=500, seed=0):
    """Detect where each of many curves rises or falls, for a map of the brain.

    Curves of voxels drift: their noise is correlated over checkpoints. So each curve is tested by flipping the signs of
    some runs. Sign flips do not change the distribution of a curve of noise. The best of all shapes is chosen for each
    flip. The false discovery rate is 5 % (Benjamini & Hochberg 1995).

    Parameters
    ----------
    x : array (n_checkpoints,), log10 of training tokens, increasing
    curves_by_run : array (n_runs, n_checkpoints, n_curves), the curves in each held-out run
    n_signs : int, the number of random sign flips, where more are possible. Otherwise all are used.
    seed : int

    Returns
    -------
    x0 : array (n_curves,), NaN where a curve is flat, or contains NaN
    """
    known = np.isfinite(curves_by_run).all(axis=(0, 1))
    curves = curves_by_run[:, :, known].transpose(0, 2, 1)  # (n_runs, n_known, n_checkpoints)
    n_runs = len(curves)
    if 2 ** (n_runs - 1) <= n_signs:  # all flips; flipping all runs changes nothing
        signs = 1 - 2 * (np.arange(2 ** (n_runs - 1))[:, None] >> np.arange(n_runs) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(n_signs, n_runs))
        signs[0] = 1
    units = sample_sigmoids(x)[3][::10].astype(np.float32)  # every tenth shape suffices for the test

    def compute_largest(sign):  # (n_known,)
        return np.abs(np.tensordot(sign, curves, axes=1).astype(np.float32) @ units.T).max(axis=1)

    measured = compute_largest(signs[0])
    n_as_large = sum(compute_largest(sign) >= measured * (1 - 1e-6) for sign in signs)
    x0 = np.full(len(known), np.nan)
    is_significant = false_discovery_control(n_as_large / len(signs)) < SIGNIFICANCE
    x0[known] = np.where(is_significant, fit_sigmoids(x, curves.mean(axis=0))["x0"], np.nan)
    return x0


def is_monotonic(curve, resamples, level=0.01):
    """Return whether a curve turns back no more than its noise explains, at a level of significance.

    The test compares the largest step against the curve's direction between any two checkpoints, in standard errors,
    with the largest such step in noise. curve is (n_checkpoints,), resamples is (n_resamples, n_checkpoints).
    """
    earlier, later = np.triu_indices(len(curve), k=1)
    direction = 1 if curve[-1] >= curve[0] else -1
    steps_back = direction * (resamples[:, earlier] - resamples[:, later])  # (n_resamples, n_pairs)
    error = steps_back.std(axis=0)
    error[error == 0] = np.inf
    largest = (direction * (curve[earlier] - curve[later]) / error).max()
    largest_in_noise = ((steps_back - steps_back.mean(axis=0)) / error).max(axis=1)
    return bool(np.mean(largest_in_noise >= largest) > level)


def detect_transition(x, curve, null=None, bounds=None):
    """Detect the transition of a curve, and describe it with intervals.

    Parameters
    ----------
    x : array (n_checkpoints,), log10 of training tokens, increasing
    curve : Curve with a value at all checkpoints
    null : pair of arrays that ``simulate_flat_curves`` returns, where it is known already
    bounds : (float, float) or None, of the plateaus, as for ``fit_sigmoids``. The test against a flat curve does not
        use them.

    Returns
    -------
    dict. is_flat is true where a constant explains the curve as well, and p_flat is the p-value. p_constant is the
        p-value with the noise of resampling only: it is small for a curve that rises and falls, too. x0 and beta have
        the 95 % intervals x0_low, x0_high, beta_low and beta_high. They and is_monotonic are NaN for a flat curve. low
        and high are the plateaus, or the mean of a flat curve. at_limit is true where the transition was not over at
        the last checkpoint: x0 is then a lower bound (see ``is_unfinished``). at_start is true where the transition had
        begun before the first checkpoint: x0 is then an upper bound (see ``is_under_way``).
    """
    values, resamples = curve
    null = null or simulate_flat_curves(x, resamples)
    p_flat, p_constant = compute_flat_p_value(x, values, null), compute_constant_p_value(x, values, null)
    if p_flat >= SIGNIFICANCE:
        names = ["is_monotonic", "x0", "x0_low", "x0_high", "beta", "beta_low", "beta_high"]
        plateaus = dict.fromkeys(["low", "high"], float(np.mean(values)))
        row = {"is_flat": True, "p_flat": p_flat, "p_constant": p_constant, "at_limit": False, "at_start": False}
        return row | dict.fromkeys(names, np.nan) | plateaus
    row = {
        "is_flat": False,
        "p_flat": p_flat,
        "p_constant": p_constant,
        "is_monotonic": is_monotonic(values, resamples),
    }
    fit, resampled_fits = fit_sigmoids(x, values, bounds), fit_sigmoids(x, resamples, bounds)
    for name in ("x0", "beta"):
        row |= make_columns(name, fit[name], resampled_fits[name])
    midpoints, slopes = (np.append(fit[name], resampled_fits[name]) for name in ("x0", "beta"))
    row |= {"at_limit": is_unfinished(x, midpoints, slopes), "at_start": is_under_way(x, midpoints, slopes)}
    return row | {"low": float(fit["low"]), "high": float(fit["high"])}
