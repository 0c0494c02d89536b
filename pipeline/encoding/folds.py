"""Make folds: the test, validation and training samples of a cross-validation.

A fold contains four arrays of sample numbers. ``cross_validate`` accepts the folds of all functions.
"""

from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError


class Fold(NamedTuple):
    """Hold the sample numbers of one fold, int arrays in increasing order.

    ``validation`` chooses alpha for models that are fitted on ``inner_training``. The model that predicts ``test`` is
    fitted on ``training``. test, validation and inner_training are disjoint.
    """

    test: np.ndarray
    validation: np.ndarray
    inner_training: np.ndarray
    training: np.ndarray


def hold_out_runs(n_samples_of_runs):
    """Return a list of Fold, a fold for each held-out run, in which the first of the remaining runs chooses alpha.

    This is the scheme of Bonnasse-Gahot & Pallier (NeurIPS 2024). ``n_samples_of_runs`` is a list of int. Fewer than
    three runs raise InputError.
    """
    check_n_runs(len(n_samples_of_runs))
    return hold_out_groups(np.repeat(np.arange(len(n_samples_of_runs)), n_samples_of_runs))


def check_n_runs(n_runs):
    """Check that there are three runs or more: to hold out, to choose alpha, and to train; raise InputError if not."""
    if n_runs < 3:
        raise InputError(f"{n_runs} runs are too few: one is held out, one chooses alpha, the others train")


def hold_out_groups(groups, n_folds=None):
    """Return a list of Fold that never split a group: a passage, a story, a run.

    The folds take the groups in turn, in the order of their first samples. The groups of the first remaining fold
    choose alpha. InputError is raised if there are fewer than three folds, or more folds than groups.

    Parameters
    ----------
    groups : array (n_samples,), the group of each sample
    n_folds : int, by default the number of groups
    """
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))  # rank of each group by its first sample
    n_folds = len(first) if n_folds is None else n_folds
    if not 3 <= n_folds <= len(first):
        raise InputError(f"expected 3 folds or more, at most one per group, got {n_folds} of {len(first)} groups")
    fold_of_sample = order[numbers.ravel()] % n_folds
    folds = []
    for fold in range(n_folds):
        validation = 1 if fold == 0 else 0
        is_test, is_validation = fold_of_sample == fold, fold_of_sample == validation
        masks = is_test, is_validation, ~(is_test | is_validation), ~is_test
        folds.append(Fold(*map(np.flatnonzero, masks)))
    return folds


def hold_out_blocks(n_samples, n_folds, gap):
    """Return a list of Fold of consecutive samples, with a gap between test and training samples.

    Samples that are close in time are correlated, so that random folds overestimate predictions. The first remaining
    block chooses alpha, without the samples in the gap. InputError is raised if there are fewer than three folds, or a
    block has no samples outside the gaps.

    Parameters
    ----------
    n_samples, n_folds : int
    gap : int, the samples on either side of a test block that are not used for training
    """
    edges = np.linspace(0, n_samples, n_folds + 1).astype(int)
    if n_folds < 3 or np.diff(edges).min() <= 2 * gap:
        raise InputError(
            f"expected 3 blocks or more, of more than {2 * gap} samples each, got {n_folds} of {n_samples} samples"
        )
    samples = np.arange(n_samples)

    def is_within(block, margin):
        return (samples >= edges[block] - margin) & (samples < edges[block + 1] + margin)

    folds = []
    for block in range(n_folds):
        validation_block = 1 if block == 0 else 0
        near_test, near_validation = is_within(block, gap), is_within(validation_block, gap)
        is_validation = is_within(validation_block, 0) & ~near_test
        masks = is_within(block, 0), is_validation, ~(near_test | near_validation), ~near_test
        folds.append(Fold(*map(np.flatnonzero, masks)))
    return folds


def split_into_parts(folds, n_samples):
    """Return the coarsest partition of the samples such that every set of every Fold is a union of parts.

    Each part is an int array of sample numbers. With held-out runs, the parts are the runs. Blocks with gaps have more
    parts. Results for each part are computed once, and used in all folds.
    """
    is_in = np.zeros((n_samples, 4 * len(folds)), dtype=bool)
    for column, samples in enumerate(samples for fold in folds for samples in fold):
        is_in[samples, column] = True
    _, first, numbers = np.unique(is_in, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # parts in the order of their first samples
    return [np.flatnonzero(numbers.ravel() == part) for part in order]
