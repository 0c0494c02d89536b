"""Make the study of the demo with the commands of a real study, and compare its results with the truth."""

import importlib
import sys
from unittest import mock

import numpy as np
import pandas as pd

from demo.language_model import train
from experiments.brain_score import made_benchmark
from pipeline.brain.benchmark_scores import POOLED
from study import paths
from study.files.safe_joblib import write_arrays
from study.outputs.brain_benchmarks import read_ceiling, read_score_table, read_scores

BENCHMARK, NULL = "blank", "null"
BASELINES = ("word_rate", "length", "position", "random_embedding", "oasm:1")
SPLITS = ("shuffled", "groups")
N_CHECKPOINTS = 6  # step 0, and the last powers of 2
UNTRAINED = 7  # seed of the untrained model
TOLERANCE, CEILING_TOLERANCE, EXTRAPOLATED_TOLERANCE = 0.03, 0.06, 0.1
LEAK, NOTHING = 0.1, 0.01  # r of a clear leak; r or share of variance of nothing
PLANTED = "planted_features"  # a "model" whose only layer is what was planted
N_PERMUTATIONS = 50
ALPHAS = ("--alphas", "0", "6", "7")  # fewer than by default, for time


def run(module, *options):
    """Run a command with options, as the command line would."""
    script = f"-m {module}" if "." in module else f"{module}.py"
    print(f"$ python {script} {' '.join(options)}", flush=True)
    with mock.patch.object(sys, "argv", [module, *options]):
        importlib.import_module(module).main()


def score(stem, benchmark, *options):
    """Run the command that scores a model."""
    names = ("--model", stem, "--benchmark", benchmark)
    run("experiments.brain_score.score", *names, *ALPHAS, "--permutations", str(N_PERMUTATIONS), *options)


def make_study(folder, n_steps, seed):
    """Make checkpoints, both benchmarks, baselines, ceilings and scores."""
    made = made_benchmark.make_words(seed)
    prepare_benchmarks(folder, made, seed)
    print(f"== a small language model, trained for {n_steps} steps", flush=True)
    model = folder / "checkpoints" / "small_lm"
    train(model, n_steps, seed)
    revisions = sorted((path.name for path in model.iterdir()), key=find_step)
    revisions = [revisions[0], *revisions[-N_CHECKPOINTS + 1 :]]
    score_benchmark(made, model, revisions)
    score_null(model, revisions[-1])
    run("experiments.brain_score.compare")


def prepare_benchmarks(folder, made, seed):
    """Write both benchmarks, and prepare them."""
    responses, _ = made_benchmark.make_responses(made, made_benchmark.SHARES, seed)
    null_responses, _ = made_benchmark.make_responses(made, made_benchmark.NULL_SHARES, seed + 1)
    made_benchmark.write_published_layout(folder / "assy_made.nc", made, responses)
    write_own(folder, made, null_responses)
    prepare = "experiments.brain_score.prepare"
    run(prepare, "--benchmark", BENCHMARK, "--file", str(folder / "assy_made.nc"))
    own = {"--responses": "null.npz", "--stimuli": "null_stimuli.csv", "--neuroids": "null_neuroids.csv"}
    run(prepare, "--benchmark", NULL, *(word for option, name in own.items() for word in (option, str(folder / name))))


def extract(model, revision, benchmark, *options):
    """Run the commands that extract a checkpoint and its static embedding; return its stem."""
    checkpoint = ["--model", str(model), "--revision", revision, "--no-surprisal", "--device", "cpu"]
    run("extract_llm_activations", *checkpoint, "--story", benchmark, *options)
    stem = f"small_lm_{revision}" + (f"_untrained-{UNTRAINED}" if options else "")
    extract_baseline(benchmark, f"static:{stem}")
    return stem


def extract_baseline(benchmark, name):
    """Run the command that extracts a baseline."""
    run("experiments.baselines.extract", "--story", benchmark, "--baseline", name)


def score_benchmark(made, model, revisions):
    """Extract and score checkpoints, an untrained model, baselines and the planted features.

    The nuisance of the first, the last and the untrained model is length, position and its own static embedding.
    """
    print("== ceilings, states and baselines, and their scores", flush=True)
    run("experiments.brain_score.ceiling", "--benchmark", BENCHMARK, "--n_pools", "2", *ALPHAS)
    for name in BASELINES:
        extract_baseline(BENCHMARK, name)
    stems = [extract(model, revision, BENCHMARK) for revision in revisions]
    stems.append(extract(model, revisions[0], BENCHMARK, "--untrained", str(UNTRAINED)))
    nuisance = ("--nuisance", "baseline_length", "baseline_position")
    for stem in stems:
        has_nuisance = stem not in stems[1:-2]
        score(stem, BENCHMARK, *((*nuisance, f"baseline_static_{stem}") if has_nuisance else ()))
    planted = np.split(made.planted, np.flatnonzero(np.diff(made.passages)) + 1)
    write_arrays(paths.activations_path(PLANTED, BENCHMARK), [[part.astype("float32")] for part in planted])
    score(PLANTED, BENCHMARK, *nuisance)
    static = f"static_small_lm_{revisions[-1]}"
    for name in ("word_rate", "length", "position", "random_embedding_seed-1", "oasm_1", static):
        score(f"baseline_{name}", BENCHMARK)
    score("baseline_oasm_1", BENCHMARK, "--splits", "shuffled")


