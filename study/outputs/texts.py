"""Read generated texts, their prompts, and the tables of their acceptability."""

import re

import pandas as pd

from pipeline.checksums import compute_sha256
from pipeline.errors import InputError, explain_errors
from study.checkpoints import find_training_tokens
from study.files.tables import parse_numbers, read_csv
from study.files.texts import decode
from study.paths import checkpoint_stem, describe_study_folder, record_path
from study.records import read_record

# Openings of stories and essays on no particular subject. Each is a whole sentence, so that the model writes whole
# sentences from its first word on.
PROMPTS = (
    "It was early in the morning when Anna closed the door of the small house behind her.",
    "My grandfather had a garden at the edge of the village, and he worked in it every day.",
    "Nobody in the town remembered who had built the bridge across the river.",
    "There are several reasons why people learn to play an instrument.",
    "Before the railway came, most people in this valley had never seen the sea.",
)


def read_prompts(path):
    """Read the prompts for generated texts: the lines of a file that are not empty, at least one (InputError)."""
    with explain_errors(path, "expected a file in UTF-8 with a prompt a line. Name another with --prompts."):
        prompts = [line for line in decode(path.read_bytes(), path).splitlines() if line.strip()]
    if not prompts:
        raise InputError(f"{path}: expected a prompt a line, got no prompt. Name another file with --prompts.")
    return prompts


def read_generated_texts(folder, model=None, prompts_path=None):
    """Read the texts of generate_texts.py, or texts with the same file names from another source.

    Parameters
    ----------
    folder : pathlib.Path
    model : str, optional
        Read only the texts of this model. Texts without a record need it, since their names do not show where the
        model ends and the revision begins.
    prompts_path : pathlib.Path, optional, the prompts of texts without a record; by default, they are PROMPTS

    Returns
    -------
    pandas.DataFrame with columns model, revision, tokens, prompt, sample, path, prompt_text, text
        A row per text. revision may be empty. tokens is NaN where training tokens are not known. InputError is raised
        if there are no texts, a text does not begin with its prompt, or its model is not known.
    """
    name = model and checkpoint_stem(model)
    rows = []
    for path in sorted(folder.glob("*_gen_*.txt")):
        if not (match := re.fullmatch(r"(.+)_gen_(\d+)_(\d+)\.txt", path.name)):
            continue
        stem, prompt, sample = match[1], int(match[2]), int(match[3])
        model_name, revision, prompt_text = _identify_text(path, stem, prompt, name, prompts_path)
        if name is not None and (model_name != name or not stem.startswith(name)):
            continue
        with explain_errors(path, "expected text in UTF-8. Make it again."):
            text = decode(path.read_bytes(), path, "Make it again, or save it as UTF-8.")
        if prompt_text is None or not text.startswith(prompt_text):
            raise InputError(
                f"{path}: expected a text that begins with prompt {prompt}, got another. "
                "Name the file of prompts with --prompts."
            )
        tokens = find_training_tokens(model_name, revision)
        rows.append((model_name, revision, tokens, prompt, sample, path, prompt_text, text))
    if not rows:
        raise InputError(
            f"{folder}: expected texts{f' of {model}' if model else ''}, got none. generate_texts.py makes them "
            f"({describe_study_folder()})."
        )
    texts = pd.DataFrame(rows, columns="model revision tokens prompt sample path prompt_text text".split())
    return texts.astype({"tokens": float})


def _identify_text(path, stem, prompt, name, prompts_path):
    """Return model name, revision and prompt (str or None) of a text, from its record or its file name."""
    if parameters := read_record(path).get("parameters"):
        with explain_errors(record_path(path), "expected model, revision and prompt. Remove it, and use --model."):
            values = parameters["model"], parameters["revision"] or "", parameters["prompt"]
            if not all(isinstance(value, str) for value in values):
                raise ValueError("its model, revision and prompt are not texts")
            return values
    if name is None:
        raise InputError(f"{path}: expected a record of the model next to it, got none. Name the model with --model.")
    prompts = read_prompts(prompts_path) if prompts_path else PROMPTS
    return name, stem.removeprefix(name).removeprefix("_"), prompts[prompt] if prompt < len(prompts) else None


def read_acceptability(path, texts=None):
    """Read the table of evaluate_linguistic_acceptability.py.

    Parameters
    ----------
    path : pathlib.Path
    texts : pandas.DataFrame from ``read_generated_texts``, optional; rows of texts that have changed are left out

    Returns
    -------
    pandas.DataFrame with columns revision, tokens, prompt, sample, classifier, n_sentences,
    mean_probability, share_acceptable
        A file that is missing or damaged, lacks a column, or has a cell that is not a number, raises InputError.
    """
    measured = ["n_sentences", "mean_probability", "share_acceptable"]
    table = read_csv(path, ["revision", "tokens", "prompt", "sample", "classifier", *measured])
    for column in ["tokens", "prompt", "sample", *measured]:
        parse_numbers(table[column][table[column] != ""], path)  # only to raise InputError
        table[column] = pd.to_numeric(table[column].replace("", "nan"), errors="coerce")
    if texts is not None:
        before = read_record(path).get("inputs", {})
        changed = [text.name in before and before[text.name] != compute_sha256(text) for text in texts["path"]]
        keys = ["revision", "prompt", "sample"]
        table = table[~table.set_index(keys).index.isin(texts[changed].set_index(keys).index)]
    return table
