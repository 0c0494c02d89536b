"""Write and read the record of how an output was made, ``{output}.json``, and compare it with the present.

A record is one JSON object. Its keys exist since 2026-11-21, except where another date is given.

================  ==============================  ===================================================================
key               type                            content
================  ==============================  ===================================================================
``command``       str                             the command line
``parameters``    object                          all options that change the numbers
``checkpoint``    object or null                  the model; null where none was loaded
``seed``          int or null                     the seed of random numbers
``inputs``        object of str                   SHA-256 of each input, by file name
``versions``      object of str                   versions of Python and of packages
``finished``      str                             time in UTC, as ``2026-11-21T09:00:00Z``
``seconds``       float                           duration of the work
``sha256``        object of str                   SHA-256 of the files written together, by file name
``program``       object                          ``commit`` (str or null) and ``has_changes`` (bool or null): git
                                                  commit of this project; since 2026-11-27
================  ==============================  ===================================================================

Records of activations also have ``first_token_norm_ratio``, a list of float or null, since 2026-11-27: for each layer,
the norm of the states at the first token of a run over the median norm at its other tokens, averaged over runs.

``checkpoint`` has these keys:

================  ==============================  ===================================================================
``model``         str                             as on the command line
``revision``      str or null                     as on the command line
``dtype``         str                             number format of the computation
``files``         object of str                   SHA-256 of each file of the checkpoint, by file name; of models of
                                                  the hub since 2026-11-27
``commit``        str or null                     commit on the hub, only for models of the hub
``folder``        str                             absolute path, only for local models; since 2026-11-27
``untrained``     int                             seed of random weights, only where no weights were read: ``files``
                                                  are configuration and tokenizer; since 2026-11-27
``tokenizer``     str                             note on a tokenizer that was replaced; since 2026-11-27
``classifiers``   object of objects               a checkpoint per classifier, by name; only for tables of
                                                  acceptability, which have only ``model`` besides
================  ==============================  ===================================================================
"""

import functools
import importlib.metadata
import json
import platform
import shlex
import sys
import time

from pipeline.checksums import compute_sha256
from pipeline.errors import explain_errors
from study.files.atomic import write_whole
from study.paths import record_path
from study.program import read_git_commit


def read_record(path):
    """Read the record of an output (path), a dict, empty where there is none. A damaged record raises InputError."""
    record = record_path(path)
    if not record.exists():
        return {}
    with explain_errors(record, "remove it, or make its output again with --overwrite"):
        content = json.loads(record.read_text())
        checkpoint = content.get("checkpoint") or {"model": ""}
        objects = [content["parameters"], content.get("inputs", {}), checkpoint, checkpoint.get("files", {})]
        texts = [checkpoint["model"], *(checkpoint.get(key) or "" for key in ("commit", "folder"))]
        texts += checkpoint.get("files", {}).values()
        if not all(isinstance(part, dict) for part in objects) or not all(isinstance(text, str) for text in texts):
            raise ValueError("it is not a record")
    return content


def write_record(path, parameters, inputs, started, checkpoint=None, seed=None, checksums=None, measures=None):
    """Write the record of an output next to it.

    Parameters
    ----------
    path : pathlib.Path, the output
    parameters : dict for JSON, all options that change the numbers
    inputs : list of pathlib.Path, files that the output was made from
    started : float, ``time.time()`` when the work began
    checkpoint : dict, optional, as ``load_checkpoint`` returns it
    seed : int, optional
    checksums : dict of str to str, optional, SHA-256 of the output and of the files written with it, by name
    measures : dict, optional, for JSON, further keys of the record, numbers that describe the output
    """
    record = {
        "command": shlex.join(sys.argv),
        "parameters": parameters,
        "checkpoint": checkpoint,
        "seed": seed,
        "inputs": {file.name: compute_sha256(file) for file in inputs},
        "sha256": checksums or {},
        "program": read_git_commit(),
        "versions": read_versions(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.time() - started, 1),
    }
    record |= measures or {}
    with write_whole(record_path(path)) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


@functools.cache
def read_versions():
    """Return the versions of Python and of the packages that compute the numbers, a dict by name."""
    packages = "torch transformers tokenizers numpy scipy nilearn joblib rapidfuzz".split()
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def describe_changed_parameters(record, parameters):
    """Return the names and recorded values of parameters that differ from a record, a list of str."""
    before, now = record.get("parameters", {}), json.loads(json.dumps(parameters))
    names = dict.fromkeys([*now, *before]) if before else {}
    return [f"{name} {before.get(name)}" for name in names if before.get(name) != now.get(name)]


def find_changed_input(path, inputs, counts_copies=True):
    """Find the first input that has changed since an output was made from it.

    Only inputs that are newer than the output are read (see ``is_newer``). An input that does not exist any more has
    not changed. An input that did not exist when the output was made has changed. Returns pathlib.Path or None.

    Parameters
    ----------
    path : pathlib.Path, the output
    inputs : iterable of pathlib.Path
    counts_copies : bool, as for ``is_newer``
    """
    before = read_record(path).get("inputs", {})
    for file in inputs:
        if before and is_newer(file, path, counts_copies) and before.get(file.name) != compute_sha256(file):
            return file
    return None


def is_newer(file, path, counts_copies=True):
    """Return whether a file was written after another, or copied to its place after it.

    Copies keep the time of writing. ``counts_copies=False`` compares times of writing only.
    """
    if not file.is_file():
        return False
    status = file.stat()
    time_of_file = max(status.st_mtime, status.st_ctime) if counts_copies else status.st_mtime
    return time_of_file > path.stat().st_mtime
