"""The study folder: where everything is, what it is called, how it is read and written.

The environment variable LTBA_DIR names the study folder; without it, it is the folder of this
file. Every input and output has its fixed place in it, so that each stage can run on its own,
on another machine, or be replaced by files that someone else published.
"""

from pipeline import stopping  # isort: skip  (before all else, see there)
import argparse
import contextlib
import glob
import gzip
import importlib.metadata
import json
import logging
import os
import platform
import re
import select
import shlex
import signal
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import BadInput, benchmark_tables, images, lm_eval_files, lm_eval_results, weights, work
from pipeline.benchmarks import describe_part, describe_size, is_same_part, most_common_part
from pipeline.files import (
    alone,
    naming,
    new_file,
    read_arrays,
    record_path,
    sha256,
)
from pipeline.tables import numbers, read_csv, read_values, write_table
from pipeline.texts import decode, lone_surrogate, read_lines
from pipeline.words import languages

LANGUAGES = tuple(languages.LANGUAGES)
TEXT_PASSWORD = b"lessentielestinvisiblepourlesyeux"  # published beside the texts
PYTHIA_TOKENS_PER_STEP = 2_097_152
# Beyond what anyone needs, and what a small file that lies about its size may take of the memory.
MOST_TEXT = 2**24  # bytes of a run's text
MOST_CORRELATIONS = 2**31  # bytes of a checkpoint's

BENCHMARKS = ("blimp", "zorro", "arithmetic", "dyck")

LATERALIZATION = "https://github.com/l-bg/llms_brain_lateralization"
ANNOTATIONS = "https://openneuro.org/datasets/ds003643 (annotation/{LANG}/)"
BLIMP = "https://github.com/alexwarstadt/blimp (git clone it into the study folder)"
ZORRO = "https://github.com/phueb/Zorro (git clone it into the study folder)"


# ---------------------------------------------------------------- where things are


def study_folder():
    """The folder that holds all inputs and outputs: LTBA_DIR, or the folder of this file.

    Raises
    ------
    BadInput
        LTBA_DIR names a folder that is not there.
    """
    named = os.environ.get("LTBA_DIR")
    if named and not Path(named).is_dir():
        raise BadInput(f"LTBA_DIR={named}: there is no such folder; make it, or name another")
    return Path(named or Path(__file__).parent)


def where():
    """The study folder in words, for those who forgot which one it is."""
    told = "as LTBA_DIR says" if os.environ.get("LTBA_DIR") else "since LTBA_DIR is not set"
    return f"the study folder is {study_folder()}, {told}"


def text_path(lang):
    """The text of the story, run by run, in an encrypted zip archive, as it is published."""
    return study_folder() / f"lpp_{lang}_text.zip"


def word_timings_path(lang):
    """When every word of the story is heard, as it is published."""
    return study_folder() / f"lpp{lang.upper()}_word_information.csv"


def average_subject_path(lang, run):
    """The fMRI of one run; runs count from 0 here, as in the published names."""
    return study_folder() / f"lpp_{lang}_average_subject" / f"average_subject_run-{run}.gz"


def average_subject_files(lang):
    """The fMRI of all runs that are there."""
    return sorted(average_subject_path(lang, 0).parent.glob("average_subject_run-*.gz"))


def mask_path(lang):
    """The brain mask, as it is published."""
    return study_folder() / f"mask_lpp_{lang}.nii.gz"


def isc_path(lang):
    """The inter-subject correlations, as they are published."""
    return study_folder() / f"isc_10trials_{lang}.gz"


def tokens_table_path():
    """The user's own table of how long checkpoints were trained (see ``training_tokens``)."""
    return study_folder() / "training_tokens.csv"


def activations_path(stem, lang):
    """The word vectors of a checkpoint, all runs and layers."""
    return study_folder() / "llms_activations" / f"{stem}_{lang}.lz4"


def onsets_offsets_path(lang):
    """When the words are heard, as all checkpoints' word vectors have them."""
    return study_folder() / "llms_activations" / f"onsets_offsets_{lang}.lz4"


def layer_correlations_path(stem, layer, lang):
    """Correlations of one layer of a checkpoint, averaged over left-out runs; layers count from 0."""
    return study_folder() / "llms_brain_correlations" / f"{stem}_layer-{layer}_corr_{lang}.gz"


def all_layer_correlations_paths(stem, lang):
    """Those that are there, of all layers."""
    name = layer_correlations_path(glob.escape(stem), "*", lang)
    return sorted(name.parent.glob(name.name))


def run_correlations_path(stem, lang):
    """Correlations of all layers of a checkpoint in every left-out run, and the penalties."""
    return study_folder() / "llms_brain_correlations" / f"{stem}_runs_{lang}.npz"


def blimp_files():
    """The files of BLiMP, one a paradigm, by name."""
    return _visible_files(study_folder() / "blimp" / "data", "*.jsonl")


def zorro_files():
    """The files of Zorro, one a paradigm, by name."""
    return _visible_files(study_folder() / "Zorro" / "sentences" / "babyberta", "*.txt")


def _visible_files(folder, pattern):
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def benchmark_path(stem, benchmark, folder=None):
    """Accuracies of a checkpoint; the folder is {benchmark}_results in the study, or another."""
    return (folder or study_folder() / f"{benchmark}_results") / f"{stem}_{benchmark}.csv"


def benchmark_pairs_path(stem, benchmark, folder=None):
    """Log-probabilities of every pair, beside the accuracies."""
    return benchmark_path(stem, benchmark, folder).with_name(f"{stem}_{benchmark}_pairs.csv.gz")


def generated_texts_folder():
    """Where generated texts are, and the tables of their acceptability."""
    return study_folder() / "generated_texts"


def generated_text_path(stem, prompt, sample, folder):
    """One text of a checkpoint; prompts and samples count from 0."""
    return folder / f"{stem}_gen_{prompt}_{sample}.txt"


def acceptability_path(model, folder):
    """The acceptability of every text of a model, all revisions in one table."""
    return folder / f"{checkpoint_stem(model)}_gen_cola.csv"


def lm_eval_folder():
    """Where the lm_eval command is told to write."""
    return study_folder() / "lm_eval_results"


def figure_path(name):
    """A file of the notebook's, by its name with its ending."""
    return study_folder() / "fig" / name


def calibration_path():
    """What simulated studies said of the analysis; it comes with this program, whatever the study."""
    return Path(__file__).parent / "demo" / "calibration.csv.gz"


def note_path():
    """What readers of the page must know first."""
    return study_folder() / "note.txt"


def atlas_path():
    """The user's own atlas (see ``read_atlas``)."""
    return study_folder() / "atlas.nii.gz"


# ---------------------------------------------------------------- what things are called


def checkpoint_stem(model, revision=None):
    """How files of a checkpoint are called: the model's name, ``_`` and the revision.

    A model that is a local folder goes by the folder's own name; ``/`` becomes ``_``.
    """
    name = Path(model).resolve().name if Path(model).is_dir() else model
    return "_".join([name, *([revision] if revision else [])]).replace("/", "_")


def name_on_record(stem, checkpoint):
    """The model's name as in file names: what comes before the revision in the stem of a checkpoint on record.

    The model on record may be a path that was relative to another folder.
    """
    revision = (checkpoint.get("revision") or "").replace("/", "_")
    return stem.removesuffix(f"_{revision}") if revision else stem


def training_tokens(model, revision):
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
    BadInput
        The table is damaged or lacks a column.
    """
    columns, path = ["model", "revision", "tokens"], tokens_table_path()
    if not path.exists():
        return pd.DataFrame(columns=columns, dtype=str)
    rows = read_csv(path, columns)
    return rows.assign(model=rows["model"].str.replace("/", "_"))


def unused_token_rows(checkpoints):
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
    tokens = numbers(rows["tokens"], path)
    is_wrong = ~np.isfinite(tokens) | (tokens < 0)
    if is_wrong.any():
        line, cell = rows.index[is_wrong][0], rows["tokens"][is_wrong].iloc[0]
        raise BadInput(f"{path}: line {line}: expected a number of tokens of 0 or more, got {cell}. Correct that line.")
    if len(set(tokens)) > 1:
        raise BadInput(
            f"{path}: lines {' and '.join(map(str, rows.index))}: expected one number of tokens for one checkpoint, "
            f"got {' and '.join(rows['tokens'])}. Remove all but one."
        )
    return float(tokens[0])


def fitted_checkpoints(model, lang):
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
    BadInput
        No checkpoint's training tokens are known, or two were trained on as many.
    """
    name = checkpoint_stem(model)
    folder = layer_correlations_path("x", 0, lang).parent
    rows, left_out = [], []
    for path in sorted(folder.glob(f"{glob.escape(name)}_*_layer-0_corr_{lang}.gz")):
        stem = path.name.removesuffix(f"_layer-0_corr_{lang}.gz")
        revision = stem.removeprefix(f"{name}_")
        if checkpoint := read_record(run_correlations_path(stem, lang)).get("checkpoint"):
            if name_on_record(stem, checkpoint) != name:
                continue  # of a model whose name begins like this one's
            revision = checkpoint["revision"] or revision
        tokens = training_tokens(name, revision)
        if tokens is None or ("_" in revision and not checkpoint):
            left_out.append(revision)
        else:
            rows.append((stem, revision, tokens))
    table = pd.DataFrame(rows, columns=["stem", "revision", "tokens"])
    if table.empty:
        others = sorted(path.name.replace("_layer-0_corr_", " ") for path in folder.glob("*_layer-0_corr_*.gz"))
        raise BadInput(
            f"{folder} holds no checkpoint of {model} in {lang} whose training tokens are known; there are "
            f"{', '.join(other.removesuffix('.gz') for other in others[:6]) or 'none'}{' ...' * (len(others) > 6)}: "
            f"LTBA_MODEL and LTBA_LANG choose, fit_average_subject.py makes more ({where()})"
        )
    table = table.sort_values("tokens", ignore_index=True)
    if (alike := table.duplicated("tokens", keep=False)).any():
        one, other, *_ = table["revision"][alike]
        raise BadInput(
            f"{folder}: {one} and {other} are trained on as many tokens, so that one curve cannot hold both: "
            f"move the files of one away, or say in {tokens_table_path().name} what is right"
        )
    return table, left_out


