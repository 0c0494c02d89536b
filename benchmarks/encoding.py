"""The encoding model at its real size: regressors and ridge of one layer, against other implementations.

    python -m benchmarks.encoding
    python -m benchmarks.encoding --whole_checkpoint      # 33 layers by the script itself: time and memory

9 runs of 2,816 scans in all, 25,870 voxels, 4,096 units, 16 penalties, made-up numbers. Others are

- the published way: nilearn's compute_regressor for each unit; scikit-learn's Ridge for each penalty,
  np.corrcoef for each voxel. It is timed on 64 units of each run, and on one penalty and the chosen one of
  one fold, all others being alike, and extrapolated.
- himalaya's KernelRidgeCV, PyTorch backend, one penalty for all voxels, the same folds. One fold is
  timed, and counted nine times.
- the bare matrix products: those of ours whose size grows with voxels or with penalties, and nothing else.

Wanted: 100 x the published way for regressors, 60 x for a whole layer, 2 x himalaya, and at most 1.4 x the
time of the bare products; under 6 GB for all layers. It takes some four minutes on two cores; the whole
checkpoint, some twenty more (from five layers), and 9 GB of disk for as long.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from nilearn.glm.first_level import compute_regressor
from sklearn.linear_model import Ridge

from benchmarks.side_by_side import alternately, machine, print_table, resident_bytes, times_table
from pipeline.encoding.arrays import array_module, as_float32
from pipeline.encoding.cross_validation import ALPHAS, cross_validate
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.hrf import TR_S, make_hrf_matrix
from pipeline.encoding.ridge import TARGETS_AT_ONCE
from pipeline.encoding.signals import TRIM_SCANS, make_regressors, trim_and_zscore, zscore
from pipeline.models.loading import limit_threads, pick_device
from study.files.safe_joblib import write_arrays
from study.paths import activations_path, average_subject_path, onsets_offsets_path

SCANS_OF_RUNS = (282, 298, 340, 303, 265, 343, 325, 292, 368)
WORDS_PER_SCAN = 5.5
N_VOXELS, N_UNITS, N_LAYERS = 25_870, 4096, 33
UNITS_TIMED = 64  # by nilearn, in each run


def main():
    """Time the encoding model, or the script on a whole checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--n_times", type=int, default=3)
    parser.add_argument("--whole_checkpoint", action="store_true", help="only run the script on a whole checkpoint")
    args = parser.parse_args()
    limit_threads(args.threads)
    device = pick_device(args.device)
    print(machine(device))
    place = None if device.type == "cpu" else device
    if args.whole_checkpoint:
        fit_whole_checkpoint(args.device, args.threads)
        return

    rng = np.random.default_rng(0)
    words = [word_times(rng, n_scans) for n_scans in SCANS_OF_RUNS]
    vectors = [rng.standard_normal((len(onsets), N_UNITS), dtype=np.float32) for onsets, _ in words]

    seconds, values = alternately(
        {
            "ours": lambda: regressors_of_layer(words, vectors, place),
            "nilearn, unit by unit (extrapolated)": lambda: published_regressors(words, vectors),
        },
        args.n_times,
        only_once=["nilearn, unit by unit (extrapolated)"],
    )
    regressors, published = values.values()
    difference = max(
        np.abs(trim_and_zscore(theirs) - ours[:, :UNITS_TIMED]).max()
        for ours, theirs in zip(regressors, published, strict=True)
    )
    seconds["nilearn, unit by unit (extrapolated)"] = [
        of_units * N_UNITS / UNITS_TIMED for of_units in seconds["nilearn, unit by unit (extrapolated)"]
    ]
    times_table("Regressors of one layer", seconds, {"nilearn, unit by unit (extrapolated)": ("at least", 100)})
    print(f"largest difference between z-scored regressors: {difference:.1g}")
    of_regressors = {name: float(np.median(of_name)) for name, of_name in seconds.items()}

    fmri = [driven_voxels(rng, run) for run in regressors]
    folds = hold_out_runs([len(run) for run in fmri])
    features, targets = np.concatenate(regressors), as_float32(np.concatenate(fmri), place)
    seconds, values = alternately(
        {
            "ours": lambda: cross_validate(features, targets, folds, device=place),
            "bare matrix products": bare_products(place),
            "himalaya (one fold, nine times)": himalaya_fold(regressors, fmri, device),
            "scikit-learn, one penalty": published_fit(regressors, fmri, 1e4, [0, 1]),
            "scikit-learn, chosen penalty": published_fit(regressors, fmri, 1e4, [0]),
            "np.corrcoef": lambda: published_correlations(fmri[1], fmri[1][::-1]),
        },
        args.n_times,
        only_once=["scikit-learn, one penalty", "scikit-learn, chosen penalty", "np.corrcoef"],
    )
    seconds["himalaya (one fold, nine times)"] = [9 * fold for fold in seconds["himalaya (one fold, nine times)"]]
    n_folds, n_alphas = len(SCANS_OF_RUNS), len(ALPHAS)
    one_penalty, chosen_penalty, of_voxels = (
        seconds.pop(name)[0] for name in ("scikit-learn, one penalty", "scikit-learn, chosen penalty", "np.corrcoef")
    )
    seconds["published way (extrapolated)"] = [
        n_folds * (n_alphas * (one_penalty + of_voxels) + chosen_penalty + of_voxels)
    ]
    limits = {"bare matrix products": ("at most", 1.4), "himalaya (one fold, nine times)": ("at least", 2)}
    times_table("Ridge of one layer", seconds, limits)

    correlations, chosen = values["ours"]
    theirs, their_alpha = values["himalaya (one fold, nine times)"]
    print(f"fold 0: our alpha {chosen[0]:.4g}, himalaya's {their_alpha:.4g}; ", end="")
    print(f"largest difference of a voxel's correlation {np.abs(theirs - correlations[0]).max():.1g}")
    predicted = published_fit(regressors, fmri, chosen[1], [1])()
    theirs = published_correlations(fmri[1], predicted)
    print(f"fold 1: largest difference from scikit-learn and np.corrcoef {np.abs(theirs - correlations[1]).max():.1g}")

    whole = {"ours": [of_regressors["ours"] + np.median(seconds["ours"])]}
    whole["published way (extrapolated)"] = [
        of_regressors["nilearn, unit by unit (extrapolated)"] + seconds["published way (extrapolated)"][0]
    ]
    times_table("One layer, regressors and ridge", whole, {"published way (extrapolated)": ("at least", 60)})


