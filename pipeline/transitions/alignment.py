"""Measure how the transition of a benchmark goes with the transition of a target, such as left minus right."""

import numpy as np

from pipeline.statistics.intervals import SIGNIFICANCE, Bounds
from pipeline.transitions.equivalence import NEGLIGIBLE_SHARE, compute_rise_bound
from pipeline.transitions.flatness import are_flat, compute_flat_p_value
from pipeline.transitions.sigmoids import find_most_similar, fit_sigmoids, sample_sigmoids

N_NOISES = 500
MEASURES = ("alignment", "midpoint_difference", "lead")


def compute_alignment(x, target, benchmark, *, nulls, bounds=None, score_range=None):
    """Compute how much of the target the transition of a benchmark explains: 0 for nothing, 1 for all of it.

    This is the squared correlation of the target with the sigmoid that is fitted to the benchmark, corrected for
    the noise of both. It is divided by how well the sigmoid would explain itself with the benchmark's noise. It
    is 0 where the curves go in opposite directions.

    Where no transition is detected in a curve, its shape is not known. So the alignment is unknown: between 0 and 1.
    This holds for the curves and for each pair of resampled curves. There is one exception: a benchmark that is shown
    to rise by less than NEGLIGIBLE_SHARE of its range counts as not aligned. Its alignment is 0, and at most the share
    of its range by which it may rise.

    Parameters
    ----------
    x : array (n_checkpoints,), log10 of training tokens, increasing
    target, benchmark : Curve, resampled jointly where they are computed from the same data
    nulls : pair of what ``simulate_flat_curves`` returns, for the target and for the benchmark
    bounds : (float, float) or None, of the benchmark's plateaus, as for ``fit_sigmoids``
    score_range : float or None, of the benchmark's scores, as ``find_score_range`` returns it

    Returns
    -------
    value : float, NaN where it is unknown
    resamples : Bounds of arrays (n_resamples,)
    """
    n_resamples = len(target.resamples)
    unknown = np.nan, Bounds(np.zeros(n_resamples), np.ones(n_resamples))
    if is_flat(x, target, nulls[0]):
        return unknown
    if is_flat(x, benchmark, nulls[1]):
        share = compute_rise_bound(x, benchmark) / score_range if score_range else np.inf
        if share >= NEGLIGIBLE_SHARE:
            return unknown
        return 0.0, Bounds(np.zeros(n_resamples), np.full(n_resamples, share))
    value, resamples = _compute_explained_shares(x, target, benchmark, bounds)
    if np.isnan(value):
        return unknown
    is_unknown = are_flat(x, target.resamples, nulls[0]) | are_flat(x, benchmark.resamples, nulls[1])
    is_unknown |= np.isnan(resamples)
    return value, Bounds(np.where(is_unknown, 0.0, resamples), np.where(is_unknown, 1.0, resamples))


def _compute_explained_shares(x, target, benchmark, bounds):
    """Return the alignment of two curves with a transition, a float, and of their resamples, an array (n_resamples,).

    It is NaN where the target varies by no more than its noise.
    """
    noise = np.cov(target.resamples - target.resamples.mean(axis=1, keepdims=True), rowvar=False)
    shape = fit_sigmoids(x, benchmark.values, bounds)["fitted"]
    benchmark_noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(x)), np.cov(benchmark.resamples, rowvar=False), N_NOISES, method="eigh"
    )

    def compute_explained(targets, benchmarks, n_noises):
        targets = targets - targets.mean(axis=-1, keepdims=True)
        units = fit_unit_shape(x, benchmarks, bounds)
        part = np.maximum(0, (targets * units).sum(axis=-1)) ** 2 - n_noises * ((units @ noise) * units).sum(axis=-1)
        noisy_units = fit_unit_shape(x, shape + np.sqrt(n_noises) * benchmark_noise, bounds)
        ceiling = np.mean(np.maximum(0, noisy_units @ fit_unit_shape(x, shape, bounds)) ** 2)
        whole = ceiling * ((targets**2).sum(axis=-1) - n_noises * np.trace(noise))
        return np.clip(np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0), 0, 1)

    value = float(compute_explained(target.values, benchmark.values, 1))
    # A resampled curve has the noise of the measurement and the noise of resampling.
    return value, compute_explained(target.resamples, benchmark.resamples, 2)


def is_flat(x, curve, null):
    """Return whether no transition is detected in a curve."""
    return compute_flat_p_value(x, curve.values, null) >= SIGNIFICANCE


def fit_unit_shape(x, curves, bounds=None):
    """Fit a sigmoid to each curve, and scale it to mean 0 and sum of squares 1; 0 where the curve does not vary."""
    shape = fit_sigmoids(x, curves, bounds)["fitted"]
    shape = shape - shape.mean(axis=-1, keepdims=True)
    size = np.linalg.norm(shape, axis=-1, keepdims=True)
    return np.divide(shape, size, out=np.zeros_like(shape), where=size > 0)


def compute_lead(x, curve, reference, bounds=None):
    """Compute by how many decades of tokens a curve rises before another curve, the reference; above 0 if it does.

    The sigmoid of the curve is shifted along x to where it is most similar to the reference, within the range of the
    checkpoints. x is (n_checkpoints,), curve and reference are (..., n_checkpoints), the result is (...). ``bounds``
    are of the curve's plateaus, as for ``fit_sigmoids``.
    """
    x0, beta, _, units = sample_sigmoids(x)
    fit = fit_sigmoids(x, curve, bounds)
    is_as_steep = beta == np.reshape(fit["beta"], (-1, 1))  # (n_curves, n_shapes)
    return x0[find_most_similar(np.asarray(reference), units, is_as_steep)[0]] - fit["x0"]


def compute_midpoint_difference(x, curve, reference, bounds=None):
    """Compute by how many decades of tokens the midpoint of a curve precedes that of the reference."""
    return fit_sigmoids(x, reference)["x0"] - fit_sigmoids(x, curve, bounds)["x0"]


def compute_measures(x, target, benchmark, *, nulls, bounds=None, score_range=None):
    """Compute all measures of how a benchmark goes with the target; arguments as for ``compute_alignment``.

    Returns
    -------
    dict from measure (of MEASURES) to (value, resamples): a float, and Bounds for alignment, else an array
        (n_resamples,). Where no transition is detected in either curve, alignment is the only measure.
    """
    alignment = compute_alignment(x, target, benchmark, nulls=nulls, bounds=bounds, score_range=score_range)
    measures = {"alignment": alignment}
    if not (is_flat(x, target, nulls[0]) or is_flat(x, benchmark, nulls[1])):
        for measure, compute in [("midpoint_difference", compute_midpoint_difference), ("lead", compute_lead)]:
            value = compute(x, benchmark.values, target.values, bounds=bounds)
            measures[measure] = value, compute(x, benchmark.resamples, target.resamples, bounds=bounds)
    return measures
