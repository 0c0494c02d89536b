"""Read word vectors and word timings as extraction wrote them."""

import numpy as np

from pipeline.errors import InputError, explain_errors
from study.files.safe_joblib import read_arrays
from study.paths import activations_path, onsets_offsets_path, text_path, word_timings_path
from study.require import require_output


def read_onsets_offsets(lang):
    """When the words of each run are heard, from ``onsets_offsets_path``.

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
    InputError
        The file is missing or damaged, was made from another text or timings than are there now, or runs have other
        layers, units or words than they should.
    """
    story = [text_path(lang), word_timings_path(lang)]
    path = require_output(activations_path(stem, lang), "extract_llm_activations.py", story)
    onsets_offsets = read_onsets_offsets(lang)
    results: list = []
    shape_of_layers: tuple[int, ...] | None = None  # (n_layers, n_units), as in the first run

    def use_list(layers):
        nonlocal shape_of_layers
        run = len(results)
        if run == len(onsets_offsets):
            raise InputError(f"{path}: more than the {run} runs of {onsets_offsets_path(lang)}; extract again")
        shape_of_layers = shape_of_layers or (len(layers), *layers[0].shape[-1:])
        n_layers, *n_units = shape_of_layers
        expected = (len(onsets_offsets[run][0]), *n_units)
        if len(layers) != n_layers or any(layer.shape != expected or layer.dtype.kind != "f" for layer in layers):
            raise InputError(
                f"{path}: run {run} should be {n_layers} layers of float arrays {expected}, as many words as in "
                f"{onsets_offsets_path(lang).name}; extract again"
            )
        results.append(use_run(run, layers))

    value = read_arrays(path, use_list)
    if not isinstance(value, list) or not results or any(of_run is not None for of_run in value):
        raise InputError(f"{path}: it is not a list over runs of lists over layers; extract again")
    if len(results) < len(onsets_offsets):
        raise InputError(
            f"{path}: {len(results)} runs, but {len(onsets_offsets)} in {onsets_offsets_path(lang)}; extract again"
        )
    return results
