"""Simulate a study whose truth is known, and analyse it as the notebook does."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from nibabel import Nifti1Image

from demo import listener
from demo.fast_fits import cross_validate_runs
from demo.simulated_benchmarks import N_RESAMPLES, make_benchmark_curves
from pipeline.brain.controls import compute_control_curves
from pipeline.brain.curves import compute_brain_curves
from pipeline.brain.hemispheres import assign_hemispheres, average_sides, subtract_mirror_voxels
from pipeline.brain.scores import compute_brain_scores
from pipeline.brain.voxels import compute_positions, fill_volume, make_blocks
from pipeline.encoding.signals import trim_and_zscore
from pipeline.statistics.intervals import Bounds, compute_interval, compute_simultaneous_band
from pipeline.transitions.alignment import MEASURES
from pipeline.transitions.claims import compare_kinds
from pipeline.transitions.comparison import compare_curves
from pipeline.transitions.emergence import detect_emergence, detect_transition

N_RUNS = 9
ALPHAS = np.logspace(0, 7, 16)  # as in the embedded study
FWHM_MM = 20.0  # of the noise
TARGET = "left_minus_right"
FORMAL = ("blimp", "zorro")
CONTROLS = ("log_left_right", "ceiling_left_minus_right", "matched_left_minus_right")
COLUMNS = ["curve", "quantity", "tokens", "value", "low", "high"]


class Brain(NamedTuple):
    """Hold the mask of the simulated voxels (nibabel image), their blocks, and the sources of smooth noise."""

    mask: Nifti1Image
    blocks: np.ndarray
    sources: np.ndarray


def make_brain():
    """Make the brain of all studies: of the voxels that follow the story, every second one in each direction.

    The noise is so smooth that the voxels between them add next to nothing to the mean of a side.
    """
    mask = listener.make_brain_mask()
    is_driven = np.zeros(np.count_nonzero(mask.dataobj))
    is_driven[np.concatenate(listener.find_driven_pairs(mask))] = 1
    places = np.abs(compute_positions(mask)).round() / listener.VOXEL_MM
    is_driven[places.sum(axis=1).astype(int) % 2 == 1] = 0
    mask = Nifti1Image((fill_volume(is_driven, mask) == 1).astype(np.int8), mask.affine)
    return Brain(
        mask, make_blocks(mask), listener.make_smoothing_matrix(compute_positions(mask), FWHM_MM).astype(np.float32)
    )


def simulate_study(tokens, signals, *, regressors, right, stock, brain, options, benchmarks, seeds):
    """Simulate a study and analyse it.

    Parameters
    ----------
    tokens : array (n_checkpoints,), of training, increasing
    signals : list over the runs of the stock of listener.Signals
    regressors : float32 array (n_checkpoints, n_layers, n_runs, n_scans, n_units)
    right : bool array (n_checkpoints, n_pairs)
    stock : pandas.DataFrame, as ``simulated_benchmarks.make_stock`` returns it
    brain : Brain
    options : dict, arguments of ``listener.listen``
    benchmarks : sequence of str, of ``simulated_benchmarks.NAMES``
    seeds : list of int

    Returns
    -------
    pandas.DataFrame with columns curve, quantity, tokens, value, low, high
    """
    rng = np.random.default_rng([*seeds, 0])
    runs = rng.choice(len(signals), N_RUNS, replace=False)
    heard = [signals[run] for run in runs]
    fmri, isc = listener.listen(brain.mask, heard, [*seeds, 1], sources=brain.sources, **options)
    targets = np.stack([trim_and_zscore(run) for run in fmri])
    correlations = [
        np.stack([cross_validate_runs(layer[runs], targets, ALPHAS) for layer in layers]) for layers in regressors
    ]  # checkpoints of (n_layers, n_runs, n_voxels)
    scores = compute_brain_scores(correlations, best_layer="nested")
    controls = compute_controls(scores, isc, brain)
    curves = make_benchmark_curves(right, stock, benchmarks, rng)
    table, resamples = compare_benchmarks(tokens, controls[TARGET], curves)
    rows = [*_list_points(tokens, controls | curves), *_list_bands(controls), *_list_estimates(table)]
    rows += [*_list_emergence(tokens, controls), *_correlate_curves(tokens, controls[TARGET], curves)]
    rows += [*_compare_benchmarks(resamples), *_list_claims(table, resamples["alignment"])]
    rows.append((TARGET, "n_emerging_pairs", np.nan, _count_emerging_pairs(tokens, scores, brain), np.nan, np.nan))
    isc_sides = average_sides(isc.mean(axis=0), *assign_hemispheres(brain.mask))
    rows += [(f"isc_{side}", "isc", np.nan, value, np.nan, np.nan) for side, value in zip("LR", isc_sides, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def compare_benchmarks(tokens, target, curves):
    """Compare the benchmarks with left minus right, as ``compare_curves`` does.

    Every simulated benchmark is at chance at one half, as the parts of BLiMP, whose names begin with ``blimp_``.
    """
    names = {f"blimp_{name}" if name not in ("blimp", "zorro") else name: name for name in curves}
    table, resamples = compare_curves(tokens, {TARGET: target} | {new: curves[name] for new, name in names.items()})
    table["curve"] = table["curve"].replace(names)
    return table, {
        measure: {names[new]: values for new, values in measured.items()} for measure, measured in resamples.items()
    }


def compute_controls(scores, isc, brain):
    """Compute left minus right and its controls for reliability: dict from name to Curve."""
    nested, (left, right) = {"nested": scores}, assign_hemispheres(brain.mask)
    options: dict[str, Any] = {"blocks": brain.blocks, "n_resamples": N_RESAMPLES}
    target = compute_brain_curves(nested, left, right, **options)[f"{TARGET}_nested"]
    controls = compute_control_curves(nested, left, right, isc=isc, mask_image=brain.mask, **options)
    return {TARGET: target} | {name: controls[name] for name in CONTROLS}


def _list_points(tokens, curves):
    """Yield the rows of the points of all curves."""
    for name, (values, resamples) in curves.items():
        for point in zip(tokens, values, *compute_interval(values, resamples), strict=True):
            yield name, "value", *point


def _list_bands(controls):
    """Yield, for each control, whether some trained checkpoint excludes 0 pointwise, and in a simultaneous band."""
    for name, curve in controls.items():
        low, high = compute_interval(*curve)
        yield name, "pointwise_excludes_0", np.nan, float(((low > 0) | (high < 0)).any()), np.nan, np.nan
        low, high = compute_simultaneous_band(*curve)
        yield name, "simultaneous_excludes_0", np.nan, float(((low > 0) | (high < 0)).any()), np.nan, np.nan


def _list_estimates(table):
    """Yield the rows of the table of transitions."""
    for row in table.to_dict("records"):
        yield row["curve"], "p_flat", np.nan, row["p_flat"], np.nan, np.nan
        for quantity in ("x0", "beta", *MEASURES):
            if np.isfinite(row[quantity]) or np.isfinite(row.get(f"{quantity}_low", np.nan)):
                estimate = [row[name] for name in (quantity, f"{quantity}_low", f"{quantity}_high")]
                yield row["curve"], quantity, np.nan, *estimate


def _list_emergence(tokens, controls):
    """Yield the p-values of the transitions of the controls."""
    trained = tokens > 0
    for name, curve in controls.items():
        # Left minus right is in the table of transitions. A control without values, as of no matched pair, has no test.
        if name != TARGET and np.isfinite(curve.resamples).all():
            transition = detect_transition(np.log10(tokens[trained]), curve.select(trained))
            yield name, "p_flat", np.nan, transition["p_flat"], np.nan, np.nan


def _count_emerging_pairs(tokens, scores, brain):
    """Return the number of pairs of mirrored voxels in which a difference emerges."""
    trained = tokens > 0
    differences = subtract_mirror_voxels(scores[trained], brain.mask)[:, :, assign_hemispheres(brain.mask)[0]]
    return np.isfinite(detect_emergence(np.log10(tokens[trained]), differences.transpose(1, 0, 2))).sum()


def _correlate_curves(tokens, target, curves):
    """Yield the correlation of each benchmark with left minus right."""
    trained = tokens > 0
    for name, curve in curves.items():
        r = np.corrcoef(target.values[trained], curve.values[trained])[0, 1]
        yield name, "correlation", np.nan, r, np.nan, np.nan


def _compare_benchmarks(resampled_measures):
    """Yield the differences of the measures of the hard pairs and of further benchmarks."""
    for measure, resamples in resampled_measures.items():
        for name in resamples:
            if name != "blimp" and "blimp" in resamples:
                if isinstance(resamples[name], Bounds):
                    difference = resamples["blimp"].subtract(resamples[name])
                    median = np.median(np.mean(difference, axis=0))
                    yield f"blimp - {name}", measure, np.nan, median, *difference.compute_interval(median)
                    continue
                # How far apart midpoints are, or how far a curve leads, counts without its sign.
                difference = np.abs(resamples["blimp"]) - np.abs(resamples[name])
                median = np.nanmedian(difference)
                yield f"blimp - {name}", measure, np.nan, median, *compute_interval(median, difference)


def _list_claims(table, alignments):
    """Yield the claim, formal minus functional, for several choices of the functional benchmarks."""
    names = [name for name in alignments if name not in FORMAL and not name.startswith("blimp")]
    choices = {name: [name] for name in names} | {"all": names}
    for choice, functional in choices.items():
        formal = ["blimp"] if choice.startswith("weak") else list(FORMAL)  # of the same transition as the weak ones
        kinds = dict.fromkeys(formal, "formal") | dict.fromkeys(functional, "functional")
        rows = table.assign(kind=table["curve"].map(kinds).fillna("other"))
        claim = compare_kinds(rows, alignments)
        if claim is not None:
            curve = f"claim against {choice}"
            for quantity, prefix in [("difference", ""), ("unfavourable", "unfavourable_")]:
                row = [claim[f"{prefix}{name}"] for name in ("difference", "low", "high")]
                if np.isfinite(row[0]):
                    yield curve, quantity, np.nan, *row
