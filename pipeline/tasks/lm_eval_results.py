"""Choose the results of the ``lm_eval`` command that make one curve over training.

Runs differ in the model's arguments, prompts, shots and metrics. The results have a row for each run. A curve has one
value for each checkpoint, all measured in the same way.
"""

import itertools
import json

import numpy as np
import pandas as pd

from pipeline.tasks import lm_eval_settings
from pipeline.wording import shorten

# Metrics between 0 and 1, as the command names them.
SHARES = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_all", "exact_match", "em", "f1", "mc1", "mc2"}


def choose_curves(results):
    """Choose for each task the results that make one curve.

    These are the results with the settings of most checkpoints. Where two settings are equally frequent, settings
    without an adapter, quantization or chat template are preferred, then the newest.

    Parameters
    ----------
    results : pandas.DataFrame
        The results of one model at the checkpoints of the curve, as ``study.inputs.lm_eval`` reads them.

    Returns
    -------
    curves : pandas.DataFrame with columns revision, task, metric, value, stderr, n_shots, file
        A row per task, checkpoint and metric, of the newest run with this metric. Runs with ``--limit`` are excluded.
    sentences : list of str
        For each task, the excluded runs, their checkpoints and their settings; and differences in version.
    """
    kept, sentences = [], []
    for task, rows in results[~results["is_limited"].astype(bool)].groupby("task"):
        rows, assumption = _assume_dtype(rows)
        if assumption:
            sentences.append(f"{task}: {assumption}")
        settings = _find_usual_settings(rows)
        chosen = select_newest(rows[rows["settings"] == settings])
        kept.append(chosen)
        sentences += _describe_excluded(task, rows, settings, chosen)
    columns = ["revision", "task", "metric", "value", "stderr", "n_shots", "file"]
    curves = pd.concat(kept, ignore_index=True) if kept else results[:0]
    return curves[columns].reset_index(drop=True), sentences


def _assume_dtype(rows):
    """Return results in which an unrecorded dtype is the usual dtype, and a sentence on it, or the empty str.

    Some versions of lm_eval record ``auto`` instead of the dtype.
    """
    settings = [json.loads(text) for text in rows["settings"]]
    known = [values["dtype"] for values in settings if values.get("dtype") not in (None, "auto")]
    is_unknown = np.array([values.get("dtype") == "auto" for values in settings])
    if not known or not is_unknown.any():
        return rows, ""
    usual = max(sorted(set(known)), key=known.count)
    for values in itertools.compress(settings, is_unknown):
        values["dtype"] = usual
    completed = [json.dumps(values, sort_keys=True) for values in settings]
    revisions = shorten(rows["revision"][is_unknown].unique())
    return rows.assign(settings=completed), f"dtype {usual} is assumed, since it is not recorded, at {revisions}"


def _find_usual_settings(rows):
    """Return the settings of most checkpoints."""

    def rank(settings):
        same = rows[rows["settings"] == settings]
        is_plain = set(json.loads(settings)) <= lm_eval_settings.NEUTRAL
        return same["revision"].nunique(), is_plain, same["date"].max()

    return max(rows["settings"].unique(), key=rank)


def find_tasks_without_bounds(results):
    """Return the tasks of ``choose_curves`` whose metric is not a share, so that it is not bounded by 0 and 1.

    Bits per byte and the Brier score are such metrics.
    """
    return [task for task, rows in results.groupby("task") if choose_metric(rows).partition(",")[0] not in SHARES]


def select_newest(results):
    """Return the newest of several results of a checkpoint, task and metric, for the results of one model."""
    by_date = results.sort_values(["date", "file"], kind="stable")
    return by_date.drop_duplicates(["revision", "task", "metric"], keep="last").sort_index().reset_index(drop=True)


def _describe_excluded(task, rows, settings, chosen):
    """Yield sentences on the excluded settings and metrics of a task, and on its versions."""
    words = []
    for excluded_settings, excluded in rows[rows["settings"] != settings].groupby("settings"):
        difference = lm_eval_settings.describe_difference(json.loads(excluded_settings), json.loads(settings))
        words.append(f"runs with {difference} at {shorten(excluded['revision'].unique())}")
    metric = choose_metric(chosen)
    measured = chosen[chosen["metric"] == metric]
    lacking = chosen[~chosen["revision"].isin(measured["revision"])]
    if len(lacking):
        metrics = " and ".join(lacking["metric"].unique())
        words.append(f"{metrics} without {metric} at {shorten(lacking['revision'].unique())}")
    last = select_newest(rows[rows["settings"] == settings].assign(metric=""))  # the newest run of each checkpoint
    outdated = measured[~measured["file"].isin(last["file"])]
    if len(outdated):
        words.append(f"newer runs without {metric} at {shorten(outdated['revision'].unique())}")
    if words:
        yield f"{task}: its curve is {metric}; left out are {'; '.join(words)}"
    if items := json.loads(settings).get("items"):
        yield f"{task} has a part of its items, {items}"
    versions = measured[measured["version"] != ""].groupby("version")["revision"]
    if versions.ngroups > 1:
        parts = [f"version {name} at {shorten(revisions.unique())}" for name, revisions in versions]
        yield f"{task}: its curve has {' and '.join(parts)}"


def choose_metric(rows):
    """Return the metric of a task's curve: acc_norm if most checkpoints have it, else acc, else the first metric.

    acc_norm divides the log-probability of an answer by its length in bytes. The rows have the columns revision and
    metric, and are the results of a task with the same settings.
    """
    n_checkpoints = rows.groupby("metric", sort=False)["revision"].nunique()
    ranks = {"acc_norm": 0, "acc": 1}
    metrics = sorted(n_checkpoints.index, key=lambda metric: (ranks.get(metric.split(",")[0], 2), "," in metric))
    for metric in metrics:
        if 2 * n_checkpoints[metric] > rows["revision"].nunique():
            return metric
    return max(metrics, key=n_checkpoints.get)


def select_headline(curves):
    """Return the results of ``choose_curves`` with the metric of each task's curve (see ``choose_metric``).

    They are a pandas.DataFrame with a row per revision and a column per task.
    """
    return select_headline_rows(curves).pivot(index="revision", columns="task", values="value")


def select_headline_rows(curves):
    """Return the rows of ``choose_curves`` with the metric of each task's curve (see ``choose_metric``)."""
    metrics = {task: choose_metric(rows) for task, rows in curves.groupby("task")}
    return curves[curves["metric"] == curves["task"].map(metrics)]
