"""Extract the word vectors and the surprisal of one checkpoint for a story."""

import contextlib
import functools
import os

import numpy as np
import torch

from pipeline.errors import InputError, add_context
from pipeline.words.runs import prepare_run
from pipeline.words.vectors import read_run
from study import progress
from study.baselines import make_untrained_stem
from study.files.array_stream import ArrayListWriter
from study.files.atomic import lock
from study.files.safe_joblib import write_arrays
from study.files.tables import write_table
from study.inputs.le_petit_prince import count_timing_rows
from study.inputs.stories import Story, read_story_table
from study.inputs.story import check_same_timings, has_timings, place_words, read_story
from study.jobs import Job
from study.outputs.surprisal import tabulate_surprisal
from study.paths import (
    activations_path,
    checkpoint_stem,
    onsets_offsets_path,
    story_path,
    surprisal_path,
    text_path,
    word_timings_path,
)
from study.stages.loading import load_for_job
from study.stages.threads import limit_threads
from study.threads import read_ahead


def extract_activations(args):
    """Write word vectors, surprisal and timings of one checkpoint; args are options of ``extract_llm_activations.py``.

    The surprisal is written together with the word vectors. It does not change them, so ``--surprisal`` is not a
    parameter on record.
    """
    name = args.story or args.lang
    stem = make_untrained_stem(checkpoint_stem(args.model, args.revision), args.untrained)
    output, surprisal_output = activations_path(stem, name), surprisal_path(stem, name)
    inputs = [story_path(name)] if args.story else [text_path(name), word_timings_path(name)]
    how = {"modules": [__name__], "inputs": inputs, "model": args.model, "overwrite": args.overwrite}
    with Job(output, list_parameters(args), **how) as job:
        if job.is_finished:
            if args.surprisal and not surprisal_output.exists():
                print(f"{surprisal_output} does not exist: --overwrite makes it, and the activations again")
            return
        story = read_story_table(name) if args.story else read_spoken_story(name)
        if not args.overwrite:
            check_same_timings(story.onsets_offsets, name)
        limit_threads(args.threads)
        model, tokenizer = load_for_job(job, args, story.texts, untrained=args.untrained)
        runs, checksum = compute_runs(job, model, tokenizer, story, args)
        if story.onsets_offsets:
            write_timings(story.onsets_offsets, name, args.overwrite, job.folder)
        table = tabulate_surprisal(story.units, runs, has_context=bool(args.story)) if args.surprisal else None
        writers = {} if table is None else {surprisal_output: lambda path: write_table(path, table)}
        writers |= {output: lambda path: checksum}  # compute_runs wrote it
        measures = {"first_token_norm_ratio": average_norm_ratios(runs)}
        job.finish(writers, replaces=[surprisal_output], measures=measures, seed=args.untrained)
    print_result(output, story, runs, args)
    if table is not None:
        print(f"surprisal {table['surprisal'].mean():.3f} nats per word in {surprisal_output}")


def list_parameters(args):
    """Return the options that change the numbers, a dict; rare options only where they are used."""
    parameters = {"revision": args.revision, "dtype": args.dtype, "max_length": args.max_length}
    parameters |= {} if args.untrained is None else {"untrained": args.untrained}
    parameters |= {"before_norm": True} if args.before_norm else {}
    return parameters | ({"pooling": args.pooling, "context": args.context} if args.story else {})


def read_spoken_story(lang):
    """Read Le Petit Prince in a language, and place its words on its text, a Story."""
    texts, words_of_runs, onsets_offsets = read_story(lang)
    names = [str(run) for run in range(1, len(texts) + 1)]
    return Story(names, texts, words_of_runs, place_words(words_of_runs, texts, lang), onsets_offsets)


