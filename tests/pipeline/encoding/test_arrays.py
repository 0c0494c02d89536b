"""Compare inverses from matrix products with inverses from Cholesky factors, in more digits than float64 has."""

import numpy as np
import pytest
import torch

from pipeline.encoding import arrays
from pipeline.encoding.signals import zscore
from pipeline.errors import InputError


def make_ill_conditioned(n_samples, alpha, n_features=4096):
    """Return XX' + alpha of correlated features, float64 (n_samples, n_samples); eigenvalues fall by 1e6 and more."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((40, n_features)) * np.logspace(0, -3, 40)[:, None]
    features = zscore(rng.standard_normal((n_samples, 40)) @ mixing + 1e-6 * rng.standard_normal(n_features))
    features = features.astype(np.float64)
    return arrays.add_to_diagonal(features @ features.T, alpha)


def refine(square, inverse):
    """Return the inverse in long double, by Newton's iterations from an inverse in float64."""
    square, inverse = square.astype(np.longdouble), inverse.astype(np.longdouble)
    for _ in range(4):
        inverse = inverse + inverse @ (np.eye(len(square)) - square @ inverse)
    return inverse


@pytest.mark.parametrize("small_block", [16, 128])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 100.0])
def test_inverses_from_products_are_nearly_as_exact_as_those_of_cholesky(alpha, small_block, monkeypatch):
    monkeypatch.setattr(arrays, "SMALL_BLOCK", small_block)
    square, n = make_ill_conditioned(150, alpha), 150
    assert np.linalg.cond(square) > 1e5 / alpha
    (by_lapack,) = arrays.invert(square.copy()[None], [alpha])
    exact = refine(square, by_lapack)
    (by_products,) = arrays.invert(torch.from_numpy(square)[None], [alpha]).numpy()
    right = np.random.default_rng(1).standard_normal((n, 7))
    (solution,) = arrays.solve(torch.from_numpy(square)[None], torch.from_numpy(right), [alpha]).numpy()
    (solution_by_lapack,) = arrays.solve(square.copy()[None], right, [alpha])
    for computed, usual, truth in [
        (by_products, by_lapack, exact),
        (solution, solution_by_lapack, exact @ right.astype(np.longdouble)),
    ]:
        error, error_of_cholesky = (np.abs(values - truth).max() / np.abs(truth).max() for values in (computed, usual))
        assert error < 8 * error_of_cholesky + 1e-14
        assert error < 10 * np.linalg.cond(square) * np.finfo(np.float64).eps


def test_matrices_of_different_sizes_are_inverted_at_once():
    rng = np.random.default_rng(0)
    batches = [
        factors @ factors.mT + torch.eye(n)
        for n in (3, 260, 130)
        for factors in [torch.from_numpy(rng.random((2, n, n)))]
    ]
    for batch, inverses in zip(batches, arrays.invert_each(batches, [[1.0, 1.0]] * 3), strict=True):
        np.testing.assert_allclose(inverses, torch.linalg.inv(batch), atol=1e-8)


def test_the_alpha_that_is_too_small_is_named():
    squares = torch.eye(300, dtype=torch.float64).repeat(3, 1, 1)
    squares[1, 200, 200] = -1
    for invert in (arrays.invert, lambda *values: arrays.solve(values[0], torch.ones(300, 1), values[1])):
        with pytest.raises(InputError, match=r"alpha 0\.5 is too small for these features"):
            invert(squares, [0.25, 0.5, 1])
