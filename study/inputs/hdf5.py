"""Read arrays and texts from HDF5 files of unknown origin, by h5py alone.

HDF5 contains no code, but it can point to other files, and a small file can stand for a large array. Here no attribute
is read and no link followed. Sizes and types are checked before anything is read. h5py is optional.
"""

import contextlib
import importlib
import importlib.util
import os
from typing import Any

import numpy as np

from pipeline.errors import InputError, explain_errors
from study.files.safe_joblib import MOST_EXPANSION, MOST_SMALL

# An import statement would fail where the package is not installed.
h5py: Any = importlib.import_module("h5py") if importlib.util.find_spec("h5py") else None

MOST_VALUES = 2**27  # of an array: twice the largest published file
MOST_TEXTS, MOST_CHARACTERS = 2**20, 2**26  # of a coordinate
FILTERS = {1, 2, 3}  # gzip, shuffle, checksum
REQUIREMENTS = "experiments/brain_score/requirements.txt"


@contextlib.contextmanager
def open_hdf5(path):
    """Open an HDF5 file for reading, for ``with``. A missing h5py, or a damaged or other file, raises InputError."""
    if h5py is None:
        raise InputError(f"{path}: expected h5py, which reads it, got none. Install {REQUIREMENTS} with pip.")
    if not path.is_file():
        raise InputError(f"{path}: expected a file, got none. Name the file that you downloaded.")
    explain = explain_errors(path, "expected a netCDF-4 (HDF5) file, got a damaged or another file. Get it again.")
    with explain, h5py.File(path, "r") as file:
        yield file


def read_numbers(file, name):
    """Read a matrix of numbers, a float64 array (n_rows, n_columns); InputError as described for the module."""
    dataset = _find_dataset(file, name)
    if dataset.ndim != 2 or dataset.dtype.kind not in "fiu":
        got = f"{dataset.ndim} dimensions of {dataset.dtype}"
        raise InputError(f"{file.filename}: {name}: expected a matrix of numbers, got {got}. Get it again.")
    n_bytes, allowed = 8 * dataset.size, MOST_EXPANSION * os.path.getsize(file.filename) + MOST_SMALL
    if dataset.size > MOST_VALUES or n_bytes > allowed:
        got = f"{dataset.shape[0]} x {dataset.shape[1]}"
        raise InputError(f"{file.filename}: {name}: expected at most {MOST_VALUES:,} values, got {got}. Get it again.")
    return np.asarray(dataset[()], dtype=np.float64)


def read_texts(file, name, n_expected):
    """Read a coordinate, texts or numbers, a list of n_expected str; InputError as described for the module."""
    dataset = _find_dataset(file, name)
    if dataset.shape != (n_expected,):
        raise InputError(
            f"{file.filename}: {name}: expected {n_expected} values, as data has, got {dataset.shape}. Get it again."
        )
    if n_expected > MOST_TEXTS or dataset.dtype.itemsize > 2**16:
        raise InputError(f"{file.filename}: {name}: expected short texts, got {dataset.dtype}. Get it again.")
    if dataset.dtype.kind in "fiub":
        return [f"{value:.15g}" for value in dataset[()].tolist()]
    if h5py.check_string_dtype(dataset.dtype) is None:
        raise InputError(f"{file.filename}: {name}: expected texts, got {dataset.dtype}. Get it again.")
    texts, n_characters = [], 0
    for number in range(n_expected):  # one at a time: many can refer to one long text
        texts.append(dataset[number].decode("utf-8").rstrip("\0"))
        n_characters += len(texts[-1])
        if n_characters > MOST_CHARACTERS:
            raise InputError(
                f"{file.filename}: {name}: expected at most {MOST_CHARACTERS:,} characters, got more. Get it again."
            )
    return texts


def has_dataset(file, name):
    """Return whether a file has an item of this name."""
    return file.id.links.exists(name.encode())  # ``in`` would follow a link to another file


def _find_dataset(file, name):
    """Return a dataset of the file itself, stored in the plain way."""
    if not has_dataset(file, name):
        names = ", ".join(sorted(file)[:20])
        raise InputError(f"{file.filename}: expected {name}, got only {names or 'nothing'}. Get it again.")
    is_inside = file.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD
    dataset = file[name] if is_inside else None
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise InputError(f"{file.filename}: {name}: expected values, got a link or a group. Get it again.")
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    if not filters <= FILTERS:
        raise InputError(f"{file.filename}: {name}: expected gzip, got another compression. Get it again.")
    return dataset
