"""Left minus right in regions: how sure it is in each, and which of them remain when all are counted."""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from pipeline.brain.curves import add_checkpoints
from pipeline.brain.hemispheres import average_sides
from pipeline.statistics.checkpoints import find_last_to_report

LEVEL = 0.05  # of the tests, over all regions
COLUMNS = [
    *["region", "revision", "tokens", "left", "right", "left_minus_right", "low", "high"],
    *["left_nested", "right_nested", "left_minus_right_nested", "low_nested", "high_nested"],
    *["n_left", "n_right", "p", "p_holm", "same_weights_as"],
]


def compute_region_curves(checkpoints, scores, regions):
    """Compute left minus right over training in each region.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens, and same_weights_as where it is known.
    scores : dict
        As ``brain_curves.scores_by_choice`` returns it.
    regions : dict from name to (left, right), bool arrays of shape (n_voxels,)
        Regions of which a side has no voxel with a score are left out.

    Returns
    -------
    pandas.DataFrame with a row per region and checkpoint
        region, revision, tokens; left, right, left_minus_right, low, high; the same with "_nested" where runs
        are known; n_left, n_right (voxels with a score on either side, reliable or not); p, p_holm;
        same_weights_as where the checkpoints have it. low and high are 95 % intervals of single points, from
        ``mean_over_runs``. p is of left minus right of 0 with layers chosen on other runs, at the last
        checkpoint (the last one with weights of its own), and p_holm is corrected for the number of regions
        (Holm 1979); both are NaN at other checkpoints, and where only averages over runs are known.
    """
    last = find_last_to_report(checkpoints)
    is_known = np.all([np.isfinite(values).all(axis=(0, 1)) for values in scores.values()], axis=0)
    tables = []
    for name, (left, right) in regions.items():
        left, right = left & is_known, right & is_known
        if not (left.any() and right.any()):
            continue
        columns = {"region": name, "n_left": left.sum(), "n_right": right.sum(), "p": np.nan}
        for choice, suffix in [("maximum", ""), ("nested", "_nested")]:
            if choice in scores:
                sides = average_sides(scores[choice], left, right)  # each of shape (n_checkpoints, n_runs)
                estimate, low, high, p = compute_p_over_runs(sides[0] - sides[1])
                columns |= {
                    f"left{suffix}": sides[0].mean(axis=1),
                    f"right{suffix}": sides[1].mean(axis=1),
                    f"left_minus_right{suffix}": estimate,
                    **{f"low{suffix}": low, f"high{suffix}": high},
                    "p": np.where(checkpoints["tokens"] == last, p, np.nan),
                }
        tables.append(add_checkpoints(checkpoints, columns))
    together = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    together["p_holm"] = correct_holm(together["p"])
    return together[[column for column in COLUMNS if column in together]]


def compute_p_over_runs(values):
    """Compute the mean over left-out runs, its 95 % interval, and a test against 0.

    A region is given: its voxels are all that there is of it, and only runs could have been others. (Blocks of
    20 mm, which are drawn for hemispheres, are as large as a region: one or two of them decide everything.)

    Runs are not independent, since the model of each run was trained on the others. If fMRI is noise, how run
    r predicts run s and how s predicts r are one and the same number, so that scores of runs go up and down
    together and their mean varies by 2 (n - 1) / (n - 2) times what the t test assumes, about twice.
    Nadeau & Bengio (2003, Machine Learning 52) correct for it with the variance (1 / n + n_test / n_train) s^2,
    here (1 / n + 1 / (n - 1)) s^2, which is about twice too. The distribution is t with n - 1 degrees of freedom.

    Parameters
    ----------
    values : array of shape (..., n_runs)

    Returns
    -------
    mean, low, high, p : arrays of shape (...)
        low, high and p (two-sided) are NaN with a single run.
    """
    n_runs, mean = values.shape[-1], values.mean(axis=-1, dtype=float)
    if n_runs < 2:
        return mean, *np.full((3, *mean.shape), np.nan)
    error = values.std(axis=-1, ddof=1, dtype=float) * np.sqrt(1 / n_runs + 1 / (n_runs - 1))
    half_width = student.ppf(0.975, n_runs - 1) * error
    size = np.divide(np.abs(mean), error, out=np.where(mean == 0, 0, np.inf), where=error > 0)
    return mean, mean - half_width, mean + half_width, 2 * student.sf(size, n_runs - 1)


def correct_holm(p_values):
    """Correct p-values for their number, so that one in twenty studies without any effect has a finding.

    Parameters
    ----------
    p_values : array of shape (n,)
        NaN does not count.

    Returns
    -------
    array of shape (n,)
        The step-down method of Holm (1979): the smallest times n, the next times n - 1, and so on; never less
        than that of a smaller one, nor more than 1.
    """
    p_values = np.asarray(p_values, dtype=float)
    corrected, known = np.full(p_values.shape, np.nan), np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    return corrected


def select_largest(curves, number=12):
    """Return the rows of the regions with the largest difference at the last checkpoint, for a figure.

    Parameters
    ----------
    curves : pandas.DataFrame
        As ``region_curves`` returns it.
    number : int

    Returns
    -------
    pandas.DataFrame
    """
    name = pick_difference_column(curves)
    size = curves.groupby("region")[name].last().abs()
    return curves[curves["region"].isin(size.nlargest(number).index)]


def pick_difference_column(table):
    """Return the column of left minus right that comes first: with layers chosen on other runs, where it is there."""
    return "left_minus_right_nested" if "left_minus_right_nested" in table else "left_minus_right"
