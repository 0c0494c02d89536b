"""Make regressors from timed events: boxcars convolved with the haemodynamic response function (HRF)."""

import numpy as np
from nilearn.glm.first_level import glover_hrf

from pipeline.errors import InputError

TR_S = 2.0  # seconds from one scan to the next
# nilearn samples a regressor at 50 points per scan, from 24 s before the first scan.
POINTS_PER_SCAN = 50
FIRST_POINT_S = -24.0
LONGEST_EVENT_S = 10.0  # median duration above which times are probably in milliseconds


def make_hrf_matrix(onsets, offsets, n_scans, tr_s=TR_S):
    """Return the linear map from the values of a run's events to its regressors.

    A feature is a series of boxcars from the onset to the offset of each event, with the feature's values as heights.
    The series is convolved with the Glover HRF and sampled in the middle of each scan. The result is linear in the
    values, so that all features have the same matrix. Each column of ``make_hrf_matrix(...) @ values`` equals the
    result of nilearn's ``compute_regressor`` for the same column, with the same grid of sampling points. InputError is
    raised if the events cannot belong to the scans of the run (see ``check_times``).

    Parameters
    ----------
    onsets, offsets : array (n_events,), seconds from the start of the run
    n_scans : int
    tr_s : float, seconds from one scan to the next

    Returns
    -------
    float64 array (n_scans, n_events)
    """
    onsets, offsets = np.asarray(onsets, dtype=float), np.asarray(offsets, dtype=float)
    check_times(onsets, offsets, n_scans, tr_s)
    frame_times = (np.arange(n_scans) + 0.5) * tr_s
    start, stop = frame_times[0] + FIRST_POINT_S, frame_times[-1] * (1 + 1 / (n_scans - 1))
    points = np.linspace(start, stop, np.rint((stop - start) / tr_s * POINTS_PER_SCAN + 1).astype(int))

    # A boxcar begins at the first point at or after its onset, and lasts for one point or more.
    on = np.minimum(np.searchsorted(points, onsets), len(points) - 1)
    off = np.minimum(np.searchsorted(points, onsets + (offsets - onsets)), len(points) - 1)
    off[(off == on) & (off < len(points) - 1)] += 1

    # The response to a step is the cumulative HRF. A boxcar is a step up and a step down.
    step_response = np.concatenate([[0.0], np.cumsum(glover_hrf(tr_s, POINTS_PER_SCAN))])

    # Each event has a response from its onset until the HRF of its offset has ended, in some 20 scans.
    last = len(step_response) - 1
    before = np.searchsorted(points, frame_times, side="right") - 1  # the middle of each scan
    first, end = np.searchsorted(before, on - 1), np.searchsorted(before, off + last - 1)
    scans = first[:, None] + np.arange((end - first).max(initial=0))
    events = np.broadcast_to(np.arange(len(on))[:, None], scans.shape)[scans < n_scans]
    scans = scans[scans < n_scans]  # (n_responses,), as events

    def compute_response(point):  # (n_responses,) points -> (n_responses,)
        since_on, since_off = point + 1 - on[events], point + 1 - off[events]
        return step_response[np.clip(since_on, 0, last)] - step_response[np.clip(since_off, 0, last)]

    # Linear interpolation between the two points around the middle of each scan.
    share = (frame_times - points[before]) / (points[before + 1] - points[before])
    share, point = share[scans], before[scans]
    matrix = np.zeros((n_scans, len(on)))
    matrix[scans, events] = (1 - share) * compute_response(point) + share * compute_response(point + 1)
    return matrix


def check_times(onsets, offsets, n_scans, tr_s=TR_S):
    """Check that events of a run, with onsets and offsets (n_events,) in seconds, can belong to its scans."""
    if n_scans < 2:
        raise InputError(f"expected two scans or more, got {n_scans}")
    if onsets.shape != offsets.shape or onsets.ndim != 1:
        raise InputError(f"expected onsets and offsets of equal length, got shapes {onsets.shape} and {offsets.shape}")
    for is_wrong, reason in [
        (~np.isfinite(onsets) | ~np.isfinite(offsets), "has no onset or offset"),
        (offsets < onsets, "ends before it begins"),
        (onsets < 0, "begins before the run"),
        (onsets >= n_scans * tr_s, f"begins after the end of the {n_scans} scans of {tr_s:g} s"),
    ]:
        if is_wrong.any():
            word = np.flatnonzero(is_wrong)[0]
            is_slow = reason.startswith("begins after") and np.median(offsets - onsets) > LONGEST_EVENT_S
            hint = "; are the times in milliseconds? They must be in seconds" if is_slow else ""
            raise InputError(f"word {word + 1} ({onsets[word]:g} to {offsets[word]:g} s) {reason}{hint}")
