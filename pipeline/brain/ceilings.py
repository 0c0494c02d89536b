"""Estimate how well the responses of one subject can be predicted from other subjects: ceilings of brain scores.

Such a ceiling is relative to a prediction by other noisy subjects. It is not an upper bound: models can exceed it.
The number of predicting subjects limits it, so that it is also extrapolated to infinitely many subjects, by

    v(k) = v0 (1 - exp(-k / tau)), 0 <= v0 <= 1,

where k counts the predicted subject, as in the published code. With few subjects, v0 often ends at its bound of 1.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import curve_fit

from pipeline.errors import InputError
from pipeline.statistics.intervals import PERCENTILES

TAUS = np.logspace(-1.5, 3, 181)  # the first grid of tau, refined afterwards
N_REFINEMENTS = 3
ROWS_AT_ONCE = 8192  # whose curves take some 20 MB
AT_BOUND = 1 - 1e-4  # v0 from which on the extrapolation has ended at its bound


class Ceilings(NamedTuple):
    """Hold the ceilings of neuroids, float arrays (n_neuroids,).

    ``at_n`` is the mean correlation with all other subjects as predictors, ``at_n_low`` and ``at_n_high`` its 95 %
    interval over folds. ``extrapolated``, ``tau``, ``low`` and ``high`` are medians and percentiles of v0 over
    bootstrap resamples of pools and folds; NaN where a fit failed. ``at_bound`` is the share of resamples with v0 at 1.
    """

    at_n: np.ndarray
    at_n_low: np.ndarray
    at_n_high: np.ndarray
    extrapolated: np.ndarray
    tau: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_bound: np.ndarray


def list_pools(subjects, subject, n_pools=None, seed=0):
    """List pools of other subjects, which are to predict a subject.

    Parameters
    ----------
    subjects : list of str, all subjects
    subject : str, the predicted one
    n_pools : int, optional, the most pools of a size. They are drawn without replacement. By default, all.
    seed : int

    Returns
    -------
    dict from the number of subjects k, the predicted one included (2 ... n_subjects), to a list of tuple of str
    """
    others = sorted(set(subjects) - {subject})
    if not others:
        raise InputError(f"subjects: expected 2 or more, got {len(set(subjects))}. A ceiling needs other subjects.")
    rng, pools = np.random.default_rng([seed, sorted(set(subjects)).index(subject)]), {}
    for size in range(1, len(others) + 1):
        n_all = math.comb(len(others), size)
        combinations = list(itertools.combinations(others, size))
        if n_pools is not None and n_all > n_pools:
            combinations = [combinations[number] for number in np.sort(rng.permutation(n_all)[:n_pools])]
        pools[size + 1] = combinations
    return pools


def compute_ceilings(values_by_size, n_resamples=100, seed=0, as_published=False):
    """Compute the ceilings of the neuroids of one subject.

    Parameters
    ----------
    values_by_size : dict from k to float array (n_pools, n_folds, n_neuroids)
        Correlations of the neuroids with their prediction from k - 1 other subjects.
    n_resamples, seed : int
    as_published : bool, fit by SciPy's curve_fit with the random numbers of brainscore-language. It may end at a local
        minimum, and takes some milliseconds for each resample and neuroid.

    Returns
    -------
    Ceilings
    """
    sizes = np.array(sorted(values_by_size), dtype=float)
    flat = [np.reshape(values_by_size[int(size)], (-1, values_by_size[int(size)].shape[-1])) for size in sizes]
    choose = np.random.RandomState(0).randint if as_published else np.random.default_rng(seed).integers
    means = np.empty((n_resamples, len(sizes), flat[0].shape[1]))
    for resample in range(n_resamples):
        for number, values in enumerate(flat):
            means[resample, number] = values[choose(0, len(values), len(values))].mean(axis=0)
    fit = _fit_by_curve_fit if as_published else fit_saturation
    v0, tau = fit(sizes, np.moveaxis(means, 1, -1))  # (n_resamples, n_neuroids)
    low, high = np.percentile(v0, PERCENTILES, axis=0)
    by_fold = values_by_size[int(sizes[-1])].mean(axis=0)  # (n_folds, n_neuroids)
    drawn = np.random.default_rng(seed).integers(0, len(by_fold), (1000, len(by_fold)))
    counts = np.stack([np.bincount(row, minlength=len(by_fold)) for row in drawn]) / len(by_fold)
    at_n_low, at_n_high = np.percentile(counts @ by_fold, PERCENTILES, axis=0)
    at_bound = np.where(np.isfinite(v0), v0 >= AT_BOUND, np.nan).mean(axis=0)
    return Ceilings(
        by_fold.mean(axis=0), at_n_low, at_n_high, np.median(v0, axis=0), np.median(tau, axis=0), low, high, at_bound
    )


def fit_saturation(sizes, means):
    """Fit v(k) = v0 (1 - exp(-k / tau)), tau > 0, to means (..., n_sizes) by least squares.

    For each tau, the best v0 within its bounds has a closed form. tau is searched on a grid, and then on finer grids
    around the best.

    Returns
    -------
    v0, tau : float array (...), NaN where a mean is not finite
    """
    means = np.asarray(means, dtype=np.float64)
    flat = means.reshape(-1, means.shape[-1])
    v0, tau = np.full((2, len(flat)), np.nan)
    known = np.flatnonzero(np.isfinite(flat).all(axis=1))
    for first in range(0, len(known), ROWS_AT_ONCE):
        rows = known[first : first + ROWS_AT_ONCE]
        v0[rows], tau[rows] = _search_tau(sizes, flat[rows])
    return v0.reshape(means.shape[:-1]), tau.reshape(means.shape[:-1])


def _search_tau(sizes, means):
    """Return v0 and tau of each row of finite means (n_rows, n_sizes)."""
    log_tau, step = np.log(TAUS)[None], np.log(TAUS[1] / TAUS[0])  # one grid for all rows, then a grid for each row
    for _ in range(N_REFINEMENTS + 1):
        curves = 1 - np.exp(-sizes / np.exp(log_tau)[..., None])  # (1 or n_rows, n_taus, n_sizes)
        products, squares = np.matmul(curves, means[..., None])[..., 0], np.einsum("rts,rts->rt", curves, curves)
        v0 = np.clip(products / squares, 0, 1)
        best = (v0 * (v0 * squares - 2 * products)).argmin(axis=1)[:, None]  # squared error without a constant
        chosen = np.take_along_axis(np.broadcast_to(log_tau, v0.shape), best, axis=1)
        v0 = np.take_along_axis(v0, best, axis=1)[:, 0]
        log_tau = chosen + step * np.linspace(-1, 1, 21)
        step /= 10
    return v0, np.exp(chosen[:, 0])


def _fit_by_curve_fit(sizes, means):
    """Fit as brainscore-language does: SciPy's curve_fit, tau of either sign; NaN where it fails."""

    def saturate(k, v0, tau):
        return v0 * (1 - np.exp(-k / tau))

    flat, fitted = means.reshape(-1, means.shape[-1]), np.full((math.prod(means.shape[:-1]), 2), np.nan)
    for row, values in enumerate(flat):
        is_known = np.isfinite(values)
        if not is_known.any():
            continue
        try:
            with np.errstate(all="ignore"):
                bounds = ([0, -np.inf], [1, np.inf])
                fitted[row], _ = curve_fit(saturate, sizes[is_known], values[is_known], bounds=bounds)
        except (RuntimeError, ValueError):
            continue
    return tuple(fitted[:, column].reshape(means.shape[:-1]) for column in range(2))
