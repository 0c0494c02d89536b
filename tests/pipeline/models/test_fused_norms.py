"""Compare models with fused norms with Transformers' norms."""

import numpy as np
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model, words_in
from tiny_models import tiny_model

from pipeline.models.fused_norms import fuse_norms
from pipeline.models.sentence_scores import compute_log_probabilities
from pipeline.words.vectors import compute_word_vectors

HALF = torch.bfloat16


@pytest.mark.parametrize(
    ("architecture", "dtype", "is_fused"),
    [
        ("olmo2", torch.float32, True),
        ("olmo2", HALF, True),
        ("llama", torch.float32, True),
        ("llama", HALF, False),  # rounds twice
        ("gemma2", torch.float32, False),  # weights count from 1
    ],
)
def test_logits_are_the_same_and_the_model_is_left_as_it_was(architecture, dtype, is_fused):
    model = tiny_model(architecture, 50).to(dtype)
    norms = [module for module in model.modules() if type(module).__name__.endswith("RMSNorm")]
    generator = torch.Generator().manual_seed(1)
    for norm in norms:
        norm.weight.data.uniform_(0.5, 2, generator=generator)
    ids = torch.arange(12)[None]
    with torch.inference_mode():
        expected = model(ids).logits
        with fuse_norms(model):
            assert {"forward" in vars(norm) for norm in norms} == {is_fused}
            logits = model(ids).logits
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    assert (logits - expected).abs().max() <= tolerance * expected.abs().max()
    assert not any("forward" in vars(norm) for norm in norms)


def test_sentences_and_words_are_read_with_fused_norms_as_without():
    tokenizer = byte_level_tokenizer(ENGLISH, 300, False, "olmo2")
    model = random_model("olmo2", len(tokenizer), context=512)
    sentences = [sentence for sentence in ENGLISH.split(". ") if sentence]

    def read():
        sums = compute_log_probabilities(sentences, model, tokenizer)
        return sums, compute_word_vectors(model, tokenizer, ENGLISH, words_in(ENGLISH))

    expected = read()
    with fuse_norms(model):
        fused = read()
    for values, reference in zip(fused, expected, strict=True):
        np.testing.assert_allclose(values, reference, rtol=1e-4, atol=1e-5 * np.abs(reference).max())
