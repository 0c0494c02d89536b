"""Choose from the results of the ``lm_eval`` command those that make one curve over training.

Runs differ in the model's arguments, prompts, shots and metrics. What ``pipeline.lm_eval_files`` reads has a row for
each run; a curve has one value for each checkpoint, all measured in the same way.
"""

import json

import numpy as np
import pandas as pd

from pipeline.tasks import lm_eval_settings

# Metrics that lie between 0 and 1, as the command writes them.
SHARES = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_all", "exact_match", "em", "f1", "mc1", "mc2"}


def choose_curves(results):
    """Choose for each task the results that make one curve.

    These are the results with the settings that most checkpoints have. Where two settings are equally frequent, those
    without an adapter, quantisation, chat template and the like are chosen, then the newest.

    Parameters
    ----------
    results : pandas.DataFrame
        As ``read_folder`` returns it, of one model, at the checkpoints of the curve.

    Returns
    -------
    curves : pandas.DataFrame with columns revision, task, metric, value, stderr, n_shots
        A row per task, checkpoint and metric: of several runs, the newest that has the metric. Runs with
        ``--limit`` are left out.
    sentences : list of str
        For each task, what was left out at which checkpoints, and how it differs; and versions that differ.
    """
    kept, sentences = [], []
    for task, rows in results[~results["is_limited"].astype(bool)].groupby("task"):
        rows, assumed = _settle_dtype(rows)
        if assumed:
            sentences.append(f"{task}: {assumed}")
        settings = _usual_settings(rows)
        chosen = select_newest(rows[rows["settings"] == settings])
        kept.append(chosen)
        sentences += _what_was_left_out(task, rows, settings, chosen)
    columns = ["revision", "task", "metric", "value", "stderr", "n_shots"]
    curves = pd.concat(kept, ignore_index=True) if kept else results[:0]
    return curves[columns].reset_index(drop=True), sentences


def _settle_dtype(rows):
    """Return results in which an unrecorded dtype is that of most others, and a sentence on it, or the empty str.

    Some versions do not record the dtype that ``auto`` led to. Such results are not another kind.
    """
    settings = [json.loads(text) for text in rows["settings"]]
    known = [one["dtype"] for one in settings if one.get("dtype") not in (None, "auto")]
    is_unknown = np.array([one.get("dtype") == "auto" for one in settings])
    if not known or not is_unknown.any():
        return rows, ""
    usual = max(sorted(set(known)), key=known.count)
    settled = [
        json.dumps(one | ({"dtype": usual} if one.get("dtype") == "auto" else {}), sort_keys=True) for one in settings
    ]
    sentence = f"dtype {usual} is assumed, since it is not recorded, at {_some(rows['revision'][is_unknown])}"
    return rows.assign(settings=settled), sentence


def _usual_settings(rows):
    """Return the settings that most checkpoints have."""

    def rank(settings):
        same = rows[rows["settings"] == settings]
        is_plain = set(json.loads(settings)) <= lm_eval_settings.NEUTRAL
        return same["revision"].nunique(), is_plain, same["date"].max()

    return max(rows["settings"].unique(), key=rank)


def find_tasks_without_bounds(results):
    """Return the tasks of curves whose metric is not a share (bits per byte, Brier score): no plateau at 0 or 1.

    Parameters
    ----------
    results : pandas.DataFrame
        As ``choose_curves`` returns it.

    Returns
    -------
    list of str
    """
    return [task for task, rows in results.groupby("task") if choose_metric(rows).partition(",")[0] not in SHARES]


def select_newest(results):
    """Return the newest of several results of a checkpoint, task and metric.

    Parameters
    ----------
    results : pandas.DataFrame
        Of one model, with columns revision, task, metric, date and file.

    Returns
    -------
    pandas.DataFrame of the same columns
    """
    by_date = results.sort_values(["date", "file"], kind="stable")
    return by_date.drop_duplicates(["revision", "task", "metric"], keep="last").sort_index().reset_index(drop=True)


def _what_was_left_out(task, rows, settings, chosen):
    """Yield a sentence about other settings and metrics of a task, and one about its versions."""
    words = []
    for other, same in rows[rows["settings"] != settings].groupby("settings"):
        difference = lm_eval_settings.describe_difference(json.loads(other), json.loads(settings))
        words.append(f"runs with {difference} at {_some(same['revision'])}")
    metric = choose_metric(chosen)
    measured = chosen[chosen["metric"] == metric]
    lacking = chosen[~chosen["revision"].isin(measured["revision"])]
    if len(lacking):
        words.append(f"{' and '.join(lacking['metric'].unique())} without {metric} at {_some(lacking['revision'])}")
    last = select_newest(rows[rows["settings"] == settings].assign(metric=""))  # the newest run of each checkpoint
    outdated = measured[~measured["file"].isin(last["file"])]
    if len(outdated):
        words.append(f"newer runs without {metric} at {_some(outdated['revision'])}")
    if words:
        yield f"{task}: its curve is {metric}; left out are {'; '.join(words)}"
    if items := json.loads(settings).get("items"):
        yield f"{task} has a part of its items, {items}"
    versions = measured[measured["version"] != ""].groupby("version")["revision"]
    if versions.ngroups > 1:
        yield f"{task}: its curve has {' and '.join(f'version {name} at {_some(at)}' for name, at in versions)}"


def _some(revisions, most=6):
    """Return the first few names in words."""
    names = list(dict.fromkeys(revisions))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def choose_metric(rows):
    """Return the metric of a task's curve: acc_norm if most checkpoints have it, else acc, else the first.

    acc_norm divides the log-probability of an answer by its length in bytes.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of one task and one kind of settings, with columns revision and metric.

    Returns
    -------
    str
    """
    n_checkpoints = rows.groupby("metric", sort=False)["revision"].nunique()
    ranks = {"acc_norm": 0, "acc": 1}
    metrics = sorted(n_checkpoints.index, key=lambda metric: (ranks.get(metric.split(",")[0], 2), "," in metric))
    for metric in metrics:
        if 2 * n_checkpoints[metric] > rows["revision"].nunique():
            return metric
    return max(metrics, key=n_checkpoints.get)


def select_headline(curves):
    """Return one score for each task and checkpoint, of the same metric at all checkpoints (see ``choose_metric``).

    Parameters
    ----------
    curves : pandas.DataFrame
        As ``choose_curves`` returns it.

    Returns
    -------
    pandas.DataFrame with a row per revision and a column per task
    """
    return select_headline_rows(curves).pivot(index="revision", columns="task", values="value")


def select_headline_rows(curves):
    """Return the rows of ``choose_curves`` with the metric of each task's curve (see ``choose_metric``)."""
    metrics = {task: choose_metric(rows) for task, rows in curves.groupby("task")}
    return curves[curves["metric"] == curves["task"].map(metrics)]
