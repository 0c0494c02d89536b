"""Compare one pass per group with the published way: the last token of a context that grows unit by unit."""

import re
import types

import numpy as np
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model

pytest.importorskip("h5py", reason="h5py is not here: pip install -r experiments/brain_score/requirements.txt")
from pipeline.errors import InputError
from pipeline.models.hidden_states import Layout, skip_final_norm
from pipeline.words.vectors import compute_word_states
from study.inputs.brain_benchmarks import make_units

SENTENCES = ["The king sleeps.", "A small dog, that sees the nuns, waits.", "Is it so ?", '"No!" he said.']
RUNS = {
    "sentences": SENTENCES,
    "words": "The king that sees the sheep-dogs sleeps .".split(),
    "capitals": "THE KING THAT SEES".split(),
    "bins that end in a space": ["Once upon a ", "time there ", "was a little. ", "KING. "],
    "bins and punctuation": ["He said: ", "kings sleep. Now", "they sleep", ", too."],
}


def join(units):
    """Join units as brainscore-language does."""
    return re.sub(r"\s+([.,!?;:])", r"\1", " ".join(unit for unit in units if unit))


def read_growing(model, tokenizer, units, before_norm=False):
    """One forward pass for each unit and all units before it: (n_layers, n_units, n_features) at the last token."""
    outputs, vectors = [], []
    model.base_model.layers[-1].register_forward_hook(lambda module, args, output: outputs.append(output))
    for number in range(len(units)):
        ids = tokenizer(join(units[: number + 1]), return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            states = list(model(ids, output_hidden_states=True).hidden_states)
        if before_norm:
            states[-1] = outputs[-1][0] if isinstance(outputs[-1], tuple) else outputs[-1]
        vectors.append(torch.stack([layer.reshape(-1, layer.shape[-1])[-1] for layer in states]).numpy())
    return np.stack(vectors, axis=1)


def read_in_one_pass(model, tokenizer, stimuli, **options):
    benchmark = types.SimpleNamespace(units=stimuli, runs=["a"] * len(stimuli))
    units, texts_before = make_units(benchmark, as_published=True)
    ends = np.cumsum([len(before) + len(unit) for before, unit in zip(texts_before, units, strict=True)])
    spans = np.stack([ends - list(map(len, units)), ends], axis=1)
    text = "".join(before + unit for before, unit in zip(texts_before, units, strict=True))
    return compute_word_states(model, tokenizer, text, spans, pooling="last", **options).vectors


@pytest.mark.parametrize("n_tokens", [280, 400], ids="{}-tokens".format)
@pytest.mark.parametrize("adds_bos", [False, True], ids=["no-bos", "bos"])
@pytest.mark.parametrize("name", RUNS)
def test_one_pass_equals_growing_contexts(name, adds_bos, n_tokens):
    """A small vocabulary has spaces that are tokens of their own, before rare words and at the cuts."""
    tokenizer = byte_level_tokenizer(ENGLISH, n_tokens, adds_bos, "olmo2")
    model = random_model("olmo2", len(tokenizer), context=512)
    for before_norm in (False, True):
        expected = read_growing(model, tokenizer, RUNS[name], before_norm)
        vectors = read_in_one_pass(model, tokenizer, RUNS[name], before_norm=before_norm)
        np.testing.assert_allclose(vectors, expected, atol=1e-5 * np.abs(expected).max())


def test_a_space_that_later_units_take_away_is_where_the_ways_differ():
    """The first context ends in a space; the second has no space before its comma, and is another text."""
    tokenizer = byte_level_tokenizer(ENGLISH, 400, False, "olmo2")
    model = random_model("olmo2", len(tokenizer), context=512)
    units = ["He said ", ", too."]
    expected, vectors = read_growing(model, tokenizer, units), read_in_one_pass(model, tokenizer, units)
    difference = np.abs(vectors - expected).max(axis=2)  # (n_layers, n_units)
    assert (difference[1:, 1] > 1e-3 * np.abs(expected).max()).all()


def test_models_that_are_not_read_layer_by_layer_have_no_states_before_the_norm():
    with pytest.raises(InputError, match="--before_norm"):
        skip_final_norm(Layout(3, 8, None, None))


def test_only_stories_have_states_before_the_norm(study_folder, call):
    status, _, error = call("extract_llm_activations", "--model", "gpt2", "--before_norm")
    assert (status, error.count("\n"), "--before_norm: expected --story with it, got none" in error) == (2, 1, True)
