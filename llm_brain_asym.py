"""The study folder: where everything is, what it is called, how it is read and written.

The environment variable LTBA_DIR names the study folder; without it, it is the folder of this
file. Every input and output has its fixed place in it, so that each stage can run on its own,
on another machine, or be replaced by files that someone else published.
"""

import argparse
import contextlib
import glob
import gzip
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import sys
import time
import zipfile
from pathlib import Path

import joblib
import lz4.frame
import nibabel
import numpy as np
import pandas as pd
from joblib.compressor import BinaryZlibFile
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler

from pipeline import BadInput
from pipeline.stimulus import DIGIT_NAMES

LANGUAGES = tuple(DIGIT_NAMES)
TEXT_PASSWORD = b"lessentielestinvisiblepourlesyeux"  # published beside the texts
PYTHIA_TOKENS_PER_STEP = 2_097_152

LATERALIZATION = "https://github.com/l-bg/llms_brain_lateralization"
ANNOTATIONS = "https://openneuro.org/datasets/ds003643 (annotation/{LANG}/)"


# ---------------------------------------------------------------- where things are


def study_folder():
    """The folder that holds all inputs and outputs: LTBA_DIR, or the folder of this file."""
    return Path(os.environ.get("LTBA_DIR") or Path(__file__).parent)


def text_path(lang):
    return study_folder() / f"lpp_{lang}_text.zip"


def word_timings_path(lang):
    return study_folder() / f"lpp{lang.upper()}_word_information.csv"


def average_subject_path(lang, run):
    """The fMRI of one run; runs count from 0 here, as in the published names."""
    return study_folder() / f"lpp_{lang}_average_subject" / f"average_subject_run-{run}.gz"


def mask_path(lang):
    return study_folder() / f"mask_lpp_{lang}.nii.gz"


def isc_path(lang):
    return study_folder() / f"isc_10trials_{lang}.gz"


def tokens_table_path():
    return study_folder() / "training_tokens.csv"


def activations_path(stem, lang):
    return study_folder() / "llms_activations" / f"{stem}_{lang}.lz4"


def onsets_offsets_path(lang):
    return study_folder() / "llms_activations" / f"onsets_offsets_{lang}.lz4"


def layer_correlations_path(stem, layer, lang):
    return study_folder() / "llms_brain_correlations" / f"{stem}_layer-{layer}_corr_{lang}.gz"


def run_correlations_path(stem, lang):
    return study_folder() / "llms_brain_correlations" / f"{stem}_runs_{lang}.npz"


def figure_path(name):
    return study_folder() / "fig" / name


# ---------------------------------------------------------------- what things are called


def checkpoint_stem(model, revision=None):
    """How files of a checkpoint are called: the model's name, ``_`` and the revision.

    A model that is a local folder goes by the folder's own name; ``/`` becomes ``_``.
    """
    name = Path(model).resolve().name if Path(model).is_dir() else model
    return "_".join([name, *([revision] if revision else [])]).replace("/", "_")


