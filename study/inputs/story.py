"""Read the story and prepare the fMRI for the stages, and check both against each other.

Extraction and fit call these functions before they compute. ``llm_brain_asym.py --check`` calls the same functions.
"""

import itertools

import numpy as np

from pipeline.encoding.arrays import as_float32
from pipeline.encoding.cross_validation import has_variance
from pipeline.encoding.folds import check_n_runs
from pipeline.encoding.hrf import make_hrf_matrix
from pipeline.encoding.signals import check_n_scans, make_regressors, trim_and_zscore
from pipeline.errors import InputError, add_context, explain_errors
from pipeline.words.alignment import align
from pipeline.words.languages import LANGUAGES
from study.files.safe_joblib import read_arrays
from study.inputs.le_petit_prince import read_texts, read_word_timings
from study.paths import average_subject_path, onsets_offsets_path, story_path, text_path, word_timings_path
from study.threads import map_in_threads


def read_story(lang):
    """Read the written text and the spoken words of the story. Damaged or different stories raise InputError.

    Returns
    -------
    texts : list over runs of str
    words_of_runs : list over runs of list of str
    onsets_offsets : list over runs of two float64 arrays (n_words,), seconds from the start of the run
    """
    texts, timings = read_texts(lang), read_word_timings(lang)
    if len(texts) != len(timings):
        raise InputError(
            f"{word_timings_path(lang)}: expected {len(texts)} sections, as {text_path(lang)} has runs, got "
            f"{len(timings)}. Get both files of the same story."
        )
    return texts, [words for words, _, _ in timings], [(onsets, offsets) for _, onsets, offsets in timings]


def place_words(words_of_runs, texts, lang):
    """Place the words of every run on characters of its text.

    A text that does not contain the words of its run raises InputError (see ``alignment.align``).

    Parameters
    ----------
    words_of_runs : list over runs of list of str
    texts : list over runs of str
    lang : str

    Returns
    -------
    list over runs of int array (n_words, 2)
        Index of the first character of each word, and of the character after its last.
    """
    spans_of_runs = []
    for run, (words, text) in enumerate(zip(words_of_runs, texts, strict=True), start=1):
        with add_context(f"{word_timings_path(lang)}, section {run}, does not fit {text_path(lang)}"):
            spans_of_runs.append(align(words, text, lang))
    return spans_of_runs


def check_same_timings(onsets_offsets, lang, path=None):
    """Check that the shared file of timings, if it exists, contains the timings of ``read_story``.

    path is ``onsets_offsets_path`` by default. A file with other timings, or a damaged file, raises InputError.
    """
    path = path or onsets_offsets_path(lang)
    if path.exists() and not has_timings(path, onsets_offsets):
        raise InputError(
            f"{path}: expected the word timings of {timings_source(lang)}, got others. Use another study folder "
            "(LTBA_DIR), or --overwrite for every checkpoint."
        )


def timings_source(name):
    """Return the path of the table with the timings of a language of Le Petit Prince, or of another story."""
    return word_timings_path(name) if name in LANGUAGES else story_path(name)


def has_timings(path, onsets_offsets):
    """Return whether a file exists and contains these timings; raise InputError if it is damaged."""
    if not path.exists():
        return False
    before = read_arrays(path)
    with explain_errors(path, "expected a list over runs of (onsets, offsets). Remove it, and extract again."):
        return len(before) == len(onsets_offsets) and all(
            np.array_equal(old, new) for old, new in zip(before, onsets_offsets, strict=True)
        )


def make_hrf_matrices(onsets_offsets, timings_path, n_scans_of_runs, lang, device=None):
    """Compute the matrices that turn the word vectors of each run into regressors.

    Parameters
    ----------
    onsets_offsets : list over runs of two arrays (n_words,), seconds from the start of the run
    timings_path : pathlib.Path, the file of the onsets, for messages
    n_scans_of_runs : list over runs of int
    lang : str
    device : torch.device, optional, of PyTorch tensors; by default, the matrices are NumPy arrays

    Returns
    -------
    list over runs of float32 array or tensor (n_scans, n_words)
        InputError is raised if numbers of runs differ, or the words of a run do not fit its scans.
    """
    if len(onsets_offsets) != len(n_scans_of_runs):
        raise InputError(
            f"{timings_path}: expected {len(n_scans_of_runs)} runs, as {average_subject_path(lang, 0).parent} has, got "
            f"{len(onsets_offsets)}. Get both of the same story."
        )
    matrices = []
    for run, ((onsets, offsets), n_scans) in enumerate(zip(onsets_offsets, n_scans_of_runs, strict=True)):
        with add_context(f"{timings_path} does not fit {average_subject_path(lang, run)}: run {run}"):
            check_n_scans(n_scans)
            matrices.append(as_float32(make_hrf_matrix(onsets, offsets, n_scans), device))
    return matrices


def prepare_fmri(fmri, lang):
    """Trim and z-score every run, a float array (n_scans, n_voxels), to a float32 array (n_scans - 20, n_voxels).

    Fewer than three runs, and a run with too few scans or without a voxel that varies, raise InputError.
    """
    with add_context(average_subject_path(lang, 0).parent):
        check_n_runs(len(fmri))

    def prepare_run(run, scans):
        with add_context(average_subject_path(lang, run)):
            prepared = trim_and_zscore(scans)
            if not has_variance(prepared):
                raise InputError("expected voxels that vary, got none. Get it again.")
            return prepared

    return map_in_threads(prepare_run, itertools.count(), fmri)


def make_layer_regressors(layers, matrix, path, run):
    """Compute the regressors of every layer of one run, and yield them.

    Parameters
    ----------
    layers : list over layers of float array (n_words, n_units), which becomes a list of None, to free memory
    matrix : float32 array or tensor (n_scans, n_words), from ``make_hrf_matrices``
    path : pathlib.Path, the file of the word vectors, for messages
    run : int

    Yields
    ------
    float32 array or tensor (n_scans - 20, n_units), as the matrix
        Values that are not finite raise InputError.
    """
    for layer in range(len(layers)):
        vectors, layers[layer] = layers[layer], None
        try:
            yield make_regressors(matrix, vectors)
        except InputError as error:
            raise InputError(
                f"{path}: run {run}, layer {layer}: {error}. Extract again, with --dtype float32 if they overflowed."
            ) from error
