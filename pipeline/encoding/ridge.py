"""Fit ridge regressions without intercept for many folds and penalties, with shared matrix products.

For features X (n_samples, n_features) and targets Y (n_samples, n_targets), ridge regression minimises

    ||Y - X B||^2 + alpha ||B||^2.

With two bands of features X and N, banded ridge regression has a penalty for each band:

    ||Y - X B - N C||^2 + alpha ||B||^2 + alpha_n ||C||^2.

It is ridge regression with the penalty alpha on the features [X, N sqrt(alpha / alpha_n)]. So both use the same
functions here, whose argument ``x`` contains all bands next to each other, and ``widths`` their numbers of features.
Every fit has a tuple of penalties, one for each band.

Predictions are linear in Y, so that the fit of a fold is a matrix of weights, which is computed once for all
targets. Two formulas predict the samples P from the training samples T. By features: X_P (X_T'X_T + A)^-1 X_T' Y_T,
where A is a diagonal matrix of the penalty of each feature. By samples: K_PT (K_TT + alpha)^-1 Y_T, with K = XX', or
K = XX' + alpha / alpha_n NN' for two bands.

alpha is the penalty of scikit-learn's ``Ridge``. In some libraries, alpha is its square root.
"""

import itertools
from typing import NamedTuple

import numpy as np

from pipeline.encoding.arrays import (
    add_to_diagonal,
    array_module,
    as_batch,
    count_at_once,
    invert,
    invert_each,
    multiply,
    solve,
)
from pipeline.encoding.scoring import correlate

TARGETS_AT_ONCE = 1024  # targets of a block, whose predictions for all alphas take some 20 MB
BLOCKS_ON_GPU = 8  # blocks that PyTorch computes at once


class Split(NamedTuple):
    """The numbers of the predicted parts, and of all held-out parts, which begin with the predicted parts."""

    predicted: tuple[int, ...]
    held_out: tuple[int, ...]


def is_cheaper_by_features(n_samples, widths, candidates):
    """Return whether the formula by features is cheaper than the formula by samples, and accurate.

    ``widths`` is a list over bands of int, ``candidates`` a list of tuples of penalties.

    With many features, the formula by samples is cheaper: it needs one inverse for all folds. It is also accurate where
    alpha is much smaller than the largest eigenvalue (at most n_samples x n_features). There, the formula by features
    suffers from the rounding of sums in float32.
    """
    smallest = (min(penalties) for penalties in zip(*candidates, strict=True))  # of each band
    eigenvalue = sum(n_samples * width / alpha for width, alpha in zip(widths, smallest, strict=True))
    return sum(widths) < 2 / 3 * n_samples and eigenvalue < 1e6


def compute_inner_products(x, widths, parts, by_features):
    """Compute the inner products of the features x (n_samples, n_features) in float64, once for all splits.

    In float32, rounding would hide eigenvalues that are much smaller than the largest. By features, the result is a
    list over parts of X'X (n_features, n_features); else it is a list over bands of XX' (n_samples, n_samples).
    """
    xp = array_module(x)
    if by_features:
        return [part.T @ part for part in (xp.asarray(x[samples], dtype=xp.float64) for samples in parts)]
    ends = np.cumsum(widths)
    bands = (xp.asarray(x[:, end - width : end], dtype=xp.float64) for width, end in zip(widths, ends, strict=True))
    return [band @ band.T for band in bands]


