"""Compute brain scores from voxel correlations: best layer, left, right, with bootstrap."""

import numpy as np
import pandas as pd

from pipeline.brain.hemispheres import average_sides
from pipeline.errors import InputError
from pipeline.statistics.curve import Curve
from pipeline.statistics.resampling import draw_counts

FEWEST_BLOCKS = 8  # of voxels, for a bootstrap over blocks


def compute_brain_scores(correlations, best_layer="maximum"):
    """Compute each voxel's correlation at its best layer, in every held-out run of every checkpoint.

    A voxel's brain score is the average over runs. best_layer "maximum" takes the layer with the highest average over
    runs, as in the paper. "nested" takes, in each run, the layer with the highest average over the remaining runs. The
    highest of several noisy averages is biased upwards, and less so with "nested" (see ``brain.curves``). InputError is
    raised if checkpoints have different runs or voxels, or a layer cannot be chosen on other runs.

    Parameters
    ----------
    correlations : iterable over checkpoints of array (n_layers, n_runs, n_voxels)
    best_layer : {"maximum", "nested"}

    Returns
    -------
    float32 array (n_checkpoints, n_runs, n_voxels); n_runs is 1 where only averages over runs are known of some
        checkpoint. A voxel that is NaN in every layer stays NaN.
    """
    if best_layer not in ("maximum", "nested"):
        raise InputError(f"best_layer: expected maximum or nested, got {best_layer!r}")
    scores = [_take_best_layers(layers, best_layer) for layers in correlations]
    if any(len(runs) == 1 for runs in scores):
        scores = [runs.mean(axis=0, keepdims=True) for runs in scores]
    shapes = sorted({str(runs.shape) for runs in scores})
    if len(shapes) > 1:
        raise InputError(
            f"correlations: expected the same (runs, voxels) at all checkpoints, got {' and '.join(shapes)}. "
            "Fit all checkpoints in the same way"
        )
    return np.stack(scores).astype(np.float32)


def _take_best_layers(correlations, best_layer):
    """Return the correlations of a checkpoint at each voxel's best layer, of shape (n_runs, n_voxels)."""
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


def resample_sides(scores, left, right, blocks, n_resamples=1000, seed=0, drawn=None):
    """Resample both sides over training: held-out runs, and blocks of voxels.

    Runs and blocks are drawn with replacement, the same runs and blocks at every checkpoint. The same seed draws the
    same runs for all regions. Layers stay those of the original study: at its maximum, a score does not depend on them,
    to first order. Where there are fewer than FEWEST_BLOCKS blocks, only runs are drawn: the bootstrap of few blocks
    gives intervals that are too narrow.

    Parameters
    ----------
    scores : array (n_checkpoints, n_runs, n_voxels), as ``compute_brain_scores`` returns it. Voxels that do not vary in
        some run do not count.
    left, right : bool array (n_voxels,), the voxels of each side
    blocks : int array (n_voxels,), as ``make_blocks`` returns it
    n_resamples, seed : int
    drawn : bool array (n_voxels,), the voxels whose blocks are drawn, by default those of both sides. Calls with the
        same voxels, seed and number of runs draw the same runs and blocks. Voxels outside do not count.

    Returns
    -------
    lefts, rights : array (n_resamples, n_checkpoints), NaN where a resample contains no block of a side
    """
    rng, n_runs = np.random.default_rng(seed), scores.shape[1]
    run_shares = draw_counts(rng, n_runs, np.ones(n_runs), n_resamples=n_resamples) / n_runs  # (n_resamples, n_runs)
    is_kept = (left | right) & np.isfinite(scores).all(axis=(0, 1))
    drawn = is_kept if drawn is None else drawn
    is_kept = is_kept & drawn
    drawn_blocks = np.unique(blocks[drawn])
    n_blocks = len(drawn_blocks)
    block_counts = np.ones((n_resamples, n_blocks), dtype=int)
    if n_blocks >= FEWEST_BLOCKS:
        block_counts = draw_counts(rng, n_blocks, np.ones(n_blocks), n_resamples=n_resamples)
    is_in_block = blocks[is_kept][:, None] == drawn_blocks  # (n_kept, n_blocks)
    sides = []
    for side in (left[is_kept], right[is_kept]):
        membership = (is_in_block & side[:, None]).astype(float)
        sums = scores[:, :, is_kept] @ membership  # (n_checkpoints, n_runs, n_blocks)
        n_voxels = block_counts @ membership.sum(axis=0)  # (n_resamples,)
        totals = np.einsum("sr,sb,crb->sc", run_shares, block_counts.astype(float), sums, optimize=True)
        sides.append(totals / np.where(n_voxels > 0, n_voxels, np.nan)[:, None])
    return tuple(sides)


