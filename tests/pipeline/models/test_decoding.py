"""Compare texts that are written with a cache of fixed size with the plain way."""

import contextlib

import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model
from tiny_models import tiny_model

from pipeline.models import decoding, generation
from pipeline.models.generation import continue_prompts, make_text_seed

PROMPTS = ["The prince", "“Where are the people?” asked the snake.", "It is"] * 2
SEEDS = [make_text_seed(1, prompt, sample) for sample, prompt in enumerate(PROMPTS)]
N_NEW = 30


def write(model, tokenizer, lines=None):
    return continue_prompts(
        model, tokenizer, PROMPTS, SEEDS, N_NEW, 1.0, None, [].append if lines is None else lines.append
    )


@pytest.mark.parametrize("architecture", ["olmo2", "gpt_neox", "gpt2", "gemma2", "bart"])
def test_texts_are_the_same_with_a_cache_of_fixed_size(architecture, monkeypatch):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=architecture == "olmo2")
    is_small = architecture in ("olmo2", "gpt_neox")
    model = (
        random_model(architecture, len(tokenizer), context=128)
        if is_small
        else tiny_model(architecture, len(tokenizer))
    )
    expected, statically = write(model, tokenizer), []
    monkeypatch.setattr(generation, "has_graphs", lambda device: True)
    does = decoding.write_statically
    monkeypatch.setattr(decoding, "write_statically", lambda *a, **b: (statically.append(len(a[1])), does(*a, **b))[1])
    lines = []
    assert write(model, tokenizer, lines) == expected
    # Bart takes no positions from the caller. The tests of rounding come first.
    assert statically[-1:] == ([] if architecture == "bart" else [len(PROMPTS)])
    assert not [line for line in lines if "fixed size" in line]


def test_where_logits_differ_texts_are_written_the_plain_way(monkeypatch):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = random_model("gpt_neox", len(tokenizer), context=128)
    expected = write(model, tokenizer)
    monkeypatch.setattr(generation, "has_graphs", lambda device: True)
    monkeypatch.setattr(decoding, "write_statically", lambda model, ids, *_, **__: 1 / 0)
    lines = []
    assert write(model, tokenizer, lines) == expected
    assert write(model, tokenizer, lines) == expected
    assert [line.split(":")[0] for line in lines] == ["GPTNeoXForCausalLM"]


def test_a_text_that_ends_stays_as_it_is_while_other_texts_go_on(monkeypatch):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = random_model("gpt_neox", len(tokenizer), context=128)
    with torch.no_grad():  # EOS is frequent
        model.get_output_embeddings().weight *= 0.1
        model.get_output_embeddings().weight[0] = 0
    bias = torch.zeros(len(tokenizer))
    bias[0] = 3
    model.get_output_embeddings().register_forward_hook(lambda _, __, logits: logits + bias)
    expected = write(model, tokenizer)
    assert len({len(tokenizer(text)["input_ids"]) for text in expected}) > 3
    monkeypatch.setattr(generation, "has_graphs", lambda device: True)
    assert write(model, tokenizer) == expected


@pytest.mark.parametrize("architecture", ["olmo2", "gpt_neox", "mistral", "gemma2", "gemma3_text"])
def test_no_graph_is_recorded_where_the_cache_counts_tokens_in_python(architecture, monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", contextlib.nullcontext)
    model, lines = tiny_model(architecture, 320), []
    ids = torch.arange(3, 9)[None]
    reader = decoding.StaticReader(model, torch.ones_like(ids), 40, lambda logits, step: logits)
    with torch.inference_mode():
        reader.start(ids)
        reader.advance(ids[:, :1])
        reader.record_graph(lines.append)
    counts = [vars(layer).get("cumulative_length_int") for layer in reader.cache.layers]
    assert any(counts) == (architecture in ("mistral", "gemma2", "gemma3_text"))
    assert (reader.graph is None) == (len(lines) == 1) == any(counts)
