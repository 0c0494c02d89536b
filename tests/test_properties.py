"""Whatever is in a file or on a command line: what it says, or one clear error."""

import argparse
import csv
import gzip
import itertools
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.tasks import acceptability
from pipeline.words.alignment import align
from pipeline.words.runs import split_windows
from pipeline.words.tokens import assign_tokens
from study.checkpoints import find_training_tokens
from study.command_line import checkpoint_name, revision_name
from study.files.safe_joblib import read_arrays
from study.inputs import lm_eval_files
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.inputs.le_petit_prince import read_word_timings
from study.paths import activations_path, benchmark_path, checkpoint_stem, word_timings_path
from study.records import read_record, record_path

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
# The machine may be busy, and files in one folder are written anew by each example.
lasting = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.lists(st.text(max_size=12), max_size=40)
languages = st.sampled_from(["en", "fr"])


@lasting
@given(words, st.text(max_size=300), languages)
@example(["325", "trois"], "325 — l’œuf", "fr")
def test_any_words_and_any_text_give_places_in_order_or_an_error(words, text, lang):
    try:
        spans = align(words, text, lang)
    except InputError as error:
        assert len(str(error)) > 20
        return
    assert spans.shape == (len(words), 2)
    if len(words):
        assert spans.min() >= 0
        assert spans.max() <= len(text)
        assert (spans[:, 0] <= spans[:, 1]).all()
        assert (spans[1:, 0] >= spans[:-1, 1]).all()


plain_words = st.lists(st.from_regex(r"[a-zA-Zéèà]{1,9}", fullmatch=True), min_size=1, max_size=40)


@lasting
@given(plain_words, st.sampled_from([" ", ", ", ". — ", "\n", " “"]), st.randoms())
def test_words_of_a_text_are_found_where_they_are(words, between, random):
    text = between.join(words)
    heard = [random.choice([str.lower, str.upper, str])(word) for word in words]
    assert [text[start:end] for start, end in align(heard, text)] == words


@st.composite
def texts_with_tokens(draw):
    """A text, where some of its words are, and tokens that cover it, as a tokenizer's offsets."""
    text = draw(st.text(alphabet="ab’ é.\n", min_size=1, max_size=60))

    def cuts(n_least):
        ends = draw(st.lists(st.integers(0, len(text)), min_size=n_least, max_size=15))
        return sorted(ends)

    inner = [0, *cuts(0), len(text)]
    offsets = [(start, end) for start, end in itertools.pairwise(inner) if end > start]
    places = cuts(2)
    spans = [(start, end) for start, end in zip(places[::2], places[1::2], strict=False)]
    return text, np.array(spans).reshape(-1, 2), np.array(offsets).reshape(-1, 2)


@lasting
@given(texts_with_tokens())
def test_every_word_has_tokens_in_order(given_text):
    text, spans, offsets = given_text
    ranges = assign_tokens(spans, offsets, text)
    assert ranges.shape == spans.shape
    assert (ranges[:, 0] < ranges[:, 1]).all()
    assert (ranges >= 0).all()
    assert (ranges <= len(offsets)).all()
    assert (np.diff(ranges[:, 0]) >= 0).all()


@lasting
@given(st.integers(1, 3000), st.integers(1, 600))
def test_windows_read_every_token_once(n_tokens, max_tokens):
    steps = split_windows(n_tokens, max_tokens)
    assert [new for _, new, _ in steps] == [0, *[end for *_, end in steps[:-1]]]
    assert steps[-1][2] == n_tokens
    assert all(0 <= start <= new < end and end - start <= max_tokens for start, new, end in steps)


@lasting
@given(st.binary(max_size=300))
def test_any_bytes_are_an_array_or_an_error(tmp_path, content):
    path = tmp_path / "a.gz"
    for made in (content, gzip.compress(content)):
        path.write_bytes(made)
        with pytest.raises(InputError, match=r"a\.gz: "):
            read_arrays(path)


plain = st.recursive(
    st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=15,
)


