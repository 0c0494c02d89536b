"""Simulate many studies whose truth is known, to measure how far intervals and tests can be trusted.

    LTBA_DIR=embedded_study python -m demo.calibration
    LTBA_DIR=embedded_study python -m demo.calibration --listeners symmetric noisier_right_0.922 --n_studies 400

reads   checkpoints/small_lm/                the language model of the embedded study
writes  demo/calibration.csv.gz              results of the analysis for each simulated study, and the truth

Each listener is written when its studies are finished, and replaces the same listener of an earlier command. So an
interrupted command goes on with --listeners and the rest of the names. ``python -m demo.coverage`` makes tables.

Each study has its own story, listener and benchmarks, and its own seed. The story is nine runs of a large stock of
runs. The voxels have their own weights for words and memory, and their own noise; weights and noise are smooth over 20
mm. The sentence pairs come from a large stock. The language model and its checkpoints are the same throughout. Only
voxels that follow the story are simulated, and all of them count.

The true curve of left minus right is 0 where both hemispheres follow the story equally. For every other listener, it is
the mean over all studies, so that an error that all studies share does not show. The true curve of a benchmark is its
score on the whole stock.
"""

import random
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from demo import listener, make_study
from demo.language import spell
from demo.listeners import LISTENERS
from demo.simulated_benchmarks import FLAT, compute_true_curves, make_stock
from demo.simulated_study import CONTROLS, N_RUNS, TARGET, make_brain, simulate_study
from pipeline.encoding.hrf import make_hrf_matrix
from pipeline.encoding.signals import make_regressors
from pipeline.errors import InputError
from pipeline.models.loading import load_checkpoint
from pipeline.statistics.curve import Curve
from pipeline.tasks.minimal_pairs import score_pairs
from pipeline.transitions.alignment import compute_measures
from pipeline.transitions.flatness import simulate_flat_curves
from pipeline.transitions.plateaus import find_possible_range
from pipeline.transitions.sigmoids import fit_sigmoids
from pipeline.words.alignment import align
from pipeline.words.vectors import compute_word_vectors
from study.checkpoints import find_training_tokens
from study.command_line import ArgumentParser, run_script, whole_number
from study.files.tables import read_values, write_table
from study.paths import calibration_path, describe_study_folder, study_folder
from study.stages.threads import limit_threads

WORDS_PER_RUN = 600
COLUMNS = ["listener", "study", "curve", "quantity", "tokens", "value", "low", "high"]