def compute_sample_weights(grams, x, widths, parts, splits, penalties_of_splits):
    """Compute the weight of each training sample in the prediction of each held-out sample.

    All splits are computed from one inverse C = (K + alpha)^-1 over all samples. For the held-out samples R, block
    inversion gives K_RT (K_TT + alpha)^-1 = -(C_RR)^-1 C_RT, of which only the rows of the predicted samples are
    needed. (With one sample in R, this is the formula of leave-one-out residuals.) InputError is raised if an alpha is
    too small for float64.

    Parameters
    ----------
    grams : list over bands of float64 array (n_samples, n_samples)
    x : array (n_samples, n_features), all bands
    widths : list over bands of int, the number of features
    parts : list over parts of slice or int array
    splits : list of Split
    penalties_of_splits : list over splits of list of tuple, the penalty of each band

    Returns
    -------
    list over splits of float32 array (n_penalties, n_predicted, n_training), mean 0 over predicted samples
    """
    xp, weights = array_module(x), _make_weights(x, parts, splits, penalties_of_splits, by_features=False)
    for group in _group(sorted(set(itertools.chain(*penalties_of_splits))), count_at_once(grams[0])):
        squares = [add_to_diagonal(_add_grams(grams, penalties), penalties[0]) for penalties in group]
        inverses = invert(as_batch(squares), [min(penalties) for penalties in group])  # (n_group, n_samples, n_samples)
        del squares
        used = [
            [number for number, penalties in enumerate(group) if penalties in wanted] for wanted in penalties_of_splits
        ]
        tasks = [task for task in zip(splits, used, penalties_of_splits, weights, strict=True) if task[1]]
        held_out = [_take(inverses, parts, split.held_out, split.held_out)[numbers] for split, numbers, *_ in tasks]
        smallest = [[min(group[number]) for number in numbers] for _, numbers, *_ in tasks]
        for square, (split, numbers, wanted, values) in zip(invert_each(held_out, smallest), tasks, strict=True):
            predicted = square[:, : values.shape[1]]  # (n_numbers, n_predicted, n_held_out)
            predicted = predicted.mean(axis=1, keepdims=True) - predicted
            training = _take(inverses, parts, split.held_out, training_parts(split, parts))
            training = training if len(numbers) == len(group) else training[numbers]
            places = [wanted.index(group[number]) for number in numbers]
            values[places] = xp.asarray(multiply(predicted, training), dtype=xp.float32)
    return weights


def _make_weights(x, parts, splits, penalties_of_splits, by_features):
    """Return an empty float32 array (n_penalties, n_predicted, n_weighed) for each split, a list."""
    xp, lengths = array_module(x), [len(x[part]) for part in parts]
    shapes = [
        (
            len(wanted),
            sum(lengths[part] for part in split.predicted),
            x.shape[1] if by_features else sum(lengths[part] for part in training_parts(split, parts)),
        )
        for split, wanted in zip(splits, penalties_of_splits, strict=True)
    ]
    return [xp.empty(shape, dtype=xp.float32, device=x.device) for shape in shapes]


def _group(values, size):
    """Return a list of lists of up to size values."""
    return [values[first : first + size] for first in range(0, len(values), size)]


def _take(matrices, parts, rows, columns):
    """Return the rows and columns of some parts of matrices (n_matrices, n_samples, n_samples)."""
    concat = array_module(matrices).concat
    selected = concat([matrices[:, parts[part]] for part in rows], axis=1)
    return concat([selected[:, :, parts[part]] for part in columns], axis=2)


def _add_grams(grams, penalties):
    """Return K of all bands, XX' + alpha / alpha_n NN'."""
    total, alpha = grams[0], penalties[0]
    for gram, penalty in zip(grams[1:], penalties[1:], strict=True):
        total = total + alpha / penalty * gram
    return total


