"""Compare word vectors of real architectures with a slow reference, token by token."""

import math
import re

import numpy as np
import pytest
import torch
import transformers
from helpers import ENGLISH, FRENCH, byte_level_tokenizer, random_model, words_in
from tiny_models import tiny_model
from tokenizers import processors

from pipeline.errors import InputError
from pipeline.models.hidden_states import find_layers, read_states
from pipeline.words.runs import split_windows
from pipeline.words.tokens import assign_tokens
from pipeline.words.vectors import compute_word_vectors

ARCHITECTURES = ["olmo2", "gpt_neox"]


def plain_word_vectors(model, tokenizer, text, spans, context):
    """Return word vectors with one forward pass for each token, as a slow reference."""
    encoded = tokenizer(text, return_offsets_mapping=True)
    prefix = [i for i in encoded["input_ids"][:1] if i == tokenizer.bos_token_id]
    ids = encoded["input_ids"][len(prefix) :]
    offsets = encoded["offset_mapping"][len(prefix) :]
    room = context - len(prefix)
    step = 64 if room > 64 else room // 2

    def state(token):  # (n_layers, n_units)
        end = min(len(ids), room + step * max(0, math.ceil((token + 1 - room) / step)))
        start = max(0, end - room)
        window = torch.tensor([prefix + ids[start:end]])
        with torch.no_grad():
            states = model(window, output_hidden_states=True).hidden_states
        return np.array([layer[0, len(prefix) + token - start].numpy() for layer in states])

    def place(token):
        """Return the index of a token's first letter, or else of its first visible character."""
        start, end = offsets[token]
        letters = re.search(r"[^\W_]", text[start:end]) or re.search(r"\S", text[start:end])
        return start + letters.start() if letters else end - 1

    vectors = []
    for word, (start, end) in enumerate(spans):
        next_start = spans[word + 1][0] if word + 1 < len(spans) else len(text) + 1
        tokens = [token for token in range(len(ids)) if start <= place(token) < next_start]
        if not any(place(token) < end for token in tokens):
            tokens = [max(token for token in range(len(ids)) if place(token) <= start), *tokens]
        vectors.append(np.mean([state(token) for token in tokens], axis=0))
    return np.array(vectors).transpose(1, 0, 2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("text", [ENGLISH, FRENCH], ids=["english", "french"])
@pytest.mark.parametrize("adds_bos", [False, True], ids=["no-bos", "bos"])
@pytest.mark.parametrize("vocab_size", [300, 420], ids=["pieces", "words"])
@pytest.mark.parametrize("context", [512, 80, 20], ids="context-{}".format)
def test_word_vectors_are_those_of_the_plain_reference(architecture, text, adds_bos, context, vocab_size):
    # A small vocabulary cuts words into pieces and characters into bytes, a larger one glues quotes to words.
    tokenizer = byte_level_tokenizer(text, vocab_size, adds_bos, architecture)
    model, spans = random_model(architecture, len(tokenizer), context=512), words_in(text)
    assert 60 < len(tokenizer(text)["input_ids"]) < 512
    if vocab_size == 300:
        assert len(tokenizer(text)["input_ids"]) > 80 + 64
        assert any("â" in token for token in tokenizer.tokenize("…"))  # the byte e2 alone
    vectors = compute_word_vectors(model, tokenizer, text, spans, max_length=context)
    expected = plain_word_vectors(model, tokenizer, text, spans, context)
    assert vectors.shape == (4, len(spans), 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_context_matters_and_the_model_s_own_is_the_default(architecture):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    model, spans = random_model(architecture, len(tokenizer), context=100), words_in(ENGLISH)
    default = compute_word_vectors(model, tokenizer, ENGLISH, spans)
    np.testing.assert_array_equal(default, compute_word_vectors(model, tokenizer, ENGLISH, spans, max_length=100))
    short = compute_word_vectors(model, tokenizer, ENGLISH, spans, max_length=20)
    np.testing.assert_allclose(default[0], short[0], rtol=1e-6, atol=1e-7)  # the embedding knows no context
    assert np.abs(default[-1] - short[-1]).max() > 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_last_layer_has_passed_the_final_normalisation(architecture):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    model = random_model(architecture, len(tokenizer), context=512)
    spans = words_in(ENGLISH)[:1]
    ids = tokenizer(ENGLISH, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        output = model.base_model(ids, output_hidden_states=True)
    torch.testing.assert_close(output.hidden_states[-1], output.last_hidden_state)
    vectors = compute_word_vectors(model, tokenizer, ENGLISH, spans)
    first, end = assign_tokens(spans, tokenizer(ENGLISH, return_offsets_mapping=True)["offset_mapping"], ENGLISH)[0]
    expected = output.last_hidden_state[0, first:end].mean(axis=0)
    np.testing.assert_allclose(vectors[-1, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["gpt_neox", "olmo2", "llama", "gpt2", "opt", "bloom", "gemma2"])
def test_states_are_those_that_transformers_returns(architecture):
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4}
    sizes |= {"intermediate_size": 64, "ffn_dim": 64, "word_embed_proj_dim": 32, "head_dim": 8}
    config = transformers.AutoConfig.for_model(architecture, vocab_size=300, **sizes)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    ids, states = np.arange(20), {}
    layout = find_layers(model, ids)
    assert layout.blocks is not None  # no need to hold all layers at once
    read_states(model, ids[None], layout, lambda layer, layer_states: states.update({layer: layer_states.clone()}))
    with torch.no_grad():
        expected = model.base_model(torch.tensor(ids)[None], output_hidden_states=True).hidden_states
    assert list(states) == [0, 1, 2, 3]
    for layer, layer_states in enumerate(expected):
        torch.testing.assert_close(states[layer], layer_states)


def read_all_states(model, ids):
    """Return the states of all layers, a tensor of shape (n_layers, n_tokens, n_units)."""
    layout, states = find_layers(model, ids), {}
    read_states(model, ids[None], layout, lambda layer, layer_states: states.update({layer: layer_states[0].clone()}))
    assert list(states) == list(range(layout.n_layers))
    assert {tuple(layer_states.shape) for layer_states in states.values()} == {(len(ids), layout.n_units)}
    return torch.stack(list(states.values()))


def test_the_last_layer_of_opt_350m_is_taken_before_its_projection():
    model = tiny_model("opt", 300, word_embed_proj_dim=16, do_layer_norm_before=False)
    ids = np.arange(3, 40)
    with torch.no_grad():
        expected = model.base_model(torch.tensor(ids)[None], output_hidden_states=True).hidden_states
    assert [layer_states.shape[-1] for layer_states in expected] == [32, 32, 32, 16]
    states = read_all_states(model, ids)
    torch.testing.assert_close(states[:3], torch.cat(expected[:3]))
    torch.testing.assert_close(model.model.decoder.project_out(states[3]), expected[3][0])


def test_layers_are_those_that_read_the_text_and_not_those_of_a_vision_tower():
    model = tiny_model("gemma3", 300)
    vision = model.config.vision_config
    assert vision.num_hidden_layers != 3
    model = tiny_model("gemma3", 300, vision_config=vision.to_dict() | {"num_hidden_layers": 3, "hidden_size": 32})
    ids = np.arange(3, 40)
    with torch.no_grad():
        expected = model.base_model(torch.tensor(ids)[None], output_hidden_states=True).hidden_states
    torch.testing.assert_close(read_all_states(model, ids), torch.cat(expected))
    assert find_layers(model, ids).blocks is model.base_model.language_model.layers


@pytest.mark.parametrize("architecture", ["bart", "gpt2"])
def test_the_decoder_s_number_of_layers_counts(architecture):
    """BART's num_hidden_layers is the encoder's."""
    settings = {"encoder_layers": 1, "decoder_layers": 2} if architecture == "bart" else {"n_layer": 2}
    assert len(read_all_states(tiny_model(architecture, 300, **settings), np.arange(3, 40))) == 3


@pytest.mark.parametrize("architecture", ["mamba", "rwkv"])
def test_recurrent_models_begin_with_the_embedding(architecture):
    """Transformers does not return their embedding, and returns the last layer before and after normalization."""
    model, ids = tiny_model(architecture, 300), np.arange(3, 40)
    states = read_all_states(model, ids)
    with torch.no_grad():
        returned = model.base_model(torch.tensor(ids)[None], output_hidden_states=True).hidden_states
        embedding = model.get_input_embeddings()(torch.tensor(ids))
    torch.testing.assert_close(states[0], embedding)
    torch.testing.assert_close(states[1:3], torch.cat(returned[:2]))
    torch.testing.assert_close(states[3], returned[3][0])


@pytest.mark.parametrize("architecture", ["llama4_text", "hrm_text"])
def test_where_layers_do_not_take_the_states_one_by_one_transformers_returns_them(architecture):
    model, ids = tiny_model(architecture, 300), np.arange(3, 40)
    assert find_layers(model, ids).blocks is None
    with torch.no_grad():
        expected = model.base_model(torch.tensor(ids)[None], use_cache=False, output_hidden_states=True).hidden_states
    torch.testing.assert_close(read_all_states(model, ids), torch.cat(expected))


def test_states_of_other_shapes_are_one_line():
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = tiny_model("gemma3n_text", len(tokenizer))  # four streams of states
    with pytest.raises(InputError, match=r"expected hidden states of 16 tokens .*, got \(4, 1, 16, 32\)"):
        compute_word_vectors(model, tokenizer, ENGLISH, words_in(ENGLISH))


def test_a_layer_that_is_not_read_leaves_no_zeros():
    model, ids = tiny_model("gpt2", 300), np.arange(3, 40)
    layout = find_layers(model, ids)._replace(blocks=tiny_model("gpt2", 300).transformer.h)
    with pytest.raises(InputError, match=r"expected states of layers 0 to 3, got \[3\]"):
        read_states(model, ids[None], layout, lambda layer, states: None)


def test_what_a_model_cannot_read_is_one_line():
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = tiny_model("ctrl", len(tokenizer), n_positions=40)
    model.config.n_positions = 80  # more than its table of sines has
    with pytest.raises(InputError, match=r"CTRLLMHeadModel cannot read 80 tokens at once .*Error: "):
        compute_word_vectors(model, tokenizer, ENGLISH, words_in(ENGLISH))


def test_random_states_are_an_error():
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = tiny_model("reformer", len(tokenizer))  # hashes at random
    with pytest.raises(InputError, match="expected the same numbers from every reading, got random ones"):
        compute_word_vectors(model, tokenizer, ENGLISH, words_in(ENGLISH))


def test_a_special_token_after_the_text_belongs_to_no_word():
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=True)
    model, spans = random_model("gpt_neox", len(tokenizer), context=512), words_in(ENGLISH)
    before = compute_word_vectors(model, tokenizer, ENGLISH, spans)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <bos>", special_tokens=[("<bos>", 0)]
    )
    np.testing.assert_allclose(compute_word_vectors(model, tokenizer, ENGLISH, spans), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0, 3), (4, 9)], [(0, 1), (1, 4)]),  # the comma counts to the word before
        ([(0, 1), (1, 3), (4, 9)], [(0, 1), (0, 1), (1, 4)]),  # two words in one token share it
        ([(0, 3), (3, 3), (4, 9)], [(0, 1), (0, 1), (1, 4)]),  # a word that the text lacks
        ([(4, 9)], [(1, 4)]),  # tokens before the first word belong to no word
    ],
)
def test_tokens_of_words(spans, expected):
    #       0123456789
    text = "The “fox”, "
    offsets = [(0, 3), (3, 5), (5, 8), (8, 10)]  # "The", " “", "fox", "”,"
    assert assign_tokens(np.array(spans), offsets, text).tolist() == [list(pair) for pair in expected]


