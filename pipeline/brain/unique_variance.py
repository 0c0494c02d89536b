"""Compute curves of the variance that a model explains in addition to a nuisance."""

import numpy as np

from pipeline.brain.scores import compute_brain_scores, compute_side_curves
from pipeline.statistics.curve import Curve


def compute_unique_curves(unique, left, right, blocks, n_resamples=1000):
    """Compute the unique variance of both sides and of their difference over training.

    In each run, a voxel's layer is the best on the other runs, by unique variance itself. With a single run, it is the
    best layer of this run.

    Parameters
    ----------
    unique : list over checkpoints of array (n_layers, n_runs, n_voxels) or None, as ``read_unique_scores`` returns it
    left, right, blocks, n_resamples : as for ``scores.compute_side_curves``, with the same InputError

    Returns
    -------
    dict from unique_left, unique_right and unique_left_minus_right to Curve, NaN at checkpoints that are None. It is
        empty where all checkpoints are None.
    """
    is_known = np.array([values is not None for values in unique], dtype=bool)
    known = [values for values in unique if values is not None]
    if not known:
        return {}
    choice = "nested" if known[0].shape[1] > 1 else "maximum"
    scores = compute_brain_scores(known, best_layer=choice)
    curves = compute_side_curves(scores, left, right, blocks=blocks, n_resamples=n_resamples)
    return {f"unique_{name}": _insert_unknown(curve, is_known) for name, curve in curves.items()}


def _insert_unknown(curve, is_known):
    """Return a curve at all checkpoints, NaN where it is not known."""
    values = np.full(len(is_known), np.nan)
    resamples = np.full((len(curve.resamples), len(is_known)), np.nan)
    values[is_known], resamples[:, is_known] = curve
    return Curve(values, resamples)
