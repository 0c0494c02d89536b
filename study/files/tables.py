"""Read and write tables as CSV files.

A quotation mark that opens a cell and never closes it hides all rows up to the next mark. So the reader
accepts a line break within a cell only in columns of free text, and each error names its line.
"""

import array
import csv
import gzip
import io

import numpy as np
import pandas as pd

from pipeline.errors import InputError, explain_errors
from study.files.atomic import write_whole
from study.files.safe_joblib import MOST_EXPANSION, MOST_SMALL
from study.files.texts import LONE_SURROGATE, decode

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}  # instead of commas
QUOTE_A_MARK = 'Write a cell that is one quotation mark as """", or get or make the file again.'
AGAIN = "Get or make it again."
csv.field_size_limit(2**31 - 1)  # Python's own limit, 131,072 characters, refuses long cells of valid files


def read_csv(path, columns=None, optional=(), free_text=()):
    r"""Read columns of a CSV file, as strings.

    Parameters
    ----------
    path : pathlib.Path, compressed if its name ends in ``.gz``
    columns : sequence of str, optional, columns that the file must have; by default, all are read
    optional : sequence of str, columns that are read where the file has them
    free_text : sequence of str
        Columns whose cells may contain line breaks and lone surrogates, as sentences can. They need not be read.

    Returns
    -------
    pandas.DataFrame of str
        Only the columns that were read. An empty cell is an empty string. The index, ``line``, is the line of the
        file on which each row begins, from 2.

    Raises
    ------
    InputError
        The file is missing, unpacks to far more than its size, is not in UTF-8, lacks a column or has it twice. Or
        a line is blank, has another number of cells than the header, has a quotation mark in the wrong place, or
        has a line break in a column that is not free text.
    """
    text = _read_text(path, is_free=bool(free_text))
    records = _records(path, text, is_free=bool(free_text))
    header = _read_header(path, text, records)
    wanted = _wanted_columns(path, header, columns, optional)
    may_break = {position for position, name in enumerate(header) if name in free_text}
    # Where every carriage return is part of a line end, the cells need not be searched.
    has_carriage_returns = text.count("\r") != text.count("\r\n")
    lines = array.array("q")
    columns_read: dict[str, list[str]] = {name: [] for name in wanted}
    blank = None
    for first, last, cells in records:
        if not cells:
            blank = blank or first
            continue
        if blank:
            raise InputError(
                f"{path}: line {blank}: expected a row, got a blank line. Remove it, or get the file again."
            )
        if len(cells) != len(header):
            _refuse_number_of_cells(path, _name_lines(first, last), cells, header)
        if last > first or has_carriage_returns:
            _check_line_breaks(path, first, cells, header, may_break)
        lines.append(first)
        for name, position in wanted.items():
            columns_read[name].append(cells[position])
    # Strings of pandas cannot hold a lone surrogate, objects can.
    dtype = object if free_text and LONE_SURROGATE.search(text) else str
    return pd.DataFrame(
        columns_read, index=pd.Index(lines, name="line", dtype=np.int64), columns=list(wanted), dtype=dtype
    )


def read_values(path, text=()):
    """Read a whole table as ``read_csv`` does, and parse its numbers, except in the columns named in ``text``.

    A column of numbers is int or float, a column of ``True`` and ``False`` is bool, any other is str. An empty cell is
    NaN.
    """
    rows = read_csv(path).reset_index(drop=True)
    return pd.DataFrame({name: _values(column, is_text=name in text) for name, column in rows.items()})


def _values(column, is_text):
    """Parse a column of strings as numbers or booleans if all its cells are such."""
    is_empty = column == ""
    if is_text:
        return column.mask(is_empty)
    values = pd.to_numeric(column, errors="coerce")
    if (values.isna() == is_empty).all():
        return values
    truth = column.map({"True": True, "False": False, "": np.nan})
    if (truth.isna() == is_empty).all():
        return truth if is_empty.any() else truth.astype(bool)
    return column.mask(is_empty)


def parse_numbers(column, path):
    """Parse a column of a table from ``read_csv``, a series of str, as numbers: a float64 array (n_rows,).

    A cell that is not a number raises InputError with ``path`` and the cell's line.
    """
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    is_wrong = np.isnan(values)
    if is_wrong.any():
        line, cell = column.index[is_wrong][0], column[is_wrong].iloc[0]
        point = "Write decimals with a point. " if "," in cell else ""
        raise InputError(f"{path}: line {line}: expected a number as {column.name}, got {cell!r}. {point}{AGAIN}")
    return values


def _read_text(path, is_free):
    """Read the text of a file, unpacked, with line ends of Unix or Windows."""
    with explain_errors(path, "expected a CSV file in UTF-8. Get or make it again."):
        most = MOST_EXPANSION * path.stat().st_size + MOST_SMALL
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise ValueError(f"it unpacks to more than {MOST_EXPANSION} times its size")
    text = decode(content, path, errors="surrogatepass" if is_free else "strict")
    return text if "\n" in text else text.replace("\r", "\n")  # line ends of an old Mac


