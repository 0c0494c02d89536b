"""Name every input and output of the study folder, without reading or writing any.

Every input and output has a fixed path in the study folder. So each stage can run on its own, on another machine, or
be replaced by files that someone else published.
"""

import glob
import os
from pathlib import Path

from pipeline.errors import InputError
from pipeline.tasks.table import BENCHMARKS
from pipeline.words.languages import LANGUAGES


def study_folder():
    """Return the folder of all inputs and outputs: LTBA_DIR, which must exist (InputError), or that of the scripts."""
    folder = os.environ.get("LTBA_DIR")
    if folder and not Path(folder).is_dir():
        raise InputError(f"LTBA_DIR={folder}: expected a folder, got none. Make it, or name another.")
    return Path(folder or Path(__file__).parents[1])


def describe_study_folder():
    """Return the study folder and the reason for it in words, for error messages."""
    reason = "as set in LTBA_DIR" if os.environ.get("LTBA_DIR") else "since LTBA_DIR is not set"
    return f"the study folder is {study_folder()}, {reason}"


def text_path(lang):
    """Return the path of the published text of the story: an encrypted zip archive, a file per run."""
    return study_folder() / f"lpp_{lang}_text.zip"


def word_timings_path(lang):
    """Return the path of the published onsets and offsets of the words."""
    return study_folder() / f"lpp{lang.upper()}_word_information.csv"


def average_subject_path(lang, run):
    """Return the path of the fMRI of one run; runs count from 0, as in the published names."""
    return study_folder() / f"lpp_{lang}_average_subject" / f"average_subject_run-{run}.gz"


def average_subject_files(lang):
    """Return the fMRI files that exist, a sorted list."""
    return sorted(average_subject_path(lang, 0).parent.glob("average_subject_run-*.gz"))


def mask_path(lang):
    """Return the path of the published brain mask."""
    return study_folder() / f"mask_lpp_{lang}.nii.gz"


def isc_path(lang):
    """Return the path of the published inter-subject correlations."""
    return study_folder() / f"isc_10trials_{lang}.gz"


def tokens_table_path():
    """Return the path of the user's own table of training tokens (see ``checkpoints.find_training_tokens``)."""
    return study_folder() / "training_tokens.csv"


def activations_path(stem, lang):
    """Return the path of the word vectors of a checkpoint, all runs and layers."""
    return study_folder() / "llms_activations" / f"{stem}_{lang}.lz4"


def surprisal_path(stem, lang):
    """Return the path of a checkpoint's surprisal at every word, next to the word vectors."""
    return study_folder() / "llms_activations" / f"{stem}_{lang}_surprisal.csv.gz"


def onsets_offsets_path(lang):
    """Return the path of the onsets and offsets that the word vectors of all checkpoints share."""
    return study_folder() / "llms_activations" / f"onsets_offsets_{lang}.lz4"


def layer_correlations_path(stem, layer, lang):
    """Return the path of one layer's correlations, averaged over held-out runs; layers count from 0."""
    return study_folder() / "llms_brain_correlations" / f"{stem}_layer-{layer}_corr_{lang}.gz"


def all_layer_correlations_paths(stem, lang):
    """Return the files of ``layer_correlations_path`` that exist, of all layers."""
    name = layer_correlations_path(glob.escape(stem), "*", lang)
    return sorted(name.parent.glob(name.name))


def run_correlations_path(stem, lang):
    """Return the path of a checkpoint's correlations and alphas, all layers and held-out runs."""
    return study_folder() / "llms_brain_correlations" / f"{stem}_runs_{lang}.npz"


def unique_correlations_path(stem, lang):
    """Return the path of a checkpoint's correlations and unique variance with a nuisance, all layers and runs."""
    return study_folder() / "llms_brain_correlations" / f"{stem}_unique_{lang}.npz"


def blimp_files():
    """Return the files of BLiMP, one per paradigm, sorted by name."""
    return _list_visible_files(study_folder() / "blimp" / "data", "*.jsonl")


def zorro_files():
    """Return the files of Zorro, one per paradigm, sorted by name."""
    return _list_visible_files(study_folder() / "Zorro" / "sentences" / "babyberta", "*.txt")


