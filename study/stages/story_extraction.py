"""Extract states and baselines at the units of a story table: the least that brain benchmarks need.

``extract_llm_activations.py --story {benchmark} --pooling last|mean|sum --context group|none|N`` is to replace
``extract_story``, and ``experiments.baselines.extract --story`` ``extract_story_baseline``.
"""

import numpy as np

from pipeline.errors import InputError
from pipeline.models.loading import load_checkpoint, make_untrained
from pipeline.words import unit_baselines
from pipeline.words.vectors import compute_word_vectors
from study import baselines, paths
from study.files.safe_joblib import write_arrays
from study.inputs.stories import read_story_table
from study.jobs import Job
from study.outputs.brain_benchmarks import read_story_activations

OASM = "oasm"


def extract_story(model, revision, story, *, pooling="mean", context="group", device="cpu", untrained=None):
    """Write the states of a checkpoint at the units of a story, in the format of the extraction; return the stem.

    Parameters
    ----------
    model, revision : str, as for ``load_checkpoint``
    story : str, name of a story table
    pooling : {"mean"}, over the tokens of a unit
    context : {"group", "none"}: the model reads a run in one go, or each unit alone
    device : str
    untrained : int, optional, the seed of random weights
    """
    if pooling != "mean" or context not in ("group", "none"):
        raise InputError(f"--pooling {pooling} --context {context}: expected mean, and group or none. Use these.")
    stem = baselines.make_untrained_stem(paths.checkpoint_stem(model, revision), untrained)
    output = paths.activations_path(stem, story)
    parameters = {"revision": revision, "pooling": pooling, "context": context}
    parameters |= {} if untrained is None else {"untrained": untrained}
    with Job(output, parameters, modules=[__name__], inputs=[paths.story_path(story)], model=model) as job:
        if job.is_finished:
            return stem
        table = read_story_table(story)
        load = load_checkpoint if untrained is None else make_untrained
        seed = {} if untrained is None else {"seed": untrained}
        loaded, tokenizer, job.checkpoint = load(model, revision, device, "float32", table.texts, **seed)
        runs = []
        for text, units, spans in zip(table.texts, table.units, table.spans, strict=True):
            if context == "group":
                runs.append(list(compute_word_vectors(loaded, tokenizer, text, spans)))
                continue
            alone = [compute_word_vectors(loaded, tokenizer, unit, np.array([[0, len(unit)]])) for unit in units]
            runs.append(list(np.concatenate(alone, axis=1)))
        job.finish({output: lambda path: write_arrays(path, runs)}, seed=untrained)
    return stem


def extract_story_baseline(baseline, story, seed=1):
    """Write a baseline at the units of a story, in the format of the extraction; return its stem.

    baseline is one of length, position, random_embedding, random_vector, ``oasm:SIGMA``, or ``static:STEM`` for layer 0
    of the states of a checkpoint.
    """
    name, _, value = baseline.partition(":")
    units = read_story_table(story).units
    if name == OASM:
        stem, vectors = f"baseline_oasm_{float(value):g}", unit_baselines.compute_oasm(units, float(value))
    elif name == "static":
        layer = read_story_activations(value, story, sum(map(len, units)))[0]
        ends = np.cumsum([len(run) for run in units])[:-1]
        stem, vectors = f"baseline_static_{value}", np.split(layer, ends)
    elif name in ("length", "position"):
        compute = {"length": unit_baselines.compute_unit_length, "position": unit_baselines.compute_unit_position}
        stem, vectors = f"baseline_{name}", compute[name](units)
    elif name in baselines.WITH_SEED:
        draw = {
            "random_embedding": unit_baselines.draw_unit_embedding,
            "random_vector": unit_baselines.draw_unit_vectors,
        }
        stem, vectors = baselines.make_baseline_stem(name, seed), draw[name](units, seed)
    else:
        raise InputError(f"--baseline {baseline}: expected length, position, random_embedding, random_vector or oasm:1")
    output = paths.activations_path(stem, story)
    with Job(output, {"baseline": baseline, "seed": seed}, modules=[__name__], inputs=[paths.story_path(story)]) as job:
        if not job.is_finished:
            job.finish({output: lambda path: write_arrays(path, [[run] for run in vectors])})
    return stem
