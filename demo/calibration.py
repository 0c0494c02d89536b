"""How far the intervals and tests can be trusted: many simulated studies whose truth is known.

    LTBA_DIR=embedded_study python -m demo.calibration

reads   checkpoints/small_lm/                the language model of the embedded study
writes  demo/calibration.csv.gz              what the analysis says of each simulated study, and the truth

Each study has a story, a listener and benchmarks of its own: nine runs of a large stock of runs, a
listener whose voxels weigh words and grammar in their own way, with noise of their own, both alike
among neighbours (20 mm), and sentence pairs out of a large stock. The language model and its
checkpoints are the same throughout. The true curve of left minus right is 0 for the symmetric
listener, and the mean over all studies for the asymmetric one (so what all studies get wrong alike
does not show); that of a benchmark is its score on the whole stock. Only voxels that follow the story
are simulated, and all of them count.

In every study the analysis is the notebook's: left minus right has its layers chosen on other runs
(``left_minus_right`` here, ``left_minus_right_nested`` in the notebook). These are the benchmarks:

    blimp, blimp_again        hard pairs of the small language, two samples of the same paradigms
    zorro                     easy pairs, which are learnt earlier
    coin                      hard pairs, in half of which right and wrong are exchanged: no transition
    weak                      hard pairs, nine tenths of which are those of the coin: a small transition,
                              when the other hard pairs have theirs
    blimp_{k:+d}_checkpoint   hard pairs, had each checkpoint known what another one k before it knows:
                              k checkpoints later than it is
"""

import random
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from nibabel import Nifti1Image
from tqdm import tqdm

from demo import listener, make_study, pairs
from demo.language import spell
from pipeline.brain.hemispheres import assign_hemispheres, average_sides, subtract_mirror_voxels
from pipeline.brain.scores import compute_brain_scores, resample_sides
from pipeline.brain.voxels import compute_positions, make_blocks
from pipeline.encoding.cross_validation import cross_validate
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.hrf import make_hrf_matrix
from pipeline.encoding.signals import make_regressors, trim_and_zscore
from pipeline.errors import InputError
from pipeline.models.loading import limit_threads, load_checkpoint
from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval
from pipeline.statistics.resampling import resample_means
from pipeline.tasks.minimal_pairs import score_pairs
from pipeline.transitions.comparison import MEASURES, compare_curves, compute_measures
from pipeline.transitions.emergence import detect_emergence
from pipeline.transitions.flatness import compute_shuffled_p_value, simulate_flat_curves
from pipeline.transitions.plateaus import find_possible_range
from pipeline.transitions.sigmoids import fit_sigmoids
from pipeline.words.alignment import align
from pipeline.words.vectors import compute_word_vectors
from study.checkpoints import find_training_tokens
from study.command_line import ArgumentParser, run_script, whole_number
from study.files.tables import write_table
from study.paths import calibration_path, describe_study_folder, study_folder

N_RUNS, WORDS_PER_RUN = 9, 600
PAIRS_PER_PARADIGM = 300
ALPHAS = np.logspace(0, 7, 16)  # as in the embedded study
FWHM_MM = 20.0
N_RESAMPLES = 500
WEAKNESS = 0.9
SHIFTS = (-2, -1, 1, 2)  # checkpoints
WITH_A_LISTENER = ["alignment", "correlation", "p_shuffled"]
SHARES_OF_THE_RIGHT = {"asymmetric": listener.SYNTACTIC_RIGHT, "symmetric": listener.SYNTACTIC_LEFT}


def main():
    """Simulate the studies of both listeners, and save what the analysis says of them."""
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
        raise InputError(f"{folder} holds no checkpoints: make demo makes them ({describe_study_folder()})")

    results = calibrate(folders, args.n_studies, args.n_runs, args.n_pairs, args.seed)
    write_table(args.output, results)
    print(f"{args.n_studies} studies of {len(SHARES_OF_THE_RIGHT)} listeners in {args.output}")


