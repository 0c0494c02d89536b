"""Fit the encoding models of one checkpoint together with a nuisance, and find what the nuisance does not explain."""

import functools

import numpy as np

from pipeline.encoding.arrays import as_float32
from pipeline.encoding.unique_variance import compute_unique_variance
from study import paths
from study.files.atomic import write_whole
from study.jobs import Job
from study.records import read_record
from study.stages.fit import (
    fit_layer,
    fit_layers,
    list_rare_options,
    pick_fit_device,
    print_remarks,
    read_matrices_and_fmri,
    read_regressors,
)
from study.stages.threads import limit_threads

ALPHAS_PER_DECADE = 3  # of the nuisance alone, the steps of the fit of a model without nuisance


def fit_unique_variance(model, args):
    """Write the unique variance of all layers of one checkpoint, and print how large it is.

    model is the name in the activation file, args are the options of ``fit_average_subject.py``. The nuisance consists
    of all layers of the activations ``args.nuisance``. Its own fit, without the model, has the same range of penalties
    and more steps. So the nuisance alone is predicted as well as possible, and its share is not counted as unique.
    """
    output, activations = paths.unique_correlations_path(model, args.lang), paths.activations_path(model, args.lang)
    stems = sorted({paths.checkpoint_stem(name) for name in args.nuisance})
    inputs = [activations, *(paths.activations_path(stem, args.lang) for stem in stems)]
    inputs += [paths.onsets_offsets_path(args.lang), *paths.average_subject_files(args.lang)]
    device = pick_fit_device(args)
    parameters = {"alphas": args.alphas, "nuisance": stems, "nuisance_alphas": args.nuisance_alphas}
    parameters |= list_rare_options(args)
    with Job(output, parameters, modules=[__name__], inputs=inputs, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        limit_threads(args.threads)
        matrices, fmri = read_matrices_and_fmri(args, device)
        nuisance = read_nuisance(stems, args.lang, matrices)  # (n_scans, n_columns)
        alone = job.cached("nuisance", functools.partial(fit_nuisance, nuisance, fmri, stems, args, device))
        options = {"alphas": make_alphas(args.alphas), "nuisance_alphas": make_alphas(args.nuisance_alphas)}
        options |= {"nuisance": nuisance, "device": device}
        regressors = read_regressors(model, args.lang, matrices)
        correlations, chosen = fit_layers(job, regressors, fmri, model, args.lang, **options)
        job.checkpoint = read_record(activations).get("checkpoint")
        arrays = combine(correlations, chosen, alone)
        job.finish({output: functools.partial(write_arrays, arrays=arrays)})
    print_remarks(correlations, chosen[..., 0], options["alphas"], args.alphas)
    means = np.nanmean(arrays["unique"], axis=(1, 2))  # (n_layers,)
    r = np.nanmean(alone["correlations"])
    print(f"the nuisance alone, {nuisance.shape[1]} columns: correlation {r:.4f}")
    print(f"unique variance at most {means.max():.4f} on average, at layer {means.argmax()}, in {output}")


def make_alphas(option):
    """Return the penalties of an option (low, high, n)."""
    low, high, n_alphas = option
    return np.logspace(low, high, int(n_alphas))


def read_nuisance(stems, lang, matrices):
    """Return regressors of all layers of all stems, a float32 array (n_scans of all runs, n_columns)."""
    return np.concatenate([layer for stem in stems for layer in read_regressors(stem, lang, matrices)], axis=1)


def fit_nuisance(nuisance, fmri, stems, args, device):
    """Fit the nuisance without the model; return correlations (n_runs, n_voxels) and alphas (n_runs,)."""
    low, high, n_alphas = args.nuisance_alphas
    alphas = make_alphas([low, high, max(n_alphas, np.ceil(ALPHAS_PER_DECADE * (high - low)) + 1)])
    source = ", ".join(str(paths.activations_path(stem, args.lang)) for stem in stems)
    n_scans, targets = [len(run) for run in fmri], as_float32(np.concatenate(fmri), device)
    return fit_layer(nuisance, n_scans, targets, source, alphas=alphas, device=device)


def combine(correlations, chosen, alone):
    """Return the arrays of the output, a dict, from both bands (n_layers, ...) and the nuisance alone (n_runs, ...)."""
    return {
        "correlations": correlations,
        "nuisance_correlations": alone["correlations"],
        "unique": compute_unique_variance(correlations, alone["correlations"]),
        "alphas": chosen[..., 0],
        "nuisance_alphas": chosen[..., 1],
        "nuisance_alone_alphas": alone["alphas"],
    }


def write_arrays(path, arrays):
    """Write arrays to an ``.npz``."""
    with write_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