# ---------------------------------------------------------------- reading


def published(path, source):
    """The path of an input, or BadInput that says where it is published and where to put it."""
    if path.is_dir():
        raise BadInput(
            f"{path}: expected a file, got a folder. Move it away, get the file from {source} and put it there "
            f"({where()})."
        )
    if not path.is_file():
        raise BadInput(f"{path} is missing: get it from {source} and put it there ({where()})")
    return path


def made(path, script, inputs=()):
    """The path of an earlier stage's output, or BadInput that says which script makes it.

    So too where one of the inputs that it was made from has changed since.
    """
    if not path.is_file():
        ending = path.name[path.name.rindex("_") :]  # _en.lz4
        names = (other.name.removesuffix(ending) for other in path.parent.glob(f"*{ending}"))
        others = sorted(name for name in names if name != "onsets_offsets" and not name.startswith("."))
        there = f"there are {', '.join(others[:5])}{' ...' * (len(others) > 5)}" if others else "there are none"
        raise BadInput(f"{path} is missing: {script} makes it; {there} ({where()})")
    if file := changed_input(path, inputs):
        raise BadInput(
            f"{path} was made from another {file}, which has changed since: {script} --overwrite makes it anew"
        )
    return path


def read_texts(lang):
    """The written text of each run, from ``text_path``: a list of str, with line feeds alone.

    Raises
    ------
    BadInput
        The file is missing, damaged or without a text of this language.
    """
    path = published(text_path(lang), LATERALIZATION)
    texts: list[str] = []
    with naming(path, "download it again"), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        while (name := f"lpp_{lang}_text/text_{lang}_run{len(texts) + 1}.txt") in names:
            check_member(archive.getinfo(name), MOST_TEXT)
            with archive.open(name, pwd=TEXT_PASSWORD) as file:
                text = decode(file.read(MOST_TEXT + 1), f"{path}: {name}")
            texts.append(text.replace("\r\n", "\n"))
        if not texts:
            raise BadInput(f"{path}: there is no {name} in it; is it the text of another language?")
    return texts


def check_member(member, most_bytes):
    """ValueError unless a file in a zip archive is small, and compressed so that little is unpacked at once."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.file_size > most_bytes:
        raise ValueError(f"{member.filename} in it is larger than it should be, or compressed in another way")


def read_word_timings(lang):
    """What was heard in each run, from ``word_timings_path``.

    Returns
    -------
    list over runs of (words, onsets, offsets)
        words is a list of str, onsets and offsets are float64 arrays of shape (n_words,), in seconds
        from the start of the run. Rows without a word are dropped.

    Raises
    ------
    BadInput
        The file is missing or damaged, its sections are not 1, 2, 3 ..., a word has no place in time, or
        begins before the word above it in its section.
    """
    path = published(word_timings_path(lang), ANNOTATIONS.format(LANG=lang.upper()))
    rows = read_csv(path, ["word", "onset", "offset", "section"])
    rows = rows[rows["word"].str.strip() != ""]
    sections = numbers(rows["section"], path)
    different = np.unique(sections)
    if not np.array_equal(different, 1 + np.arange(len(different))) or len(rows) == 0:
        listed = ", ".join(f"{section:g}" for section in different[:12]) or "none"
        raise BadInput(f"{path}: expected the sections 1, 2, 3 ..., got {listed}. Get or make it again.")
    onsets, offsets = numbers(rows["onset"], path), numbers(rows["offset"], path)
    wrong = ~np.isfinite(onsets + offsets) | (onsets < 0) | (offsets < onsets)
    if wrong.any():
        line = rows.index[wrong][0]
        raise BadInput(f"{path}: line {line}: a word from {onsets[wrong][0]} to {offsets[wrong][0]} s; get it again")
    check_onsets_increase(path, rows.index, sections, onsets)
    words = rows["word"].to_numpy()
    return [
        (list(words[sections == section]), onsets[sections == section], offsets[sections == section])
        for section in np.unique(sections)
    ]


def check_onsets_increase(path, lines, sections, onsets):
    """Check that no word of a section begins before the word above it; lines, sections, onsets: (n_words,)."""
    order = np.argsort(sections, kind="stable")
    is_backwards = (np.diff(onsets[order]) < 0) & (np.diff(sections[order]) == 0)
    if is_backwards.any():
        above, place = order[[np.flatnonzero(is_backwards)[0], np.flatnonzero(is_backwards)[0] + 1]]
        raise BadInput(
            f"{path}: line {lines[place]}: expected an onset of {onsets[above]:g} s or later in section "
            f"{sections[place]:g}, as in line {lines[above]}, got {onsets[place]:g} s. Get or make it again."
        )


def count_timing_rows(lang):
    """Return the number of rows of ``word_timings_path``, with those without a word."""
    return len(read_csv(word_timings_path(lang), ["word"]))


def read_average_subject(lang):
    """The fMRI of each run, from ``average_subject_path``.

    Returns
    -------
    list over runs of float array of shape (n_scans, n_voxels)

    Raises
    ------
    BadInput
        A run is missing or damaged, holds a value that is not finite, or has other voxels than run 0.
    """
    source = f"{LATERALIZATION} (lpp_{lang}_average_subject)"
    published(average_subject_path(lang, 0), source)
    runs: list[np.ndarray] = []
    for number in range(len(average_subject_files(lang))):
        path = published(average_subject_path(lang, number), source)
        run = read_arrays(path)
        if not isinstance(run, np.ndarray) or run.ndim != 2 or run.dtype.kind != "f":
            raise BadInput(f"{path}: it holds no array of shape (n_scans, n_voxels) of floats; get it again")
        if runs and run.shape[1] != runs[0].shape[1]:
            raise BadInput(f"{path}: {run.shape[1]} voxels, but {runs[0].shape[1]} in run 0; get all runs anew")
        if not np.isfinite(run).all():
            raise BadInput(f"{path}: it holds values that are not finite numbers; get it again")
        runs.append(run)
    return runs


def read_mask(lang):
    """The brain mask, a nibabel image.

    Raises
    ------
    BadInput
        The file is missing or damaged.
    """
    return images.read_mask(published(mask_path(lang), LATERALIZATION))


def read_atlas():
    """The regions that the user wants beside the language regions, a nibabel image, or None.

    Raises
    ------
    BadInput
        See ``images.read_labels``.
    """
    path = atlas_path()
    return images.read_labels(path) if path.is_file() else None


def read_isc(lang, n_voxels):
    """Inter-subject correlations, array of shape (n_trials, n_voxels).

    Raises
    ------
    BadInput
        The file is missing or damaged, or has other voxels than the mask.
    """
    path = published(isc_path(lang), LATERALIZATION)
    isc = read_arrays(path)
    if not isinstance(isc, np.ndarray) or isc.ndim != 2 or isc.shape[1] != n_voxels:
        raise BadInput(f"{path}: it should be (n_trials, {n_voxels}), as many voxels as {mask_path(lang).name}")
    return isc


def read_blimp():
    """The minimal pairs of BLiMP, from the ``data/`` of its clone.

    Returns
    -------
    pandas.DataFrame with columns paradigm, phenomenon, field, pair, good, bad
        A row per pair; paradigms by name, pairs counted from 0.

    Raises
    ------
    BadInput
        There are no files, or a line is no record of a pair.
    """
    rows = []
    if not blimp_files():
        raise BadInput(f"{study_folder()}/blimp/data holds no .jsonl files: get them from {BLIMP}; {where()}")
    for path in blimp_files():
        check_file_name(path)
        for number, line in enumerate(read_lines(path)):
            try:
                record = json.loads(line)
                values = [record[key] for key in ("linguistics_term", "field", "sentence_good", "sentence_bad")]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise BadInput(
                    f"{path}: line {number + 1} is no record of BLiMP ({error!r}); get the file again"
                ) from error
            if not all(isinstance(value, str) and value.strip() for value in values):
                raise BadInput(f"{path}: line {number + 1} lacks a sentence or what it is about; get the file again")
            phenomenon, field, good, bad = values
            check_readable(f"{path}: line {number + 1}", good + bad)
            if not (phenomenon + field).isprintable():
                raise BadInput(
                    f"{path}: line {number + 1}: expected names of a phenomenon and a field, got {phenomenon!r} and "
                    f"{field!r}. Get the file again."
                )
            rows.append((path.stem, phenomenon, field, number, good, bad))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "field", "pair", "good", "bad"])


def check_file_name(path):
    """Check that a file's name, which names a paradigm, can stand in a table."""
    if not path.name.isprintable():
        raise BadInput(f"{path.parent}: expected file names in UTF-8, got {path.name!a}. Rename that file.")