def test_a_token_with_marks_before_a_word_belongs_to_the_word():
    text = "dit-il, l’histoire,\n“What?”"
    tokens = ["dit", "-il", ",", " l", "’histoire", ",\n", "“What", "?”"]
    ends = np.cumsum([len(token) for token in tokens])
    offsets = list(zip(ends - [len(token) for token in tokens], ends, strict=True))
    words = ["dit", "il", "l’", "histoire", "What"]
    spans = np.array([(text.index(word), text.index(word) + len(word)) for word in words])
    assigned = ["|".join(tokens[first:end]) for first, end in assign_tokens(spans, offsets, text)]
    assert assigned == ["dit", "-il|,", " l", "’histoire|,\n", "“What|?”"]
    # A word that the text lacks, between the comma and the next word, leaves the comma to the word before.
    spans = np.array([spans[0], spans[1], (6, 6), spans[2]])
    assigned = ["|".join(tokens[first:end]) for first, end in assign_tokens(spans, offsets, text)]
    assert assigned[1:3] == ["-il|,", "-il"]
    # Two words share a token, and the comma after it belongs to the second word.
    ranges = assign_tokens(np.array([(0, 2), (2, 7)]), [(0, 7), (7, 8)], "l’homme,").tolist()
    assert ranges == [[0, 1], [0, 2]]


