"""Time the encoding model at its real size: regressors and ridge of one layer, against other implementations.

    python -m speed.encoding
    python -m speed.encoding --whole_checkpoint      # 33 layers by the script itself: time and memory
    python -m speed.encoding --profile               # where the time of our functions goes; also of the script

9 runs of 2,816 scans in all, 25,870 voxels, 4,096 units, 16 penalties, random numbers. Other implementations are

- the published way: nilearn's compute_regressor for each unit; scikit-learn's Ridge for each penalty,
  np.corrcoef for each voxel. It is timed on 64 units of each run, and on one penalty and the chosen one of
  one fold. All others take the same time, so it is extrapolated.
- himalaya's KernelRidgeCV, PyTorch backend, one penalty for all voxels, the same folds. One fold is
  timed, and multiplied by nine.
- the bare matrix products: those of ours whose size grows with voxels or with penalties, and nothing else.

Wanted: 100 x the published way for regressors, 60 x for a whole layer, 2 x himalaya, and at most 1.4 x the
time of the bare products; under 6 GB for all layers. It takes about four minutes on two cores. The whole
checkpoint takes about twenty more, and 9 GB of disk. On a GPU (H100, H200), wanted are 0.05 s for regressors,
0.25 s for ridge, 12 x himalaya, and 25 s for the whole checkpoint.
"""

import argparse
import contextlib
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.scoring import correlation_score
from nilearn.glm.first_level import compute_regressor
from sklearn.linear_model import Ridge

from pipeline.encoding.arrays import array_module, as_float32, as_numpy
from pipeline.encoding.cross_validation import ALPHAS, cross_validate
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.hrf import TR_S, make_hrf_matrix
from pipeline.encoding.ridge import TARGETS_AT_ONCE
from pipeline.encoding.signals import TRIM_SCANS, make_regressors, trim_and_zscore
from pipeline.models.devices import pick_device
from speed.full_size import (
    N_LAYERS,
    N_UNITS,
    N_VOXELS,
    SCANS_OF_RUNS,
    simulate_voxels,
    simulate_words,
    write_full_study,
)
from speed.side_by_side import (
    call_in_turn,
    describe_machine,
    print_table,
    print_times,
    read_resident_bytes,
    wait_for_device,
)
from study.paths import activations_path
from study.stages.threads import limit_threads

UNITS_TIMED = 64  # by nilearn, in each run
NILEARN, PUBLISHED = "nilearn, unit by unit (extrapolated)", "published way (extrapolated)"
PRODUCTS, HIMALAYA = "bare matrix products", "himalaya (one fold, nine times)"


