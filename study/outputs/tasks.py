"""Read the scores of all benchmarks, and the items that they are made of."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.tasks import lm_eval_results
from pipeline.tasks.table import BENCHMARKS, describe_part, describe_size, find_most_common_part, is_same_part
from study.inputs.lm_eval import read_lm_eval
from study.outputs import task_tables
from study.outputs.texts import read_acceptability
from study.paths import acceptability_path, benchmark_pairs_path, benchmark_path, generated_texts_folder


def read_benchmarks(model, checkpoints, lm_eval=None):
    """One score per checkpoint for every benchmark that has been run.

    Parameters
    ----------
    model : str
    checkpoints : pandas.DataFrame with columns stem, revision, ...
        As ``fitted_checkpoints`` returns it.
    lm_eval : optional
        As ``read_lm_eval_files`` returns it, for callers that have read the files.

    Returns
    -------
    pandas.DataFrame with a row per checkpoint, in the same order, and a column per benchmark
        Accuracies are means over paradigms, acceptability is the mean probability over texts (and
        over classifiers); NaN where a checkpoint has not been evaluated, or on another part of the
        benchmark than most (see ``what_differs``).

    Raises
    ------
    InputError
        A table is damaged (see ``read_csv`` and ``numbers``).
    """
    columns = {}
    for benchmark in BENCHMARKS:
        paths = [benchmark_path(stem, benchmark) for stem in checkpoints["stem"]]
        if any(path.is_file() for path in paths):
            is_usual = has_usual_part(benchmark, checkpoints["stem"])
            columns[benchmark] = [
                task_tables.read_accuracies(path).mean() if path.is_file() and is_used else np.nan
                for path, is_used in zip(paths, is_usual, strict=True)
            ]
    table = pd.DataFrame(columns, index=checkpoints["revision"])
    if (path := acceptability_path(model, generated_texts_folder())).is_file():
        table["acceptability"] = read_acceptability(path).groupby("revision")["mean_probability"].mean()
    of_tasks = lm_eval_results.select_headline(read_lm_eval(model, checkpoints["revision"], lm_eval))
    return table.join(of_tasks).reset_index(drop=True)


def read_parts(benchmark, stems):
    """Return which part of a benchmark each checkpoint has, and the part that their curve is made of.

    Parameters
    ----------
    benchmark : str
    stems : iterable of str

    Returns
    -------
    parts : list over checkpoints of part (see ``pipeline.benchmarks``) or None
    usual : part or None
        The one that most of them have.

    Raises
    ------
    InputError
        A table is damaged.
    """
    parts = [
        task_tables.read_part(benchmark_path(stem, benchmark), benchmark_pairs_path(stem, benchmark)) for stem in stems
    ]
    return parts, find_most_common_part(parts)


def has_usual_part(benchmark, stems):
    """Return for each checkpoint whether it has the part of a benchmark that most have, a list of bool."""
    parts, usual = read_parts(benchmark, stems)
    return [part is not None and is_same_part(part, usual) for part in parts]


def describe_other_parts(benchmark, names, parts, usual):
    """Say which checkpoints have another part of a benchmark than most.

    Parameters
    ----------
    benchmark : str
    names : sequence over checkpoints of str
        By which they are called in the sentences.
    parts, usual
        As ``parts_of_checkpoints`` returns them.

    Returns
    -------
    list of str
        A sentence for each part.
    """
    sentences = []
    for part in sorted({part for part in parts if part and not is_same_part(part, usual)}, key=repr):
        others = ", ".join(name for name, its_part in zip(names, parts, strict=True) if its_part == part)
        sentences.append(
            f"{benchmark} is another part at {others} ({describe_size(benchmark, part)}) than in the rest of the curve "
            f"({describe_size(benchmark, usual)}), and is left out there"
        )
    return sentences


def describe_parts(model, checkpoints):
    """Say of which benchmarks a part was run, and which part.

    Parameters
    ----------
    model : str
    checkpoints : pandas.DataFrame with columns stem, ...
        As ``fitted_checkpoints`` returns it.

    Returns
    -------
    list of str
        A sentence for each such benchmark, as ``blimp is a part: 4 of 67 paradigms, 800 of 67,000 pairs``.

    Raises
    ------
    InputError
        A table is damaged.
    """
    usual = {benchmark: read_parts(benchmark, checkpoints["stem"])[1] for benchmark in BENCHMARKS}
    sentences = [describe_part(benchmark, part) for benchmark, part in usual.items() if part is not None]
    return [sentence for sentence in sentences if sentence]


def read_benchmark_items(model, checkpoints):
    """What every benchmark's score is made of, for resampling.

    Returns
    -------
    dict from benchmark to (values, groups)
        values, array of shape (n_checkpoints, n_items): whether each pair is right, or how acceptable
        each text is on average over classifiers; NaN where a checkpoint has not been evaluated, or on
        another part of the benchmark than most.
        groups, array of shape (n_items,): the paradigm of each pair; texts are one group.

    Raises
    ------
    InputError
        A table is damaged (see ``read_csv`` and ``numbers``).
    """
    items = {}
    for benchmark in BENCHMARKS:
        parts, usual = read_parts(benchmark, checkpoints["stem"])
        rights: list = [None] * len(parts)
        for row, stem in enumerate(checkpoints["stem"]):
            path = benchmark_pairs_path(stem, benchmark)
            if path.is_file() and is_same_part(parts[row], usual):
                right = task_tables.read_right(path)
                # Where its accuracies are of other pairs, --check names both tables.
                if is_same_part(task_tables.count_by_paradigm(right.index.get_level_values(0)), usual):
                    rights[row] = path, right
        if any(right is not None for right in rights):
            items[benchmark] = task_tables.join_pairs(rights)
    if (path := acceptability_path(model, generated_texts_folder())).is_file():
        texts = read_acceptability(path).groupby(["revision", "prompt", "sample"])["mean_probability"].mean()
        table = texts.unstack("revision").reindex(columns=checkpoints["revision"])
        # Prompts are not kept apart: a model that has learnt little may write no sentence after one of them.
        items["acceptability"] = table.to_numpy().T, np.zeros(len(table))
    return items


def read_acceptability_items(model, checkpoints):
    """Acceptability of every generated text of every judge, for curves by prompt and by judge.

    Returns
    -------
    list of (by, curve, values)
        by is prompt or judge, curve which one, and values an array of shape (n_checkpoints, n_texts),
        NaN where there is no text, or no sentence in it. Empty where nothing has been judged.
    """
    path = acceptability_path(model, generated_texts_folder())
    if not path.is_file():
        return []
    table, items = read_acceptability(path), []

    def of_texts(rows):
        texts = rows.groupby(["revision", "prompt", "sample"])["mean_probability"].mean()
        return texts.unstack("revision").reindex(columns=checkpoints["revision"]).to_numpy().T

    for prompt, rows in table.groupby("prompt"):
        items.append(("prompt", f"prompt {int(prompt)}", of_texts(rows)))
    for classifier, rows in table.groupby("classifier"):
        items.append(("judge", Path(classifier).name, of_texts(rows)))
    return items
