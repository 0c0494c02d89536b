"""From word vectors to brain predictions: HRF regressors, ridge regression, left-out runs.

The encoding model of Bonnasse-Gahot & Pallier (NeurIPS 2024; arXiv 2602.12811), one layer at a
time: every unit of the layer becomes a regressor, and every voxel a weighted sum of regressors,
fitted on all runs but one and correlated with what was measured in that run.

On the CPU, NumPy and SciPy compute (OpenBLAS): a layer of full size took four fifths of PyTorch's time
on the one processor that was tried, an AMD EPYC. On a GPU, PyTorch does. What is used here bears the
same names in both: ``xp`` is the one or the other.
"""

import itertools

import numpy as np
import torch
from nilearn.glm.first_level import glover_hrf
from scipy.linalg import blas, lapack

from pipeline import BadInput

T_R_S = 2.0  # seconds from one scan to the next
TRIM_SCANS = 10  # cut off at each end of a run (20 s)
ALPHAS = np.logspace(2, 7, 16)
LONGEST_WORD_S = 10.0  # median duration above which wrong times are probably in milliseconds

VOXELS_AT_ONCE = 1024  # whose predictions for all alphas are held at a time: some 20 MB

# nilearn builds a regressor at 50 points a scan, from 24 s before the first scan on.
POINTS_PER_SCAN = 50
FIRST_POINT_S = -24.0


def hrf_matrix(onsets, offsets, n_scans, t_r_s=T_R_S):
    """The linear map from a run's word values to its regressors.

    A unit's values are a train of boxcars from each word's onset to its offset, convolved with
    the Glover HRF and sampled in the middle of each scan. That is linear in the values, so one
    matrix serves all units: each column of ``hrf_matrix(...) @ values`` equals what nilearn's
    ``compute_regressor`` makes of the same column, whose sampling grid is followed exactly.

    Parameters
    ----------
    onsets, offsets : array of shape (n_words,)
        Seconds from the start of the run.
    n_scans : int
    t_r_s : float
        Seconds from one scan to the next.

    Returns
    -------
    float64 array of shape (n_scans, n_words)

    Raises
    ------
    BadInput
        A time is not a number, a word ends before it begins, or begins outside the scans.
    """
    onsets, offsets = np.asarray(onsets, dtype=float), np.asarray(offsets, dtype=float)
    check_times(onsets, offsets, n_scans, t_r_s)
    frame_times = (np.arange(n_scans) + 0.5) * t_r_s
    start, stop = frame_times[0] + FIRST_POINT_S, frame_times[-1] * (1 + 1 / (n_scans - 1))
    points = np.linspace(start, stop, np.rint((stop - start) / t_r_s * POINTS_PER_SCAN + 1).astype(int))

    # A boxcar is on from the first point at or after its onset, and for at least one point.
    on = np.minimum(np.searchsorted(points, onsets), len(points) - 1)
    off = np.minimum(np.searchsorted(points, onsets + (offsets - onsets)), len(points) - 1)
    off[(off == on) & (off < len(points) - 1)] += 1

    # The response to a step is the cumulative HRF; a boxcar is a step up and a step down.
    step_response = np.concatenate([[0.0], np.cumsum(glover_hrf(t_r_s, POINTS_PER_SCAN))])

    def response(point):  # (n_scans,) points -> (n_scans, n_words)
        since_on, since_off = point[:, None] + 1 - on, point[:, None] + 1 - off
        last = len(step_response) - 1
        return step_response[np.clip(since_on, 0, last)] - step_response[np.clip(since_off, 0, last)]

    # Linear interpolation between the two points around the middle of each scan.
    before = np.searchsorted(points, frame_times, side="right") - 1
    share = ((frame_times - points[before]) / (points[before + 1] - points[before]))[:, None]
    return (1 - share) * response(before) + share * response(before + 1)


