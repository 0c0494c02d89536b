"""Tables: what is written is read back as it was, and what is wrong is named with its line."""

import gzip
import io
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from study.checkpoints import find_training_tokens, find_unused_token_rows
from study.files import tables, texts
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.inputs.le_petit_prince import read_word_timings
from study.paths import benchmark_pairs_path, tokens_table_path, word_timings_path

lasting = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read(tmp_path):
    """read(content, columns, ...) -> rows of a file with this content."""

    def read_content(content, *arguments, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tables.read_csv(path, *arguments, **options)

    return read_content


# ---------------------------------------------------------------- there and back

any_text = st.text(st.characters(), max_size=8) | st.text(alphabet='\r\n", \x00\ud800é\u2028\ufeff', max_size=5)
rows_of_text = st.lists(st.tuples(any_text, any_text), min_size=1, max_size=6)


@lasting
@given(rows_of_text, st.sampled_from(["t.csv", "t.csv.gz"]))
@example([("a b .\r", "a\r\nb"), ('"', ' "x" ')], "t.csv.gz")
@example([("\r", ""), ("", "\n")], "t.csv")
@example([("\ud83d", "\x00")], "t.csv")
@example([("", "")], "t.csv")
def test_whatever_text_is_written_is_read_back(tmp_path, rows, name):
    path = tmp_path / name
    table = pd.DataFrame(rows, columns=["good", "bad"], dtype=object).assign(number=0.1)
    tables.write_table(path, table)
    read = tables.read_csv(path, ["bad", "good"], free_text=["good", "bad"])
    assert list(zip(read["good"], read["bad"], strict=True)) == rows
    assert tables.parse_numbers(
        tables.read_csv(path, ["number"], free_text=["good", "bad"])["number"], path
    ).tolist() == [0.1] * len(rows)
    if not any(char in cell for row in rows for cell in row for char in "\x00"):  # pandas ends a cell there
        options = {"dtype": object, "keep_default_na": False, "encoding_errors": "surrogatepass"}
        of_pandas = pd.read_csv(path, **options)
        assert list(zip(of_pandas["good"], of_pandas["bad"], strict=True)) == rows


@lasting
@given(st.lists(st.text(alphabet='ab \r"', max_size=3), min_size=1, max_size=4))
def test_a_single_column_is_read_back(tmp_path, cells):
    tables.write_table(tmp_path / "t.csv", pd.DataFrame({"a": cells}, dtype=object))
    assert tables.read_csv(tmp_path / "t.csv", free_text=["a"])["a"].tolist() == cells


@lasting
@given(st.lists(st.tuples(st.floats(), st.integers(-(2**60), 2**60), st.booleans()), min_size=1, max_size=5))
def test_numbers_are_written_as_before_with_and_without_carriage_returns(tmp_path, rows):
    """Byte for byte as pandas writes them; next to a carriage return, text alone is in quotation marks."""
    table = pd.DataFrame(rows, columns=["x", "n", "is"]).assign(word='say "a", b')
    tables.write_table(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_bytes() == table.to_csv(index=False).encode()
    tables.write_table(tmp_path / "r.csv", table.assign(word="a\r"))
    plain = tables.read_csv(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(
        tables.read_csv(tmp_path / "r.csv", free_text=["word"])[["x", "n", "is"]], plain[["x", "n", "is"]]
    )


def test_compressed_tables_are_the_same_bytes_whenever_they_are_written(tmp_path):
    table = pd.DataFrame({"a": ["x"], "b": [1.5]})
    for name in ("one.csv.gz", "two.csv.gz"):
        tables.write_table(tmp_path / name, table)
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.csv.gz").read_bytes()) == b"a,b\nx,1.5\n"


@lasting
@given(st.lists(st.lists(any_text, min_size=2, max_size=2), max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_lines_are_those_of_the_file(tmp_path, rows, end):
    """Each row's line, counted from the bytes before it."""
    lines, content = [], f"a,b{end}"
    for row in rows:
        lines.append(content.count("\n") + 1)
        quoted = ('"' + cell.replace('"', '""') + '"' for cell in row)
        content += ",".join(quoted) + end
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    read = tables.read_csv(path, free_text=["a", "b"])
    assert read.index.tolist() == lines
    assert read.to_numpy().tolist() == rows
    path.write_bytes((content + "1,2,3").encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=rf"t\.csv: line {content.count(chr(10)) + 1}: expected 2 cells, .* got 3"):
        tables.read_csv(path, free_text=["a", "b"])


# ---------------------------------------------------------------- what is wrong

WRONG = {
    "a lone mark": ('a,b\n1,2\n",3\n4,5\n', 'line 3: .*quotation mark that opens a cell.*as """"'),
    "two lone marks": ('a,b\n1,2\n",3\n4,5\n",6\n7,8\n', "line 3: .*quotation mark that opens a cell"),
    "a mark in the last cell": ('a,b\n1,2\n3,"\n', "line 3: .*quotation mark that opens a cell"),
    "lone marks in a row": ('a,b\n1,2\n",3,"\n', "line 3: expected 2 cells, .* got 1"),
    "marks of a backslash": ('a,b\n1,"say \\"x\\""\n', "line 2: .*followed by something else"),
    "text after a mark": ('a,b\n1,"2"x\n', "line 2: .*followed by something else than a comma"),
    "a blank line": ("a,b\n1,2\n\n3,4\n", "line 3: .*blank line"),
    "a blank first line": ("\na,b\n1,2\n", "line 1: .*blank line"),
    "a cell too many": ("a,b\n1,2\n1,2,3\n", "line 3: expected 2 cells, as in the header, got 3"),
    "a cell too few": ("a,b\r\n1,2\r\n1\r\n", "line 3: expected 2 cells, as in the header, got 1"),
    "a bare carriage return": ("a,b\n1,2\n1,2\r3\n", "line 3: expected a carriage return only in quotation marks"),
    "a quoted carriage return": ('a,b\n1,2\n1,"2\r3"\n', "line 3: .* in the column b, got a line break"),
    "a line break": ('a,b\n1,2\n1,"2\n3"\n', "line 3: "),
    "Latin 1": (b"a,b\n1,2\n\xe9,3\n", "line 3: expected text in UTF-8, got the byte 0xe9"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "expected text in UTF-8, got UTF-16"),
    "half a character": (b"a,b\n1,\xed\xa0\x80\n", "line 2: expected text in UTF-8"),
    "nothing": (b"", ".*got an empty file"),
    "blank lines alone": (b"\n\n", ".*got an empty file"),
    "semicolons": ("a;b\n1;2\n", "expected the columns a, b, got 'a;b', separated by semicolons"),
    "semicolons and quotation marks": ('"a";"b"\n1;2\n', "line 1: .*separated by semicolons"),
    "tabs": ("a\tb\n1\t2\n", ".*separated by tabs"),
    "another column": ("a,c\n1,2\n", "expected the columns a, b, got 'a,c', without b"),
    "a column with a blank": ("a, b\n1,2\n", ".*got 'a, b', without b"),
    "a column twice": ("a,b,a\n1,2,3\n", "expected one column 'a', got 2"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_table_that_is_wrong_is_named_with_its_line(read, fault):
    content, message = WRONG[fault]
    with pytest.raises(InputError, match=rf"t\.csv: {message}") as error:
        read(content, ["a", "b"])
    assert "\n" not in str(error.value)


FREE = {
    "the second of two broken cells": ('a,b\n"x\ny","z\n', "lines 2 to 3: .*not closed by the end of the file"),
    "text after a mark": ('a,b\n1,"2\n"x\n', "lines 2 to 3: .*followed by something else"),
    "a break where no text is": ('a,b\n1,"2\n3"\n"4\n",5\n', "line 4: .* in the column a, got a line break"),
    "a break after a broken cell": ('b,a\n"1\n2","3\n4"\n', "line 3: .* in the column a, got a line break"),
    "not UTF-8": (b'a,b\n1,"2\n\xed\xa0\x80"\n\xff,1\n', "line 4: .* got the byte 0xff"),
    "cells of a broken record": ('a,b\n1,"2\n3",4\n', "lines 2 to 3: expected 2 cells, .* got 3"),
}


@pytest.mark.parametrize("fault", FREE)
def test_a_table_with_free_text_that_is_wrong_is_named_with_its_line(read, fault):
    content, message = FREE[fault]
    with pytest.raises(InputError, match=rf"t\.csv: {message}"):
        read(content, ["a", "b"], free_text=["b"])


HARMLESS = {
    "a byte order mark": ("\ufeffa,b\n1,2\n", [["1", "2"]]),
    "Windows": ("a,b\r\n1,2\r\n", [["1", "2"]]),
    "an old Mac": ("a,b\r1,2\r3,4\r", [["1", "2"], ["3", "4"]]),
    "no last line end": ("a,b\n1,2", [["1", "2"]]),
    "blank lines at the end": ("a,b\n1,2\n\n\r\n", [["1", "2"]]),
    "marks within a cell": ('a,b\n5",l"\n', [['5"', 'l"']]),
    "a mark as it should be": ('a,b\n"""",2\n', [['"', "2"]]),
    "commas": ('a,b\n"1,5",","\n', [["1,5", ","]]),
    "another column twice": ("a,c,b,c\n1,2,3,4\n", [["1", "3"]]),
    "no rows": ("a,b\n", []),
    "words of missing values": ("a,b\nNA,null\n", [["NA", "null"]]),
    "a form feed": ("a,b\n1\x0c2,\x85\u2028\n", [["1\x0c2", "\x85\u2028"]]),
    "a long cell": (f"a,b\n1,{'x' * 200_000}\n", [["1", "x" * 200_000]]),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_harmless_is_read(read, case):
    content, rows = HARMLESS[case]
    assert read(content, ["a", "b"]).to_numpy().tolist() == rows


any_table = st.text(alphabet='ab,"\n\r é;', max_size=30) | st.binary(max_size=20)


@lasting
@given(any_table)
def test_any_file_has_a_row_per_line_or_an_error(read, content):
    """Where a table has no free text, no line is lost."""
    content = content.encode() if isinstance(content, str) else content
    try:
        rows = read(content)
    except InputError as error:
        assert "t.csv: " in str(error)
    else:
        text = content.decode("utf-8-sig")
        text = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
        lines = text.replace("\r", "").rstrip("\n").split("\n")
        assert len(rows) == len(lines) - 1
        assert rows.index.tolist() == list(range(2, len(lines) + 1))


def test_an_optional_column_is_read_where_it_is(read):
    assert list(read("a,b\n1,2\n", ["b"], optional=["a", "c"]).columns) == ["b", "a"]
    assert list(read("a,b\n1,2\n").columns) == ["a", "b"]


def test_a_cell_that_is_no_number_is_named_with_its_line(read, tmp_path):
    rows = read('a,b\n1,"x\ny"\n2,z\n"3,5",z\n', ["a"], free_text=["b"])
    with pytest.raises(InputError, match=r"t\.csv: line 5: expected a number as a, got '3,5'\. Write decimals"):
        tables.parse_numbers(rows["a"], tmp_path / "t.csv")
    assert tables.parse_numbers(rows["a"][:2], tmp_path / "t.csv").tolist() == [1, 2]


def test_values_are_those_of_pandas(tmp_path):
    content = "revision,n,x,is,maybe,empty,what\n01,1,0.1,True,True,,NA\n02,2,,False,,,b\n"
    (tmp_path / "t.csv").write_text(content)
    options = {"dtype": {"revision": str}, "keep_default_na": False, "na_values": [""]}
    expected = pd.read_csv(io.StringIO(content), **options)
    pd.testing.assert_frame_equal(tables.read_values(tmp_path / "t.csv", text=["revision"]), expected)


# ---------------------------------------------------------------- lines of text


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


# ---------------------------------------------------------------- timings and training tokens


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


# ---------------------------------------------------------------- sentences


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
