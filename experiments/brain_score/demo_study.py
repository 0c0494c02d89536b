"""Make the study of the demo with the commands of this folder, and compare its results with the truth."""

import sys
from unittest import mock

import numpy as np
from study.stages.story_extraction import extract_story, extract_story_baseline

from demo.language_model import train
from experiments.brain_score import ceiling, compare, made_benchmark, prepare, score
from pipeline.brain.benchmark_scores import POOLED
from study import paths
from study.files.safe_joblib import write_arrays
from study.outputs.brain_benchmarks import read_ceiling, read_score_table, read_scores

BENCHMARK, NULL = "pereira384", "null"
BASELINES = ("length", "position", "random_embedding", "oasm:1")
SPLITS = ("shuffled", "groups")
TOLERANCE = 0.05  # of the planted share, for 192 sentences
CEILING_TOLERANCE = 0.06  # a fit to 170 sentences predicts less than one to infinitely many
LEAK, NOTHING = 0.1, 0.03  # r of a clear leak, and of nothing
PLANTED = "planted_features"  # a "model" whose only layer is what was planted


def run(command, *options):
    """Run the main of a command of this folder with options, as the command line would."""
    name = command.__name__
    print(f"$ python -m {name} {' '.join(options)}", flush=True)
    with mock.patch.object(sys, "argv", [name, *options]):
        command.main()


def make_study(folder, n_steps, seed):
    """Make checkpoints, both benchmarks, baselines, ceilings and scores."""
    made = made_benchmark.make_sentences(seed)
    responses, _ = made_benchmark.make_responses(made, made_benchmark.SHARES, seed)
    null_responses, _ = made_benchmark.make_responses(made, made_benchmark.NULL_SHARES, seed + 1)
    made_benchmark.write_published_layout(folder / "assy_made.nc", made, responses)
    write_own(folder, made, null_responses)
    print(f"== a small language model, trained for {n_steps} steps", flush=True)
    train(folder / "checkpoints" / "small_lm", n_steps, seed)
    run(prepare, "--benchmark", BENCHMARK, "--file", str(folder / "assy_made.nc"))
    own = {"--responses": "null.npz", "--stimuli": "null_stimuli.csv", "--neuroids": "null_neuroids.csv"}
    run(prepare, "--benchmark", NULL, *(word for option, name in own.items() for word in (option, str(folder / name))))
    revisions = sorted((folder / "checkpoints" / "small_lm").iterdir(), key=lambda path: find_step(path.name))
    for benchmark in (BENCHMARK, NULL):
        print(f"== states and baselines at the sentences of {benchmark}", flush=True)
        stems = []
        for revision in revisions if benchmark == BENCHMARK else revisions[-1:]:
            stems.append(extract_story(str(revision.parent), revision.name, benchmark))
        baselines = [extract_story_baseline(name, benchmark) for name in BASELINES]
        baselines.append(extract_story_baseline(f"static:{stems[-1]}", benchmark))
        planted = np.split(made.planted, len(set(made.passages)))
        write_arrays(paths.activations_path(PLANTED, benchmark), [[run.astype("float32")] for run in planted])
        run(ceiling, "--benchmark", benchmark)
        for stem in baselines:
            run(score, "--model", stem, "--benchmark", benchmark)
        for stem in [*stems, PLANTED]:
            run(score, "--model", stem, "--benchmark", benchmark, "--nuisance", "baseline_length", "baseline_position")
        run(score, "--model", "baseline_oasm_1", "--benchmark", benchmark, "--splits", "shuffled")
        run(score, "--model", stems[-1], "--benchmark", benchmark, "--splits", "shuffled")
    run(compare)


def find_step(revision):
    """Return the training step in the name of a revision, such as step8-tokens8192."""
    return int(revision.partition("-")[0].removeprefix("step"))


