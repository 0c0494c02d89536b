"""Find the checkpoints of a study and their training tokens."""

import glob
import math
import re

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.wording import shorten
from study import paths
from study.baselines import is_baseline
from study.files.tables import parse_numbers, read_csv
from study.records import read_record

# By a pattern of the model's name.
TOKENS_PER_STEP = {r"olmo-?2.*7b": 4_194_304, r"pythia": 2_097_152}
UNITS = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def get_name_on_record(stem, checkpoint):
    """Return the model's name as in file names: the stem of a checkpoint on record without its revision.

    The model on record cannot be used: it may be a path that was relative to another folder.
    """
    revision = (checkpoint.get("revision") or "").replace("/", "_")
    return stem.removesuffix(f"_{revision}") if revision else stem


def find_training_tokens(model, revision):
    """Find the number of tokens that a checkpoint was trained on.

    Parameters
    ----------
    model, revision : str, the model's name as in file names

    Returns
    -------
    float or None
        The first of these that exists: a row of ``training_tokens.csv`` (see ``read_tokens_table``); the number of
        steps in the revision times the tokens of a step, where these are known (OLMo-2 7B and Pythia), and where
        the revision has no number of tokens or the same when rounded up (``stage1-step150-tokens1B`` is 0.63e9); the
        number of tokens in the revision. A second stage, as OLMo-2's, counts its tokens from 0, so that its revision
        gives None. A damaged table, or one with several numbers for the checkpoint, raises InputError.
    """
    rows = read_tokens_table()
    rows = rows[(rows["model"] == model) & (rows["revision"] == revision)]
    if len(rows):
        return _parse_tokens(rows)
    if re.match(r"stage[2-9]", revision):
        return None
    by_step = _count_by_step(model, revision)
    if not (match := re.search(r"(?:^|-)tokens(\d+(?:\.\d+)?)([KMBT]?)$", revision)):
        return by_step
    number, unit = float(match[1]), UNITS[match[2]]
    # OLMo-2's names are rounded up: 150 steps are 0.63e9 tokens, and called tokens1B.
    is_same = by_step is not None and math.ceil(by_step / unit) == number
    return by_step if is_same else number * unit


def _count_by_step(model, revision):
    """Return the steps of a revision times the tokens of a step, None where either is not known."""
    match = re.fullmatch(r"(?:stage1-)?step(\d+)(?:-tokens.*)?", revision)
    sizes = [size for pattern, size in TOKENS_PER_STEP.items() if re.search(pattern, model.lower())]
    return float(int(match[1]) * sizes[0]) if match and sizes else None


def read_tokens_table():
    """Read the user's own table of training tokens, strings: columns model, revision, tokens; index line of the file.

    A missing file is an empty table. In the file, ``model`` is the name on the hub (``allenai/OLMo-2-1124-7B``) or, for
    a local model, the name of its folder. In the result, it is the name as in file names.
    """
    columns, path = ["model", "revision", "tokens"], paths.tokens_table_path()
    if not path.exists():
        return pd.DataFrame(columns=columns, dtype=str)
    rows = read_csv(path, columns)
    return rows.assign(model=rows["model"].str.replace("/", "_"))


def find_unused_token_rows(checkpoints):
    """Return the rows of ``training_tokens.csv``, as ``read_tokens_table`` does, that match no checkpoint.

    Parameters
    ----------
    checkpoints : iterable of (model, revision), the model's name as in file names, "" for no revision
    """
    rows, checkpoints = read_tokens_table(), set(checkpoints)
    is_used = [key in checkpoints for key in zip(rows["model"], rows["revision"], strict=True)]
    return rows[~np.array(is_used, dtype=bool)]


def _parse_tokens(rows):
    """Return the number of tokens in one or more equal rows of ``training_tokens.csv``."""
    path = paths.tokens_table_path()
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
    """Find the checkpoints of a model that have brain correlations in the study folder.

    InputError is raised if no checkpoint has known training tokens, or two have the same number of training tokens.

    Parameters
    ----------
    model, lang : str, the model as on the command line (``allenai/OLMo-2-1124-7B``) or as in file names

    Returns
    -------
    checkpoints : pandas.DataFrame with columns stem, revision, tokens, sorted by tokens
        Checkpoints with known training tokens (see ``find_training_tokens``).
    left_out : list of str, revisions without known training tokens, or of files that may belong to another model
    """
    name = paths.checkpoint_stem(model)
    folder = paths.layer_correlations_path("x", 0, lang).parent
    rows, left_out = [], []
    for path in sorted(folder.glob(f"{glob.escape(name)}_*_layer-0_corr_{lang}.gz")):
        stem = path.name.removesuffix(f"_layer-0_corr_{lang}.gz")
        if is_baseline(stem):
            continue
        revision = stem.removeprefix(f"{name}_")
        if checkpoint := read_record(paths.run_correlations_path(stem, lang)).get("checkpoint"):
            if get_name_on_record(stem, checkpoint) != name:
                continue  # a model whose name begins like this model's name
            revision = checkpoint["revision"] or revision
        tokens = find_training_tokens(name, revision)
        if tokens is None or ("_" in revision and not checkpoint):
            left_out.append(revision)
        else:
            rows.append((stem, revision, tokens))
    checkpoints = pd.DataFrame(rows, columns=["stem", "revision", "tokens"]).sort_values("tokens", ignore_index=True)
    _check_tokens(checkpoints, folder, model, lang)
    return checkpoints, left_out


def _check_tokens(checkpoints, folder, model, lang):
    """Check that there are checkpoints, and that no two have the same training tokens."""
    if checkpoints.empty:
        fitted = sorted(path.stem.replace("_layer-0_corr_", " ") for path in folder.glob("*_layer-0_corr_*.gz"))
        raise InputError(
            f"{folder}: expected fitted checkpoints of {model} in {lang} with known training tokens, got "
            f"{shorten(fitted)}. Run fit_average_subject.py, or set LTBA_MODEL and LTBA_LANG "
            f"({paths.describe_study_folder()})."
        )
    if (is_duplicate := checkpoints.duplicated("tokens", keep=False)).any():
        first, second, *_ = checkpoints["revision"][is_duplicate]
        raise InputError(
            f"{folder}: expected a number of training tokens for each checkpoint, got the same for {first} and "
            f"{second}. Move the files of one away, or correct the number in {paths.tokens_table_path().name}."
        )


def name_checkpoints(checkpoints):
    """Return the names of checkpoints in sentences, a dict by stem: the revision, or the stem without a revision."""
    names = checkpoints["revision"].where(checkpoints["revision"].fillna("") != "", checkpoints["stem"])
    return dict(zip(checkpoints["stem"], names, strict=True))
