"""Compute the noise of a token by plain Python numbers: a slow reference."""

import math

import torch


def plain_keys(seed, n_tokens):
    """Return two whole numbers of 32 bits for each token of a text."""
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(n_tokens, 2, dtype=torch.int32).random_(-(2**31), 2**31, generator=generator).tolist()


def plain_noise(key, n_vocabulary):
    """Return Gumbel noise for each row of the vocabulary, a float32 tensor."""
    first, second = (number % 2**32 for number in key)
    uniform = [_mix((_mix(row ^ first) + second) % 2**32) % 2**31 for row in range(n_vocabulary)]
    return torch.tensor([-math.log(-math.log1p(-(number + 0.5) / 2**31)) for number in uniform])


def _mix(h):
    """Return the finalizer of MurmurHash3, as Austin Appleby published it."""
    h ^= h >> 16
    h = h * 0x85EBCA6B % 2**32
    h ^= h >> 13
    h = h * 0xC2B2AE35 % 2**32
    return h ^ h >> 16
