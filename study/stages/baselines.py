"""Write the vectors of a baseline in the format of the extraction."""

import numpy as np

from pipeline.errors import InputError
from pipeline.words import baselines as features
from pipeline.words import unit_baselines
from study import baselines
from study.files.safe_joblib import write_arrays
from study.inputs.stories import read_story_table
from study.inputs.story import check_same_timings
from study.inputs.word_frequencies import find_wordfreq_version, read_zipf_frequencies
from study.jobs import Job
from study.outputs.activations import read_activations
from study.outputs.brain_benchmarks import read_story_activations
from study.paths import (
    activations_path,
    checkpoint_stem,
    onsets_offsets_path,
    story_path,
    text_path,
    word_timings_path,
)
from study.stages.extraction import read_spoken_story, write_timings

MAX_OASM_UNITS = 10_000  # 400 MB


def extract_baseline(args):
    """Write the vectors of one baseline, and the timings; args are options of ``experiments.baselines.extract``."""
    name, _, value = args.baseline.partition(":")
    story_name = args.story or args.lang
    source = checkpoint_stem(value, args.revision) if name == "static" else None
    label = {"static": f"static_{source}", "oasm": f"oasm_{value}"}.get(name, name)
    output = activations_path(baselines.make_baseline_stem(label, args.seed), story_name)
    output = (args.output_folder or output.parent) / output.name
    timings = output.with_name(onsets_offsets_path(story_name).name)
    inputs = [story_path(story_name)] if args.story else [text_path(story_name), word_timings_path(story_name)]
    inputs += [activations_path(source, story_name)] if source else []
    seed = args.seed if name in baselines.WITH_SEED else None
    parameters = {"baseline": f"static:{source}" if source else args.baseline}
    if seed is not None:
        parameters |= {"seed": seed, "n_dimensions": args.n_dimensions}
    if name == "length_frequency":
        parameters["wordfreq"] = find_wordfreq_version(args.lang)
    with Job(output, parameters, modules=[__name__], inputs=inputs, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        story = read_story_table(story_name) if args.story else read_spoken_story(story_name)
        if not args.overwrite:
            check_same_timings(story.onsets_offsets, story_name, timings)
        vectors_of_runs = compute_vectors(args, story, source)
        if story.onsets_offsets:
            write_timings(story.onsets_offsets, story_name, args.overwrite, job.folder, timings)
        layers_of_runs = [[vectors] for vectors in vectors_of_runs]  # one layer
        job.finish({output: lambda path: write_arrays(path, layers_of_runs)}, seed=seed)
    n_words, n_units = sum(map(len, vectors_of_runs)), vectors_of_runs[0].shape[1]
    print(f"{n_words} {'units' if args.story else 'words'}, 1 layer of {n_units} units in {output}")


def compute_vectors(args, story, source):
    """Return the vectors of a baseline, a list over runs of float32 array (n_words, n_units).

    args are options of ``experiments.baselines.extract``, story is a Story, and source the stem of the checkpoint of
    a static baseline.
    """
    name, _, value = args.baseline.partition(":")
    if source:
        return read_embedding(source, story, args)
    if name == "position":
        return features.compute_position(story.spans, story.texts)
    if name == "random_vector":
        return features.draw_random_vectors(story.units, args.seed, args.n_dimensions)
    if name == "random_embedding":
        draw = unit_baselines.draw_unit_embedding if args.story else features.draw_random_embedding
        return draw(story.units, args.seed, args.n_dimensions)
    if name == "length_frequency":
        word_types = {features.find_word_type(word) for words in story.units for word in words}
        return features.compute_length_frequency(story.units, read_zipf_frequencies(word_types, args.lang))
    if name == "word_rate":
        compute = unit_baselines.compute_unit_word_rate if args.story else features.compute_word_rate
        return compute(story.units)
    if name == "length":
        return unit_baselines.compute_unit_length(story.units)
    if (n_units := sum(map(len, story.units))) > MAX_OASM_UNITS:
        raise InputError(
            f"--baseline {args.baseline}: expected at most {MAX_OASM_UNITS} units, each a feature, got {n_units}. "
            "Use a shorter story."
        )
    return unit_baselines.compute_oasm(story.units, float(value))


def read_embedding(source, story, args):
    """Return layer 0 of the activations of a checkpoint, a list over runs of float32 array (n_words, n_units)."""
    if not args.story:
        return [layers[0].astype("float32") for layers in read_activations(source, args.lang)]
    ends = np.cumsum([len(units) for units in story.units])
    embedding = read_story_activations(source, args.story, ends[-1])[0]
    return np.split(embedding.astype("float32"), ends[:-1])
