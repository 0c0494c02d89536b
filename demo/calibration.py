"""Simulate many studies whose truth is known, to measure how far intervals and tests can be trusted.

    LTBA_DIR=embedded_study python -m demo.calibration

reads   checkpoints/small_lm/                the language model of the embedded study
writes  demo/calibration.csv.gz              results of the analysis for each simulated study, and the truth

``python -m demo.coverage`` makes tables of them.

Each study has its own story, listener and benchmarks. The story is nine runs of a large stock of runs.
The listener's voxels have their own weights for words and grammar, and their own noise; both are smooth
over 20 mm. The sentence pairs come from a large stock. The language model and its checkpoints are the
same throughout. The true curve of left minus right is 0 for the symmetric listener. For the asymmetric
listener it is the mean over all studies, so that an error that all studies share does not show. The true
curve of a benchmark is its score on the whole stock. Only voxels that follow the story are simulated,
and all of them count.

The analysis is that of the notebook. Left minus right has its layers chosen on other runs
(``left_minus_right`` here, ``left_minus_right_nested`` in the notebook). ``demo/simulated_benchmarks.py``
describes the benchmarks.
"""

import random
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from nibabel import Nifti1Image
from tqdm import tqdm

from demo import listener, make_study
from demo.language import spell
from demo.simulated_benchmarks import N_RESAMPLES, compute_true_curves, make_benchmark_curves, make_stock
from pipeline.brain.hemispheres import assign_hemispheres, average_sides, subtract_mirror_voxels
from pipeline.brain.scores import compute_brain_scores, resample_sides
from pipeline.brain.voxels import fill_volume, make_blocks
from pipeline.encoding.cross_validation import cross_validate
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.hrf import make_hrf_matrix
from pipeline.encoding.signals import make_regressors, trim_and_zscore
from pipeline.errors import InputError
from pipeline.models.loading import load_checkpoint
from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval
from pipeline.tasks.minimal_pairs import score_pairs
from pipeline.transitions.alignment import MEASURES, compute_measures
from pipeline.transitions.comparison import compare_curves
from pipeline.transitions.emergence import detect_emergence
from pipeline.transitions.flatness import simulate_flat_curves
from pipeline.transitions.plateaus import find_possible_range
from pipeline.transitions.sigmoids import fit_sigmoids
from pipeline.words.alignment import align
from pipeline.words.vectors import compute_word_vectors
from study.checkpoints import find_training_tokens
from study.command_line import ArgumentParser, run_script, whole_number
from study.files.tables import write_table
from study.paths import calibration_path, describe_study_folder, study_folder
from study.stages.loading import limit_threads

N_RUNS, WORDS_PER_RUN = 9, 600
ALPHAS = np.logspace(0, 7, 16)  # as in the embedded study
FWHM_MM = 20.0
LISTENER_QUANTITIES = ["alignment", "correlation"]  # of a benchmark, but different for each listener
RIGHT_SHARES = {"asymmetric": listener.SYNTACTIC_RIGHT, "symmetric": listener.SYNTACTIC_LEFT}


