"""Compute linear algebra with NumPy on the CPU and with PyTorch on a GPU.

On the CPU, an AMD EPYC, NumPy and SciPy (OpenBLAS) took four fifths of PyTorch's time. ``xp`` is the module of an
array. Only functions with the same name in NumPy and PyTorch are used.
"""

import numpy as np
import torch
from scipy.linalg import blas, lapack

from pipeline.errors import InputError


def array_module(array):
    """Return the module that computes with an array: NumPy, or PyTorch for a tensor."""
    return np if isinstance(array, np.ndarray) else torch


def as_float32(values, device):
    """Return a NumPy array where device is None, else a tensor on the device."""
    if device is None:
        return np.asarray(values, dtype=np.float32)
    return torch.as_tensor(values, dtype=torch.float32, device=device)


def as_numpy(values):
    """Return an array or a tensor as a NumPy array."""
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def add_to_diagonal(square, alpha):
    """Return a copy of a square matrix with alpha, a number or an array (n,), added to its diagonal."""
    square = array_module(square).asarray(square, copy=True)
    diagonal = array_module(square).einsum("ii->i", square)  # a view
    diagonal += alpha
    return square


def invert(square, alpha):
    """Return the inverse of a symmetric positive definite matrix.

    InputError is raised if rounding has made the matrix indefinite, since alpha is too small for these features.

    Parameters
    ----------
    square : float64 array or tensor (n, n), may be overwritten
    alpha : float, the number that was added to the diagonal, for the error
    """
    if array_module(square) is torch:
        return torch.cholesky_inverse(_cholesky(square, alpha))
    factor, info = lapack.dpotrf(square.T, lower=1, overwrite_a=1)  # LAPACK's column order is NumPy's transpose
    _check_definite(info, alpha)
    lower, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)  # the lower triangle with the diagonal; zeros above
    inverse = lower + lower.T
    np.fill_diagonal(inverse, lower.diagonal())
    return inverse


def solve(square, right, alpha):
    """Return S^-1 B for a symmetric positive definite matrix S, a float64 array or tensor (n, n_columns).

    Parameters
    ----------
    square : float64 array or tensor (n, n), S, may be overwritten
    right : float64 array or tensor (n, n_columns), B
    alpha : as for ``invert``, with the same InputError
    """
    if array_module(square) is torch:
        return torch.cholesky_solve(right, _cholesky(square, alpha))
    _, solution, info = lapack.dposv(square.T, right, lower=1, overwrite_a=1)
    _check_definite(info, alpha)
    return solution


def multiply(left, right):
    """Return the product of two float64 matrices, of shapes (n, k) and (k, m).

    On the CPU, SciPy multiplies, as it inverts: NumPy has its own OpenBLAS, and its threads would compete with SciPy's.
    """
    if array_module(left) is torch:
        return left @ right
    return blas.dgemm(1.0, right.T, left.T).T  # in LAPACK's column order


def _cholesky(square, alpha):
    """Return the lower Cholesky factor of a symmetric tensor of shape (n, n)."""
    factor, info = torch.linalg.cholesky_ex(square)
    _check_definite(int(info), alpha)
    return factor


def _check_definite(info, alpha):
    """Check the status of a Cholesky factorization by LAPACK or PyTorch: 0 is success."""
    if info:
        raise InputError(f"alpha {alpha:g} is too small for these features. Use larger --alphas.")
