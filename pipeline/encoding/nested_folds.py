"""Make nested folds: test and training samples, and inner folds of the training samples that choose penalties.

Here all training samples choose the penalty, an inner fold at a time; in ``folds``, a single validation set does.
"""

from typing import NamedTuple

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, StratifiedKFold

from pipeline.encoding.folds import hold_out_groups
from pipeline.errors import InputError

PUBLISHED_SEED = 1  # of shuffled splits in brainscore-language and neural-nlp
PUBLISHED_GROUP_SEED = 1234  # of group splits in brainscore-language


class NestedFold(NamedTuple):
    """Hold the samples of a fold, int arrays.

    ``test`` and ``training`` are disjoint sample numbers. ``inner`` is a list of disjoint arrays of positions within
    ``training`` that cover it: each is predicted from the rest to choose penalties.
    """

    test: np.ndarray
    training: np.ndarray
    inner: list


def hold_out_groups_nested(groups, n_folds=10, n_inner=5):
    """Return a list of NestedFold that never split a group, neither outside nor inside.

    The folds take the groups in turn, in the order of their first samples. InputError is raised if there are fewer than
    four groups.

    Parameters
    ----------
    groups : array (n_samples,), the group of each sample: a passage, a topic, a story
    n_folds, n_inner : int, reduced to the number of groups where these are fewer
    """
    groups = np.asarray(groups)
    n_groups = len(np.unique(groups))
    if n_groups < 4:
        raise InputError(
            f"groups: expected 4 or more, which folds do not split, got {n_groups}. Use --splits shuffled."
        )
    folds = []
    for fold in hold_out_groups(groups, min(n_folds, n_groups)):
        within = groups[fold.training]
        inner = hold_out_groups(within, min(n_inner, len(np.unique(within))))
        folds.append(NestedFold(fold.test, fold.training, [part.test for part in inner]))
    return folds


def shuffle_nested(n_samples, n_folds=10, n_inner=5, seed=PUBLISHED_SEED):
    """Return a list of NestedFold of random samples, which every fold tests once.

    Neighbouring samples are then in training and test. InputError is raised if there are too few samples.
    """
    if n_samples < 2 * max(n_folds, n_inner):
        raise InputError(f"samples: expected {2 * max(n_folds, n_inner)} or more, got {n_samples}. Use other data.")
    rng = np.random.default_rng(seed)

    def draw(n, n_parts):
        numbers = np.empty(n, dtype=int)
        numbers[rng.permutation(n)] = np.arange(n) % n_parts
        return [np.flatnonzero(numbers == part) for part in range(n_parts)]

    tests = draw(n_samples, n_folds)
    trainings = [np.setdiff1d(np.arange(n_samples), test) for test in tests]
    pairs = zip(tests, trainings, strict=True)
    return [NestedFold(test, training, draw(len(training), n_inner)) for test, training in pairs]


def split_as_brainscore(n_samples, groups=None, n_folds=10):
    """Return the folds of brainscore-language, a list of NestedFold whose inner folds are single samples.

    Without groups, 10 random splits of 90 % training samples (``-linear-shuffle``). With groups (n_samples,), a split
    holds out whole groups (``-ridge``). The seeds are those of brainscore-language 2.3.0.
    """
    if groups is None:
        splits = ShuffleSplit(n_folds, train_size=0.9, random_state=PUBLISHED_SEED).split(np.zeros(n_samples))
    else:
        splitter = GroupKFold(n_folds, shuffle=True, random_state=PUBLISHED_GROUP_SEED)
        splits = splitter.split(np.zeros(n_samples), groups=groups)
    return _leave_single_samples_out(splits)


def split_as_neural_nlp(n_samples, strata=None):
    """Return the 5 shuffled folds of neural-nlp, stratified where strata (n_samples,) are given, as NestedFold."""
    splitter = KFold if strata is None else StratifiedKFold
    return _leave_single_samples_out(
        splitter(5, shuffle=True, random_state=PUBLISHED_SEED).split(np.zeros(n_samples), strata)
    )


def _leave_single_samples_out(splits):
    """Return pairs of training and test samples as NestedFold with leave-one-out inside."""
    return [NestedFold(test, training, list(np.arange(len(training))[:, None])) for training, test in splits]
