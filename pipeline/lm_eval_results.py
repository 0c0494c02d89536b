"""What the ``lm_eval`` command of EleutherAI's lm-evaluation-harness wrote (0.4.13 and before).

It writes a JSON file for each run: for ``--output_path NAME.json`` that is ``NAME_{time}.json``,
for a folder ``{folder}/{model}/results_{time}.json``. What was run is read from inside the file.
"""

import json
import math

import numpy as np
import pandas as pd

from pipeline import BadInput

COLUMNS = ["model", "revision", "task", "metric", "value", "stderr", "n_shots", "limited", "date"]


def read_results(path):
    """Read one file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    pandas.DataFrame with columns model, revision, task, metric, value, stderr, n_shots, limited, date
        A row per task and metric, sub-tasks and groups included. model is as it was given to
        ``pretrained=``; revision is empty where none was given; stderr is NaN where there is none;
        limited is whether it saw only some of the items (``--limit``); date is in seconds since 1970.

    Raises
    ------
    BadInput
        The file is not of this format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        arguments = content["config"]["model_args"]
        if isinstance(arguments, str):  # older versions write what the command line says
            arguments = dict(argument.split("=", 1) for argument in arguments.split(","))
        model, revision = arguments["pretrained"], arguments.get("revision", "")
        rows = [
            (
                *(model, revision, task, metric.removesuffix(",none"), value, _stderr(metrics, metric)),
                *(content.get("n-shot", {}).get(task), bool(content["config"].get("limit")), content["date"]),
            )
            for task, metrics in content["results"].items()
            for metric, value in metrics.items()
            if "," in metric and "_stderr," not in metric and isinstance(value, float | int)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{path}: the lm_eval command did not write this ({error!r}): remove it, or run it again"
        ) from error
    return pd.DataFrame(rows, columns=COLUMNS)


def _stderr(metrics, metric):
    """The standard error beside a metric: ``acc,none`` has ``acc_stderr,none``."""
    value = metrics.get(metric.replace(",", "_stderr,"))
    return float(value) if isinstance(value, float | int) else math.nan


def newest(results):
    """Of several runs of a task with the same checkpoint, the one that was made last.

    Parameters
    ----------
    results : pandas.DataFrame
        Of one model, with columns revision, task, metric and date.

    Returns
    -------
    pandas.DataFrame of the same columns
    """
    last = results.groupby(["revision", "task"])["date"].transform("max")
    return results[results["date"] == last].reset_index(drop=True)


def headline(results):
    """One score for each task and checkpoint: acc_norm where it was measured, else acc.

    acc_norm divides the log-probability of an answer by its length in bytes. Tasks that have
    neither keep their first metric.

    Parameters
    ----------
    results : pandas.DataFrame
        As ``newest`` returns it.

    Returns
    -------
    pandas.DataFrame with a row per revision and a column per task
    """
    return _headline_rows(results).pivot(index="revision", columns="task", values="value")


def _headline_rows(results):
    rank = results["metric"].map({"acc_norm": 0, "acc": 1}).fillna(2)
    return results.assign(rank=rank).sort_values("rank", kind="stable").drop_duplicates(["revision", "task"])


def resampled(results, revisions, n_resamples=1000, seed=0):
    """The curve of every task, and what it might have been with other items.

    The command does not keep every item by default, but a standard error; so resamples are normal
    around the score, and drawn anew at each checkpoint.

    Parameters
    ----------
    results : pandas.DataFrame
        Of one model, as ``newest`` returns it.
    revisions : sequence of n_checkpoints str
    n_resamples, seed : int

    Returns
    -------
    dict from task to (curve, resamples)
        Arrays of shape (n_checkpoints,) and (n_resamples, n_checkpoints); NaN where a checkpoint has
        no score or no standard error.
    """
    rng, curves = np.random.default_rng(seed), {}
    for task, rows in _headline_rows(results).groupby("task"):
        of_revision = rows.set_index("revision").reindex(revisions)
        value, stderr = of_revision["value"].to_numpy(float), of_revision["stderr"].to_numpy(float)
        curves[task] = value, value + stderr * rng.standard_normal((n_resamples, len(value)))
    return curves