def main():
    """Simulate the studies of both listeners, and save the results of their analysis."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--n_studies", type=whole_number, default=150, help="of either listener")
    parser.add_argument("--n_runs", type=whole_number, default=120, help="stock of runs (default: 120)")
    parser.add_argument("--n_pairs", type=whole_number, default=1500, help="stock of pairs of each paradigm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=calibration_path())
    args = parser.parse_args()
    if args.n_runs < N_RUNS or args.n_studies < 2:
        parser.error(f"--n_runs must be {N_RUNS} or more, --n_studies 2 or more")
    folder = study_folder() / "checkpoints" / "small_lm"
    folders = sorted(folder.glob("step*"), key=lambda path: find_training_tokens("small_lm", path.name))
    if not folders:
        raise InputError(f"{folder}: expected checkpoints, got none. Run `make demo` ({describe_study_folder()}).")

    results = calibrate(folders, args.n_studies, n_runs=args.n_runs, n_pairs=args.n_pairs, seed=args.seed)
    write_table(args.output, results)
    print(f"{args.n_studies} studies of {len(RIGHT_SHARES)} listeners in {args.output}")


def calibrate(folders, n_studies, n_runs, n_pairs, seed):
    """Simulate studies, and analyse them.

    Parameters
    ----------
    folders : list of Path
        Of the checkpoints, by increasing training tokens.
    n_studies : int
        Of either listener.
    n_runs, n_pairs : int
        Size of the stock: runs, and pairs of each paradigm.
    seed : int

    Returns
    -------
    pandas.DataFrame with columns listener, study, curve, quantity, tokens, value, low, high
        See ``demo.coverage.compute_coverage``.
    """
    tokens = np.array([find_training_tokens("small_lm", path.name) for path in folders])
    stories = make_stories(n_runs, seed)
    stock = make_stock(n_pairs, seed)
    parallel = joblib.Parallel(n_jobs=-1, return_as="generator")
    jobs = parallel(joblib.delayed(run_checkpoint)(path, stories, stock) for path in folders)
    checkpoints = zip(*tqdm(jobs, "checkpoints", len(folders), disable=None), strict=True)
    regressors, right = map(np.stack, checkpoints)  # (n_checkpoints, n_layers, n_runs, ...), (n_checkpoints, n_pairs)

    tables: list[pd.DataFrame] = []
    for name, share in RIGHT_SHARES.items():
        jobs = [
            joblib.delayed(simulate_study)(
                tokens,
                stories["signals"],
                regressors=regressors,
                right=right,
                stock=stock,
                syntactic_right=share,
                seeds=[seed, number],
            )
            for number in range(n_studies)
        ]
        studies = list(tqdm(parallel(jobs), f"studies of the {name} listener", n_studies, disable=None))
        table = pd.concat([study.assign(study=str(number)) for number, study in enumerate(studies)])
        truth = compute_truth(tokens, table, right=right, stock=stock, is_flat=share == listener.SYNTACTIC_LEFT)
        table = pd.concat([table, truth.assign(study="truth")]).assign(listener=name)
        if tables:  # the scores of benchmarks are the same for every listener
            is_new = (table["curve"] == "left_minus_right") | table["quantity"].isin(LISTENER_QUANTITIES)
            table = table[is_new]
        tables.append(table)
    columns = ["listener", "study", "curve", "quantity", "tokens", "value", "low", "high"]
    results = pd.concat(tables, ignore_index=True)[columns]
    return results.round({"value": 4, "low": 4, "high": 4})


def make_stories(n_runs, seed):
    """Make a stock of runs: their texts, the characters of their words, and the signals of a listener."""
    rng = random.Random(f"{seed} calibration")
    onsets, offsets = make_study.make_timings(WORDS_PER_RUN)
    n_scans = int(np.ceil((offsets[-1] + make_study.LAST_SCANS_S) / 2))
    stock, training = (
        [make_study.tell(WORDS_PER_RUN, rng) for _ in range(n)] for n in (n_runs, make_study.N_TRAINING_RUNS)
    )
    words, training_words = (list(map(make_study.list_words, runs)) for runs in (stock, training))
    texts = [" ".join(spell([word for word, _, _ in sentence]) for sentence in run) for run in stock]
    spans = [align([word for word, _, _ in run], text) for run, text in zip(words, texts, strict=True)]
    return {
        "texts": texts,
        "spans": spans,
        "to_scans": make_hrf_matrix(onsets, offsets, n_scans).astype(np.float32),
        "signals": listener.make_signals(
            words,
            training_words,
            onsets=onsets,
            offsets=offsets,
            n_scans=n_scans,
            rng=np.random.default_rng(seed),
        ),
    }


def run_checkpoint(folder, stories, stock):
    """Run a checkpoint on the stock of runs and pairs.

    Returns
    -------
    regressors : float32 array of shape (n_layers, n_runs, n_scans, n_units)
    right : bool array of shape (n_pairs,)
    """
    limit_threads(1)  # joblib runs several checkpoints at a time
    model, tokenizer, _ = load_checkpoint(str(folder.parent), folder.name, "cpu")
    regressors = [
        [make_regressors(stories["to_scans"], layer) for layer in compute_word_vectors(model, tokenizer, *run)]
        for run in zip(stories["texts"], stories["spans"], strict=True)
    ]
    scored = score_pairs(stock, model, tokenizer, batch_size=256)
    return np.stack(regressors, axis=1), (scored["logprob_good"] > scored["logprob_bad"]).to_numpy()


def simulate_study(tokens, signals, regressors, right, stock, syntactic_right, seeds):
    """Simulate a study and analyse it: a table with columns curve, quantity, tokens, value, low, high."""
    limit_threads(1)  # joblib runs several studies at a time
    rng = np.random.default_rng([*seeds, 0])
    runs = rng.choice(len(signals), N_RUNS, replace=False)
    mask = make_driven_mask()
    fmri, _ = listener.listen(mask, [signals[run] for run in runs], syntactic_right, [*seeds, 1], fwhm_mm=FWHM_MM)
    fmri = [trim_and_zscore(run) for run in fmri]
    folds = hold_out_runs([len(run) for run in fmri])
    targets = np.concatenate(fmri)
    correlations = [
        np.stack([cross_validate(np.concatenate(layer[runs]), targets, folds, ALPHAS)[0] for layer in layers])
        for layers in regressors
    ]  # checkpoints of (n_layers, n_runs, n_voxels)
    scores = compute_brain_scores(correlations, best_layer="nested")
    curves = {"left_minus_right": compute_asymmetry(scores, mask)} | make_benchmark_curves(right, stock, rng)
    table, resampled_measures = compare_curves(tokens, curves)
    rows = [
        (name, "value", *point)
        for name, (curve, resamples) in curves.items()
        for point in zip(tokens, curve, *compute_interval(curve, resamples), strict=True)
    ]
    rows += [*_list_estimates(table), _count_emerging_pairs(tokens, scores, mask)]
    rows += [*_correlate_curves(tokens, curves), *_compare_benchmarks(resampled_measures)]
    return pd.DataFrame(rows, columns=["curve", "quantity", "tokens", "value", "low", "high"])


def _list_estimates(table):
    """Yield the rows of simulate_study that are in the table of transitions."""
    for row in table.to_dict("records"):
        yield row["curve"], "p_flat", np.nan, row["p_flat"], np.nan, np.nan
        for quantity in ("x0", "beta", *MEASURES):
            if np.isfinite(row[f"{quantity}_low"]):  # an unknown alignment has an interval and no value
                estimate = [row[name] for name in (quantity, f"{quantity}_low", f"{quantity}_high")]
                yield row["curve"], quantity, np.nan, *estimate


def _count_emerging_pairs(tokens, scores, mask):
    """Return the row of simulate_study with the number of pairs of mirrored voxels in which a difference emerges."""
    trained = tokens > 0
    differences = subtract_mirror_voxels(scores[trained], mask)[:, :, assign_hemispheres(mask)[0]]
    emerges = np.isfinite(detect_emergence(np.log10(tokens[trained]), differences.transpose(1, 0, 2)))
    return "left_minus_right", "n_emerging_pairs", np.nan, emerges.sum(), np.nan, np.nan


def _correlate_curves(tokens, curves):
    """Yield the rows of simulate_study with the correlation of each benchmark with left minus right."""
    trained, target = tokens > 0, curves["left_minus_right"][0]
    for name, (curve, _) in curves.items():
        if name != "left_minus_right":
            r = np.corrcoef(target[trained], curve[trained])[0, 1]
            yield name, "correlation", np.nan, r, np.nan, np.nan


def _compare_benchmarks(resampled_measures):
    """Yield the rows of simulate_study that compare the hard pairs with further benchmarks."""
    for name in ("zorro", "blimp_again", "blimp_+1_checkpoint", "coin", "weak"):
        for measure, resamples in resampled_measures.items():
            if "blimp" not in resamples or name not in resamples:
                continue
            if measure == "alignment":  # known only within bounds where no transition is detected
                difference = resamples["blimp"].subtract(resamples[name])
                middle = np.median(np.concatenate(difference))
                yield f"blimp - {name}", measure, np.nan, middle, *difference.compute_interval(middle)
            else:
                # How far apart midpoints are, or how far a curve leads, counts without its sign.
                difference = np.abs(resamples["blimp"]) - np.abs(resamples[name])
                median = np.median(difference)
                yield f"blimp - {name}", measure, np.nan, median, *compute_interval(median, difference)


def make_driven_mask():
    """Make a mask of the voxels that follow the story."""
    mask = listener.make_brain_mask()
    is_driven = np.zeros(np.count_nonzero(mask.dataobj))
    is_driven[np.concatenate(listener.find_driven_pairs(mask))] = 1
    return Nifti1Image((fill_volume(is_driven, mask) == 1).astype(np.int8), mask.affine)


def compute_asymmetry(scores, mask):
    """Compute left minus right of a study: (curve, resamples)."""
    left, right = assign_hemispheres(mask)
    sides = average_sides(scores.mean(axis=1), left, right)
    lefts, rights = resample_sides(scores, left, right, make_blocks(mask), N_RESAMPLES)
    return sides[0] - sides[1], lefts - rights


def compute_truth(tokens, studies, right, stock, is_flat):
    """Compute the true results, those of curves without noise: a table as of ``simulate_study``.

    Where left minus right is flat, benchmarks are not aligned with it, and have no order.
    """
    is_asymmetry = (studies["curve"] == "left_minus_right") & (studies["quantity"] == "value")
    mean = studies[is_asymmetry].groupby("tokens")["value"].mean().to_numpy()
    target = np.zeros(len(tokens)) if is_flat else mean  # both hemispheres follow the grammar equally
    curves = {"left_minus_right": target} | compute_true_curves(right, stock)
    rows = [(name, "value", *point) for name, curve in curves.items() for point in zip(tokens, curve, strict=True)]
    trained = tokens > 0
    x = np.log10(tokens[trained])
    for name, curve in curves.items():
        is_target = name == "left_minus_right"
        has_transition = name != "coin" and not (is_flat and is_target)
        if has_transition:
            bounds = None if is_target else find_possible_range(curve)
            sigmoid = fit_sigmoids(x, curve[trained], bounds)
            rows += [(name, quantity, np.nan, float(sigmoid[quantity])) for quantity in ("x0", "beta")]
        if is_target:
            continue
        if is_flat or not has_transition:
            rows.append((name, "alignment", np.nan, 0.0))
            continue
        measures = _compare_without_noise(x, target[trained], curve[trained], find_possible_range(curve))
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
