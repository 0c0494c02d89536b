"""Make an output once: skip it if it exists, lock it, cache its parts, finish it with a record."""

import contextlib
import os
import shlex
import sys
import threading
import time
from pathlib import Path

import numpy as np

from pipeline.checksums import compute_sha256
from pipeline.errors import InputError, explain_errors
from pipeline.models import weights
from study import cache
from study.checkpoint_records import describe_other_model, is_same_checkpoint, log_if_unsure
from study.files.atomic import lock
from study.paths import record_path
from study.program import ROOT, find_source_files
from study.progress import log
from study.records import describe_changed_parameters, find_changed_input, read_record, read_versions, write_record


class Job:
    """Make one output once, or do another piece of work with a cache.

    ::

        with Job(output, parameters, modules=[__name__], inputs=inputs) as job:
            if job.is_finished:
                return
            arrays = job.cached("run-1", compute)
            job.finish({output: write})

    An interrupted job leaves its cache, and the same command goes on from there. A cached part is void when options,
    inputs, checkpoint, versions of packages, or the source files that compute them have changed.

    Parameters
    ----------
    output : pathlib.Path, the last file to be written: where it exists, all exist
    parameters : dict, all options that change the numbers
    modules : list of str
        Modules of this project that compute the output. The cache depends on their source files, and on those of
        what they import.
    inputs : list of pathlib.Path, files that the output is made from
    model : str, optional, as on the command line, where the output is made from a checkpoint
    overwrite : bool, make the output again if it exists
    skips_finished : bool, whether an output that exists, made in the same way, is left alone

    Entry raises InputError as ``is_finished`` in this module. After it, the attribute ``is_finished`` is whether the
    output exists and stays, of which the user has been informed, and ``folder`` is the cache.
    """

    def __init__(self, output, parameters, *, modules, inputs=(), model=None, overwrite=False, skips_finished=True):
        self.output, self.parameters, self.modules, self.inputs = output, parameters, modules, list(inputs)
        self.model, self.overwrite, self.skips_finished = model, overwrite, skips_finished
        self.folder, self.is_finished, self.checkpoint = cache.cache_folder(output), False, None
        self._started = time.time()
        self._exits = contextlib.ExitStack()

    def __enter__(self):
        """Skip the output, or wait for the lock and open the cache."""
        if self.skips_finished and self._exists() and not cache.is_left_behind(self.output):
            print(f"{self.output} is there already")
            log_if_unsure(self.output, self.model)
            self.is_finished = True
            return self
        with contextlib.ExitStack() as exits:
            exits.enter_context(lock(self.output, log))
            if self.skips_finished and self._exists():  # another job has made it in the meantime
                cache.remove_cache(self.output)
                print(f"{self.output} is there already")
                self.is_finished = True
            else:
                made_with = {"parameters": self.parameters, "model": self.model and str(self.model)}
                files = sorted({file for module in self.modules for file in find_source_files(module)})
                program = {str(file.relative_to(ROOT)): compute_sha256(file) for file in files}
                made_with |= {"versions": read_versions(), "program": program}
                made_from = [*self.inputs, *self._checkpoint_files()]
                command = shlex.join(sys.argv)
                exits.enter_context(cache.open_cache(self.output, made_with, made_from, log, command))
                # The record has the checksums of inputs of many gigabytes: they are computed during the work. The
                # thread is a daemon, so that an error ends the process at once.
                self._checksums = threading.Thread(target=_compute_checksums, args=[self.inputs], daemon=True)
                self._checksums.start()
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *error):
        """Keep the cache after an error, remove it otherwise, and release the lock."""
        return self._exits.__exit__(*error)

    def _exists(self):
        return is_finished(self.output, self.parameters, self.overwrite, self.model, self.inputs)

    def _checkpoint_files(self):
        folder = Path(self.model or "", self.parameters.get("revision") or "")
        return weights.list_checkpoint_files(folder) if self.model and folder.is_dir() else []

    def load(self, name):
        """Load a cached part, a dict of arrays, or None where it does not exist."""
        path = self.folder / f"{name}.npz"
        if not path.is_file():
            return None
        with explain_errors(path, f"remove {path.parent}, so that the work starts over"), np.load(path) as arrays:
            return dict(arrays)

    def save(self, name, **arrays):
        """Save arrays as a part of the cache."""
        cache.save_arrays(self.folder / f"{name}.npz", **arrays)

    def cached(self, name, compute):
        """Return the part ``name`` from the cache, a dict of arrays, or cache what ``compute()`` returns."""
        arrays = self.load(name)
        if arrays is None:
            arrays = compute()
            self.save(name, **arrays)
        return arrays

    def empty_unless_same(self, checkpoint):
        """Remove the cached parts unless they were made from this checkpoint, which is then recorded."""
        cache.empty_unless_same(self.folder, checkpoint, log, weights.is_same)
        self.checkpoint = checkpoint

    def finish(self, writers, *, seed=None, replaces=(), parameters=None, started=None, measures=None):
        """Write outputs, record how they were made, and move them to their places.

        Parameters
        ----------
        writers : dict from pathlib.Path to a callable that writes to a path, and may return the SHA-256 of the file
            The last output shows that the work is done, and has the record next to it.
        seed : int, optional
        replaces : list of pathlib.Path, older outputs, which are removed
        parameters : dict, optional, for the record, where a job makes several outputs with different parameters
        started : float, optional, ``time.time()`` when the work on this output began; by default, when the job began
        measures : dict, optional, for the record, numbers that describe the output

        An InputError is raised if an input has changed since the work began.
        """
        checksums = {path.name: write(self.folder / path.name) for path, write in writers.items()}
        *others, output = writers
        self._checksums.join()
        cache.check_unchanged(self.folder)
        write_record(
            self.folder / output.name,
            parameters=self.parameters if parameters is None else parameters,
            inputs=self.inputs,
            started=self._started if started is None else started,
            checkpoint=self.checkpoint,
            seed=seed,
            checksums={name: checksum or compute_sha256(self.folder / name) for name, checksum in checksums.items()},
            measures=measures,
        )
        cache.put_in_place(self.folder, [*others, record_path(output), output], replaces)


def _compute_checksums(paths):
    """Compute the checksums of files. An input that cannot be read raises its error where it is used."""
    for path in paths:
        with contextlib.suppress(OSError):
            compute_sha256(path)


def is_finished(path, parameters, overwrite, model=None, inputs=()):
    """Return whether an output exists, was made in the same way from the same files, and may stay.

    The arguments are as for ``Job``; only inputs that are newer than the output are read. An InputError is raised where
    the output was made with other parameters, from other files, or from another model of the same name, which must not
    be mixed, or where the output could not be written.
    """
    check_writable(path)
    if overwrite or not path.exists():
        return False
    record = read_record(path)
    changed, checkpoint = describe_changed_parameters(record, parameters), record.get("checkpoint")
    if model is not None and checkpoint and not is_same_checkpoint(checkpoint, model, path):
        changed.append(describe_other_model(checkpoint, model))
    if changed:
        raise InputError(f"{path} was made with {', '.join(changed)}: --overwrite makes it again")
    if file := find_changed_input(path, inputs):
        raise InputError(f"{path} was made from another {file}, which has changed since: --overwrite makes it again")
    return True


def check_writable(path):
    """Check that an output can be written to its folder, or the nearest parent that exists, before hours of work."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: {folder} is not a folder that you may write to")
