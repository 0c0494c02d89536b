"""Compute linear algebra with NumPy on the CPU and with PyTorch on a GPU.

On the CPU, an AMD EPYC, NumPy and SciPy (OpenBLAS) took four fifths of PyTorch's time. ``xp`` is the module of an
array. Only functions with the same name in NumPy and PyTorch are used.
"""

import numpy as np
import torch
from scipy.linalg import blas, lapack

from pipeline.errors import InputError

SMALL_BLOCK = 128  # rows of a matrix whose Cholesky factor is not computed by halves, on a GPU
MOST_BATCHED = 2**30  # bytes of matrices that are inverted at once; four times more are in use
MOST_PINNED = 2**27  # bytes of an array that is copied to pinned memory, which PyTorch keeps


def array_module(array):
    """Return the module that computes with an array: NumPy, or PyTorch for a tensor."""
    return np if isinstance(array, np.ndarray) else torch


def as_float32(values, device):
    """Return a NumPy array where device is None, else a tensor on the device.

    Arrays of up to MOST_PINNED bytes reach a GPU through pinned memory, without waiting for the GPU.
    """
    if device is None:
        return np.asarray(values, dtype=np.float32)
    values = torch.as_tensor(values, dtype=torch.float32)
    if torch.device(device).type == "cuda" and not values.is_cuda and values.nbytes <= MOST_PINNED:
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def as_numpy(values):
    """Return an array or a tensor as a NumPy array."""
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def as_batch(matrices):
    """Return matrices (n, m) as a batch (n_matrices, n, m), which is a view of a single matrix."""
    return matrices[0][None] if len(matrices) == 1 else array_module(matrices[0]).stack(matrices)


def count_at_once(square):
    """Return how many matrices of a square matrix's size are inverted at once: one on the CPU."""
    return 1 if array_module(square) is np else max(1, MOST_BATCHED // (8 * len(square) ** 2))


def add_to_diagonal(square, alpha):
    """Return a copy of a square matrix with alpha, a number or an array (n,), added to its diagonal."""
    square = array_module(square).asarray(square, copy=True)
    diagonal = array_module(square).einsum("ii->i", square)  # a view
    diagonal += alpha
    return square


def invert(squares, alphas):
    """Return the inverses of symmetric positive definite matrices.

    On a GPU, they are computed from matrix products, since triangular solves in float64 take ten times longer there.
    InputError is raised if rounding has made a matrix indefinite, since alpha is too small for these features.

    Parameters
    ----------
    squares : float64 array or tensor (n_matrices, n, n), may be overwritten
    alphas : list over matrices of float, the number that was added to the diagonal, for the error

    Returns
    -------
    float64 array or tensor (n_matrices, n, n)
    """
    if array_module(squares) is torch:
        factors = _invert_factors(squares, alphas)
        return factors.mT @ factors
    return as_batch([_invert_by_lapack(square, alpha) for square, alpha in zip(squares, alphas, strict=True)])


def invert_each(batches, alphas):
    """Return ``invert(batch, alphas_of_batch)`` of batches (n_matrices, n, n) with different n, a list.

    PyTorch inverts all of them at once, padded with ones on the diagonal. alphas is a list over batches of lists.
    """
    if array_module(batches[0]) is np:
        return list(map(invert, batches, alphas))
    sizes, counts = [batch.shape[-1] for batch in batches], [len(batch) for batch in batches]
    n = max(sizes)
    padded = torch.eye(n, dtype=torch.float64, device=batches[0].device).repeat(sum(counts), 1, 1)
    for batch, rows in zip(batches, padded.split(counts), strict=True):
        rows[:, : batch.shape[-1], : batch.shape[-1]] = batch
    inverses = invert(padded, [alpha for alphas_of_batch in alphas for alpha in alphas_of_batch]).split(counts)
    return [inverse[:, :size, :size] for inverse, size in zip(inverses, sizes, strict=True)]


def solve(squares, right, alphas):
    """Return S^-1 B for each symmetric positive definite matrix S.

    Parameters
    ----------
    squares : float64 array or tensor (n_matrices, n, n), may be overwritten
    right : float64 array or tensor (n, n_columns), B
    alphas : as for ``invert``, with the same InputError

    Returns
    -------
    float64 array or tensor (n_matrices, n, n_columns)
    """
    if array_module(squares) is torch:
        factors = _invert_factors(squares, alphas)
        return factors.mT @ (factors @ right)
    solutions = []
    for square, alpha in zip(squares, alphas, strict=True):
        _, solution, info = lapack.dposv(square.T, right, lower=1, overwrite_a=1)
        _check_definite(info, alpha)
        solutions.append(solution)
    return as_batch(solutions)


def multiply(left, right):
    """Return the products of two batches of float64 matrices, of shapes (n_matrices, n, k) and (n_matrices, k, m).

    On the CPU, SciPy multiplies, as it inverts: NumPy has its own OpenBLAS, and its threads would compete with SciPy's.
    """
    if array_module(left) is torch:
        return left @ right
    # In LAPACK's column order.
    return as_batch([blas.dgemm(1.0, second.T, first.T).T for first, second in zip(left, right, strict=True)])


def sum_products(left, right):
    """Return the sums over samples of the products of arrays (..., n_samples, n_targets)."""
    if array_module(left) is torch:
        return (left * right).sum(axis=-2)
    return np.einsum("...st,...st->...t", left, right)


def _invert_by_lapack(square, alpha):
    """Return the inverse of a float64 array (n, n), which is overwritten."""
    factor, info = lapack.dpotrf(square.T, lower=1, overwrite_a=1)  # LAPACK's column order is NumPy's transpose
    _check_definite(info, alpha)
    lower, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)  # the lower triangle with the diagonal; zeros above
    inverse = lower + lower.T
    np.fill_diagonal(inverse, lower.diagonal())
    return inverse


def _invert_factors(squares, alphas):
    """Return the inverses of the lower Cholesky factors of symmetric tensors (n_matrices, n, n).

    Each half of the rows is inverted in the same way, until blocks are small. All other work is matrix products:
    4/3 n^3 operations. (It is the algorithm of LAPACK, whose triangular solves are products with inverted blocks here.)
    """
    inverses, infos = torch.zeros_like(squares, memory_format=torch.contiguous_format), []

    def invert_block(square, inverse):  # writes to inverse, a view
        n = square.shape[-1]
        if n <= SMALL_BLOCK:
            factor, info = torch.linalg.cholesky_ex(square)
            identity = torch.eye(n, dtype=square.dtype, device=square.device).expand_as(square)
            inverse[:] = torch.linalg.solve_triangular(factor, identity, upper=False)
            infos.append(info)
            return
        half = n // 2
        upper, lower = inverse[:, :half, :half], inverse[:, half:, half:]
        invert_block(square[:, :half, :half], upper)
        below = square[:, half:, :half] @ upper.mT  # of the factor
        invert_block(torch.baddbmm(square[:, half:, half:], below, below.mT, alpha=-1), lower)
        torch.baddbmm(inverse[:, half:, :half], lower, below @ upper, beta=0, alpha=-1, out=inverse[:, half:, :half])

    invert_block(squares, inverses)
    is_indefinite = torch.stack(infos).any(0).tolist()
    for info, alpha in zip(is_indefinite, alphas, strict=True):
        _check_definite(info, alpha)
    return inverses


def _check_definite(info, alpha):
    """Check the status of a Cholesky factorization by LAPACK or PyTorch: 0 is success."""
    if info:
        raise InputError(f"alpha {alpha:g} is too small for these features. Use larger --alphas.")
