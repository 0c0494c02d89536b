"""Compare CKA and RDMs with their formulas, sum by sum, and with what must hold of them."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline.errors import InputError
from pipeline.similarity import cka
from pipeline.similarity.cka import compute_cka, compute_debiased_cka, compute_gram, permute_samples
from pipeline.similarity.rsa import compare_rdms, compute_rdm


def plain_hsic(first, second):
    """The unbiased HSIC of Song et al. (2012), as it is printed."""
    n, ones = len(first), np.ones(len(first))
    k, m = (gram - np.diag(np.diag(gram)) for gram in (first, second))
    total = np.trace(k @ m) + (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
    return (total - 2 * (ones @ k @ m @ ones) / (n - 2)) / (n * (n - 3))


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_both_forms_are_those_of_the_formulas():
    x, y = draw(20, 30), draw(20, 4, seed=1)
    y[:, :2] += x[:, :2]
    centred = [values - values.mean(axis=0) for values in (x, y)]
    norms = [np.linalg.norm(values.T @ values) for values in centred]
    expected = np.linalg.norm(centred[1].T @ centred[0]) ** 2 / np.prod(norms)
    grams = [compute_gram(x), compute_gram(y)]
    assert compute_cka(*grams) == pytest.approx(expected)
    k, m = x @ x.T, y @ y.T
    debiased = plain_hsic(k, m) / np.sqrt(plain_hsic(k, k) * plain_hsic(m, m))
    assert compute_debiased_cka(*grams) == pytest.approx(debiased)


def test_a_rotation_changes_nothing_and_the_same_values_give_one():
    x = draw(30, 12)
    rotation, _ = np.linalg.qr(draw(12, 12, seed=1))
    rotated = compute_gram(5 * x @ rotation + 3)
    assert compute_cka(compute_gram(x), rotated) == pytest.approx(1)
    assert compute_debiased_cka(compute_gram(x), rotated) == pytest.approx(1)


def test_only_the_debiased_form_is_zero_for_noise():
    pairs = [[compute_gram(draw(40, 300, seed=2 * k)), compute_gram(draw(40, 300, seed=2 * k + 1))] for k in range(40)]
    assert np.mean([compute_cka(*pair) for pair in pairs]) > 0.8
    debiased = [compute_debiased_cka(*pair) for pair in pairs]
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / np.sqrt(len(debiased))


def test_p_is_small_for_related_and_uniform_for_unrelated_values():
    x = draw(32, 10)
    groups = np.repeat(np.arange(8), 4)
    assert permute_samples(compute_gram(x), compute_gram(x + draw(32, 10, seed=1)), n_permutations=199)[1] == 0.005
    p = [
        permute_samples(compute_gram(draw(24, 5, seed=k)), compute_gram(draw(24, 5, seed=100 + k)), n_permutations=49)[
            1
        ]
        for k in range(60)
    ]
    assert 0.35 < np.mean(p) < 0.65
    value, p_of_groups = permute_samples(compute_gram(x), compute_gram(x), groups, n_permutations=99)
    assert (value, p_of_groups) == (pytest.approx(1), 0.01)


def test_groups_keep_p_honest_where_samples_of_a_group_are_similar():
    groups = np.repeat(np.arange(8), 4)

    def draw_passages(seed):
        return compute_gram(np.repeat(draw(8, 3, seed=seed), 4, axis=0) + 0.1 * draw(32, 3, seed=seed + 1000))

    pairs = [(draw_passages(k), draw_passages(k + 500)) for k in range(40)]
    honest = [permute_samples(*pair, groups, n_permutations=39)[1] for pair in pairs]
    naive = [permute_samples(*pair, n_permutations=39)[1] for pair in pairs]
    assert np.mean(np.array(honest) <= 0.05) <= 0.2 < np.mean(np.array(naive) <= 0.05)


def test_sums_over_blocks_are_those_of_whole_matrices():
    a, b = compute_gram(draw(24, 5)), compute_gram(draw(24, 5, seed=1))
    members = [np.flatnonzero(np.arange(24) % 6 == group) for group in range(6)]  # not next to each other
    orders = [np.random.default_rng(k).permutation(6) for k in range(20)]
    whole = cka._permute_whole(a, b, members, orders)
    np.testing.assert_allclose(cka._permute_blocks(a, b, members, orders), whole)
    for order, total in zip(orders, whole, strict=True):
        place = np.empty(24, dtype=int)
        for group in range(6):
            place[members[group]] = members[order[group]]
        assert total == pytest.approx(sum(a[i, j] * b[place[i], place[j]] for i in range(24) for j in range(24)))


def test_rdms_are_those_of_a_loop_over_pairs():
    x, y = draw(9, 6), draw(9, 5, seed=1)
    pairs = [(i, j) for i in range(9) for j in range(i + 1, 9)]
    expected = [[1 - np.corrcoef(values[i], values[j])[0, 1] for i, j in pairs] for values in (x, y)]
    np.testing.assert_allclose(compute_rdm(x), expected[0])
    assert compare_rdms(compute_rdm(x), compute_rdm(y)) == pytest.approx(spearmanr(*expected).statistic)


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match="2 units or more"):
        compute_rdm(draw(5, 1))
    with pytest.raises(InputError, match="4 or more"):
        compute_debiased_cka(np.eye(3), np.eye(3))
    with pytest.raises(InputError, match="the same in both"):
        compute_cka(np.eye(3), np.eye(4))
    assert np.isnan(compute_cka(compute_gram(np.ones((5, 2))), compute_gram(draw(5, 2))))
    assert np.isnan(compare_rdms(np.full(10, np.nan), np.arange(10.0)))
