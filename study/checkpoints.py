"""Find the checkpoints of a study, and how many tokens each was trained on."""

import glob
import re

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from study.files.tables import parse_numbers, read_csv
from study.paths import (
    checkpoint_stem,
    describe_study_folder,
    layer_correlations_path,
    run_correlations_path,
    tokens_table_path,
)
from study.records import read_record

PYTHIA_TOKENS_PER_STEP = 2_097_152


def get_name_on_record(stem, checkpoint):
    """The model's name as in file names: what comes before the revision in the stem of a checkpoint on record.

    The model on record may be a path that was relative to another folder.
    """
    revision = (checkpoint.get("revision") or "").replace("/", "_")
    return stem.removesuffix(f"_{revision}") if revision else stem


def find_training_tokens(model, revision):
    """Tokens that a checkpoint was trained on, as a float, or None where nothing tells.

    A row of the study's ``training_tokens.csv`` (see ``read_tokens_table``) counts first;
    then a revision that says so (``stage1-step150-tokens1B`` is 1e9; a second stage, as OLMo-2's, counts
    its tokens anew, and so tells nothing); then, for a model with pythia in its name, ``step1000``, at
    2,097,152 tokens a step.
    """
    rows = read_tokens_table()
    rows = rows[(rows["model"] == model) & (rows["revision"] == revision)]
    if len(rows):
        return _only_number_of_tokens(rows)
    if re.match(r"stage[2-9]", revision):
        return None
    if match := re.search(r"(?:^|-)tokens(\d+(?:\.\d+)?)([KMBT]?)$", revision):
        return float(match[1]) * {"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[match[2]]
    if "pythia" in model.lower() and (match := re.fullmatch(r"step(\d+)", revision)):
        return float(int(match[1]) * PYTHIA_TOKENS_PER_STEP)
    return None


def read_tokens_table():
    """Read the user's own table of training tokens, from ``tokens_table_path``.

    Returns
    -------
    pandas.DataFrame of str with columns model, revision, tokens
        A row per row of the table, with its line as index; without rows where there is no table. In the
        table, ``model`` is the name on the hub (``allenai/OLMo-2-1124-7B``) or, for a local model, the
        name of its folder. Here it is the name as in file names.

    Raises
    ------
    InputError
        The table is damaged or lacks a column.
    """
    columns, path = ["model", "revision", "tokens"], tokens_table_path()
    if not path.exists():
        return pd.DataFrame(columns=columns, dtype=str)
    rows = read_csv(path, columns)
    return rows.assign(model=rows["model"].str.replace("/", "_"))


def find_unused_token_rows(checkpoints):
    """Return the rows of ``training_tokens.csv`` that are of no checkpoint of the study.

    Parameters
    ----------
    checkpoints : iterable of (model, revision)
        The model's name as in file names (``allenai_OLMo-2-1124-7B``), and the revision, "" for none.

    Returns
    -------
    pandas.DataFrame with columns model, revision, tokens
        As ``read_tokens_table`` returns it: the index is the line of the file.
    """
    rows, known = read_tokens_table(), set(checkpoints)
    is_known = [key in known for key in zip(rows["model"], rows["revision"], strict=True)]
    return rows[~np.array(is_known, dtype=bool)]


def _only_number_of_tokens(rows):
    """Return the number in one or more equal rows of the table of training tokens."""
    path = tokens_table_path()
    tokens = parse_numbers(rows["tokens"], path)
    is_wrong = ~np.isfinite(tokens) | (tokens < 0)
    if is_wrong.any():
        line, cell = rows.index[is_wrong][0], rows["tokens"][is_wrong].iloc[0]
        raise InputError(
            f"{path}: line {line}: expected a number of tokens of 0 or more, got {cell}. Correct that line."
        )
    if len(set(tokens)) > 1:
        raise InputError(
            f"{path}: lines {' and '.join(map(str, rows.index))}: expected one number of tokens for one checkpoint, "
            f"got {' and '.join(rows['tokens'])}. Remove all but one."
        )
    return float(tokens[0])


def find_fitted_checkpoints(model, lang):
    """The checkpoints of a model whose brain correlations are in the study folder.

    Parameters
    ----------
    model : str
        As on the command line (``allenai/OLMo-2-1124-7B``) or as in file names.
    lang : str

    Returns
    -------
    pandas.DataFrame with columns stem, revision, tokens, by increasing tokens
        Only checkpoints whose training tokens are known; see ``training_tokens``.
    left_out : list of str
        Revisions of files whose training tokens nothing tells, or that may be of another model.

    Raises
    ------
    InputError
        No checkpoint's training tokens are known, or two were trained on as many.
    """
    name = checkpoint_stem(model)
    folder = layer_correlations_path("x", 0, lang).parent
    rows, left_out = [], []
    for path in sorted(folder.glob(f"{glob.escape(name)}_*_layer-0_corr_{lang}.gz")):
        stem = path.name.removesuffix(f"_layer-0_corr_{lang}.gz")
        revision = stem.removeprefix(f"{name}_")
        if checkpoint := read_record(run_correlations_path(stem, lang)).get("checkpoint"):
            if get_name_on_record(stem, checkpoint) != name:
                continue  # of a model whose name begins like this one's
            revision = checkpoint["revision"] or revision
        tokens = find_training_tokens(name, revision)
        if tokens is None or ("_" in revision and not checkpoint):
            left_out.append(revision)
        else:
            rows.append((stem, revision, tokens))
    table = pd.DataFrame(rows, columns=["stem", "revision", "tokens"])
    if table.empty:
        others = sorted(path.name.replace("_layer-0_corr_", " ") for path in folder.glob("*_layer-0_corr_*.gz"))
        raise InputError(
            f"{folder} holds no checkpoint of {model} in {lang} whose training tokens are known; there are "
            f"{', '.join(other.removesuffix('.gz') for other in others[:6]) or 'none'}{' ...' * (len(others) > 6)}: "
            f"LTBA_MODEL and LTBA_LANG choose, fit_average_subject.py makes more ({describe_study_folder()})"
        )
    table = table.sort_values("tokens", ignore_index=True)
    if (alike := table.duplicated("tokens", keep=False)).any():
        one, other, *_ = table["revision"][alike]
        raise InputError(
            f"{folder}: {one} and {other} are trained on as many tokens, so that one curve cannot hold both: "
            f"move the files of one away, or say in {tokens_table_path().name} what is right"
        )
    return table, left_out


def name_checkpoints(checkpoints):
    """Return how checkpoints are called in sentences, by stem: their revision, or the stem where there is none."""
    names = checkpoints["revision"].where(checkpoints["revision"].fillna("") != "", checkpoints["stem"])
    return dict(zip(checkpoints["stem"], names, strict=True))
