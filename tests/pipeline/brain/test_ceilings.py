"""Compare ceilings with a loop over neuroids and resamples, and with curves and correlations that are known."""

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline.brain.ceilings import compute_ceilings, fit_saturation, list_pools
from pipeline.errors import InputError

SIZES = np.arange(2, 8)


def saturate(k, v0, tau):
    return v0 * (1 - np.exp(-np.asarray(k) / tau))


def test_the_parameters_of_a_curve_without_noise_are_recovered():
    v0, tau = np.meshgrid([0.05, 0.3, 0.9], [0.4, 1.0, 3.0, 10.0], indexing="ij")
    fitted = fit_saturation(SIZES, saturate(SIZES, v0[..., None], tau[..., None]))
    np.testing.assert_allclose(fitted[0], v0, rtol=1e-4)
    np.testing.assert_allclose(fitted[1], tau, rtol=1e-3)


def test_no_other_parameters_have_a_smaller_error():
    rng = np.random.default_rng(0)
    for noise in (0.01, 0.1):
        means = saturate(SIZES, 0.4, 2.0) + noise * rng.standard_normal((10, len(SIZES)))
        fitted = np.stack(fit_saturation(SIZES, means), axis=1)
        for row, values in enumerate(means):

            def error(parameters, values=values):
                return np.sum((saturate(SIZES, parameters[0], np.exp(parameters[1])) - values) ** 2)

            starts = [(0.1, -1.0), (0.5, 0.5), (0.9, 3.0)]
            bounds = [(0, 1), (-3, 6.5)]
            best = min(minimize(error, start, bounds=bounds).fun for start in starts)
            assert error((fitted[row, 0], np.log(fitted[row, 1]))) <= best + 1e-6


def test_bounds_and_unknown_values():
    means = np.stack([SIZES * 0.2, -0.1 * np.ones(len(SIZES)), np.full(len(SIZES), np.nan)])
    v0, _ = fit_saturation(SIZES, means)
    assert v0[:2].tolist() == [1, 0]
    assert np.isnan(v0[2])
    by_size = {2: np.full((3, 4, 1), 0.9), 3: np.full((1, 4, 1), 2.0)}
    assert compute_ceilings(by_size).at_bound.tolist() == [1]


def test_ceilings_of_a_loop():
    rng = np.random.default_rng(0)
    by_size = {
        k: saturate(k, 0.5, 2.0) + 0.05 * rng.standard_normal((n_pools, 3, 4))
        for k, n_pools in [(2, 3), (3, 3), (4, 1)]
    }
    ceilings = compute_ceilings(by_size, n_resamples=30)
    for neuroid in range(4):
        rng, resampled = np.random.default_rng(0), []
        for _ in range(30):
            means = []
            for k in (2, 3, 4):
                values = by_size[k][..., neuroid].ravel()
                means.append(np.mean([values[number] for number in rng.integers(0, len(values), len(values))]))
            resampled.append(fit_saturation(np.array([2.0, 3, 4]), np.array(means))[0])
        assert ceilings.extrapolated[neuroid] == pytest.approx(np.median(resampled))
        assert ceilings.at_n[neuroid] == pytest.approx(by_size[4][..., neuroid].mean())
        assert ceilings.at_n_low[neuroid] < ceilings.at_n[neuroid] < ceilings.at_n_high[neuroid]


def test_pools_are_different_seeded_and_never_contain_the_predicted_subject():
    subjects = list("abcdefgh")
    pools = list_pools(subjects, "c", n_pools=5)
    assert list(pools) == list(range(2, 9))
    for size, drawn in pools.items():
        assert len(drawn) == len(set(drawn)) <= 5
        assert all(len(pool) == size - 1 and "c" not in pool for pool in drawn)
    assert pools == list_pools(subjects[::-1], "c", n_pools=5)
    assert pools != list_pools(subjects, "c", n_pools=5, seed=1)
    assert sum(map(len, list_pools(subjects, "c").values())) == 2**7 - 1
    with pytest.raises(InputError, match="2 or more"):
        list_pools(["a"], "a")
