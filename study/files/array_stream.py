"""Write a list of lists of arrays for joblib, a list at a time, in threads that compress, write and compute a checksum.

The file is a sequence of lz4 frames, which ``joblib.load`` and the ``lz4`` program read as one. A frame ends with each
list. So a job that was stopped goes on after its last whole list, and the file is the same as without the stop.
"""

import collections
import contextlib
import hashlib
import os
import pickle
from concurrent.futures import Future, ThreadPoolExecutor

import lz4.frame
from joblib.numpy_pickle import NumpyPickler

from pipeline.errors import InputError

FRAME_BYTES = 2**24  # of content, at least, except in the last frame of a list
PROTOCOL = 3  # of pickle; each list names its own objects, since the next list may come from another process


class ArrayListWriter:
    """Write lists of arrays to a file while the caller computes the next list, for ``with``.

    At most two lists are in memory: the list that is written, and the next. Leaving the block waits for the lists that
    were appended. After ``close``, the file is whole. Errors of the threads are raised by ``append`` and ``close``; an
    InputError is raised if the disk is full or the file cannot be written.

    Parameters
    ----------
    path : pathlib.Path
    n_bytes : int
        What is kept of a file that an earlier process has begun; ``append`` passed this number to ``then``.
    n_threads : int, threads that compress
    """

    def __init__(self, path, n_bytes=0, n_threads=1):
        self.path, self.sha256, self.n_ahead = path, hashlib.sha256(), n_threads + 1
        self.file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115
        left = n_bytes
        while left > 0:
            content = self.file.read(min(left, FRAME_BYTES))
            if not content:
                raise InputError(f"{path}: expected {n_bytes} bytes, got fewer. Remove {path.parent}.")
            self.sha256.update(content)
            left -= len(content)
        self.file.truncate(n_bytes)
        self.compressors = ThreadPoolExecutor(n_threads)
        self.writer, self.committer, self.hasher = (ThreadPoolExecutor(1) for _ in range(3))
        self.hashed: Future = self.hasher.submit(self._hash, [])
        self.frames: collections.deque = collections.deque()  # that are compressed, in order
        self.pending: list = []  # lists that are written, and whose ``then`` has not returned

    def __enter__(self):
        """Return the writer."""
        return self

    def __exit__(self, *error):
        """Wait for the threads, and close the file. After an error, an empty file is removed."""
        for executor in (self.writer, self.compressors, self.hasher, self.committer):
            executor.shutdown()
        with contextlib.suppress(OSError):  # of a disk that is full, which append or close raised
            self.file.close()
        if any(error) and self.path.is_file() and self.path.stat().st_size == 0:
            self.path.unlink()

    def append(self, arrays, then):
        """Append a list of arrays, which the caller must not change, when the last list has been written.

        ``then`` is called in a thread when the list is on the disk, with the size of the file up to its end (int).
        """
        self._wait()
        self.pending.append(self.writer.submit(self._write_list, arrays, then))

    def close(self):
        """Write the end of the file, and return the SHA-256 of the whole file."""
        self._wait()
        self.pending.append(self.writer.submit(self._write_end))
        self._wait()
        return self.sha256.hexdigest()

    def _wait(self):
        """Wait until all lists have been written and committed, and raise the errors of threads."""
        pending, self.pending = self.pending, []
        for future in pending:
            try:
                future.result()
            except OSError as error:
                raise InputError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _write_list(self, arrays, then):
        content = _Content(self._compress)
        if self.file.tell() == 0:
            content.write(pickle.PROTO + bytes([PROTOCOL]) + pickle.EMPTY_LIST)
        NumpyPickler(content, protocol=PROTOCOL).save(arrays)
        content.write(pickle.APPEND)
        content.end()
        n_bytes = self._flush()
        # The next list is written while the disk is still busy with this list.
        self.pending.append(self.committer.submit(self._commit, n_bytes, then))

    def _write_end(self):
        content = _Content(self._compress)
        content.write(pickle.STOP)
        content.end()
        self._flush()
        os.fsync(self.file.fileno())

    def _commit(self, n_bytes, then):
        os.fsync(self.file.fileno())  # raises OSError if the disk is full
        then(n_bytes)

    def _compress(self, pieces):
        """Make a frame of pieces of content in a thread, and write the oldest frame if enough are being made."""
        self.frames.append(self.compressors.submit(compress_frame, pieces))
        if len(self.frames) > self.n_ahead:
            self._write_frame()

    def _write_frame(self):
        frame = self.frames.popleft().result()
        self.hashed.result()  # the frame before
        self.hashed = self.hasher.submit(self._hash, frame)
        self.file.writelines(frame)

    def _hash(self, pieces):
        for piece in pieces:
            self.sha256.update(piece)

    def _flush(self):
        """Write all frames, and return the size of the file."""
        while self.frames:
            self._write_frame()
        self.hashed.result()
        self.file.flush()
        return self.file.tell()


class _Content:
    """Pass what joblib writes on in pieces of ``FRAME_BYTES`` or more; ``take`` is called with lists of bytes."""

    def __init__(self, take):
        self.take, self.pieces, self.n_bytes, self.n_waiting = take, [], 0, 0

    def write(self, piece):
        self.pieces.append(piece)
        self.n_bytes += len(piece)
        self.n_waiting += len(piece)
        if self.n_waiting >= FRAME_BYTES:
            self.end()

    def end(self):
        self.take(self.pieces)
        self.pieces, self.n_waiting = [], 0

    def tell(self):
        return self.n_bytes


def compress_frame(pieces):
    """Return an lz4 frame with a checksum of the content, a list of bytes, as a list of bytes."""
    compressor = lz4.frame.LZ4FrameCompressor(content_checksum=True)
    return [compressor.begin(), *map(compressor.compress, pieces), compressor.flush()]
