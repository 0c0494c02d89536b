"""Turn words into BOLD signals, without the code of the pipeline.

The HRF, its sampling, the trimming of runs and the z-scores of the simulated listeners are written here once more.
An error of the pipeline would cancel if the listener were made with the pipeline's own functions.

The HRF is the formula of Glover (NeuroImage 1999) for auditory responses. nilearn and the pipeline take gamma densities
with nearly the same parameters.
"""

import numpy as np

TR_S = 2.0
LOST_SCANS = 10  # at either end of a run, which the analysis does not use
STEP_S = 0.01  # of the numerical integral of the HRF
HRF_S = 40.0  # after which the HRF is 0


def compute_hrf(times_s):
    """Compute the HRF at times (seconds, array) after a brief event, with peak 1; 0 before the event."""
    t = np.maximum(times_s, 0)

    def rise_and_fall(exponent, scale_s):  # with peak 1 at exponent * scale_s
        return (t / (exponent * scale_s)) ** exponent * np.exp(exponent - t / scale_s)

    return rise_and_fall(6.0, 0.9) - 0.35 * rise_and_fall(12.0, 0.9)


def make_scan_matrix(onsets, offsets, n_scans, delay_s=0.0):
    """Make the matrix that turns a value per word into a BOLD signal.

    Every word is a boxcar from onset to offset. A scan measures the signal in the middle of its TR.

    Parameters
    ----------
    onsets, offsets : array (n_words,), seconds
    n_scans : int
    delay_s : float, seconds by which the whole response is late

    Returns
    -------
    float array (n_scans, n_words)
    """
    grid = np.arange(0, HRF_S, STEP_S)
    integral = np.append(0, np.cumsum(compute_hrf(grid + STEP_S / 2)) * STEP_S)
    scans = TR_S * (np.arange(n_scans)[:, None] + 0.5) - delay_s

    def integrate(times_s):  # the HRF, from 0 to a time
        return np.interp(times_s, np.append(grid, HRF_S), integral)

    return integrate(scans - onsets) - integrate(scans - offsets)


def standardize(values):
    """Return columns (n_samples, n_columns) with mean 0 and standard deviation 1; a constant column becomes 0."""
    deviations = values - values.mean(axis=0)
    return deviations / np.maximum(deviations.std(axis=0), 1e-9)
