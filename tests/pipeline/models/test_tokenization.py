"""Test token ids: BOS, tokens without a row in the model, and the context length."""

import itertools

import numpy as np
import pytest
import torch
import transformers
from helpers import ENGLISH, byte_level_tokenizer, random_model, words_in
from tiny_models import tiny_model

from pipeline.errors import InputError
from pipeline.models import tokenization
from pipeline.models.generation import continue_prompts
from pipeline.models.sentence_scores import compute_log_probabilities
from pipeline.words.vectors import compute_word_vectors


@pytest.fixture
def tokenizer():
    return byte_level_tokenizer(ENGLISH, 320, adds_bos=False)


def test_bos_stands_before_a_text_and_eos_where_there_is_none(tokenizer):
    tokenizer.eos_token = "a"
    assert tokenization.get_bos_id(tokenizer) == 0
    tokenizer.bos_token = None
    assert tokenization.get_bos_id(tokenizer) == tokenizer.convert_tokens_to_ids("a")
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="neither BOS nor EOS"):
        tokenization.get_bos_id(tokenizer)


def test_a_bos_that_the_vocabulary_lacks_is_not_the_unknown_token(tokenizer):
    tokenizer.unk_token = "b"
    tokenizer._special_tokens_map["bos_token"] = "<s>"  # as transformers 4 loads it: not added
    assert tokenizer.bos_token_id == tokenizer.unk_token_id
    with pytest.raises(InputError, match="expected its BOS '<s>' in the vocabulary"):
        tokenization.get_bos_id(tokenizer)


def test_texts_are_read_after_one_bos(tokenizer):
    model = random_model("gpt_neox", len(tokenizer), context=64)
    plain, written = tokenization.encode_after_bos(["It is", "<bos>It is"], model, tokenizer)
    assert plain == written == [0, *tokenizer("It is")["input_ids"]]


def test_a_token_that_the_model_does_not_know_is_named_where_it_occurs(tokenizer):
    model = random_model("gpt_neox", len(tokenizer), context=64)
    sentences = ["The prince.", "The snake."]
    expected = compute_log_probabilities(sentences, model, tokenizer)
    tokenizer.add_tokens(["<image>"])  # one that never occurs changes nothing, as in Gemma 3 1B
    np.testing.assert_array_equal(compute_log_probabilities(sentences, model, tokenizer), expected)
    text = "Look at <image> here."
    for use in (
        lambda: compute_log_probabilities([*sentences, text], model, tokenizer),
        lambda: compute_word_vectors(model, tokenizer, text, words_in(text)),
        lambda: continue_prompts(model, tokenizer, [text], [0], 3),
    ):
        with pytest.raises(InputError, match=r"the text 'Look at <image> here\.': .* got '<image>', number 320"):
            use()


def test_a_token_that_the_output_lacks_cannot_be_predicted(tokenizer):
    model = random_model("gpt_neox", len(tokenizer) + 8, context=64)
    model.set_output_embeddings(torch.nn.Linear(32, 100, bias=False))
    with pytest.raises(InputError, match="output embedding has 100"):
        compute_log_probabilities(["The prince."], model, tokenizer)
    compute_word_vectors(model, tokenizer, ENGLISH[:40], words_in(ENGLISH[:40]))  # which needs no output


@pytest.mark.parametrize(
    ("architecture", "settings", "expected"),
    [
        ("gpt2", {"n_positions": 40}, 40),  # a table of learned positions
        ("gpt_neox", {"max_position_embeddings": 40}, 40),  # rotary positions: only the configuration has a limit
        ("roberta", {"max_position_embeddings": 42, "pad_token_id": 1, "is_decoder": True}, 40),  # RoBERTa: 514, 512
        ("xlm-roberta", {"max_position_embeddings": 42, "pad_token_id": 1, "is_decoder": True}, 40),
        ("bert", {"max_position_embeddings": 40, "is_decoder": True}, 40),
        ("opt", {"max_position_embeddings": 40}, 40),  # two rows more than positions
        ("gemma3", {}, 160),  # within text_config
        ("dbrx", {"max_seq_len": 40}, 40),
        ("whisper", {"max_target_positions": 40}, 40),
        ("bloom", {}, None),  # ALiBi
        ("mamba", {}, None),
        ("rwkv", {"context_length": 40}, 40),
        ("xlnet", {}, None),
    ],
)
def test_how_many_tokens_a_model_can_read(architecture, settings, expected):
    model = tiny_model(architecture, 320, **settings)
    assert tokenization.find_context_length(model) == expected
    if expected is not None and expected < 160:  # the oracle: the model reads so many, and with a table no more
        ids = torch.tensor([tokenization.encode_usual_text(model, expected + 1)])
        with torch.no_grad():
            model(input_ids=ids[:, :-1], use_cache=False)
            if architecture in ("gpt2", "roberta", "xlm-roberta", "bert", "opt"):
                with pytest.raises((IndexError, RuntimeError)):
                    model(input_ids=ids, use_cache=False)


def test_a_table_that_is_shorter_than_promised_counts(tokenizer):
    model = tiny_model("gpt2", len(tokenizer), n_positions=40)
    model.transformer.wpe = torch.nn.Embedding(30, 32)
    assert tokenization.find_context_length(model) == 30
    with pytest.raises(InputError, match=r"^sentence 'the the .*: expected 30 tokens at most, the model's context"):
        compute_log_probabilities(["the " * 35], model, tokenizer)
    with pytest.raises(InputError, match="--max_length 35: expected 30 tokens at most, the model's context, got 35"):
        compute_word_vectors(model, tokenizer, ENGLISH, words_in(ENGLISH), max_length=35)
    compute_word_vectors(model, tokenizer, ENGLISH, words_in(ENGLISH))  # in windows that fit


def test_usual_tokens_are_different_and_none_is_special():
    config = transformers.GPTNeoXConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32,
        bos_token_id=3, eos_token_id=[4, 5],
    )  # fmt: skip
    model = transformers.GPTNeoXForCausalLM(config)
    ids = tokenization.encode_usual_text(model, 24)
    assert len(set(ids)) == 24
    assert not {3, 4, 5} & set(ids)
    assert all(second != first + 1 for first, second in itertools.pairwise(ids))
    with pytest.raises(InputError, match="expected 70 tokens or more"):
        tokenization.encode_usual_text(model, 70)
