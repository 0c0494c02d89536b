"""Read the voxel correlations that the fit wrote."""

import numpy as np

from pipeline.errors import InputError, explain_errors
from pipeline.wording import describe_array
from study.files.safe_joblib import check_member, read_arrays
from study.paths import layer_correlations_path, run_correlations_path

MOST_CORRELATIONS = 2**31  # bytes of one checkpoint


def read_correlations(stem, lang):
    """Read the correlations (Pearson's r) between measured and predicted fMRI of a checkpoint.

    The published code writes averages over held-out runs only. Where no ``.npz`` with all held-out runs exists, these
    averages are read, and n_runs is 1. Missing or damaged files, and layers of different sizes, raise InputError.
    Returns float array (n_layers, n_runs, n_voxels).
    """
    path = run_correlations_path(stem, lang)
    if path.exists():
        with explain_errors(path, "make it again with fit_average_subject.py --overwrite"), np.load(path) as arrays:
            for member in arrays.zip.infolist():
                check_member(member, MOST_CORRELATIONS)
            correlations = arrays["correlations"]
            if correlations.ndim != 3 or correlations.dtype.kind != "f":
                raise ValueError(f"correlations are {describe_array(correlations)}")
            return correlations
    layers: list[np.ndarray] = []
    while (path := layer_correlations_path(stem, len(layers), lang)).is_file():
        layer = read_arrays(path)
        if not isinstance(layer, np.ndarray) or layer.ndim != 1 or (layers and layer.shape != layers[0].shape):
            raise InputError(
                f"{path}: expected an array of shape (n_voxels,), got {describe_array(layer)}. Make it again."
            )
        layers.append(layer)
    if not layers:
        raise InputError(f"{path}: expected a file, got none. fit_average_subject.py makes it.")
    return np.stack(layers)[:, None]


def read_all_correlations(checkpoints, lang):
    """Read the correlations of every checkpoint with all layers.

    Parameters
    ----------
    checkpoints : pandas.DataFrame, as ``find_fitted_checkpoints`` returns it
    lang : str

    Returns
    -------
    checkpoints : pandas.DataFrame, without checkpoints with fewer layers than the others, which are still being fitted
    correlations : list over checkpoints of array (n_layers, n_runs, n_voxels)
    unfinished : list of str, revisions of the checkpoints that are still being fitted
    """
    correlations = [read_correlations(stem, lang) for stem in checkpoints["stem"]]
    n_layers = np.array(list(map(len, correlations)))
    is_whole = n_layers == n_layers.max()
    complete = [correlations[row] for row in np.flatnonzero(is_whole)]
    return checkpoints[is_whole].reset_index(drop=True), complete, list(checkpoints["revision"][~is_whole])