def compute_feature_weights(squares, x, widths, parts, splits, penalties_of_splits):
    """Compute the weight of each row of X_T'Y_T in the prediction of each held-out sample.

    Parameters
    ----------
    squares : list over parts of float64 array (n_features, n_features), X'X of each part
    x, widths, parts, splits, penalties_of_splits : as for ``compute_sample_weights``, with the same InputError

    Returns
    -------
    list over splits of float32 array (n_penalties, n_predicted, n_features), mean 0 over predicted samples
    """
    xp = array_module(x)
    weights = _make_weights(x, parts, splits, penalties_of_splits, by_features=True)
    same: dict[tuple, list[int]] = {}  # numbers of the splits that share their factorizations
    for number, (split, wanted) in enumerate(zip(splits, penalties_of_splits, strict=True)):
        same.setdefault((*training_parts(split, parts), *wanted), []).append(number)
    for numbers in same.values():
        square = sum(squares[part] for part in training_parts(splits[numbers[0]], parts))
        predicted = [
            xp.concat([xp.asarray(x[parts[part]], dtype=xp.float64) for part in splits[number].predicted])
            for number in numbers
        ]
        predicted = xp.concat([samples - samples.mean(axis=0) for samples in predicted])  # (n_predicted, n_features)
        wanted, ends = penalties_of_splits[numbers[0]], np.cumsum([weights[number].shape[1] for number in numbers])
        for first, group in zip(itertools.count(step=count_at_once(square)), _group(wanted, count_at_once(square))):
            diagonals = xp.asarray(np.repeat(group, widths, axis=1), dtype=xp.float64, device=x.device)
            penalised = as_batch([add_to_diagonal(square, diagonal) for diagonal in diagonals])
            solutions = solve(penalised, predicted.T, [min(penalties) for penalties in group])
            for number, end in zip(numbers, ends, strict=True):
                values = weights[number]
                values[first : first + len(group)] = solutions[:, :, end - values.shape[1] : end].swapaxes(1, 2)
    return weights


def correlate_predictions(weights, x, y, parts, splits, by_features, choices=None):
    """Correlate measured samples with the predictions of each tuple of penalties, a block of targets at a time.

    Parameters
    ----------
    weights : list over splits of array (n_penalties, n_predicted, n_weighed), from ``compute_feature_weights`` or
        ``compute_sample_weights``, mean 0 over predicted samples, since Pearson's r subtracts the mean prediction
    x, y : array (n_samples, n_features) and (n_samples, n_targets)
    parts : list over parts of slice or int array
    splits : list of Split
    by_features : bool, True if the weights are from ``compute_feature_weights``
    choices : list over splits of int array (n_targets,), the index of the penalties that predict each target. By
        default, all penalties predict all targets.

    Returns
    -------
    list over splits of float32 array (n_penalties, n_targets), or (n_targets,) with choices
    """
    xp, n_targets = array_module(y), y.shape[1]
    shapes = [(n_targets,) if choices else (len(split_weights), n_targets) for split_weights in weights]
    correlations = [xp.empty(shape, dtype=xp.float32, device=y.device) for shape in shapes]
    n_blocks = -(-n_targets // (TARGETS_AT_ONCE if xp is np else BLOCKS_ON_GPU * TARGETS_AT_ONCE))
    edges = np.linspace(0, n_targets, n_blocks + 1).astype(int).tolist()
    for first, end in itertools.pairwise(edges):
        block = slice(first, end)
        measured = [y[samples, block] for samples in parts]
        sums = [x[samples].T @ part for samples, part in zip(parts, measured, strict=True)] if by_features else measured
        total = sum(sums) if by_features else None
        for number, split in enumerate(splits):
            if by_features:
                weighed = total - sum(sums[part] for part in split.held_out)  # X_T'Y_T, (n_features, n_block)
            else:
                weighed = xp.concat([sums[part] for part in training_parts(split, parts)])  # Y_T
            held_out = xp.concat([measured[part] for part in split.predicted])
            if choices is None:
                correlations[number][:, block] = _correlate(weights[number], weighed, held_out)
                continue
            chosen = choices[number][block]
            for choice in np.unique(chosen):
                columns = np.flatnonzero(chosen == choice)
                r = _correlate(weights[number][choice][None], weighed[:, columns], held_out[:, columns])
                correlations[number][first + columns] = r[0]
    return correlations


def _correlate(weights, weighed, measured):
    """Return the correlations of predictions, (n_penalties, n_predicted, n_weighed) times (n_weighed, n_block)."""
    n_penalties, n_predicted, n_weighed = weights.shape
    predicted = weights.reshape(n_penalties * n_predicted, n_weighed) @ weighed
    return correlate(measured, predicted.reshape(n_penalties, n_predicted, -1))


def training_parts(split, parts):
    """Return the numbers of the training parts of a split."""
    return [part for part in range(len(parts)) if part not in split.held_out]
