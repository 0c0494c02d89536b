"""Test that the batch size decides no pair, the batches that a thread prepares, and the choice of the batch size."""

import threading
from functools import partial, wraps
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model
from tiny_models import tiny_model

from pipeline.models import batch_size as batch_sizes
from pipeline.models.batch_size import choose_batch_size, find_free_bytes
from pipeline.models.batches import work_in_batches
from pipeline.models.near_ties import score_in_fixed_shape, settle_near_ties
from pipeline.models.output_layer import can_add_in_float32
from pipeline.models.sentence_batches import stage_batch, upload_batch
from pipeline.models.sentence_scores import sort_by_beginning
from pipeline.tasks.minimal_pairs import score_pairs
from study.command_line import number_or_auto

WORDS = "the prince snake people are is lonely a little in desert among too finger".split()
ROUNDING = 0.01  # of a hidden state; large enough to change pairs, as in a real model
SCORES = ["logprob_good", "logprob_bad"]


@pytest.fixture(scope="module")
def tokenizer():
    return byte_level_tokenizer(ENGLISH + " ".join(WORDS), 400, adds_bos=False)


def make_pairs(n_pairs, seed=0):
    """Return pairs that differ in one word, some of which are identical."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_pairs):
        good = rng.choice(WORDS, rng.integers(2, 9)).tolist()
        bad = good.copy()
        bad[rng.integers(len(bad))] = str(rng.choice(WORDS))
        rows.append((" ".join(good), " ".join(bad)))
    return pd.DataFrame(rows, columns=["good", "bad"])


def add_rounding(read):
    """Return a forward pass whose rounding depends on the shape of the batch, as a device's does."""

    @wraps(read)
    def forward(input_ids, **options):
        output, (n_rows, n_columns) = read(input_ids, **options), input_ids.shape
        generator = torch.Generator().manual_seed(1000 * n_rows + n_columns)
        noise = torch.randn(output.last_hidden_state.shape[1:], generator=generator)
        output.last_hidden_state += (ROUNDING * noise).to(output.last_hidden_state.dtype)
        return output

    return forward


@pytest.mark.parametrize("as_trees", [True, False], ids=["trees", "batches"])
def test_in_bfloat16_the_batch_size_decides_no_pair(as_trees, tokenizer, monkeypatch):
    model, pairs = random_model("olmo2", len(tokenizer), context=64).bfloat16(), make_pairs(400)
    monkeypatch.setattr(model.base_model, "forward", add_rounding(model.base_model.forward))
    if not as_trees:
        monkeypatch.setattr("pipeline.models.prefix_trees.reason_unsupported", lambda *arguments: "a test")
    decisions, plain_decisions, measures = [], [], {}
    for batch_size in (1, 7, 64, 512):
        options = {"log": lambda line: None, "measure": measures.update}
        scored = score_pairs(pairs, model, tokenizer, batch_size, **options)
        decisions.append(scored[SCORES[0]] > scored[SCORES[1]])
        assert measures["batch_size"] == batch_size
        assert 5 < measures["near_ties"] < 200
        identical = pairs["good"] == pairs["bad"]
        assert (scored[SCORES[0]] == scored[SCORES[1]]).equals(identical)
        monkeypatch.setattr("pipeline.models.near_ties.NEAR_TIE", 0)
        scored = score_pairs(pairs, model, tokenizer, batch_size, log=lambda line: None)
        plain_decisions.append(scored[SCORES[0]] > scored[SCORES[1]])
        monkeypatch.setattr("pipeline.models.near_ties.NEAR_TIE", 10)
    assert all(decision.equals(decisions[0]) for decision in decisions)
    assert not all(decision.equals(plain_decisions[0]) for decision in plain_decisions)  # without the second reading


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [("cohere", {"logit_scale": 0.25}), ("gemma2", {"head_dim": 8, "final_logit_softcapping": 2.0})],
)
def test_models_with_scaled_or_capped_logits_read_near_ties_again(architecture, settings, tokenizer, monkeypatch):
    model = tiny_model(architecture, len(tokenizer), num_key_value_heads=2, **settings)
    pairs, measures, lines = make_pairs(50), {}, []
    plain = score_pairs(pairs, model, tokenizer, 7, log=lines.append)
    assert "cannot read sentences as trees" in lines[0]
    monkeypatch.setattr("pipeline.models.sentence_scores.compute_rounding", lambda *arguments: 100.0)
    fixed = score_pairs(pairs, model, tokenizer, 7, log=lines.append, measure=measures.update)
    assert measures["near_ties"] == (pairs["good"] != pairs["bad"]).sum()
    np.testing.assert_allclose(fixed[SCORES], plain[SCORES], rtol=1e-5)