def check_readable(where, text):
    """Check that a text holds no lone surrogate, half of a character, which JSON can write as an escape."""
    if half := lone_surrogate(text):
        raise BadInput(
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
    BadInput
        There are no files, or one has an empty line or an odd number of lines.
    """
    rows = []
    if not zorro_files():
        folder = study_folder() / "Zorro" / "sentences" / "babyberta"
        raise BadInput(f"{folder} holds no .txt files: get them from {ZORRO}; {where()}")
    for path in zorro_files():
        check_file_name(path)
        lines = read_lines(path)
        if len(lines) % 2:
            raise BadInput(f"{path}: {len(lines)} lines make no pairs: line {len(lines)} lacks its other sentence")
        blank = [number for number, line in enumerate(lines, start=1) if not line.strip()]
        if blank:
            raise BadInput(f"{path}: line {blank[0]} is empty; get the file again")
        phenomenon = path.stem.rpartition("-")[0]
        for number, (bad, good) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            rows.append((path.stem, phenomenon, number, good, bad))
    return pd.DataFrame(rows, columns=["paradigm", "phenomenon", "pair", "good", "bad"])


def read_prompts(path):
    """Openings for generated texts, a list of str: the lines of a file that are not empty.

    Raises
    ------
    BadInput
        The file is missing, no text, or empty.
    """
    with naming(path, "there is no such file, or it is no text in UTF-8; --prompts names a file with a prompt a line"):
        prompts = [line for line in decode(path.read_bytes(), path).splitlines() if line.strip()]
    if not prompts:
        raise BadInput(f"{path}: there is no prompt in it; it needs one a line")
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
    BadInput
        There are no texts, one does not begin with its prompt, or nothing tells which model wrote it.
    """
    from pipeline.generation import PROMPTS

    rows = []
    for path in sorted(folder.glob("*_gen_*.txt")):
        if not (match := re.fullmatch(r"(.+)_gen_(\d+)_(\d+)\.txt", path.name)):
            continue
        stem, prompt, sample = match[1], int(match[2]), int(match[3])
        if how := read_record(path).get("parameters"):
            with naming(record_path(path), "remove it, and say --model"):
                name, revision, prompt_text = how["model"], how["revision"] or "", how["prompt"]
                if not all(isinstance(part, str) for part in (name, revision, prompt_text)):
                    raise ValueError("its model, revision and prompt are no texts")
        elif model is None:
            raise BadInput(f"{path}: no .json beside it tells which model wrote it: say --model")
        else:
            name = checkpoint_stem(model)
            revision = stem.removeprefix(name).removeprefix("_")
            prompts = read_prompts(prompts_path) if prompts_path else PROMPTS
            prompt_text = prompts[prompt] if prompt < len(prompts) else None
        if model is not None and (name != checkpoint_stem(model) or not stem.startswith(name)):
            continue
        with naming(path, "it is no text in UTF-8"):
            text = decode(path.read_bytes(), path, "Make it again, or save it as UTF-8.")
        if prompt_text is None or not text.startswith(prompt_text):
            raise BadInput(f"{path}: it does not begin with its prompt, number {prompt}; --prompts says what that was")
        tokens = training_tokens(name, revision)
        rows.append((name, revision, np.nan if tokens is None else tokens, prompt, sample, path, prompt_text, text))
    if not rows:
        raise BadInput(
            f"{folder} holds no texts{f' of {model}' if model else ''} ({where()}): generate_texts.py makes them"
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
    BadInput
        The file is missing, damaged, lacks a column, or has a cell that is not a number.
    """
    measured = ["n_sentences", "mean_probability", "share_acceptable"]
    table = read_csv(path, ["revision", "tokens", "prompt", "sample", "classifier", *measured])
    for column in ["tokens", "prompt", "sample", *measured]:
        numbers(table[column][table[column] != ""], path)  # BadInput for a cell that is not a number
        table[column] = pd.to_numeric(table[column].replace("", "nan"), errors="coerce")
    if texts is not None:
        before = read_record(path).get("inputs", {})
        changed = [text.name in before and before[text.name] != sha256(text) for text in texts["path"]]
        keys = ["revision", "prompt", "sample"]
        table = table[~table.set_index(keys).index.isin(texts[changed].set_index(keys).index)]
    return table


def read_lm_eval_files():
    """Read all that the lm_eval command left in ``lm_eval_folder``, of all models.

    Returns
    -------
    (results, damaged, ignored)
        As ``lm_eval_files.read_folder`` returns them. One file never keeps the others from being read.
    """
    return lm_eval_files.read_folder(lm_eval_folder())


def read_lm_eval(model, revisions=None, files=None):
    """Return what the lm_eval command measured for the checkpoints of a model, of one kind for each task.

    Parameters
    ----------
    model : str
    revisions : sequence of str, optional
        The checkpoints of the curve. Without them, all that were evaluated.
    files : optional
        As ``read_lm_eval_files`` returns it, for several calls that read the files once.

    Returns
    -------
    pandas.DataFrame with columns revision, task, metric, value, stderr, n_shots
        As ``lm_eval_results.choose_curves`` chooses it: for each task, the settings that most of these checkpoints
        have. The revision is a branch of the hub (``main`` where none was given), the sub-folder of a local
        model, or the empty str for a local model itself.
    """
    return lm_eval_results.choose_curves(read_lm_eval_runs(model, revisions, files))[0]


def read_lm_eval_runs(model, revisions=None, files=None):
    """Return all results of a model, of whatever settings: rows as ``lm_eval_files.read_results`` has them."""
    results = lm_eval_files.select_model((files or read_lm_eval_files())[0], checkpoint_stem(model), revisions)
    ours = results["task"].isin([*BENCHMARKS, "acceptability"])
    results.loc[ours, "task"] = "lm_eval_" + results.loc[ours, "task"]  # blimp by lm_eval is not our blimp
    return results


def lm_eval_notes(models, files=None):
    """Return what of lm_eval's files is not used, and why, a list of str.

    There is a sentence for each file that cannot be read or has no results, and ``lm_eval_files.describe_unused``.

    Parameters
    ----------
    models : sequence of str
        Models whose results are used.
    files : optional
        As ``read_lm_eval_files`` returns it.
    """
    results, damaged, ignored = files or read_lm_eval_files()
    names = [checkpoint_stem(model) for model in models]
    return [*damaged, *ignored, *lm_eval_files.describe_unused(results, names, lm_eval_folder())]


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
    BadInput
        A table is damaged (see ``read_csv`` and ``numbers``).
    """
    columns = {}
    for benchmark in BENCHMARKS:
        paths = [benchmark_path(stem, benchmark) for stem in checkpoints["stem"]]
        if any(path.is_file() for path in paths):
            is_usual = has_usual_part(benchmark, checkpoints["stem"])
            columns[benchmark] = [
                benchmark_tables.read_accuracies(path).mean() if path.is_file() and is_used else np.nan
                for path, is_used in zip(paths, is_usual, strict=True)
            ]
    table = pd.DataFrame(columns, index=checkpoints["revision"])
    if (path := acceptability_path(model, generated_texts_folder())).is_file():
        table["acceptability"] = read_acceptability(path).groupby("revision")["mean_probability"].mean()
    of_tasks = lm_eval_results.headline(read_lm_eval(model, checkpoints["revision"], lm_eval))
    return table.join(of_tasks).reset_index(drop=True)


def parts_of_checkpoints(benchmark, stems):
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
    BadInput
        A table is damaged.
    """
    parts = [
        benchmark_tables.read_part(benchmark_path(stem, benchmark), benchmark_pairs_path(stem, benchmark))
        for stem in stems
    ]
    return parts, most_common_part(parts)


def has_usual_part(benchmark, stems):
    """Return for each checkpoint whether it has the part of a benchmark that most have, a list of bool."""
    parts, usual = parts_of_checkpoints(benchmark, stems)
    return [part is not None and is_same_part(part, usual) for part in parts]


def other_parts(benchmark, names, parts, usual):
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
        where = ", ".join(name for name, its_part in zip(names, parts, strict=True) if its_part == part)
        sentences.append(
            f"{benchmark} is another part at {where} ({describe_size(benchmark, part)}) than in the rest of the curve "
            f"({describe_size(benchmark, usual)}), and is left out there"
        )
    return sentences


def parts_of_benchmarks(model, checkpoints):
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
    BadInput
        A table is damaged.
    """
    usual = {benchmark: parts_of_checkpoints(benchmark, checkpoints["stem"])[1] for benchmark in BENCHMARKS}
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
    BadInput
        A table is damaged (see ``read_csv`` and ``numbers``).
    """
    items = {}
    for benchmark in BENCHMARKS:
        parts, usual = parts_of_checkpoints(benchmark, checkpoints["stem"])
        rights: list = [None] * len(parts)
        for row, stem in enumerate(checkpoints["stem"]):
            path = benchmark_pairs_path(stem, benchmark)
            if path.is_file() and is_same_part(parts[row], usual):
                right = benchmark_tables.read_right(path)
                # Where its accuracies are of other pairs, --check names both tables.
                if is_same_part(benchmark_tables.count_by_paradigm(right.index.get_level_values(0)), usual):
                    rights[row] = path, right
        if any(right is not None for right in rights):
            items[benchmark] = benchmark_tables.join_pairs(rights)
    if (path := acceptability_path(model, generated_texts_folder())).is_file():
        texts = read_acceptability(path).groupby(["revision", "prompt", "sample"])["mean_probability"].mean()
        table = texts.unstack("revision").reindex(columns=checkpoints["revision"])
        # Prompts are not kept apart: a model that has learnt little may write no sentence after one of them.
        items["acceptability"] = table.to_numpy().T, np.zeros(len(table))
    return items


def what_differs(model, checkpoints, lang, lm_eval=None):
    """In what the checkpoints of one curve were not treated alike.

    Compared are the options on record of fits, activations, benchmarks and texts (of these, the
    first one), the paradigms and pairs of benchmarks, and how lm_eval was run. A fit that was made of other files
    than are there now is told too, and what is strange about the weights (see ``describe_weights``).

    Parameters
    ----------
    model, lang : str
    checkpoints : pandas.DataFrame with columns stem, revision, ...
        As ``fitted_checkpoints`` returns it.
    lm_eval : optional
        As ``read_lm_eval_files`` returns it, for callers that have read the files.

    Returns
    -------
    list of str
        A sentence for each difference.
    """
    stems, sentences = checkpoints["stem"], []
    outputs = {"the fit": [run_correlations_path(stem, lang) for stem in stems]}
    outputs["activations"] = [activations_path(stem, lang) for stem in stems]
    for benchmark in BENCHMARKS:
        outputs[benchmark] = [benchmark_path(stem, benchmark) for stem in stems]
        parts, usual = parts_of_checkpoints(benchmark, stems)
        sentences += other_parts(benchmark, checkpoints["revision"], parts, usual)
    outputs["texts"] = [generated_text_path(stem, 0, 0, generated_texts_folder()) for stem in stems]
    for what, paths in outputs.items():
        records = [record for path in paths if (record := read_record(path).get("parameters"))]
        for name in sorted({name for record in records for name in record} - {"revision"}):
            values = {json.dumps(record.get(name)) for record in records}
            if len(values) > 1:
                sentences.append(f"{what}: made with {name} {' and '.join(sorted(values))} at different checkpoints")
    for stem in stems:
        made_from = [activations_path(stem, lang), onsets_offsets_path(lang), *average_subject_files(lang)]
        # Of a study that was copied here, gigabytes would have to be read to be sure.
        if file := changed_input(run_correlations_path(stem, lang), made_from, or_copied=False):
            sentences.append(f"the fit of {stem} was made from another {file.name}: fit_average_subject.py --overwrite")
    sentences += lm_eval_results.choose_curves(read_lm_eval_runs(model, checkpoints["revision"], lm_eval))[1]
    return sentences + describe_weights(checkpoints)


def mark_same_weights(checkpoints, correlations, lang):
    """Return the table of checkpoints with a column that names others that have the same weights.

    Weights are the same if the checksums of their files on record are, or if outputs are equal to the last bit:
    recorded checksums of activations, log-probabilities of a benchmark's pairs, or correlations in all layers.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns stem, revision, ...
        Checkpoints of one model.
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)
        As ``read_all_correlations`` returns it.
    lang : str

    Returns
    -------
    pandas.DataFrame with one more column, same_weights_as
        Revisions of the others, joined by ``, ``. It is empty where a checkpoint has weights of its own.
    """
    pairs = zip(checkpoints["stem"], correlations, strict=True)
    fingerprints = [read_fingerprints(stem, lang, of_stem) for stem, of_stem in pairs]
    others = unfitted_checkpoints(checkpoints, lang)
    fingerprints += [read_fingerprints(stem, lang) for stem in others["stem"]]
    every = pd.concat([checkpoints, others])
    return checkpoints.assign(same_weights_as=mark_equal(every, fingerprints)["same_weights_as"][: len(checkpoints)])


def unfitted_checkpoints(checkpoints, lang):
    """Return what other checkpoints of a model have outputs on record: stem and revision, where tokens are known."""
    rows: dict[str, str] = {}
    names = {
        name_on_record(stem, {"revision": revision})
        for stem, revision in checkpoints[["stem", "revision"]].itertuples(index=False)
    }
    for name in names:
        paths = [activations_path(f"{name}_*", lang), *(benchmark_path(f"{name}_*", each) for each in BENCHMARKS)]
        for pattern in paths:
            before, after = pattern.name.split("*")
            for path in pattern.parent.glob(f"{glob.escape(before)}*{after}"):
                stem = path.name.removesuffix(after)
                checkpoint = read_record(path).get("checkpoint") or {}
                is_same_model = bool(checkpoint.get("revision")) and name_on_record(stem, checkpoint) == name
                if is_same_model and training_tokens(name, checkpoint["revision"]) is not None:
                    rows[stem] = checkpoint["revision"]
    others = pd.DataFrame(rows.items(), columns=["stem", "revision"])
    return others[~others["stem"].isin(checkpoints["stem"])]


def mark_equal(checkpoints, fingerprints):
    """Return the table of checkpoints with the column same_weights_as, from a set of fingerprints for each."""
    of_stems = dict(zip(checkpoints["stem"], fingerprints, strict=True))
    names = checkpoint_names(checkpoints)
    others = {
        stem: ", ".join(names[other] for other in group if other != stem)
        for group in weights.groups(of_stems)
        for stem in group
    }
    return checkpoints.assign(same_weights_as=[others[stem] for stem in checkpoints["stem"]])


def read_fingerprints(stem, lang, correlations=None):
    """Return by what the weights of a checkpoint can be recognised (see ``weights.fingerprints``)."""
    checksums = {}
    for benchmark in BENCHMARKS:
        pairs = benchmark_pairs_path(stem, benchmark)
        recorded = read_record(benchmark_path(stem, benchmark)).get("sha256", {}).get(pairs.name)
        if pairs.is_file():
            checksums[benchmark] = recorded or sha256(pairs)
    activations = activations_path(stem, lang)
    if recorded := read_record(activations).get("sha256", {}).get(activations.name):
        checksums["activations"] = recorded
    return weights.fingerprints(read_checkpoints(stem).values(), checksums, correlations)


def read_checkpoints(stem):
    """Return the checkpoint on record of every output of a checkpoint, by path; of texts, the first one's."""
    first_text = generated_text_path(stem, 0, 0, generated_texts_folder())
    paths = [path for path in outputs_of_checkpoint(stem) if path.suffix != first_text.suffix]
    checkpoints = {}
    for path in [*paths, first_text]:
        with contextlib.suppress(BadInput):  # a damaged record does not hide the others; --check names it
            if checkpoint := read_record(path).get("checkpoint"):
                checkpoints[path] = checkpoint
    return checkpoints


def describe_weights(checkpoints):
    """Return what readers must know about the weights of the checkpoints of a model.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns stem, revision and, from ``mark_same_weights``, same_weights_as

    Returns
    -------
    list of str
        A sentence for each group of checkpoints of the same weights, for weights that are partly the same, for
        outputs of one checkpoint that were made of different weights, and for two folders of one name.
    """
    on_record = {stem: read_checkpoints(stem) for stem in checkpoints["stem"]}
    names = checkpoint_names(checkpoints)
    together: dict[tuple, list[str]] = {}
    marks = checkpoints["same_weights_as"] if "same_weights_as" in checkpoints else [""] * len(checkpoints)
    for stem, others in zip(checkpoints["stem"], marks, strict=True):
        if others:
            group = f"{names[stem]}, {others}".split(", ")
            together.setdefault(tuple(sorted(group)), []).append(stem)
    same = []
    for names_of_group, stems in together.items():
        unfitted = [name for name in names_of_group if name not in map(names.get, stems)]
        same.append(weights.describe_same(names, on_record, stems, unfitted))
    return [
        *same,
        *weights.describe_shared(names, on_record),
        *weights.describe_mixed(names, on_record),
        *weights.describe_folders(on_record),
    ]


def checkpoint_names(checkpoints):
    """Return how checkpoints are called in sentences, by stem: their revision, or the stem where there is none."""
    names = checkpoints["revision"].where(checkpoints["revision"].fillna("") != "", checkpoints["stem"])
    return dict(zip(checkpoints["stem"], names, strict=True))


def read_onsets_offsets(lang):
    """When the words of each run are heard, from ``onsets_offsets_path``.

    Returns
    -------
    list over runs of (onsets, offsets)
        Lists or arrays of shape (n_words,), seconds from the start of the run.

    Raises
    ------
    BadInput
        The file is missing, damaged, or holds something else.
    """
    path = made(onsets_offsets_path(lang), "extract_llm_activations.py")
    onsets_offsets = read_arrays(path)
    if not isinstance(onsets_offsets, list) or not all(isinstance(times, list | tuple) for times in onsets_offsets):
        raise BadInput(f"{path}: it is not a list over runs; make it with extract_llm_activations.py")
    for run, times in enumerate(onsets_offsets):
        with naming(path, f"run {run} is no (onsets, offsets) in seconds; remove it, and extract again"):
            onsets, offsets = map(np.asarray, times)
            if onsets.ndim != 1 or onsets.shape != offsets.shape or {onsets.dtype.kind, offsets.dtype.kind} - set("fi"):
                raise ValueError("onsets and offsets are no numbers, as many of these as of those")
    return onsets_offsets


def read_activations(stem, lang, use_run):
    """The word vectors of a checkpoint, run by run, since all at once they may not fit in memory.

    Parameters
    ----------
    stem, lang : str
    use_run : callable
        Called for each run with its number and a list over layers of float array (n_words, n_units),
        as many words as ``read_onsets_offsets`` tells.

    Returns
    -------
    list over runs of what use_run returned

    Raises
    ------
    BadInput
        The file is missing or damaged, was made from another text or timings than are there now, or runs have other
        layers, units or words than they should.
    """
    story = [text_path(lang), word_timings_path(lang)]
    path = made(activations_path(stem, lang), "extract_llm_activations.py", story)
    onsets_offsets = read_onsets_offsets(lang)
    results: list = []
    shape_of_layers: tuple[int, ...] | None = None  # (n_layers, n_units), as in the first run

    def use_list(layers):
        nonlocal shape_of_layers
        run = len(results)
        if run == len(onsets_offsets):
            raise BadInput(f"{path}: more than the {run} runs of {onsets_offsets_path(lang)}; extract again")
        shape_of_layers = shape_of_layers or (len(layers), *layers[0].shape[-1:])
        n_layers, *n_units = shape_of_layers
        expected = (len(onsets_offsets[run][0]), *n_units)
        if len(layers) != n_layers or any(layer.shape != expected or layer.dtype.kind != "f" for layer in layers):
            raise BadInput(
                f"{path}: run {run} should be {n_layers} layers of float arrays {expected}, as many words as in "
                f"{onsets_offsets_path(lang).name}; extract again"
            )
        results.append(use_run(run, layers))

    value = read_arrays(path, use_list)
    if not isinstance(value, list) or not results or any(of_run is not None for of_run in value):
        raise BadInput(f"{path}: it is not a list over runs of lists over layers; extract again")
    if len(results) < len(onsets_offsets):
        raise BadInput(
            f"{path}: {len(results)} runs, but {len(onsets_offsets)} in {onsets_offsets_path(lang)}; extract again"
        )
    return results


def read_correlations(stem, lang):
    """Correlations (Pearson's r) of a checkpoint between measured and predicted fMRI.

    Where there is no ``.npz`` with every left-out run, as from the published code, the averages of
    the layers are read, and n_runs is 1.

    Returns
    -------
    float array of shape (n_layers, n_runs, n_voxels)

    Raises
    ------
    BadInput
        There is no file, one is damaged, or layers have different voxels.
    """
    path = run_correlations_path(stem, lang)
    if path.exists():
        with naming(path, "make it again with fit_average_subject.py --overwrite"), np.load(path) as arrays:
            for member in arrays.zip.infolist():
                check_member(member, MOST_CORRELATIONS)
            correlations = arrays["correlations"]
            if correlations.ndim != 3 or correlations.dtype.kind != "f":
                raise ValueError(f"correlations are {correlations.dtype} of shape {correlations.shape}")
            return correlations
    layers: list[np.ndarray] = []
    while (path := layer_correlations_path(stem, len(layers), lang)).is_file():
        layers.append(read_arrays(path))
        if not isinstance(layers[-1], np.ndarray) or layers[-1].ndim != 1 or layers[-1].shape != layers[0].shape:
            shape = getattr(layers[-1], "shape", "of no array")
            raise BadInput(f"{path}: shape {shape} instead of (n_voxels,); make it again")
    if not layers:
        raise BadInput(f"{path} is missing: fit_average_subject.py makes it")
    return np.stack(layers)[:, None]


def read_all_correlations(checkpoints, lang):
    """Correlations of every checkpoint that is fitted in whole.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        As ``fitted_checkpoints`` returns it.
    lang : str

    Returns
    -------
    checkpoints : pandas.DataFrame
        Without those that have fewer layers than others: they are still being fitted.
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)
    unfinished : list of str
        The revisions that were left out.
    """
    correlations = [read_correlations(stem, lang) for stem in checkpoints["stem"]]
    n_layers = np.array([len(of_checkpoint) for of_checkpoint in correlations])
    whole = n_layers == n_layers.max()
    kept = [of_checkpoint for of_checkpoint, is_whole in zip(correlations, whole, strict=True) if is_whole]
    return checkpoints[whole].reset_index(drop=True), kept, list(checkpoints["revision"][~whole])


def what_is_missing(model, checkpoints, benchmarks, lang):
    """What has not been run yet, and leaves a gap.

    Parameters
    ----------
    model, lang : str
    checkpoints : pandas.DataFrame
        As ``fitted_checkpoints`` returns it.
    benchmarks : pandas.DataFrame
        As ``read_benchmarks`` returns it.

    Returns
    -------
    list of str
        A sentence for each gap.
    """
    name, sentences = checkpoint_stem(model), []
    extracted = {path.name for path in activations_path("x", lang).parent.glob(f"{glob.escape(name)}_*_{lang}.lz4")}
    waiting = sorted(extracted - {activations_path(stem, lang).name for stem in checkpoints["stem"]})
    if waiting:
        sentences.append(f"extracted and not fitted, or not known how long they were trained: {', '.join(waiting)}")
    never = [benchmark for benchmark in (*BENCHMARKS, "acceptability") if benchmark not in benchmarks]
    if never:
        sentences.append(f"not run for any fitted checkpoint: {', '.join(never)}")
    for benchmark in benchmarks:
        gaps = checkpoints["revision"][benchmarks[benchmark].isna().to_numpy()]
        if len(gaps):
            sentences.append(f"{benchmark} has no value at {', '.join(gaps)}")
    return sentences


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


# ---------------------------------------------------------------- writing


def is_finished(path, parameters, overwrite, model=None, inputs=()):
    """Whether an output is there already, made in the same way from the same files, and may stay.

    Parameters
    ----------
    path : Path
    parameters : dict
        Whatever changes the numbers.
    overwrite : bool
        Whether it is to be made again in any case.
    model : str, optional
        The model that it would be made of, where that is not an earlier output.
    inputs : list of Path
        Files that it would be made from. Only those that are newer than it are read.

    Raises
    ------
    BadInput
        It was made with other parameters, from other files or from another model of the same name,
        which must not be mixed, or it could not be written.
    """
    check_writable(path)
    if overwrite or not path.exists():
        return False
    record = read_record(path)
    before, after = record.get("parameters", {}), json.loads(json.dumps(parameters))
    keys = dict.fromkeys([*after, *before]) if before else {}
    changed = [f"{key} {before.get(key)}" for key in keys if before.get(key) != after.get(key)]
    if model is not None and record.get("checkpoint"):
        checkpoint = record["checkpoint"]
        if not is_same_checkpoint(checkpoint, model, path):
            changed.append(which_is_another(checkpoint, model))
    if changed:
        raise BadInput(f"{path} was made with {', '.join(changed)}: --overwrite makes it anew")
    if file := changed_input(path, inputs):
        raise BadInput(f"{path} was made from another {file}, which has changed since: --overwrite makes it anew")
    return True


def changed_input(path, inputs, or_copied=True):
    """The first of some files that an output was made from and that has changed since, or None.

    Only those that are newer than the output are read (see ``is_newer``). One that is not there any more
    has not changed; one that was not there has.
    """
    before = read_record(path).get("inputs", {})
    for file in inputs:
        if before and is_newer(file, path, or_copied) and before.get(file.name) != sha256(file):
            return file
    return None


def is_newer(file, path, or_copied=True):
    """Whether a file was written after another, or came to its place after it: copies keep the time of writing."""
    if not file.is_file():
        return False
    about = file.stat()
    return (max(about.st_mtime, about.st_ctime) if or_copied else about.st_mtime) > path.stat().st_mtime


@contextlib.contextmanager
def job(output, parameters, overwrite, model=None, inputs=()):
    """Work on an output, one job at a time, unless it is there already; parameters as for ``is_finished``.

    Yields
    ------
    parts : pathlib.Path or None
        A folder for finished parts, in which the output is made; ``finish`` puts it in its place. What is
        in it was made before, by a job that was stopped. None where the output is there already: the
        user has been told.
    """
    arguments = output, parameters, overwrite, model, inputs
    if is_finished(*arguments) and not work.is_left_behind(output):
        print(f"{output} is there already")
        say_if_unsure(output, model)
        yield None
        return
    with alone(output, say):
        # Another job may have made it in the meantime.
        if is_finished(*arguments):
            work.remove_parts(output)
            print(f"{output} is there already")
            yield None
            return
        with parts_of(output, parameters, model, inputs) as parts:
            yield parts


def parts_of(path, parameters, model=None, inputs=()):
    """The folder in which parts of the work on a path are kept, for ``with``; see ``work.parts_folder``."""
    folder = Path(__file__).parent
    made_with = {"parameters": parameters, "model": model and str(model), "versions": versions()}
    program = [*folder.glob("*.py"), *sorted(folder.glob("pipeline/**/*.py")), folder / "report" / "story_inputs.py"]
    made_with["program"] = {str(file.relative_to(folder)): sha256(file) for file in program}
    of_model = Path(model, parameters.get("revision") or "") if model else None
    inputs = [*inputs, *(weights.checkpoint_files(of_model) if of_model and of_model.is_dir() else [])]
    return work.parts_folder(path, made_with, inputs, say, command=shlex.join(sys.argv))


def say(line):
    """Tell the user, at once, even where the output is not a terminal."""
    print(line, flush=True)


def finish(parts, outputs, parameters, inputs, started, checkpoint=None, seed=None, instead_of=()):
    """Give outputs, which are in the folder of parts, their place, with a record of how they were made.

    Parameters
    ----------
    parts : pathlib.Path
    outputs : list of pathlib.Path
        The last one tells that the work is done, and has the record beside it.
    parameters, inputs, started, checkpoint, seed
        As ``write_record`` takes them.
    instead_of : list of pathlib.Path
        Older outputs, which are removed.

    Raises
    ------
    BadInput
        An input has changed since the work began.
    """
    *others, output = outputs
    work.check_unchanged(parts)
    checksums_of_outputs = {path.name: sha256(parts / path.name) for path in outputs}
    write_record(parts / output.name, parameters, inputs, started, checkpoint, seed, checksums_of_outputs)
    work.put_in_place(parts, [*others, record_path(output), output], instead_of)


def is_same_checkpoint(checkpoint, model, path):
    """Whether what an output was made of, as recorded, is this model, which may have been moved.

    Files of a local one are read if it was moved, or if they are newer than the output. One of the hub is
    compared with what the hub's cache holds now. Where files do not show it, the name counts.
    """
    folder = Path(model, checkpoint.get("revision") or "")
    if not Path(model).is_dir():
        now = in_hub_cache(model, checkpoint)
        return checkpoint["model"] == model and weights.is_same(checkpoint, now) is not False
    if not checkpoint.get("files") or not folder.is_dir():
        return checkpoint["model"] == model  # it may have been removed since
    now = weights.checkpoint_files(folder)
    if checkpoint["model"] == model and not any(is_newer(file, path) for file in now):
        listed = dict.fromkeys((file.name for file in now), "")
        return weights.other_loaded_files(listed).keys() == weights.other_loaded_files(checkpoint["files"]).keys()
    return weights.is_same(checkpoint, {"files": weights.checksums(folder)}) is True


def in_hub_cache(model, checkpoint):
    """Return what the hub's cache holds now of the revision of a checkpoint on record: commit and files, or {}."""
    if not (checkpoint.get("commit") or checkpoint.get("files")):
        return {}  # an old record, with which nothing can be compared
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        config = try_to_load_from_cache(model, "config.json", revision=checkpoint.get("revision") or "main")
    except errors.HFValidationError:
        return {}  # no name on the hub
    if not isinstance(config, str):
        return {}
    snapshot = Path(config).parent
    if snapshot.name == checkpoint.get("commit"):
        return {"commit": snapshot.name}
    return {"commit": snapshot.name, "files": weights.checksums(snapshot)}


def which_is_another(checkpoint, model):
    """Say which model an output was made of, where that is another one now."""
    now = in_hub_cache(model, checkpoint)
    if not (checkpoint.get("commit") and now):
        return f"the model {checkpoint['model']}, which is another one"
    revision = checkpoint.get("revision") or "main"
    before = f"the model {checkpoint['model']} of {weights.in_words(checkpoint)}"
    return f"{before}, and {revision} is now of {weights.in_words(now)}"


def say_if_unsure(path, model):
    """Tell the user where a branch of the hub has moved since, to a commit that cannot be compared."""
    checkpoint = read_record(path).get("checkpoint") or {}
    now = {} if model is None or Path(model).is_dir() else in_hub_cache(model, checkpoint)
    if now and weights.is_same(checkpoint, now) is None:
        say(
            f"{path} was made of {weights.in_words(checkpoint)}. {checkpoint.get('revision') or 'main'} is now of "
            f"{weights.in_words(now)}, which cannot be compared: not all of its files are in the hub's cache"
        )


def check_writable(path):
    """Say now, and not after hours of work, that an output cannot be written.

    Raises
    ------
    BadInput
        The folder, or the nearest one above it that is there, may not be written to.
    """
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"{path} cannot be written: {folder} is no folder that you may write to")


