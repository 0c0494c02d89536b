"""Check the outputs of the stages: whether files are as they were written, and whether they agree."""

import numpy as np

from pipeline.checksums import compute_sha256
from pipeline.errors import InputError
from pipeline.tasks.table import BENCHMARKS, is_same_part
from pipeline.wording import shorten
from report import states
from study import paths, progress
from study.checkpoints import find_fitted_checkpoints
from study.files.safe_joblib import read_arrays
from study.inputs.le_petit_prince import read_average_subject, read_mask
from study.inputs.story import make_hrf_matrices, make_layer_regressors
from study.outputs import task_tables
from study.outputs.activations import read_activations, read_onsets_offsets
from study.outputs.comparability import find_differences
from study.outputs.correlations import read_correlations
from study.outputs.surprisal import read_surprisal
from study.outputs.tasks import read_acceptability_items, read_benchmarks
from study.outputs.texts import read_acceptability, read_generated_texts
from study.outputs.unique_variance import read_unique_variance
from study.records import find_changed_input, read_record

FITTED = ["done", "averages", "other options", "outdated"]  # states of a fit that has left correlations


def check_outputs(results, table, lang, lm_eval):
    """Check the outputs of every checkpoint, and whether those of a model agree; return their number in words."""
    matrices = make_matrices_to_check(results, table, lang)
    with progress.bar(len(table), "checking", "checkpoint") as bar:
        for row in table.to_dict("records"):
            check_stages(results, row, lang, matrices)
            for benchmark in BENCHMARKS:
                results.attempt(check_benchmark, row["stem"], benchmark)
            bar.update()
    check_correlations(results, table, lang)
    folder = paths.generated_texts_folder()
    if list(folder.glob("*_gen_*.txt")):
        results.attempt(read_generated_texts, folder)
    for model, rows in table.dropna(subset="name").groupby("name"):
        judgements = paths.acceptability_path(model, folder)
        if judgements.is_file():
            results.attempt(read_acceptability, judgements)
        results.attempt(check_curve, results, model, rows, lang, lm_eval)
    return f"{len(table)} known, {table['fit'].isin(FITTED).sum()} of them fitted"


def check_baselines(results, table, lang):
    """Check the outputs of every baseline, as ``states.tabulate_baselines`` returns them; return their number in words.

    Without baselines, "" is returned.
    """
    if table.empty:
        return ""
    matrices = make_matrices_to_check(results, table, lang)
    for row in table.to_dict("records"):
        check_stages(results, row, lang, matrices)
    check_correlations(results, table.assign(name=table["stem"]), lang)
    return f"{len(table)} known, {table['fit'].isin(FITTED).sum()} of them fitted"


def check_stages(results, row, lang, matrices):
    """Check the records of a row of states, and its word vectors."""
    for stage, path in states.list_outputs(row["stem"], lang).items():
        if stage not in row or (stage == "activations" and row["fit"] == "done" and not path.is_file()):
            continue  # not a stage of baselines, or deleted after the fit
        results.attempt(check_record, results, path)
        if row[stage] == "outdated":
            results.error(f"{path} was made from other files than are there now")
        if row[stage] == "other options":
            results.error(f"{path} was made with other options than those of most checkpoints")
    if paths.activations_path(row["stem"], lang).is_file():
        results.attempt(check_activations, row, lang, matrices)
    if paths.surprisal_path(row["stem"], lang).is_file():
        results.attempt(read_surprisal, row["stem"], lang)
    if paths.unique_correlations_path(row["stem"], lang).is_file():
        results.attempt(check_unique_variance, results, row["stem"], lang)


def make_matrices_to_check(results, table, lang):
    """Return the matrices of the fit where vectors wait for a fit and the inputs are right, else None."""
    waiting = table["stem"][~table["fit"].isin(FITTED)]
    is_needed = any(paths.activations_path(stem, lang).is_file() for stem in waiting)
    # Wrong inputs must be corrected first.
    return results.attempt(make_fit_matrices, lang) if is_needed and not results.errors else None


def make_fit_matrices(lang):
    """Return the matrices with which the fit turns word vectors into regressors."""
    n_scans = [len(run) for run in read_average_subject(lang)]
    return make_hrf_matrices(read_onsets_offsets(lang), paths.onsets_offsets_path(lang), n_scans, lang)


def check_record(results, path):
    """Check that an output, and the files on its record, are as they were written."""
    for name, checksum in read_record(path).get("sha256", {}).items():
        file = path.with_name(name)
        if not file.is_file():
            results.error(f"{file} is missing, though {path.name}.json lists it: make it again")
        elif compute_sha256(file) != checksum:
            results.error(f"{file} is not as it was written: make it again with --overwrite")


