"""Read the published files of Le Petit Prince: text, word timings, fMRI, mask, inter-subject correlations."""

import zipfile

import numpy as np

from pipeline.errors import InputError, explain_errors
from pipeline.wording import describe_array, shorten
from study import paths
from study.files import images
from study.files.safe_joblib import check_member, read_arrays
from study.files.tables import parse_numbers, read_csv
from study.files.texts import decode
from study.require import require_input
from study.threads import map_in_threads

TEXT_PASSWORD = b"lessentielestinvisiblepourlesyeux"  # published with the texts
MOST_TEXT = 2**24  # bytes of a run's text; a small archive can unpack to more than the memory holds
LATERALIZATION = "https://github.com/l-bg/llms_brain_lateralization"
ANNOTATIONS = "https://openneuro.org/datasets/ds003643 (annotation/{LANG})"


def read_texts(lang):
    """Read the written text of each run, a list over runs of str; lines end with a line feed.

    A file that is missing or damaged, or contains no text of this language, raises InputError.
    """
    path = require_input(paths.text_path(lang), LATERALIZATION)
    texts: list[str] = []
    with explain_errors(path, "download it again"), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        while (name := f"lpp_{lang}_text/text_{lang}_run{len(texts) + 1}.txt") in names:
            check_member(archive.getinfo(name), MOST_TEXT)
            with archive.open(name, pwd=TEXT_PASSWORD) as file:
                text = decode(file.read(MOST_TEXT + 1), f"{path}: {name}")
            texts.append(text.replace("\r\n", "\n"))
        if not texts:
            raise InputError(f"{path}: expected {name} in it, got no such file. Get the text of this language.")
    return texts


def read_word_timings(lang):
    """Read the spoken words of each run, without rows that have no word.

    InputError is raised if the file is missing or damaged, if its sections are not 1, 2, 3 ..., or if a word has no
    valid onset and offset, or begins before the word above it in its section.

    Returns
    -------
    list over runs of (words, onsets, offsets)
        List of str, and float64 arrays (n_words,), seconds from the start of the run.
    """
    path = require_input(paths.word_timings_path(lang), ANNOTATIONS.format(LANG=lang.upper()))
    rows = read_csv(path, ["word", "onset", "offset", "section"])
    rows = rows[rows["word"].str.strip() != ""]
    sections = parse_numbers(rows["section"], path)
    numbers = np.unique(sections)
    if not np.array_equal(numbers, 1 + np.arange(len(numbers))) or len(rows) == 0:
        listed = shorten([f"{section:g}" for section in numbers], 12)
        raise InputError(f"{path}: expected the sections 1, 2, 3 ..., got {listed}. Get or make it again.")
    onsets, offsets = parse_numbers(rows["onset"], path), parse_numbers(rows["offset"], path)
    is_wrong = ~np.isfinite(onsets + offsets) | (onsets < 0) | (offsets < onsets)
    if is_wrong.any():
        raise InputError(
            f"{path}: line {rows.index[is_wrong][0]}: expected an onset of 0 s or later and an offset no earlier, got "
            f"{onsets[is_wrong][0]} and {offsets[is_wrong][0]} s. Get it again."
        )
    _check_onsets_increase(path, rows.index, sections, onsets)
    words = rows["word"].to_numpy()
    rows_of_runs = [sections == number for number in numbers]
    return [(list(words[rows_of_run]), onsets[rows_of_run], offsets[rows_of_run]) for rows_of_run in rows_of_runs]


def _check_onsets_increase(path, lines, sections, onsets):
    """Check that no word of a section begins before the word above it; lines, sections, onsets: (n_words,)."""
    order = np.argsort(sections, kind="stable")
    is_backwards = (np.diff(onsets[order]) < 0) & (np.diff(sections[order]) == 0)
    if is_backwards.any():
        first = np.flatnonzero(is_backwards)[0]
        above, place = order[first : first + 2]
        raise InputError(
            f"{path}: line {lines[place]}: expected an onset of {onsets[above]:g} s or later in section "
            f"{sections[place]:g}, as in line {lines[above]}, got {onsets[place]:g} s. Get or make it again."
        )


def count_timing_rows(lang):
    """Return the number of rows of ``word_timings_path``, including rows without a word."""
    return len(read_csv(paths.word_timings_path(lang), ["word"]))


def read_average_subject(lang):
    """Read the fMRI of each run, a list over runs of float array (n_scans, n_voxels).

    A run that is missing or damaged, has other voxels than run 0, or a value that is not finite, raises InputError.
    """
    source = f"{LATERALIZATION} (lpp_{lang}_average_subject)"
    runs: list[np.ndarray] = []
    numbers = range(len(paths.average_subject_files(lang)) or 1)
    files = [require_input(paths.average_subject_path(lang, number), source) for number in numbers]
    for path, run in zip(files, map_in_threads(read_arrays, files), strict=True):
        if not isinstance(run, np.ndarray) or run.ndim != 2 or run.dtype.kind != "f":
            raise InputError(
                f"{path}: expected an array of floats of shape (n_scans, n_voxels), got {describe_array(run)}. "
                "Get it again."
            )
        if runs and run.shape[1] != runs[0].shape[1]:
            raise InputError(
                f"{path}: expected {runs[0].shape[1]} voxels, as in run 0, got {run.shape[1]}. Get all runs again."
            )
        if not np.isfinite(run).all():
            raise InputError(f"{path}: expected finite numbers, got NaN or infinity. Get it again.")
        runs.append(run)
    return runs


def read_mask(lang):
    """Read the brain mask, a nibabel image (see ``images.read_mask``). A missing file raises InputError."""
    return images.read_mask(require_input(paths.mask_path(lang), LATERALIZATION))


def read_atlas():
    """Read the user's own atlas, a nibabel image (see ``images.read_labels``), or return None where there is none."""
    path = paths.atlas_path()
    return images.read_labels(path) if path.is_file() else None


def read_isc(lang, n_voxels):
    """Read the inter-subject correlations, an array (n_trials, n_voxels).

    A file that is missing or damaged, or has not the mask's number of voxels, n_voxels, raises InputError.
    """
    path = require_input(paths.isc_path(lang), LATERALIZATION)
    isc = read_arrays(path)
    if not isinstance(isc, np.ndarray) or isc.ndim != 2 or isc.shape[1] != n_voxels:
        raise InputError(
            f"{path}: expected an array of shape (n_trials, {n_voxels}), the voxels of {paths.mask_path(lang).name}, "
            f"got {describe_array(isc)}. Get both files again."
        )
    return isc
