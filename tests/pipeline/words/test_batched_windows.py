"""Compare windows that are read as one batch, and vectors that are copied meanwhile, with one window at a time."""

import numpy as np
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model, words_in
from tiny_models import tiny_model

from pipeline.errors import InputError
from pipeline.models.hidden_states import find_layers
from pipeline.words import vectors as words_vectors
from pipeline.words import word_sums
from pipeline.words.runs import split_windows
from pipeline.words.vectors import are_windows_independent, compute_word_states
from pipeline.words.word_sums import share_tokens

GIGABYTE = 2**30


def read(model, tokenizer, context, progress=None):
    return compute_word_states(
        model, tokenizer, ENGLISH, words_in(ENGLISH), max_length=context, has_surprisal=True, progress=progress
    )


@pytest.fixture
def with_memory(monkeypatch):
    """Let models read windows as if the device had so many free bytes."""
    return lambda n_bytes: monkeypatch.setattr(words_vectors, "count_free_bytes", lambda device: n_bytes)


@pytest.mark.parametrize("architecture", ["olmo2", "gpt_neox"])
@pytest.mark.parametrize("adds_bos", [False, True], ids=["no-bos", "bos"])
@pytest.mark.parametrize("context", [80, 20], ids="context-{}".format)
@pytest.mark.parametrize("n_at_once", [2, 3, 1000])
def test_batched_windows_give_the_numbers_of_windows_one_by_one(
    architecture, adds_bos, context, n_at_once, with_memory, monkeypatch
):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos, architecture)
    model = random_model(architecture, len(tokenizer), context=512)
    expected, n_rows, done = read(model, tokenizer, context), [], []
    model.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: n_rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    with_memory(GIGABYTE)
    monkeypatch.setattr(words_vectors, "TOKENS_AT_ONCE", n_at_once * context)
    monkeypatch.setattr(word_sums, "is_staged", lambda device: True)  # copies as of a GPU
    states = read(model, tokenizer, context, done.append)
    n_tokens = len(tokenizer(ENGLISH, add_special_tokens=False)["input_ids"])
    n_windows = len(split_windows(n_tokens, context - adds_bos))
    assert max(n_rows) == min(n_at_once, n_windows) > 1
    for name, values in states._asdict().items():
        reference = getattr(expected, name)
        scale = np.nanmax(np.abs(reference))
        np.testing.assert_allclose(values, reference, rtol=1e-4, atol=1e-6 * scale, err_msg=name)
    assert sum(done) == len(words_in(ENGLISH))


def test_batches_become_smaller_where_memory_ends(with_memory, monkeypatch):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=True)
    model = random_model("olmo2", len(tokenizer), context=512)
    expected, forward, n_rows, done = read(model, tokenizer, 20), model.base_model.forward, [], []

    def scarce(input_ids, **more):
        n_rows.append(len(input_ids))
        if len(input_ids) > 2 or (len(input_ids) == 2 and len(n_rows) == 7):  # once after a part of the run
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(model.base_model, "forward", scarce)
    with_memory(GIGABYTE)
    monkeypatch.setattr(words_vectors, "TOKENS_AT_ONCE", 160)
    states = read(model, tokenizer, 20, done.append)
    np.testing.assert_allclose(states.vectors, expected.vectors, rtol=1e-4, atol=1e-5)
    assert n_rows[:5] == [1, 2, 8, 4, 2]  # the test of independence, then the run
    assert 1 in n_rows[5:]
    assert sum(done) == len(words_in(ENGLISH))
    with_memory(1000)
    n_rows.clear()
    read(model, tokenizer, 20)
    assert set(n_rows) == {1}


@pytest.mark.parametrize("architecture", ["gpt2", "mamba", "rwkv"])
@pytest.mark.parametrize("is_mixed", [False, True])
def test_windows_that_depend_on_their_batch_are_read_one_by_one(architecture, is_mixed, with_memory):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    model, ids = tiny_model(architecture, len(tokenizer)), np.arange(20, 36)
    if is_mixed:  # each row gets something of the other rows, and a row alone stays as it is
        model.get_input_embeddings().register_forward_hook(lambda _, __, states: 2 * states - states.mean(0))
    assert are_windows_independent(model, find_layers(model, ids), ids) != is_mixed
    expected = read(model, tokenizer, 40)
    with_memory(GIGABYTE)
    np.testing.assert_allclose(read(model, tokenizer, 40).vectors, expected.vectors, rtol=1e-4, atol=1e-5)


def test_states_that_are_not_finite_in_a_later_window_are_an_error(with_memory):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    model = random_model("olmo2", len(tokenizer), context=512)
    with_memory(GIGABYTE)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer(ENGLISH)["input_ids"][-1]] = torch.inf
    with pytest.raises(InputError, match="states of layer 0: expected finite numbers"):
        read(model, tokenizer, 80)


def test_a_model_is_tried_once(monkeypatch):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    model, n_read = random_model("olmo2", len(tokenizer), context=512), []
    model.base_model.register_forward_pre_hook(lambda *_: n_read.append(1))
    read(model, tokenizer, None)
    first = len(n_read)
    read(model, tokenizer, None)
    assert len(n_read) == first + 1 > 2


def test_shares_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    firsts = np.sort(rng.integers(0, 60, 40))
    ranges = np.stack([firsts, firsts + rng.integers(1, 5, 40)], axis=1)
    for new, end in [(0, 64), (10, 11), (20, 50)]:
        words = np.flatnonzero((ranges[:, 0] < end) & (ranges[:, 1] > new))
        expected = []
        for first, last in ranges[words]:
            expected += [(token - new, 1 / (last - first)) for token in range(max(first, new), min(last, end))]
        _, starts, tokens, weights = share_tokens(words, ranges, new, end)
        assert tokens.tolist() == [token for token, _ in expected]
        np.testing.assert_allclose(weights, [weight for _, weight in expected], rtol=1e-6)
        n_inside = [min(last, end) - max(first, new) for first, last in ranges[words]]
        assert starts.tolist() == [sum(n_inside[:k]) for k in range(len(words))]