@pytest.mark.parametrize(("n_tokens", "max_tokens"), [(1, 10), (10, 10), (11, 10), (700, 65), (700, 128), (700, 64)])
def test_windows_keep_every_token_once_with_its_left_context(n_tokens, max_tokens):
    windows = split_windows(n_tokens, max_tokens)
    assert [token for _, new, end in windows for token in range(new, end)] == list(range(n_tokens))
    step = 64 if max_tokens > 64 else max_tokens // 2
    for start, new, end in windows:
        assert end - start <= max_tokens
        assert new == 0 or new - start >= max_tokens - step


def test_what_cannot_be_read_out_is_an_error():
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=True)
    model, spans = random_model("olmo2", len(tokenizer), context=64), words_in(ENGLISH)
    with pytest.raises(InputError, match="--max_length 65: expected 64 tokens at most"):
        compute_word_vectors(model, tokenizer, ENGLISH, spans, max_length=65)
    with pytest.raises(InputError, match="--max_length 1: expected more than the 1 special tokens"):
        compute_word_vectors(model, tokenizer, ENGLISH, spans, max_length=1)
    with pytest.raises(InputError, match="expected text in a run, got an empty text"):
        compute_word_vectors(model, tokenizer, "", spans[:0])
    model.model.layers[1].mlp.down_proj.weight.data[:] = float("inf")
    with pytest.raises(InputError, match=r"states of layer 2: expected finite numbers, got NaN or infinity\..*--dtype"):
        compute_word_vectors(model, tokenizer, ENGLISH, spans)


def test_a_window_that_memory_does_not_hold_is_an_error(monkeypatch):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=True)
    model = random_model("olmo2", len(tokenizer), context=64)

    read = model.base_model.forward

    def out_of_memory(input_ids, **more):
        if input_ids.numel() > 16:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return read(input_ids=input_ids, **more)

    monkeypatch.setattr(model.base_model, "forward", out_of_memory)
    with pytest.raises(InputError, match=r"does not hold the model's work on 64 tokens: .* \(--max_length\)"):
        compute_word_vectors(model, tokenizer, ENGLISH, words_in(ENGLISH))


def test_progress_counts_every_word_once():
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    model, spans = random_model("gpt_neox", len(tokenizer), context=80), words_in(ENGLISH)
    done = []
    compute_word_vectors(model, tokenizer, ENGLISH, spans, progress=done.append)
    assert len(done) == 3
    assert sum(done) == len(spans)