def compute_side_curves(scores, left, right, blocks, n_resamples=1000, drawn=None):
    """Compute the curves of both sides and of their difference over training.

    Parameters
    ----------
    scores, left, right, blocks, n_resamples, drawn : as for ``resample_sides``, with the InputError of
        ``average_sides``. With a single run, only averages over runs are known, and the resamples are NaN.

    Returns
    -------
    dict from left, right and left_minus_right to Curve
    """
    left_values, right_values = average_sides(scores.mean(axis=1), left, right)
    if scores.shape[1] > 1:
        lefts, rights = resample_sides(scores, left, right, blocks=blocks, n_resamples=n_resamples, drawn=drawn)
    else:
        lefts, rights = np.full((2, n_resamples, len(scores)), np.nan)
    return {
        "left": Curve(left_values, lefts),
        "right": Curve(right_values, rights),
        "left_minus_right": Curve(left_values - right_values, lefts - rights),
    }


def compute_layer_curves(checkpoints, correlations, left, right):
    """Compute the mean correlation of each side, for every layer of every checkpoint.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns revision and tokens, and same_weights_as where it is known
    correlations : list over checkpoints of array (n_layers, n_runs, n_voxels)
    left, right : bool array (n_voxels,), as for ``average_sides``, with the same InputError

    Returns
    -------
    pandas.DataFrame with a row per checkpoint and layer (0 is the embedding): revision, tokens, layer, left, right,
        left_minus_right, and same_weights_as where the checkpoints have it
    """
    tables = []
    for row, layers in zip(range(len(checkpoints)), correlations, strict=True):
        lefts, rights = average_sides(layers.mean(axis=1), left, right)  # (n_layers,)
        columns = {"layer": np.arange(len(lefts)), "left": lefts, "right": rights, "left_minus_right": lefts - rights}
        tables.append(add_checkpoints(checkpoints.iloc[[row] * len(lefts)], columns))
    return pd.concat(tables, ignore_index=True)


def add_checkpoints(checkpoints, columns):
    """Insert columns between tokens and same_weights_as of the checkpoints."""
    table = checkpoints[["revision", "tokens"]].reset_index(drop=True).assign(**columns)
    if "same_weights_as" in checkpoints:
        table["same_weights_as"] = checkpoints["same_weights_as"].to_numpy()
    return table


def select_reliable_voxels(isc, percentile=75):
    """Select the voxels whose inter-subject correlation, averaged over trials, is above a percentile.

    InputError is raised if the array has another shape, or contains a value that is not finite.

    Parameters
    ----------
    isc : array (n_trials, n_voxels)
    percentile : float, from 0 to 100

    Returns
    -------
    bool array (n_voxels,)
    """
    isc = np.asarray(isc)
    if isc.ndim != 2 or not np.isfinite(isc).all():
        raise InputError(f"an ISC of shape {isc.shape} is not (n_trials, n_voxels) of finite numbers")
    mean_isc = isc.mean(axis=0)
    return mean_isc > np.percentile(mean_isc, percentile)
