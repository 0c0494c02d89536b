"""Work that may be stopped at any moment, and goes on from there when it is started again.

An output is made in a hidden folder beside it, where finished parts of the work are kept, and comes to
its final name in one step, when it is whole. What is there under a final name is never half of something.
"""

import contextlib
import json
import operator
import os
import shutil
import time

import numpy as np

from pipeline import BadInput
from pipeline.files import hidden, naming, new_file

KEEP_SECONDS = 2  # of finished work that may be lost where it comes in many small pieces
LONGEST_VALUES = 120  # characters of two values that a message repeats
NOTE, LATER_NOTE = "made_with.json", "made_of.json"  # beside the parts


@contextlib.contextmanager
def parts_folder(path, made_with, made_from, say=None, command=None):
    """The hidden folder in which the parts of an output are kept until it is whole.

    It stays when the work is stopped, unless there is no part in it yet. To be used by one job at a
    time (``files.alone``).

    Parameters
    ----------
    path : pathlib.Path
        The output, or whatever names what is worked on.
    made_with : dict
        What the parts depend on, for JSON. Parts that were made with something else are removed.
    made_from : list of pathlib.Path
        Files that the parts depend on: parts that are of other ones, by size and time, are removed.
    say : callable, optional
        Called with a line for the user when parts are removed.
    command : str, optional
        The command line that begins the work, for the note beside the parts; it is not compared.

    Yields
    ------
    pathlib.Path
        Of the folder. Whatever is in it when the work is done is removed with it.
    """
    folder = hidden(path, "parts")
    note = folder / NOTE
    now = json.loads(json.dumps({"with": made_with, "from": _signatures(made_from)}))
    before = read_note(folder)
    if folder.is_symlink() or any(before.get(key) != now[key] for key in now):
        if say is not None and _parts(folder):
            say(f"{path} begins anew: parts of it were made with {', '.join(_what_differs(before, now))}")
        _remove(folder)
        folder.mkdir()
        with new_file(note) as temporary:
            temporary.write_text(json.dumps(now | {"command": command}, sort_keys=True))
    for unfinished in folder.glob(".*"):  # by a job that was killed
        unfinished.unlink()
    try:
        yield folder
    except BaseException:
        if not _parts(folder):
            _remove(folder)
        raise
    _remove(folder)


def read_note(folder):
    """Read what the parts in a folder were made with.

    Parameters
    ----------
    folder : pathlib.Path
        As ``parts_folder`` yields it.

    Returns
    -------
    dict with ``with`` and ``from``, as ``parts_folder`` takes them, and ``command``
        Empty where there is no note, or a damaged one. Notes of earlier versions have no command.
    """
    try:
        note = json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):
        return {}
    is_whole = isinstance(note, dict) and all(isinstance(note.get(key), dict) for key in ("with", "from"))
    return note if is_whole else {}


def _what_differs(before, now):
    """Return in words what two notes differ in, a list of str."""
    if not before:
        return ["nobody knows what: their note is missing or damaged"]
    differences = []
    old_values, new_values = _flat(before["with"]), _flat(now["with"])
    for key in dict.fromkeys([*new_values, *old_values]):
        old, new = (json.dumps(values.get(key)) for values in (old_values, new_values))
        if old != new and key[0] == "program":
            differences.append(f"another version of {key[-1]}")
        elif old != new:
            is_short = len(old) + len(new) < LONGEST_VALUES
            differences.append(f"{key[-1]} {old} (now {new})" if is_short else f"another value of {key[-1]}")
    for path in dict.fromkeys([*now["from"], *before["from"]]):
        if before["from"].get(path) != now["from"].get(path):
            differences.append(f"another {os.path.basename(path)}")
    return differences


def _flat(nested):
    """Return the values of a dict, and of dicts in it, by tuples of keys."""
    values: dict[tuple, object] = {}
    for key, value in nested.items():
        inner = _flat(value) if isinstance(value, dict) else {(): value}
        values |= {(key, *keys): leaf for keys, leaf in inner.items()}
    return values


def _parts(folder):
    return [path for path in folder.glob("*") if path.name not in (NOTE, LATER_NOTE)]


def keep_if_same(parts, made_of, say, is_same=operator.eq):
    """Remove the parts unless they were made of the same, which is known only after work has begun.

    Parameters
    ----------
    parts : pathlib.Path
    made_of : dict
        For JSON.
    say : callable
        Called with a line for the user when parts are removed.
    is_same : callable
        Called with what parts were made of before and with ``made_of``. Parts are kept if it returns True.
    """
    note = parts / LATER_NOTE
    if _parts(parts) and not (note.is_file() and is_same(json.loads(note.read_text()), made_of) is True):
        say(f"{parts} begins anew: what is in it was made of another checkpoint")
        for path in _parts(parts):
            path.unlink()
    with new_file(note) as temporary:
        temporary.write_text(json.dumps(made_of, sort_keys=True))


def is_left_behind(path):
    """Whether a job that was killed has left something beside an output; or one works on it right now."""
    return hidden(path, "lock").exists() or hidden(path, "parts").exists()


def remove_parts(path):
    """Remove the parts of an output that is whole, left by a job that was killed in its last moment."""
    _remove(hidden(path, "parts"))


def check_unchanged(parts):
    """Whether the files that the parts were made from are still the same, by size and time.

    Parameters
    ----------
    parts : pathlib.Path
        As ``parts_folder`` yields it.

    Raises
    ------
    BadInput
        One has changed since the work began.
    """
    before = json.loads((parts / NOTE).read_text())["from"]
    for path, signature in _signatures(before).items():
        if signature != before[path]:
            raise BadInput(f"{path} has changed while it was used: run the same command again")


def _signatures(paths):
    """Size and time of files, None for one that is not there."""
    found = {}
    for path in map(str, paths):
        about = os.stat(path) if os.path.isfile(path) else None
        found[path] = about and [about.st_size, about.st_mtime_ns]
    return found


def _remove(folder):
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def put_in_place(parts, paths, instead_of=()):
    """Give files that were written into the folder of parts their final place.

    Parameters
    ----------
    parts : pathlib.Path
        The folder, in which each file has its final name.
    paths : list of pathlib.Path
        Where they belong. The last one tells that all are there: it is the last to come, and older
        ones go before, that one first, so that old and new ones are never mixed.
    instead_of : iterable of pathlib.Path
        Other old ones, which go too.
    """
    for path in [*reversed(paths), *instead_of]:
        path.unlink(missing_ok=True)
    for path in paths:
        os.replace(parts / path.name, path)


def save_part(path, **arrays):
    """Save arrays as a part, ``.npz``."""
    with new_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_part(path):
    """The arrays of a part, a dict by name, or None where it is not there.

    Raises
    ------
    BadInput
        It is damaged.
    """
    if not path.is_file():
        return None
    with naming(path, f"remove {path.parent}, so that the work begins anew"), np.load(path) as arrays:
        return dict(arrays)


def now_and_then(keep):
    """A function that passes on to ``keep`` what it is called with, if the last time was KEEP_SECONDS ago."""
    last = time.monotonic()

    def keep_sometimes(value):
        nonlocal last
        if time.monotonic() - last >= KEEP_SECONDS:
            keep(value)
            last = time.monotonic()

    return keep_sometimes