def check_times(onsets, offsets, n_scans, t_r_s=T_R_S):
    """Whether the words of a run can belong to its scans.

    Parameters
    ----------
    onsets, offsets : arrays of shape (n_words,)
        Seconds from the start of the run.
    n_scans : int
    t_r_s : float
        Seconds from one scan to the next.

    Raises
    ------
    BadInput
        There are so few scans that none is left when the ends are cut off, the arrays are not of one
        shape (n_words,), a time is not a number, a word ends before it begins, or begins outside the scans.
    """
    check_n_scans(n_scans)
    if onsets.shape != offsets.shape or onsets.ndim != 1:
        raise BadInput(f"onsets {onsets.shape} and offsets {offsets.shape} are not two lists of equal length")
    for wrong, what in [
        (~np.isfinite(onsets) | ~np.isfinite(offsets), "has no onset or offset"),
        (offsets < onsets, "ends before it begins"),
        (onsets < 0, "begins before the run"),
        (onsets >= n_scans * t_r_s, f"begins after the end of the {n_scans} scans of {t_r_s:g} s"),
    ]:
        if wrong.any():
            word = np.flatnonzero(wrong)[0]
            is_slow = what.startswith("begins after") and np.median(offsets - onsets) > LONGEST_WORD_S
            hint = "; are the times in milliseconds? They must be in seconds" if is_slow else ""
            raise BadInput(f"word {word + 1} ({onsets[word]:g} to {offsets[word]:g} s) {what}{hint}")


def check_n_scans(n_scans):
    """Check that scans are left when the ends of a run are cut off; raise BadInput otherwise."""
    if n_scans <= 2 * TRIM_SCANS + 1:
        raise BadInput(f"{n_scans} scans are too few: {TRIM_SCANS} are cut off at each end")


def check_n_runs(n_runs):
    """Check that the runs suffice for held-out runs; raise BadInput otherwise."""
    if n_runs < 3:
        raise BadInput(f"{n_runs} runs are too few: one is left out, one chooses alpha, the others train")


def check_variation(what, runs):
    """Check that a column varies in every run.

    Parameters
    ----------
    what : {"unit", "voxel"}
        Name of a column, for the message.
    runs : list over runs of array or tensor of shape (n_scans, n_columns)
        Trimmed and z-scored: a column that does not vary is 0.

    Raises
    ------
    BadInput
        No column varies in some run.
    """
    still = [run for run, columns in enumerate(runs) if not columns.any()]
    if still:
        raise BadInput(f"no {what} varies in run {still[0]}")


def zscore(values):
    """Mean 0 and variance 1 over scans (axis 0); a column that does not vary becomes 0.

    Parameters
    ----------
    values : array of shape (n_scans, n_columns)

    Returns
    -------
    float32 array of the same shape
    """
    values = np.asarray(values, dtype=np.float64)
    deviations = values - values.mean(axis=0)
    scale = deviations.std(axis=0)
    # Rounding leaves a constant column a variance of its own, some 1e-16 of its size.
    is_constant = scale <= 1e-12 * np.abs(values).max(axis=0, initial=0)
    return np.where(is_constant, 0, deviations / np.where(is_constant, 1, scale)).astype(np.float32)


def prepare(signal):
    """Cut off the first and last 10 scans of a run and z-score what is left.

    Parameters
    ----------
    signal : array of shape (n_scans, n_columns)
        Regressors or fMRI of one run.

    Returns
    -------
    float32 array of shape (n_scans - 20, n_columns)
    """
    return zscore(signal[TRIM_SCANS : len(signal) - TRIM_SCANS])


def word_regressors(matrix, vectors):
    """Regressors of one run of one layer, from its word vectors.

    Parameters
    ----------
    matrix : float32 array or tensor of shape (n_scans, n_words)
        From ``hrf_matrix``; the product is computed where it is.
    vectors : array of shape (n_words, n_units)

    Returns
    -------
    float32 array of shape (n_scans - 20, n_units)
        Trimmed and z-scored.

    Raises
    ------
    BadInput
        There are values that are not finite numbers.
    """
    values = matrix @ as_float32(vectors, None if isinstance(matrix, np.ndarray) else matrix.device)
    values = values if isinstance(values, np.ndarray) else values.cpu().numpy()
    if not np.isfinite(values).all():
        raise BadInput("values that are not finite numbers")
    return prepare(values)


def as_float32(values, device):
    """A NumPy array where device is None, or else a tensor on the device."""
    if device is None:
        return np.asarray(values, dtype=np.float32)
    return torch.as_tensor(values, dtype=torch.float32, device=device)