def read_record(path):
    """How an output was made, as ``write_record`` left it beside it; empty where nothing did.

    Raises
    ------
    BadInput
        It is damaged.
    """
    record = record_path(path)
    if not record.exists():
        return {}
    with naming(record, "remove it, or make its output again with --overwrite"):
        content = json.loads(record.read_text())
        checkpoint = content.get("checkpoint") or {"model": ""}
        whole = [content["parameters"], content.get("inputs", {}), checkpoint, checkpoint.get("files", {})]
        texts = [checkpoint["model"], *(checkpoint.get(key) or "" for key in ("commit", "folder"))]
        texts += checkpoint.get("files", {}).values()
        if not all(isinstance(part, dict) for part in whole) or not all(isinstance(text, str) for text in texts):
            raise ValueError("it is no record")
    return content


def save_table(table, name, suffix=".csv"):
    """Save a pandas table as ``fig/{name}.csv``, or ``.csv.gz``."""
    write_table(figure_path(f"{name}{suffix}"), table)


def discard(name):
    """Remove what an earlier run of the notebook left as ``fig/{name}.*`` and is not made any more."""
    for suffix in ("csv", "pdf", "png", "nii.gz"):
        figure_path(f"{name}.{suffix}").unlink(missing_ok=True)


def read_calibration():
    """The simulated studies of demo/calibration.py, for ``pipeline.calibration``."""
    return read_values(calibration_path(), text=["study"])


