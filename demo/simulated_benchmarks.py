"""Make the benchmarks of simulated studies: scores of minimal pairs, drawn from a large stock.

blimp, blimp_again        hard pairs of the small language, two samples of the same paradigms
zorro                     easy pairs, which are learnt earlier
coin                      hard pairs, in half of which right and wrong are exchanged: no transition
weak                      hard pairs, nine tenths of which are treated as those of coin: a small
                          transition, at the same time as that of the hard pairs
blimp_{k:+d}_checkpoint   hard pairs, with the answers of each checkpoint moved k checkpoints later
"""

import numpy as np
import pandas as pd

from demo import pairs
from pipeline.statistics.resampling import resample_means

PAIRS_PER_PARADIGM = 300
N_RESAMPLES = 500
WEAKNESS = 0.9
SHIFTS = (-2, -1, 1, 2)  # checkpoints


def make_stock(n_pairs, seed):
    """Make a stock of minimal pairs: a table with columns paradigm, level, good, bad."""
    rows = [
        (paradigm, level, good, bad)
        for paradigm, (_, level) in pairs.PARADIGMS.items()
        for good, bad in pairs.make_distinct_pairs(paradigm, n_pairs, f"{seed} calibration")
    ]
    return pd.DataFrame(rows, columns=["paradigm", "level", "good", "bad"])


def make_benchmark_curves(right, stock, rng):
    """Draw the benchmarks of a study from the stock of pairs, and compute their curves: name to (curve, resamples)."""

    def draw(level):
        items = np.concatenate(
            [
                rng.choice(np.flatnonzero(stock["paradigm"] == paradigm), PAIRS_PER_PARADIGM)
                for paradigm, (_, paradigm_level) in pairs.PARADIGMS.items()
                if paradigm_level == level
            ]
        )
        return right[:, items].astype(float), stock["paradigm"].to_numpy()[items]

    drawn = {"blimp": draw("hard"), "blimp_again": draw("hard"), "zorro": draw("easy")}
    values, groups = draw("hard")
    coin = np.where(rng.random(len(groups)) < 0.5, values, 1 - values)
    drawn["coin"] = coin, groups
    drawn["weak"] = np.where(rng.random(len(groups)) < WEAKNESS, coin, values), groups
    for shift in SHIFTS:
        values, groups = drawn["blimp"]
        drawn[f"blimp_{shift:+d}_checkpoint"] = shift_checkpoints(values, shift), groups
    return {name: resample_means(items, groups, N_RESAMPLES) for name, (items, groups) in drawn.items()}


def shift_checkpoints(values, shift):
    """Move the values of trained checkpoints some checkpoints later; those of the first, untrained, stay."""
    places = np.clip(np.arange(len(values)) - shift, 1, len(values) - 1)
    return values[[0, *places[1:]]]


def compute_true_curves(right, stock):
    """Compute the curves of the benchmarks on the whole stock, without noise: name to array of shape (n_checkpoints,).

    Parameters
    ----------
    right : bool array of shape (n_checkpoints, n_pairs)
    stock : pandas.DataFrame
        As ``make_stock`` returns it.
    """
    hard, easy = (_score_stock(right, stock, level) for level in ("hard", "easy"))
    curves = {"blimp": hard, "blimp_again": hard, "zorro": easy, "coin": np.full(len(right), 0.5)}
    curves["weak"] = WEAKNESS * curves["coin"] + (1 - WEAKNESS) * hard
    return curves | {f"blimp_{shift:+d}_checkpoint": shift_checkpoints(hard, shift) for shift in SHIFTS}


def _score_stock(right, stock, level):
    """Return the score of each checkpoint on the whole stock of a level: array of shape (n_checkpoints,)."""
    is_level = (stock["level"] == level).to_numpy()
    by_paradigm = pd.DataFrame(right.T[is_level]).groupby(stock["paradigm"][is_level].to_numpy()).mean()
    return by_paradigm.mean().to_numpy()
