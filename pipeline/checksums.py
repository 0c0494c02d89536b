"""Compute checksums of files, once for each state of a file."""

import functools
import hashlib
import os


def compute_sha256(path):
    """SHA-256 of a file, which is read once by a process, unless it changes."""
    about = os.stat(path)
    return _compute_sha256(path, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


@functools.cache
def _compute_sha256(path, *_):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
