"""Read and write brain benchmarks, their ceilings, and the scores of models on them."""

import numpy as np

from pipeline.errors import InputError
from study import paths
from study.files.atomic import write_whole
from study.files.npz import read_npz
from study.files.safe_joblib import read_array_lists
from study.files.tables import read_values
from study.inputs.brain_benchmarks import BrainBenchmark
from study.require import require_input, require_output

PREPARE = "python -m experiments.brain_score.prepare"
SCORE = "python -m experiments.brain_score.score"
LOCALIZE = "python -m experiments.brain_score.localize"
CEILING = "python -m experiments.brain_score.ceiling"
SCORE_COLUMNS = ["layer", "subject", "raw", "low", "high", "ceiling", "score", "unique_r2", "cka"]
CEILING_COLUMNS = ["subject", "at_n", "low", "high", "extrapolated", "at_bound", "n_neuroids"]


def write_npz(path, arrays):
    """Write a dict of arrays as ``.npz`` without pickles."""
    with write_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def read_benchmark(benchmark):
    """Read the prepared responses of a benchmark, a BrainBenchmark; InputError if they are missing or damaged."""
    path = require_input(paths.brain_benchmark_path(benchmark), PREPARE)
    arrays = read_npz(path, BrainBenchmark._fields, f"expected arrays of a benchmark. {PREPARE} makes them.")
    n_units, n_neuroids = arrays["responses"].shape if arrays["responses"].ndim == 2 else (0, 0)
    shapes: dict[str, tuple] = {"responses": (n_units, n_neuroids), "positions": (n_neuroids, 3)}
    shapes |= dict.fromkeys(("subjects", "regions", "neuroids"), (n_neuroids,))
    shapes |= dict.fromkeys(("runs", "groups", "units", "stored"), (n_units,))
    check_arrays(path, arrays, shapes, texts=("subjects", "regions", "neuroids", "runs", "groups", "units"))
    if not (arrays["responses"].size and np.isfinite(arrays["responses"]).all()):
        raise InputError(f"{path}: responses: expected finite numbers, got others or none. {PREPARE} makes it.")
    return BrainBenchmark(**arrays)


def check_arrays(path, arrays, shapes, texts=()):
    """Check the shapes of arrays, a dict from name to tuple of int, and that they are numbers, or text in ``texts``.

    InputError is raised for the first array that is different.
    """
    for name, shape in shapes.items():
        values, kinds = arrays[name], "U" if name in texts else "biuf"
        if values.shape != shape or values.dtype.kind not in kinds:
            kind = "text" if name in texts else "numbers"
            raise InputError(
                f"{path}: {name}: expected {kind} of the shape {shape}, got {values.dtype} {values.shape}. "
                "Make it again."
            )


def read_story_activations(stem, story, n_units):
    """Read the states of a checkpoint or baseline at the units of a story table.

    Parameters
    ----------
    stem, story : str
    n_units : int, units of the story; another number in the file raises InputError

    Returns
    -------
    list over layers of float array (n_units, n_features)
    """
    path = require_output(paths.activations_path(stem, story), "the extraction of states at the units of the story")
    runs = list(read_array_lists(path))
    layers = [np.concatenate(arrays) for arrays in zip(*runs, strict=True)]
    if any(len(layer) != n_units or layer.ndim != 2 or layer.dtype.kind != "f" for layer in layers):
        raise InputError(
            f"{path}: expected arrays ({n_units}, n_features) in each layer, as {story} has units, got "
            f"{layers[0].shape}. Extract again."
        )
    return layers


def read_units(path, n_features, is_random=False):
    """Read the units that ``localize`` selected, or its random units of the same layers.

    Parameters
    ----------
    path : pathlib.Path
    n_features : list of int, units of each layer of the states; a mask of another shape raises InputError
    is_random : bool

    Returns
    -------
    bool array (n_layers, n_units)
    """
    require_input(path, LOCALIZE)
    name = "random_mask" if is_random else "mask"
    mask = read_npz(path, [name], f"expected units of a model. {LOCALIZE} makes them.")[name]
    if mask.dtype != bool or mask.ndim != 2 or [mask.shape[1]] * len(mask) != n_features:
        expected = f"({len(n_features)}, {n_features[0]})"
        raise InputError(
            f"{path}: {name}: expected bool {expected}, the layers and units of the states, got {mask.dtype} "
            f"{mask.shape}. {LOCALIZE} makes it from the same model."
        )
    return mask


def read_scores(path):
    """Read the scores of a model, a dict of arrays (see ``study.stages.brain_score.score_benchmark``)."""
    names = ["correlations", "r2", "alphas", "subjects", "cka", "cka_p", "nested_layers"]
    remedy = f"expected scores of a model. {SCORE} makes them."
    arrays = read_npz(path, names, remedy, optional=["unique_r2"])
    shape = arrays["correlations"].shape
    if len(shape) != 3 or 0 in shape:
        raise InputError(f"{path}: correlations: expected layers, folds and neuroids, got {shape}. {SCORE} makes it.")
    n_layers, n_folds, n_neuroids = shape
    by_subject = (n_layers, arrays["cka"].shape[-1] if arrays["cka"].ndim else 0)
    shapes = {"correlations": shape, "r2": shape, "subjects": (n_neuroids,), "nested_layers": (n_folds,)}
    shapes |= {"alphas": (n_layers, n_folds, *arrays["alphas"].shape[2:]), "cka": by_subject, "cka_p": by_subject}
    shapes |= {"unique_r2": (n_layers, n_neuroids)} if "unique_r2" in arrays else {}
    check_arrays(path, arrays, shapes, texts=("subjects",))
    return arrays


def read_score_table(path):
    """Read the table of scores of a model, with numbers as numbers and subjects as text."""
    return read_values(path, text=("subject",))


def read_ceiling(path, expected):
    """Read the ceilings of a benchmark, a dict of arrays by the names of ``ceilings.Ceilings``, and subjects.

    Parameters
    ----------
    path : pathlib.Path
    expected : dict from option to str, the options of the scores that are to be divided: a ceiling of other splits or
        another regression raises InputError, since scores are comparable only with ceilings of the same folds.
    """
    names = ["at_n", "at_n_low", "at_n_high", "extrapolated", "tau", "low", "high", "at_bound", "subjects"]
    arrays = read_npz(path, [*names, *expected], f"expected ceilings. {CEILING} makes them.")
    for option, value in expected.items():
        if str(arrays[option]) != str(value):
            raise InputError(
                f"{path}: {option}: expected the {option} of the scores, {value}, got {arrays[option]}. "
                f"{CEILING} makes a ceiling of the same {option}."
            )
    n_neuroids = arrays["subjects"].size
    check_arrays(path, arrays, dict.fromkeys(names, (n_neuroids,)), texts=("subjects",))
    return {name: arrays[name] for name in names}
