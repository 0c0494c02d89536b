"""Reading files without trusting them, and writing files that are whole or not there.

Published studies exchange arrays as pickles, which can run code when they are opened, and jobs on
shared machines are killed at any moment. Whatever is wrong with a file is told as BadInput, which
names the file and says what to do.
"""

import contextlib
import gzip
import hashlib
import os

import joblib
import lz4.frame
import numpy as np
import pandas as pd
from joblib.compressor import BinaryZlibFile
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler

from pipeline import BadInput


@contextlib.contextmanager
def naming(path, remedy):
    """Turn whatever reading a damaged file raises into BadInput that names the file."""
    try:
        yield
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # a damaged archive, pickle or image can raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path}: {remedy} ({reason[:200]})") from error


def read_arrays(path):
    """Read a joblib ``.gz`` (gzip or zlib) or ``.lz4`` file without running any code in it.

    Such files are pickles, which can call anything when they are opened. This admits arrays of
    numbers and plain containers (list, tuple, dict, str, int, float) and refuses all else.

    Raises
    ------
    BadInput
        The file is truncated, damaged, of another kind, or holds something else.
    """
    with naming(path, "it is truncated or no joblib file; get or make it again"), open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            stream = gzip.GzipFile(fileobj=file)
        elif start == b"\x04\x22\x4d\x18":
            stream = lz4.frame.LZ4FrameFile(file)
        elif start[:1] == b"\x78":
            stream = BinaryZlibFile(file)
        else:
            raise BadInput(f"{path}: neither gzip, zlib nor lz4; get or make it again")
        with stream:
            return _ArraysOnly(str(path), stream, ensure_native_byte_order=True).load()


class _ArraysOnly(NumpyUnpickler):
    """joblib's unpickler, for arrays of numbers and plain containers alone."""

    def find_class(self, module, name):
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return _NumbersOnly
        if (module, name) in {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
        }:
            return super().find_class(module, name)
        raise BadInput(f"{self.filename}: it holds {module}.{name}, which could run code; it was not opened")


class _NumbersOnly(NumpyArrayWrapper):
    """joblib's placeholder of an array; one of Python objects would be a pickle of its own."""

    def read_array(self, unpickler, ensure_native_byte_order):
        if self.dtype.hasobject:
            raise BadInput(f"{unpickler.filename}: it holds an array of Python objects; it was not opened")
        return super().read_array(unpickler, ensure_native_byte_order)


def read_lines(path):
    """The lines of a text file, which must end with a whole one."""
    with naming(path, "it is no text in UTF-8; get it again"):
        text = path.read_text(encoding="utf-8-sig")
    *lines, rest = text.split("\n")
    if rest or not lines:
        raise BadInput(f"{path}: it is empty or cut short in line {len(lines) + 1}; get it again")
    return lines


def read_csv(path, columns):
    """A CSV file as strings; BadInput unless it has the columns."""
    with naming(path, "it is no CSV file in UTF-8; get it again"):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    missing = [column for column in columns if column not in rows]
    if missing:
        raise BadInput(f"{path}: it has no column {', '.join(missing)}; it needs {', '.join(columns)}")
    return rows[columns]


def numbers(column, path):
    """A column of strings as floats; BadInput names the first line that is no number."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if np.isnan(numbers).any():
        wrong = column.index[np.isnan(numbers)][0]
        raise BadInput(f"{path}: line {wrong + 2}: {column.name} is {column[wrong]!r}, which is no number")
    return numbers


@contextlib.contextmanager
def new_file(path):
    """A temporary path in the folder of ``path`` that becomes ``path`` once it is written whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        # An old record must never stand beside a new output.
        record_path(path).unlink(missing_ok=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def record_path(path):
    return path.with_name(path.name + ".json")


def write_arrays(path, value):
    """Write arrays and plain containers for ``joblib.load``: lz4 or gzip, by the name's ending."""
    with new_file(path) as temporary, open(temporary, "wb") as file:
        if path.suffix == ".lz4":
            compressed = lz4.frame.LZ4FrameFile(file, "wb")
        else:
            # Neither name nor time in the header: the same arrays make the same bytes.
            compressed = gzip.GzipFile("", "wb", compresslevel=4, fileobj=file, mtime=0)
        with compressed:
            joblib.dump(value, compressed)


def write_table(path, table):
    """Write a pandas table as CSV, compressed if the name ends in ``.gz``."""
    with new_file(path) as temporary, open(temporary, "wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                table.to_csv(compressed, index=False)
        else:
            table.to_csv(file, index=False)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
