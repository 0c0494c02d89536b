"""Tables: what is written is read back as it was, and what is wrong is named with its line."""

import itertools

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import InputError
from study.checkpoints import find_training_tokens, find_unused_token_rows
from study.files import tables, texts
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.inputs.le_petit_prince import read_word_timings
from study.paths import benchmark_pairs_path, tokens_table_path, word_timings_path


def test_lines_of_text_are_those_of_every_system(tmp_path):
    path = tmp_path / "t.txt"
    for end in ("\n", "\r\n", "\r"):
        path.write_bytes(f"\ufeffa\u2028b{end}c{end}".encode())
        assert texts.read_lines(path) == ["a\u2028b", "c"]


def test_lines_of_text_that_are_wrong_are_named(tmp_path):
    path = tmp_path / "t.txt"
    for content, message in [
        (b"a\nb\rc\n", "line 2: .*a carriage return within a line"),
        (b"a\r\nb\r\r\n", "line 2: .*a carriage return within a line"),
        (b"a\n\xff\n", "line 2: expected text in UTF-8, got the byte 0xff"),
        (b"a\nb", "line 2: expected a whole line"),
        (b"", "expected lines of text, got an empty file"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"t\.txt: {message}"):
            texts.read_lines(path)


def timings(rows):
    return "word,onset,offset,section\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def test_a_lone_quotation_mark_is_read_or_named(study_folder):
    """Written by awk, it hides rows; written as four, it is a word."""
    rows = [(f"w{k}", k, k + 0.5, 1) for k in range(30)]
    path = word_timings_path("en")
    wrong = [*rows[:19], ('"', 18.5, 18.6, 1), *rows[19:25], ('"', 24.5, 24.6, 1), *rows[25:]]
    path.write_text(timings(wrong))
    with pytest.raises(InputError, match=r"lppEN_word_information\.csv: line 21: .*\"\"\"\""):
        read_word_timings("en")
    path.write_text(timings([('""""' if word == '"' else word, *row) for word, *row in wrong]))
    ((words, onsets, _),) = read_word_timings("en")
    assert words == [word for word, *_ in wrong]
    assert onsets.tolist() == [onset for _, onset, *_ in wrong]


def test_a_word_over_two_lines_is_named(study_folder):
    word_timings_path("en").write_text(timings([("a", 0, 1, 1), ('"b\nc"', 1, 2, 1), ("d", 2, 3, 1)]))
    with pytest.raises(InputError, match="line 3: "):
        read_word_timings("en")


@pytest.mark.parametrize("n_dropped", [0, 3])
def test_onsets_that_go_backwards_are_named(study_folder, n_dropped):
    dropped = [("", "", "", "")] * n_dropped
    rows = [*dropped, ("a", 0, 1, 1), ("b", 2, 3, 1), ("x", 0, 1, 2), ("c", 2, 3, 1), ("d", 1.5, 2, 1), ("y", 1, 2, 2)]
    word_timings_path("en").write_text(timings(rows))
    message = (
        rf"line {6 + n_dropped}: expected an onset of 2 s or later in section 1, as in line {5 + n_dropped}, got 1.5"
    )
    with pytest.raises(InputError, match=message):
        read_word_timings("en")
    del rows[-2]
    word_timings_path("en").write_text(timings(rows))
    assert [onsets.tolist() for _, onsets, _ in read_word_timings("en")] == [[0, 2, 2], [0, 1]]


def test_sections_are_named_as_plain_numbers(study_folder):
    word_timings_path("en").write_text(timings([("a", 0, 1, 0), ("b", 1, 2, 1.5)]))
    with pytest.raises(InputError, match=r"csv: expected the sections 1, 2, 3 \.\.\., got 0, 1\.5\. "):
        read_word_timings("en")


def test_a_line_is_right_below_rows_without_a_word(study_folder):
    word_timings_path("en").write_text(timings([("", 0, 0, 1), ("", 0, 0, 1), ("a", 0, "x", 1)]))
    with pytest.raises(InputError, match="line 4: expected a number as offset, got 'x'"):
        read_word_timings("en")


def test_training_tokens_are_those_of_the_hub_or_of_a_folder(study_folder):
    content = "model,revision,tokens\nme/lm,a,5\nlm,b,6\nme/lm,c,7\nother,a,8\nme/lm,a,5.0\n"
    tokens_table_path().write_text(content)
    assert find_training_tokens("me_lm", "a") == 5
    assert find_training_tokens("lm", "b") == 6
    unused = find_unused_token_rows([("me_lm", "a"), ("lm", "b"), ("me_lm", "d")])
    assert unused.reset_index().to_numpy().tolist() == [[4, "me_lm", "c", "7"], [5, "other", "a", "8"]]
    assert len(find_unused_token_rows([])) == 5
    tokens_table_path().unlink()
    assert len(find_unused_token_rows([("lm", "b")])) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("lm,a,5\nlm,b,1\nlm,a,6\n", "lines 2 and 4: expected one number of tokens .* got 5 and 6"),
        ("x,y,z\nlm,a,-5\n", "line 3: expected a number of tokens of 0 or more, got -5"),
        ("lm,a,inf\n", "line 2: expected a number of tokens"),
        ("x,y,z\nlm,a,5B\n", "line 3: expected a number as tokens, got '5B'"),
    ],
)
def test_training_tokens_that_are_wrong_are_named(study_folder, rows, message):
    tokens_table_path().write_text("model,revision,tokens\n" + rows)
    with pytest.raises(InputError, match=rf"training_tokens\.csv: {message}"):
        find_training_tokens("lm", "a")


