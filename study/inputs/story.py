"""Read the story and prepare the fMRI for the stages, and check both against each other.

Extraction and fit call these functions before they compute. ``llm_brain_asym.py --check`` calls the same functions.
"""

import numpy as np

from pipeline.encoding.arrays import as_float32
from pipeline.encoding.folds import check_n_runs
from pipeline.encoding.hrf import make_hrf_matrix
from pipeline.encoding.signals import check_n_scans, make_regressors, trim_and_zscore
from pipeline.errors import InputError, add_context, explain_errors
from pipeline.words.alignment import align
from study.files.safe_joblib import read_arrays
from study.inputs.le_petit_prince import read_texts, read_word_timings
from study.paths import average_subject_path, onsets_offsets_path, text_path, word_timings_path


def read_story(lang):
    """Read the written text and the spoken words of the story.

    Parameters
    ----------
    lang : str

    Returns
    -------
    texts : list over runs of str
    words_of_runs : list over runs of list of str
    onsets_offsets : list over runs of (onsets, offsets)
        float64 arrays of shape (n_words,), seconds from the start of the run.

    Raises
    ------
    InputError
        A file is missing or damaged, or text and words have different numbers of runs.
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

    Parameters
    ----------
    words_of_runs : list over runs of list of str
    texts : list over runs of str
    lang : str

    Returns
    -------
    list over runs of int array of shape (n_words, 2)
        Index of the first character of each word, and of the character after its last.

    Raises
    ------
    InputError
        The text of a run does not contain its words (see ``alignment.align``).
    """
    spans_of_runs = []
    for run, (words, text) in enumerate(zip(words_of_runs, texts, strict=True), start=1):
        try:
            spans_of_runs.append(align(words, text, lang))
        except InputError as error:
            raise InputError(
                f"{word_timings_path(lang)}, section {run}, does not fit {text_path(lang)}: {error}"
            ) from error
    return spans_of_runs


def check_same_timings(onsets_offsets, lang):
    """Check that the shared file of timings, if it exists, contains these timings.

    Parameters
    ----------
    onsets_offsets : list over runs of (onsets, offsets)
    lang : str

    Raises
    ------
    InputError
        The file contains other timings, or is damaged.
    """
    path = onsets_offsets_path(lang)
    if path.exists() and not has_timings(path, onsets_offsets):
        raise InputError(
            f"{path}: expected the word timings of {word_timings_path(lang)}, got others. Use another study folder "
            "(LTBA_DIR), or --overwrite for every checkpoint."
        )


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
    onsets_offsets : list over runs of (onsets, offsets)
        Seconds from the start of the run.
    timings_path : pathlib.Path
        The file of the onsets, for messages.
    n_scans_of_runs : list over runs of int
        Number of fMRI scans.
    lang : str
    device : torch.device, optional
        Device of the matrices as PyTorch tensors. By default, they are NumPy arrays.

    Returns
    -------
    list over runs of float32 array or tensor of shape (n_scans, n_words)

    Raises
    ------
    InputError
        Story and fMRI have different numbers of runs, or the words of a run do not fit its scans.
    """
    if len(onsets_offsets) != len(n_scans_of_runs):
        raise InputError(
            f"{timings_path}: expected {len(n_scans_of_runs)} runs, as {average_subject_path(lang, 0).parent} has, got "
            f"{len(onsets_offsets)}. Get both of the same story."
        )
    matrices = []
    for run, ((onsets, offsets), n_scans) in enumerate(zip(onsets_offsets, n_scans_of_runs, strict=True)):
        try:
            check_n_scans(n_scans)
            matrices.append(as_float32(make_hrf_matrix(onsets, offsets, n_scans), device))
        except InputError as error:
            raise InputError(
                f"{timings_path} does not fit {average_subject_path(lang, run)}: run {run}: {error}"
            ) from error
    return matrices


def prepare_fmri(fmri, lang):
    """Trim and z-score every run.

    Parameters
    ----------
    fmri : list over runs of float array of shape (n_scans, n_voxels)
    lang : str

    Returns
    -------
    list over runs of float32 array of shape (n_scans - 20, n_voxels)

    Raises
    ------
    InputError
        There are fewer than three runs, a run has too few scans, or no voxel varies in it.
    """
    with add_context(average_subject_path(lang, 0).parent):
        check_n_runs(len(fmri))
    prepared = []
    for run, scans in enumerate(fmri):
        with add_context(average_subject_path(lang, run)):
            prepared.append(trim_and_zscore(scans))
            if not prepared[-1].any():
                raise InputError("expected voxels that vary, got none. Get it again.")
    return prepared


def make_layer_regressors(layers, matrix, path, run):
    """Compute the regressors of every layer of one run.

    Parameters
    ----------
    layers : list over layers of float array of shape (n_words, n_units)
    matrix : float32 array or tensor of shape (n_scans, n_words)
        From ``make_hrf_matrices``.
    path : pathlib.Path
        The file of the word vectors, for messages.
    run : int

    Returns
    -------
    list over layers of float32 array of shape (n_scans - 20, n_units)

    Raises
    ------
    InputError
        A layer contains values that are not finite numbers.
    """
    regressors = []
    for layer, vectors in enumerate(layers):
        try:
            regressors.append(make_regressors(matrix, vectors))
        except InputError as error:
            raise InputError(
                f"{path}: run {run}, layer {layer}: {error}. Extract again, with --dtype float32 if they overflowed."
            ) from error
    return regressors
