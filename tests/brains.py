"""Make a small brain, and scores with a known difference between its hemispheres."""

import nibabel
import numpy as np
import pandas as pd

from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.brain.voxels import make_blocks


def small_brain(shift_mm=0.0):
    affine = np.diag([10.0, 10, 10, 1])
    affine[:3, 3] = -20 + shift_mm, -60, -40
    return nibabel.Nifti1Image(np.ones((5, 4, 3), np.int8), affine)  # x = -20 ... 20


CHECKPOINTS = pd.DataFrame({"revision": ["a", "b"], "tokens": [1e9, 2e9]})


BRAIN = small_brain()


def planted(difference=0.05, noise=0.02, seed=0):
    """Scores of two checkpoints and nine runs, of which the second predicts the left better by a known difference."""
    rng = np.random.default_rng(seed)
    left, right = assign_hemispheres(BRAIN)
    scores = rng.normal(0.3, noise, (2, 9, len(left)))
    scores[1] += difference * left
    return scores, left, right, make_blocks(BRAIN, edge_mm=20)
