"""Share what tests of study need."""

import numpy as np

ACTIVATIONS = [[np.arange(6, dtype=np.float32).reshape(3, 2) + run + layer for layer in range(2)] for run in range(2)]


class Call:
    """A pickle of this runs a command when it is opened."""

    def __reduce__(self):
        import os

        return os.system, ("touch hostile",)