def main():
    """Time the encoding model, or the script on a whole checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--n_times", type=int, default=3)
    parser.add_argument("--whole_checkpoint", action="store_true", help="only run the script on a whole checkpoint")
    parser.add_argument("--profile", action="store_true", help="only print where the time goes")
    args = parser.parse_args()
    limit_threads(args.threads)
    device = pick_device(args.device)
    print(describe_machine(device))
    if args.whole_checkpoint:
        fit_whole_checkpoint(args.device, args.threads, args.profile)
        return
    if args.profile:
        profile_layer(np.random.default_rng(0), device)
        return

    rng = np.random.default_rng(0)
    regressors, regressor_seconds = compare_regressors(rng, device, args.n_times)
    fmri = [simulate_voxels(rng, run) for run in regressors]
    ridge_seconds = compare_ridge(regressors, fmri, device, args.n_times)
    whole = {
        "ours": [regressor_seconds["ours"] + ridge_seconds["ours"]],
        PUBLISHED: [regressor_seconds[NILEARN] + ridge_seconds[PUBLISHED]],
    }
    print_times("One layer, regressors and ridge", whole, {PUBLISHED: ("at least", 60)})


def compare_regressors(rng, device, n_times):
    """Time the regressors of one layer; return ours, a list over runs of array, and the median seconds by name."""
    words, vectors = simulate_words(rng)
    seconds, values = call_in_turn(
        {
            "ours": lambda: make_layer_regressors(words, vectors, choose_array_device(device)),
            NILEARN: lambda: make_published_regressors(words, vectors),
        },
        n_times,
        only_once=[NILEARN],
    )
    regressors, published = list(map(as_numpy, values["ours"])), values[NILEARN]
    difference = max(
        np.abs(trim_and_zscore(theirs) - ours[:, :UNITS_TIMED]).max()
        for ours, theirs in zip(regressors, published, strict=True)
    )
    seconds[NILEARN] = [duration * N_UNITS / UNITS_TIMED for duration in seconds[NILEARN]]
    print_times("Regressors of one layer", seconds, {NILEARN: ("at least", 100)})
    print_limit(seconds["ours"], 0.05, device)
    print(f"largest difference between z-scored regressors: {difference:.1g}")
    return regressors, take_medians(seconds)


def compare_ridge(regressors, fmri, device, n_times):
    """Time the ridge of one layer, print how results differ, and return the median seconds by name."""
    folds = hold_out_runs([len(run) for run in fmri])
    place = choose_array_device(device)
    features, targets = np.concatenate(regressors), as_float32(np.concatenate(fmri), place)
    published = {
        "scikit-learn, one penalty": prepare_published_fit(regressors, fmri, 1e4, [0, 1]),
        "scikit-learn, chosen penalty": prepare_published_fit(regressors, fmri, 1e4, [0]),
        "np.corrcoef": lambda: correlate_as_published(fmri[1], fmri[1][::-1]),
    }
    seconds, values = call_in_turn(
        {
            "ours": lambda: cross_validate(features, targets, folds, device=place),
            PRODUCTS: prepare_bare_products(place),
            HIMALAYA: prepare_himalaya_fold(regressors, fmri, device),
            **published,
        },
        n_times,
        only_once=published,
    )
    seconds[HIMALAYA] = [len(folds) * duration for duration in seconds[HIMALAYA]]
    one_penalty, chosen_penalty, correlation = (seconds.pop(name)[0] for name in published)
    fold_seconds = len(ALPHAS) * (one_penalty + correlation) + chosen_penalty + correlation
    seconds[PUBLISHED] = [len(folds) * fold_seconds]
    wanted = {PRODUCTS: ("at most", 1.4), HIMALAYA: ("at least", 2 if place is None else 12)}
    print_times("Ridge of one layer", seconds, wanted if place is None else {HIMALAYA: wanted[HIMALAYA]})
    print_limit(seconds["ours"], 0.25, device)

    correlations, alphas = values["ours"]
    theirs, their_alpha = values[HIMALAYA]
    print(f"fold 0: our alpha {alphas[0]:.4g}, himalaya's {their_alpha:.4g}; ", end="")
    print(f"largest difference of a voxel's correlation {np.abs(theirs - correlations[0]).max():.1g}")
    predicted = prepare_published_fit(regressors, fmri, alphas[1], [1])()
    theirs = correlate_as_published(fmri[1], predicted)
    print(f"fold 1: largest difference from scikit-learn and np.corrcoef {np.abs(theirs - correlations[1]).max():.1g}")
    return take_medians(seconds)


def print_limit(seconds, limit, device):
    """Print whether our median seconds on a GPU are within their limit."""
    if device.type == "cuda":
        median = float(np.median(seconds))
        print(f"ours {median:.3f} s, wanted on a GPU at most {limit} s: {'met' if median <= limit else 'missed'}")


def profile_layer(rng, device):
    """Print where the time of regressors and ridge of one layer goes, by Python's profiler, then by PyTorch's."""
    words, vectors = simulate_words(rng)
    place = choose_array_device(device)
    regressors = list(map(as_numpy, make_layer_regressors(words, vectors, place)))
    features, targets = np.concatenate(regressors), np.concatenate([simulate_voxels(rng, run) for run in regressors])
    targets, folds = as_float32(targets, place), hold_out_runs(list(map(len, regressors)))
    for title, function in {
        "Regressors": lambda: make_layer_regressors(words, vectors, place),
        "Ridge": lambda: cross_validate(features, targets, folds, device=place),
    }.items():
        function()
        wait_for_device()
        started = time.perf_counter()
        function()
        wait_for_device()
        print(f"\n{title}: {time.perf_counter() - started:.3f} s")
        with cProfile.Profile() as profile:
            function()
            wait_for_device()
        pstats.Stats(profile).sort_stats("tottime").print_stats(12)
        if device.type == "cuda":
            activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
            with torch.profiler.profile(activities=activities) as profile:
                function()
                wait_for_device()
            print(
                profile.key_averages().table(sort_by="self_device_time_total", row_limit=25, max_name_column_width=70)
            )
            print(f"most memory of the GPU in use: {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


def choose_array_device(device):
    """Return the device for arrays: None, which is NumPy, on the CPU."""
    return None if device.type == "cpu" else device


def take_medians(seconds):
    """Return the median seconds of each implementation, a dict from name to float."""
    return {name: float(np.median(durations)) for name, durations in seconds.items()}


def make_layer_regressors(words, vectors, device):
    """Make regressors as the fit does: a list over runs of float32 array or tensor (n_scans - 20, n_units)."""
    regressors = []
    for (onsets, offsets), n_scans, run_vectors in zip(words, SCANS_OF_RUNS, vectors, strict=True):
        matrix = as_float32(make_hrf_matrix(onsets, offsets, n_scans), device)
        regressors.append(make_regressors(matrix, run_vectors))
    return regressors


def make_published_regressors(words, vectors):
    """Make the first regressors of each run by nilearn, unit by unit: arrays (n_scans, UNITS_TIMED)."""
    regressors = []
    for (onsets, offsets), n_scans, run_vectors in zip(words, SCANS_OF_RUNS, vectors, strict=True):
        frame_times = (np.arange(n_scans) + 0.5) * TR_S
        units = [
            compute_regressor((onsets, offsets - onsets, unit), "glover", frame_times)[0]
            for unit in run_vectors.T[:UNITS_TIMED]
        ]
        regressors.append(np.hstack(units))
    return regressors


def prepare_published_fit(regressors, fmri, alpha, held_out):
    """Return a function that predicts the last of the held-out runs by scikit-learn, in float64, as published."""
    training = [run for run in range(len(regressors)) if run not in held_out]
    model = Ridge(alpha=alpha, fit_intercept=False)
    x, y = (np.vstack([arrays[run] for run in training]).astype(np.float64) for arrays in (regressors, fmri))
    predicted = regressors[held_out[-1]].astype(np.float64)
    return lambda: model.fit(x, y).predict(predicted)


def correlate_as_published(measured, predicted):
    """Return Pearson's r of every voxel, an array of shape (n_voxels,), by a loop over voxels."""
    return np.array([np.corrcoef(measured[:, voxel], predicted[:, voxel])[0, 1] for voxel in range(N_VOXELS)])


