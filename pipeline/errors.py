"""Define the error for wrong inputs, and turn other errors into it."""

import contextlib


class InputError(ValueError):
    """Report a wrong input in one line: its name, what was expected, what it contains, and what to do.

    Scripts print the message and exit with status 2. Any other exception is a bug, and keeps its traceback.
    """


@contextlib.contextmanager
def explain_errors(path, remedy):
    """Turn every error from a damaged file, except MemoryError, into an InputError that names it. A context manager.

    Parameters
    ----------
    path : pathlib.Path or str
    remedy : str, the defect or the remedy, for the message
    """
    try:
        yield
    except (InputError, MemoryError):  # a full memory is not the fault of the file
        raise
    except Exception as error:  # a damaged archive, pickle or image can raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: {remedy} ({reason[:200]})") from error


@contextlib.contextmanager
def add_context(path):
    """Put a path before the message of every InputError from inside. A context manager."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def is_out_of_memory(error):
    """Return whether an exception means that the memory of a device is full. PyTorch raises several types."""
    messages = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    if isinstance(error, RuntimeError) and any(message in str(error) for message in messages):
        return True
    # The test is by name, since the import of torch.OutOfMemoryError takes seconds.
    return isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
