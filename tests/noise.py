"""Simulate a study whose fMRI is pure noise, and analyse it as a real study."""

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from demo.listener import make_brain_mask, make_smoothing_matrix
from pipeline.brain import curves, region_differences
from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.brain.regions import make_cerebellum, make_spheres
from pipeline.brain.voxels import compute_positions, make_blocks
from pipeline.encoding.cross_validation import cross_validate
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.signals import zscore
from pipeline.transitions.claims import compare_kinds
from pipeline.transitions.comparison import TARGETS, compare_curves
from pipeline.transitions.tables import tabulate_points
from report import summary

TOKENS = 1e9 * 2.0 ** np.arange(6)
N_RUNS, N_SCANS, N_LAYERS, N_UNITS = 9, 80, 4, 12
CHECKPOINTS = pd.DataFrame({"revision": [f"step{k}" for k in range(len(TOKENS))], "tokens": TOKENS})


def make_slow_noise(rng, shape):
    """Make noise with temporal autocorrelation, as that of fMRI and of regressors."""
    return zscore(lfilter([1], [1, -0.5], rng.standard_normal(shape), axis=0)).astype(np.float32)


def compute_noise_correlations(seed, smooth):
    """Compute the correlations of six checkpoints, which change little from each to the next, with noise."""
    rng = np.random.default_rng(seed)
    fmri = [make_slow_noise(rng, (N_SCANS, len(smooth))) @ smooth for _ in range(N_RUNS)]
    fmri = [zscore(run).astype(np.float32) for run in fmri]
    states = rng.standard_normal((N_LAYERS, N_RUNS, N_SCANS, N_UNITS))
    checkpoints = []
    for _ in TOKENS:
        states = np.sqrt(0.8) * states + np.sqrt(0.2) * rng.standard_normal(states.shape)
        regressors = [[filter_slowly(run) for run in layer] for layer in states]
        folds = hold_out_runs([N_SCANS] * N_RUNS)
        alphas, targets = np.logspace(0, 5, 4), np.concatenate(fmri)
        fits = [cross_validate(np.concatenate(layer), targets, folds, alphas)[0] for layer in regressors]
        checkpoints.append(np.stack(fits))
    return checkpoints


def filter_slowly(values):
    return zscore(lfilter([1], [1, -0.5], values, axis=0)).astype(np.float32)


def analyse(seed, smooth=None):
    """Analyse a study of noise as the notebook does: return the tables and the summary."""
    mask = make_brain_mask()
    smooth = make_smoothing_matrix(compute_positions(mask), 20.0).astype(np.float32) if smooth is None else smooth
    correlations = compute_noise_correlations(seed, smooth)
    left, right = assign_hemispheres(mask)
    reliable = np.random.default_rng([seed, 1]).random(len(left)) < 0.25
    scores = curves.compute_scores(correlations)
    sides = curves.compute_brain_curves(scores, left & reliable, right & reliable, make_blocks(mask))
    targets = {name: sides[name] for name in TARGETS}
    table, resamples = compare_curves(TOKENS, targets)
    rows = tabulate_points(CHECKPOINTS, sides, table)
    regions = make_spheres(mask) | {"cerebellum": make_cerebellum(mask)}
    differences = region_differences.compute_region_curves(CHECKPOINTS, scores, regions)
    claim = compare_kinds(table, resamples["alignment"])
    words = summary.describe_results("OLMo", "en", points=rows, table=table, claim=claim, regions=differences)
    return {
        "words": words,
        "table": table,
        "points": rows,
        "regions": differences,
        "scores": scores,
        "mask": mask,
        "reliable": reliable,
    }
