"""Compute the ceilings of a brain benchmark: each subject predicted from the others, with the folds of the scores."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.brain.benchmark_scores import POOLED
from pipeline.brain.ceilings import Ceilings, compute_ceilings, list_pools
from pipeline.encoding.nested_ridge import compute_fold_grams, cross_validate_nested
from pipeline.errors import InputError
from study import paths, progress
from study.files.tables import write_table
from study.jobs import Job
from study.outputs.brain_benchmarks import CEILING_COLUMNS, read_benchmark, write_npz
from study.stages.brain_folds import label_regression, make_method


def fit_ceiling(args):
    """Write the ceilings of a benchmark; args are options of ``experiments.brain_score.ceiling``.

    The ``.npz`` contains the fields of ``ceilings.Ceilings`` (n_neuroids,), ``subjects``, ``neuroids``, and the options
    ``splits`` and ``regression``, which scores are compared with before they are divided.
    """
    regression = label_regression(args)
    output = paths.brain_ceiling_path(args.benchmark, args.splits, regression)
    inputs = [paths.brain_benchmark_path(args.benchmark)]
    parameters = {name: getattr(args, name) for name in ("alphas", "n_pools", "seed")}
    with Job(output, parameters, modules=[__name__], inputs=inputs, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        read = read_benchmark(args.benchmark)
        method = make_method(args, read)
        names = np.unique(read.subjects)
        if len(names) < 2:
            raise InputError(f"{inputs[0]}: subjects: expected 2 or more, got {len(names)}. It has no such ceiling.")
        grams = {
            name: compute_fold_grams(read.responses[:, read.subjects == name], method.folds, method.has_z_scores)
            for name in names
        }
        fitted: dict[str, np.ndarray] = {field: np.full(len(read.subjects), np.nan) for field in Ceilings._fields}
        with progress.bar(len(names), f"ceiling of {args.benchmark}", "subject") as bar:
            for name in names:
                is_member = read.subjects == name
                part = job.cached(
                    f"subject-{name}".replace("/", "_"),
                    lambda name=name, is_member=is_member: compute_subject(
                        name, read.responses[:, is_member], grams, method, args
                    ),
                )
                for field, values in part.items():
                    fitted[field][is_member] = values
                bar.update()
        table = tabulate_ceilings(fitted, read.subjects)
        labels = {"splits": np.array(args.splits), "regression": np.array(regression)}
        arrays = fitted | {"subjects": read.subjects, "neuroids": read.neuroids} | labels
        job.finish(
            {
                output.with_suffix(".csv"): lambda path: write_table(path, table),
                output: lambda path: write_npz(path, arrays),
            },
            seed=args.seed,
        )
    pooled = table[table["subject"] == POOLED].iloc[0]
    print(
        f"ceiling relative to prediction from other subjects: r {pooled['at_n']:.4f} with all {len(names) - 1} others, "
        f"{pooled['extrapolated']:.4f} extrapolated; {pooled['at_bound']:.0%} of extrapolations end at the bound of 1"
    )
    print(f"ceilings of {len(read.subjects)} neuroids in {output}")


def compute_subject(name, targets, grams, method, args):
    """Return the ceilings of the neuroids of one subject, a dict of arrays by the fields of ``Ceilings``."""
    n_pools = None if args.as_published else args.n_pools
    pools = list_pools(list(grams), name, n_pools, args.seed)
    prepared = method.prepare_targets(targets)

    def predict(pool):
        pooled = [sum(matrices) for matrices in zip(*(grams[other] for other in pool), strict=True)]
        scores = cross_validate_nested(
            pooled,
            targets,
            method.folds,
            method.alphas,
            regression=args.regression,
            prepared=prepared,
            score=method.score,
        )
        return scores.correlations

    with threadpool_limits(1), ThreadPoolExecutor(args.threads or len(os.sched_getaffinity(0))) as executor:
        by_size = {size: np.stack(list(executor.map(predict, chosen))) for size, chosen in pools.items()}
    return compute_ceilings(by_size, seed=args.seed, as_published=bool(args.as_published))._asdict()


def tabulate_ceilings(fitted, subjects):
    """Return medians over the neuroids of each subject and of all, a row per subject; ``at_bound`` is a mean."""
    rows = []
    members = {str(name): subjects == name for name in np.unique(subjects)}
    for name, is_member in (members | {POOLED: np.ones(len(subjects), dtype=bool)}).items():
        medians = [
            np.nanmedian(fitted[field][is_member]) for field in ("at_n", "at_n_low", "at_n_high", "extrapolated")
        ]
        rows.append([name, *medians, np.nanmean(fitted["at_bound"][is_member]), int(is_member.sum())])
    return pd.DataFrame(rows, columns=CEILING_COLUMNS)
