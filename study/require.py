"""Check that a file exists before it is read, and name where it comes from if it does not."""

from pipeline.errors import InputError
from study.paths import describe_study_folder
from study.records import find_changed_input


def require_input(path, source):
    """The path of an input, or InputError that says where it is published and where to put it."""
    if path.is_dir():
        raise InputError(
            f"{path}: expected a file, got a folder. Move it away, get the file from {source} and put it there "
            f"({describe_study_folder()})."
        )
    if not path.is_file():
        raise InputError(f"{path} is missing: get it from {source} and put it there ({describe_study_folder()})")
    return path


def require_output(path, script, inputs=()):
    """The path of an earlier stage's output, or InputError that says which script makes it.

    So too where one of the inputs that it was made from has changed since.
    """
    if not path.is_file():
        ending = path.name[path.name.rindex("_") :]  # _en.lz4
        names = (other.name.removesuffix(ending) for other in path.parent.glob(f"*{ending}"))
        others = sorted(name for name in names if name != "onsets_offsets" and not name.startswith("."))
        there = f"there are {', '.join(others[:5])}{' ...' * (len(others) > 5)}" if others else "there are none"
        raise InputError(f"{path} is missing: {script} makes it; {there} ({describe_study_folder()})")
    if file := find_changed_input(path, inputs):
        raise InputError(
            f"{path} was made from another {file}, which has changed since: {script} --overwrite makes it again"
        )
    return path
