"""Check that a file exists before it is read, and name its source if it does not."""

from pipeline.errors import InputError
from pipeline.wording import shorten
from study.paths import describe_study_folder
from study.records import find_changed_input


def require_input(path, source):
    """Return the path of an input if the file exists.

    Parameters
    ----------
    path : pathlib.Path
    source : str
        The address at which the file is published.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        The file does not exist, or is a folder.
    """
    if path.is_file():
        return path
    remedy = "Move it away, get the file" if path.is_dir() else "Get it"
    raise InputError(
        f"{path}: expected a file, got {'a folder' if path.is_dir() else 'none'}. {remedy} from {source} and put it "
        f"there ({describe_study_folder()})."
    )


def require_output(path, script, inputs=()):
    """Return the path of an earlier stage's output if the output exists and is up to date.

    Parameters
    ----------
    path : pathlib.Path
    script : str
        The script that makes the output.
    inputs : iterable of pathlib.Path
        Files that the output was made from.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        The output does not exist, or an input has changed since it was made.
    """
    if not path.is_file():
        ending = path.name[path.name.rindex("_") :]  # _en.lz4
        names = (sibling.name.removesuffix(ending) for sibling in path.parent.glob(f"*{ending}"))
        existing = sorted(name for name in names if name != "onsets_offsets" and not name.startswith("."))
        raise InputError(
            f"{path}: expected a file, got none; there are {shorten(existing)}. {script} makes it "
            f"({describe_study_folder()})."
        )
    if file := find_changed_input(path, inputs):
        raise InputError(
            f"{path}: expected an output made from the current {file}, got an output of an earlier version. "
            f"{script} --overwrite makes it again."
        )
    return path
