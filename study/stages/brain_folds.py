"""Choose folds, regression and scoring of a brain benchmark by the options of a command."""

from typing import NamedTuple

import numpy as np

from pipeline.encoding.nested_folds import (
    hold_out_groups_nested,
    shuffle_nested,
    split_as_brainscore,
    split_as_neural_nlp,
)
from pipeline.encoding.nested_ridge import PUBLISHED_ALPHAS, WIDE_ALPHAS, prepare_targets
from pipeline.encoding.nested_scoring import score_as_brainscore, score_predictions
from pipeline.errors import InputError
from study.inputs.brain_benchmarks import LAYOUTS

N_PUBLISHED_FOLDS = {"blank": 8}  # stories; other benchmarks have 10


class Method(NamedTuple):
    """Hold how a benchmark is scored: folds, whether units are z-scored, alphas, and the function of scores."""

    folds: list
    has_z_scores: bool
    alphas: np.ndarray
    score: object

    def prepare_targets(self, targets):
        """Return what the fits of all layers need of the targets (n_samples, n_targets)."""
        return prepare_targets(targets, self.folds, self.has_z_scores)


def label_regression(args):
    """Return the regression in file names: ridge or linear, with ``-brainscore`` or ``-neural_nlp`` as published."""
    return f"{args.regression}-{args.as_published}" if args.as_published else args.regression


def make_method(args, read):
    """Return the Method of a command for a BrainBenchmark.

    InputError is raised for groups that the benchmark does not have, or a combination that was never published.
    """
    n_units = len(read.units)
    layout = LAYOUTS.get(args.benchmark)
    if args.splits == "groups" and layout is not None and not layout.has_groups:
        raise InputError(f"--splits groups: expected groups in {args.benchmark}, got none. Use --splits shuffled.")
    if not args.as_published:
        is_grouped = args.splits == "groups"
        folds = hold_out_groups_nested(read.groups) if is_grouped else shuffle_nested(n_units)
        alphas = (
            WIDE_ALPHAS if args.alphas is None else np.logspace(args.alphas[0], args.alphas[1], int(args.alphas[2]))
        )
        return Method(folds, True, alphas, score_predictions)
    stored = np.argsort(read.stored)  # reading order -> the order of the file, which decides the published folds
    if args.as_published == "brainscore":
        groups = read.groups[stored] if args.splits == "groups" else None
        n_folds = min(N_PUBLISHED_FOLDS.get(args.benchmark, 10), len(set(read.groups))) if groups is not None else 10
        folds = split_as_brainscore(n_units, groups, n_folds)
    elif args.splits == "shuffled" and args.regression == "linear":
        strata = read.groups[stored] if args.benchmark in ("blank", "fedorenko") else None
        folds = split_as_neural_nlp(n_units, strata)
    else:
        raise InputError(
            f"--as_published neural_nlp: expected --splits shuffled --regression linear, got --splits {args.splits} "
            f"--regression {args.regression}. Use both."
        )
    folds = [fold._replace(test=stored[fold.test], training=stored[fold.training]) for fold in folds]
    return Method(folds, False, PUBLISHED_ALPHAS, score_as_brainscore)
