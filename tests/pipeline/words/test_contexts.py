"""Compare vectors and surprisal of words with limited context, and of every pooling, with a plain loop over words."""

import numpy as np
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model, words_in

from pipeline.errors import InputError
from pipeline.words import vectors as words_vectors
from pipeline.words.tokens import assign_tokens
from pipeline.words.vectors import compute_word_states


def read_plainly(model, tokenizer, spans, context_tokens, pooling):
    """One forward pass for each word: vectors (n_layers, n_words, n_units), surprisal and n_context (n_words,)."""
    encoded = tokenizer(ENGLISH, return_offsets_mapping=True, return_special_tokens_mask=True)
    is_special = np.array(encoded["special_tokens_mask"], dtype=bool)
    ids, offsets = np.array(encoded["input_ids"]), np.array(encoded["offset_mapping"])
    prefix, ids, offsets = ids[is_special].tolist(), ids[~is_special].tolist(), offsets[~is_special]
    vectors, surprisal, n_context = [], [], []
    for first, end in assign_tokens(spans, offsets, ENGLISH):
        start = 0 if context_tokens is None else max(0, first - context_tokens)
        window = torch.tensor([prefix + ids[start:end]])
        with torch.no_grad():
            output = model(window, output_hidden_states=True)
        word = slice(len(prefix) + first - start, len(prefix) + end - start)
        states = torch.stack(output.hidden_states)[:, 0, word]  # (n_layers, n_tokens, n_units)
        is_space = [token > first and offsets[token, 0] == offsets[token, 1] for token in range(first, end)]
        last = max(place for place, is_empty in enumerate(is_space) if not is_empty)  # offsets leave spaces out
        vectors.append({"mean": states.mean(1), "sum": states.sum(1), "last": states[:, last]}[pooling].numpy())
        log_p = output.logits[0].double().log_softmax(-1)
        places = range(word.start, word.stop)
        values = [-log_p[place - 1, window[0, place]].item() if place else np.nan for place in places]
        surprisal.append(sum(values))
        n_context.append(first - start)
    return np.stack(vectors, axis=1), np.array(surprisal), np.array(n_context)


@pytest.mark.parametrize("n_at_once", [1, 7])
@pytest.mark.parametrize("adds_bos", [False, True], ids=["no-bos", "bos"])
@pytest.mark.parametrize("context_tokens", [None, 0, 5, 50], ids="context-{}".format)
@pytest.mark.parametrize("pooling", ["mean", "sum", "last"])
def test_words_are_those_of_a_plain_loop(context_tokens, pooling, adds_bos, n_at_once, monkeypatch):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos, "olmo2")
    model = random_model("olmo2", len(tokenizer), context=512)
    spans = words_in(ENGLISH)
    monkeypatch.setattr(words_vectors, "count_windows_at_once", lambda *_: n_at_once)
    done = []
    options = {"context_tokens": context_tokens, "pooling": pooling, "has_surprisal": True, "progress": done.append}
    states = compute_word_states(model, tokenizer, ENGLISH, spans, **options)
    vectors, surprisal, n_context = read_plainly(model, tokenizer, spans, context_tokens, pooling)
    np.testing.assert_allclose(states.vectors, vectors, rtol=1e-4, atol=1e-5 * np.abs(vectors).max())
    np.testing.assert_allclose(states.surprisal, surprisal, rtol=1e-4, atol=1e-5)
    assert states.n_context.tolist() == n_context.tolist()
    assert sum(done) == len(spans)
    assert np.isfinite(states.first_token_norm_ratio).all() == (context_tokens is None)


def test_words_that_share_a_token_each_get_it():
    text = "l'homme et l'enfant"
    tokenizer = byte_level_tokenizer(text * 50, 320, False, "olmo2")
    tokens = tokenizer(text)["input_ids"]
    model = random_model("olmo2", len(tokenizer), context=64)
    spans = np.array([[0, 1], [2, 7], [8, 10], [11, 12], [13, 19]])
    assert len(tokens) < 10  # some tokens cover two words
    mean = compute_word_states(model, tokenizer, text, spans, context_tokens=40).vectors
    whole = compute_word_states(model, tokenizer, text, spans).vectors
    np.testing.assert_allclose(mean, whole, rtol=1e-4, atol=1e-6)  # the text is shorter than the context


def test_a_context_that_the_model_cannot_read_is_an_error():
    tokenizer = byte_level_tokenizer(ENGLISH, 300, True, "olmo2")
    model = random_model("olmo2", len(tokenizer), context=40)
    with pytest.raises(InputError, match="--context 39: expected windows of at most 39 tokens"):
        compute_word_states(model, tokenizer, ENGLISH, words_in(ENGLISH), context_tokens=39)
