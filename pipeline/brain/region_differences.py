"""Compute left minus right in regions, with intervals and with tests that are corrected for their number."""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from pipeline.brain.hemispheres import average_sides
from pipeline.brain.scores import add_checkpoints
from pipeline.statistics.checkpoints import find_last_to_report
from pipeline.statistics.holm import correct_holm
from pipeline.statistics.intervals import TAIL

COLUMNS = (
    "region revision tokens left right left_minus_right low high "
    "left_nested right_nested left_minus_right_nested low_nested high_nested "
    "n_left n_right p p_holm interval_over same_weights_as"
).split()


def compute_region_curves(checkpoints, scores, regions):
    """Compute left minus right over training in each region.

    low and high are 95 % intervals of single points, from ``compute_p_over_runs``. They are over runs, not over blocks
    of voxels, however large a region is. p tests left minus right against 0, with layers chosen on other runs, at the
    last checkpoint with weights of its own. p_holm is corrected for the number of regions (Holm 1979). Both are NaN at
    the earlier checkpoints, and where only averages over runs are known.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns revision and tokens, and same_weights_as where it is known
    scores : dict, as ``curves.compute_scores`` returns it
    regions : dict from name to (left, right), bool arrays (n_voxels,). Regions are omitted where a side has no voxel
        with a score.

    Returns
    -------
    pandas.DataFrame with a row per region and checkpoint: region, revision, tokens, left, right, left_minus_right, low
        and high. The same five with "_nested" where runs are known. n_left and n_right are the voxels with a score on
        either side, reliable or not. p and p_holm. interval_over is "runs", or empty where no interval is known.
        same_weights_as where the checkpoints have it.
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
                lefts, rights = average_sides(scores[choice], left, right)  # (n_checkpoints, n_runs)
                estimate, low, high, p = compute_p_over_runs(lefts - rights)
                names = [f"{column}{suffix}" for column in ("left", "right", "left_minus_right", "low", "high")]
                values = lefts.mean(axis=1), rights.mean(axis=1), estimate, low, high
                columns |= dict(zip(names, values, strict=True))
                columns["p"] = np.where(checkpoints["tokens"] == last, p, np.nan)
                columns["interval_over"] = np.where(np.isfinite(low), "runs", "")
        tables.append(add_checkpoints(checkpoints, columns))
    curves = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    curves["p_holm"] = correct_holm(curves["p"])
    return curves[[column for column in COLUMNS if column in curves]]


def compute_p_over_runs(values):
    """Compute the mean over held-out runs, its 95 % interval, and a test against 0.

    Only runs vary, not voxels: a region consists of all its voxels. So the interval does not cover differences between
    voxels that have nothing to do with the model. (The blocks of 40 mm that are drawn for hemispheres are larger than
    most regions. A bootstrap over voxels takes ``scores.FEWEST_BLOCKS`` blocks or more.)

    Runs are not independent, since the model of each run was trained on the remaining runs. In fMRI of pure
    noise, run r predicts run s exactly as well as s predicts r. Scores of runs are then correlated, and the
    variance of their mean is 2 (n - 1) / (n - 2) times that of the t test, about twice. Nadeau & Bengio (2003,
    Machine Learning 52) correct for it with the variance (1 / n + n_test / n_train) s^2, here
    (1 / n + 1 / (n - 1)) s^2, which is about twice too. The distribution is t with n - 1 degrees of freedom.

    From values (..., n_runs), return mean, low, high and p (two-sided), arrays (...). The last three are NaN with a
    single run.
    """
    n_runs, mean = values.shape[-1], values.mean(axis=-1, dtype=float)
    if n_runs < 2:
        return mean, *np.full((3, *mean.shape), np.nan)
    error = values.std(axis=-1, ddof=1, dtype=float) * np.sqrt(1 / n_runs + 1 / (n_runs - 1))
    half_width = student.ppf(1 - TAIL, n_runs - 1) * error
    size = np.divide(np.abs(mean), error, out=np.where(mean == 0, 0, np.inf), where=error > 0)
    return mean, mean - half_width, mean + half_width, 2 * student.sf(size, n_runs - 1)


def select_largest(curves, number=12):
    """Return the rows of ``compute_region_curves`` of the regions with the largest last differences, for a figure."""
    name = pick_difference_column(curves)
    sizes = curves.groupby("region")[name].last().abs()
    return curves[curves["region"].isin(sizes.nlargest(number).index)]


def pick_difference_column(table):
    """Return the name of the main column of left minus right: with layers chosen on other runs, where known."""
    return "left_minus_right_nested" if "left_minus_right_nested" in table else "left_minus_right"
