"""Compare scoring without BOS, as a mean, and in half precision with a plain loop over full logits."""

import numpy as np
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model

from pipeline.errors import InputError
from pipeline.models import output_layer
from pipeline.models.output_layer import has_linear_logits
from pipeline.models.sentence_scores import compute_log_probabilities

SENTENCES = ["The people are lonely.", "The people is lonely.", "ab", "“Where is the king?” said the snake.", "ab c"]


@pytest.fixture(scope="module")
def tokenizer():
    return byte_level_tokenizer(ENGLISH, 320, adds_bos=False)


def plain_scores(model, tokenizer, has_bos, is_mean):
    """Return the scores of the sentences by a loop: one sentence at a time, its logits in float64."""
    scores = []
    for sentence in SENTENCES:
        ids = [0] * has_bos + tokenizer(sentence)["input_ids"]
        with torch.no_grad():
            probabilities = model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
        terms = [probabilities[place - 1, ids[place]].item() for place in range(1, len(ids))]
        scores.append(sum(terms) / len(terms) if is_mean else sum(terms))
    return np.array(scores)


@pytest.mark.parametrize("is_mean", [False, True], ids=["sum", "mean"])
@pytest.mark.parametrize("has_bos", [False, True], ids=["no-bos", "bos"])
@pytest.mark.parametrize("architecture", ["olmo2", "gpt_neox"])
def test_scores_are_those_of_a_plain_loop_as_trees_and_as_batches(
    architecture, has_bos, is_mean, tokenizer, monkeypatch
):
    model, lines = random_model(architecture, len(tokenizer), context=64), []
    expected = plain_scores(model, tokenizer, has_bos, is_mean)
    options = {"has_bos": has_bos, "is_mean": is_mean, "log": lines.append}
    np.testing.assert_allclose(compute_log_probabilities(SENTENCES, model, tokenizer, **options), expected, rtol=1e-5)
    assert lines == []
    monkeypatch.setattr("pipeline.models.prefix_trees.reason_unsupported", lambda *arguments: "a test")
    np.testing.assert_allclose(
        compute_log_probabilities(SENTENCES, model, tokenizer, 2, **options), expected, rtol=1e-5
    )
    assert len(lines) == 1


def test_kept_scores_are_sums_so_that_work_goes_on_in_either_way(tokenizer):
    model, kept = random_model("olmo2", len(tokenizer), context=64), []
    options = {"has_bos": False, "is_mean": True}
    means = compute_log_probabilities(
        SENTENCES, model, tokenizer, keep=lambda sums: kept.append(sums.copy()), **options
    )
    lengths = [len(tokenizer(sentence)["input_ids"]) - 1 for sentence in SENTENCES]
    np.testing.assert_allclose(kept[-1] / lengths, means)
    again = compute_log_probabilities(SENTENCES, model, tokenizer, known=kept[-1], **options)
    np.testing.assert_array_equal(again, means)


def test_a_sentence_of_one_token_needs_a_bos(tokenizer):
    model = random_model("olmo2", len(tokenizer), context=64)
    assert len(tokenizer("a")["input_ids"]) == 1
    assert np.isfinite(compute_log_probabilities(["a"], model, tokenizer)).all()
    with pytest.raises(InputError, match="sentence 'a': expected two tokens or more without BOS, got 1"):
        compute_log_probabilities(["ab", "a"], model, tokenizer, has_bos=False)


@pytest.mark.parametrize("as_trees", [True, False], ids=["trees", "batches"])
def test_in_half_precision_only_the_hidden_states_are_rounded(as_trees, tokenizer, monkeypatch):
    """The output layer in bfloat16 would round logits near 40 by up to 0.1."""
    model = random_model("olmo2", len(tokenizer), context=64).bfloat16()
    with torch.no_grad():
        model.lm_head.weight *= 8  # large logits
    expected = []
    for sentence in SENTENCES:
        ids = torch.tensor([[0, *tokenizer(sentence)["input_ids"]]])
        with torch.no_grad():
            states = model.base_model(ids).last_hidden_state[0, :-1].double()
        probabilities = (states @ model.lm_head.weight.double().T).log_softmax(dim=-1)
        expected.append(probabilities.gather(1, ids[0, 1:, None]).sum().item())
    if not as_trees:
        monkeypatch.setattr("pipeline.models.prefix_trees.reason_unsupported", lambda *arguments: "a test")
    scores = compute_log_probabilities(SENTENCES, model, tokenizer, 1, log=lambda line: None)
    in_bfloat16 = plain_scores(model, tokenizer, has_bos=True, is_mean=False)
    if not as_trees:  # the very states: only the output layer differs
        np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert np.abs(scores - expected).max() < np.abs(in_bfloat16 - expected).max()


def test_the_output_layer_reads_its_weights_in_blocks(monkeypatch):
    """A float32 copy of the whole matrix, or all logits, may not fit in memory."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(16, 1000).bfloat16()
    states, tokens = torch.randn(70, 16).bfloat16(), torch.randint(1000, (90,))
    rows = torch.randint(70, (90,))
    expected = torch.nn.functional.linear(states.double(), layer.weight.double(), layer.bias.double())
    expected = expected.log_softmax(dim=1)[rows, tokens]
    monkeypatch.setattr(output_layer, "STATES_AT_ONCE", {"cpu": 32})
    monkeypatch.setattr(output_layer, "LOGITS_AT_ONCE", {"cpu": 32 * 300})
    sizes, linear = [], torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *parts: sizes.append(parts[1].shape) or linear(*parts))
    with torch.inference_mode():
        actual = output_layer.compute_log_probabilities_from_states(states, rows, tokens, layer)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)
    assert max(size[0] for size in sizes) == 300
    none = torch.zeros(0, dtype=int)
    assert output_layer.compute_log_probabilities_from_states(states[:0], none, none, layer).shape == (0,)


def test_a_model_without_an_output_layer_has_no_linear_logits(tokenizer):
    model = random_model("olmo2", len(tokenizer), context=64)
    ids = torch.tensor([[0, 5, 7]])
    assert has_linear_logits(model, ids)
    model.get_output_embeddings = lambda: None
    assert not has_linear_logits(model, ids)
