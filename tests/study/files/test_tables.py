"""Tables: what is written is read back as it was, and what is wrong is named with its line."""

import gzip
import io

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from study.files import tables

lasting = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


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
