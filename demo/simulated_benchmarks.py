"""Make the benchmarks of simulated studies: scores of minimal pairs, drawn from a large stock.

blimp, blimp_again        hard pairs of the small language, two samples of the same paradigms
zorro                     easy pairs, which are learnt earlier
counting                  lists after the right and the wrong number word: a functional benchmark that rises
coin                      hard pairs, in half of which right and wrong are exchanged: no transition
twos                      hard pairs in twos, as the problems of arithmetic are made: where one problem of a two is
                          right, the other is wrong, except in 4 % of the twos, whose pairs stay as they are. The rise
                          is that of 4 % of the hard pairs
weak_{share}              hard pairs, of which this share is treated as those of coin: a small transition, at the same
                          time as that of the hard pairs
blimp_{k:+d}_checkpoint   hard pairs, with the answers of each checkpoint moved k checkpoints later
"""

import numpy as np
import pandas as pd

from demo import pairs
from pipeline.statistics.resampling import resample_means

PAIRS_PER_PARADIGM = 300
N_RESAMPLES = 500
WEAK = {f"weak_{share}": share for share in (0.9, 0.93, 0.96, 0.98)}
SHARE_OF_TWOS = 0.04  # that stay as they are
SHIFTS = {f"blimp_{shift:+d}_checkpoint": shift for shift in (-2, -1, 1, 2)}
LEVELS = {"blimp": "hard", "blimp_again": "hard", "zorro": "easy", "counting": "counting"}
NAMES = (*LEVELS, "coin", "twos", *WEAK, *SHIFTS)
FLAT = ("coin",)


def make_stock(n_pairs, seed):
    """Make a stock of minimal pairs: a table with columns paradigm, level, good, bad."""
    rows = [
        (paradigm, level, good, bad)
        for paradigm, (_, level) in pairs.PARADIGMS.items()
        for good, bad in pairs.make_distinct_pairs(paradigm, n_pairs, f"{seed} calibration")
    ]
    return pd.DataFrame(rows, columns=["paradigm", "level", "good", "bad"])


def make_benchmark_curves(right, stock, names, rng):
    """Draw the benchmarks of a study from the stock of pairs, and compute their curves.

    Parameters
    ----------
    right : bool array (n_checkpoints, n_pairs)
    stock : pandas.DataFrame, as ``make_stock`` returns it
    names : sequence of str, of NAMES. A shifted benchmark needs blimp before it.
    rng : numpy.random.Generator

    Returns
    -------
    dict from name to Curve
    """
    drawn: dict[str, tuple] = {}  # values, paradigms and groups
    for name in names:
        if name in SHIFTS:
            values, paradigms, _ = drawn["blimp"]
            drawn[name] = shift_checkpoints(values, SHIFTS[name]), paradigms, None
            continue
        values, paradigms = _draw_items(right, stock, LEVELS.get(name, "hard"), rng)
        share = WEAK.get(name, 1.0 if name == "coin" else 0.0)
        is_coin = rng.random(len(paradigms)) < share
        values = np.where(is_coin & (rng.random(len(paradigms)) < 0.5), 1 - values, values)
        is_twos = name == "twos"
        groups = np.arange(len(paradigms)) // 2 if is_twos else None
        drawn[name] = make_twos(values, rng) if is_twos else values, paradigms, groups
    return {
        name: resample_means(items, paradigms, N_RESAMPLES, groups=groups)
        for name, (items, paradigms, groups) in drawn.items()
    }


def _draw_items(right, stock, level, rng):
    """Draw the pairs of a benchmark: values (n_checkpoints, n_items) and paradigms (n_items,)."""
    paradigms = [name for name, (_, paradigm_level) in pairs.PARADIGMS.items() if paradigm_level == level]
    places = [np.flatnonzero(stock["paradigm"] == paradigm) for paradigm in paradigms]
    items = np.concatenate([rng.choice(numbers, PAIRS_PER_PARADIGM) for numbers in places])
    return right[:, items].astype(float), stock["paradigm"].to_numpy()[items]


def make_twos(values, rng):
    """Put neighbouring pairs (n_checkpoints, n_items) into twos, most of which have one right pair."""
    first, twos = values[:, ::2], values.copy()
    twos[:, 1::2] = np.where(rng.random(first.shape[1]) < SHARE_OF_TWOS, values[:, 1::2], 1 - first)
    return twos


def shift_checkpoints(values, shift):
    """Move the values of trained checkpoints some checkpoints later; those of the first, untrained, stay."""
    places = np.clip(np.arange(len(values)) - shift, 1, len(values) - 1)
    return values[[0, *places[1:]]]


def compute_true_curves(right, stock):
    """Compute the curves of all benchmarks on the whole stock, without noise: name to array (n_checkpoints,).

    ``right`` and ``stock`` are as for ``make_benchmark_curves``.
    """
    curves = {name: _score_stock(right, stock, level) for name, level in LEVELS.items()}
    hard = curves["blimp"]
    curves["coin"] = np.full(len(right), 0.5)
    curves["twos"] = (1 - SHARE_OF_TWOS) / 2 + SHARE_OF_TWOS * hard
    curves |= {name: share / 2 + (1 - share) * hard for name, share in WEAK.items()}
    return curves | {name: shift_checkpoints(hard, shift) for name, shift in SHIFTS.items()}


def _score_stock(right, stock, level):
    """Return the score of each checkpoint on the whole stock of a level: array (n_checkpoints,)."""
    is_level = (stock["level"] == level).to_numpy()
    by_paradigm = pd.DataFrame(right.T[is_level]).groupby(stock["paradigm"][is_level].to_numpy()).mean()
    return by_paradigm.mean().to_numpy()
