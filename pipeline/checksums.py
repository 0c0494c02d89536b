"""Compute checksums of files."""

import functools
import hashlib
import os


def compute_sha256(path):
    """Return the SHA-256 of a file. A process reads a file again only after it has changed."""
    status = os.stat(path)
    return _compute_sha256(path, (status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@functools.cache
def _compute_sha256(path, state):
    """Return the SHA-256 of a file in a given state, which is a key of the cache."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
