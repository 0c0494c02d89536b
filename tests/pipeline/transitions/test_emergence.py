"""Check the map of when curves of voxels rise, against a known truth."""

import numpy as np
import pytest

from pipeline.transitions.emergence import detect_emergence

# Checkpoints of OLMo-2 7B: 1, 3, 5 ... 3896 billion tokens.
X = np.log10(np.array([1, 3, 5, 13, 30, 80, 214, 558, 1477, 3896]) * 1e9)


def sigmoid(x, low, high, beta, x0):
    return low + (high - low) / (1 + np.exp(-beta * (x - x0)))


def test_a_map_of_emergence_shows_what_emerges_and_little_else():
    """Though curves without a transition drift along, as those of voxels do."""
    rng = np.random.default_rng(10)
    drift = np.cumsum(rng.standard_normal((9, 10, 600)), axis=1) * 0.02
    of_runs = drift + 0.02 * rng.standard_normal((9, 10, 600))
    of_runs[:, :, :200] += sigmoid(X, 0, 0.3, 4, 10.2)[:, None]
    of_runs[:, :, 200:300] += sigmoid(X, 0, -0.3, 4, 11.0)[:, None]
    of_runs[3, 2, 599] = np.nan
    x0 = detect_emergence(X, of_runs)
    found = np.isfinite(x0)
    assert found[:300].mean() > 0.95
    assert np.median(x0[:200][found[:200]]) == pytest.approx(10.2, abs=0.05)
    assert np.median(x0[200:300][found[200:300]]) == pytest.approx(11.0, abs=0.05)
    assert found[300:].sum() / found.sum() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert np.isnan(x0[599])
