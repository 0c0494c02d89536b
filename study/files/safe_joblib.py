"""Read and write arrays in joblib's files without running any code that they hold.

Published studies exchange arrays as pickles, which can run code when they are opened.
"""

import contextlib
import gzip
import math
import os
import pickle
import re
import zipfile
import zlib

import joblib
import lz4.frame
import numpy as np
from joblib.compressor import BinaryZlibFile
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler

from pipeline.errors import InputError, explain_errors
from study.files.atomic import write_whole

# A small file can stand for more than any memory holds. What people exchange is compressed to a third at
# best, and names and lengths take some hundred kilobytes.
MOST_EXPANSION = 30  # times the file's size, and MOST_SMALL bytes
MOST_SMALL = 2**26
MOST_PICKLED = 2**22  # bytes of everything but arrays
PIECE = 2**18  # bytes of an lz4 file that are read at once

# How files begin that users have put in the place of arrays; a NIfTI header begins with its own size.
BEGINNINGS = {
    b"\x5c\x01\x00\x00": "a NIfTI image",
    b"\x00\x00\x01\x5c": "a NIfTI image",
    b"\x1c\x02\x00\x00": "a NIfTI image",
    b"\x00\x00\x02\x1c": "a NIfTI image",
    b"\x93NUMPY": "a NumPy file (.npy)",
    b"PK\x03\x04": "a zip archive (.npz, .zip)",
    b"\x89HDF": "an HDF5 file",
    b"MATLAB": "a MATLAB file",
}


def refuse_another_kind(path):
    """Raise InputError if a file, compressed or not, is of a known kind other than joblib's."""
    with contextlib.suppress(OSError, EOFError, zlib.error), open(path, "rb") as file:
        beginning = file.read(8)
        if beginning[:2] == b"\x1f\x8b":
            file.seek(0)
            beginning = gzip.GzipFile(fileobj=file).read(8)
        for known, kind in BEGINNINGS.items():
            if beginning.startswith(known):
                raise InputError(f"{path}: expected arrays that joblib wrote, got {kind}. Write them with joblib.dump.")


def read_arrays(path):
    """Read a joblib ``.gz`` (gzip or zlib) or ``.lz4`` file without running any code in it.

    Such files are pickles, which can call any function when they are opened. This function admits arrays of numbers
    and plain containers (list, tuple, dict, str, int, float) and refuses everything else. The file is read to its
    end, where gzip, zlib and our own lz4 files hold a checksum. A file that is damaged, of another kind, or holds
    something else, raises InputError.
    """
    with _open_unpickler(path) as unpickler:
        return unpickler.load()


def read_array_lists(path):
    """Read a list over runs of lists of arrays, and yield each list of arrays as soon as it has been read.

    All runs may not fit in memory: a caller that deletes each run before the next keeps one run. A file that is not a
    list of lists of arrays raises InputError, as do the errors of ``read_arrays``.
    """
    with _open_unpickler(path) as unpickler:
        value = yield from unpickler.iterate_lists()
        if not isinstance(value, list) or not value or any(item is not None for item in value):
            raise InputError(f"{path}: expected a list over runs of lists of arrays, got other content. Make it again.")


@contextlib.contextmanager
def _open_unpickler(path):
    """Open the unpickler of a file, and check that the file ends where the unpickler stops."""
    refuse_another_kind(path)
    with explain_errors(path, "it is truncated or no joblib file; get or make it again"), open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            stream = gzip.GzipFile(fileobj=file)
        elif start == b"\x04\x22\x4d\x18":
            stream = lz4.frame.LZ4FrameFile(_InLargePieces(file))
        elif start[:1] == b"\x78":
            stream = BinaryZlibFile(file)
        else:
            raise InputError(f"{path}: neither gzip, zlib nor lz4; get or make it again")
        with stream:
            unpickler = _ArraysOnly(str(path), _Limited(stream, MOST_PICKLED), ensure_native_byte_order=True)
            unpickler.bytes_left = MOST_EXPANSION * os.path.getsize(path) + MOST_SMALL
            yield unpickler
            if stream.read(1):
                raise ValueError("it goes on after its end")
            if isinstance(stream, BinaryZlibFile) and not stream._decompressor.eof:
                raise ValueError("its end is missing")


class _InLargePieces:
    """A file that is read in pieces of PIECE bytes: lz4 asks for 8 kB, and takes twice the time."""

    def __init__(self, file):
        self._file = file

    def read(self, _size):
        return self._file.read(PIECE)


class _Limited:
    """A stream of which only so many bytes can be read, except where ``without_limit`` is used."""

    def __init__(self, stream, n_bytes):
        self.without_limit, self.n_bytes = stream, n_bytes

    def _count(self, n_bytes):
        self.n_bytes -= n_bytes
        if self.n_bytes < 0:
            raise ValueError("it holds far more than one would expect of a file like this")

    def read(self, size=-1):
        # Counted before, so that nothing is made room for.
        self._count(size if size >= 0 else self.n_bytes + 1)
        return self.without_limit.read(size)

    def readline(self):
        line = self.without_limit.readline(self.n_bytes + 1)
        self._count(len(line))
        return line


# What joblib's description of an array may say.
ARRAY_STATE = {"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"}

# The codes of a pickle that may stand in such files. Some others make room for as many bytes as they are told.
PLAIN_CODES = [
    getattr(pickle, name)[0]
    for name in (
        "PROTO FRAME STOP MARK POP POP_MARK PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET "
        "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT "
        "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
        "BINBYTES SHORT_BINBYTES BINBYTES8 TUPLE EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 LIST EMPTY_LIST "
        "APPEND APPENDS DICT EMPTY_DICT SETITEM SETITEMS GLOBAL STACK_GLOBAL REDUCE NEWOBJ"
    ).split()
]


