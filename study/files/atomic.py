"""Write files that are whole or absent, by one job at a time."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import InputError
from study.paths import record_path

WAIT_SECONDS = 0.2  # between two tries to acquire a lock


def hidden_path(path, suffix):
    """Return a hidden path next to another: ``.{name}.{suffix}``."""
    return path.with_name(f".{path.name}.{suffix}")


@contextlib.contextmanager
def lock(path, log=None, suffix="lock"):
    """Let one job at a time work on a file, for ``with``; other jobs wait.

    The operating system releases the lock when the job ends, also when the job is killed. ``log`` is called with a line
    for the user before waiting. Locks with different suffixes of the lock file are independent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(hidden_path(path, suffix))
    try:
        file_lock.acquire(blocking=False)
    except Timeout:
        if log is not None:
            log(f"{path} is in progress in another job: waiting for it")
        file_lock.acquire(poll_interval=WAIT_SECONDS)
    try:
        yield
    finally:
        # Removed before it is released: a waiting job then finds the file missing, and makes a new one.
        Path(file_lock.lock_file).unlink(missing_ok=True)
        file_lock.release()


@contextlib.contextmanager
def write_whole(path):
    """Write a file under a temporary name in the same folder, and rename it when it is whole, for ``with``.

    Yield the temporary path. ``path`` is the final one; an old record of it is removed. A full disk, or a file that
    cannot be written or replaced, raises InputError.
    """
    with lock(path, suffix="tmp.lock"):
        temporary = hidden_path(path, "tmp")
        temporary.unlink(missing_ok=True)  # left by a job that was killed, or a link
        try:
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())  # raises OSError if the disk is full
            # An old record must never lie next to a new output.
            record_path(path).unlink(missing_ok=True)
            os.replace(temporary, path)
        except OSError as error:
            if error.filename not in (None, str(temporary)):
                raise
            raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text in UTF-8, as ``write_whole`` writes a file; line ends stay as they are."""
    with write_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
