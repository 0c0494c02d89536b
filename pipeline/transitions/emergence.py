"""Detect when a curve over training rises, with intervals."""

import numpy as np
from scipy.stats import false_discovery_control

from pipeline.statistics.intervals import compute_interval
from pipeline.transitions.flatness import LEVEL, compute_flat_p_value, simulate_flat_curves
from pipeline.transitions.plateaus import is_under_way, is_unfinished
from pipeline.transitions.sigmoids import fit_sigmoids, sample_sigmoids


def detect_emergence(x, of_runs, n_signs=500, seed=0):
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
    units = sample_sigmoids(x)[3][::10].astype(np.float32)  # every tenth will do to tell a transition from none

    def largest(sign):  # (n_known,)
        return np.abs(np.tensordot(sign, curves, axes=1).astype(np.float32) @ units.T).max(axis=1)

    found = largest(signs[0])
    n_as_large = sum(largest(sign) >= found * (1 - 1e-6) for sign in signs)
    x0 = np.full(len(known), np.nan)
    is_found = false_discovery_control(n_as_large / len(signs)) < LEVEL
    x0[known] = np.where(is_found, fit_sigmoids(x, curves.mean(axis=0))["x0"], np.nan)
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


def detect_transition(x, curve, resamples, null=None, bounds=None):
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
    p_flat = compute_flat_p_value(x, curve, null or simulate_flat_curves(x, resamples))
    found = {"is_flat": p_flat >= LEVEL, "p_flat": p_flat, "is_monotonic": is_monotonic(curve, resamples)}
    if found["is_flat"]:
        found["is_monotonic"] = np.nan
        names = ["x0", "x0_low", "x0_high", "beta", "beta_low", "beta_high"]
        found |= {"at_limit": False, "at_start": False}
        return found | dict.fromkeys(names, np.nan) | dict.fromkeys(["low", "high"], float(np.mean(curve)))
    best, again = fit_sigmoids(x, curve, bounds), fit_sigmoids(x, resamples, bounds)
    for name in ("x0", "beta"):
        low, high = compute_interval(best[name], again[name])
        found |= {name: float(best[name]), f"{name}_low": float(low), f"{name}_high": float(high)}
    midpoints, slopes = (np.append(best[name], again[name]) for name in ("x0", "beta"))
    found |= {"at_limit": is_unfinished(x, midpoints, slopes), "at_start": is_under_way(x, midpoints, slopes)}
    return found | {"low": float(best["low"]), "high": float(best["high"])}
