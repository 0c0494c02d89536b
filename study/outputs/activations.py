"""Read word vectors and word timings as extraction wrote them."""

import numpy as np

from pipeline.errors import InputError, explain_errors
from study.files.safe_joblib import read_array_lists, read_arrays
from study.paths import activations_path, onsets_offsets_path, text_path, word_timings_path
from study.require import require_output


def read_onsets_offsets(lang):
    """Read when the words of each run are heard, from ``onsets_offsets_path``.

    Returns
    -------
    list over runs of (onsets, offsets)
        Lists or arrays of shape (n_words,), seconds from the start of the run.

    Raises
    ------
    InputError
        The file is missing, damaged, or holds something else.
    """
    path = require_output(onsets_offsets_path(lang), "extract_llm_activations.py")
    onsets_offsets = read_arrays(path)
    if not isinstance(onsets_offsets, list) or not all(isinstance(times, list | tuple) for times in onsets_offsets):
        raise InputError(f"{path}: it is not a list over runs; make it with extract_llm_activations.py")
    for run, times in enumerate(onsets_offsets):
        with explain_errors(path, f"run {run} is no (onsets, offsets) in seconds; remove it, and extract again"):
            onsets, offsets = map(np.asarray, times)
            if onsets.ndim != 1 or onsets.shape != offsets.shape or {onsets.dtype.kind, offsets.dtype.kind} - set("fi"):
                raise ValueError("onsets and offsets are no numbers, as many of these as of those")
    return onsets_offsets


def read_activations(stem, lang):
    """Read the word vectors of a checkpoint, a run at a time, since all runs may not fit in memory.

    A caller that drops each run before it asks for the next holds one run in memory.

    Parameters
    ----------
    stem, lang : str

    Yields
    ------
    list over layers of float array of shape (n_words, n_units)
        As many words as ``read_onsets_offsets`` returns for the run.

    Raises
    ------
    InputError
        The file is missing or damaged, was made from another text or other timings than exist now, or a run has
        other layers, units or words than expected.
    """
    story = [text_path(lang), word_timings_path(lang)]
    path = require_output(activations_path(stem, lang), "extract_llm_activations.py", story)
    onsets_offsets = read_onsets_offsets(lang)
    n_runs, n_read = len(onsets_offsets), 0
    n_layers, n_units = 0, ()  # as in the first run
    for layers in read_array_lists(path):
        if n_read == n_runs:
            raise InputError(f"{path}: more than the {n_runs} runs of {onsets_offsets_path(lang)}; extract again")
        if n_read == 0:
            n_layers, n_units = len(layers), layers[0].shape[-1:]
        expected = (len(onsets_offsets[n_read][0]), *n_units)
        if len(layers) != n_layers or any(layer.shape != expected or layer.dtype.kind != "f" for layer in layers):
            raise InputError(
                f"{path}: run {n_read} should be {n_layers} layers of float arrays {expected}, as many words as in "
                f"{onsets_offsets_path(lang).name}; extract again"
            )
        n_read += 1
        yield layers
        del layers  # before the next run is read
    if n_read < n_runs:
        raise InputError(f"{path}: {n_read} runs, but {n_runs} in {onsets_offsets_path(lang)}; extract again")
