"""Lists of arrays that are written in threads: what joblib reads, and what an interrupted job leaves."""

import hashlib

import joblib
import numpy as np
import pytest

from pipeline.errors import InputError
from study.files import array_stream
from study.files.array_stream import ArrayListWriter
from study.files.safe_joblib import read_array_lists, read_arrays

RNG = np.random.default_rng(0)
LISTS = [[RNG.standard_normal((n_words, 7)).astype(np.float32) for _ in range(3)] for n_words in (5, 100, 1)]


@pytest.fixture(params=[10, 1000, 2**24])
def path(tmp_path, monkeypatch, request):
    monkeypatch.setattr(array_stream, "FRAME_BYTES", request.param)
    return tmp_path / "runs.lz4"


def write(path, lists, n_bytes=0, n_threads=2):
    """Write lists to a file, and return its checksum and its size after each list."""
    sizes = []
    with ArrayListWriter(path, n_bytes, n_threads) as writer:
        for arrays in lists:
            writer.append(arrays, sizes.append)
        return writer.close(), sizes


def test_joblib_and_our_readers_read_the_file(path):
    checksum, sizes = write(path, LISTS)
    assert checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sizes == sorted(set(sizes)) and sizes[-1] < path.stat().st_size
    for actual in (joblib.load(path), read_arrays(path), list(read_array_lists(path))):
        assert [len(arrays) for arrays in actual] == [3, 3, 3]
        for arrays, expected in zip(actual, LISTS, strict=True):
            for array, expected_array in zip(arrays, expected, strict=True):
                np.testing.assert_array_equal(array, expected_array)
                assert array.dtype == np.float32


@pytest.mark.parametrize("n_before", [0, 1, 2, 3])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_file_goes_on_after_its_last_whole_list(path, n_before, n_threads):
    checksum, sizes = write(path, LISTS)
    content = path.read_bytes()
    kept = 0 if n_before == 0 else sizes[n_before - 1]
    path.write_bytes(content[: kept + 3])  # the beginning of the next list
    assert write(path, LISTS[n_before:], kept, n_threads)[0] == checksum
    assert path.read_bytes() == content


def test_lists_before_an_error_of_the_caller_are_written(path):
    sizes, (_, expected) = [], write(path, LISTS)
    path.unlink()
    with pytest.raises(KeyboardInterrupt), ArrayListWriter(path) as writer:
        for arrays in LISTS[:2]:
            writer.append(arrays, sizes.append)
        raise KeyboardInterrupt
    assert sizes == expected[:2]
    assert path.stat().st_size == sizes[-1]
    with pytest.raises(InputError, match="it is truncated"):
        read_arrays(path)


def test_errors_of_threads_reach_the_caller(path):
    def fail(n_bytes):
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(InputError, match=r"runs\.lz4 cannot be written: No space left"),
        ArrayListWriter(path) as writer,
    ):
        for arrays in LISTS:
            writer.append(arrays, fail)
        writer.close()
    path.write_bytes(b"")
    with pytest.raises(InputError, match="expected 100 bytes, got fewer"):
        write(path, LISTS, 100)