def _list_visible_files(folder, pattern):
    """Return the files of a folder that match a pattern and are not hidden, sorted."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def benchmark_path(stem, benchmark, folder=None):
    """Return the path of a checkpoint's accuracies; the default folder is {benchmark}_results in the study."""
    return (folder or study_folder() / f"{benchmark}_results") / f"{stem}_{benchmark}.csv"


def benchmark_pairs_path(stem, benchmark, folder=None):
    """Return the path of the log-probabilities of all pairs, next to the accuracies."""
    return benchmark_path(stem, benchmark, folder).with_name(f"{stem}_{benchmark}_pairs.csv.gz")


def generated_texts_folder():
    """Return the folder of the generated texts and of the tables of their acceptability."""
    return study_folder() / "generated_texts"


def generated_text_path(stem, prompt, sample, folder):
    """Return the path of one text of a checkpoint; prompts and samples count from 0."""
    return folder / f"{stem}_gen_{prompt}_{sample}.txt"


def acceptability_path(model, folder):
    """Return the path of the table of acceptability of a model's texts, all revisions."""
    return folder / f"{checkpoint_stem(model)}_gen_cola.csv"


def lm_eval_folder():
    """Return the folder that the lm_eval command writes to."""
    return study_folder() / "lm_eval_results"


def lm_eval_path(stem, task):
    """Return the folder that lm_eval writes to, for a checkpoint and a task of a configuration."""
    return lm_eval_folder() / f"{stem}_{task}"


def story_path(story):
    """Return the path of a story table, any stimulus as a row per unit (see ``study.inputs.stories``)."""
    return study_folder() / "stories" / f"{story}.csv"


def brain_benchmark_path(benchmark):
    """Return the path of the responses of a brain benchmark, prepared."""
    return study_folder() / "brain_benchmarks" / f"{benchmark}.npz"


def brain_benchmark_scores_path(stem, benchmark, splits, regression):
    """Return the path of the scores of a checkpoint on a brain benchmark; the table next to it ends in ``.csv``."""
    return study_folder() / "brain_benchmark_results" / f"{stem}_{benchmark}_{splits}_{regression}.npz"


def brain_ceiling_path(benchmark, splits, regression):
    """Return the path of the ceilings of a brain benchmark; the table next to it ends in ``.csv``."""
    return brain_benchmark_scores_path("ceiling", benchmark, splits, regression)


def language_units_path(stem):
    """Return the path of the language-selective units of a checkpoint."""
    return study_folder() / "language_units" / f"{stem}.npz"


def figure_path(name):
    """Return the path of a figure, table or map of the notebook, by its name with its ending."""
    return study_folder() / "fig" / name


def calibration_path():
    """Return the path of the results of simulated studies, which are part of this project."""
    return Path(__file__).parents[1] / "demo" / "calibration.csv.gz"


def note_path():
    """Return the path of the note at the top of the page."""
    return study_folder() / "note.txt"


def atlas_path():
    """Return the path of the user's own atlas (see ``le_petit_prince.read_atlas``)."""
    return study_folder() / "atlas.nii.gz"


def checkpoint_stem(model, revision=None):
    """Return the model's name (of a local model, its folder's name), ``_`` and the revision, with ``/`` as ``_``."""
    name = Path(model).resolve().name if Path(model).is_dir() else model
    return (f"{name}_{revision}" if revision else name).replace("/", "_")


def outputs_of_checkpoint(stem, texts_folder=None):
    """Return the paths of a checkpoint's outputs, existing or not, without the tables of acceptability."""
    texts = generated_text_path(glob.escape(stem), "*", "*", texts_folder or generated_texts_folder())
    return [
        *(activations_path(stem, lang) for lang in LANGUAGES),
        *(run_correlations_path(stem, lang) for lang in LANGUAGES),
        *(benchmark_path(stem, benchmark) for benchmark in BENCHMARKS),
        *sorted(texts.parent.glob(texts.name)),
    ]


def record_path(path):
    """Return the path of the record of an output: ``{name}.json`` next to it."""
    return path.with_name(path.name + ".json")
