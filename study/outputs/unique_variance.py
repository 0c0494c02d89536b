"""Read the unique variance that ``fit_average_subject.py --nuisance`` wrote."""

import collections
import json

import numpy as np

from pipeline.encoding.unique_variance import compute_unique_variance
from pipeline.errors import explain_errors
from pipeline.wording import describe_array
from study.files.safe_joblib import check_member
from study.outputs.correlations import MOST_CORRELATIONS
from study.paths import activations_path, unique_correlations_path
from study.records import read_record


def read_unique_variance(stem, lang):
    """Read a checkpoint's unique variance, and check that it is what its correlations give.

    InputError is raised if the file is missing or damaged, or contains values that are not possible.

    Returns
    -------
    dict of float array
        correlations (of model and nuisance) and unique (n_layers, n_runs, n_voxels), nuisance_correlations (of the
        nuisance alone, n_runs, n_voxels), alphas and nuisance_alphas (n_layers, n_runs), nuisance_alone_alphas
        (n_runs,). Voxels that do not vary in a run are NaN there.
    """
    path = unique_correlations_path(stem, lang)
    with explain_errors(path, "make it again with fit_average_subject.py --nuisance ... --overwrite"):
        with np.load(path) as file:
            for member in file.zip.infolist():
                check_member(member, MOST_CORRELATIONS)
            arrays = dict(file)
        unique, both, alone = (arrays[name] for name in ("unique", "correlations", "nuisance_correlations"))
        if (
            unique.ndim != 3
            or unique.dtype.kind != "f"
            or both.shape != unique.shape
            or alone.shape != unique.shape[1:]
        ):
            raise ValueError(f"unique is {describe_array(unique)}, correlations are {describe_array(both)}")
        for name in ("alphas", "nuisance_alphas"):
            if arrays[name].shape != unique.shape[:2] or not (arrays[name] > 0).all():
                raise ValueError(f"{name} are not {unique.shape[:2]} numbers above 0")
        for name, r in (("correlations", both), ("nuisance_correlations", alone)):
            if not (np.isnan(r) | (np.abs(r) < 1 + 1e-4)).all():
                raise ValueError(f"{name} are not from -1 to 1")
        if not np.allclose(unique, compute_unique_variance(both, alone), atol=1e-5, equal_nan=True):
            raise ValueError("unique is not the difference of correlations and nuisance_correlations")
    return arrays


def read_unique_scores(checkpoints, lang):
    """Read the unique variance of every checkpoint that was fitted with the most common nuisance.

    Fits with different nuisances, penalties, numbers of layers, runs or voxels are not mixed.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns stem and revision, as ``find_fitted_checkpoints`` returns it
    lang : str

    Returns
    -------
    unique : list over checkpoints of float array (n_layers, n_runs, n_voxels), or None
        None where a checkpoint has no such fit, or was fitted in another way than most.
    nuisance : list of str, names in the activation files of the nuisance; empty where no checkpoint has such a fit
    sentences : list of str, what is left out, for the user
    """
    unique: list[np.ndarray | None] = []
    methods: list[str | None] = []
    for stem in checkpoints["stem"]:
        is_there = unique_correlations_path(stem, lang).is_file()
        values = read_unique_variance(stem, lang)["unique"] if is_there else None
        unique.append(values)
        methods.append(None if values is None else describe_method(stem, lang, values.shape))
    if not any(methods):
        return unique, [], []
    usual, _ = collections.Counter(filter(None, methods)).most_common(1)[0]
    is_missing = [method is None for method in methods]
    is_different = [method not in (None, usual) for method in methods]
    sentences = []
    if any(is_missing):
        sentences.append(f"unique variance was not computed for {', '.join(checkpoints['revision'][is_missing])}")
    if any(is_different):
        names = ", ".join(checkpoints["revision"][is_different])
        sentences.append(f"unique variance of {names} was computed in another way than that of most checkpoints")
    kept = [values if method == usual else None for values, method in zip(unique, methods, strict=True)]
    return kept, json.loads(usual)["parameters"].get("nuisance", []), sentences


def describe_method(stem, lang, shape):
    """Return in one text how a unique variance was computed: options, checksums of the nuisance, and its shape."""
    record = read_record(unique_correlations_path(stem, lang))
    parameters = record.get("parameters", {})
    names = [activations_path(nuisance, lang).name for nuisance in parameters.get("nuisance", [])]
    checksums = {name: record.get("inputs", {}).get(name) for name in names}
    return json.dumps({"parameters": parameters, "checksums": checksums, "shape": list(shape)}, sort_keys=True)
