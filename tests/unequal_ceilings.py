"""Simulate brain scores of listeners whose hemispheres differ in their noise ceilings, in what they follow, or both.

A score is ceiling x gain x s(t) + noise, in each run and voxel. The noise is smooth over space, and correlated over
checkpoints.
"""

import functools

import nibabel
import numpy as np

from pipeline.brain.controls import compute_control_curves
from pipeline.brain.hemispheres import assign_hemispheres, find_mirror_voxels
from pipeline.brain.scores import compute_side_curves
from pipeline.brain.voxels import compute_positions, make_blocks
from pipeline.transitions.flatness import compute_flat_p_value, simulate_flat_curves

N_RUNS = 9
X = np.linspace(9, 12.5, 10)  # log10 of training tokens, as the paper's ten checkpoints
TRANSITION = 1 / (1 + np.exp(-4 * (X - 10.5)))
LEXICAL, GRAMMAR = 0.15, 0.22  # of a perfectly reliable voxel
CEILING, CEILING_SPREAD, GAIN_SPREAD = 0.72, 0.06, 0.25
NOISE, SMOOTHNESS_MM, KEPT_NOISE = 0.09, 20.0, 0.8  # of a run's r; from one checkpoint to the next


@functools.cache
def make_brain(smoothness_mm=SMOOTHNESS_MM):
    """Return a mask of 384 voxels of 20 mm, both sides, blocks, mirror voxels, and a matrix that smooths noise."""
    affine = np.diag([20.0, 20, 20, 1])
    affine[:3, 3] = -50, -70, -70
    mask = nibabel.Nifti1Image(np.ones((6, 8, 8), np.int8), affine)
    positions = compute_positions(mask)
    squares = ((positions[:, None] - positions) ** 2).sum(axis=2)
    smooth = np.exp(-squares * 4 * np.log(2) / max(smoothness_mm, 1e-3) ** 2)
    smooth /= np.linalg.norm(smooth, axis=0)
    return mask, *assign_hemispheres(mask), make_blocks(mask), find_mirror_voxels(mask), smooth


def simulate_scores(seed, ceiling_ratio=1.0, difference=0.0, smoothness_mm=SMOOTHNESS_MM, bias=0.0):
    """Simulate scores (n_checkpoints, n_runs, n_voxels) and the published kind of ISC (10, n_voxels).

    ``ceiling_ratio`` is the ceiling of the right over that of the left. ``difference`` is the true left minus right
    after the transition, at equal ceilings. ``bias`` is added to every score.
    """
    rng = np.random.default_rng(seed)
    _, left, right, _, mirror, smooth = make_brain(smoothness_mm)
    n_voxels = len(left)
    gain, ceiling = 1 + GAIN_SPREAD * rng.standard_normal(n_voxels), rng.normal(CEILING, CEILING_SPREAD, n_voxels)
    gain[right], ceiling[right] = gain[mirror[right]], ceiling_ratio * ceiling[mirror[right]]
    signal = LEXICAL + np.outer(TRANSITION, GRAMMAR + difference / CEILING / 2 * (1.0 * left - right))
    noise = rng.standard_normal((len(X), N_RUNS, n_voxels))
    for checkpoint in range(1, len(X)):
        noise[checkpoint] = KEPT_NOISE * noise[checkpoint - 1] + np.sqrt(1 - KEPT_NOISE**2) * noise[checkpoint]
    scores = (ceiling * gain * signal)[:, None] + NOISE * (noise @ smooth) + bias
    reliability = np.clip(ceiling, 0.2, 0.98) ** 2
    isc = np.sqrt(reliability / (2 - reliability)) + rng.normal(0, 0.03, (10, n_voxels))
    return scores, isc


def compute_p_values(scores, isc, names, smoothness_mm=SMOOTHNESS_MM, n_resamples=300):
    """Compute p against a flat curve, and the rise, of left minus right and its controls, by name."""
    mask, left, right, blocks, *_ = make_brain(smoothness_mm)
    curves = compute_control_curves({"nested": scores}, left, right, blocks, isc, mask, n_resamples=n_resamples)
    curves |= compute_side_curves(scores, left, right, blocks, n_resamples=n_resamples)
    results = {}
    for name in names:
        values, resamples = curves[name]
        is_known = np.isfinite(resamples).all()
        p = compute_flat_p_value(X, values, simulate_flat_curves(X, resamples)) if is_known else np.nan
        results[name] = p, values[-1] - values[0]
    return results
