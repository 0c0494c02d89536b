"""Map when a difference between mirrored voxels emerges."""

import numpy as np

from pipeline.brain.hemispheres import assign_hemispheres, find_mirror_voxels, subtract_mirror_voxels
from pipeline.statistics.checkpoints import select_tokens_for_fits
from pipeline.transitions.emergence import detect_emergence
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS


def compute_emergence_map(checkpoints, scores, mask_image, reliable):
    """Compute the midpoint of the rise of left minus right, for each pair of mirrored voxels.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with the column tokens, and same_weights_as where it is known
    scores : array (n_checkpoints, n_runs, n_voxels) with layers chosen on other runs, or None where runs are not known
    mask_image : nibabel image
    reliable : bool array (n_voxels,). A pair counts if at least one of its voxels is reliable.

    Returns
    -------
    log_tokens : array (n_voxels,), log10 of training tokens, in the voxels of the left. NaN on the right, and where the
        difference does not rise or fall beyond chance (see ``transitions.emergence``).
    n_pairs : int, the number of tested pairs. 0 where runs are not known, or where there are fewer than 5 trained
        checkpoints with weights of their own.
    """
    log_tokens = np.full(len(reliable), np.nan)
    tokens = select_tokens_for_fits(checkpoints)
    trained = np.flatnonzero(tokens > 0)
    if scores is None or len(trained) < FEWEST_CHECKPOINTS:
        return log_tokens, 0
    differences = subtract_mirror_voxels(scores[trained], mask_image)  # (n_trained, n_runs, n_voxels)
    left, mirror = assign_hemispheres(mask_image)[0], find_mirror_voxels(mask_image)
    is_tested = left & (mirror >= 0) & (reliable | reliable[mirror]) & np.isfinite(differences[-1]).all(axis=0)
    if is_tested.any():
        by_run = differences[:, :, is_tested].transpose(1, 0, 2)  # (n_runs, n_trained, n_pairs)
        log_tokens[is_tested] = detect_emergence(np.log10(tokens[trained]), by_run)
    return log_tokens, int(is_tested.sum())
