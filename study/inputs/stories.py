"""Read and write story tables: any stimulus as a row per unit, in reading order.

The text of a run is ``text_before`` and ``unit`` of its rows, one after another. A run is what a model reads in one
go: a run, a passage, a sentence.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from study.files.tables import parse_numbers, read_csv, write_table
from study.paths import story_path
from study.require import require_input

COLUMNS = ["run", "unit", "text_before"]
TIMES = ["onset", "offset"]


class Story(NamedTuple):
    """Hold a story table, lists over runs.

    ``runs`` are the names of the runs (str), ``texts`` their texts (str), ``units`` lists of str, ``spans`` int arrays
    (n_units, 2), the first character of each unit in its text and the character after its last. ``onsets_offsets`` are
    two float64 arrays (n_units,), seconds from the start of the run; the list is empty where the table has no times.
    """

    runs: list
    texts: list
    units: list
    spans: list
    onsets_offsets: list


def read_story_table(story):
    """Read ``stories/{story}.csv`` of the study folder, a Story.

    InputError is raised if the table is missing or damaged, has an empty unit, or a run whose rows are not next to each
    other.
    """
    path = require_input(story_path(story), "python -m experiments.brain_score.prepare, or write it by hand,")
    rows = read_csv(path, COLUMNS, optional=TIMES, free_text=("unit", "text_before"))
    if rows.empty:
        raise InputError(f"{path}: expected a row per unit, got none. Make it again.")
    if (is_empty := rows["unit"].str.strip() == "").any():
        raise InputError(f"{path}: line {rows.index[is_empty][0]}: expected text as unit, got none. Remove the row.")
    has_times = all(name in rows for name in TIMES)
    times = [parse_numbers(rows[name], path) for name in TIMES] if has_times else []
    starts = np.flatnonzero((rows["run"] != rows["run"].shift()).to_numpy())
    runs = rows["run"].iloc[starts].tolist()
    if len(set(runs)) < len(runs):
        name = next(run for number, run in enumerate(runs) if run in runs[:number])
        raise InputError(f"{path}: expected the rows of run {name} next to each other, got others between. Sort it.")
    texts, units, spans, onsets_offsets = [], [], [], []
    for first, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        texts_before, words = rows["text_before"].iloc[first:end].tolist(), rows["unit"].iloc[first:end].tolist()
        ends = np.cumsum([len(before) + len(word) for before, word in zip(texts_before, words, strict=True)])
        texts.append("".join(part for pair in zip(texts_before, words, strict=True) for part in pair))
        spans.append(np.stack([ends - np.array(list(map(len, words))), ends], axis=1))
        units.append(words)
        onsets_offsets += [tuple(column[first:end] for column in times)] if has_times else []
    return Story(runs, texts, units, spans, onsets_offsets)


def make_story_table(runs, units, texts_before):
    """Return a story table from three lists with an item per unit, in reading order."""
    return pd.DataFrame({"run": runs, "unit": units, "text_before": texts_before}, columns=COLUMNS)


def write_story_table(path, table):
    """Write a story table, as of ``make_story_table``."""
    write_table(path, table)
