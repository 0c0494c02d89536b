"""Features of words without a language model, against plain loops over the words."""

import math
import re

import numpy as np
import pytest

from pipeline.words import baselines
from pipeline.words.alignment import align
from study.inputs.le_petit_prince import read_texts, read_word_timings

WORDS = [["The", "fox", "—", "the", "FOX!"], ["“fox", "didn’t", "n't", "B-612"], []]


def test_a_word_type_has_no_case_and_no_punctuation_around_it():
    expected = {"The": "the", "“FOX!”": "fox", "didn’t": "didn't", "j’": "j", "J'": "j", "B-612": "b-612", "—": ""}
    assert {word: baselines.find_word_type(word) for word in expected} == expected


def test_word_rate_is_one_number():
    for vectors, words in zip(baselines.compute_word_rate(WORDS), WORDS, strict=True):
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, np.ones((len(words), 1)))


def test_length_and_frequency_are_counted():
    zipf = {"the": 7.5, "fox": 4.5, "": 0.0, "didn't": 5.5, "n't": 1.5, "b-612": 0.0}
    everything = [baselines.find_word_type(word) for words in WORDS for word in words]
    for has_zipf in (False, True):
        features = baselines.compute_length_frequency(WORDS, zipf if has_zipf else None)
        assert [vectors.shape for vectors in features] == [(5, 2 + has_zipf), (4, 2 + has_zipf), (0, 2 + has_zipf)]
        for vectors, words in zip(features, WORDS, strict=True):
            assert vectors.dtype == np.float32
            for vector, word in zip(vectors, words, strict=True):
                word_type = baselines.find_word_type(word)
                expected = [len(re.findall(r"[^\W_]", word_type)), math.log10(everything.count(word_type))]
                np.testing.assert_allclose(vector, expected + [zipf[word_type]] * has_zipf, rtol=1e-6)


def plain_position(spans, text):
    """The features of each word of a run, from a loop that splits the text at the ends of sentences."""
    sentences, words_of_sentence = [], []
    for index, (start, _) in enumerate(spans):
        if index and any(mark in text[spans[index - 1][1] : start] for mark in ".?!…"):
            sentences.append(words_of_sentence)
            words_of_sentence = []
        words_of_sentence.append(index)
    rows = []
    for words in [*sentences, words_of_sentence]:
        for k, index in enumerate(words):
            share, of_sentence = index / (len(spans) - 1), k / (len(words) - 1) if len(words) > 1 else 0
            rows.append([share, share**2, math.log(1 + index), of_sentence, math.log(1 + k)])
    return rows


def test_position_in_run_and_sentence():
    texts = ["“Where are they?” asked the prince… No! It is a desert.", "One sentence, it ends here. Two."]
    words = [
        "where are they asked the prince no it is a missing desert".split(),
        "one sentence it ends here two".split(),
    ]
    spans = [
        align(run, text) if "missing" not in run else align_all_but_one(run, text)
        for run, text in zip(words, texts, strict=True)
    ]
    for vectors, run_spans, text in zip(baselines.compute_position(spans, texts), spans, texts, strict=True):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, plain_position(run_spans, text), rtol=1e-5)
    first = baselines.compute_position(spans, texts)[0]
    np.testing.assert_array_equal(first[:, 4] == 0, np.isin(np.arange(12), [0, 3, 6, 7]))


def align_all_but_one(words, text):
    """Spans of words of which one is not in the text: its span is empty, after the word before it."""
    spans = align([word for word in words if word != "missing"], text)
    place = words.index("missing")
    return np.insert(spans, place, [spans[place - 1, 1]] * 2, axis=0)


def test_a_text_without_sentences_gives_the_position_in_the_run_alone():
    spans = np.array([[0, 3], [4, 7]])
    assert [run.shape for run in baselines.compute_position([spans, spans[:0]], ["one two", ""])] == [(2, 3), (0, 3)]
    # A full stop after the last word ends no sentence that another follows.
    assert baselines.compute_position([spans], ["one two."])[0].shape == (2, 3)


def test_a_random_embedding_is_fixed_by_word_type_and_seed_alone():
    vectors = baselines.draw_random_embedding(WORDS, seed=1, n_dimensions=50)
    assert [(run.shape, run.dtype.name) for run in vectors] == [
        (shape, "float32") for shape in ((5, 50), (4, 50), (0, 50))
    ]
    by_type = {}
    for run, words in zip(vectors, WORDS, strict=True):
        for vector, word in zip(run, words, strict=True):
            by_type.setdefault(baselines.find_word_type(word), set()).add(vector.tobytes())
    assert [len(different) for different in by_type.values()] == [1] * 6
    assert len(set.union(*by_type.values())) == 6
    (elsewhere,) = baselines.draw_random_embedding([["snake", "Fox"]], seed=1, n_dimensions=50)
    np.testing.assert_array_equal(elsewhere[1], vectors[0][1])
    assert not (baselines.draw_random_embedding(WORDS, seed=2, n_dimensions=50)[0] == vectors[0]).any()


def test_random_vectors_differ_where_a_word_is_repeated():
    vectors = np.concatenate(baselines.draw_random_vectors(WORDS, seed=1, n_dimensions=50))
    assert len(np.unique(vectors, axis=0)) == 9
    np.testing.assert_array_equal(vectors, np.concatenate(baselines.draw_random_vectors(WORDS, 1, 50)))
    assert not (np.concatenate(baselines.draw_random_vectors(WORDS, seed=2, n_dimensions=50)) == vectors).any()


@pytest.mark.parametrize("draw", [baselines.draw_random_embedding, baselines.draw_random_vectors])
def test_random_vectors_are_independent_standard_normal(draw):
    (vectors,) = draw([[f"word{k}" for k in range(2000)]], seed=3, n_dimensions=60)
    assert abs(vectors.mean()) < 4 / math.sqrt(vectors.size)
    assert vectors.var() == pytest.approx(1, abs=4 * math.sqrt(2 / vectors.size))
    correlations = np.corrcoef(vectors.T)[np.triu_indices(60, 1)]
    assert np.abs(correlations).max() < 4.5 / math.sqrt(2000)  # of 1,770 pairs


def test_features_of_the_embedded_story(tiny_study):
    texts, timings = read_texts("en"), read_word_timings("en")
    words = [run[0] for run in timings]
    spans = [align(run, text) for run, text in zip(words, texts, strict=True)]
    for vectors, run_spans, text in zip(baselines.compute_position(spans, texts), spans, texts, strict=True):
        np.testing.assert_allclose(vectors, plain_position(run_spans, text), rtol=1e-5)
