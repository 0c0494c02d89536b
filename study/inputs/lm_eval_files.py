"""Read the files of the ``lm_eval`` command of EleutherAI's lm-evaluation-harness, 0.4.0 to 0.4.13.

The command writes a JSON file for each run. Names and folders depend on the version: ``--output_path NAME.json``
became ``NAME.json`` (0.4.0 to 0.4.2), ``NAME.json/{model}/results_{time}.json`` (0.4.3 to 0.4.8) and
``NAME_{time}.json``; a folder got ``results.json`` or ``{model}/results_{time}.json``. So files are recognised by their
content.
"""

import json
import math
import os
import re
from datetime import datetime
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.tasks import lm_eval_settings
from pipeline.wording import shorten

COLUMNS = "file model revision task metric value stderr n_shots version settings is_limited date".split()
MOST_BYTES = 2**28  # of a file; the command writes a few kilobytes for each task
TIME_IN_NAME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2})-(\d{2})-(\d{2}(?:\.\d{1,6})?)")
UNKNOWN_VERSIONS = ("None", "N/A", "Yaml", "")


def read_results(path):
    """Read one file. A file that is damaged or of another program raises InputError.

    Returns
    -------
    pandas.DataFrame with columns file, model, revision, task, metric, value, stderr, n_shots, version, settings,
    is_limited, date
        A row per task and metric with a finite value, including sub-tasks and groups. model is the value of
        ``pretrained=``, empty for a model behind an API. revision is empty by default. metric includes the filter
        unless the filter is ``none``. stderr may be NaN. settings is a JSON object (see ``lm_eval_settings``).
        is_limited is True for runs with ``--limit``. date is in seconds since 1970.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{path}: expected at most {MOST_BYTES:,} bytes, got more. Results of lm_eval are smaller."
            )
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"broken JSON ({error})"
        raise InputError(
            f"{path}: expected results of lm_eval, got {reason}. Copy the file again, or run lm_eval again."
        ) from error
    if not all(isinstance(part, dict) for part in (content, _part(content, "results"), _part(content, "config"))):
        raise NotResults(f"{path}: expected results of lm_eval, got JSON of another program. It is not read.")
    try:
        rows = list(_rows(path, content))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected results of lm_eval, got another form ({error!r}). Run lm_eval again."
        ) from error
    if not rows:
        raise NotResults(f"{path}: expected scores such as 'acc,none' (lm_eval 0.4), got none. It is not read.")
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n_shots": float})


class NotResults(InputError):
    """Report a whole JSON file without results of lm_eval."""


def _part(content, name):
    """Return a value of a JSON object, or None where the content is not an object."""
    return content.get(name) if isinstance(content, dict) else None


def _rows(path, content):
    """Yield a row per task and metric."""
    arguments = lm_eval_settings.parse_model_args(content["config"].get("model_args"))
    model = "" if "base_url" in arguments else arguments.get("pretrained", "")
    if arguments.get("subfolder") and is_local_folder(model):
        model = f"{model.rstrip('/')}/{arguments.pop('subfolder')}"
    revision, date = arguments.get("revision", ""), _date(content, path)
    shared = lm_eval_settings.read_model_settings(content, arguments)
    is_limited = bool(content["config"].get("limit"))
    for task, metrics in content["results"].items():
        if not isinstance(metrics, dict):
            continue
        own, n_shots = lm_eval_settings.read_task_settings(content, task)
        settings = json.dumps(shared | own, sort_keys=True)
        version = _version(_part(content.get("versions"), task))
        for metric, value in metrics.items():
            name, _, filter_name = metric.partition(",")
            # --predict_only writes bypass instead of a score.
            if not filter_name or name.endswith("_stderr") or name == "bypass" or _number(value) is None:
                continue
            stderr = _number(metrics.get(f"{name}_stderr,{filter_name}"))
            yield (
                *(str(path), model, revision, task, metric.removesuffix(",none"), _number(value)),
                *(math.nan if stderr is None else stderr, n_shots, version, settings, is_limited, date),
            )


def is_local_folder(model):
    """Return whether a model is a folder on any machine, and not a name on the hub."""
    return model.startswith(("/", ".", "~")) or model.strip("/").count("/") > 1 or os.path.isdir(model)


def _number(value):
    """Return a finite number as a float, and None for any other value, such as ``N/A``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300 or value != value:
        return None
    return float(value)


def _version(value):
    """Return the version of a task as text, which may be empty."""
    if (number := _number(value)) is not None:
        return f"{number:g}"
    text = str(value).strip()
    return "" if text in UNKNOWN_VERSIONS else text.removesuffix(".0")