def check_activations(row, lang, matrices):
    """Check the word vectors of a checkpoint; where they are not fitted yet, make the regressors of the fit."""
    path = paths.activations_path(row["stem"], lang)
    for run, layers in enumerate(read_activations(row["stem"], lang)):
        if matrices is not None and row["fit"] not in FITTED:
            for layer, regressors in enumerate(make_layer_regressors(layers, matrices[run], path, run)):
                if not regressors.any():
                    raise InputError(f"{path}: layer {layer}: no unit varies in run {run}")
        del layers  # before the next run is read


def check_unique_variance(results, stem, lang):
    """Check that the unique variance of a checkpoint has possible values, and fits its correlations and inputs."""
    path = paths.unique_correlations_path(stem, lang)
    check_record(results, path)
    unique = read_unique_variance(stem, lang)["unique"]
    nuisance = read_record(path).get("parameters", {}).get("nuisance", [])
    inputs = [paths.activations_path(name, lang) for name in [stem, *nuisance]]
    if file := find_changed_input(path, [*inputs, *paths.average_subject_files(lang)]):
        results.error(f"{path} was made from another {file.name} than is there now")
    runs = paths.run_correlations_path(stem, lang)
    if runs.is_file():
        correlations = read_correlations(stem, lang)
        if correlations.shape != unique.shape or not np.array_equal(np.isnan(correlations), np.isnan(unique)):
            results.error(
                f"{path} has other layers, runs or voxels than {paths.run_correlations_path(stem, lang).name}"
            )


def check_correlations(results, table, lang):
    """Check that correlations have the voxels of the mask, are averages of runs, and agree within a model."""
    mask = results.attempt(read_mask, lang) if paths.mask_path(lang).is_file() else None
    shapes: dict = {}  # by model: the numbers of layers and runs of its checkpoints
    for row in table[table["fit"].isin(FITTED)].to_dict("records"):
        correlations = results.attempt(read_correlations, row["stem"], lang)
        if correlations is None:
            continue
        n_layers, n_runs, n_voxels = correlations.shape
        shapes.setdefault(row["name"], []).append((n_layers, n_runs))
        if mask is not None and n_voxels != (inside := int((np.asarray(mask.dataobj) != 0).sum())):
            results.error(f"correlations of {row['stem']}: {n_voxels} voxels, but {inside} in the mask")
        for layer, layer_runs in enumerate(correlations):
            path = paths.layer_correlations_path(row["stem"], layer, lang)
            average = results.attempt(read_arrays, path) if path.is_file() else None
            expected = layer_runs.mean(axis=0)
            is_array = isinstance(average, np.ndarray) and average.shape == expected.shape
            if not is_array or not np.allclose(np.asarray(average), expected, atol=1e-5, equal_nan=True):
                runs = paths.run_correlations_path(row["stem"], lang).name
                results.error(f"{path} is not the average of the runs in {runs}")
    for model, model_shapes in shapes.items():
        n_layers, n_runs = (set(numbers) for numbers in zip(*model_shapes, strict=True))
        n_runs -= {1}  # averages, whose single runs are unknown
        for unit, numbers in (("layers", n_layers), ("runs", n_runs)):
            if len(numbers) > 1:
                results.error(f"checkpoints of {model} have {' and '.join(map(str, sorted(numbers)))} {unit}")


def check_benchmark(stem, benchmark):
    """Check that accuracies are those of the pairs; raise InputError otherwise."""
    path, pairs_path = paths.benchmark_path(stem, benchmark), paths.benchmark_pairs_path(stem, benchmark)
    if not (path.is_file() and pairs_path.is_file()):
        return
    accuracies, right = task_tables.read_accuracies(path), task_tables.read_right(pairs_path)
    part = task_tables.count_by_paradigm(right.index.get_level_values(0))
    counted = right.groupby(level=0).mean()
    is_same = is_same_part(task_tables.read_part(path, pairs_path), part)
    if not is_same or not np.allclose(accuracies, counted[accuracies.index]):
        raise InputError(f"{path} is not what {pairs_path.name} gives")


def check_curve(results, model, rows, lang, lm_eval):
    """Check the files that the notebook reads for a model: checkpoints, benchmarks and texts."""
    fitted = rows[rows["fit"].isin(FITTED)]
    if unknown := list(fitted["stem"][fitted["tokens"].isna()]):
        results.warn(f"left out of curves, since their training tokens are not known: {shorten(unknown)}")
    if fitted["tokens"].notna().any():
        checkpoints, _ = find_fitted_checkpoints(model, lang)
        read_benchmarks(model, checkpoints, lm_eval)
        read_acceptability_items(model, checkpoints)
        for sentence in find_differences(model, checkpoints, lang, lm_eval):
            if not any(warning.endswith(sentence) for warning in results.warnings):
                results.warn(f"{model}: {sentence}")
