"""Raise what is wrong with an input in one line."""

import contextlib


class InputError(ValueError):
    """An input cannot be right: the message names it, and says what was expected, what it contains, and what to do.

    Scripts print the message as one line and end with status 2. Any other exception is a fault of the program
    and keeps its traceback.
    """


@contextlib.contextmanager
def explain_errors(path, remedy):
    """Turn whatever reading a damaged file raises into InputError that names the file, for ``with``.

    Parameters
    ----------
    path : pathlib.Path or str
        What is read.
    remedy : str
        What is wrong with it or what to do about it, for the message.

    Raises
    ------
    InputError
        Any exception was raised inside, except MemoryError.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError:  # the file is not at fault
        raise
    except Exception as error:  # a damaged archive, pickle or image can raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: {remedy} ({reason[:200]})") from error


@contextlib.contextmanager
def add_context(path):
    """Put a path before the message of every InputError that is raised inside, for ``with``."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def is_out_of_memory(error):
    """Return whether an exception means that the memory of a device is full; PyTorch raises several kinds."""
    messages = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    if isinstance(error, RuntimeError) and any(message in str(error) for message in messages):
        return True
    # torch.OutOfMemoryError by its name: PyTorch takes seconds to import.
    return isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