class _ArraysOnly(NumpyUnpickler):
    """Unpickle arrays of numbers and plain containers only.

    A pickle may call whatever it can name, with arguments of its own. The constructors of NumPy can be made to take any
    bytes for Python objects. So a pickle can name only the stand-ins below.
    """

    def find_class(self, module, name):
        stand_in = {
            "joblib.numpy_pickle.NumpyArrayWrapper": _NumberArray,
            "numpy.ndarray": _ArrayType,
            "numpy.dtype": _NumberType,
            "numpy._core.multiarray.scalar": _number,
        }.get(f"{module}.{name}".replace("numpy.core.", "numpy._core."))
        if stand_in is None:
            raise InputError(f"{self.filename}: it holds {module}.{name}, which could run code; it was not opened")
        return stand_in

    def iterate_lists(self):
        """Yield each list of arrays when it is filled, and return the whole object with None in place of each list.

        ``Unpickler.load`` reads a pickle in one loop that cannot be suspended, so this method has a loop of its own.
        """
        self._unframer = pickle._Unframer(self._file_read, self._file_readline)  # type: ignore[attr-defined]
        self.read, self.readinto, self.readline = self._unframer.read, self._unframer.readinto, self._unframer.readline
        self.metastack, self.proto = [], 0
        self.stack: list = []
        self.append = self.stack.append
        try:
            while code := self.read(1):
                self.dispatch[code[0]](self)
                # Lists of up to 1,000 items are filled at once.
                is_filled = code in (pickle.APPEND, pickle.APPENDS) and self.stack[-1]
                if is_filled and all(isinstance(item, np.ndarray) for item in self.stack[-1]):
                    yield self._take_list()
            raise EOFError
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value

    def _take_list(self):
        """Return the last list, and leave None in its place: the unpickler keeps no array."""
        arrays, self.stack[-1] = self.stack[-1], None
        items = list(arrays)
        arrays.clear()  # the unpickler's memo holds this list
        return items

    def load_build(self):
        """Give an object its state: only to our stand-ins, and only what theirs is made of."""
        state, instance = self.stack[-1], self.stack[-2]
        if type(instance) is _NumberArray:
            if not isinstance(state, dict) or not state.keys() <= ARRAY_STATE:
                raise ValueError("an array that is described in another way than joblib's")
        elif type(instance) is not _NumberType or not isinstance(state, tuple):
            raise ValueError(f"a {type(instance).__name__} that is told what it is like")
        super().load_build()

    # Which method reads which code of a pickle; what arrays and plain containers do not need is not read.
    dispatch = {code: NumpyUnpickler.dispatch[code] for code in PLAIN_CODES} | {pickle.BUILD[0]: load_build}


class _ArrayType:
    """Stands for numpy.ndarray, which files name and nothing needs."""


class _NumberType:
    """Stands for a numpy.dtype of plain numbers, as ``dtype("f4", False, True)`` pickles it."""

    def __init__(self, name, *_):
        if not re.fullmatch(r"[fiub][1248]", name):
            raise ValueError(f"an array of {name} is none of numbers")
        self.name, self.byte_order = name, "="

    def __setstate__(self, state):
        self.byte_order = {"<": "<", ">": ">"}.get(state[1], "=")

    def to_numpy(self) -> np.dtype:
        """Return the type that it stands for."""
        return np.dtype(self.byte_order + self.name)


class _NumberArray(NumpyArrayWrapper):
    """Read joblib's placeholder of an array, which becomes the array once its description is read."""

    dtype: _NumberType | np.dtype  # the one as it is read, the other from then on

    def read_array(self, unpickler, ensure_native_byte_order):
        if not isinstance(self.dtype, _NumberType):
            raise ValueError("an array that does not say what its numbers are")
        self.dtype = self.dtype.to_numpy()
        # Python's numbers, which do not overflow.
        unpickler.bytes_left -= math.prod(map(int, self.shape)) * self.dtype.itemsize
        if unpickler.bytes_left < 0 or any(length < 0 for length in self.shape):
            raise ValueError(f"an array of {self.shape} is far more than one would expect of a file of this size")
        limited = unpickler.file_handle
        unpickler.file_handle = limited.without_limit
        try:
            return super().read_array(unpickler, ensure_native_byte_order)
        finally:
            unpickler.file_handle = limited


def _number(number_type, content):
    """Return a single number of NumPy from its bytes."""
    (value,) = np.frombuffer(content, dtype=number_type.to_numpy())
    return value.item()


def write_arrays(path, value):
    """Write arrays and plain containers for ``joblib.load``: lz4 or gzip, by the ending of the name."""
    with write_whole(path) as temporary, open(temporary, "wb") as file:
        if path.suffix == ".lz4":
            compressed = lz4.frame.LZ4FrameFile(file, "wb", content_checksum=True)
        else:
            # Neither name nor time in the header: the same arrays make the same bytes.
            compressed = gzip.GzipFile("", "wb", compresslevel=4, fileobj=file, mtime=0)
        with compressed:
            joblib.dump(value, compressed)


def check_member(member, most_bytes):
    """Check that a file in a zip archive is small, and compressed by a method that unpacks in pieces (ValueError)."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.file_size > most_bytes:
        raise ValueError(f"{member.filename} in it has more than {most_bytes:,} bytes, or another compression")