def read_families():
    """What the notebook has found for every model and language so far.

    Returns
    -------
    curves, tables : pandas.DataFrame
        All ``fig/{family}_curves.csv`` and ``fig/{family}_table.csv``, with a column family.
    """
    curves, tables = [], []
    for path in sorted(figure_path("x").parent.glob("*_curves.csv")):
        family = path.name.removesuffix("_curves.csv")
        if (table := path.with_name(f"{family}_table.csv")).is_file():
            curves.append(read_values(path, text=["revision", "same_weights_as"]).assign(family=family))
            tables.append(read_values(table, text=["curve"]).assign(family=family))
    return pd.concat(curves, ignore_index=True), pd.concat(tables, ignore_index=True)


def save_text(text, name):
    """Save words as ``fig/{name}.txt``."""
    with new_file(figure_path(f"{name}.txt")) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def save_map(values, mask_img, name):
    """Save values of voxels as ``fig/{name}.nii.gz``, which every viewer opens; NaN becomes 0.

    values is an array of shape (n_voxels,), or (n_maps, n_voxels) for an image with a time axis.
    """
    values = np.atleast_2d(np.nan_to_num(values)).astype(np.float32)
    volume = np.zeros((*mask_img.shape, len(values)), dtype=np.float32)
    volume[np.asarray(mask_img.dataobj) != 0] = values.T
    code = int(mask_img.header["sform_code"])
    image = images.make_image(volume if len(values) > 1 else volume[..., 0], mask_img.affine, code)
    with new_file(figure_path(f"{name}.nii.gz")) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def save_figure(figure, name):
    """Save a matplotlib figure as ``fig/{name}.pdf`` and ``fig/{name}.png``."""
    for suffix in ("pdf", "png"):
        with new_file(figure_path(f"{name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, dpi=300)


def versions():
    """Of what the numbers come out of."""
    packages = "torch transformers tokenizers numpy scipy nilearn joblib rapidfuzz".split()
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def write_record(path, parameters, inputs, started, checkpoint=None, seed=None, checksums_of_outputs=None):
    """Say beside an output how it was made.

    Parameters
    ----------
    path : Path
        The output; the record is ``{path}.json``.
    parameters : dict
        Whatever changes the numbers.
    inputs : list of Path
        Files that it was made from; their SHA-256 is recorded.
    started : float
        ``time.time()`` when the work began.
    checkpoint : dict, optional
        As ``load_checkpoint`` returns it.
    seed : int, optional
    checksums_of_outputs : dict of str to str, optional
        SHA-256 of the output, and of those that come with it, by name.
    """
    record = {
        "command": shlex.join(sys.argv),
        "parameters": parameters,
        "checkpoint": checkpoint,
        "seed": seed,
        "inputs": {file.name: sha256(file) for file in inputs},
        "sha256": checksums_of_outputs or {},
        "versions": versions(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.time() - started, 1),
    }
    with new_file(record_path(path)) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


# ---------------------------------------------------------------- checkpoints


def load_checkpoint(model, revision=None, device="auto", dtype="float32", texts=(), say=say):
    """Load a causal language model and its tokenizer, check both, and return them ready to be read out.

    Parameters
    ----------
    model : str
        A name on the Hugging Face hub, or a local folder as ``save_pretrained`` writes it.
    revision : str, optional
        A branch, tag or commit of the hub's repository, or a sub-folder of the local folder.
    device : str
        ``auto`` (CUDA where there is one, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` ...
    dtype : {"float32", "bfloat16", "float16"}
        In which the weights are held and the model computes.
    texts : sequence of str
        What the model is to read; some of it is tokenised to check the tokenizer.
    say : callable
        Called with a line for the user.

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode, on the device. Code in the checkpoint is never run, and safetensors
        are taken wherever the checkpoint has them.
    tokenizer : transformers.PreTrainedTokenizerFast
    checkpoint : dict
        What was loaded, for the record: name, revision, dtype, ``files`` (SHA-256 by name), and the
        ``commit`` of the hub or the local ``folder``; ``tokenizer`` where it is not the one that
        AutoTokenizer loads.

    Raises
    ------
    BadInput
        It cannot be loaded, is no causal language model, or its tokenizer does not tell where tokens stand,
        has no BOS that the model knows, or cannot follow tokenizer.json.
    """
    from transformers import AutoModelForCausalLM

    from pipeline import model_checks, tokenizer_checks

    logging.getLogger("transformers.models").setLevel(logging.ERROR)  # it warns of encoders, which are errors here
    network, tokenizer, checkpoint = _load(AutoModelForCausalLM, model, revision, device, dtype)
    if not tokenizer.is_fast:
        raise BadInput(f"checkpoint {model}: its tokenizer does not tell which characters its tokens cover")
    try:
        tokenizer, note = tokenizer_checks.tokenizer_that_is_described(
            tokenizer, checkpoint.get("commit") or revision, texts, say
        )
        model_checks.check_model(network, tokenizer)
    except BadInput as error:
        raise BadInput(f"checkpoint {model}: {error}") from error
    return network, tokenizer, checkpoint | ({"tokenizer": note} if note else {})


def load_for(parts, args, texts=(), folder=None):
    """Load the checkpoint of a command for an output, unless other outputs were made of other weights.

    Parameters
    ----------
    parts : pathlib.Path
        The folder of the output's parts. Those that were made of another checkpoint are removed.
    args : argparse.Namespace
        From ``add_checkpoint_arguments``.
    texts : sequence of str
        What the model is to read; some of it is tokenised to check the tokenizer.
    folder : pathlib.Path, optional
        Of generated texts, where that is another one than the study's.

    Returns
    -------
    model, tokenizer, checkpoint
        As ``load_checkpoint`` returns them.

    Raises
    ------
    BadInput
        As ``load_checkpoint``; or an output of the same name was made of other weights, without ``--overwrite``.
    """
    model, tokenizer, checkpoint = load_checkpoint(args.model, args.revision, args.device, args.dtype, texts)
    if not args.overwrite:
        for path in outputs_of_checkpoint(checkpoint_stem(args.model, args.revision), folder):
            check_same_weights(path, read_record(path).get("checkpoint"), checkpoint)
    work.keep_if_same(parts, checkpoint, say, weights.is_same)
    return model, tokenizer, checkpoint


def outputs_of_checkpoint(stem, texts_folder=None):
    """Return where outputs of a checkpoint are if they are there: everything but the tables of acceptability."""
    texts = (texts_folder or generated_texts_folder()).glob(f"{glob.escape(stem)}_gen_*_*.txt")
    return [
        *(activations_path(stem, lang) for lang in LANGUAGES),
        *(run_correlations_path(stem, lang) for lang in LANGUAGES),
        *(benchmark_path(stem, benchmark) for benchmark in BENCHMARKS),
        *sorted(texts),
    ]


def check_same_weights(path, before, now):
    """Check that an output was made of the checkpoint that has been loaded now, as far as records show it.

    Raises
    ------
    BadInput
        It was made of another one.
    """
    if before and weights.is_same(before, now) is False:
        got, expected = weights.in_words(before), weights.in_words(now)
        raise BadInput(
            f"{path}: expected {expected}, got {got if got != expected else 'what was there before'}, which has other "
            f"weights, configuration or tokenizer under the same name {before['model']}. --overwrite takes them as "
            "they are now; then make the other outputs again, too"
        )


def load_classifier(name, device="auto", texts=(), say=say):
    """Load a classifier of sentences: a name on the Hugging Face hub, or a local folder.

    texts and say as ``load_checkpoint`` takes them.

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode, in float32, on the device.
    tokenizer : transformers.PreTrainedTokenizerBase
    checkpoint : dict
        What was loaded, for the record.

    Raises
    ------
    BadInput
        It cannot be loaded, is no classifier of sequences, or its tokenizer cannot fill up sentences or
        follow tokenizer.json.
    """
    from transformers import AutoModelForSequenceClassification

    from pipeline import tokenizer_checks

    model, tokenizer, checkpoint = _load(AutoModelForSequenceClassification, name, None, device, "float32")
    if tokenizer.pad_token is None:
        raise BadInput(f"classifier {name}: its tokenizer has no token to fill up shorter sentences with")
    tokenizer, note = tokenizer_checks.tokenizer_that_is_described(tokenizer, None, texts, say)
    return model, tokenizer, checkpoint | ({"tokenizer": note} if note else {})


def _load(auto_model, name, revision, device, dtype):
    """Model, tokenizer, and what was loaded, for the record."""
    import torch
    import transformers

    if not sys.stderr.isatty() or Path(name).is_dir():  # of a download one wants to know how long it takes
        transformers.utils.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # which tells of every attempt to reach the hub
    source, arguments = name, {"revision": revision or "main"}
    if Path(name).is_dir():
        source, arguments = Path(name, revision or ""), {"local_files_only": True}
        if not (source / "config.json").is_file():
            revisions = sorted(found.parent.name for found in Path(name).glob("*/config.json"))
            there = f"--revision may be {', '.join(revisions[:6])}{' ...' * (len(revisions) > 6)}" if revisions else ""
            raise BadInput(f"{source} holds no checkpoint: there is no config.json in it; {there or 'name another'}")
    elif name.count("/") > 1 or name.startswith((".", "/")):
        raise BadInput(f"--model {name}: there is no such folder, and a name on the hub is owner/name")
    remedy = "it cannot be loaded; get it again"
    if not Path(name).is_dir():
        remedy = "it cannot be loaded; is that its name on the hub, and can the hub be reached?"
    with naming(f"checkpoint {source}", remedy):
        if not Path(name).is_dir():
            # One commit for all files, whatever happens to the branch while they are downloaded.
            config = transformers.utils.cached_file(name, "config.json", **arguments)
            if config is None:
                raise ValueError("there is no config.json in it")
            snapshot = Path(config).parent
            arguments["revision"] = snapshot.name
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **arguments)
        network, loading = auto_model.from_pretrained(
            source, dtype=getattr(torch, dtype), trust_remote_code=False, output_loading_info=True, **arguments
        )
        if not tokenizer("a word", add_special_tokens=False)["input_ids"]:
            raise ValueError("its tokenizer reads no text; are the tokenizer's files in it?")
        n_known = network.get_input_embeddings().num_embeddings
        if tokenizer.vocab_size > n_known:  # tokens that were added later may lack a place in the model
            raise ValueError(f"its tokenizer has {tokenizer.vocab_size} tokens, of which the model knows {n_known}")
    if loading["missing_keys"]:
        raise BadInput(f"checkpoint {source}: it lacks {min(loading['missing_keys'])}; it is no {auto_model.__name__}")
    checkpoint = {"model": name, "revision": revision, "dtype": dtype}
    if Path(name).is_dir():
        checkpoint |= {"folder": str(Path(name).resolve()), "files": weights.checksums(source)}
    else:
        checkpoint |= {"commit": snapshot.name, "files": weights.checksums(snapshot)}
    return network.eval().to(pick_device(device)), tokenizer, checkpoint


def use_threads(n_threads):
    """Compute with so many threads of the CPU; with all where None is given."""
    import torch
    from threadpoolctl import threadpool_limits

    if n_threads is not None:
        torch.set_num_threads(n_threads)
        threadpool_limits(n_threads)  # NumPy's and SciPy's
        os.environ["RAYON_NUM_THREADS"] = str(n_threads)  # those of the tokenizers


def pick_device(name):
    """``auto`` is CUDA where there is one, else the CPU; any other name as PyTorch knows it.

    Raises
    ------
    BadInput
        There is no such device, or it cannot be used.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"--device {name} cannot be used here ({reason}): --device cpu always works") from error
    return torch.device(name)


# ---------------------------------------------------------------- command lines


def evaluate_minimal_pairs(benchmark, read_pairs, args, inputs=list, **parameters):
    """What the four evaluate_llm_*.py do: score the pairs of a benchmark, and write both its files.

    Parameters
    ----------
    benchmark : str
        As in file names.
    read_pairs : callable
        Returns the pairs, a pandas.DataFrame with columns paradigm, phenomenon, pair, good, bad.
    args : argparse.Namespace
        From ``minimal_pair_parser``.
    inputs : callable
        Returns the files that the pairs are read from.
    parameters
        What else changes the numbers, for the record.
    """
    from pipeline import minimal_pairs
    from report import progress

    started = time.time()
    stem = checkpoint_stem(args.model, args.revision)
    output = benchmark_path(stem, benchmark, args.output_folder)
    parameters |= {"revision": args.revision, "dtype": args.dtype, "leading_space": args.leading_space}
    if args.limit is not None:  # not in the records of whole benchmarks, so that older records stay valid
        parameters["limit"] = args.limit
    with job(output, parameters, args.overwrite, args.model, inputs()) as parts:
        if parts is None:
            return
        pairs = minimal_pairs.first_pairs(read_pairs(), args.limit)
        use_threads(args.threads)
        model, tokenizer, checkpoint = load_for(parts, args, [*pairs["good"], *pairs["bad"]])
        kept = parts / "scores.npz"
        known = work.read_part(kept)
        with progress.bar(2 * len(pairs), output.stem, "sentence") as bar:
            pairs = minimal_pairs.score_pairs(
                pairs,
                model,
                tokenizer,
                args.batch_size,
                args.leading_space,
                progress=bar.update,
                say=bar.write,
                known=known and known["scores"],
                keep=work.now_and_then(lambda scores: work.save_part(kept, scores=scores)),
            )
        table = minimal_pairs.accuracies(pairs)

        columns = ["paradigm", "pair", "good", "bad", "logprob_good", "logprob_bad"]
        pairs_output = benchmark_pairs_path(stem, benchmark, args.output_folder)
        write_table(parts / pairs_output.name, pairs[columns])
        write_table(parts / output.name, table)
        finish(parts, [pairs_output, output], parameters, inputs(), started, checkpoint, parameters.get("seed"))
    print(minimal_pairs.by_phenomenon(table).to_string(index=False, float_format="{:.3f}".format))
    print(f"{len(table)} paradigms in {output}")
    if part := describe_part(benchmark, benchmark_tables.count_by_paradigm(pairs["paradigm"])):
        print(part)


def minimal_pair_parser(doc, batch_size):
    """The options that the four evaluate_llm_*.py have in common."""
    parser = ArgumentParser(doc)
    add_checkpoint_arguments(parser)
    parser.add_argument(
        "--batch_size", type=whole_number, default=batch_size, help=f"sentences at once (default: {batch_size})"
    )
    parser.add_argument(
        "--output_folder", type=Path, help="where the results go (default: {benchmark}_results in the study folder)"
    )
    parser.add_argument(
        "--limit", type=whole_number, metavar="N", help="for trials: only the first N pairs of each paradigm"
    )
    parser.add_argument(
        "--leading_space", action="store_true", help="put a space before each sentence, as lm-eval's BLiMP does"
    )
    return parser


def checkpoint_name(text):
    """An option's value that names a model: it becomes part of file names."""
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no name")
    return text


def revision_name(text):
    """An option's value that names a revision: a sub-folder of a local model, and never one elsewhere."""
    text = checkpoint_name(text)
    if text.startswith("/") or ".." in Path(text).parts:
        raise argparse.ArgumentTypeError(f"{text} leads out of the model's folder")
    return text.strip("/")


class ArgumentParser(argparse.ArgumentParser):
    """argparse, with mistakes told in one line."""

    def __init__(self, doc):
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message):
        """Tell a mistake and end with status 2."""
        if message.startswith("argument --lang:"):
            message += "; CONTRIBUTING.md explains how to add a language"
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help shows all options)\n")


