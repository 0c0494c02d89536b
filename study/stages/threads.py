"""Limit the threads of a command."""

import os

import torch
from threadpoolctl import threadpool_limits


def limit_threads(n_threads):
    """Limit the threads of the CPU. None sets no limit."""
    if n_threads is not None:
        torch.set_num_threads(n_threads)
        threadpool_limits(n_threads)  # NumPy's and SciPy's
        os.environ["RAYON_NUM_THREADS"] = str(n_threads)  # the tokenizers' threads
