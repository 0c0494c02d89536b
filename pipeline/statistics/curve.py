"""Hold a curve over training together with its resamples."""

from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
    """Hold the values of a curve over training, and the values in bootstrap resamples.

    ``values`` is a float array (n_checkpoints,), NaN where a checkpoint has no value. ``resamples`` is a float array
    (n_resamples, n_checkpoints), NaN where a resample has no value, or where nothing is known to resample.
    """

    values: np.ndarray
    resamples: np.ndarray

    def select(self, is_kept):
        """Return the curve at some checkpoints, given as a bool array of shape (n_checkpoints,)."""
        return Curve(self.values[is_kept], self.resamples[:, is_kept])
