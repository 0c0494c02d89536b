"""Time the ridge with a nuisance at its real size, and compare it with himalaya's solver of several kernels.

    python -m speed.banded_ridge

One layer of 4,096 units and a nuisance of 300 columns, in 9 runs and 25,870 voxels, random numbers. The time with the
nuisance is compared with the time without. Wanted: at most 2.5 x. It contains the fit of the nuisance alone, which
fit_average_subject.py makes once for all layers.

himalaya's solve_multiple_kernel_ridge_random_search tries a list of kernel weights. With the weights 1 / alpha and
1 / alpha_n and the penalty 1, the list is our grid. It chooses weights for each voxel, as alpha_per="target" does.
It needs an eigendecomposition for each pair, so that it fits one fold of four runs and 2,000 voxels.
"""

import argparse
import itertools
import time

import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search
from himalaya.scoring import correlation_score

from pipeline.encoding.arrays import as_float32
from pipeline.encoding.cross_validation import ALPHAS, NUISANCE_ALPHAS, cross_validate
from pipeline.encoding.folds import hold_out_runs
from pipeline.encoding.signals import TRIM_SCANS
from pipeline.models.devices import pick_device
from speed.encoding import N_UNITS, N_VOXELS, SCANS_OF_RUNS, choose_array_device
from speed.side_by_side import call_in_turn, describe_machine, print_times
from study.stages.threads import limit_threads

N_NUISANCE = 300
MODEL_ALPHAS = np.logspace(2, 7, 8)  # the default of fit_average_subject.py with --nuisance
HIMALAYA_RUNS, HIMALAYA_VOXELS = 4, 2000


def main():
    """Time both fits, and compare correlations and penalties with himalaya's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--n_times", type=int, default=3)
    parser.add_argument("--only_himalaya", action="store_true", help="only compare results with himalaya's")
    args = parser.parse_args()
    limit_threads(args.threads)
    device = pick_device(args.device)
    print(describe_machine(device))
    place = choose_array_device(device)
    compare_with_himalaya(np.random.default_rng(0), place)
    if not args.only_himalaya:
        compare_times(np.random.default_rng(0), place, args.n_times)


def compare_times(rng, place, n_times):
    """Print the times with the nuisance, of the nuisance alone, and without it."""
    n_scans = [n - 2 * TRIM_SCANS for n in SCANS_OF_RUNS]
    features, nuisance, targets = simulate(rng, sum(n_scans), N_VOXELS)
    folds, targets = hold_out_runs(n_scans), as_float32(targets, place)
    full = np.logspace(1, 6, 16)

    def fit_with_nuisance():
        cross_validate(features, targets, folds, MODEL_ALPHAS, nuisance=nuisance, device=place)
        cross_validate(nuisance, targets, folds, full, device=place)

    seconds, _ = call_in_turn(
        {
            "with the nuisance": fit_with_nuisance,
            "without": lambda: cross_validate(features, targets, folds, ALPHAS, device=place),
        },
        n_times,
    )
    print_times("Ridge of one layer and a nuisance", seconds, {"without": ("at most", 2.5)})


def compare_with_himalaya(rng, place):
    """Print how penalties and correlations of fold 0 differ from himalaya's, for one choice for each voxel."""
    n_scans = [n - 2 * TRIM_SCANS for n in SCANS_OF_RUNS[:HIMALAYA_RUNS]]
    features, nuisance, targets = simulate(rng, sum(n_scans), HIMALAYA_VOXELS)
    folds = hold_out_runs(n_scans)
    shared, shared_pairs = cross_validate(features, targets, folds, MODEL_ALPHAS, nuisance=nuisance, device=place)
    started = time.perf_counter()
    correlations, chosen = cross_validate(
        features, targets, folds, MODEL_ALPHAS, alpha_per="target", nuisance=nuisance, device=place
    )
    ours = time.perf_counter() - started
    started = time.perf_counter()
    scores, predicted = fit_fold_by_himalaya(features, nuisance, targets, fold=folds[0])
    theirs = time.perf_counter() - started
    pairs = np.array(list(itertools.product(MODEL_ALPHAS, NUISANCE_ALPHAS)))
    best = scores.argmax(axis=0)  # (n_voxels,)
    n_other = (pairs[best] != chosen[0]).any(axis=1).sum()
    print(f"{len(pairs)} pairs of penalties: himalaya, one fold {theirs:.0f} s; ours, {len(folds)} folds {ours:.0f} s")
    print(f"one pair per voxel: {n_other} of {HIMALAYA_VOXELS} voxels have another pair; ", end="")
    is_same = (pairs[best] == chosen[0]).all(axis=1)
    difference = np.abs(predicted[best, np.arange(HIMALAYA_VOXELS)] - correlations[0])[is_same].max()
    print(f"largest difference of a correlation of the others {difference:.1g}")
    best = scores.mean(axis=1).argmax()
    print(f"one pair for all voxels: ours {shared_pairs[0]}, himalaya's {pairs[best]}; ", end="")
    print(f"largest difference of a correlation {np.abs(predicted[best] - shared[0]).max():.1g}")


def fit_fold_by_himalaya(features, nuisance, targets, fold):
    """Return validation and test correlations of every pair of penalties, two arrays (n_pairs, n_voxels)."""
    backend = set_backend("numpy")
    x, n, y = (array.astype(np.float64) for array in (features, nuisance, targets))
    kernels = np.stack([x @ x.T, n @ n.T])
    place = np.searchsorted(fold.training, fold.inner_training), np.searchsorted(fold.training, fold.validation)
    scores, predicted = [], []
    for pair in itertools.product(MODEL_ALPHAS, NUISANCE_ALPHAS):
        gammas = 1 / np.array(pair)
        _, weights, score = solve_multiple_kernel_ridge_random_search(
            kernels[:, fold.training][:, :, fold.training],
            y[fold.training],
            n_iter=gammas[None],
            alphas=1.0,
            score_func=correlation_score,
            cv=[place],
            return_weights="dual",
            progress_bar=False,
        )
        kernel = np.einsum("b,bij->ij", gammas, kernels[:, fold.test][:, :, fold.training])
        scores.append(backend.to_numpy(score)[0])
        predicted.append(correlation_score(y[fold.test], kernel @ backend.to_numpy(weights)))
    return np.array(scores), np.array(predicted)


def simulate(rng, n_scans, n_voxels):
    """Return features, a nuisance and voxels, float32 arrays; both bands drive voxels, with different weights."""
    features = rng.standard_normal((n_scans, N_UNITS), dtype=np.float32)
    nuisance = rng.standard_normal((n_scans, N_NUISANCE), dtype=np.float32)
    driven = np.stack([band[:, :50].sum(axis=1) / 7 for band in (features, nuisance)], axis=1)  # (n_scans, 2)
    weights = rng.random((2, n_voxels), dtype=np.float32)
    return features, nuisance, driven @ weights + rng.standard_normal((n_scans, n_voxels), dtype=np.float32)


if __name__ == "__main__":
    main()
