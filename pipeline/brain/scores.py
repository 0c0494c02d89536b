"""Compute brain scores from voxel correlations: best layer, left, right, with bootstrap."""

import numpy as np
import pandas as pd

from pipeline.brain.hemispheres import average_sides
from pipeline.errors import InputError


def compute_brain_scores(correlations, best_layer="maximum"):
    """Each voxel's correlation at its best layer, in every left-out run of every checkpoint.

    Averaged over runs, it is the voxel's brain score.

    Parameters
    ----------
    correlations : iterable over checkpoints of array of shape (n_layers, n_runs, n_voxels)
    best_layer : {"maximum", "nested"}
        Which layer is a voxel's best: the one with the highest average over runs, as in the paper;
        or in each run the one that is best on average over the other runs. The highest of several
        noisy averages promises more than there is, a layer chosen on other runs less (see ``brain_curves``).

    Returns
    -------
    float32 array of shape (n_checkpoints, n_runs, n_voxels)
        n_runs is 1 where only averages over runs are known of some checkpoint. A voxel that is NaN
        in every layer stays NaN.

    Raises
    ------
    InputError
        Checkpoints have different runs or voxels, or a layer cannot be chosen on other runs.
    """
    if best_layer not in ("maximum", "nested"):
        raise InputError(f"unknown best_layer {best_layer!r}: choose maximum or nested")
    scores = [_take_best_layers(of_checkpoint, best_layer) for of_checkpoint in correlations]
    if any(len(of_runs) == 1 for of_runs in scores):
        scores = [of_runs.mean(axis=0, keepdims=True) for of_runs in scores]
    if len({of_runs.shape for of_runs in scores}) > 1:
        shapes = " and ".join(sorted({str(of_runs.shape) for of_runs in scores}))
        raise InputError(f"checkpoints of different (runs, voxels) make no curve: {shapes}; fit them all alike")
    return np.stack(scores).astype(np.float32)


def _take_best_layers(correlations, best_layer):
    """One checkpoint: (n_layers, n_runs, n_voxels) to (n_runs, n_voxels)."""
    _, n_runs, n_voxels = correlations.shape
    known = np.where(np.isnan(correlations), -np.inf, correlations)
    sums = known.sum(axis=1, dtype=np.float64)  # (n_layers, n_voxels)
    if best_layer == "maximum":
        best = np.broadcast_to(sums.argmax(axis=0), (n_runs, n_voxels))
    elif n_runs > 1:
        best = np.stack([np.delete(known, run, axis=1).sum(axis=1).argmax(axis=0) for run in range(n_runs)])
    else:
        raise InputError("only averages over runs are known, and a layer cannot be chosen on other runs")
    return np.take_along_axis(correlations, best[None], axis=0)[0]


def resample_sides(scores, left, right, blocks, n_resamples=1000, seed=0):
    """Both sides over training in resampled studies: other left-out runs, and other blocks of voxels.

    Runs and blocks are drawn with replacement, the same ones at every checkpoint; the same seed draws
    the same runs for all regions. Layers stay those of the whole study: at its maximum, a score does
    not depend on them, to first order.

    Parameters
    ----------
    scores : array of shape (n_checkpoints, n_runs, n_voxels)
        As ``brain_scores`` returns it. Voxels that do not vary in some run do not count.
    left, right : bool arrays of shape (n_voxels,)
        The voxels of each side.
    blocks : int array of shape (n_voxels,)
        As ``voxel_blocks`` returns it.
    n_resamples, seed : int

    Returns
    -------
    lefts, rights : arrays of shape (n_resamples, n_checkpoints)
        NaN where no block of a side was drawn.
    """
    rng, n_runs = np.random.default_rng(seed), scores.shape[1]
    runs = rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n_resamples) / n_runs
    kept = (left | right) & np.isfinite(scores).all(axis=(0, 1))
    numbers = np.unique(blocks[kept], return_inverse=True)[1].ravel()
    n_blocks = numbers.max() + 1
    times = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n_resamples)  # (n_resamples, n_blocks)
    in_block = numbers[:, None] == np.arange(n_blocks)  # (n_kept, n_blocks)
    sides = []
    for side in (left[kept], right[kept]):
        of_side = (in_block & side[:, None]).astype(float)
        sums = scores[:, :, kept] @ of_side  # (n_checkpoints, n_runs, n_blocks)
        n_voxels = times @ of_side.sum(axis=0)  # (n_resamples,)
        totals = np.einsum("sr,sb,crb->sc", runs, times.astype(float), sums, optimize=True)
        sides.append(totals / np.where(n_voxels > 0, n_voxels, np.nan)[:, None])
    return tuple(sides)


def compute_side_curves(scores, left, right, blocks, n_resamples=1000):
    """Both sides and their difference over training, as measured and in resampled studies.

    Parameters
    ----------
    scores, left, right, blocks, n_resamples
        As for ``resampled_left_right``. With a single run, only averages over runs are known, and the
        resamples are NaN.

    Returns
    -------
    dict from left, right and left_minus_right to (curve, resamples)
        Arrays of shape (n_checkpoints,) and (n_resamples, n_checkpoints).

    Raises
    ------
    InputError
        As for ``left_right``.
    """
    sides = average_sides(scores.mean(axis=1), left, right)
    if scores.shape[1] > 1:
        again = resample_sides(scores, left, right, blocks, n_resamples)
    else:
        again = np.full((2, n_resamples, len(scores)), np.nan)
    return {
        "left": (sides[0], again[0]),
        "right": (sides[1], again[1]),
        "left_minus_right": (sides[0] - sides[1], again[0] - again[1]),
    }


def compute_layer_curves(checkpoints, correlations, left, right):
    """How well every layer of every checkpoint predicts either side.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens.
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)
    left, right : bool arrays of shape (n_voxels,)

    Returns
    -------
    pandas.DataFrame with columns revision, tokens, layer, left, right, left_minus_right
        A row per checkpoint and layer; layer 0 is the embedding. same_weights_as comes last where the
        checkpoints have it.

    Raises
    ------
    InputError
        As for ``left_right``.
    """
    rows = []
    for (revision, tokens), of_checkpoint in zip(
        checkpoints[["revision", "tokens"]].itertuples(index=False), correlations, strict=True
    ):
        lefts, rights = average_sides(of_checkpoint.mean(axis=1), left, right)  # (n_layers,)
        rows += [
            (revision, tokens, layer, *sides, sides[0] - sides[1])
            for layer, sides in enumerate(zip(lefts, rights, strict=True))
        ]
    table = pd.DataFrame(rows, columns=["revision", "tokens", "layer", "left", "right", "left_minus_right"])
    if "same_weights_as" in checkpoints:
        table["same_weights_as"] = table["revision"].map(checkpoints.set_index("revision")["same_weights_as"])
    return table
