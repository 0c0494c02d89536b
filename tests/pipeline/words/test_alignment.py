"""Test alignment with handmade cases, and with timings of the real text whose true spans are known."""

import csv
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from helpers import SHARED

from pipeline.errors import InputError
from pipeline.words.alignment import align

PASSWORD = b"lessentielestinvisiblepourlesyeux"


def placed(words, text, lang="en"):
    """Return the characters of each word in the text."""
    return [text[start:end] for start, end in align(words, text, lang)]


@pytest.mark.parametrize(
    ("lang", "text", "words", "expected"),
    [
        ("en", "“Once, when I was six…", "once when i was SIX", "Once when I was six"),
        ("en", "He didn’t see it.", "he did n't see it", "He did n’t see it"),
        ("en", "He didn’t see it.", "he did nt see it", "He did n’t see it"),
        ("en", "He didn't see it.", "he didn’t see it", "He didn't see it"),
        ("en", "the grown-ups know", "the grownups know", "the grown-ups know"),
        ("en", "the grown-ups know", "the grown ups know", "the grown ups know"),
        ("en", "you-know whom", "you know whom", "you know whom"),
        ("fr", "l’homme qu’il vit", "l' homme qu' il vit", "l’ homme qu’ il vit"),
        ("fr", "l’homme qu’il vit", "l homme qu’ il vit", "l’ homme qu’ il vit"),
        ("fr", "son cœur, à l’œil", "SON coeur a l' oeil", "son cœur à l’ œil"),
        ("fr", "Où êtes-vous ? Là !", "ou etes vous la", "Où êtes vous Là"),
        ("en", "a Minster spoke", "a minister spoke", "a Minster spoke"),  # a misspelt text
    ],
)
def test_each_way_of_writing_a_word(lang, text, words, expected):
    assert placed(words.split(), text, lang) == expected.split()


def test_numbers_are_read_out_digit_by_digit():
    assert placed(["the", "three two five", "asteroid"], "the 325 asteroid") == ["the", "325", "asteroid"]
    assert placed(["le", "trois deux cinq"], "le 325", "fr") == ["le", "325"]


def test_a_wrong_word_takes_the_place_of_the_right_one():
    text = "It was a quiet sea at night and nobody who lived there had seen anything like it before or since, he said."
    words = text.replace(",", "").replace(".", "").split()
    assert placed([word if word != "quiet" else "the" for word in words], text) == words


def test_words_that_the_text_lacks_get_an_empty_span_between_their_neighbours():
    text = "It was, in short, a hat and he told them that it was a hat again and again and again."
    words = "it was in short oh a hat and he told them that it was a hat again and again and again".split()
    assert placed(words, text)[3:6] == ["short", "", "a"]
    spans = align(words, text)
    assert spans[3, 1] <= spans[4, 0] <= spans[4, 1] <= spans[5, 0]


def test_a_missing_word_moves_no_other():
    assert placed("all time that he had".split(), "all the time that he had") == "all time that he had".split()


def test_rows_without_letters_disturb_nothing():
    assert placed(["he", "", " ", "—", "ran"], "he ran") == ["he", "", "", "", "ran"]
    assert align([], "he ran").shape == (0, 2)


def test_a_combining_accent_is_part_of_its_word():
    assert placed(["idee", "claire"], "idée claire".replace("é", "e\u0301"), "fr") == ["ide\u0301e", "claire"]


def test_another_text_is_an_error_that_shows_where():
    text = "He lived on a planet scarcely larger than himself and he needed a friend. " * 3
    words = text.replace(".", "").split()
    words[20:40] = "completely different material about engines pumps valves motors bolts".split() * 2
    with pytest.raises(InputError, match=r"from word \d+ on, '.*engines.* was heard where the text reads '.*'"):
        align(words, text)


def test_the_language_must_be_known():
    with pytest.raises(InputError, match="cn"):
        align(["a"], "a", lang="cn")


def read_texts(lang, published):
    with zipfile.ZipFile(published / "lpp" / f"lpp_{lang}_text.zip") as archive:
        return [archive.read(f"lpp_{lang}_text/text_{lang}_run{run}.txt", PASSWORD).decode() for run in range(1, 10)]


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_texts_of_the_other_language_are_errors(lang, published):
    texts, wrong_texts = read_texts(lang, published), read_texts("fr" if lang == "en" else "en", published)
    for text, wrong in zip(texts, wrong_texts, strict=True):
        words = text.split()
        with pytest.raises(InputError, match="was heard where the text reads"):
            align(words, wrong, lang)


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("seed", range(100, 108))
def test_words_land_on_their_characters_in_the_real_text(lang, seed, published, tmp_path):
    """In timing files with twice the usual defects, 99.9 % of the rows that are in the text are placed correctly."""
    zip_path = published / "lpp" / f"lpp_{lang}_text.zip"
    tool = SHARED / "tools" / "make_word_timings.py"
    options = ["--text", zip_path, "--lang", lang, "--seed", seed, "--noise", 2, "--out", tmp_path]
    subprocess.run([sys.executable, tool, *map(str, options)], check=True, capture_output=True)
    with open(tmp_path / f"lpp{lang.upper()}_word_information.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(tmp_path / f"lpp{lang.upper()}_truth.csv", encoding="utf-8") as file:
        truth = np.array([(row["start"], row["end"]) for row in csv.DictReader(file)], dtype=int)

    sections = np.array([int(row["section"]) for row in rows])
    spans = np.vstack(
        [
            align([row["word"] for row in rows if int(row["section"]) == run], text, lang)
            for run, text in enumerate(read_texts(lang, published), start=1)
        ]
    )
    for run in range(1, 10):
        run_spans = spans[sections == run]
        assert (run_spans[:, 0] <= run_spans[:, 1]).all()
        assert (run_spans[:-1, 1] <= run_spans[1:, 0]).all()
    in_text = truth[:, 0] >= 0
    assert np.mean((spans == truth).all(axis=1)[in_text]) >= 0.999