def calibrate(folders, n_studies, n_runs, n_pairs, seed):
    """Simulate studies, and analyse them.

    Returns
    -------
    pandas.DataFrame with columns listener, study, curve, quantity, tokens, value, low, high
        See ``pipeline.calibration``.
    """
    tokens = np.array([find_training_tokens("small_lm", path.name) for path in folders])
    stories = tell_stories(n_runs, seed)
    stock = pd.DataFrame(
        [
            (paradigm, level, good, bad)
            for paradigm, (_, level) in pairs.PARADIGMS.items()
            for good, bad in pairs.distinct_pairs(paradigm, n_pairs, f"{seed} calibration")
        ],
        columns=["paradigm", "level", "good", "bad"],
    )
    parallel = joblib.Parallel(n_jobs=-1, return_as="generator")
    read = parallel(joblib.delayed(read_out)(path, stories, stock) for path in folders)
    of_checkpoints = zip(*tqdm(read, "checkpoints read out", len(folders), disable=None), strict=True)
    regressors, right = map(np.stack, of_checkpoints)  # (n_checkpoints, n_layers, n_runs, ...), (.., n_pairs)

    rows: list[pd.DataFrame] = []
    for name, share in SHARES_OF_THE_RIGHT.items():
        jobs = [
            joblib.delayed(one_study)(tokens, stories["signals"], regressors, right, stock, share, [seed, number])
            for number in range(n_studies)
        ]
        found = list(tqdm(parallel(jobs), f"studies of the {name} listener", n_studies, disable=None))
        found = [table.assign(listener=name, study=str(number)) for number, table in enumerate(found)]
        is_flat = share == listener.SYNTACTIC_LEFT
        truth = true_values(tokens, pd.concat(found), right, stock, is_flat).assign(listener=name, study="truth")
        of_listener = pd.concat([*found, truth])
        if rows:  # the benchmarks are the same whoever listens: only how they go with the listener is new
            is_new = (of_listener["curve"] == "left_minus_right") | of_listener["quantity"].isin(WITH_A_LISTENER)
            of_listener = of_listener[is_new]
        rows.append(of_listener)
    columns = ["listener", "study", "curve", "quantity", "tokens", "value", "low", "high"]
    results = pd.concat(rows, ignore_index=True)[columns]
    return results.round({"value": 4, "low": 4, "high": 4})


def tell_stories(n_runs, seed):
    """A stock of runs: their texts, the characters of their words, and what a listener makes of them."""
    rng = random.Random(f"{seed} calibration")
    onsets, offsets = make_study.timings(WORDS_PER_RUN)
    n_scans = int(np.ceil((offsets[-1] + make_study.LAST_SCANS_S) / 2))
    runs, others = ([make_study.tell(WORDS_PER_RUN, rng) for _ in range(n)] for n in (n_runs, make_study.N_OTHER_RUNS))
    spoken, spoken_elsewhere = (list(map(make_study.spoken_words, told)) for told in (runs, others))
    texts = [" ".join(spell([word for word, _, _ in words]) for words in run) for run in runs]
    return {
        "texts": texts,
        "spans": [align([word for word, _, _ in words], text) for words, text in zip(spoken, texts, strict=True)],
        "to_scans": make_hrf_matrix(onsets, offsets, n_scans).astype(np.float32),
        "signals": listener.signals(spoken, spoken_elsewhere, onsets, offsets, n_scans, np.random.default_rng(seed)),
    }


def read_out(folder, stories, stock):
    """What a checkpoint makes of the stock of runs and pairs.

    Returns
    -------
    regressors : float32 array of shape (n_layers, n_runs, n_scans, n_units)
    right : bool array of shape (n_pairs,)
    """
    limit_threads(1)  # checkpoints run side by side
    model, tokenizer, _ = load_checkpoint(str(folder.parent), folder.name, "cpu")
    of_runs = [
        [make_regressors(stories["to_scans"], layer) for layer in compute_word_vectors(model, tokenizer, *run)]
        for run in zip(stories["texts"], stories["spans"], strict=True)
    ]
    scored = score_pairs(stock, model, tokenizer, batch_size=256)
    return np.stack(of_runs, axis=1), (scored["logprob_good"] > scored["logprob_bad"]).to_numpy()


