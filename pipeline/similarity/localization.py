"""Select units of a model that respond more to one kind of stimuli than to another."""

import numpy as np
from scipy.special import stdtr

from pipeline.errors import InputError


def compute_welch_t(first, second):
    """Return Welch's t and p of each unit, first minus second.

    Parameters
    ----------
    first, second : array (n_stimuli, n_layers, n_units); numbers of stimuli may differ, two or more

    Returns
    -------
    t, p : float64 array (n_layers, n_units); t is 0 and p is 1 for a unit that does not vary
    """
    if min(len(first), len(second)) < 2:
        raise InputError(f"stimuli: expected 2 or more of each kind, got {len(first)} and {len(second)}. Add stimuli.")
    first, second = (np.asarray(values, dtype=np.float64) for values in (first, second))
    errors = [values.var(axis=0, ddof=1) / len(values) for values in (first, second)]  # squared standard errors
    total = errors[0] + errors[1]
    is_varying = (np.ptp(first, axis=0) > 0) | (np.ptp(second, axis=0) > 0)
    safe = np.where(is_varying, total, 1)
    t = np.where(is_varying, (first.mean(axis=0) - second.mean(axis=0)) / np.sqrt(safe), 0)
    spread = errors[0] ** 2 / (len(first) - 1) + errors[1] ** 2 / (len(second) - 1)
    freedom = safe**2 / np.where(is_varying, spread, 1)
    return t, np.where(is_varying, 2 * stdtr(freedom, -np.abs(t)), 1)


def select_top_units(t, share):
    """Return the share of all units with the highest t, a bool array of the shape of t (n_layers, n_units).

    Exactly this share is selected, at least one unit: of equal units, the first. Units with a t of 0 or less are never
    selected.
    """
    n_selected = max(1, round(share * t.size))
    order = np.argsort(-t, axis=None, kind="stable")[:n_selected]
    mask = np.zeros(t.size, dtype=bool)
    mask[order] = True
    return mask.reshape(t.shape) & (t > 0)


def choose_random_units(mask, seed):
    """Return random units outside the mask, the same number in each layer where a layer has them, a control."""
    rng, control = np.random.default_rng(seed), np.zeros(mask.shape, dtype=bool)
    for layer, selected in enumerate(mask):
        rest = np.flatnonzero(~selected)
        control[layer, rng.permutation(rest)[: selected.sum()]] = True
    return control
