"""Read the two tables of a benchmark of minimal pairs: a row per paradigm, and a row per pair."""

import collections
import hashlib

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from study.files.tables import parse_numbers, read_csv

SENTENCES = ("good", "bad")


def read_accuracies(path):
    """Read the accuracy of each paradigm, a pandas.Series of float; the index is the paradigm.

    A table that is damaged, lacks a column, has no row, or an accuracy not between 0 and 1, raises InputError.
    """
    rows = read_csv(path, ["paradigm", "accuracy"])
    values = parse_numbers(rows["accuracy"], path)
    if rows.empty:
        raise InputError(f"{path}: expected a row per paradigm, got none. Make it again with --overwrite.")
    is_wrong = (values < 0) | (values > 1)
    if is_wrong.any():
        line, cell = rows.index[is_wrong][0], rows["accuracy"][is_wrong].iloc[0]
        raise InputError(f"{path}: line {line}: expected an accuracy from 0 to 1, got {cell}. Get or make it again.")
    return pd.Series(values, index=rows["paradigm"], name="accuracy")


def read_right(path, pairs_per_group=1):
    """Read for each pair whether the model prefers the good sentence. A damaged table raises InputError.

    Parameters
    ----------
    path : pathlib.Path
    pairs_per_group : int
        The number of successive pairs of a paradigm, from pair 0, that were made together. It counts for a table
        without the column ``group``, as earlier versions wrote it. With 1, each pair is a group of its own.

    Returns
    -------
    pandas.Series of float
        1 where the good sentence has the higher log-probability, 0 where it has not or they are equal. The index is
        (paradigm, pair, group), as strings. ``attrs["sentences"]`` is a checksum of the sentences, or None.
    """
    columns = ["paradigm", "pair", "logprob_good", "logprob_bad"]
    rows = read_csv(path, columns, optional=[*SENTENCES, "group"], free_text=SENTENCES)
    if rows.empty:
        raise InputError(f"{path}: expected a row per pair, got none. Make it again with --overwrite.")
    good, bad = (parse_numbers(rows[side], path) for side in ("logprob_good", "logprob_bad"))
    groups = rows["group"] if "group" in rows else _make_groups(rows["pair"], pairs_per_group, path)
    right = pd.Series(good > bad, index=[rows["paradigm"], rows["pair"], groups], dtype=float)
    right.attrs["sentences"] = _checksum_of_sentences(rows)
    return right


def _make_groups(numbers, pairs_per_group, path):
    """Return the group of each pair from its number, a series of str."""
    if pairs_per_group == 1:
        return numbers.rename("group")
    groups = parse_numbers(numbers, path) // pairs_per_group
    return pd.Series([f"{group:.0f}" for group in groups], index=numbers.index, name="group")


def _checksum_of_sentences(rows):
    """Compute a checksum of the sentences of pairs in any order, or return None where there are no sentences."""
    if not set(SENTENCES) <= set(rows):
        return None
    sentences = sorted(zip(rows["paradigm"], rows["pair"], rows["good"], rows["bad"], strict=True))
    return hashlib.sha256(repr(sentences).encode()).hexdigest()


def read_part(path, pairs_path):
    """Read the part of a benchmark that a checkpoint has: paradigms and their numbers of pairs.

    The part is a tuple as defined in ``pipeline.tasks.table``, or None where neither table exists. The table of pairs
    is read where the table of paradigms, ``path``, is missing or has no column n_pairs. Damage raises InputError.
    """
    if path.is_file():
        rows = read_csv(path, ["paradigm"], optional=["n_pairs"])
        if "n_pairs" in rows:
            sizes = parse_numbers(rows["n_pairs"], path)
            if (is_wrong := ~(sizes >= 1)).any():
                line, cell = rows.index[is_wrong][0], rows["n_pairs"][is_wrong].iloc[0]
                raise InputError(f"{path}: line {line}: expected 1 pair or more, got {cell}. Get or make it again.")
            sizes = sizes.astype(int).tolist()
            return tuple(sorted(zip(rows["paradigm"], sizes, strict=True)))
        if not pairs_path.is_file():
            return tuple((paradigm, None) for paradigm in sorted(rows["paradigm"]))
    if pairs_path.is_file():
        return count_by_paradigm(read_csv(pairs_path, ["paradigm"], free_text=SENTENCES)["paradigm"])
    return None


def read_fields(path):
    """Read the field of each paradigm, a dict; it is empty where the table lacks the column, as in older versions."""
    rows = read_csv(path, ["paradigm"], optional=["field"])
    return dict(zip(rows["paradigm"], rows["field"], strict=True)) if "field" in rows else {}


def count_by_paradigm(paradigms):
    """Return the part of a benchmark from the paradigm of each pair."""
    return tuple(sorted(collections.Counter(paradigms).items()))


def join_pairs(rights):
    """Join the pairs of several checkpoints, which must be the same (InputError).

    Parameters
    ----------
    rights : list over checkpoints of (path, series from ``read_right``), None for a checkpoint without pairs

    Returns
    -------
    values : float array (n_checkpoints, n_pairs), NaN for a checkpoint without pairs
    paradigms, groups : arrays (n_pairs,) of str
    """
    first_path, first = next(right for right in rights if right is not None)
    values = np.full((len(rights), len(first)), np.nan)
    for row, right in enumerate(rights):
        if right is None:
            continue
        path, series = right
        if not series.index.equals(first.index):
            if first.index.has_duplicates or sorted(series.index) != sorted(first.index):
                raise InputError(
                    f"{path}: expected the pairs of {first_path.name} by paradigm, number and group, got others. "
                    "Make one of them again with --overwrite."
                )
            series = series.reindex(first.index)  # the same pairs in another order
        checksums = {table.attrs["sentences"] for table in (first, right[1])} - {None}
        if len(checksums) > 1:
            raise InputError(
                f"{path}: expected the sentences of {first_path.name}, got others under the same numbers. "
                "Make one of them again with --overwrite."
            )
        values[row] = series.to_numpy()
    return values, *(first.index.get_level_values(name).to_numpy() for name in ("paradigm", "group"))
