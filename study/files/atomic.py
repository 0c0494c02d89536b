"""Write files that are whole or absent, one job at a time."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import InputError
from study.paths import record_path

WAIT_SECONDS = 0.2  # between two looks at whether another job is done


def hidden_path(path, what):
    """A hidden path beside another: ``.{name}.{what}``."""
    return path.with_name(f".{path.name}.{what}")


@contextlib.contextmanager
def lock(path, log=None, what="lock"):
    """Let one job at a time do something about a file, while the others wait.

    The lock is the system's, and free as soon as the job that holds it is gone, however it ended.

    Parameters
    ----------
    path : pathlib.Path
    log : callable, optional
        Called with a line for the user before waiting.
    what : str
        What is done, where different things may be done at once.

    Yields
    ------
    None
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(hidden_path(path, what))
    try:
        file_lock.acquire(blocking=False)
    except Timeout:
        if log is not None:
            log(f"{path} is in progress in another job: waiting for it")
        file_lock.acquire(poll_interval=WAIT_SECONDS)
    try:
        yield
    finally:
        # While it is held: whoever gets hold of it now sees that it is gone, and makes a new one.
        Path(file_lock.lock_file).unlink(missing_ok=True)
        file_lock.release()


@contextlib.contextmanager
def write_whole(path):
    """A temporary path in the folder of ``path`` that becomes ``path`` once it is written whole, for ``with``.

    Raises
    ------
    InputError
        The disk is full, or the system does not let the file be written or replaced for another reason.
    """
    with lock(path, what="tmp.lock"):
        temporary = hidden_path(path, "tmp")
        temporary.unlink(missing_ok=True)  # of a job that was killed, or a link to somewhere else
        try:
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())  # only now is it sure that the disk was not full
            # An old record must never stand beside a new output.
            record_path(path).unlink(missing_ok=True)
            os.replace(temporary, path)
        except OSError as error:
            if error.filename not in (None, str(temporary)):
                raise
            raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)
