"""Read the minimal pairs of BLiMP and Zorro from their clones."""

import json

import pandas as pd

from pipeline.errors import InputError
from study.files.texts import find_lone_surrogate, read_lines
from study.paths import blimp_files, describe_study_folder, study_folder, zorro_files

BLIMP = "https://github.com/alexwarstadt/blimp (git clone it into the study folder)"
ZORRO = "https://github.com/phueb/Zorro (git clone it into the study folder)"


def read_blimp():
    """Read the minimal pairs of BLiMP from the folder ``data/`` of its clone. Damaged files raise InputError.

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, field, pair, good, bad
        A row per pair. Paradigms are sorted by name, pairs are counted from 0.
    """
    rows = []
    for path, lines in _read_files(blimp_files(), study_folder() / "blimp" / "data", ".jsonl", BLIMP):
        for number, line in enumerate(lines):
            phenomenon, field, good, bad = _parse_blimp_line(f"{path}: line {number + 1}", line)
            rows.append((path.stem, phenomenon, field, number, good, bad))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "field", "pair", "good", "bad"])


def _parse_blimp_line(place, line):
    """Return phenomenon, field, good and bad sentence of a line of BLiMP; place is for messages."""
    try:
        record = json.loads(line)
        values = [record[key] for key in ("linguistics_term", "field", "sentence_good", "sentence_bad")]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{place}: expected a record of BLiMP, got {error!r}. Get the file again.") from error
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise InputError(
            f"{place}: expected two sentences, a phenomenon and a field, got one that is empty or not a text. "
            "Get the file again."
        )
    phenomenon, field, good, bad = values
    if half := find_lone_surrogate(good + bad):
        raise InputError(
            f"{place}: expected whole characters, got {half}, half of a character, which no tokenizer reads. "
            "Get or make the file again."
        )
    if not (phenomenon + field).isprintable():
        raise InputError(
            f"{place}: expected names of a phenomenon and a field, got {phenomenon!r} and {field!r}. "
            "Get the file again."
        )
    return values


def read_zorro():
    """Read the minimal pairs of Zorro: an ungrammatical sentence per line, the grammatical sentence below it.

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, pair, good, bad
        The paradigm is the whole name of the file, ``{phenomenon}-{name}``: two phenomena have a paradigm of the same
        name. Damaged files raise InputError.
    """
    rows = []
    for path, lines in _read_files(zorro_files(), study_folder() / "Zorro" / "sentences" / "babyberta", ".txt", ZORRO):
        if len(lines) % 2:
            raise InputError(
                f"{path}: expected an even number of lines, got {len(lines)}: the last has no other sentence. "
                "Get the file again."
            )
        if empty := [number for number, line in enumerate(lines, start=1) if not line.strip()]:
            raise InputError(f"{path}: line {empty[0]}: expected a sentence, got an empty line. Get the file again.")
        phenomenon = path.stem.rpartition("-")[0]
        for number, (bad, good) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            rows.append((path.stem, phenomenon, number, good, bad))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "pair", "good", "bad"])


def _read_files(paths, folder, suffix, source):
    """Yield each file of a benchmark and its lines. Its name, a paradigm, must be fit for a table."""
    if not paths:
        raise InputError(
            f"{folder}: expected {suffix} files, got none. Get them from {source}; {describe_study_folder()}."
        )
    for path in paths:
        if not path.name.isprintable():
            raise InputError(f"{path.parent}: expected file names in UTF-8, got {path.name!a}. Rename that file.")
        yield path, read_lines(path)