def one_study(tokens, signals, regressors, right, stock, syntactic_right, seeds):
    """Simulate a study and analyse it: a table with columns curve, quantity, tokens, value, low, high."""
    limit_threads(1)  # studies run side by side
    rng = np.random.default_rng([*seeds, 0])
    runs = rng.choice(len(signals), N_RUNS, replace=False)
    mask = driven_mask()
    fmri, _ = listener.listen(mask, [signals[run] for run in runs], syntactic_right, [*seeds, 1], FWHM_MM)
    fmri = [trim_and_zscore(run) for run in fmri]
    folds = hold_out_runs([len(run) for run in fmri])
    targets = np.concatenate(fmri)
    correlations = [
        np.stack([cross_validate(np.concatenate(layer[runs]), targets, folds, ALPHAS)[0] for layer in layers])
        for layers in regressors
    ]  # checkpoints of (n_layers, n_runs, n_voxels)
    nested = compute_brain_scores(correlations, best_layer="nested")
    curves = asymmetry_curves(nested, mask) | benchmark_curves(right, stock, rng)
    target = curves["left_minus_right"]
    table, again = compare_curves(tokens, curves)

    rows = [
        (name, "value", *point)
        for name, (curve, resamples) in curves.items()
        for point in zip(tokens, curve, *compute_interval(curve, resamples), strict=True)
    ]
    rows += [(row["curve"], "p_flat", np.nan, row["p_flat"], np.nan, np.nan) for row in table.to_dict("records")]
    for row in table.to_dict("records"):
        for quantity in ("x0", "beta", *MEASURES):
            if np.isfinite(row[quantity]):
                of_quantity = [row[name] for name in (quantity, f"{quantity}_low", f"{quantity}_high")]
                rows.append((row["curve"], quantity, np.nan, *of_quantity))
    trained = tokens > 0
    of_pairs = subtract_mirror_voxels(nested[trained], mask)[:, :, assign_hemispheres(mask)[0]]
    emerges = np.isfinite(detect_emergence(np.log10(tokens[trained]), of_pairs.transpose(1, 0, 2)))
    rows.append(("left_minus_right", "n_emerging_pairs", np.nan, emerges.sum(), np.nan, np.nan))
    for name, (curve, _) in curves.items():
        if name != "left_minus_right":
            r = np.corrcoef(target[0][trained], curve[trained])[0, 1]
            rows.append((name, "correlation", np.nan, r, np.nan, np.nan))
            p = compute_shuffled_p_value(target[0][trained], curve[trained])
            rows.append((name, "p_shuffled", np.nan, p, np.nan, np.nan))
    for other in ("zorro", "blimp_again", "blimp_+1_checkpoint", "coin", "weak"):
        for measure, of_curves in again.items():
            if "blimp" in of_curves and other in of_curves:
                # How far apart midpoints are, or how far one leads, counts without its sign.
                one, two = (np.abs(of_curves[name]) for name in ("blimp", other))
                median = np.median(one - two)
                rows.append((f"blimp - {other}", measure, np.nan, median, *compute_interval(median, one - two)))
    return pd.DataFrame(rows, columns=["curve", "quantity", "tokens", "value", "low", "high"])


def driven_mask():
    """The voxels that follow the story, and no others, as a mask."""
    mask = listener.brain_mask()
    driven = np.zeros(len(compute_positions(mask)), dtype=np.int8)
    driven[np.concatenate(listener.driven_pairs(mask))] = 1
    volume = np.zeros(mask.shape, dtype=np.int8)
    volume[np.asarray(mask.dataobj) != 0] = driven
    return Nifti1Image(volume, mask.affine)


def asymmetry_curves(scores, mask):
    """Left minus right of a study: name to (curve, resamples)."""
    left, right = assign_hemispheres(mask)
    sides = average_sides(scores.mean(axis=1), left, right)
    lefts, rights = resample_sides(scores, left, right, make_blocks(mask), N_RESAMPLES)
    return {"left_minus_right": (sides[0] - sides[1], lefts - rights)}