def _date(content, path):
    """Return the date of a run: as recorded (0.4.2 and later), as in the file's name, or as the file's own time."""
    date = content.get("date")
    if (number := _number(date)) is not None:
        return number
    in_name = TIME_IN_NAME.search(path.name)
    for text in (str(date), ":".join(in_name.groups()) if in_name else ""):
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
    return path.stat().st_mtime


def read_folder(folder):
    """Read all files of the command in a folder and its sub-folders. A missing folder is the same as an empty one.

    Returns
    -------
    results : pandas.DataFrame, as ``read_results`` returns it
    damaged : list of str, a sentence for each file or folder that cannot be read, and may contain results
    ignored : list of str, a sentence for each file that can be read and contains no results
    """
    tables: list[pd.DataFrame] = []
    damaged: list[str] = []
    ignored: list[str] = []
    for path in list_files(folder, damaged):
        try:
            tables.append(read_results(path))
        except NotResults as error:
            ignored.append(str(error))
        except InputError as error:
            damaged.append(str(error))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS), damaged, ignored


def list_files(folder, damaged):
    """Return the files that may contain results, sorted; append a sentence to damaged for each unreadable folder.

    Files of 0.4.0 to 0.4.2 may end in ``.jsonl``. So do files of samples, which have one object a line.
    """
    paths, seen = [], set()

    def add_sentence(error):
        """Append a sentence on a folder that cannot be read."""
        damaged.append(
            f"{error.filename}: expected a folder that can be read, got {error.strerror}. Change its rights."
        )

    for parent, folders, names in os.walk(folder, onerror=add_sentence if folder.exists() else None, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:  # a link to a parent folder
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            if not (path.is_file() or path.is_symlink()):
                continue
            if path.suffix == ".json" or (path.suffix == ".jsonl" and _begins_as_results(path)):
                paths.append(path)
    return sorted(paths)


def _begins_as_results(path):
    """Return whether a file begins with an indented JSON object."""
    try:
        with path.open("rb") as file:
            return file.read(3).replace(b"\r", b"")[:2] == b"{\n"
    except OSError:
        return False


def select_model(results, name, revisions=None):
    """Return the rows of one model (as in file names), with its revisions as the study names them.

    ``revisions``, a sequence of str, selects revisions and their order; by default, all in the order of their names.
    """
    pairs = list(zip(results["model"], results["revision"], strict=True))
    matches = {pair: match_revision(name, *pair) for pair in set(pairs)}
    results = results.assign(revision=[matches[pair] for pair in pairs])
    order = sorted(set(results["revision"].dropna())) if revisions is None else list(revisions)
    results = results[results["revision"].isin(order)]
    position = results["revision"].map({revision: k for k, revision in enumerate(order)}).to_numpy(float)
    return results.iloc[position.argsort(kind="stable")].reset_index(drop=True)


def match_revision(name, pretrained, revision):
    """Find the revision of a model that was evaluated: as in ``--revision``, empty for a local folder, or None.

    lm_eval reads ``main`` from the hub by default. It ignores ``revision=`` of a local folder, and reads the folder
    itself. A checkpoint in a local folder is evaluated as FOLDER/REVISION. ``name`` is the model as in file names,
    ``pretrained`` and ``revision`` are the model's arguments, which may be empty. Another model gives None.
    """
    if not pretrained:
        return None
    is_local = is_local_folder(pretrained)
    if not is_local and pretrained.strip("/").replace("/", "_") == name:
        return revision or "main"
    for path in [Path(pretrained), *([Path(pretrained).resolve()] if os.path.isdir(pretrained) else [])]:
        if is_local and path.name == name:
            return ""
        for folder in path.parents:
            if folder.name == name:
                return path.relative_to(folder).as_posix()
    return None


def describe_unused(results, names, folder):
    """Describe results that are not used: of other models, with ``--limit``, with a revision without effect.

    Return at most three sentences. ``names`` are the models that are used, as in file names.
    """
    unmatched, limited, ineffective = [], [], []
    by_file = results.groupby("file").agg({"model": "first", "revision": "first", "is_limited": "any"})
    for file, pretrained, revision, is_limited in by_file.itertuples():
        if all(match_revision(name, pretrained, revision) is None for name in names):
            unmatched.append(file)
        elif is_limited:
            limited.append(file)
        elif is_local_folder(pretrained) and revision not in ("", "main"):
            ineffective.append(file)
    sentences = []
    if unmatched:
        n_files = "1 file" if len(unmatched) == 1 else f"{len(unmatched)} files"
        sentences.append(f"{folder}: {n_files} of other models or APIs, not used")
    if limited:
        sentences.append(f"{shorten(limited, 1)}: made with --limit, and not used")
    if ineffective:
        reason = "revision= has no effect on a local folder: the folder itself was evaluated"
        sentences.append(f"{shorten(ineffective, 1)}: {reason}")
    return sentences
