"""Models with random weights: as their architecture initialises itself, and from no file of weights."""

import shutil

import pytest
import torch
import transformers
from helpers import ENGLISH, byte_level_tokenizer

from pipeline.errors import InputError
from pipeline.models.loading import load_checkpoint, make_untrained


@pytest.fixture
def without_weights(tiny_checkpoint, tmp_path):
    """The tiny checkpoint without its weights: configuration and tokenizer."""
    shutil.copytree(tiny_checkpoint / "step8", tmp_path / "lm", ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path / "lm"


def weights_of(model):
    return {name: values.clone() for name, values in model.state_dict().items()}


def is_equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_weights_are_those_that_the_architecture_draws_from_the_seed(without_weights, tiny_checkpoint):
    state = torch.get_rng_state()
    model, tokenizer, checkpoint = make_untrained(str(without_weights), device="cpu", seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    plain = transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig.from_pretrained(without_weights))
    assert is_equal(weights_of(model), weights_of(plain))
    assert not model.training
    assert is_equal(weights_of(make_untrained(str(without_weights), device="cpu", seed=5)[0]), weights_of(model))
    assert not is_equal(weights_of(make_untrained(str(without_weights), device="cpu", seed=6)[0]), weights_of(model))
    trained, trained_tokenizer, trained_checkpoint = load_checkpoint(str(tiny_checkpoint), "step8", "cpu")
    assert weights_of(trained).keys() == weights_of(model).keys()
    assert {name: buffer.dtype for name, buffer in trained.named_buffers()} == {
        name: buffer.dtype for name, buffer in model.named_buffers()
    }
    for (name, buffer), (_, expected) in zip(model.named_buffers(), trained.named_buffers(), strict=True):
        assert torch.equal(buffer, expected), name
    assert tokenizer(ENGLISH)["input_ids"] == trained_tokenizer(ENGLISH)["input_ids"]
    assert checkpoint["untrained"] == 5
    assert "untrained" not in trained_checkpoint
    assert {"config.json", "tokenizer.json"} <= checkpoint["files"].keys() < trained_checkpoint["files"].keys()
    assert not any("safetensors" in name for name in checkpoint["files"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_rounds_the_weights_of_float32(without_weights, dtype):
    half, _, _ = make_untrained(str(without_weights), None, "cpu", dtype, seed=5)
    single, _, _ = make_untrained(str(without_weights), None, "cpu", seed=5)
    assert half.dtype == getattr(torch, dtype)
    for name, values in half.state_dict().items():
        assert torch.equal(values, single.state_dict()[name].to(values.dtype)), name
    for (name, buffer), (_, expected) in zip(half.named_buffers(), single.named_buffers(), strict=True):
        assert torch.equal(buffer, expected), name  # positions are not rounded


def test_tied_weights_are_tied(tmp_path):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    tokenizer.save_pretrained(tmp_path)
    sizes = {"vocab_size": len(tokenizer), "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    transformers.GPT2Config(**sizes, architectures=["GPT2LMHeadModel"]).save_pretrained(tmp_path)
    model, _, _ = make_untrained(str(tmp_path), device="cpu", dtype="bfloat16", seed=1)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_an_encoder_is_refused(tmp_path):
    byte_level_tokenizer(ENGLISH, 320, adds_bos=False).save_pretrained(tmp_path)
    sizes = {"vocab_size": 320, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.BertConfig(**sizes, intermediate_size=16).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="expected a causal language model"):
        make_untrained(str(tmp_path), device="cpu", seed=1)