def word_times(rng, n_scans):
    """Onsets and offsets of made-up words, seconds."""
    onsets = np.sort(rng.uniform(0, TR_S * n_scans - 5, int(WORDS_PER_SCAN * n_scans)))
    return onsets, onsets + rng.uniform(0.1, 0.5, len(onsets))


def driven_voxels(rng, regressors):
    """z-scored fMRI of one run, float32 array (n_scans, n_voxels), of which some units drive half."""
    driven = regressors[:, :50].sum(axis=1, keepdims=True) * (np.arange(N_VOXELS) % 2)
    return zscore(0.1 * driven + rng.standard_normal((len(regressors), N_VOXELS), dtype=np.float32))


def regressors_of_layer(words, vectors, device):
    """As fit_average_subject.py makes them: a list over runs of float32 array (n_scans - 20, n_units)."""
    regressors = []
    for (onsets, offsets), n_scans, of_words in zip(words, SCANS_OF_RUNS, vectors, strict=True):
        matrix = as_float32(make_hrf_matrix(onsets, offsets, n_scans), device)
        regressors.append(make_regressors(matrix, of_words))
    return regressors


def published_regressors(words, vectors):
    """By nilearn, a unit at a time: the first units of each run, arrays (n_scans, UNITS_TIMED)."""
    of_runs = []
    for (onsets, offsets), n_scans, of_words in zip(words, SCANS_OF_RUNS, vectors, strict=True):
        frame_times = (np.arange(n_scans) + 0.5) * TR_S
        units = [
            compute_regressor((onsets, offsets - onsets, unit), "glover", frame_times)[0]
            for unit in of_words.T[:UNITS_TIMED]
        ]
        of_runs.append(np.hstack(units))
    return of_runs


def published_fit(regressors, fmri, alpha, left_out):
    """A function that predicts the last of the left-out runs by scikit-learn; all in float64, as published."""
    training = [run for run in range(len(regressors)) if run not in left_out]
    model = Ridge(alpha=alpha, fit_intercept=False)
    x, y = (np.vstack([of_runs[run] for run in training]).astype(np.float64) for of_runs in (regressors, fmri))
    predicted = regressors[left_out[-1]].astype(np.float64)
    return lambda: model.fit(x, y).predict(predicted)


def published_correlations(measured, predicted):
    """Pearson's r of every voxel, an array of shape (n_voxels,), by a loop over voxels."""
    return np.array([np.corrcoef(measured[:, voxel], predicted[:, voxel])[0, 1] for voxel in range(N_VOXELS)])