def training_tokens(model, revision):
    """Tokens that a checkpoint was trained on, as a float, or None where nothing tells.

    A row of the study's ``training_tokens.csv`` (columns model, revision, tokens) counts first;
    then a revision that says so (``stage1-step150-tokens1B`` is 1e9); then, for a model with
    pythia in its name, ``step1000``, at 2,097,152 tokens a step.
    """
    table = tokens_table_path()
    if table.exists():
        rows = _read_csv(table, ["model", "revision", "tokens"])
        rows = rows[(rows["model"].str.replace("/", "_") == model) & (rows["revision"] == revision)]
        if len(rows):
            return float(_numbers(rows["tokens"], table)[0])
    if match := re.search(r"(?:^|-)tokens(\d+(?:\.\d+)?)([KMBT]?)$", revision):
        return float(match[1]) * {"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[match[2]]
    if "pythia" in model.lower() and (match := re.fullmatch(r"step(\d+)", revision)):
        return float(int(match[1]) * PYTHIA_TOKENS_PER_STEP)
    return None


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
        Revisions of files whose training tokens nothing tells.
    """
    name = checkpoint_stem(model)
    rows, left_out = [], []
    for path in sorted(
        layer_correlations_path("x", 0, lang).parent.glob(f"{glob.escape(name)}_*_layer-0_corr_{lang}.gz")
    ):
        stem = path.name.removesuffix(f"_layer-0_corr_{lang}.gz")
        revision = stem.removeprefix(f"{name}_")
        tokens = training_tokens(name, revision)
        if tokens is None:
            left_out.append(revision)
        else:
            rows.append((stem, revision, tokens))
    table = pd.DataFrame(rows, columns=["stem", "revision", "tokens"])
    if table.empty:
        raise BadInput(
            f"{layer_correlations_path('x', 0, lang).parent} holds no checkpoint of {model} in {lang} "
            f"whose training tokens are known (others: {', '.join(left_out) or 'none'}): "
            "fit_average_subject.py makes them, LTBA_MODEL chooses another model"
        )
    return table.sort_values("tokens", ignore_index=True), left_out


# ---------------------------------------------------------------- reading


def published(path, source):
    """The path of an input, or BadInput that says where it is published and where to put it."""
    if not path.is_file():
        raise BadInput(f"{path} is missing: get it from {source} and put it there")
    return path


def made(path, script):
    """The path of an earlier stage's output, or BadInput that says which script makes it."""
    if not path.is_file():
        raise BadInput(f"{path} is missing: {script} makes it")
    return path


def read_texts(lang):
    """The written text of each run, a list of str."""
    path = published(text_path(lang), LATERALIZATION)
    texts = []
    with naming(path, "download it again"), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        while (name := f"lpp_{lang}_text/text_{lang}_run{len(texts) + 1}.txt") in names:
            text = archive.read(name, pwd=TEXT_PASSWORD).decode("utf-8-sig")
            texts.append(text.replace("\r\n", "\n"))
        if not texts:
            raise BadInput(f"{path}: there is no {name} in it; is it the text of another language?")
    return texts


def read_word_timings(lang):
    """What was heard in each run, a list over runs of (words, onsets, offsets).

    words is a list of str, onsets and offsets arrays of shape (n_words,) in seconds from the
    start of the run. Rows without a word are dropped.
    """
    path = published(word_timings_path(lang), ANNOTATIONS.format(LANG=lang.upper()))
    rows = _read_csv(path, ["word", "onset", "offset", "section"])
    rows = rows[rows["word"].str.strip() != ""]
    sections = _numbers(rows["section"], path)
    if len(rows) == 0 or set(sections) != set(range(1, int(sections.max()) + 1)):
        raise BadInput(f"{path}: its sections are {sorted(set(sections))}, which should be 1, 2, 3 ...")
    onsets, offsets = _numbers(rows["onset"], path), _numbers(rows["offset"], path)
    words = rows["word"].to_numpy()
    return [
        (list(words[sections == section]), onsets[sections == section], offsets[sections == section])
        for section in np.unique(sections)
    ]


def read_average_subject(lang):
    """The fMRI of each run, a list of float arrays of shape (n_scans, n_voxels)."""
    published(average_subject_path(lang, 0), f"{LATERALIZATION} (lpp_{lang}_average_subject)")
    runs = []
    while (path := average_subject_path(lang, len(runs))).is_file():
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
    """The brain mask, a nibabel image."""
    path = published(mask_path(lang), LATERALIZATION)
    with naming(path, "download it again"):
        mask = nibabel.load(path)
        mask.get_fdata()
    return mask


def read_isc(lang, n_voxels):
    """Inter-subject correlations, array of shape (n_trials, n_voxels)."""
    path = published(isc_path(lang), LATERALIZATION)
    isc = read_arrays(path)
    if not isinstance(isc, np.ndarray) or isc.ndim != 2 or isc.shape[1] != n_voxels:
        raise BadInput(f"{path}: it should be (n_trials, {n_voxels}), as many voxels as {mask_path(lang).name}")
    return isc


def read_activations(stem, lang):
    """Word vectors and timings of a checkpoint.

    Returns
    -------
    activations : list over runs of list over layers of float array (n_words, n_units)
    onsets_offsets : list over runs of (onsets, offsets), arrays of shape (n_words,), seconds
    """
    path = made(activations_path(stem, lang), "extract_llm_activations.py")
    onsets_path = made(onsets_offsets_path(lang), "extract_llm_activations.py")
    activations, onsets_offsets = read_arrays(path), read_arrays(onsets_path)
    for file, value in [(path, activations), (onsets_path, onsets_offsets)]:
        if not isinstance(value, list) or not all(isinstance(run, list | tuple) and len(run) for run in value):
            raise BadInput(f"{file}: it is not a list over runs; make it with extract_llm_activations.py")
    if len(activations) != len(onsets_offsets):
        raise BadInput(f"{path}: {len(activations)} runs, but {len(onsets_offsets)} in {onsets_path}; extract again")
    n_layers = len(activations[0])
    for run, (layers, (onsets, _)) in enumerate(zip(activations, onsets_offsets, strict=True)):
        shapes = {np.shape(layer) for layer in layers}
        if len(layers) != n_layers or len(shapes) != 1 or len(shape := shapes.pop()) != 2 or shape[0] != len(onsets):
            raise BadInput(f"{path}: run {run} does not have {n_layers} layers of {len(onsets)} words; extract again")
    return activations, onsets_offsets


def read_correlations(stem, lang):
    """Correlations of a checkpoint: array of shape (n_layers, n_runs, n_voxels).

    Where there is no ``.npz`` with every left-out run, as from the published code, the averages of
    the layers are read, and n_runs is 1.
    """
    path = run_correlations_path(stem, lang)
    if path.is_file():
        with naming(path, "make it again with fit_average_subject.py --overwrite"), np.load(path) as arrays:
            correlations = arrays["correlations"]
            if correlations.ndim != 3:
                raise BadInput(f"{path}: correlations have shape {correlations.shape}, not (layers, runs, voxels)")
            return correlations
    layers = []
    while (path := layer_correlations_path(stem, len(layers), lang)).is_file():
        layers.append(np.asarray(read_arrays(path)))
        if layers[-1].ndim != 1 or layers[-1].shape != layers[0].shape:
            raise BadInput(f"{path}: shape {layers[-1].shape} instead of (n_voxels,); make it again")
    if not layers:
        raise BadInput(f"{path} is missing: fit_average_subject.py makes it")
    return np.stack(layers)[:, None]


def read_arrays(path):
    """Read a joblib ``.gz`` (gzip or zlib) or ``.lz4`` file without running any code in it.

    Such files are pickles, which can call anything when they are opened. This admits arrays of
    numbers and plain containers (list, tuple, dict, str, int, float) and refuses all else.

    Raises
    ------
    BadInput
        The file is truncated, damaged, of another kind, or holds something else.
    """
    with naming(path, "it is truncated or no joblib file; get or make it again"), open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            stream = gzip.GzipFile(fileobj=file)
        elif start == b"\x04\x22\x4d\x18":
            stream = lz4.frame.LZ4FrameFile(file)
        elif start[:1] == b"\x78":
            stream = BinaryZlibFile(file)
        else:
            raise BadInput(f"{path}: neither gzip, zlib nor lz4; get or make it again")
        with stream:
            return _ArraysOnly(str(path), stream, ensure_native_byte_order=True).load()


class _ArraysOnly(NumpyUnpickler):
    """joblib's unpickler, for arrays of numbers and plain containers alone."""

    def find_class(self, module, name):
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return _NumbersOnly
        if (module, name) in {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
        }:
            return super().find_class(module, name)
        raise BadInput(f"{self.filename}: it holds {module}.{name}, which could run code; it was not opened")


class _NumbersOnly(NumpyArrayWrapper):
    """joblib's placeholder of an array; one of Python objects would be a pickle of its own."""

    def read_array(self, unpickler, ensure_native_byte_order):
        if self.dtype.hasobject:
            raise BadInput(f"{unpickler.filename}: it holds an array of Python objects; it was not opened")
        return super().read_array(unpickler, ensure_native_byte_order)


@contextlib.contextmanager
def naming(path, remedy):
    """Turn whatever reading a damaged file raises into BadInput that names the file."""
    try:
        yield
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # a damaged archive, pickle or image can raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path}: {remedy} ({reason[:200]})") from error


def _read_csv(path, columns):
    """A CSV file as strings; BadInput unless it has the columns."""
    with naming(path, "it is no CSV file in UTF-8; get it again"):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    missing = [column for column in columns if column not in rows]
    if missing:
        raise BadInput(f"{path}: it has no column {', '.join(missing)}; it needs {', '.join(columns)}")
    return rows[columns]


def _numbers(column, path):
    """A column of strings as floats; BadInput names the first line that is no number."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if np.isnan(numbers).any():
        wrong = column.index[np.isnan(numbers)][0]
        raise BadInput(f"{path}: line {wrong + 2}: {column.name} is {column[wrong]!r}, which is no number")
    return numbers


# ---------------------------------------------------------------- writing


def is_finished(path, parameters, overwrite):
    """Whether an output is there already, made with the same parameters, and may stay.

    Raises
    ------
    BadInput
        It was made with other parameters, which must not be mixed.
    """
    if overwrite or not path.exists():
        return False
    record = record_path(path)
    if record.is_file():
        with naming(record, "remove it, or make its output again with --overwrite"):
            before = json.loads(record.read_text())["parameters"]
        after = json.loads(json.dumps(parameters))
        changed = [f"{key} {before.get(key)}" for key in after if before.get(key) != after[key]]
        if changed:
            raise BadInput(f"{path} was made with {', '.join(changed)}: --overwrite makes it anew")
    return True


@contextlib.contextmanager
def new_file(path):
    """A temporary path in the folder of ``path`` that becomes ``path`` once it is written whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        # An old record must never stand beside a new output.
        record_path(path).unlink(missing_ok=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_arrays(path, value):
    """Write arrays and plain containers for ``joblib.load``: lz4 or gzip, by the name's ending."""
    with new_file(path) as temporary, open(temporary, "wb") as file:
        if path.suffix == ".lz4":
            compressed = lz4.frame.LZ4FrameFile(file, "wb")
        else:
            # Neither name nor time in the header: the same arrays make the same bytes.
            compressed = gzip.GzipFile("", "wb", compresslevel=4, fileobj=file, mtime=0)
        with compressed:
            joblib.dump(value, compressed)


def save_table(table, name):
    """Save a pandas table as ``fig/{name}.csv``."""
    with new_file(figure_path(f"{name}.csv")) as temporary:
        table.to_csv(temporary, index=False)


def save_figure(figure, name):
    """Save a matplotlib figure as ``fig/{name}.pdf`` and ``fig/{name}.png``."""
    for suffix in ("pdf", "png"):
        with new_file(figure_path(f"{name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, dpi=300)


def record_path(path):
    return path.with_name(path.name + ".json")


def write_record(path, parameters, inputs, started, checkpoint=None, seed=None):
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
    """
    packages = "torch transformers tokenizers numpy scipy nilearn joblib rapidfuzz".split()
    record = {
        "command": shlex.join(sys.argv),
        "parameters": parameters,
        "checkpoint": checkpoint,
        "seed": seed,
        "inputs": {file.name: sha256(file) for file in inputs},
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in packages},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.time() - started, 1),
    }
    with new_file(record_path(path)) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- checkpoints


def load_checkpoint(model, revision=None, device="auto", dtype="float32"):
    """Load a causal language model and its tokenizer, ready to be read out.

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

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode, on the device. Code in the checkpoint is never run, and safetensors
        are taken wherever the checkpoint has them.
    tokenizer : transformers.PreTrainedTokenizerFast
    checkpoint : dict
        What was loaded, for the record: name, revision, dtype, and the commit or the SHA-256 of
        the local files.
    """
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    source, arguments = model, {"revision": revision or "main"}
    if Path(model).is_dir():
        source, arguments = Path(model, revision or ""), {"local_files_only": True}
        if not (source / "config.json").is_file():
            raise BadInput(f"{source} holds no checkpoint: there is no config.json in it")
    with naming(f"checkpoint {source}", "it cannot be loaded"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **arguments)
        network = transformers.AutoModelForCausalLM.from_pretrained(
            source, dtype=getattr(torch, dtype), trust_remote_code=False, **arguments
        )
    if not tokenizer.is_fast:
        raise BadInput(f"checkpoint {source}: its tokenizer does not tell which characters its tokens cover")
    checkpoint = {"model": model, "revision": revision, "dtype": dtype}
    if Path(model).is_dir():
        files = sorted(file for file in source.iterdir() if file.suffix in {".safetensors", ".bin", ".json"})
        checkpoint["files"] = {file.name: sha256(file) for file in files}
    else:
        checkpoint["commit"] = getattr(network.config, "_commit_hash", None)
    return network.eval().to(pick_device(device)), tokenizer, checkpoint


def pick_device(name):
    """``auto`` is CUDA where there is one, else the CPU; any other name as PyTorch knows it."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"--device {name} cannot be used here ({reason}): --device cpu always works") from error
    return torch.device(name)


# ---------------------------------------------------------------- command lines


class ArgumentParser(argparse.ArgumentParser):
    """argparse, with mistakes told in one line."""

    def __init__(self, doc):
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help shows all options)\n")


def run_script(main):
    """Run a script's main(): bad input ends it with one line on standard error and status 2."""
    try:
        main()
    except BadInput as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)