@lasting
@given(plain, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.sampled_from([2, 4, 5]))
def test_any_change_of_a_pickle_is_a_plain_value_or_an_error(tmp_path, value, changes, protocol):
    content = bytearray(pickle.dumps(value, protocol))
    for place, byte in changes:
        content[place % len(content)] = byte
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(content)))
    try:
        read = read_arrays(path)
    except InputError as error:
        assert "a.gz: " in str(error)
        return
    assert changes or read == value
    assert is_plain(read)


def is_plain(value):
    if isinstance(value, dict):
        return all(is_plain(part) for item in value.items() for part in item)
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    plain_types = (int, float, str, bytes, type(None), np.ndarray)
    return isinstance(value, plain_types) or value.__class__.__module__ == "pipeline.files" or isinstance(value, type)


lines = st.lists(st.binary(max_size=30) | st.text(max_size=30).map(str.encode), max_size=6).map(b"\n".join)


@lasting
@given(lines)
def test_any_lines_are_pairs_or_an_error(study_folder, content):
    for path, read in [
        ("blimp/data/p.jsonl", read_blimp),
        ("Zorro/sentences/babyberta/x-p.txt", read_zorro),
    ]:
        path = study_folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        try:
            pairs = read()
        except InputError as error:
            assert path.name in str(error)
        else:
            assert pairs["good"].str.strip().ne("").all()
            assert len(pairs) > 0


@lasting
@given(st.lists(st.lists(st.text(alphabet="a1.,\"'\n; -é", max_size=6), min_size=3, max_size=5), max_size=6))
def test_any_table_of_timings_is_read_or_an_error(study_folder, rows):
    path = word_timings_path("en")
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["word", "onset", "offset", "section"], *rows])
    try:
        runs = read_word_timings("en")
    except InputError as error:
        assert path.name in str(error)
    else:
        for words, onsets, offsets in runs:
            assert len(words) == len(onsets) == len(offsets) > 0
            assert np.isfinite(onsets).all()
            assert (offsets >= onsets).all()


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
metrics = st.dictionaries(st.sampled_from(["acc,none", "acc_stderr,none", "alias", "a", "x,"]), json_values, max_size=4)
results_files = st.fixed_dictionaries(
    {
        "config": st.fixed_dictionaries({"model_args": st.text(max_size=20) | json_values}) | json_values,
        "results": st.dictionaries(st.text(max_size=5), metrics, max_size=3) | json_values,
        "date": st.floats() | json_values,
    }
)


@lasting
@given(json_values | results_files)
def test_any_results_of_lm_eval_are_read_or_an_error(tmp_path, value):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(value))
    try:
        table = lm_eval_files.read_results(path)
    except InputError as error:
        assert "results.json" in str(error)
    else:
        assert list(table.columns) == lm_eval_files.COLUMNS


@lasting
@given(json_values)
def test_any_record_is_read_or_an_error(tmp_path, value):
    path = tmp_path / "a.csv"
    record_path(path).write_text(json.dumps(value))
    try:
        assert isinstance(read_record(path)["parameters"], dict)
    except InputError as error:
        assert "a.csv.json" in str(error)


@lasting
@given(st.text(max_size=40) | st.from_regex(r"(stage[12]-)?step\d{1,30}(-tokens\d{1,400}[KMBT]?)?", fullmatch=True))
def test_any_revision_tells_tokens_or_nothing(study_folder, revision):
    tokens = find_training_tokens("EleutherAI_pythia-160m", revision)
    assert tokens is None or (math.isfinite(tokens) and tokens >= 0)


@lasting
@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_has_whole_sentences_that_are_in_it(text, prompt):
    plain = " ".join((prompt + text).split())
    for sentence in acceptability.split_sentences(prompt + text, prompt):
        assert sentence.strip()
        assert " ".join(sentence.split()) in plain


@lasting
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_name_stays_in_the_study_folder(study_folder, model, revision):
    try:
        model, revision = checkpoint_name(model), revision_name(revision)
    except argparse.ArgumentTypeError:
        return
    stem = checkpoint_stem(model, revision)
    for path in (activations_path(stem, "en"), benchmark_path(stem, "blimp")):
        assert path.resolve().parent.parent == study_folder.resolve()
        assert path.name.isprintable()