def fit_left_out_runs(regressors, fmri, alphas=ALPHAS, device=None):
    """Predict every run from the other runs, by ridge regression without intercept.

    Each run is left out in turn. The penalty alpha is the one with the highest mean correlation
    over voxels on one further run, the first of those that remain, when fitted on the others;
    the model is then fitted on all runs but the left-out one. The objective, for regressors X
    and voxels Y, is ||Y - X B||^2 + alpha ||B||^2, one alpha for all voxels.

    Parameters
    ----------
    regressors : list over runs of float32 array or tensor of shape (n_scans, n_units)
        One layer, trimmed and z-scored.
    fmri : list over runs of float32 array or tensor of shape (n_scans, n_voxels)
        Likewise.
    alphas : array of shape (n_alphas,)
    device : str or torch.device, optional
        Where PyTorch computes: regressors among themselves in float64, voxels in float32. By default
        NumPy does, on the CPU.

    Returns
    -------
    correlations : float32 array of shape (n_runs, n_voxels)
        Pearson's r between measured and predicted time series of each left-out run; NaN for a
        voxel that does not vary in that run.
    chosen : float64 array of shape (n_runs,)
        The alpha used for each left-out run.

    Raises
    ------
    BadInput
        There are fewer than three runs, one in which no unit or no voxel varies, or an alpha that
        drowns in the rounding of float64.
    """
    n_runs = len(regressors)
    check_n_runs(n_runs)
    x = [as_float32(run, device) for run in regressors]
    y = [as_float32(run, device) for run in fmri]
    check_variation("unit", x)
    check_variation("voxel", y)

    # With few units, voxels are summed over scans beforehand, once for all alphas. With many, it is
    # cheaper to weigh scans, and one inverse serves all splits; so it is where alpha is so small beside
    # the largest eigenvalue (scans x units at most) that float32's rounding of the sums would count.
    n_scans, n_units = sum(map(len, x)), x[0].shape[1]
    by_units = n_units < 2 / 3 * n_scans and n_scans * n_units < 1e6 * min(alphas)
    ridge_weights = unit_weights if by_units else scan_weights
    products = inner_products(x, by_units)

    # A split names the runs that are not trained on; the first of them is predicted.
    inner = [(0 if left_out else 1, left_out) for left_out in range(n_runs)]
    weights = ridge_weights(products, x, inner, [list(alphas)] * n_runs)
    # of each: correlations of (n_alphas, n_voxels)
    of_alphas = [np.nanmean(r, axis=1) for r in split_correlations(weights, x, y, inner, by_units)]
    chosen = [alphas[int(of_fold.argmax())] for of_fold in of_alphas]

    outer = [(left_out,) for left_out in range(n_runs)]
    weights = ridge_weights(products, x, outer, [[alpha] for alpha in chosen])
    correlations = np.concat(split_correlations(weights, x, y, outer, by_units))  # (n_runs, n_voxels)
    return correlations, np.array(chosen)


def inner_products(x, by_units):
    """What ridge regression needs of the regressors, in float64, computed once for all splits.

    What is small beside the largest eigenvalue would drown in float32's rounding.

    Parameters
    ----------
    x : list over runs of float32 array or tensor of shape (n_scans, n_units)
    by_units : bool
        Whether to sum over the scans of each run, rather than over units.

    Returns
    -------
    by units, a list over runs of array (n_units, n_units), X'X; else an array (n_scans, n_scans)
    over the scans of all runs, XX'
    """
    xp = library(x[0])
    if by_units:
        return [run.T @ run for run in (xp.asarray(run, dtype=xp.float64) for run in x)]
    scans = xp.asarray(xp.concat(x), dtype=xp.float64)
    return scans @ scans.T


