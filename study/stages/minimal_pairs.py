"""Evaluate a checkpoint on a benchmark of minimal pairs."""

from pipeline.tasks.minimal_pairs import average_by_phenomenon, compute_accuracies, score_pairs, select_first_pairs
from pipeline.tasks.table import describe_part
from study import progress
from study.cache import every_few_seconds
from study.files.tables import write_table
from study.jobs import Job
from study.outputs import task_tables
from study.paths import benchmark_pairs_path, benchmark_path, checkpoint_stem
from study.stages.loading import load_for_job
from study.stages.threads import limit_threads

PAIR_COLUMNS = ["paradigm", "pair", "group", "good", "bad", "logprob_good", "logprob_bad"]  # group if any


def evaluate_minimal_pairs(benchmark, make_pairs, args, inputs=list, **parameters):
    """Score the pairs of a benchmark, and write its accuracies and log-probabilities.

    ``make_pairs(**parameters)`` returns a pandas.DataFrame with columns paradigm, phenomenon, pair, good, bad (and
    group). args are from ``make_benchmark_parser``, and ``inputs()`` returns the files that the pairs are read from.
    Parameters are other options that change the numbers, as the seed; they are recorded.
    """
    stem = checkpoint_stem(args.model, args.revision)
    output = benchmark_path(stem, benchmark, args.output_folder)
    options = parameters | {"revision": args.revision, "dtype": args.dtype, "leading_space": args.leading_space}
    # Options that older versions lack are recorded only where they are used, so that older records stay valid.
    rare = {"limit": args.limit, "no_bos": args.no_bos, "mean": args.mean}
    options |= {name: value for name, value in rare.items() if value}
    modules = [__name__, make_pairs.__module__]
    with Job(output, options, modules=modules, inputs=inputs(), model=args.model, overwrite=args.overwrite) as job:
        if job.is_finished:
            return
        pairs = select_first_pairs(make_pairs(**parameters), args.limit)
        limit_threads(args.threads)
        model, tokenizer = load_for_job(job, args, [*pairs["good"], *pairs["bad"]])
        scores = job.load("scores")
        measures: dict[str, float] = {}
        with progress.bar(2 * len(pairs), output.stem, "sentence") as bar:
            pairs = score_pairs(
                pairs,
                model,
                tokenizer,
                args.batch_size,
                args.leading_space,
                progress=bar.update,
                log=bar.write,
                has_bos=not args.no_bos,
                is_mean=args.mean,
                known=scores and scores["scores"],
                measure=measures.update,
                keep=every_few_seconds(lambda scores: job.save("scores", scores=scores)),
            )
        table = compute_accuracies(pairs)
        pairs_output = benchmark_pairs_path(stem, benchmark, args.output_folder)
        writers = {
            pairs_output: lambda path: write_table(path, pairs.filter(PAIR_COLUMNS)),
            output: lambda path: write_table(path, table),
        }
        job.finish(writers, seed=parameters.get("seed"), measures=measures)
    print(average_by_phenomenon(table).to_string(index=False, float_format="{:.3f}".format))
    print(f"{len(table)} paradigms in {output}")
    if part := describe_part(benchmark, task_tables.count_by_paradigm(pairs["paradigm"])):
        print(part)
