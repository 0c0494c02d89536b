"""Files that could run code or fill the memory when they are read."""

import gzip
import pickle
from pathlib import Path

import joblib
import lz4.frame
import numpy as np


def an_array_of_terabytes(path):
    """A small file that describes an array larger than any memory."""
    content = Path(f"{path}.joblib")
    joblib.dump(np.zeros(3), content)
    described = content.read_bytes().replace(b"K\x03\x85", b"\x8a\x06\0\0\0\0\0\x20\x85")
    content.unlink()
    assert b"\x20\x85" in described
    path.write_bytes({".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix](described))


def a_bomb(path):
    """Zeros that are compressed to a thousandth."""
    compressed = {".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix]
    content = Path(f"{path}.joblib")
    joblib.dump(np.zeros(2**26), content)
    path.write_bytes(compressed(content.read_bytes()))
    content.unlink()


def a_nest(path):
    """A million lists inside each other."""
    content = b"\x80\x04" + b"]" * 1_000_000 + b"a" * 999_999 + b"."
    path.write_bytes({".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix](content))


def endless_bytes(path):
    """A pickle that announces so many bytes that Python makes room for before it reads them."""
    content = b"\x80\x05\x96" + (2**36).to_bytes(8, "little") + b"."
    path.write_bytes({".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix](content))


def endless_text(path):
    """A pickle that announces a string longer than any memory."""
    content = b"\x80\x04\x8d" + (2**45).to_bytes(8, "little") + b"."
    path.write_bytes({".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix](content))


class Reduced:
    """A pickle of this calls a function with arguments when it is opened."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]

    def pickled(self):
        return pickle.dumps(self)