def score_null(model, revision):
    """Extract and score a checkpoint and OASM on the benchmark of drift and noise."""
    print("== a benchmark of drift and noise", flush=True)
    extract_baseline(NULL, "oasm:1")
    stem = extract(model, revision, NULL)
    score(stem, NULL)
    for splits in SPLITS:
        score("baseline_oasm_1", NULL, "--splits", splits)


def find_step(revision):
    """Return the training step in the name of a revision, such as step8-tokens8192."""
    return int(revision.partition("-")[0].removeprefix("step"))


def write_own(folder, made, responses):
    """Write a benchmark in the layout for one's own files."""
    np.savez(folder / "null.npz", responses=responses)
    stimuli = pd.DataFrame({"stimulus": made.words, "run": [f"passage {passage}" for passage in made.passages]})
    stimuli.to_csv(folder / "null_stimuli.csv", index=False)
    numbers = np.arange(responses.shape[1])
    subjects = [f"s{number // made_benchmark.N_NEUROIDS + 1}" for number in numbers]
    pd.DataFrame({"neuroid": numbers, "subject": subjects}).to_csv(folder / "null_neuroids.csv", index=False)


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
    verdicts = [*check_planted(seed), *check_baselines(), *check_models()]
    last = find_models()[-1]
    arrays = read_scores(paths.brain_benchmark_scores_path(last, BENCHMARK, "groups", "ridge"))
    print(f"  layers of the last checkpoint, chosen on other folds: {arrays['nested_layers'].tolist()}")
    return verdicts


def find_models():
    """Return the stems of the checkpoints that have scores, in the order of training."""
    paths_of_scores = paths.brain_benchmark_scores_path("*", BENCHMARK, "groups", "ridge")
    ending = paths_of_scores.name.removeprefix("*")
    stems = [path.name.removesuffix(ending) for path in paths_of_scores.parent.glob(f"small_lm_step*{ending}")]
    return sorted((stem for stem in stems if "untrained" not in stem), key=lambda stem: find_step(stem[9:]))


def check_models():
    """Check what models explain beyond length, position and their own static embedding; yield whether each holds."""
    first, *_, last = find_models()
    expected = {last: True, first: False, f"{first}_untrained-{UNTRAINED}": False}
    for stem, is_something in expected.items():
        unique = read_pooled(stem, BENCHMARK)["unique_r2"]
        words = "much" if is_something else "nothing"
        words += f" beyond its own static embedding, length and position: unique r2 {unique:.3f}"
        yield verify(unique > TOLERANCE if is_something else unique < NOTHING, f"{stem} explains {words}")
    table = pd.read_csv(paths.figure_path("brain_benchmarks.csv")).set_index(["benchmark", "splits", "model"])
    for stem, is_something in {last: True, first: False}.items():
        row = table.loc[(BENCHMARK, "groups", stem)]
        found = f"r {row['difference']:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})"
        is_right = (row["difference_low"] > 0) == is_something
        yield verify(is_right, f"{stem} against {row['best_baseline']}, the best baseline: {found}")
    null = read_pooled(last, NULL)
    found = f"r {null['raw']:.3f} ({null['low']:.3f} to {null['high']:.3f})"
    yield verify(null["low"] < NOTHING, f"{last} explains nothing of drift and noise: {found}")


def check_planted(seed):
    """Check the unique variance and the ceilings against what was planted; yield whether each line holds."""
    shares = made_benchmark.SHARES
    _, weights = made_benchmark.make_responses(made_benchmark.make_words(seed), shares, seed)
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
        f"ceiling with {n_others} other subjects: {at_n:.3f} for infinitely many words, found {found:.3f}",
    )
    found = np.nanmedian(limits["extrapolated"])
    yield verify(
        abs(extrapolated - found) < EXTRAPOLATED_TOLERANCE,
        f"ceiling with infinitely many subjects, too: {extrapolated:.3f}, extrapolated {found:.3f}",
    )


def check_baselines():
    """Check that OASM scores on shuffled splits only; yield whether each line holds."""
    for benchmark in (BENCHMARK, NULL):
        shuffled, grouped = (read_pooled("baseline_oasm_1", benchmark, splits)["raw"] for splits in SPLITS)
        found = f"r {shuffled:.3f} on shuffled splits, {grouped:.3f} on groups"
        yield verify(shuffled > LEAK and grouped == 0, f"OASM, which contains no text, on {benchmark}: {found}")