def prepare_himalaya_fold(regressors, fmri, device):
    """Return a function that fits fold 0 by himalaya, with our validation run: correlations, penalty."""
    backend = set_backend("torch_cuda" if torch.device(device).type == "cuda" else "torch")
    x, y = (backend.asarray(np.concatenate(arrays[1:])) for arrays in (regressors, fmri))
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
            warnings.simplefilter("ignore")  # the best penalty may be at an end of the range
            model.fit(x, y)
            correlations = correlation_score(y_run, model.predict(x_run))
        return backend.to_numpy(correlations), float(backend.to_numpy(model.best_alphas_).flat[0])

    return fit


def prepare_bare_products(device):
    """Return a function that computes only our matrix products, on matrices of the same sizes.

    These are all products whose size grows with voxels or with penalties. The matrices are made beforehand.
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
            n_held_out, n_run = sum(n_scans[run] for run in split), n_scans[split[0]]
            n_training = n_all - n_held_out
            split_weights = weights[: n_penalties * n_run, :n_training]
            for _ in range(n_penalties):
                scans[:n_run, :n_held_out] @ scans[:n_held_out, :n_training]
            for first in range(0, N_VOXELS, TARGETS_AT_ONCE):
                split_weights @ voxels[:n_training, : N_VOXELS - first]

    return multiply


# ---------------------------------------------------------------- a whole checkpoint


def fit_whole_checkpoint(device, threads, has_profile):
    """Make a study of full size, run fit_average_subject.py in it, and print its time and peak memory."""
    with tempfile.TemporaryDirectory(prefix="full_size_") as folder:
        os.environ["LTBA_DIR"] = folder
        write_full_study(np.random.default_rng(0))
        size = activations_path("full", "en").stat().st_size
        script, profile = Path(__file__).parents[1] / "fit_average_subject.py", Path(folder, "profile")
        profiler = ["-m", "cProfile", "-o", str(profile)] if has_profile else []
        options = ["--model", "full", "--device", device] + (["--threads", str(threads)] if threads else [])
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, *profiler, script, *options])
        peak = 0
        while process.poll() is None:
            time.sleep(0.2)
            with contextlib.suppress(OSError, ValueError):  # the process has just ended
                peak = read_resident_bytes("peak", process.pid)
        seconds = time.perf_counter() - started
        if process.returncode != 0:
            sys.exit(process.returncode)
        wanted = f"under 6 GB: {'met' if peak < 6e9 else 'missed'}"
        if torch.device(pick_device(device)).type == "cuda":
            wanted += f", at most 25 s: {'met' if seconds <= 25 else 'missed'}"
        row = (f"{seconds:.1f}", f"{size / 1e9:.1f}", f"{peak / 1e9:.2f}", wanted)
        print_table(
            f"fit_average_subject.py, {N_LAYERS} layers", ("seconds", "activations GB", "peak GB", "wanted"), [row]
        )
        if has_profile:
            pstats.Stats(str(profile)).sort_stats("cumulative").print_stats(60).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
