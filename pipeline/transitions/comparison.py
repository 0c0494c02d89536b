"""Compare the transitions of curves: which curve rises first, and which curves rise together."""

import functools

import numpy as np
import pandas as pd

from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import SIGNIFICANCE, compute_interval, make_columns
from pipeline.tasks.table import classify_benchmark
from pipeline.transitions.emergence import detect_transition
from pipeline.transitions.flatness import are_flat, compute_flat_p_value, simulate_flat_curves
from pipeline.transitions.plateaus import find_possible_range
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS, find_most_similar, fit_sigmoids, sample_sigmoids

N_NOISES = 500
MEASURES = ("alignment", "midpoint_difference", "lead")
COLUMNS = (
    "curve kind n_checkpoints is_flat p_flat is_monotonic x0 x0_low x0_high "
    "beta beta_low beta_high low high at_limit at_start "
    "alignment alignment_low alignment_high "
    "midpoint_difference midpoint_difference_low midpoint_difference_high lead lead_low lead_high"
).split()

# Left minus right with layers chosen on other runs, where runs are known; else at the published best layer.
TARGETS = ("left_minus_right_nested", "left_minus_right")


def compute_alignment(x, target, benchmark, *, nulls, bounds=None):
    """Compute how much of the target the transition of a benchmark explains: 0 for nothing, 1 for all of it.

    This is the squared correlation of the target with the sigmoid that is fitted to the benchmark, corrected for
    the noise of both. It is divided by how well the sigmoid would explain itself with the benchmark's noise. It
    is 0 where the curves go in opposite directions.

    A flat curve has no transition, so that it explains nothing and is not explained, whatever its noise. A
    correlation of both curves does not have this property. Each resampled curve is tested for flatness. So the
    interval is wide where a curve is flat for lack of data.

    Parameters
    ----------
    x : array (n_checkpoints,), log10 of training tokens, increasing
    target, benchmark : Curve, resampled jointly where they are computed from the same data
    nulls : pair of what ``simulate_flat_curves`` returns, for the target and for the benchmark
    bounds : (float, float) or None, of the benchmark's plateaus, as for ``fit_sigmoids``

    Returns
    -------
    value : float
    resamples : array (n_resamples,)
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
        return np.clip(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), 0, 1)

    value = 0.0
    if not _is_any_flat(x, (target, benchmark), nulls):
        value = float(compute_explained(target.values, benchmark.values, 1))
    # A resampled curve has the noise of the measurement and the noise of resampling.
    resamples = compute_explained(target.resamples, benchmark.resamples, 2)
    resamples[are_flat(x, target.resamples, nulls[0]) | are_flat(x, benchmark.resamples, nulls[1])] = 0
    return value, resamples


def _is_any_flat(x, curves, nulls):
    """Return whether any of these curves is flat."""
    return any(
        compute_flat_p_value(x, curve.values, null) >= SIGNIFICANCE for curve, null in zip(curves, nulls, strict=True)
    )


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


def compute_measures(x, target, benchmark, *, nulls, bounds=None):
    """Compute all measures of how a benchmark goes with the target; arguments as for ``compute_alignment``.

    Returns
    -------
    dict from measure (of MEASURES) to (value, resamples), a float and an array (n_resamples,). Where either curve is
        flat, alignment is the only measure.
    """
    measures = {"alignment": compute_alignment(x, target, benchmark, nulls=nulls, bounds=bounds)}
    if not _is_any_flat(x, (target, benchmark), nulls):
        for measure, compute in [("midpoint_difference", compute_midpoint_difference), ("lead", compute_lead)]:
            value = compute(x, benchmark.values, target.values, bounds=bounds)
            measures[measure] = value, compute(x, benchmark.resamples, target.resamples, bounds=bounds)
    return measures


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
        Then alignment, midpoint_difference (the target's x0 minus the curve's) and lead (by how many decades the curve
        rises first), at the checkpoints of both curves, each with its interval in columns that end in _low and _high.
        NaN where there are fewer than 5 checkpoints.
    resampled_measures : dict from measure to dict from name to array (n_resamples,)
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
    resampled_measures: dict[str, dict[str, np.ndarray]] = {measure: {} for measure in MEASURES}
    for name, curve in curves.items():
        used, shared = is_measured[name], is_measured[name] & is_measured[target]
        bounds = None if name in TARGETS or name in unbounded else find_possible_range(curve.values)
        rows[name] = {"kind": classify_benchmark(name, lang), "n_checkpoints": int(used.sum())}
        if used.sum() >= FEWEST_CHECKPOINTS:
            null = simulate_null(name, tuple(used))
            rows[name] |= detect_transition(x[used], curve.select(used), null=null, bounds=bounds)
        if name in (target, *TARGETS) or shared.sum() < FEWEST_CHECKPOINTS:
            continue
        pair = curves[target].select(shared), curve.select(shared)
        nulls = simulate_null(target, tuple(shared)), simulate_null(name, tuple(shared))
        for measure, (value, resamples) in compute_measures(x[shared], *pair, nulls=nulls, bounds=bounds).items():
            rows[name] |= make_columns(measure, value, resamples)
            resampled_measures[measure][name] = resamples
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("curve").reset_index()
    table = table.reindex(columns=COLUMNS)
    bounds = ["at_limit", "at_start"]
    table[bounds] = table[bounds].eq(True)  # False where a curve is not fitted
    return table, resampled_measures


def compare_kinds(table, alignments):
    """Compare the alignment of formal with that of functional competence: the paper's claim as a single number.

    Parameters
    ----------
    table : pandas.DataFrame, as ``compare_curves`` returns it
    alignments : dict from name to array (n_resamples,), the resampled alignments of ``compare_curves``

    Returns
    -------
    dict, or None where a kind has no benchmark. formal and functional are mean alignments of the benchmarks of either
        kind, formal_benchmarks and functional_benchmarks their names. difference has the 95 % interval low and high.
    """
    compared = table[table["curve"].isin(alignments)]
    claim: dict = {}
    resamples = {}
    for kind in ("formal", "functional"):
        rows = compared[compared["kind"] == kind]
        if rows.empty:
            return None
        claim[kind] = float(rows["alignment"].mean())
        claim[f"{kind}_benchmarks"] = " ".join(rows["curve"])
        resamples[kind] = np.mean([alignments[name] for name in rows["curve"]], axis=0)
    difference = claim["formal"] - claim["functional"]
    low, high = compute_interval(difference, resamples["formal"] - resamples["functional"])
    return claim | {"difference": difference, "low": float(low), "high": float(high)}