def test_training_tokens_with_semicolons_are_named(study_folder):
    tokens_table_path().write_text("model;revision;tokens\nlm;a;5\n")
    with pytest.raises(InputError, match=r"got 'model;revision;tokens', separated by semicolons"):
        find_training_tokens("lm", "a")


def blimp_line(good="a b .", bad="b a .", term="t", field="f"):
    return f'{{"linguistics_term": "{term}", "field": "{field}", "sentence_good": "{good}", "sentence_bad": "{bad}"}}\n'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (blimp_line(good=r"a \ud83d b"), r"line 2: expected whole characters, got \\ud83d"),
        (blimp_line(bad=r"a \udc00 b"), r"line 2: expected whole characters, got \\udc00"),
        (blimp_line(term=r"a\nb"), r"line 2: expected names"),
        (blimp_line(field=r"\ud83d"), r"line 2: expected names"),
    ],
)
def test_sentences_that_no_tokenizer_reads_are_named(study_folder, line, message):
    (study_folder / "blimp" / "data").mkdir(parents=True)
    path = study_folder / "blimp" / "data" / "p.jsonl"
    path.write_text(blimp_line(good=r"\ud83d\ude00 a .") + line)
    with pytest.raises(InputError, match=rf"p\.jsonl: {message}"):
        read_blimp()
    path.write_text(blimp_line(good=r"\ud83d\ude00 a ."))
    assert read_blimp()["good"].tolist() == ["\U0001f600 a ."]


def test_sentences_of_zorro_that_are_not_utf_8_are_named(study_folder):
    folder = study_folder / "Zorro" / "sentences" / "babyberta"
    folder.mkdir(parents=True)
    (folder / "x-p.txt").write_bytes(b"b a .\na b .\nb \xed\xa0\xbd .\na .\n")
    with pytest.raises(InputError, match=r"x-p\.txt: line 3: expected text in UTF-8"):
        read_zorro()


def test_sentences_with_carriage_returns_stay_pairs(study_folder, call, tiny_checkpoint):
    (study_folder / "blimp" / "data").mkdir(parents=True)
    lines = [blimp_line(good=rf"the {word} is .\r", bad=rf"the {word} are .\r") for word in ("fox", '\\"', "rose, red")]
    (study_folder / "blimp" / "data" / "p.jsonl").write_text("".join(lines))
    status, _, error = call("evaluate_llm_blimp", "--model", tiny_checkpoint, "--revision", "step8")
    assert status == 0, error
    path = benchmark_pairs_path("tiny-pythia_step8", "blimp")
    pairs = pd.read_csv(path)
    assert pairs["good"].tolist() == ["the fox is .\r", 'the " is .\r', "the rose, red is .\r"]
    ours = tables.read_csv(path, ["good", "bad", "logprob_good"], free_text=["good", "bad"])
    assert ours["bad"].tolist() == pairs["bad"].tolist()
    np.testing.assert_array_equal(tables.parse_numbers(ours["logprob_good"], path), pairs["logprob_good"])
    assert "pairs.csv.gz" not in call("llm_brain_asym", "--check")[1]


def test_marks_and_line_breaks_in_every_place_hide_no_row(read):
    """A lone quotation mark in any two places of a table of three rows is read in whole or named."""
    cells = [f"c{k}" for k in range(6)]
    for places in itertools.combinations(range(6), 2):
        marked = [f'"{cell}' if k in places else cell for k, cell in enumerate(cells)]
        content = "a,b\n" + "".join(f"{marked[k]},{marked[k + 1]}\n" for k in (0, 2, 4))
        with pytest.raises(InputError, match=rf"t\.csv: line {2 + places[0] // 2}: "):
            read(content)