def add_checkpoint_arguments(parser):
    """The options of every script that loads a checkpoint."""
    parser.add_argument(
        "--model", type=checkpoint_name, required=True, help="name on the Hugging Face hub, or local folder"
    )
    parser.add_argument(
        "--revision",
        type=revision_name,
        help="branch, tag or commit on the hub, or sub-folder of the local folder",
    )
    add_device_arguments(parser)
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="in which the model computes (default: float32)",
    )
    parser.add_argument("--overwrite", action="store_true", help="make the output again if it is there")


def add_device_arguments(parser):
    """The options of every script that computes much."""
    parser.add_argument("--device", default="auto", help="auto (CUDA if there is one), cpu, cuda, cuda:1 ...")
    parser.add_argument(
        "--threads", type=whole_number, help="cores of the CPU to use, where several jobs share them (default: all)"
    )


def whole_number(text):
    """An option's value that must be 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def run_script(main):
    """Run a script's main(): bad input ends it with one line on standard error and status 2."""
    from pipeline.batches import is_out_of_memory

    stopping.end_in_one_line()
    try:
        try:
            main()
        finally:
            sys.stdout.flush()  # now, where a reader that is gone can be handled
        if stopping.IS_SCRIPT:
            stopping.ignore()
    except Exception as error:
        if isinstance(error, BrokenPipeError) and is_reader_gone():
            sys.exit(128 + signal.SIGPIPE)
        if isinstance(error, BadInput):
            told = str(error)
        elif is_out_of_memory(error):
            told = "the memory does not hold it: --device cpu may have more"
        elif isinstance(error, OSError):  # a full disk, a folder that is gone
            told = f"{error.filename or 'a file'}: {error.strerror or error}"
        else:
            raise
        print(f"{Path(sys.argv[0]).name}: {' '.join(told.split())}", file=sys.stderr)
        sys.exit(2)


