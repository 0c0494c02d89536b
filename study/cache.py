"""Keep finished parts of a job in a hidden folder, so that the same command goes on from there.

The cache of an output is the folder ``.{name}.parts`` next to it. The output itself is written there too, and gets
its final name in one step, when it is whole.
"""

import contextlib
import json
import os
import shutil
import time

import numpy as np

from pipeline.errors import InputError
from study.files.atomic import hidden_path, write_text, write_whole

SAVE_SECONDS = 2  # of finished work that may be lost where it comes in many small pieces
LONGEST_VALUES = 120  # characters of two values that a message repeats
NOTE = "made_with.json"  # options, versions, program and inputs of the cached parts
CHECKPOINT_NOTE = "made_of.json"  # the checkpoint, which is known only after it has been loaded


def cache_folder(path):
    """Return the folder in which the parts of an output are cached."""
    return hidden_path(path, "parts")


@contextlib.contextmanager
def open_cache(path, made_with, made_from, log, command=None):
    """Open the cache of an output until the output is whole, and yield its folder, which is then removed.

    An interrupted job leaves its cache, unless the cache is empty. One job at a time may use a cache
    (``atomic.lock``).

    Parameters
    ----------
    path : pathlib.Path, the output, or another path that names the work
    made_with : dict, for JSON; parts that were made with other values are removed
    made_from : list of pathlib.Path; parts that were made from other files, by size and time, are removed
    log : callable, called with a line for the user when parts are removed
    command : str, optional, which begins the work; it is written into the note, and not compared
    """
    folder = cache_folder(path)
    now = json.loads(json.dumps({"with": made_with, "from": _signatures(made_from)}))
    before = read_note(folder)
    if folder.is_symlink() or any(before.get(key) != now[key] for key in now):
        if _cached_files(folder):
            log(f"{path} starts over: its cached parts were made with {', '.join(_differences(before, now))}")
        _remove(folder)
        folder.mkdir()
        write_text(folder / NOTE, json.dumps(now | {"command": command}, sort_keys=True))
    for unfinished in folder.glob(".*"):  # left by a job that was killed
        unfinished.unlink()
    try:
        yield folder
    except BaseException:
        if not _cached_files(folder):
            _remove(folder)
        raise
    _remove(folder)


def read_note(folder):
    """Return what cached parts were made ``with`` and ``from``, as for ``open_cache``, and by which ``command``.

    The dict is empty where the note is missing or damaged. Notes of earlier versions have no command.
    """
    try:
        note = json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):
        return {}
    is_whole = isinstance(note, dict) and all(isinstance(note.get(key), dict) for key in ("with", "from"))
    return note if is_whole else {}


def _differences(before, now):
    """Return in words what two notes differ in, a list of str."""
    if not before:
        return ["unknown options, since their note is missing or damaged"]
    differences = []
    old_values, new_values = _flatten(before["with"]), _flatten(now["with"])
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


def _flatten(nested):
    """Return the values of a dict, and of dicts in it, by pairs of keys."""
    inner = {key: value if isinstance(value, dict) else {key: value} for key, value in nested.items()}
    return {(key, name): value for key, values in inner.items() for name, value in values.items()}


def _cached_files(folder):
    """Return the files of a cache without its notes."""
    return [path for path in folder.glob("*") if path.name not in (NOTE, CHECKPOINT_NOTE)]


def empty_unless_same(folder, checkpoint, log, is_same):
    """Remove the cached parts unless they were made from the checkpoint that has been loaded, a dict for JSON.

    log is called with a line for the user when parts are removed. Parts are kept if ``is_same`` returns True for the
    checkpoint of the parts and this checkpoint.
    """
    note = folder / CHECKPOINT_NOTE
    if _cached_files(folder) and not (note.is_file() and is_same(json.loads(note.read_text()), checkpoint) is True):
        log(f"{folder} starts over: its parts were made from another checkpoint")
        for path in _cached_files(folder):
            path.unlink()
    write_text(note, json.dumps(checkpoint, sort_keys=True))


def is_left_behind(path):
    """Return whether a lock or a cache exists for an output: a job was killed, or works on it now."""
    return hidden_path(path, "lock").exists() or cache_folder(path).exists()


def remove_cache(path):
    """Remove the cache of an output that is whole, left by a job that was killed in its last moment."""
    _remove(cache_folder(path))


def check_unchanged(folder):
    """Check that the files that the parts in a folder were made from are the same as before, by size and time."""
    before = json.loads((folder / NOTE).read_text())["from"]
    for path, signature in _signatures(before).items():
        if signature != before[path]:
            raise InputError(f"{path} has changed while it was used. Run the same command again.")


def _signatures(paths):
    """Return size and time of files by path, None for a file that does not exist."""
    signatures = {}
    for path in map(str, paths):
        status = os.stat(path) if os.path.isfile(path) else None
        signatures[path] = status and [status.st_size, status.st_mtime_ns]
    return signatures


def _remove(folder):
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def put_in_place(folder, paths, replaces=()):
    """Move files from a cache, where each has its final name, to their final paths.

    The last file shows that all exist: it comes last, and older files and those in ``replaces`` go first, that one
    before all others, so that old and new files are never mixed.
    """
    for path in [*reversed(paths), *replaces]:
        path.unlink(missing_ok=True)
    for path in paths:
        os.replace(folder / path.name, path)


def save_arrays(path, **arrays):
    """Save arrays as a cached part, ``.npz``."""
    with write_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def every_few_seconds(save):
    """Return a function that calls ``save`` with its argument if the last call was SAVE_SECONDS ago."""
    last = time.monotonic()

    def save_sometimes(value):
        nonlocal last
        if time.monotonic() - last >= SAVE_SECONDS:
            save(value)
            last = time.monotonic()

    return save_sometimes