def scan_weights(gram, x, splits, alphas_of_splits):
    """How much every scan of the training runs counts in the prediction of every scan of another run.

    With K = XX' and T the training scans, a run P is predicted by K_PT (K_TT + alpha)^-1 Y_T. All
    splits can be had from one inverse C = (K + alpha)^-1 over all scans: with R the scans that are
    not trained on, the inverse of a matrix in blocks says that K_RT (K_TT + alpha)^-1 is
    -(C_RR)^-1 C_RT, of which the rows of P are taken. (For runs of one scan, it is the known
    formula of leave-one-out residuals.)

    Parameters
    ----------
    gram : float64 array of shape (n_scans, n_scans)
        K, over the scans of all runs.
    x : list over runs of array of shape (n_scans, n_units)
    splits : list of tuple of int
        The runs that are not trained on, the predicted one first.
    alphas_of_splits : list over splits of list of float

    Returns
    -------
    list over splits of float32 array of shape (n_alphas, n_scans of the run, n_scans of the training runs)

    Raises
    ------
    BadInput
        An alpha drowns in the rounding of float64.
    """
    xp, scans = library(gram), scans_of_runs(x)
    weights: list[dict] = [{} for _ in splits]  # of each split, by alpha
    for alpha in sorted(set(itertools.chain(*alphas_of_splits))):
        inverse = inverted(penalized(gram, alpha), alpha)
        for split, alphas, of_split in zip(splits, alphas_of_splits, weights, strict=True):
            if alpha not in alphas:
                continue
            of_left = xp.concat([inverse[scans[run]] for run in split])  # (n_left, n_scans)
            left = xp.concat([of_left[:, scans[run]] for run in split], axis=1)  # (n_left, n_left)
            training = xp.concat([of_left[:, scans[run]] for run in range(len(x)) if run not in split], axis=1)
            of_left_run = inverted(left, alpha)[: len(x[split[0]])]  # (n_scans_run, n_left)
            of_split[alpha] = xp.asarray(-multiplied(of_left_run, training), dtype=xp.float32)
    return [
        xp.stack([of_split[alpha] for alpha in alphas])
        for of_split, alphas in zip(weights, alphas_of_splits, strict=True)
    ]


def unit_weights(squares, x, splits, alphas_of_splits):
    """How much every unit of the training runs counts in the prediction of every scan of another run.

    A run P is predicted by X_P (X_T'X_T + alpha)^-1 applied to X_T'Y_T, T the training scans.

    Parameters
    ----------
    squares : list over runs of float64 array of shape (n_units, n_units)
        X'X of each run.
    x, splits, alphas_of_splits
        As for ``scan_weights``.

    Returns
    -------
    list over splits of float32 array of shape (n_alphas, n_scans of the run, n_units)

    Raises
    ------
    BadInput
        An alpha drowns in the rounding of float64.
    """
    xp, weights = library(x[0]), []
    for split, alphas in zip(splits, alphas_of_splits, strict=True):
        square = sum(of_run for run, of_run in enumerate(squares) if run not in split)
        predicted = xp.asarray(x[split[0]], dtype=xp.float64).T  # (n_units, n_scans_run)
        of_alphas = [solved(penalized(square, alpha), predicted, alpha).T for alpha in alphas]
        weights.append(xp.asarray(xp.stack(of_alphas), dtype=xp.float32))
    return weights


def split_correlations(weights, x, y, splits, by_units):
    """Correlations between what was measured in a run and what is predicted for every alpha.

    Parameters
    ----------
    weights : list over splits of array of shape (n_alphas, n_scans of the predicted run, n_weighed)
        From ``unit_weights`` or ``scan_weights``.
    x : list over runs of array of shape (n_scans, n_units)
    y : list over runs of array of shape (n_scans, n_voxels)
    splits : list of tuple of int
    by_units : bool
        Which of the two the weights are from.

    Returns
    -------
    list over splits of float32 NumPy array of shape (n_alphas, n_voxels)
    """
    xp, n_voxels = library(y[0]), y[0].shape[1]
    # Predictions whose mean over the run's scans is taken away: what Pearson's r does to each of them.
    weights = [of_split - of_split.mean(axis=1, keepdims=True) for of_split in weights]
    correlations = [np.empty((len(of_split), n_voxels), np.float32) for of_split in weights]
    for first in range(0, n_voxels, VOXELS_AT_ONCE):
        voxels = slice(first, first + VOXELS_AT_ONCE)
        measured = [run[:, voxels] for run in y]  # per run (n_scans, n_block)
        sums = [x_run.T @ of_run for x_run, of_run in zip(x, measured, strict=True)] if by_units else measured
        for split, of_split, r in zip(splits, weights, correlations, strict=True):
            training = [sums[run] for run in range(len(x)) if run not in split]
            weighed = sum(training) if by_units else xp.concat(training)  # (n_weighed, n_block)
            n_alphas, n_scans, n_weighed = of_split.shape
            predicted = of_split.reshape(n_alphas * n_scans, n_weighed) @ weighed
            of_block = pearson(measured[split[0]], predicted.reshape(n_alphas, n_scans, -1))
            r[:, voxels] = of_block if isinstance(of_block, np.ndarray) else of_block.cpu().numpy()
    return correlations


