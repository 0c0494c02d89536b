"""Select the checkpoints that count in a fit over training."""

import numpy as np


def has_own_weights(checkpoints):
    """Return which checkpoints have weights of their own, a bool array (n_rows,).

    Where several revisions of a model have the same weights, the training tokens of the weights are unknown.
    ``checkpoints`` is any table with a row per checkpoint. Its optional column ``same_weights_as`` is empty (or NaN)
    for a checkpoint with weights of its own.
    """
    if "same_weights_as" not in checkpoints:
        return np.ones(len(checkpoints), dtype=bool)
    return (checkpoints["same_weights_as"].fillna("").astype(str) == "").to_numpy()


def select_tokens_for_fits(checkpoints):
    """Return the training tokens of the checkpoints that count in fits over training, a float array (n_checkpoints,).

    They are NaN for a checkpoint with the weights of another checkpoint, and 0 for an untrained checkpoint.
    ``checkpoints`` has the column tokens, and ``same_weights_as`` where it is known.
    """
    return np.where(has_own_weights(checkpoints), checkpoints["tokens"].to_numpy(dtype=float), np.nan)


def find_last_to_report(checkpoints):
    """Return the tokens (float) of the last checkpoint with weights of its own, or else of the last checkpoint.

    ``checkpoints`` are those of ``select_tokens_for_fits``. Several rows per checkpoint are allowed.
    """
    tokens = select_tokens_for_fits(checkpoints)
    return float(np.nanmax(tokens) if np.isfinite(tokens).any() else checkpoints["tokens"].max())
