"""Write the vectors of a baseline in the format of the extraction."""

from pipeline.words import baselines as features
from study import baselines
from study.files.safe_joblib import write_arrays
from study.inputs.story import check_same_timings, place_words, read_story
from study.inputs.word_frequencies import find_wordfreq_version, read_zipf_frequencies
from study.jobs import Job
from study.outputs.activations import read_activations
from study.paths import activations_path, checkpoint_stem, onsets_offsets_path, text_path, word_timings_path
from study.stages.extraction import write_timings


def extract_baseline(args):
    """Write the vectors of one baseline, and the timings; args are options of ``experiments.baselines.extract``."""
    name, _, model = args.baseline.partition(":")
    source = checkpoint_stem(model, args.revision) if model else None
    stem = baselines.make_baseline_stem(f"static_{source}" if source else name, args.seed)
    output = activations_path(stem, args.lang)
    output = (args.output_folder or output.parent) / output.name
    timings = output.with_name(onsets_offsets_path(args.lang).name)
    inputs = [text_path(args.lang), word_timings_path(args.lang)]
    inputs += [activations_path(source, args.lang)] if source else []
    seed = args.seed if name in baselines.WITH_SEED else None
    parameters = {"baseline": f"static:{source}" if source else name}
    if seed is not None:
        parameters |= {"seed": seed, "n_dimensions": args.n_dimensions}
    if name == "length_frequency":
        parameters["wordfreq"] = find_wordfreq_version(args.lang)
    with Job(output, parameters, modules=[__name__], inputs=inputs, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        story = read_story(args.lang)
        if not args.overwrite:
            check_same_timings(story[2], args.lang, timings)
        vectors_of_runs = compute_vectors(name, story, source, args)
        write_timings(story[2], args.lang, args.overwrite, job.folder, timings)
        layers_of_runs = [[vectors] for vectors in vectors_of_runs]  # one layer
        job.finish({output: lambda path: write_arrays(path, layers_of_runs)}, seed=seed)
    n_words, n_units = sum(map(len, vectors_of_runs)), vectors_of_runs[0].shape[1]
    print(f"{n_words} words, 1 layer of {n_units} units in {output}")


def compute_vectors(name, story, source, args):
    """Return the vectors of a baseline, a list over runs of float32 array (n_words, n_units).

    story is as ``read_story`` returns it, source the stem of the checkpoint of a static baseline.
    """
    texts, words_of_runs, _ = story
    if source:
        return [layers[0].astype("float32") for layers in read_activations(source, args.lang)]
    if name == "position":
        return features.compute_position(place_words(words_of_runs, texts, args.lang), texts)
    if name == "length_frequency":
        word_types = {features.find_word_type(word) for words in words_of_runs for word in words}
        return features.compute_length_frequency(words_of_runs, read_zipf_frequencies(word_types, args.lang))
    if name == "word_rate":
        return features.compute_word_rate(words_of_runs)
    draw = features.draw_random_embedding if name == "random_embedding" else features.draw_random_vectors
    return draw(words_of_runs, args.seed, args.n_dimensions)
