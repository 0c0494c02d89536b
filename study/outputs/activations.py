"""Read the word vectors and word timings that extraction wrote."""

import numpy as np

from pipeline.errors import InputError, explain_errors
from study.files.safe_joblib import read_array_lists, read_arrays
from study.paths import activations_path, onsets_offsets_path, text_path, word_timings_path
from study.require import require_output


def read_onsets_offsets(lang):
    """Read the onsets and offsets of the words of each run, from ``onsets_offsets_path``.

    Return a list over runs of two lists or arrays (n_words,), seconds from the start of the run. A file that is
    missing or damaged, or contains something else, raises InputError.
    """
    path = require_output(onsets_offsets_path(lang), "extract_llm_activations.py")
    onsets_offsets = read_arrays(path)
    if not isinstance(onsets_offsets, list) or not all(isinstance(times, list | tuple) for times in onsets_offsets):
        raise InputError(f"{path}: expected a list over runs, got another object. Remove it, and extract again.")
    for run, times in enumerate(onsets_offsets):
        with explain_errors(path, f"run {run}: expected (onsets, offsets). Remove it, and extract again."):
            onsets, offsets = map(np.asarray, times)
            if onsets.ndim != 1 or onsets.shape != offsets.shape or {onsets.dtype.kind, offsets.dtype.kind} - set("fi"):
                raise ValueError("onsets and offsets are not arrays of numbers of one length")
    return onsets_offsets


def read_activations(stem, lang):
    """Read the word vectors of a checkpoint, a run at a time, since all runs may not fit in memory.

    A caller that deletes each run before the next keeps one run in memory. InputError is raised if the file is missing
    or damaged, if text or timings have changed, or if a run has other numbers of layers, units or words than expected.

    Yields
    ------
    list over layers of float array (n_words, n_units)
        n_words is the number of onsets that ``read_onsets_offsets`` returns for the run.
    """
    story = [text_path(lang), word_timings_path(lang)]
    path = require_output(activations_path(stem, lang), "extract_llm_activations.py", story)
    onsets_offsets = read_onsets_offsets(lang)
    expected_runs = f"{path}: expected {len(onsets_offsets)} runs, as in {onsets_offsets_path(lang)}"
    n_read, n_layers, n_units = 0, 0, ()  # layers and units as in the first run
    for layers in read_array_lists(path):
        if n_read == len(onsets_offsets):
            raise InputError(f"{expected_runs}, got more. Extract again.")
        if n_read == 0:
            n_layers, n_units = len(layers), layers[0].shape[-1:]
        expected = (len(onsets_offsets[n_read][0]), *n_units)
        if len(layers) != n_layers or any(layer.shape != expected or layer.dtype.kind != "f" for layer in layers):
            raise InputError(
                f"{path}: run {n_read}: expected {n_layers} layers of float arrays {expected}, with the words of "
                f"{onsets_offsets_path(lang).name}, got others. Extract again."
            )
        n_read += 1
        yield layers
        del layers  # before the next run is read
    if n_read < len(onsets_offsets):
        raise InputError(f"{expected_runs}, got {n_read}. Extract again.")
