"""Read the voxel correlations that the fit wrote."""

import numpy as np

from pipeline.errors import InputError, explain_errors
from study.files.archives import check_member
from study.files.safe_joblib import read_arrays
from study.paths import layer_correlations_path, run_correlations_path

MOST_CORRELATIONS = 2**31  # bytes of a checkpoint's


def read_correlations(stem, lang):
    """Correlations (Pearson's r) of a checkpoint between measured and predicted fMRI.

    Where there is no ``.npz`` with every left-out run, as from the published code, the averages of
    the layers are read, and n_runs is 1.

    Returns
    -------
    float array of shape (n_layers, n_runs, n_voxels)

    Raises
    ------
    InputError
        There is no file, one is damaged, or layers have different voxels.
    """
    path = run_correlations_path(stem, lang)
    if path.exists():
        with explain_errors(path, "make it again with fit_average_subject.py --overwrite"), np.load(path) as arrays:
            for member in arrays.zip.infolist():
                check_member(member, MOST_CORRELATIONS)
            correlations = arrays["correlations"]
            if correlations.ndim != 3 or correlations.dtype.kind != "f":
                raise ValueError(f"correlations are {correlations.dtype} of shape {correlations.shape}")
            return correlations
    layers: list[np.ndarray] = []
    while (path := layer_correlations_path(stem, len(layers), lang)).is_file():
        layers.append(read_arrays(path))
        if not isinstance(layers[-1], np.ndarray) or layers[-1].ndim != 1 or layers[-1].shape != layers[0].shape:
            shape = getattr(layers[-1], "shape", "of no array")
            raise InputError(f"{path}: shape {shape} instead of (n_voxels,); make it again")
    if not layers:
        raise InputError(f"{path} is missing: fit_average_subject.py makes it")
    return np.stack(layers)[:, None]


def read_all_correlations(checkpoints, lang):
    """Correlations of every checkpoint that is fitted in whole.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        As ``fitted_checkpoints`` returns it.
    lang : str

    Returns
    -------
    checkpoints : pandas.DataFrame
        Without those that have fewer layers than others: they are still being fitted.
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)
    unfinished : list of str
        The revisions that were left out.
    """
    correlations = [read_correlations(stem, lang) for stem in checkpoints["stem"]]
    n_layers = np.array([len(of_checkpoint) for of_checkpoint in correlations])
    whole = n_layers == n_layers.max()
    kept = [of_checkpoint for of_checkpoint, is_whole in zip(correlations, whole, strict=True) if is_whole]
    return checkpoints[whole].reset_index(drop=True), kept, list(checkpoints["revision"][~whole])