def scans_of_runs(x):
    """Where the scans of each run stand among those of all runs.

    Parameters
    ----------
    x : list over runs of array of shape (n_scans, n_units)

    Returns
    -------
    list over runs of slice
    """
    ends = list(itertools.accumulate(map(len, x)))
    return [slice(end - len(run), end) for end, run in zip(ends, x, strict=True)]


def pearson(measured, predicted):
    """Pearson's r of each time series with predictions of it; NaN where either does not vary.

    Parameters
    ----------
    measured : array of shape (n_scans, n_voxels)
    predicted : array of shape (n_alphas, n_scans, n_voxels)
        Of mean 0 over scans.

    Returns
    -------
    array of shape (n_alphas, n_voxels)
    """
    xp = library(measured)
    measured = measured - measured.mean(axis=0)
    products = xp.einsum("atv,tv->av", predicted, measured)
    squares = xp.einsum("atv,atv->av", predicted, predicted) * xp.einsum("tv,tv->v", measured, measured)
    with np.errstate(invalid="ignore"):  # 0 / 0
        return products / squares**0.5


# ---------------------------------------------------------------- NumPy or PyTorch


def library(array):
    """Who computes with an array: NumPy, or PyTorch if it is a tensor."""
    return np if isinstance(array, np.ndarray) else torch


def penalized(square, alpha):
    """A copy of a square matrix, with alpha added to its diagonal."""
    square = library(square).asarray(square, copy=True)
    diagonal = library(square).einsum("ii->i", square)  # a view
    diagonal += alpha
    return square


def inverted(square, alpha):
    """The inverse of a symmetric positive definite matrix.

    Parameters
    ----------
    square : float64 array or tensor of shape (n, n)
        May be overwritten.
    alpha : float
        What was added to its diagonal, for the message of an error.

    Returns
    -------
    float64 array or tensor of shape (n, n)

    Raises
    ------
    BadInput
        Rounding has made the matrix indefinite: alpha is too small beside the regressors.
    """
    if library(square) is torch:
        return torch.cholesky_inverse(cholesky(square, alpha))
    factor, failed = lapack.dpotrf(square.T, lower=1, overwrite_a=1)  # a matrix in LAPACK's order is NumPy's transpose
    check_definite(failed, alpha)
    lower, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)  # the lower triangle with the diagonal, above it zeros
    inverse = lower + lower.T
    np.fill_diagonal(inverse, lower.diagonal())
    return inverse


def solved(square, right, alpha):
    """S^-1 B, for a symmetric positive definite matrix S.

    Parameters
    ----------
    square : float64 array or tensor of shape (n, n)
        S, which may be overwritten.
    right : float64 array or tensor of shape (n, n_columns)
        B.
    alpha : float
        What was added to the diagonal of S, for the message of an error.

    Returns
    -------
    float64 array or tensor of shape (n, n_columns)

    Raises
    ------
    BadInput
        Rounding has made the matrix indefinite: alpha is too small beside the regressors.
    """
    if library(square) is torch:
        return torch.cholesky_solve(right, cholesky(square, alpha))
    _, solution, failed = lapack.dposv(square.T, right, lower=1, overwrite_a=1)
    check_definite(failed, alpha)
    return solution


def cholesky(square, alpha):
    """The lower Cholesky factor of a symmetric tensor of shape (n, n); alpha is for errors.

    Raises
    ------
    BadInput
        Rounding has made the matrix indefinite: alpha is too small beside the regressors.
    """
    factor, failed = torch.linalg.cholesky_ex(square)
    check_definite(int(failed), alpha)
    return factor


def check_definite(failed, alpha):
    """Whether there was a Cholesky factor: failed is 0 if so, as LAPACK and PyTorch tell it; alpha is for errors.

    Raises
    ------
    BadInput
        Rounding has made the matrix indefinite: alpha is too small beside the regressors.
    """
    if failed:
        raise BadInput(f"alpha {alpha:g} is too small beside the regressors: let --alphas begin higher")


def multiplied(left, right):
    """The product of two float64 matrices, of shapes (n, k) and (k, m), among inverses.

    By SciPy on the CPU: NumPy has an OpenBLAS of its own, and the threads of one that have just been
    at work hold up those of the other.
    """
    if library(left) is torch:
        return left @ right
    return blas.dgemm(1.0, right.T, left.T).T  # in LAPACK's order
