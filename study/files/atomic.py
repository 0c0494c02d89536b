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

    The operating system releases the lock when the job ends, also when the job is killed.

    Parameters
    ----------
    path : pathlib.Path
    log : callable, optional
        Called with a line for the user before waiting.
    suffix : str
        Of the lock file. Locks with different suffixes are independent.

    Yields
    ------
    None
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
    """Write a file under a temporary name, and rename it when it is whole, for ``with``.

    Parameters
    ----------
    path : pathlib.Path
        The final name. An old record of it is removed.

    Yields
    ------
    pathlib.Path
        The temporary name, in the same folder.

    Raises
    ------
    InputError
        The disk is full, or the file cannot be written or replaced for another reason.
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
