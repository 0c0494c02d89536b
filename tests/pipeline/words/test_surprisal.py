"""Compare the surprisal of words with a plain loop over full logits, and n-gram statistics with plain counts."""

import collections
import math

import numpy as np
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, random_model, words_in
from tiny_models import tiny_model

from pipeline.errors import InputError
from pipeline.words.ngrams import PRIOR, compute_bigram_surprisal, compute_unigram_surprisal, count_letters
from pipeline.words.tokens import assign_tokens
from pipeline.words.vectors import compute_word_states


def plain_surprisal(model, tokenizer, text, spans, context):
    """Return the surprisal of words: for each token, one reading of its window up to the token before."""
    encoded = tokenizer(text, return_offsets_mapping=True)
    prefix = [i for i in encoded["input_ids"][:1] if i == tokenizer.bos_token_id]
    ids, offsets = encoded["input_ids"][len(prefix) :], encoded["offset_mapping"][len(prefix) :]
    room = context - len(prefix)
    step = 64 if room > 64 else max(1, room // 2)
    surprisal = []
    for token in range(len(ids)):
        end = min(len(ids), room + step * max(0, math.ceil((token + 1 - room) / step)))
        before = prefix + ids[max(0, end - room) : token]
        if not before:
            surprisal.append(math.nan)
            continue
        with torch.no_grad():
            logits = model(torch.tensor([before])).logits[0, -1].double()
        surprisal.append(-logits.log_softmax(dim=0)[ids[token]].item())
    ranges = assign_tokens(spans, offsets, text)
    return np.array([sum(surprisal[first:end]) for first, end in ranges])


@pytest.mark.parametrize("context", [512, 80, 20], ids="context-{}".format)
@pytest.mark.parametrize("adds_bos", [False, True], ids=["no-bos", "bos"])
def test_surprisal_is_that_of_a_plain_loop(adds_bos, context):
    text = ENGLISH[1:]  # the first word has the first token
    tokenizer = byte_level_tokenizer(text, 300, adds_bos)
    model, spans = random_model("olmo2", len(tokenizer), context=512), words_in(text)
    states = compute_word_states(model, tokenizer, text, spans, max_length=context, has_surprisal=True)
    expected = plain_surprisal(model, tokenizer, text, spans, context)
    np.testing.assert_allclose(states.surprisal, expected, rtol=1e-4)
    assert np.isnan(states.surprisal).tolist() == [not adds_bos] + [False] * (len(spans) - 1)
    assert states.n_tokens.sum() >= len(spans)
    plain = compute_word_states(model, tokenizer, text, spans, max_length=context)
    assert plain.surprisal is None
    np.testing.assert_array_equal(plain.vectors, states.vectors)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("gemma2", {"final_logit_softcapping": 2.0}),
        ("cohere", {"logit_scale": 0.25}),
        ("opt", {"word_embed_proj_dim": 16, "do_layer_norm_before": False}),  # a projection after the last layer
        ("llama4_text", {}),  # Transformers returns all states at once
    ],
)
def test_models_with_other_output_layers_have_their_own_surprisal(architecture, options):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=True)
    model, spans = tiny_model(architecture, len(tokenizer), **options), words_in(ENGLISH)[:20]
    text = ENGLISH[: spans[-1][1]]
    states = compute_word_states(model, tokenizer, text, spans, has_surprisal=True)
    np.testing.assert_allclose(states.surprisal, plain_surprisal(model, tokenizer, text, spans, 160), rtol=1e-4)


def test_surprisal_that_is_not_finite_is_an_error():
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=True)
    model = random_model("olmo2", len(tokenizer), context=512)
    with torch.no_grad():
        model.lm_head.weight[7] = torch.nan
    with pytest.raises(InputError, match="surprisal: expected finite numbers"):
        compute_word_states(model, tokenizer, ENGLISH, words_in(ENGLISH), has_surprisal=True)


@pytest.mark.parametrize("context", [512, 80])
def test_the_first_token_is_compared_with_the_median_of_the_others(context):
    tokenizer = byte_level_tokenizer(ENGLISH, 300, adds_bos=False)
    model, spans = random_model("gpt_neox", len(tokenizer), context=512), words_in(ENGLISH)
    ids = tokenizer(ENGLISH, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        model.get_input_embeddings().weight[ids[0, 0]] *= 50
        norms = [layer[0].norm(dim=1) for layer in model(ids, output_hidden_states=True).hidden_states]
    ratios = compute_word_states(model, tokenizer, ENGLISH, spans, max_length=context).first_token_norm_ratio
    expected = [float(norm[0] / np.median(norm[1:])) for norm in norms]
    np.testing.assert_allclose(ratios[0], expected[0], rtol=1e-5)
    assert ratios[0] > 10
    if context == 512:  # one window, as Transformers read it
        np.testing.assert_allclose(ratios, expected, rtol=1e-4)


# ---------------------------------------------------------------- n-grams

STORY = [["The", "fox", "sees", "the", "fox"], ["the", "well"], ["A", "fox", "sees", "a", "well", "the", "fox"]]


def test_unigram_and_bigram_surprisal_leave_the_word_itself_out():
    words = [[word.lower() for word in run] for run in STORY]
    flat = [word for run in words for word in run]
    expected, at_start = [], []
    for place, word in enumerate(flat):
        rest = flat[:place] + flat[place + 1 :]
        expected.append(-math.log((rest.count(word) + PRIOR) / (len(rest) + PRIOR * len(set(flat)))))
    np.testing.assert_allclose(compute_unigram_surprisal(STORY), expected)

    pairs = [(run, k) for run in range(len(words)) for k in range(1, len(words[run]))]
    likelihoods = {}
    for strength in 2.0 ** np.arange(-2, 13):
        values = []
        for run, k in pairs:
            rest = [(words[r][j - 1], words[r][j]) for r, j in pairs if (r, j) != (run, k)]
            before, word = words[run][k - 1], words[run][k]
            unigram = math.exp(-expected[sum(map(len, words[:run])) + k])
            count, total = rest.count((before, word)), sum(pair[0] == before for pair in rest)
            values.append(-math.log((count + strength * unigram) / (total + strength)))
        likelihoods[strength] = values
    best = min(likelihoods.values(), key=sum)
    actual = compute_bigram_surprisal(STORY)
    at_start = np.isnan(actual)
    assert np.flatnonzero(at_start).tolist() == [0, 5, 7]
    np.testing.assert_allclose(actual[~at_start], best)


def test_a_bigram_story_is_less_surprising_with_bigrams():
    rng, word, run = np.random.default_rng(0), 0, []
    for _ in range(3000):
        word = (word + 1 + int(rng.random() < 0.2)) % 30
        run.append(f"w{word}")
    unigram, bigram = compute_unigram_surprisal([run]), compute_bigram_surprisal([run])
    assert abs(unigram.mean() - math.log(30)) < 0.05
    assert abs(np.nanmean(bigram) - 0.5) < 0.05  # the entropy of 0.2 and 0.8 in nats
    assert collections.Counter(np.isnan(bigram)) == {False: 2999, True: 1}


def test_letters_are_letters_and_digits():
    assert count_letters(["n't", "l’", "42", "", "élan"]).tolist() == [2, 1, 2, 0, 4]
