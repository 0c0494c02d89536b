"""Name every input and output of the study folder; nothing here reads or writes.

The environment variable LTBA_DIR names the study folder; without it, it is the folder of the scripts.
Every input and output has its fixed place in it, so that each stage can run on its own, on another
machine, or be replaced by files that someone else published.
"""

import glob
import os
from pathlib import Path

from pipeline.errors import InputError
from pipeline.tasks.table import BENCHMARKS
from pipeline.words.languages import LANGUAGES


def study_folder():
    """The folder that holds all inputs and outputs: LTBA_DIR, or the folder of this file.

    Raises
    ------
    InputError
        LTBA_DIR names a folder that is not there.
    """
    named = os.environ.get("LTBA_DIR")
    if named and not Path(named).is_dir():
        raise InputError(f"LTBA_DIR={named}: there is no such folder; make it, or name another")
    return Path(named or Path(__file__).parents[1])


def describe_study_folder():
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


def lm_eval_path(stem, task):
    """Return the folder that lm_eval writes to, for a checkpoint and a task of a configuration."""
    return lm_eval_folder() / f"{stem}_{task}"


def figure_path(name):
    """A file of the notebook's, by its name with its ending."""
    return study_folder() / "fig" / name


def calibration_path():
    """What simulated studies said of the analysis; it comes with this program, whatever the study."""
    return Path(__file__).parents[1] / "demo" / "calibration.csv.gz"


def note_path():
    """What readers of the page must know first."""
    return study_folder() / "note.txt"


def atlas_path():
    """The user's own atlas (see ``read_atlas``)."""
    return study_folder() / "atlas.nii.gz"


def checkpoint_stem(model, revision=None):
    """How files of a checkpoint are called: the model's name, ``_`` and the revision.

    A model that is a local folder goes by the folder's own name; ``/`` becomes ``_``.
    """
    name = Path(model).resolve().name if Path(model).is_dir() else model
    return "_".join([name, *([revision] if revision else [])]).replace("/", "_")


def outputs_of_checkpoint(stem, texts_folder=None):
    """Return where outputs of a checkpoint are if they are there: everything but the tables of acceptability."""
    texts = (texts_folder or generated_texts_folder()).glob(f"{glob.escape(stem)}_gen_*_*.txt")
    return [
        *(activations_path(stem, lang) for lang in LANGUAGES),
        *(run_correlations_path(stem, lang) for lang in LANGUAGES),
        *(benchmark_path(stem, benchmark) for benchmark in BENCHMARKS),
        *sorted(texts),
    ]


def record_path(path):
    """Return where the record of an output is: ``{name}.json`` next to it."""
    return path.with_name(path.name + ".json")
