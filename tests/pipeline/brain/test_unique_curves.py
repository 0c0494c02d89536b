"""Curves of unique variance: both sides and their difference, NaN where a checkpoint has none."""

import numpy as np
from brains import planted

from pipeline.brain.unique_variance import compute_unique_curves


def test_the_difference_is_recovered_and_missing_checkpoints_are_nan():
    scores, left, right, blocks = planted(difference=0.05)
    worse = scores - 0.3  # a layer that is the best nowhere
    unique = [np.stack([worse[0], scores[0]]), None, np.stack([worse[1], scores[1]])]
    curves = compute_unique_curves(unique, left, right, blocks, n_resamples=50)
    assert list(curves) == ["unique_left", "unique_right", "unique_left_minus_right"]
    for curve in curves.values():
        assert curve.resamples.shape == (50, 3)
        assert np.isnan(curve.values).tolist() == [False, True, False]
        assert np.isnan(curve.resamples).all(axis=0).tolist() == [False, True, False]
    difference = curves["unique_left_minus_right"]
    expected = [runs.mean(axis=0)[left].mean() - runs.mean(axis=0)[right].mean() for runs in scores]
    np.testing.assert_allclose(difference.values[[0, 2]], expected, atol=1e-6)
    assert abs(difference.resamples[:, 2].mean() - 0.05) < 0.01


def test_layers_are_chosen_on_other_runs():
    """A layer that is high by chance in one run does not count in that run."""
    scores, left, right, blocks = planted(noise=0)
    lucky = np.zeros_like(scores[0])
    lucky[0] = 5
    curves = compute_unique_curves([np.stack([scores[0], lucky])], left, right, blocks, n_resamples=5)
    # Run 0 takes the steady layer, 0.3; the eight other runs take the lucky layer, 0 there.
    np.testing.assert_allclose(curves["unique_left"].values, [0.3 / 9], atol=1e-6)


def test_without_any_unique_variance_there_is_no_curve():
    _, left, right, blocks = planted()
    assert compute_unique_curves([None, None], left, right, blocks) == {}
