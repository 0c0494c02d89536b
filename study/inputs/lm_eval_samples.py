"""Read the answers to single items that the ``lm_eval`` command writes with ``--log_samples``.

lm_eval 0.4.3 and later writes ``samples_{task}_{time}.jsonl`` into the folder of the results, whose own file name has
the same time. Each line is a JSON object: one item, with its scores by one filter.
"""

import json
import math
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.wording import shorten
from study.inputs.lm_eval_files import MOST_BYTES, TIME_IN_NAME

# Metrics whose score is the mean over items.
MEANS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
MOST_DIFFERENCE = 1e-6  # between a score and the mean over items, which is rounded
LOSS = "noise is drawn independently at every checkpoint, so that a rise is detected less often"


def read_lm_eval_items(results, revisions):
    """Read the items of every task that has its samples at all checkpoints of its curve.

    Parameters
    ----------
    results : pandas.DataFrame, as ``lm_eval_results.select_headline_rows`` returns it
    revisions : sequence of n_checkpoints str

    Returns
    -------
    items : dict from task to float array (n_checkpoints, n_items)
        The score of each item by the metric of the task's curve. NaN at a checkpoint without the task.
    notes : list of str, a sentence for each task without items, which states the reason
    """
    items, notes = {}, []
    for task, rows in results.groupby("task"):
        try:
            items[task] = _join_items(task, rows, revisions)
        except InputError as error:
            notes.append(f"{task}: {LOSS}. {error}")
    return items, notes


def _join_items(task, rows, revisions):
    """Return the items of a task at all checkpoints; InputError where they cannot be joined."""
    paths = dict(zip(rows["revision"], (find_samples(file, task) for file in rows["file"]), strict=True))
    if missing := [revision for revision, path in paths.items() if path is None or not path.is_file()]:
        raise InputError(f"Expected samples at {shorten(missing)}, got none. Run lm_eval with --log_samples.")
    first_path = paths[rows["revision"].iloc[0]]
    first: dict[tuple[int, str], float] = {}
    values = {}
    for row in rows.to_dict("records"):
        path = paths[row["revision"]]
        scores = read_samples(path, row["metric"])
        mean = math.fsum(scores.values()) / len(scores)
        if abs(mean - row["value"]) > MOST_DIFFERENCE:
            raise InputError(
                f"{path}: expected items with a mean of {row['value']:.6f}, got {len(scores)} items with a mean of "
                f"{mean:.6f}. Run lm_eval again."
            )
        first = first or scores
        if scores.keys() != first.keys():
            raise InputError(f"{path}: expected the items of {first_path.name}, got others. Run lm_eval again.")
        values[row["revision"]] = [scores[item] for item in first]
    return np.array([values.get(revision, [np.nan] * len(first)) for revision in revisions])


def find_samples(file, task):
    """Return the path of the samples next to a file of results (str), None where its name has no time."""
    time = TIME_IN_NAME.search(Path(file).name)
    return Path(file).with_name(f"samples_{task}_{time[0]}.jsonl") if time else None


def read_samples(path, metric):
    """Read the score of each item by a metric, a dict from (number, checksum) to float.

    ``metric`` is as in the results: its name, and the filter after a comma, if any. The checksum of an item is the
    empty str where the file has none. A file that is damaged, or that lacks the metric, raises InputError.
    """
    name, _, filter_name = metric.partition(",")
    if name not in MEANS:
        raise InputError(f"{path}: expected a metric that is a mean over items, got {name}. Its items are not read.")
    scores: dict[tuple[int, str], float] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(iter(lambda: file.readline(MOST_BYTES), ""), start=1):
                sample = _parse_line(f"{path}: line {number}", line, name)
                if sample["filter"] not in ("", filter_name or "none"):
                    continue
                if sample["item"] in scores:
                    raise InputError(
                        f"{path}: line {number}: expected each item once, got item {sample['item'][0]} for the second "
                        "time. Run lm_eval again."
                    )
                scores[sample["item"]] = sample["score"]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "text that is not in UTF-8"
        raise InputError(f"{path}: expected samples of lm_eval, got {reason}. Copy the file again.") from error
    if not scores:
        raise InputError(f"{path}: expected samples with {metric}, got none. Run lm_eval again.")
    return scores


def _parse_line(place, line, metric):
    """Return the item, the filter and the score of a line, a dict; place is for messages."""
    try:
        sample = json.loads(line)
        score, item = sample[metric], (int(sample["doc_id"]), str(sample.get("doc_hash", "")))
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise ValueError(f"{metric} {score!r}")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{place}: expected a sample of lm_eval, got {error!r}. Copy the file again.") from error
    return {"item": item, "filter": str(sample.get("filter", "")), "score": float(score)}
