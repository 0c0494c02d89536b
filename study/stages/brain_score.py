"""Score all layers of a model on a brain benchmark."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.brain.benchmark_scores import (
    POOLED,
    aggregate_as_neural_nlp,
    average_by_subject,
    choose_layers_nested,
    compute_unique_r2,
    score_subjects,
)
from pipeline.encoding.nested_ridge import compute_fold_grams, count_at_ends, cross_validate_nested
from pipeline.errors import InputError, add_context
from pipeline.similarity.cka import compute_cka, compute_gram, permute_samples
from pipeline.similarity.rsa import compare_rdms, compute_rdm
from study import paths, progress
from study.files.tables import write_table
from study.jobs import Job
from study.outputs.brain_benchmarks import (
    SCORE_COLUMNS,
    read_benchmark,
    read_ceiling,
    read_story_activations,
    read_units,
    write_npz,
)
from study.records import read_record
from study.stages.brain_folds import label_regression, make_method

N_PERMUTATIONS = 1000
BY_NEUROID = ("blank", "fedorenko")  # where neural-nlp divides each neuroid by its ceiling first


def score_benchmark(args):
    """Write the scores of all layers of a model; args are options of ``experiments.brain_score.score``.

    The ``.npz`` contains ``correlations``, ``r2``, ``errors``, ``totals`` (n_layers, n_folds, n_neuroids), ``alphas``
    (n_layers, n_folds ...), ``subjects`` and ``neuroids`` (n_neuroids,), ``nested_layers`` (n_folds,), and of each
    layer and each subject, all subjects last, ``cka`` and ``cka_p`` (n_layers, n_subjects + 1). With ``--nuisance``
    also ``unique_r2`` (n_layers, n_neuroids), with ``--similarity`` also ``biased_cka`` and ``rdm``.
    """
    regression = label_regression(args)
    output = paths.brain_benchmark_scores_path(label_model(args), args.benchmark, args.splits, regression)
    ceiling_path = args.ceiling or paths.brain_ceiling_path(args.benchmark, args.splits, regression)
    activations = [paths.activations_path(stem, args.benchmark) for stem in [args.model, *(args.nuisance or [])]]
    inputs = [paths.brain_benchmark_path(args.benchmark), *activations]
    inputs += [ceiling_path] if ceiling_path.exists() or args.ceiling else []
    inputs += [args.units] if args.units else []
    parameters = {name: getattr(args, name) for name in ("alpha_per", "nuisance", "alphas", "similarity", "seed")}
    with Job(output, parameters, modules=[__name__], inputs=inputs, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        read = read_benchmark(args.benchmark)
        method = make_method(args, read)
        ceiling = None
        if ceiling_path in inputs:
            ceiling = read_ceiling(ceiling_path, {"splits": args.splits, "regression": regression})
        layers = read_layers(args, len(read.units))
        arrays = fit_layers(job, layers, read, method, args)
        arrays |= {"subjects": read.subjects, "neuroids": read.neuroids}
        arrays["nested_layers"], nested = choose_layers_nested(arrays["correlations"])
        table = tabulate_scores(arrays, ceiling, args)
        job.checkpoint = read_record(activations[0]).get("checkpoint")
        kept = {name: values.astype(np.float32) if values.dtype == float else values for name, values in arrays.items()}
        job.finish(
            {
                output.with_suffix(".csv"): lambda path: write_table(path, table),
                output: lambda path: write_npz(path, kept),
            },
            seed=args.seed,
        )
    print_remarks(arrays, nested, table, method)
    print(f"{len(layers)} layers in {output}")


def label_model(args):
    """Return the model in file names, which ends in ``_units`` or ``_random-units`` where units are selected."""
    if not args.units:
        return args.model
    return f"{args.model}_random-units" if args.random_units else f"{args.model}_units"


def read_layers(args, n_stimuli):
    """Read the states of a model, with ``--units`` of these units alone, a list over layers of (n_stimuli, n_units).

    A layer without selected units has one feature of 0: it predicts a constant, and its r is 0.
    """
    layers = read_story_activations(args.model, args.benchmark, n_stimuli)
    if not args.units:
        return layers
    mask = read_units(args.units, [layer.shape[1] for layer in layers], is_random=args.random_units)
    selected = [layer[:, chosen] for layer, chosen in zip(layers, mask, strict=True)]
    return [layer if layer.shape[1] else np.zeros((n_stimuli, 1), dtype=np.float32) for layer in selected]


def fit_layers(job, layers, read, method, args):
    """Fit all layers, several at a time, and return their arrays, a dict; finished layers come from the cache."""
    prepared = method.prepare_targets(read.responses)
    nuisance = prepare_nuisance(read, method, args, prepared)
    targets = {str(name): read.subjects == name for name in np.unique(read.subjects)}
    targets[POOLED] = np.ones(len(read.subjects), dtype=bool)
    geometry = {name: read.responses[:, members] for name, members in targets.items()}
    grams = {name: compute_gram(values) for name, values in geometry.items()}

    def fit(layer):
        def compute():
            return fit_layer(layers[layer], read, method, args, prepared, nuisance, geometry, grams)

        with add_context(f"{paths.activations_path(args.model, args.benchmark)}: layer {layer}"):
            return job.cached(f"layer-{layer}", compute)

    n_threads = args.threads or len(os.sched_getaffinity(0))
    with (
        threadpool_limits(1),  # a thread for each layer is faster than threads inside of products of small matrices
        ThreadPoolExecutor(n_threads) as executor,
        progress.bar(len(layers), args.model, "layer") as bar,
    ):
        parts = []
        for part in executor.map(fit, range(len(layers))):
            parts.append(part)
            bar.update()
    arrays = {name: np.stack([part[name] for part in parts]) for name in parts[0] if name != "totals"}
    return arrays | {"totals": parts[0]["totals"]}


def prepare_nuisance(read, method, args, prepared):
    """Return the Gram matrices of the nuisance and its errors (n_folds, n_neuroids) alone, or None without nuisance."""
    if not args.nuisance:
        return None
    columns = []
    for stem in args.nuisance:
        layers = read_story_activations(stem, args.benchmark, len(read.units))
        if len(layers) > 1:
            raise InputError(f"--nuisance {stem}: expected one layer, got {len(layers)}. Use a baseline.")
        columns.append(layers[0])
    grams = compute_fold_grams(np.hstack(columns), method.folds, method.has_z_scores)
    alone = cross_validate_nested(
        grams, read.responses, method.folds, method.alphas, alpha_per=args.alpha_per, prepared=prepared
    )
    return grams, alone.errors


def fit_layer(features, read, method, args, prepared, nuisance, geometry, grams):
    """Return the arrays of one layer, a dict (see ``score_benchmark``)."""
    options = {"alpha_per": args.alpha_per, "prepared": prepared, "score": method.score}
    layer_grams = compute_fold_grams(features, method.folds, method.has_z_scores)
    scores = cross_validate_nested(
        layer_grams, read.responses, method.folds, method.alphas, regression=args.regression, **options
    )
    part = {
        "correlations": scores.correlations,
        "r2": scores.compute_r2(),
        "errors": scores.errors,
        "totals": scores.totals,
        "alphas": scores.alphas,
    }
    if nuisance is not None:
        nuisance_grams, nuisance_errors = nuisance
        both = cross_validate_nested(
            layer_grams, read.responses, method.folds, method.alphas, nuisance_grams=nuisance_grams, **options
        )
        part["unique_r2"] = compute_unique_r2(both.errors, nuisance_errors, scores.totals)
    gram, groups = compute_gram(features), read.groups if args.splits == "groups" else None
    n_permutations = N_PERMUTATIONS if args.permutations is None else args.permutations
    measured = [permute_samples(gram, other, groups, n_permutations, args.seed) for other in grams.values()]
    part["cka"], part["cka_p"] = (np.array(column) for column in zip(*measured, strict=True))
    if "cka" in args.similarity:
        part["biased_cka"] = np.array([compute_cka(gram, other) for other in grams.values()])
    if "rdm" in args.similarity:
        rdm = compute_rdm(features)
        enough = [values.shape[1] > 1 for values in geometry.values()]
        pairs = zip(enough, geometry.values(), strict=True)
        part["rdm"] = np.array([compare_rdms(rdm, compute_rdm(values)) if is_ok else np.nan for is_ok, values in pairs])
    return part


def tabulate_scores(arrays, ceiling, args):
    """Return the table of scores, a row per layer and subject; ``score`` is raw / ceiling, neither clipped."""
    subjects, rows = arrays["subjects"], []
    ceilings = summarise_ceiling(ceiling, args.as_published)
    for layer, correlations in enumerate(arrays["correlations"]):
        scores = score_subjects(correlations, subjects, seed=args.seed)
        if args.as_published == "neural_nlp":
            scores[POOLED] = (aggregate_as_neural_nlp(correlations, subjects), *scores[POOLED][1:])
        unique = average_by_subject(arrays["unique_r2"][layer], subjects) if "unique_r2" in arrays else {}
        for number, (subject, (raw, low, high)) in enumerate(scores.items()):
            limit, cka = ceilings.get(subject, np.nan), arrays["cka"][layer, number]
            ratio = raw / limit
            if subject == POOLED and ceiling and args.as_published == "neural_nlp" and args.benchmark in BY_NEUROID:
                ratio = aggregate_as_neural_nlp(correlations, subjects, ceiling["extrapolated"])
            rows.append([layer, subject, raw, low, high, limit, ratio, unique.get(subject, np.nan), cka])
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def summarise_ceiling(ceiling, as_published):
    """Return the median ceiling over the neuroids of each subject and of all, a dict; as published, extrapolated."""
    if ceiling is None:
        return {}
    values, subjects = ceiling["extrapolated" if as_published else "at_n"], ceiling["subjects"]
    medians = {str(name): float(np.nanmedian(values[subjects == name])) for name in np.unique(subjects)}
    return medians | {POOLED: float(np.nanmedian(values))}


def print_remarks(arrays, nested, table, method):
    """Print the best layer, the nested choice, and whether penalties are at an end of their range."""
    pooled = table[table["subject"] == POOLED]
    best = pooled.loc[pooled["raw"].idxmax()]
    raw, low, high = score_subjects(nested, arrays["subjects"])[POOLED]
    print(
        f"best layer {int(best['layer'])}: r {best['raw']:.4f} ({best['low']:.4f} to {best['high']:.4f}), chosen on "
        f"the same data; layers chosen on other folds: r {raw:.4f} ({low:.4f} to {high:.4f})"
    )
    if "unique_r2" in arrays:
        print(f"unique r2 of this layer over the nuisance: {best['unique_r2']:.4f}")
    alphas = arrays["alphas"]
    n_lowest, n_highest = count_at_ends(alphas, method.alphas)
    if n_lowest + n_highest > alphas.size / 4:
        print(
            f"warning: {n_lowest} of {alphas.size} penalties are the smallest and {n_highest} the largest of the "
            "range: a wider range (--alphas) may predict better, if there is anything to predict"
        )
