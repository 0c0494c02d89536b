"""Test trimming, z-scoring and regressors."""

import numpy as np
import pytest

from pipeline.encoding.signals import make_regressors, trim_and_zscore, zscore
from pipeline.errors import InputError


def test_trimming_and_scaling():
    signal = np.random.default_rng(0).normal(5, 3, (60, 4))
    prepared = trim_and_zscore(signal)
    kept = signal[10:-10]
    np.testing.assert_allclose(prepared, (kept - kept.mean(0)) / kept.std(0), atol=1e-6)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(trim_and_zscore(signal, 0), (signal - signal.mean(0)) / signal.std(0), atol=1e-6)
    constant = np.column_stack([signal[:, 0], np.full(60, 0.1), np.zeros(60)])
    assert (zscore(constant)[:, 1:] == 0).all()


def test_a_run_without_scans_after_trimming_is_an_error():
    assert trim_and_zscore(np.arange(22.0)[:, None]).tolist() == [[-1], [1]]
    for n_scans in (0, 5, 20, 21):
        with pytest.raises(InputError, match=f"{n_scans} scans are too few: 10 are cut off at each end"):
            trim_and_zscore(np.ones((n_scans, 2)))


def test_regressors_are_trimmed_products():
    rng = np.random.default_rng(0)
    matrix, vectors = rng.random((40, 7), dtype=np.float32), rng.standard_normal((7, 3))
    product = (matrix.astype(float) @ vectors)[5:-5]
    expected = (product - product.mean(0)) / product.std(0)
    np.testing.assert_allclose(make_regressors(matrix, vectors, trim_scans=5), expected, atol=1e-5)
    vectors[2, 1] = np.inf
    with pytest.raises(InputError, match="values that are not finite numbers"):
        make_regressors(matrix, vectors)
