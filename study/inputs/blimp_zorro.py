"""Read the minimal pairs of BLiMP and Zorro from their clones."""

import json

import pandas as pd

from pipeline.errors import InputError
from study.files.texts import find_lone_surrogate, read_lines
from study.paths import blimp_files, describe_study_folder, study_folder, zorro_files

BLIMP = "https://github.com/alexwarstadt/blimp (git clone it into the study folder)"

ZORRO = "https://github.com/phueb/Zorro (git clone it into the study folder)"


def read_blimp():
    """The minimal pairs of BLiMP, from the ``data/`` of its clone.

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, field, pair, good, bad
        A row per pair; paradigms by name, pairs counted from 0.

    Raises
    ------
    InputError
        There are no files, or a line is no record of a pair.
    """
    rows = []
    if not blimp_files():
        raise InputError(
            f"{study_folder()}/blimp/data holds no .jsonl files: get them from {BLIMP}; {describe_study_folder()}"
        )
    for path in blimp_files():
        check_file_name(path)
        for number, line in enumerate(read_lines(path)):
            try:
                record = json.loads(line)
                values = [record[key] for key in ("linguistics_term", "field", "sentence_good", "sentence_bad")]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise InputError(
                    f"{path}: line {number + 1} is no record of BLiMP ({error!r}); get the file again"
                ) from error
            if not all(isinstance(value, str) and value.strip() for value in values):
                raise InputError(f"{path}: line {number + 1} lacks a sentence or what it is about; get the file again")
            phenomenon, field, good, bad = values
            check_readable(f"{path}: line {number + 1}", good + bad)
            if not (phenomenon + field).isprintable():
                raise InputError(
                    f"{path}: line {number + 1}: expected names of a phenomenon and a field, got {phenomenon!r} and "
                    f"{field!r}. Get the file again."
                )
            rows.append((path.stem, phenomenon, field, number, good, bad))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "field", "pair", "good", "bad"])


def check_file_name(path):
    """Check that a file's name, which names a paradigm, can stand in a table."""
    if not path.name.isprintable():
        raise InputError(f"{path.parent}: expected file names in UTF-8, got {path.name!a}. Rename that file.")


def check_readable(where, text):
    """Check that a text holds no lone surrogate, half of a character, which JSON can write as an escape."""
    if half := find_lone_surrogate(text):
        raise InputError(
            f"{where}: expected whole characters, got {half}, half of a character, which no tokenizer reads. "
            "Get or make the file again."
        )


def read_zorro():
    """The minimal pairs of Zorro: an ungrammatical sentence a line, the grammatical one below.

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, pair, good, bad
        The paradigm is the file's whole name, ``{phenomenon}-{name}``, since two phenomena have a
        paradigm of the same name.

    Raises
    ------
    InputError
        There are no files, or one has an empty line or an odd number of lines.
    """
    rows = []
    if not zorro_files():
        folder = study_folder() / "Zorro" / "sentences" / "babyberta"
        raise InputError(f"{folder} holds no .txt files: get them from {ZORRO}; {describe_study_folder()}")
    for path in zorro_files():
        check_file_name(path)
        lines = read_lines(path)
        if len(lines) % 2:
            raise InputError(f"{path}: {len(lines)} lines make no pairs: line {len(lines)} lacks its other sentence")
        blank = [number for number, line in enumerate(lines, start=1) if not line.strip()]
        if blank:
            raise InputError(f"{path}: line {blank[0]} is empty; get the file again")
        phenomenon = path.stem.rpartition("-")[0]
        for number, (bad, good) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            rows.append((path.stem, phenomenon, number, good, bad))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "pair", "good", "bad"])
