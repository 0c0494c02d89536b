"""Read the scores of all benchmarks, and the items from which they are computed."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.tasks import lm_eval_results
from pipeline.tasks.minimal_pairs import average_accuracies
from pipeline.tasks.table import BENCHMARKS, describe_part, describe_size, find_most_common_part, is_same_part
from study.inputs.lm_eval import read_lm_eval
from study.outputs import task_tables
from study.outputs.scoring import mark_usual_scoring
from study.outputs.texts import read_acceptability
from study.paths import acceptability_path, benchmark_pairs_path, benchmark_path, generated_texts_folder


def read_benchmarks(model, checkpoints, lm_eval=None):
    """Read one score per checkpoint for every benchmark that has been run.

    Parameters
    ----------
    model : str
    checkpoints : pandas.DataFrame with columns stem, revision, ..., as ``find_fitted_checkpoints`` returns it
    lm_eval : optional, as ``read_lm_eval_files`` returns it, for callers that have read the files

    Returns
    -------
    pandas.DataFrame with a row per checkpoint, in the same order, and a column per benchmark
        Accuracies are means over paradigms, weighted by their numbers of pairs. Acceptability is the mean probability
        over texts and classifiers. NaN where a checkpoint has not been evaluated, was evaluated on another part of the
        benchmark than most, or was scored with other options than most. A damaged table raises InputError.
    """
    columns = {}
    for benchmark in BENCHMARKS:
        paths = [benchmark_path(stem, benchmark) for stem in checkpoints["stem"]]
        if any(path.is_file() for path in paths):
            parts, usual = read_parts(benchmark, checkpoints["stem"])
            is_used = mark_used(benchmark, checkpoints["stem"], parts, usual)
            columns[benchmark] = [
                average_accuracies(task_tables.read_accuracies(path), usual) if is_read and path.is_file() else np.nan
                for path, is_read in zip(paths, is_used, strict=True)
            ]
    table = pd.DataFrame(columns, index=checkpoints["revision"])
    if (path := acceptability_path(model, generated_texts_folder())).is_file():
        table["acceptability"] = read_acceptability(path).groupby("revision")["mean_probability"].mean()
    lm_eval_scores = lm_eval_results.select_headline(read_lm_eval(model, checkpoints["revision"], lm_eval))
    return table.join(lm_eval_scores).reset_index(drop=True)


def read_parts(benchmark, stems):
    """Read the part of a benchmark that each checkpoint has, and find the part of most checkpoints.

    Returns
    -------
    parts : list over checkpoints of part (see ``pipeline.tasks.table``) or None
    usual : part or None, the part of most checkpoints that are scored in the usual way, which their curve consists of
    """
    paths = [(benchmark_path(stem, benchmark), benchmark_pairs_path(stem, benchmark)) for stem in stems]
    parts = [task_tables.read_part(path, pairs_path) for path, pairs_path in paths]
    is_usual = mark_usual_scoring(benchmark, stems)
    return parts, find_most_common_part([part for part, is_kept in zip(parts, is_usual, strict=True) if is_kept])


def mark_used(benchmark, stems, parts, usual):
    """Return whether the curve of a benchmark contains each checkpoint, a list of bool: the same part and scoring.

    ``parts`` and ``usual`` are as ``read_parts`` returns them.
    """
    pairs = zip(parts, mark_usual_scoring(benchmark, stems), strict=True)
    return [part is not None and is_kept and is_same_part(part, usual) for part, is_kept in pairs]


def describe_other_parts(benchmark, names, parts, usual):
    """Return a sentence for each part of a benchmark other than that of most checkpoints.

    ``names`` are the checkpoints' names in the sentences. ``parts`` and ``usual`` are as ``read_parts`` returns them.
    """
    sentences = []
    for part in sorted({part for part in parts if part and not is_same_part(part, usual)}, key=repr):
        members = ", ".join(name for name, part_here in zip(names, parts, strict=True) if part_here == part)
        sentences.append(
            f"{benchmark} is another part at {members} ({describe_size(benchmark, part)}) than in the rest of the "
            f"curve ({describe_size(benchmark, usual)}), and is left out there"
        )
    return sentences


def describe_parts(model, checkpoints):
    """Return a sentence for each benchmark of which only a part was run.

    Example: ``blimp is a part: 4 of 67 paradigms, 800 of 67,000 pairs``. ``checkpoints`` has a column stem.
    """
    usual = {benchmark: read_parts(benchmark, checkpoints["stem"])[1] for benchmark in BENCHMARKS}
    sentences = [describe_part(benchmark, part) for benchmark, part in usual.items() if part is not None]
    return [sentence for sentence in sentences if sentence]


def read_benchmark_items(model, checkpoints):
    """Read the items of every benchmark, for resampling.

    Parameters
    ----------
    model : str
    checkpoints : pandas.DataFrame with columns stem, revision, ..., as ``find_fitted_checkpoints`` returns it

    Returns
    -------
    dict from benchmark to (values, paradigms, groups)
        values, array (n_checkpoints, n_items): 1 or 0 for each pair (see ``task_tables.read_right``), or the mean
        acceptability of each text over classifiers. NaN where a checkpoint has not been evaluated, was evaluated on
        another part of the benchmark than most, or was scored with other options than most. paradigms, array
        (n_items,): the paradigm of each pair; all texts have the same. groups, array (n_items,): pairs of a paradigm
        that were made together have the same; None for texts. The fields of BLiMP, such as ``blimp_syntax``, are
        benchmarks of their own where there are several. A damaged table raises InputError.
    """
    items = {}
    for benchmark in BENCHMARKS:
        parts, usual = read_parts(benchmark, checkpoints["stem"])
        is_used = mark_used(benchmark, checkpoints["stem"], parts, usual)
        rights: list = [None] * len(parts)
        for row, stem in enumerate(checkpoints["stem"]):
            path = benchmark_pairs_path(stem, benchmark)
            if path.is_file() and is_used[row]:
                right = task_tables.read_right(path, BENCHMARKS[benchmark].pairs_per_group)
                # Where accuracies and pairs do not fit together, --check reports both tables.
                if is_same_part(task_tables.count_by_paradigm(right.index.get_level_values(0)), usual):
                    rights[row] = path, right
        if any(right is not None for right in rights):
            items[benchmark] = task_tables.join_pairs(rights)
    if (path := acceptability_path(model, generated_texts_folder())).is_file():
        values = _average_texts(read_acceptability(path), checkpoints)
        # Prompts are not separate groups: a model that has learnt little may write no sentence after one of them.
        items["acceptability"] = values, np.zeros(values.shape[1]), None
    if "blimp" in items:
        items |= _select_fields(items["blimp"], checkpoints["stem"])
    return items


def _select_fields(blimp, stems):
    """Select the items of each field of BLiMP, a dict; empty where fields are not known, or there is only one."""
    values, paradigms, groups = blimp
    paths = [benchmark_path(stem, "blimp") for stem in stems]
    tables = [task_tables.read_fields(path) for path in paths if path.is_file()]
    fields = np.array([_find_field(paradigm, tables) for paradigm in paradigms])
    names = sorted(set(fields) - {""})
    if len(names) < 2:
        return {}
    members = {f"blimp_{re.sub(r'[^0-9A-Za-z]+', '_', name)}": fields == name for name in names}
    return {name: (values[:, kept], paradigms[kept], groups[kept]) for name, kept in members.items()}


def _find_field(paradigm, tables):
    """Return the field of a paradigm in the first table that has it, or the empty str."""
    return next((fields[paradigm] for fields in tables if fields.get(paradigm)), "")


def _average_texts(rows, checkpoints):
    """Average the acceptability of each text over classifiers, an array (n_checkpoints, n_texts)."""
    texts = rows.groupby(["revision", "prompt", "sample"])["mean_probability"].mean()
    return texts.unstack("revision").reindex(columns=checkpoints["revision"]).to_numpy().T


def read_acceptability_items(model, checkpoints):
    """Read the acceptability of every generated text, for curves by prompt and by classifier.

    Returns
    -------
    list of (factor, curve, values)
        factor is ``prompt`` or ``judge``, curve the name of the prompt or classifier. values has shape
        (n_checkpoints, n_texts), NaN for a missing text or one without a sentence. Empty where nothing has been judged.
    """
    path = acceptability_path(model, generated_texts_folder())
    if not path.is_file():
        return []
    table = read_acceptability(path)
    by_prompt = [("prompt", f"prompt {int(prompt)}", rows) for prompt, rows in table.groupby("prompt")]
    by_judge = [("judge", Path(classifier).name, rows) for classifier, rows in table.groupby("classifier")]
    return [(factor, curve, _average_texts(rows, checkpoints)) for factor, curve, rows in by_prompt + by_judge]
