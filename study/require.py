"""Check that a file exists before it is read, and name its source if it does not."""

import difflib

from pipeline.errors import InputError
from pipeline.wording import shorten
from study.paths import describe_study_folder
from study.records import find_changed_input


def require_input(path, source):
    """Return the path of an input, or raise InputError, with the address of its source, if it is not a file."""
    if path.is_file():
        return path
    got, remedy = ("a folder", "Move it away, get the file") if path.is_dir() else ("none", "Get it")
    raise InputError(
        f"{path}: expected a file, got {got}. {remedy} from {source} and put it there ({describe_study_folder()})."
    )


def require_output(path, script, inputs=()):
    """Return the path of an earlier script's output, or raise InputError if it does not exist or is not up to date.

    ``inputs`` are the paths of the files that the output was made from. The names of existing outputs are listed, the
    most similar name first.
    """
    if not path.is_file():
        ending = path.name[path.name.rindex("_") :]  # _en.lz4
        names = (sibling.name.removesuffix(ending) for sibling in path.parent.glob(f"*{ending}"))
        existing = sorted(name for name in names if name != "onsets_offsets" and not name.startswith("."))
        nearest = difflib.get_close_matches(path.name.removesuffix(ending), existing, max(len(existing), 1), cutoff=0)
        raise InputError(
            f"{path}: expected a file, got none; there are {shorten(nearest)}. {script} makes it "
            f"({describe_study_folder()})."
        )
    if file := find_changed_input(path, inputs):
        raise InputError(
            f"{path}: expected an output made from the current {file}, got an output of an earlier version. "
            f"{script} --overwrite makes it again."
        )
    return path
