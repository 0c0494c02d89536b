"""Prepare a brain benchmark: a story table, and responses in reading order."""

from pathlib import Path

from pipeline.errors import InputError
from study import paths
from study.inputs.brain_benchmarks import LAYOUTS, compute_sha1, make_units, read_own, read_published
from study.inputs.stories import make_story_table, write_story_table
from study.jobs import Job
from study.outputs.brain_benchmarks import write_npz


def prepare_benchmark(args):
    """Write ``stories/{benchmark}.csv`` and ``brain_benchmarks/{benchmark}.npz``; args are options of ``prepare``."""
    files = [args.file] if args.file else [args.responses, args.stimuli, args.neuroids]
    for path in files:
        if not Path(path).is_file():
            raise InputError(f"{path}: expected a file, got none. Name the file that you downloaded.")
    output, story = paths.brain_benchmark_path(args.benchmark), paths.story_path(args.benchmark)
    parameters = {"as_published": args.as_published}
    with Job(output, parameters, modules=[__name__], inputs=files, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        if args.file:
            print(describe_source(args.file, args.benchmark))
            read, n_dropped = read_published(args.file, args.benchmark)
        else:
            read, n_dropped = read_own(args.responses, args.stimuli, args.neuroids)
        units, texts_before = make_units(read, as_published=args.as_published)
        table = make_story_table(read.runs, units, texts_before)
        story.parent.mkdir(parents=True, exist_ok=True)
        job.finish(
            {
                story: lambda path: write_story_table(path, table),
                output: lambda path: write_npz(path, read._asdict()),
            }
        )
    n_units, n_neuroids = read.responses.shape
    dropped = f"; {n_dropped} neuroids with missing responses left out" if n_dropped else ""
    print(
        f"{n_units} units in {len(set(read.runs))} runs and {len(set(read.groups))} groups, {n_neuroids} neuroids of "
        f"{len(set(read.subjects))} subjects in {output}{dropped}"
    )


def describe_source(path, benchmark):
    """Return in words whether a file is the published one, by its SHA-1."""
    layout, sha1 = LAYOUTS[benchmark], compute_sha1(path)
    if sha1 == layout.sha1:
        return f"{path} is the published {layout.file} (SHA-1 {sha1})"
    return f"{path} is not the published {layout.file}: its SHA-1 is {sha1}, not {layout.sha1}"