def main():
    """Simulate the studies of all listeners, and save the results of their analysis."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--listeners", nargs="+", choices=LISTENERS, default=list(LISTENERS), metavar="NAME")
    parser.add_argument("--n_studies", type=whole_number, default=200, help="of each listener")
    parser.add_argument("--n_runs", type=whole_number, default=60, help="stock of runs (default: 60)")
    parser.add_argument(
        "--n_pairs", type=whole_number, default=600, help="stock of pairs of each paradigm (default: 600)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n_jobs", type=int, default=-1, help="processes (default: one per core)")
    parser.add_argument("--output", type=Path, default=calibration_path())
    args = parser.parse_args()
    if args.n_runs < N_RUNS or args.n_studies < 2:
        parser.error(f"--n_runs must be {N_RUNS} or more, --n_studies 2 or more")
    folder = study_folder() / "checkpoints" / "small_lm"
    folders = sorted(folder.glob("step*"), key=lambda path: find_training_tokens("small_lm", path.name))
    if not folders:
        raise InputError(f"{folder}: expected checkpoints, got none. Run `make demo` ({describe_study_folder()}).")

    parallel = joblib.Parallel(n_jobs=args.n_jobs, return_as="generator")
    world = make_world(folders, n_runs=args.n_runs, n_pairs=args.n_pairs, seed=args.seed, parallel=parallel)
    for name in args.listeners:
        results = calibrate(name, world, args.n_studies, seed=args.seed, parallel=parallel)
        save_results(args.output, name, results)
        print(f"{args.n_studies} studies of the listener {name} in {args.output}")


def make_world(folders, n_runs, n_pairs, seed, parallel):
    """Make what all studies share: stock of runs and pairs, and what the checkpoints make of it.

    Parameters
    ----------
    folders : list of Path, of the checkpoints, by increasing training tokens
    n_runs, n_pairs : int, size of the stock: runs, and pairs of each paradigm
    seed : int
    parallel : joblib.Parallel that returns a generator

    Returns
    -------
    dict of stories, and of tokens, regressors, right, stock and brain as for ``simulate_study``
    """
    stories, stock = make_stories(n_runs, seed), make_stock(n_pairs, seed)
    jobs = parallel(joblib.delayed(run_checkpoint)(path, stories, stock) for path in folders)
    regressors, right = zip(*tqdm(jobs, "checkpoints", len(folders), disable=None), strict=True)
    return {
        "tokens": np.array([find_training_tokens("small_lm", path.name) for path in folders]),
        "stories": stories,
        "regressors": np.stack(regressors),  # (n_checkpoints, n_layers, n_runs, n_scans, n_units)
        "right": np.stack(right),  # (n_checkpoints, n_pairs)
        "stock": stock,
        "brain": make_brain(),
    }


def calibrate(name, world, n_studies, seed, parallel):
    """Simulate studies of a listener, and analyse them.

    Returns
    -------
    pandas.DataFrame with COLUMNS
        See ``demo.coverage.compute_coverage``. The study ``truth`` has the true values.
    """
    how = LISTENERS[name]
    number = list(LISTENERS).index(name)
    signals = make_story_signals(world["stories"], seed, how["delay_s"])
    shared = {key: world[key] for key in ("regressors", "right", "stock", "brain")}
    shared |= {"options": how["options"], "benchmarks": how["benchmarks"]}
    jobs = (
        joblib.delayed(simulate_study)(world["tokens"], signals, **shared, seeds=[seed, number, study])
        for study in range(n_studies)
    )
    studies = list(tqdm(parallel(jobs), f"studies of the listener {name}", n_studies, disable=None))
    table = pd.concat([study.assign(study=str(number)) for number, study in enumerate(studies)])
    truth = compute_truth(world["tokens"], table, world["right"], world["stock"], is_flat=how["is_flat"])
    truth = truth[truth["curve"].isin(table["curve"])]
    results = pd.concat([table, truth.assign(study="truth")], ignore_index=True).assign(listener=name)
    return results[COLUMNS].round({"value": 4, "low": 4, "high": 4})


def save_results(path, name, results):
    """Write the results of a listener into the table of all listeners, in the order of LISTENERS."""
    if path.is_file():
        earlier = read_values(path, text=["study"])
        results = pd.concat([earlier[earlier["listener"] != name], results], ignore_index=True)
    order = {known: number for number, known in enumerate(LISTENERS)}
    results = results[results["listener"].isin(order)]
    write_table(path, results.sort_values("listener", key=lambda names: names.map(order), kind="stable"))


def make_stories(n_runs, seed):
    """Make a stock of runs: their texts, the characters of their words, and what makes the signals of a listener."""
    rng = random.Random(f"{seed} calibration")
    onsets, offsets = make_study.make_timings(WORDS_PER_RUN)
    stock, training = (
        [make_study.tell(WORDS_PER_RUN, rng) for _ in range(n)] for n in (n_runs, make_study.N_TRAINING_RUNS)
    )
    words, training_words = (list(map(make_study.list_words, runs)) for runs in (stock, training))
    texts = [" ".join(spell([word for word, _, _ in sentence]) for sentence in run) for run in stock]
    return {
        "texts": texts,
        "spans": [align([word for word, _, _ in run], text) for run, text in zip(words, texts, strict=True)],
        "words": words,
        "training_words": training_words,
        "onsets": onsets,
        "offsets": offsets,
        "n_scans": int(np.ceil((offsets[-1] + make_study.LAST_SCANS_S) / 2)),
    }


def make_story_signals(stories, seed, delay_s):
    """Make the signals of the stock of runs, for an HRF that is late by ``delay_s``."""
    times = {name: stories[name] for name in ("onsets", "offsets", "n_scans")}
    rng = np.random.default_rng(seed)
    return listener.make_signals(stories["words"], stories["training_words"], **times, rng=rng, delay_s=delay_s)


def run_checkpoint(folder, stories, stock):
    """Run a checkpoint on the stock of runs and pairs.

    Returns
    -------
    regressors : float32 array (n_layers, n_runs, n_scans, n_units)
    right : bool array (n_pairs,)
    """
    limit_threads(1)  # joblib runs several checkpoints at a time
    model, tokenizer, _ = load_checkpoint(str(folder.parent), folder.name, "cpu")
    to_scans = make_hrf_matrix(stories["onsets"], stories["offsets"], stories["n_scans"]).astype(np.float32)
    regressors = [
        [make_regressors(to_scans, layer) for layer in compute_word_vectors(model, tokenizer, *run)]
        for run in zip(stories["texts"], stories["spans"], strict=True)
    ]
    scored = score_pairs(stock, model, tokenizer, batch_size=256)
    return np.stack(regressors, axis=1), (scored["logprob_good"] > scored["logprob_bad"]).to_numpy()


def compute_truth(tokens, studies, right, stock, is_flat):
    """Compute the true results, those of curves without noise: a table as of ``simulate_study``.

    Where left minus right is flat, benchmarks are not aligned with it, and have no order.
    """
    is_value = studies["quantity"] == "value"
    means = studies[is_value].groupby(["curve", "tokens"])["value"].mean()
    curves = {name: means[name].to_numpy() for name in (TARGET, *CONTROLS)}
    if is_flat:  # both hemispheres follow the story equally
        curves[TARGET] = np.zeros(len(tokens))
    benchmarks = compute_true_curves(right, stock)
    rows = [
        (name, "value", *point)
        for name, curve in (curves | benchmarks).items()
        for point in zip(tokens, curve, strict=True)
    ]
    trained, target = tokens > 0, curves[TARGET]
    x = np.log10(tokens[trained])
    for name, curve in ({TARGET: target} | benchmarks).items():
        is_target = name == TARGET
        if name in FLAT or (is_flat and is_target):
            continue
        bounds = None if is_target else find_possible_range(curve)
        sigmoid = fit_sigmoids(x, curve[trained], bounds)
        rows += [(name, quantity, np.nan, float(sigmoid[quantity])) for quantity in ("x0", "beta")]
        if not is_flat and not is_target:
            measures = _compare_without_noise(x, target[trained], curve[trained], bounds)
            rows += [(name, measure, np.nan, value) for measure, value in measures.items()]
    return pd.DataFrame(rows, columns=["curve", "quantity", "tokens", "value"])


def _compare_without_noise(x, target, curve, bounds):
    """Return the measures of two curves without noise: measure to float."""
    curves = [Curve(values, np.tile(values, (2, 1))) for values in (target, curve)]
    nulls = [simulate_flat_curves(x, resamples) for _, resamples in curves]
    measures = compute_measures(x, *curves, nulls=nulls, bounds=bounds)
    return {measure: float(value) for measure, (value, _) in measures.items()}


if __name__ == "__main__":
    run_script(main)
