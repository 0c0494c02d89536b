"""Write and read the record of how an output was made: ``{output}.json``."""

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


def find_changed_input(path, inputs, or_copied=True):
    """The first of some files that an output was made from and that has changed since, or None.

    Only those that are newer than the output are read (see ``is_newer``). One that is not there any more
    has not changed; one that was not there has.
    """
    before = read_record(path).get("inputs", {})
    for file in inputs:
        if before and is_newer(file, path, or_copied) and before.get(file.name) != compute_sha256(file):
            return file
    return None


def is_newer(file, path, or_copied=True):
    """Whether a file was written after another, or came to its place after it: copies keep the time of writing."""
    if not file.is_file():
        return False
    about = file.stat()
    return (max(about.st_mtime, about.st_ctime) if or_copied else about.st_mtime) > path.stat().st_mtime


def read_record(path):
    """How an output was made, as ``write_record`` left it beside it; empty where nothing did.

    Raises
    ------
    InputError
        It is damaged.
    """
    record = record_path(path)
    if not record.exists():
        return {}
    with explain_errors(record, "remove it, or make its output again with --overwrite"):
        content = json.loads(record.read_text())
        checkpoint = content.get("checkpoint") or {"model": ""}
        whole = [content["parameters"], content.get("inputs", {}), checkpoint, checkpoint.get("files", {})]
        texts = [checkpoint["model"], *(checkpoint.get(key) or "" for key in ("commit", "folder"))]
        texts += checkpoint.get("files", {}).values()
        if not all(isinstance(part, dict) for part in whole) or not all(isinstance(text, str) for text in texts):
            raise ValueError("it is no record")
    return content


@functools.cache
def read_versions():
    """Of what the numbers come out of."""
    packages = "torch transformers tokenizers numpy scipy nilearn joblib rapidfuzz".split()
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def write_record(path, parameters, inputs, started, checkpoint=None, seed=None, checksums=None):
    """Write next to an output how it was made.

    Parameters
    ----------
    path : Path
        The output; the record is ``{path}.json``.
    parameters : dict
        Whatever changes the numbers.
    inputs : list of Path
        Files that it was made from; their SHA-256 is recorded.
    started : float
        ``time.time()`` when the work began.
    checkpoint : dict, optional
        As ``load_checkpoint`` returns it.
    seed : int, optional
    checksums : dict of str to str, optional
        SHA-256 of the output, and of those that come with it, by name.
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
    with write_whole(record_path(path)) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