def print_result(output, story, runs, args):
    """Print the size of the output."""
    n_layers, _, n_units = runs[0]["shape"]
    n_words, unused = sum(map(len, story.spans)), ""
    if not args.story:
        n_rows, timings = count_timing_rows(args.lang), word_timings_path(args.lang).name
        unused = f"; {n_rows - n_words} of {n_rows} rows of {timings} have no word" if n_rows > n_words else ""
    kind = "units" if args.story else "words"
    print(f"{n_words} {kind}, {n_layers} layers (with the embedding) of {n_units} units in {output}{unused}")


def compute_runs(job, model, tokenizer, story, args):
    """Write the word vectors of all runs into the cache, each while the model reads the next run.

    Returns
    -------
    runs : list over runs of dict of arrays
        The small fields of ``WordStates`` that exist, and ``shape`` (n_layers, n_words, n_units) of the word vectors.
        The cached parts contain the same. Runs that were cached are not read again.
    checksum : str, the SHA-256 of the file, which is joblib's: list over runs of list over layers of (n_words, n_units)
    """
    n_words = sum(map(len, story.spans))
    names = [f"run-{run}" + ("-surprisal" if args.surprisal else "") for run in range(1, len(story.texts) + 1)]
    path = job.folder / job.output.name
    runs, n_bytes = load_runs(job, names, path)
    with (
        progress.bar(n_words, job.output.stem, "word") as bar,
        ArrayListWriter(path, n_bytes, n_threads=torch.get_num_threads()) as writer,
    ):
        bar.update(sum(run["shape"][1] for run in runs))
        prepared = prepare_runs(model, tokenizer, story, args, first=len(runs))
        for index, prepared_run in zip(range(len(runs), len(names)), read_ahead(prepared), strict=True):
            with add_context(describe_run(story, index, args)):
                states = read_run(model, prepared_run, bar.update)
            run = {name: array for name, array in states._asdict().items() if array is not None}
            del states
            vectors = run.pop("vectors")
            runs.append(run | {"shape": np.array(vectors.shape)})
            writer.append(list(vectors), functools.partial(save_run, job, names[index], runs[-1]))
            del vectors
            bar.update(sum(part["shape"][1] for part in runs) - bar.n)
        return runs, writer.close()


def prepare_runs(model, tokenizer, story, args, first):
    """Yield the runs from ``first`` on, as ``prepare_run`` prepares them."""
    context = {"group": None, "none": 0}.get(args.context, args.context)
    options = {"max_length": args.max_length, "context_tokens": context, "pooling": args.pooling}
    options |= {"before_norm": args.before_norm, "has_surprisal": args.surprisal}
    for index in range(first, len(story.texts)):
        with add_context(describe_run(story, index, args)):
            yield prepare_run(model, tokenizer, story.texts[index], story.spans[index], **options)


def describe_run(story, index, args):
    """Return the checkpoint and the run in words, for errors."""
    return f"{args.model} {args.revision or ''}, run {story.runs[index]} of the story"


def load_runs(job, names, path):
    """Return the cached runs before the first that is missing, and the size of the file of their word vectors.

    The other cached runs are removed: their word vectors will be written again.
    """
    size = path.stat().st_size if path.is_file() else 0
    runs: list[dict] = []
    for name in names:
        run = job.load(name)
        if run is None or run["n_bytes"] > size:
            break
        runs.append(run)
    for part in set(job.folder.glob("run-*.npz")) - {job.folder / f"{name}.npz" for name in names[: len(runs)]}:
        part.unlink()
    return runs, int(runs[-1]["n_bytes"]) if runs else 0


def save_run(job, name, run, n_bytes):
    """Save a run as a cached part, when the file of word vectors contains it; n_bytes is the size of this file."""
    job.save(name, **run, n_bytes=np.array(n_bytes))


def average_norm_ratios(runs):
    """Return the mean over runs of how large the states of the first token are, for each layer; None if not known."""
    ratios = np.array([run["first_token_norm_ratio"] for run in runs])  # (n_runs, n_layers)
    is_known = np.isfinite(ratios)
    means = np.where(is_known, ratios, 0).sum(axis=0) / np.maximum(1, is_known.sum(axis=0))
    return [round(mean, 4) if mean > 0 else None for mean in means.tolist()]


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
