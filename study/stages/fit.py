"""Fit the encoding models of all layers of one checkpoint to the average listener."""

import collections
import functools
import itertools

import numpy as np

from pipeline.encoding.arrays import as_float32, as_numpy
from pipeline.encoding.cross_validation import cross_validate, has_variance
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.signals import TRIM_SCANS
from pipeline.errors import InputError, add_context
from pipeline.models.devices import pick_device
from study import paths, progress
from study.files.atomic import write_whole
from study.files.safe_joblib import write_arrays
from study.inputs.le_petit_prince import read_average_subject
from study.inputs.story import make_hrf_matrices, make_layer_regressors, prepare_fmri
from study.jobs import Job
from study.outputs.activations import read_activations, read_onsets_offsets
from study.records import read_record
from study.stages.threads import limit_threads
from study.threads import read_ahead


def fit_average_subject(model, args):
    """Write the correlations of all layers of one checkpoint, and print how well each layer predicts.

    model is the name in the activation file, args are the options of ``fit_average_subject.py``.
    """
    output, activations = paths.run_correlations_path(model, args.lang), paths.activations_path(model, args.lang)
    inputs = [activations, paths.onsets_offsets_path(args.lang), *paths.average_subject_files(args.lang)]
    device = pick_fit_device(args)
    parameters = {"alphas": args.alphas} | list_rare_options(args)
    with Job(output, parameters, modules=[__name__], inputs=inputs, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        limit_threads(args.threads)
        low, high, n_alphas = args.alphas
        alphas = np.logspace(low, high, int(n_alphas))
        correlations, chosen_alphas = fit(job, model, args, alphas=alphas, device=device)
        job.checkpoint = read_record(activations).get("checkpoint")
        old_layers = paths.all_layer_correlations_paths(model, args.lang)
        job.finish(make_writers(output, correlations, chosen_alphas, model, args.lang), replaces=old_layers)
    print_remarks(correlations, chosen_alphas, alphas, args.alphas)
    best = np.nanmean(correlations, axis=(1, 2)).argmax()
    print(f"{len(correlations)} layers, best on average layer {best}, in {output}")


def list_rare_options(args):
    """Return the options that are on record only where they are used, so that older records stay valid, a dict."""
    return {"drop_first": args.drop_first} if args.drop_first else {}


def pick_fit_device(args):
    """Return the device on which PyTorch fits, or None for the CPU, on which NumPy does."""
    device = pick_device(args.device)
    if device.type == "mps":
        raise InputError("--device mps: expected a device with float64, which the fit needs. Use --device cpu.")
    return None if device.type == "cpu" else device


def print_remarks(correlations, chosen_alphas, alphas, option):
    """Print what a user may want to change: voxels that do not vary, and alphas at an end of their range."""
    n_constant = np.isnan(correlations).any(axis=(0, 1)).sum()
    if n_constant:
        print(f"voxels that do not vary in some run, whose correlation is NaN: {n_constant}")
    n_at_an_end = np.isin(chosen_alphas, alphas[[0, -1]]).sum()
    words = "--alphas {:g} {:g} {:g}".format(*option)
    if len(alphas) > 2 and n_at_an_end > chosen_alphas.size / 4:
        print(
            f"{n_at_an_end} of {chosen_alphas.size} penalties are at an end of {words}: a wider range may predict "
            "better, if there is anything to predict. Fit all checkpoints of a curve with the same range."
        )
    if len(alphas) == 2:
        print(f"both penalties of {words} are ends of the range. Give three or more to see whether it is wide enough.")


def fit(job, model, args, *, alphas, device):
    """Read activations and fMRI, and fit all layers; return what ``fit_layers`` returns."""
    matrices, fmri = read_matrices_and_fmri(args, device)
    regressors = read_regressors(model, args.lang, matrices)
    return fit_layers(job, regressors, fmri, model, args.lang, alphas=alphas, device=device)


def read_matrices_and_fmri(args, device):
    """Read timings and fMRI; return lists over runs of HRF matrices (n_scans, n_words) and of prepared fMRI."""
    fmri = read_average_subject(args.lang)
    onsets_offsets, n_scans = read_onsets_offsets(args.lang), [len(run) for run in fmri]
    timings = paths.onsets_offsets_path(args.lang)
    matrices = make_hrf_matrices(onsets_offsets, timings, n_scans, args.lang, device)
    drop_first_words(matrices, args.drop_first or 0)
    return matrices, prepare_fmri(fmri, args.lang)


def drop_first_words(matrices, n_dropped):
    """Set the responses to the first words of each run, in matrices (n_scans, n_words), to 0.

    The states at the first token of a text can be many times larger than the rest (Sun et al. 2024). Their response
    lasts longer than the scans that are cut off. A run without more words raises InputError.
    """
    for run, matrix in enumerate(matrices):
        if n_dropped >= matrix.shape[1]:
            raise InputError(
                f"--drop_first {n_dropped}: expected fewer words than each run has, got {matrix.shape[1]} words in run "
                f"{run}. Use a smaller number."
            )
        matrix[:, :n_dropped] = 0


def make_writers(output, correlations, chosen_alphas, model, lang):
    """Return how each output is written, a dict by path; layer 0 comes last but one: where it exists, all layers do."""

    def write_layer(layer):
        # Averaged in float64, as in the published code.
        return lambda path: write_arrays(path, correlations[layer].mean(axis=0, dtype=np.float64))

    def write_runs(path):
        with write_whole(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, correlations=correlations, alphas=chosen_alphas)

    layers = reversed(range(len(correlations)))
    writers = {paths.layer_correlations_path(model, layer, lang): write_layer(layer) for layer in layers}
    return writers | {output: write_runs}


def fit_layers(job, regressors, fmri, model, lang, **options):
    """Fit each layer that is not cached yet, and print how well it predicts.

    regressors are float32 arrays (n_scans of all runs, n_units) for each layer, fmri is (n_scans, n_voxels) for each
    run, options are those of ``cross_validate``. Return float32 correlations (n_layers, n_runs, n_voxels) and float64
    chosen alphas (n_layers, n_runs), with one more axis where there is a nuisance.
    """
    targets = as_float32(np.concatenate(fmri), options["device"])  # (n_scans of all runs, n_voxels)
    n_scans, parts = [len(run) for run in fmri], []
    with progress.bar(len(regressors), model, "layer") as bar:
        for layer, features in enumerate(regressors):
            source = f"{paths.activations_path(model, lang)}: layer {layer}"
            fit = functools.partial(fit_layer, features, n_scans, targets, source, **options)
            part = job.cached(f"layer-{layer}", fit)
            parts.append(part)
            means = part["correlations"].mean(axis=0)  # (n_voxels,)
            bar.update()
            bar.write(f"layer {layer}: correlation {np.nanmean(means):.4f}, at most {np.nanmax(means):.4f}")
    return np.stack([part["correlations"] for part in parts]), np.stack([part["alphas"] for part in parts])


def fit_layer(features, n_scans_of_runs, targets, source, **options):
    """Return correlations (n_runs, n_voxels) and chosen alphas (n_runs, ...) of a layer; source names it in errors."""
    with add_context(source):
        for run, features_of_run in enumerate(np.split(features, np.cumsum(n_scans_of_runs)[:-1])):
            if not has_variance(features_of_run):
                raise InputError(f"no unit varies in run {run}")
        correlations, chosen = cross_validate(features, targets, hold_out_runs(n_scans_of_runs), **options)
    return {"correlations": correlations, "alphas": chosen}


def read_regressors(model, lang, matrices):
    """Read the word vectors, and return the regressors of all runs, a float32 array (n_scans, n_units) for each layer.

    They are a fifth of the size of the word vectors. While the regressors of a run are made, the next run is read: the
    vectors of at most two runs are in memory.
    """
    path = paths.activations_path(model, lang)
    ends = np.cumsum([len(matrix) - 2 * TRIM_SCANS for matrix in matrices])
    regressors: list[np.ndarray] = []

    def make_regressors_of_run(run, layers):
        n_units = layers[0].shape[1]
        if run == 0:
            regressors.extend(np.empty((ends[-1], n_units), np.float32) for _ in layers)
        for layer, values in enumerate(make_layer_regressors(layers, matrices[run], path, run)):
            regressors[layer][ends[run] - len(values) : ends[run]] = as_numpy(values)
        bar.update()

    with progress.bar(len(matrices), f"{model}: reading", "run") as bar:
        # map keeps no run while it reads the next; a loop would.
        collections.deque(map(make_regressors_of_run, itertools.count(), read_ahead(read_activations(model, lang))), 0)
    return regressors