def benchmark_curves(right, stock, rng):
    """Curves of the benchmarks of a study, drawn from the stock of pairs: name to (curve, resamples)."""

    def draw(level):
        items = np.concatenate(
            [
                rng.choice(np.flatnonzero(stock["paradigm"] == paradigm), PAIRS_PER_PARADIGM)
                for paradigm, (_, of_paradigm) in pairs.PARADIGMS.items()
                if of_paradigm == level
            ]
        )
        return right[:, items].astype(float), stock["paradigm"].to_numpy()[items]

    drawn = {"blimp": draw("hard"), "blimp_again": draw("hard"), "zorro": draw("easy")}
    values, groups = draw("hard")
    coin = np.where(rng.random(len(groups)) < 0.5, values, 1 - values)
    drawn["coin"] = coin, groups
    drawn["weak"] = np.where(rng.random(len(groups)) < WEAKNESS, coin, values), groups
    for shift in SHIFTS:
        drawn[f"blimp_{shift:+d}_checkpoint"] = shifted(drawn["blimp"][0], shift), drawn["blimp"][1]
    return {name: resample_means(items, groups, N_RESAMPLES) for name, (items, groups) in drawn.items()}


def shifted(values, shift):
    """What trained checkpoints know, some checkpoints later; the first one, untrained, stays where it is."""
    places = np.clip(np.arange(len(values)) - shift, 1, len(values) - 1)
    return values[[0, *places[1:]]]


def true_values(tokens, of_studies, right, stock, is_flat):
    """What the analysis should say: the same of curves without noise, a table as of ``one_study``.

    Where left minus right is flat, nothing is aligned with it, and there is no order.
    """
    is_asymmetry = (of_studies["curve"] == "left_minus_right") & (of_studies["quantity"] == "value")
    mean = of_studies[is_asymmetry].groupby("tokens")["value"].mean().to_numpy()

    def score(level):
        of_level = stock["level"] == level
        of_paradigms = pd.DataFrame(right.T[of_level]).groupby(stock["paradigm"][of_level].to_numpy()).mean()
        return of_paradigms.mean().to_numpy()  # (n_checkpoints,)

    hard = score("hard")
    mean = np.zeros(len(tokens)) if is_flat else mean  # both hemispheres are driven alike
    truth = {"left_minus_right": mean, "blimp": hard, "blimp_again": hard, "zorro": score("easy")}
    truth["coin"] = np.full(len(tokens), 0.5)
    truth["weak"] = WEAKNESS * truth["coin"] + (1 - WEAKNESS) * hard
    truth |= {f"blimp_{shift:+d}_checkpoint": shifted(hard, shift) for shift in SHIFTS}
    rows = [(name, "value", *point) for name, curve in truth.items() for point in zip(tokens, curve, strict=True)]

    trained = tokens > 0
    x, target = np.log10(tokens[trained]), mean[trained]
    for name, curve in truth.items():
        has_transition = name != "coin" and not (is_flat and name == "left_minus_right")
        if has_transition:
            bounds = None if name == "left_minus_right" else find_possible_range(curve)
            found = fit_sigmoids(x, curve[trained], bounds)
            rows += [(name, quantity, np.nan, float(found[quantity])) for quantity in ("x0", "beta")]
        if name == "left_minus_right":
            continue
        if is_flat or not has_transition:
            rows.append((name, "alignment", np.nan, 0.0))
            continue
        pair = [Curve(values, np.tile(values, (2, 1))) for values in (target, curve[trained])]  # without noise
        nulls = [simulate_flat_curves(x, resamples) for _, resamples in pair]
        found = compute_measures(x, *pair, nulls=nulls, bounds=find_possible_range(curve))
        rows += [(name, measure, np.nan, float(value)) for measure, (value, _) in found.items()]
    return pd.DataFrame(rows, columns=["curve", "quantity", "tokens", "value"])


if __name__ == "__main__":
    run_script(main)