def himalaya_fold(regressors, fmri, device):
    """A function that gives correlations of run 0 and the penalty by himalaya, chosen on the same run as ours."""
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.scoring import correlation_score

    backend = set_backend("torch_cuda" if torch.device(device).type == "cuda" else "torch")
    x, y = (backend.asarray(np.concatenate(of_runs[1:])) for of_runs in (regressors, fmri))
    x_run, y_run = backend.asarray(regressors[0]), backend.asarray(fmri[0])
    n_validation = len(regressors[1])
    split = (np.arange(n_validation, len(x)), np.arange(n_validation))
    # The fastest of four sizes that were tried: 1 or 4 at all voxels, 4 at 5,000, 16 at 2,000.
    batches = {"n_alphas_batch": 16, "n_targets_batch": 2000}
    model = KernelRidgeCV(
        alphas=ALPHAS,
        fit_intercept=False,
        cv=[split],
        solver_params={"local_alpha": False, "score_func": correlation_score, **batches},
    )

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the best penalty is at an end of the range
            model.fit(x, y)
            correlations = correlation_score(y_run, model.predict(x_run))
        return backend.to_numpy(correlations), float(backend.to_numpy(model.best_alphas_).flat[0])

    return fit


def bare_products(device):
    """A function that does the matrix products of ours, on matrices of those sizes, and nothing else.

    All that grows with voxels or with penalties. The matrices are made beforehand.
    """
    n_scans = [n - 2 * TRIM_SCANS for n in SCANS_OF_RUNS]
    n_all, n_alphas = sum(n_scans), len(ALPHAS)
    splits = [([0 if run else 1, run], n_alphas) for run in range(len(n_scans))]
    splits += [([run], 1) for run in range(len(n_scans))]
    rng = np.random.default_rng(0)
    regressors, scans, weights, voxels = (
        as_float32(rng.random(shape, dtype=np.float32), device)
        for shape in [
            (n_all, N_UNITS),
            (n_all, n_all),
            (n_alphas * max(n_scans), n_all),
            (n_all, TARGETS_AT_ONCE),
        ]
    )
    xp = array_module(scans)
    regressors, scans = (xp.asarray(array, dtype=xp.float64) for array in (regressors, scans))

    def multiply():
        regressors @ regressors.T
        for split, n_penalties in splits:
            n_left, n_run = sum(n_scans[run] for run in split), n_scans[split[0]]
            n_training = n_all - n_left
            of_split = weights[: n_penalties * n_run, :n_training]
            for _ in range(n_penalties):
                scans[:n_run, :n_left] @ scans[:n_left, :n_training]
            for first in range(0, N_VOXELS, TARGETS_AT_ONCE):
                of_split @ voxels[:n_training, : N_VOXELS - first]

    return multiply


# ---------------------------------------------------------------- a whole checkpoint


def fit_whole_checkpoint(device, threads):
    """Make a study of full size, run fit_average_subject.py in it, and tell its time and peak memory."""
    with tempfile.TemporaryDirectory(prefix="full_size_") as folder:
        os.environ["LTBA_DIR"] = folder
        write_full_study(np.random.default_rng(0))
        size = activations_path("full", "en").stat().st_size
        script = Path(__file__).parents[1] / "fit_average_subject.py"
        options = ["--model", "full", "--device", device] + (["--threads", str(threads)] if threads else [])
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, script, *options])
        peak = 0
        while process.poll() is None:
            time.sleep(0.2)
            with contextlib.suppress(OSError, ValueError):  # it has just ended
                peak = resident_bytes("peak", process.pid)
        seconds = time.perf_counter() - started
        if process.returncode != 0:
            sys.exit(process.returncode)
        is_met = "met" if peak < 6e9 else "missed"
        row = (f"{seconds:.0f}", f"{size / 1e9:.1f}", f"{peak / 1e9:.2f}", f"under 6 GB: {is_met}")
        print_table(
            f"fit_average_subject.py, {N_LAYERS} layers", ("seconds", "activations GB", "peak GB", "wanted"), [row]
        )


def write_full_study(rng):
    """Activations, timings and fMRI of full size, made-up numbers; layers share memory while they are written."""
    words = [word_times(rng, n_scans) for n_scans in SCANS_OF_RUNS]
    write_arrays(onsets_offsets_path("en"), words)
    n_most = max(len(onsets) for onsets, _ in words) + N_LAYERS
    values = rng.standard_normal((n_most, N_UNITS), dtype=np.float32)
    runs = [[values[layer : layer + len(onsets)] for layer in range(N_LAYERS)] for onsets, _ in words]
    write_arrays(activations_path("full", "en"), runs)
    for run, n_scans in enumerate(SCANS_OF_RUNS):
        write_arrays(average_subject_path("en", run), rng.standard_normal((n_scans, N_VOXELS)))


if __name__ == "__main__":
    main()