def _records(path, text, is_free):
    """Yield the first and the last line of each record, and its cells: a list of str, empty for a blank line."""
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(_quotation_error(path, str(error), first, reader.line_num, is_free)) from error
        if cells is None:
            return
        if reader.line_num > first and not is_free:
            raise InputError(_quotation_error(path, "", first, reader.line_num, is_free))
        yield first, reader.line_num, cells


def _quotation_error(path, reason, first, last, is_free):
    """Return the error message for the quotation marks of a record."""
    if "new-line character" in reason:
        return (
            f"{path}: line {last}: expected a carriage return only in quotation marks, got one without them. "
            "Remove it, or make the table again."
        )
    if not is_free and (last > first or "unexpected end" in reason):
        return (
            f"{path}: line {first}: expected cells that end on their own line, got a quotation mark that opens a cell "
            f"and does not close it. {QUOTE_A_MARK}"
        )
    got = "a closing mark followed by something else than a comma"
    if "unexpected end" in reason:
        got = "a mark that opens a cell and is not closed by the end of the file"
    lines = _name_lines(first, last)
    return f"{path}: {lines}: expected quotation marks in pairs around a cell, got {got}. {QUOTE_A_MARK}"


def _name_lines(first, last):
    """Return the lines of a record in words."""
    return f"line {first}" if first == last else f"lines {first} to {last}"


def _read_header(path, text, records):
    """Read the names of the columns."""
    first_line = text.partition("\n")[0].rstrip("\r")
    if not text.strip():
        raise InputError(f"{path}: expected a line with the names of the columns, got an empty file. {AGAIN}")
    try:
        _, _, header = next(records)
    except InputError:
        if separator := _separator(first_line):  # "word";"onset"
            raise InputError(
                f"{path}: line 1: expected columns separated by commas, got {first_line[:200]!r}, separated by "
                f"{SEPARATORS[separator]}. Save it with commas, or get it again."
            ) from None
        raise
    if not header:
        raise InputError(
            f"{path}: line 1: expected the names of the columns, got a blank line. Remove it, or get the file again."
        )
    return header


def _separator(line):
    """Return the character that separates the columns of a line instead of commas, or an empty string."""
    counts = {separator: line.count(separator) for separator in SEPARATORS}
    most = max(counts, key=lambda separator: counts[separator])
    return most if counts[most] > line.count(",") else ""


def _wanted_columns(path, header, columns, optional):
    """Return the position in the header of each column to be read, a dict by name."""
    names = list(header if columns is None else columns)
    if missing := [name for name in names if name not in header]:
        line = ",".join(header)
        separated = SEPARATORS.get(_separator(line))
        got = f"{line[:200]!r}" + (f", separated by {separated}" if separated else "")
        remedy = "Save it with commas, or get it again." if separated else AGAIN
        raise InputError(
            f"{path}: expected the columns {', '.join(names)}, got {got}, without {', '.join(missing)}. {remedy}"
        )
    names += [name for name in optional if name in header and name not in names]
    for name in names:
        if header.count(name) > 1:
            raise InputError(
                f"{path}: expected one column {name!r}, got {header.count(name)} of this name. "
                "Remove or rename all but one."
            )
    return {name: header.index(name) for name in names}


def _refuse_number_of_cells(path, lines, cells, header):
    """Raise InputError: a record has another number of cells than the header."""
    remedy = AGAIN
    if lines.startswith("lines"):
        remedy = QUOTE_A_MARK
    elif len(cells) > len(header):
        remedy = "Put a cell that contains a comma in quotation marks, or get the file again."
    raise InputError(f"{path}: {lines}: expected {len(header)} cells, as in the header, got {len(cells)}. {remedy}")


def _check_line_breaks(path, first, cells, header, may_break):
    """Check that a record contains line breaks in cells of free text only."""
    line = first
    for position, cell in enumerate(cells):
        if position not in may_break and ("\n" in cell or "\r" in cell):
            remedy = QUOTE_A_MARK if "\n" in cell else "Remove it, or get or make the file again."
            raise InputError(
                f"{path}: line {line}: expected a cell on one line in the column {header[position]}, got a line break "
                f"in {cell[:80]!r}. {remedy}"
            )
        line += cell.count("\n")


def write_table(path, table):
    """Write a table as CSV, compressed if its name ends in ``.gz``, and without its index (see ``write_whole``).

    ``read_csv`` returns every cell of text unchanged. Text may contain line breaks, quotation marks, NUL, and lone
    surrogates, which are written as ``encoding_errors="surrogatepass"`` reads them in pandas.
    """
    # Python before 3.11.9 does not quote a cell with a lone carriage return unless it quotes all text.
    quoting = csv.QUOTE_NONNUMERIC if _has_carriage_returns(table) else csv.QUOTE_MINIMAL
    with write_whole(path) as temporary, open(temporary, "wb") as file:
        compressed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if path.suffix == ".gz" else None
        with compressed or file as stream:
            table.to_csv(stream, index=False, quoting=quoting, encoding="utf-8", errors="surrogatepass")


def _has_carriage_returns(table):
    """Return whether a cell of text, or a column's name, contains a carriage return."""
    columns = [column for _, column in table.items() if not pd.api.types.is_numeric_dtype(column)]
    return any("\r" in cell for cells in [table.columns, *columns] for cell in cells if isinstance(cell, str))