def is_reader_gone():
    """Return whether nobody reads standard output any more (``| head``); nothing more is written to it then."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    is_gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if is_gone:  # Python flushes once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return is_gone


def main():
    """Print the study at a glance, or what the options ask for."""
    from report import check, overview, todo

    parser = ArgumentParser(
        "The study at a glance: what is there, what is missing, and what to run next.\n\n"
        "    python llm_brain_asym.py --lang en\n    python llm_brain_asym.py --todo fit | parallel -j 2"
    )
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the story (default: en)")
    parser.add_argument("--json", action="store_true", help="print it for other programs")
    parser.add_argument(
        "--check",
        action="store_true",
        help="make every check that a later stage would make, and show what is there; status 1 if anything is wrong",
    )
    parser.add_argument(
        "--todo",
        nargs="+",
        choices=[stage for stage in overview.STAGES if stage != "lm_eval"],
        help="print the commands that are still to be run for these stages, a line each",
    )
    args = parser.parse_args()
    if args.todo:
        todo.print_to_do(args.todo, args.lang)
    elif args.check:
        results = check.check_study(args.lang)
        print(results.in_words())
        sys.exit(1 if results.errors else 0)
    else:
        print(overview.as_json(args.lang) if args.json else overview.in_words(args.lang))
        overview.reliable_sides(args.lang)  # what is wrong with mask or ISC is an error, though the rest is shown


if __name__ == "__main__":
    run_script(main)