def test_in_float32_few_pairs_are_near_ties(tokenizer):
    model, pairs, measures = random_model("olmo2", len(tokenizer), context=64), make_pairs(300), {}
    scored = score_pairs(pairs, model, tokenizer, measure=measures.update)
    assert measures["batch_size"] == batch_sizes.MOST_SENTENCES["cpu"]
    assert 0 < measures["near_tie_nats"] < 1e-3
    assert measures["near_ties"] < 3
    np.testing.assert_allclose(scored[SCORES], score_pairs(pairs, model, tokenizer, 1)[SCORES], rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sum_of_the_fixed_shape_depends_on_no_neighbour(dtype, tokenizer):
    model = random_model("gpt_neox", len(tokenizer), context=64).to(dtype)
    rng = np.random.default_rng(0)
    token_ids = [[0, *rng.integers(1, len(tokenizer), rng.integers(1, 30)).tolist()] for _ in range(80)]
    token_ids.append(rng.integers(1, len(tokenizer), 64).tolist())  # the whole context: no column of padding
    score = partial(score_in_fixed_shape, token_ids=token_ids, model=model, log=print, is_linear=True, context=64)
    expected, shuffled, lonely = np.full((3, len(token_ids)), np.nan)
    with torch.inference_mode():
        score(range(len(token_ids)), scores=expected)
        score(rng.permutation(len(token_ids)), scores=shuffled)
        for index in (0, 7, 80):
            score([index], scores=lonely)
    # float64 sums of equal float32 terms
    np.testing.assert_allclose(shuffled, expected, rtol=1e-12)
    np.testing.assert_allclose(lonely[[0, 7, 80]], expected[[0, 7, 80]], rtol=1e-12)


def test_only_near_ties_are_settled_and_equal_sums_are_near_ties():
    scores = np.array([-1.0, -1.5, -9.0, -9.0, -20.0])
    pairs, read = np.array([[0, 1], [2, 3], [0, 4]]), []

    def score_fixed(indices, scores):
        read.extend(indices)
        scores[indices] = -7.0 - np.array(indices)

    numbers = settle_near_ties(scores, pairs, n_terms=np.ones(5), rounding=0.06, score_fixed=score_fixed)
    assert numbers == {"near_ties": 2, "near_tie_nats": pytest.approx(0.6)}
    assert read == [0, 1, 2, 3]
    assert scores.tolist() == [-7.0, -8.0, -9.0, -10.0, -20.0]
    assert settle_near_ties(scores, pairs, n_terms=np.ones(5), rounding=0.0, score_fixed=score_fixed)["near_ties"] == 0


def test_sentences_of_the_same_tokens_are_not_read_again(tokenizer):
    model, measures = random_model("olmo2", len(tokenizer), context=64), {}
    pairs = pd.DataFrame({"good": ["the prince", "a snake"], "bad": ["the prince", "a snake"]})
    scored = score_pairs(pairs, model, tokenizer, measure=measures.update)
    assert measures["near_ties"] == 0
    assert (scored[SCORES[0]] == scored[SCORES[1]]).all()


# ---------------------------------------------------------------- batches


def test_a_thread_prepares_the_next_batch_during_the_work_on_a_batch():
    begun, names, done = [], set(), []
    next_is_prepared = {first: threading.Event() for first in range(0, 12, 4)}

    def prepare(batch):
        begun.append(batch)
        names.add(threading.current_thread().name)
        next_is_prepared[batch[0]].set()
        return sum(batch)

    def work(batch, prepared):
        assert prepared == sum(batch)
        if batch[0] < 8:
            assert next_is_prepared[batch[0] + 4].wait(timeout=60)
        done.append(batch)

    work_in_batches(list(range(10)), 4, work, print, prepare)
    assert done == begun == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert threading.current_thread().name not in names


def test_prepared_batches_become_smaller_where_memory_runs_out():
    done, lines = [], []

    def prepare(batch):
        if len(batch) > 6:
            raise MemoryError
        return batch

    def work(batch, prepared):
        assert batch == prepared
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.append(batch)

    work_in_batches(list(range(8)), 8, work, lines.append, prepare)
    assert done == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert len(lines) == 2


def test_an_error_in_the_thread_is_raised():
    def prepare(batch):
        if 4 in batch:
            raise KeyError("in the thread")
        return batch

    with pytest.raises(KeyError, match="in the thread"):
        work_in_batches(list(range(8)), 2, lambda batch, prepared: None, print, prepare)


def test_a_batch_is_copied_as_a_whole():
    arrays = {"ids": np.arange(6).reshape(2, 3), "none": np.zeros((0, 4), dtype=int), "ends": np.array([7, 8])}
    batch = upload_batch(stage_batch(arrays, torch.device("cpu")), torch.device("cpu"))
    assert list(batch) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(batch[name].numpy(), array)


def test_the_order_is_that_of_lists():
    rng = np.random.default_rng(0)
    token_ids = [rng.integers(0, 70_000, rng.integers(1, 6)).tolist() for _ in range(300)]
    token_ids += [[1, 255, 3], [1, 256, 3], [1, 3], [1]]
    expected = sorted(range(len(token_ids)), key=lambda index: token_ids[index][:-1])
    assert sort_by_beginning(token_ids) == expected


# ---------------------------------------------------------------- automatic batch size


class FakeModel(SimpleNamespace):
    """Have the sizes of OLMo-2 7B, and no weights."""

    def __init__(self, device, dtype=torch.bfloat16):
        config = SimpleNamespace(hidden_size=4096, intermediate_size=11_008, vocab_size=100_352)
        config.get_text_config = lambda decoder: config
        super().__init__(config=config, device=torch.device(device), dtype=dtype)

    def get_output_embeddings(self):
        return torch.nn.Linear(1, 100_352, device="meta")


@pytest.mark.parametrize(
    ("device", "gigabytes", "has_all_logits", "expected"),
    [
        ("cuda", 120, False, 2048),
        ("cuda", 120, True, 1024),
        ("cuda", 2, False, 128),
        ("cuda", 2, True, 16),
        ("cuda", 0.001, False, 1),
        ("cuda", 0, False, 1),
        ("cpu", None, False, 256),
        ("cpu", None, True, 32),
    ],
)
def test_the_batch_size_follows_device_vocabulary_and_free_memory(device, gigabytes, has_all_logits, expected):
    free_bytes = None if gigabytes is None else gigabytes * 2**30
    assert choose_batch_size(FakeModel(device), 12, has_all_logits, free_bytes) == expected


def test_free_memory_includes_the_unused_part_of_the_cache(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 8)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 5)
    assert find_free_bytes(torch.device("cuda:1")) == 13
    assert find_free_bytes(torch.device("cpu")) == batch_sizes.CPU_BYTES


def test_the_option_takes_auto_or_a_number():
    assert number_or_auto("auto") is None
    assert number_or_auto("7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        number_or_auto("many")


def test_a_cpu_computes_the_output_layer_in_float32():
    states, weight = torch.zeros(2, 3, dtype=torch.bfloat16), torch.zeros(4, 3, dtype=torch.bfloat16)
    assert not can_add_in_float32(states, weight)
