"""From word vectors to brain predictions: HRF regressors, ridge regression, left-out runs.

The encoding model of Bonnasse-Gahot & Pallier (NeurIPS 2024; arXiv 2602.12811), one layer at a
time: every unit of the layer becomes a regressor, and every voxel a weighted sum of regressors,
fitted on all runs but one and correlated with what was measured in that run.
"""

import numpy as np
import torch
from nilearn.glm.first_level import glover_hrf

from pipeline import BadInput

T_R_S = 2.0  # seconds from one scan to the next
TRIM_SCANS = 10  # cut off at each end of a run (20 s)
ALPHAS = np.logspace(2, 7, 16)

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
    """Raise BadInput where the words of a run (seconds) cannot belong to its scans."""
    if n_scans <= 2 * TRIM_SCANS + 1:
        raise BadInput(f"{n_scans} scans are too few: {TRIM_SCANS} are cut off at each end")
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
            raise BadInput(f"word {word + 1} ({onsets[word]:g} to {offsets[word]:g} s) {what}")


def zscore(values):
    """Mean 0 and variance 1 over scans (axis 0); a column that does not vary becomes 0."""
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


def fit_left_out_runs(regressors, fmri, alphas=ALPHAS, device="cpu"):
    """Predict every run from the other runs, by ridge regression without intercept.

    Each run is left out in turn. The penalty alpha is the one with the highest mean correlation
    over voxels on one further run, the first of those that remain, when fitted on the others;
    the model is then fitted on all runs but the left-out one. The objective, for regressors X
    and voxels Y, is ||Y - X B||^2 + alpha ||B||^2, one alpha for all voxels.

    Parameters
    ----------
    regressors : list over runs of float32 array of shape (n_scans, n_units)
        One layer, trimmed and z-scored.
    fmri : list over runs of float32 array of shape (n_scans, n_voxels)
        Likewise.
    alphas : array of shape (n_alphas,)
    device : str or torch.device
        Where the computation runs: regressors among themselves in float64, voxels in float32.

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
        There are fewer than three runs, or one in which no unit or no voxel varies.
    """
    n_runs = len(regressors)
    if n_runs < 3:
        raise BadInput(f"{n_runs} runs are too few: one is left out, one chooses alpha, the others train")
    x = [torch.as_tensor(run, device=device) for run in regressors]
    y = [torch.as_tensor(run, device=device) for run in fmri]
    for what, of_runs in [("unit", x), ("voxel", y)]:
        still = [run for run in range(n_runs) if not of_runs[run].any()]
        if still:
            raise BadInput(f"no {what} varies in run {still[0]}")
    correlations, chosen = [], []
    for left_out in range(n_runs):
        validation, *training = others = [run for run in range(n_runs) if run != left_out]
        scores = [
            torch.nanmean(pearson(y[validation], predicted))
            for predicted in ridge_predictions(x, y, training, validation, alphas)
        ]
        alpha = alphas[int(torch.stack(scores).argmax())]
        (predicted,) = ridge_predictions(x, y, others, left_out, [alpha])
        correlations.append(pearson(y[left_out], predicted).cpu().numpy())
        chosen.append(alpha)
    return np.stack(correlations), np.array(chosen)


def ridge_predictions(x, y, training, test, alphas):
    """Predictions of one run for every alpha, one after another, from a single decomposition.

    With X = x[training], they are x[test] (X'X + alpha)^-1 X'Y, or x[test] X' (XX' + alpha)^-1 Y,
    which is the same: whichever matrix is smaller is decomposed.

    Parameters
    ----------
    x : list over runs of tensor of shape (n_scans, n_units)
    y : list over runs of tensor of shape (n_scans, n_voxels)
    training : list of int
        The runs that are fitted.
    test : int
        The run that is predicted.
    alphas : sequence of float

    Yields
    ------
    tensor of shape (n_scans of the test run, n_voxels)
    """
    # What is small beside the largest eigenvalue would drown in float32's rounding; voxels need no more.
    x_train, x_test = torch.cat([x[run] for run in training]).double(), x[test].double()
    y_train = torch.cat([y[run] for run in training])
    n_scans, n_units = x_train.shape
    if n_units <= n_scans:
        eigenvalues, vectors = torch.linalg.eigh(x_train.T @ x_train)
        left, right = x_test @ vectors, (x_train @ vectors).T
    else:
        eigenvalues, vectors = torch.linalg.eigh(x_train @ x_train.T)
        left, right = x_test @ x_train.T @ vectors, vectors.T
    # left: (n_scans_test, n), right: (n, n_scans_training), n the smaller of units and scans
    dtype, n_scans_test, n = y_train.dtype, *left.shape
    # Of two orders of the same product, the one with fewer multiplications for each voxel.
    right_first = n * n_scans + len(alphas) * n_scans_test * n < len(alphas) * n_scans_test * n_scans
    if right_first:
        right = right.to(dtype) @ y_train  # (n, n_voxels)
    for alpha in alphas:
        shrunk = left / (eigenvalues.clamp(min=0) + alpha)  # (n_scans_test, n)
        yield shrunk.to(dtype) @ right if right_first else (shrunk @ right).to(dtype) @ y_train


def pearson(measured, predicted):
    """Pearson's r of each column; NaN where either does not vary.

    Parameters
    ----------
    measured, predicted : tensor of shape (n_scans, n_voxels)

    Returns
    -------
    tensor of shape (n_voxels,)
    """
    measured = measured - measured.mean(dim=0)
    predicted = predicted - predicted.mean(dim=0)
    return (measured * predicted).sum(dim=0) / (measured.norm(dim=0) * predicted.norm(dim=0))
