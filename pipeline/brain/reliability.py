"""Compute noise ceilings from the inter-subject correlation (ISC), and match mirror voxels in ISC.

A model that predicts a fixed share of the signal of a voxel has a correlation in proportion to the noise ceiling of the
voxel: the square root of the reliability of the average listener. So a hemisphere with less noise is predicted better.
"""

from typing import NamedTuple

import numpy as np

from pipeline.brain.hemispheres import find_mirror_voxels
from pipeline.errors import InputError

LOWEST_ISC = 0.05  # a voxel at or below it has no ceiling to divide by
CALIPER = 0.05  # largest difference in ISC within a pair
BALANCE = 0.001  # mean difference in ISC over pairs, which has to be below it


class MatchedPairs(NamedTuple):
    """Hold mirror pairs of voxels that are matched in ISC.

    ``left`` and ``right`` are bool arrays (n_voxels,), the left and right voxels of the pairs. ``n_candidates`` (int)
    counts the mirror pairs with both sides reliable. ``isc_difference`` (float) is the mean ISC of the left minus that
    of the right, over the matched pairs; NaN without a pair.
    """

    left: np.ndarray
    right: np.ndarray
    n_candidates: int
    isc_difference: float

    @property
    def n_pairs(self):
        """Return the number of matched pairs, an int."""
        return int(self.left.sum())


def compute_ceilings(isc, isc_kind="prediction"):
    """Compute the noise ceiling of the average over all listeners in each voxel.

    The reliability of the average over half of the listeners is r. The average over all listeners then has the
    reliability 2 r / (1 + r) (Spearman 1910, Brown 1910). A perfect model of its signal has the square root of this
    reliability as its correlation. Two kinds of ISC give r:

    - "prediction": the published ISC. A ridge regression on all voxels of one half of the listeners predicts the other
      half in held-out runs. All voxels together contain little noise. If the prediction equals the signal, the ISC is
      the square root of r, so that r = ISC^2. Otherwise r is larger. The ceilings then differ too much between voxels,
      so that a side with a lower ISC gets more than its due.
    - "halves": the correlation of a voxel in one half of the listeners with the same voxel in the other half. The ISC
      is r.

    Plain division by the ISC gives a less reliable side too much with either kind. The tests simulate listeners, both
    kinds of ISC, and the result of each formula.

    Parameters
    ----------
    isc : array (n_trials, n_voxels), as for ``select_reliable_voxels``
    isc_kind : {"prediction", "halves"}; InputError for another kind

    Returns
    -------
    float array (n_voxels,), NaN where the mean ISC is LOWEST_ISC or less
    """
    mean_isc = np.mean(isc, axis=0, dtype=float)
    mean_isc = np.where(mean_isc > LOWEST_ISC, mean_isc, np.nan)
    if isc_kind not in ("prediction", "halves"):
        raise InputError(f"isc_kind: expected prediction or halves, got {isc_kind!r}")
    reliability = mean_isc**2 if isc_kind == "prediction" else mean_isc
    return np.sqrt(2 * reliability / (1 + reliability))


def match_mirror_pairs(isc, left, right, mask_image):
    """Match voxels of the left with their mirror images in ISC.

    Pairs count if both voxels are reliable, and differ in ISC by CALIPER at most. If the left of these pairs has the
    higher mean ISC, the pairs with the largest excess of the left are dropped until it has not, and likewise for the
    right. If the means still differ by BALANCE or more, as in few pairs, no pair is matched. InputError is raised if
    the mask's grid is not symmetric.

    Parameters
    ----------
    isc : array (n_trials, n_voxels)
    left, right : bool array (n_voxels,), the reliable voxels of each side
    mask_image : nibabel image

    Returns
    -------
    MatchedPairs
    """
    mean_isc, mirror = np.mean(isc, axis=0, dtype=float), find_mirror_voxels(mask_image)
    lefts = np.flatnonzero(left & (mirror >= 0))
    lefts = lefts[right[mirror[lefts]]]
    n_candidates = len(lefts)
    difference = mean_isc[lefts] - mean_isc[mirror[lefts]]
    lefts, difference = lefts[np.abs(difference) <= CALIPER], difference[np.abs(difference) <= CALIPER]
    excess = np.sign(difference.sum()) * difference  # of the side with the higher mean
    order = np.argsort(excess, kind="stable")  # the largest excess is dropped first
    is_enough = np.cumsum(excess[order]) <= 0
    n_pairs = int(np.flatnonzero(is_enough)[-1]) + 1 if is_enough.any() else 0
    kept = order[:n_pairs]
    isc_difference = float(difference[kept].mean()) if n_pairs else np.nan
    if not abs(isc_difference) < BALANCE:
        kept, isc_difference = kept[:0], np.nan
    is_left, is_right = np.zeros((2, len(left)), dtype=bool)
    is_left[lefts[kept]], is_right[mirror[lefts[kept]]] = True, True
    return MatchedPairs(is_left, is_right, n_candidates, isc_difference)
