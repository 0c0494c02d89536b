"""Read generated texts, their prompts, and the tables of their acceptability."""

import re

import numpy as np
import pandas as pd

from pipeline.checksums import compute_sha256
from pipeline.errors import InputError, explain_errors
from pipeline.models.generation import PROMPTS
from study.checkpoints import find_training_tokens
from study.files.tables import parse_numbers, read_csv
from study.files.texts import decode
from study.paths import checkpoint_stem, describe_study_folder
from study.records import read_record, record_path


def read_prompts(path):
    """Openings for generated texts, a list of str: the lines of a file that are not empty.

    Raises
    ------
    InputError
        The file is missing, no text, or empty.
    """
    with explain_errors(
        path, "there is no such file, or it is no text in UTF-8; --prompts names a file with a prompt a line"
    ):
        prompts = [line for line in decode(path.read_bytes(), path).splitlines() if line.strip()]
    if not prompts:
        raise InputError(f"{path}: there is no prompt in it; it needs one a line")
    return prompts


def read_generated_texts(folder, model=None, prompts_path=None):
    """The texts that generate_texts.py wrote, or texts of the same names that someone else wrote.

    Parameters
    ----------
    folder : Path
    model : str, optional
        Only the texts of this model. Texts without a record of how they were made need it, since
        their names do not tell where the model ends and the revision begins.
    prompts_path : Path, optional
        A file with the prompts of texts without a record; by default they are our own.

    Returns
    -------
    pandas.DataFrame with columns model, revision, tokens, prompt, sample, path, prompt_text, text
        A row per text. revision is empty where there is none, tokens NaN where nothing tells.

    Raises
    ------
    InputError
        There are no texts, one does not begin with its prompt, or nothing tells which model wrote it.
    """

    rows = []
    for path in sorted(folder.glob("*_gen_*.txt")):
        if not (match := re.fullmatch(r"(.+)_gen_(\d+)_(\d+)\.txt", path.name)):
            continue
        stem, prompt, sample = match[1], int(match[2]), int(match[3])
        if how := read_record(path).get("parameters"):
            with explain_errors(record_path(path), "remove it, and say --model"):
                name, revision, prompt_text = how["model"], how["revision"] or "", how["prompt"]
                if not all(isinstance(part, str) for part in (name, revision, prompt_text)):
                    raise ValueError("its model, revision and prompt are no texts")
        elif model is None:
            raise InputError(f"{path}: no .json beside it tells which model wrote it: say --model")
        else:
            name = checkpoint_stem(model)
            revision = stem.removeprefix(name).removeprefix("_")
            prompts = read_prompts(prompts_path) if prompts_path else PROMPTS
            prompt_text = prompts[prompt] if prompt < len(prompts) else None
        if model is not None and (name != checkpoint_stem(model) or not stem.startswith(name)):
            continue
        with explain_errors(path, "it is no text in UTF-8"):
            text = decode(path.read_bytes(), path, "Make it again, or save it as UTF-8.")
        if prompt_text is None or not text.startswith(prompt_text):
            raise InputError(
                f"{path}: it does not begin with its prompt, number {prompt}; --prompts says what that was"
            )
        tokens = find_training_tokens(name, revision)
        rows.append((name, revision, np.nan if tokens is None else tokens, prompt, sample, path, prompt_text, text))
    if not rows:
        raise InputError(
            f"{folder} holds no texts{f' of {model}' if model else ''} ({describe_study_folder()}): "
            "generate_texts.py makes them"
        )
    return pd.DataFrame(rows, columns="model revision tokens prompt sample path prompt_text text".split())


def read_acceptability(path, texts=None):
    """The table of evaluate_linguistic_acceptability.py.

    Parameters
    ----------
    path : Path
    texts : pandas.DataFrame, optional
        As ``read_generated_texts`` returns them: rows of texts that have changed are left out.

    Returns
    -------
    pandas.DataFrame with columns revision, tokens, prompt, sample, classifier, n_sentences,
    mean_probability, share_acceptable

    Raises
    ------
    InputError
        The file is missing, damaged, lacks a column, or has a cell that is not a number.
    """
    measured = ["n_sentences", "mean_probability", "share_acceptable"]
    table = read_csv(path, ["revision", "tokens", "prompt", "sample", "classifier", *measured])
    for column in ["tokens", "prompt", "sample", *measured]:
        parse_numbers(table[column][table[column] != ""], path)  # InputError for a cell that is not a number
        table[column] = pd.to_numeric(table[column].replace("", "nan"), errors="coerce")
    if texts is not None:
        before = read_record(path).get("inputs", {})
        changed = [text.name in before and before[text.name] != compute_sha256(text) for text in texts["path"]]
        keys = ["revision", "prompt", "sample"]
        table = table[~table.set_index(keys).index.isin(texts[changed].set_index(keys).index)]
    return table
