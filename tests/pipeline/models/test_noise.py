"""Compare hashed noise with a slow reference, and tokens drawn with it with the probabilities of softmax."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from plain_noise import plain_keys, plain_noise

from pipeline.models import noise
from pipeline.models.noise import draw_keys, make_noise


def test_noise_is_that_of_plain_numbers_in_every_batch(monkeypatch):
    keys = draw_keys([1, -2, 2**40], 3)
    for text, seed in enumerate([1, -2, 2**40]):
        assert keys[text].tolist() == plain_keys(seed, 3)
    together = make_noise(keys[:, 1], 501)
    for text in range(3):
        torch.testing.assert_close(together[text], plain_noise(keys[text, 1].tolist(), 501), rtol=1e-5, atol=1e-5)
        assert torch.equal(make_noise(keys[text : text + 1, 1], 501)[0], together[text])
    monkeypatch.setattr(noise, "SERIAL", 30)  # several pieces of the vocabulary
    assert torch.equal(make_noise(keys[:, 1], 501), together)
    assert torch.equal(make_noise(keys[:, 1], 77), together[:, :77])


def test_keys_of_a_text_do_not_depend_on_how_many_tokens_it_has():
    assert torch.equal(draw_keys([5], 7), draw_keys([4, 5], 40)[1:, :7])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_frequencies_of_drawn_tokens_are_those_of_softmax(temperature):
    logits = torch.tensor([-torch.inf, 0.0, 2.0, -3.0, 1.0, 1.0, -6.0, 0.5, -torch.inf])
    keys = draw_keys(list(range(200)), 1000).reshape(-1, 2)
    tokens = (make_noise(keys, len(logits)) + logits / temperature).argmax(dim=1)
    counts = np.bincount(tokens, minlength=len(logits))
    expected = len(keys) * (logits.double() / temperature).softmax(dim=0).numpy()
    is_possible = expected > 0
    assert counts[~is_possible].sum() == 0
    assert scipy.stats.chisquare(counts[is_possible], expected[is_possible]).pvalue > 0.001


def test_noise_of_a_large_vocabulary_is_gumbel_and_uncorrelated_between_tokens():
    values = make_noise(draw_keys([3], 4)[0], 50_000).double()
    assert scipy.stats.kstest(values.flatten().numpy(), scipy.stats.gumbel_r.cdf).pvalue > 0.001
    shifted = torch.cat([values, values[:1].roll(1, dims=1), values[:1].roll(256, dims=1)])
    correlations = torch.corrcoef(shifted) - torch.eye(len(shifted))
    assert correlations.abs().max() < 5 / 50_000**0.5


@pytest.mark.parametrize("number", [0, 1, 63, 64, 1000, 2**24 + 1, 2**30])
def test_rounding_of_float32_does_not_change_the_largest_noise(number, monkeypatch):
    expected = -math.log(-math.log1p(-(number + 0.5) / 2**31))
    for sign in (0, -(2**31)):
        monkeypatch.setattr(noise, "_mix", lambda numbers, sign=sign: torch.full_like(numbers, sign + number))
        assert float(make_noise(torch.zeros(1, 2, dtype=torch.int32), 1)) == pytest.approx(expected, abs=1e-5)


def test_noise_is_finite_for_the_least_and_greatest_number(monkeypatch):
    for number in (-(2**31), 2**31 - 1):
        monkeypatch.setattr(noise, "_mix", lambda numbers, number=number: torch.full_like(numbers, number))
        value = float(make_noise(torch.zeros(1, 2, dtype=torch.int32), 1))
        assert value == pytest.approx(22.18 if number < 0 else -2.81, abs=0.02)
