"""Read the files of the ``lm_eval`` command of EleutherAI's lm-evaluation-harness, 0.4.0 to 0.4.13.

It writes a JSON file for each run. Names and folders depend on the version: ``--output_path NAME.json`` became
``NAME.json`` (0.4.0 to 0.4.2), ``NAME.json/{model}/results_{time}.json`` (0.4.3 to 0.4.8) and ``NAME_{time}.json``;
a folder got ``results.json`` or ``{model}/results_{time}.json``. So files are known by what is in them.
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

COLUMNS = "file model revision task metric value stderr n_shots version settings is_limited date".split()
MOST_BYTES = 2**28  # of a file; those of the command have a few kilobytes for each task
TIME_IN_NAME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2})-(\d{2})-(\d{2}(?:\.\d{1,6})?)")
UNKNOWN_VERSIONS = ("None", "N/A", "Yaml", "")


def read_results(path):
    """Read one file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    pandas.DataFrame with columns file, model, revision, task, metric, value, stderr, n_shots, version, settings,
    is_limited, date
        A row per task and metric with a finite value, sub-tasks and groups included. model is as it was given to
        ``pretrained=``, and empty for a model behind an API; revision is empty where none was given; metric
        has no filter where that is ``none``; stderr is NaN where there is none; settings is a JSON object (see
        ``lm_eval_settings``); is_limited is whether there was a ``--limit``; date is in seconds since 1970.

    Raises
    ------
    InputError
        The file cannot be read, is no JSON, or is of another program.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{path}: expected at most {MOST_BYTES:,} bytes, got more. Results of lm_eval are smaller."
            )
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else f"broken JSON ({error})"
        raise InputError(
            f"{path}: expected results of lm_eval, got {why}. Copy the file again, or run lm_eval again."
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
    """A JSON file that is whole, and has no results of lm_eval."""


def _part(content, name):
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
        for_task, n_shots = lm_eval_settings.read_task_settings(content, task)
        settings = json.dumps(shared | for_task, sort_keys=True)
        version = _version(_part(content.get("versions"), task))
        for metric, value in metrics.items():
            name, _, filter_name = metric.partition(",")
            # bypass is what --predict_only writes in the place of a score.
            if not filter_name or name.endswith("_stderr") or name == "bypass" or _number(value) is None:
                continue
            stderr = _number(metrics.get(f"{name}_stderr,{filter_name}"))
            yield (
                *(str(path), model, revision, task, metric.removesuffix(",none"), _number(value)),
                *(math.nan if stderr is None else stderr, n_shots, version, settings, is_limited, date),
            )


def is_local_folder(model):
    """Return whether a model is a folder, here or on another machine, and not a name on the hub."""
    return model.startswith(("/", ".", "~")) or model.strip("/").count("/") > 1 or os.path.isdir(model)


def _number(value):
    """Return a finite number as a float; None for anything else, such as ``N/A``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300 or value != value:
        return None
    return float(value)


def _version(value):
    """Return the version of a task as text, the empty str where it has none."""
    if (number := _number(value)) is not None:
        return f"{number:g}"
    text = str(value).strip()
    return "" if text in UNKNOWN_VERSIONS else text.removesuffix(".0")


def _date(content, path):
    """Return when a run was made: as recorded (0.4.2 and later), or as in the file's name, or the file's own time."""
    date = content.get("date")
    if _number(date) is not None:
        return _number(date)
    in_name = TIME_IN_NAME.search(path.name)
    for text in (str(date), ":".join(in_name.groups()) if in_name else ""):
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
    return path.stat().st_mtime


def read_folder(folder):
    """Read all files of the command in a folder and its sub-folders.

    Parameters
    ----------
    folder : Path
        It may be missing, which is the same as an empty one.

    Returns
    -------
    results : pandas.DataFrame
        As ``read_results`` returns it.
    damaged : list of str
        A sentence for each file or folder that cannot be read. It may hold results.
    ignored : list of str
        A sentence for each other file that holds no results.
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
    """Return the files that may hold results, by name; append a sentence to damaged for folders that cannot be read.

    Results of 0.4.0 to 0.4.2 may be called ``.jsonl``, as are the samples, which have one object a line.
    """
    paths, seen = [], set()

    def add_sentence(error):
        damaged.append(
            f"{error.filename}: expected a folder that can be read, got {error.strerror}. Change its rights."
        )

    for place, folders, names in os.walk(folder, onerror=add_sentence if folder.exists() else None, followlinks=True):
        if (real := os.path.realpath(place)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            if not (path.is_file() or path.is_symlink()):
                continue
            if path.suffix == ".json" or (path.suffix == ".jsonl" and _begins_as_results(path)):
                paths.append(path)
    return sorted(paths)


def _begins_as_results(path):
    try:
        with path.open("rb") as file:
            return file.read(3).replace(b"\r", b"")[:2] == b"{\n"
    except OSError:
        return False


# ---------------------------------------------------------------- which model it was


def select_model(results, name, revisions=None):
    """Return the results of one model, with its revisions as the study names them.

    Parameters
    ----------
    results : pandas.DataFrame
        As ``read_folder`` returns it.
    name : str
        The model as in file names.
    revisions : sequence of str, optional
        Return the results of these only, in this order.

    Returns
    -------
    pandas.DataFrame of the same columns
    """
    pairs = list(zip(results["model"], results["revision"], strict=True))
    revision_of = {pair: match_revision(name, *pair) for pair in set(pairs)}
    results = results.assign(revision=[revision_of[pair] for pair in pairs])
    order = sorted(set(results["revision"].dropna())) if revisions is None else list(revisions)
    results = results[results["revision"].isin(order)]
    position = results["revision"].map({revision: k for k, revision in enumerate(order)}).to_numpy(float)
    return results.iloc[position.argsort(kind="stable")].reset_index(drop=True)


def match_revision(name, pretrained, revision):
    """Return which revision of a model was evaluated, as ``--revision`` names it; None if it is of another model.

    Without a revision, lm_eval reads ``main`` from the hub. Of a local folder, it reads the folder itself (the empty
    str here), whatever ``revision=`` says; a checkpoint in it is FOLDER/REVISION.

    Parameters
    ----------
    name : str
        The model as in file names.
    pretrained, revision : str
        As in the model's arguments, each empty where it is not given.
    """
    is_local = is_local_folder(pretrained)
    if not pretrained:
        return None
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
    """Return sentences about results that are not used: of other models, with a limit, of a local folder itself.

    Parameters
    ----------
    results : pandas.DataFrame
        As ``read_folder`` returns it.
    names : sequence of str
        The models that are used, as in file names.
    folder : Path
        Where the files are.

    Returns
    -------
    list of at most three str
    """
    sentences, others, limited, moot = [], [], [], []
    by_file = results.groupby("file").agg({"model": "first", "revision": "first", "is_limited": "any"})
    for file, pretrained, revision, is_limited in by_file.itertuples():
        if all(match_revision(name, pretrained, revision) is None for name in names):
            others.append(file)
        elif is_limited:
            limited.append(file)
        elif is_local_folder(pretrained) and revision not in ("", "main"):
            moot.append(file)
    if others:
        n_files = "1 file" if len(others) == 1 else f"{len(others)} files"
        sentences.append(f"{folder}: {n_files} of other models or APIs, not used")
    for files, why in [
        (limited, "made with --limit, and not used"),
        (moot, "revision= has no effect on a local folder: the folder itself was evaluated"),
    ]:
        if files:
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            sentences.append(f"{files[0]}{more}: {why}")
    return sentences