def write_own(folder, made, responses):
    """Write a benchmark in the layout for one's own files."""
    np.savez(folder / "null.npz", responses=responses)
    rows = zip(made.sentences, made.passages, made.topics, strict=True)
    lines = [f'"{sentence}",passage {passage},topic {topic}' for sentence, passage, topic in rows]
    (folder / "null_stimuli.csv").write_text("\n".join(["stimulus,run,group", *lines]) + "\n")
    n_neuroids = responses.shape[1]
    lines = [f"{number},s{number // made_benchmark.N_NEUROIDS + 1}" for number in range(n_neuroids)]
    (folder / "null_neuroids.csv").write_text("\n".join(["neuroid,subject", *lines]) + "\n")


def read_pooled(stem, benchmark, splits="groups"):
    """Return the pooled row of the best layer of a model, a series of the table of scores."""
    path = paths.brain_benchmark_scores_path(stem, benchmark, splits, "ridge").with_suffix(".csv")
    table = read_score_table(path)
    pooled = table[table["subject"] == POOLED]
    return pooled.loc[pooled["raw"].idxmax()]


def verify(is_right, words):
    """Print whether a claim holds, and return it."""
    print(f"  {'yes' if is_right else 'NO '}  {words}", flush=True)
    return bool(is_right)


def compare_with_truth(folder, seed):
    """Print what was put in and what was found; return whether each line holds, a list of bool."""
    print(f"\nwhat was put in, and what was found ({folder})")
    verdicts = [*check_planted(seed), *check_baselines()]
    names = [path.name for path in (folder / "checkpoints" / "small_lm").iterdir()]
    last = f"small_lm_{max(names, key=find_step)}"
    null = read_pooled(last, NULL)
    found = f"r {null['raw']:.3f} ({null['low']:.3f} to {null['high']:.3f})"
    is_nothing = null["low"] < 0 < null["high"] or abs(null["raw"]) < NOTHING
    verdicts.append(verify(is_nothing, f"the last checkpoint on drift and noise: {found}"))
    first, final = (read_pooled(stem, BENCHMARK)["unique_r2"] for stem in ("small_lm_step0-tokens0", last))
    verdicts.append(verify(final > first, f"over training, unique r2 rises from {first:.3f} to {final:.3f}"))
    arrays = read_scores(paths.brain_benchmark_scores_path(last, BENCHMARK, "groups", "ridge"))
    print(f"  layers of the last checkpoint, chosen on other folds: {arrays['nested_layers'].tolist()}")
    return verdicts


def check_planted(seed):
    """Check the unique variance and the ceilings against what was planted; yield whether each line holds."""
    shares = made_benchmark.SHARES
    _, weights = made_benchmark.make_responses(made_benchmark.make_sentences(seed), shares, seed)
    at_n, extrapolated = made_benchmark.compute_analytic_ceilings(weights, shares)
    unique, share = read_pooled(PLANTED, BENCHMARK)["unique_r2"], shares["planted"]
    yield verify(
        abs(unique - share) < TOLERANCE,
        f"unique r2 of the planted features over length and position: put in {share:.3f}, found {unique:.3f}",
    )
    path = paths.brain_ceiling_path(BENCHMARK, "groups", "ridge")
    limits = read_ceiling(path, {"splits": "groups", "regression": "ridge"})
    at_n, found = np.median(at_n), np.nanmedian(limits["at_n"])
    n_others = made_benchmark.N_SUBJECTS - 1
    yield verify(
        abs(at_n - found) < CEILING_TOLERANCE,
        f"ceiling with {n_others} other subjects: {at_n:.3f} for infinitely many sentences, found {found:.3f}",
    )
    found = np.nanmedian(limits["extrapolated"])
    yield verify(
        abs(extrapolated - found) < 2 * CEILING_TOLERANCE,
        f"ceiling with infinitely many subjects, too: {extrapolated:.3f}, extrapolated {found:.3f}",
    )


def check_baselines():
    """Check that OASM scores on shuffled splits only; yield whether each line holds."""
    for benchmark in (BENCHMARK, NULL):
        shuffled, grouped = (read_pooled("baseline_oasm_1", benchmark, splits)["raw"] for splits in SPLITS)
        found = f"r {shuffled:.3f} on shuffled splits, {grouped:.3f} on groups"
        yield verify(shuffled > LEAK and grouped == 0, f"OASM, which contains no text, on {benchmark}: {found}")
