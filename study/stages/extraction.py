"""Extract the word vectors of one checkpoint for a story."""

import contextlib
import functools
import os

from pipeline.errors import InputError, add_context
from pipeline.words.vectors import compute_word_vectors
from study import progress
from study.baselines import make_untrained_stem
from study.files.atomic import lock
from study.files.safe_joblib import write_arrays
from study.inputs.le_petit_prince import count_timing_rows
from study.inputs.story import check_same_timings, has_timings, place_words, read_story
from study.jobs import Job
from study.paths import activations_path, checkpoint_stem, onsets_offsets_path, text_path, word_timings_path
from study.stages.loading import limit_threads, load_for_job


def extract_activations(args):
    """Write the word vectors of one checkpoint, and the timings; args are options of ``extract_llm_activations.py``."""
    stem = make_untrained_stem(checkpoint_stem(args.model, args.revision), args.untrained)
    output = activations_path(stem, args.lang)
    parameters = {"revision": args.revision, "dtype": args.dtype, "max_length": args.max_length}
    parameters |= {} if args.untrained is None else {"untrained": args.untrained}
    inputs = [text_path(args.lang), word_timings_path(args.lang)]
    with Job(output, parameters, modules=[__name__], inputs=inputs, model=args.model, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        texts, words_of_runs, onsets_offsets = read_story(args.lang)
        spans_of_runs = place_words(words_of_runs, texts, args.lang)
        if not args.overwrite:
            check_same_timings(onsets_offsets, args.lang)
        limit_threads(args.threads)
        model, tokenizer = load_for_job(job, args, texts, untrained=args.untrained)
        vectors_of_runs = compute_vectors(job, model, tokenizer, texts, spans_of_runs, args)
        write_timings(onsets_offsets, args.lang, args.overwrite, job.folder)
        activations = [list(vectors) for vectors in vectors_of_runs]  # runs of layers of (n_words, n_units)
        job.finish({output: lambda path: write_arrays(path, activations)}, seed=args.untrained)
    n_layers, _, n_units = vectors_of_runs[0].shape
    n_words, n_rows = sum(map(len, spans_of_runs)), count_timing_rows(args.lang)
    timings = word_timings_path(args.lang).name
    unused = f"; {n_rows - n_words} of {n_rows} rows of {timings} have no word" if n_rows > n_words else ""
    print(f"{n_words} words, {n_layers} layers (with the embedding) of {n_units} units in {output}{unused}")


def compute_vectors(job, model, tokenizer, texts, spans_of_runs, args):
    """Return the word vectors, a float32 array (n_layers, n_words, n_units) for each run, some from the cache."""
    vectors_of_runs = []
    with progress.bar(sum(map(len, spans_of_runs)), job.output.stem, "word") as bar:
        for run, (text, spans) in enumerate(zip(texts, spans_of_runs, strict=True), start=1):
            source = f"{args.model} {args.revision or ''}, run {run} of the story"
            compute = functools.partial(compute_run, source, model, tokenizer, text, spans, args.max_length, bar.update)
            part = job.cached(f"run-{run}", compute)
            vectors_of_runs.append(part["vectors"])
            bar.update(sum(vectors.shape[1] for vectors in vectors_of_runs) - bar.n)  # of a run from the cache
    return vectors_of_runs


def compute_run(source, *arguments):
    """Return the word vectors of a run, a dict of an array; source names the run in errors."""
    with add_context(source):
        return {"vectors": compute_word_vectors(*arguments)}


def write_timings(onsets_offsets, lang, overwrite, folder, path=None):
    """Write the file of word timings, unless it exists: jobs that run at the same time share it.

    The file is first written into the folder of the job. path is ``onsets_offsets_path`` by default.
    """
    path = path or onsets_offsets_path(lang)
    with lock(path):
        if not overwrite:
            check_same_timings(onsets_offsets, lang, path)
        with contextlib.suppress(InputError):  # a damaged file is replaced
            if has_timings(path, onsets_offsets):
                return
        write_arrays(folder / path.name, onsets_offsets)
        os.replace(folder / path.name, path)
