"""Compute centred kernel alignment (CKA) of two sets of responses to the same samples.

Linear CKA (Kornblith et al., ICML 2019) is large for independent noise where there are more units than samples. The
debiased form (Murphy et al. 2024, arXiv 2405.01012) is 0 on average for independent noise. It can be below 0.
"""

import numpy as np

from pipeline.errors import InputError

MOST_BLOCKS = 64  # groups whose pairs of pairs take 128 MB


def compute_gram(values):
    """Return the Gram matrix (n_samples, n_samples) of centred columns, values (n_samples, n_units)."""
    values = np.asarray(values, dtype=np.float64)
    values = values - values.mean(axis=0)
    return values @ values.T


def compute_cka(first, second):
    """Return linear CKA from two Gram matrices (n_samples, n_samples), a float from 0 to 1; NaN for constant values.

    With centred X and Y, it is ||Y'X||^2 / (||X'X|| ||Y'Y||).
    """
    _check_shapes(first, second, fewest=2)
    return _normalise(_centre(first), _centre(second))


def compute_debiased_cka(first, second):
    """Return debiased linear CKA from two Gram matrices (n_samples, n_samples), a float of at most 1.

    Each of the three HSIC is the unbiased estimate of Song et al. (2012). It is NaN where a Gram matrix has no variance
    beyond noise. InputError is raised for fewer than four samples.
    """
    _check_shapes(first, second, fewest=4)
    return _normalise(_centre_off_diagonal(first), _centre_off_diagonal(second))


def permute_samples(first, second, groups=None, n_permutations=1000, seed=0):
    """Test debiased CKA against permuted samples.

    Samples of a group stay together and keep their order: whole groups change places. Samples that are close in time
    are correlated, so that permutations of single samples would give too small p-values.

    Parameters
    ----------
    first, second : float array (n_samples, n_samples), Gram matrices
    groups : array (n_samples,), optional; by default, each sample is a group
    n_permutations, seed : int

    Returns
    -------
    cka : float, debiased
    p : float, the share of permutations with the same CKA or more, the measured one included; NaN where cka is NaN
    """
    _check_shapes(first, second, fewest=4)
    rng, a, b = np.random.default_rng(seed), _centre_off_diagonal(first), _centre_off_diagonal(second)
    members = _list_members(np.arange(len(a)) if groups is None else np.asarray(groups))
    orders = [rng.permutation(len(members)) for _ in range(n_permutations)]
    measured = np.sum(a * b)
    is_equal = len({len(samples) for samples in members}) == 1
    compute = _permute_blocks if is_equal and len(members) <= MOST_BLOCKS else _permute_whole
    n_as_large = 1 + np.sum(compute(a, b, members, orders) >= measured - 1e-12 * abs(measured))
    cka = _normalise(a, b)
    return cka, float(n_as_large / (n_permutations + 1)) if np.isfinite(cka) else np.nan


def _permute_whole(a, b, members, orders):
    """Return the sum of a * b for each order of the groups of b, a float array (n_permutations,)."""
    base = np.concatenate(members)
    a, sums = a[np.ix_(base, base)], []
    for order in orders:
        samples = np.concatenate([members[number] for number in order])
        sums.append(np.sum(a * b[np.ix_(samples, samples)]))
    return np.array(sums)


def _permute_blocks(a, b, members, orders):
    """Return what ``_permute_whole`` does, for groups of one size: sums of products of blocks are computed once."""
    base, n, size = np.concatenate(members), len(members), len(members[0])

    def cut(square):
        blocks = square[np.ix_(base, base)].reshape(n, size, n, size).swapaxes(1, 2)
        return blocks.reshape(n * n, size * size)

    products = cut(a) @ cut(b).T  # of each pair of groups in a with each pair in b
    pairs = np.arange(n * n)
    return np.array([products[pairs, (n * order[:, None] + order).ravel()].sum() for order in orders])


def _list_members(groups):
    """Return the sample numbers of each group, a list of int arrays."""
    return [np.flatnonzero(groups == group) for group in dict.fromkeys(groups.tolist())]


def _check_shapes(first, second, fewest):
    """Check that two Gram matrices have the same samples, enough of them."""
    if first.shape != second.shape or len(first) < fewest:
        raise InputError(f"samples: expected {fewest} or more, the same in both, got {len(first)} and {len(second)}")


def _centre(gram):
    """Return H K H."""
    means = gram.mean(axis=0)
    return gram - means - means[:, None] + means.mean()


def _centre_off_diagonal(gram):
    """Return the U-centred matrix: its diagonal is 0, and so are the sums of its rows."""
    n = len(gram)
    gram = gram - np.diag(np.diag(gram))
    sums = gram.sum(axis=0)
    centred = gram - sums / (n - 2) - sums[:, None] / (n - 2) + sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0)
    return centred


def _normalise(a, b):
    """Return the cosine of two matrices, NaN where one is 0."""
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.sum(a * b) / norm) if norm > 0 else np.nan
