"""Time the scores of all layers of a large model on the largest brain benchmark, and a part of its ceiling.

    python -m speed.brain_score

33 layers of 4,096 units on random responses of the size of Pereira-384: 384 sentences in 24 topics, 12,155 voxels of 9
subjects; 10 folds of whole topics, 5 inner folds, 16 penalties. Wanted: at most 60 s on two cores. The ceiling is timed
for a few pools and extrapolations, and its total computed: wanted at most 10 minutes with 10 subjects.
"""

import argparse
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.brain.ceilings import compute_ceilings, list_pools
from pipeline.encoding.nested_folds import hold_out_groups_nested, split_as_brainscore
from pipeline.encoding.nested_ridge import (
    PUBLISHED_ALPHAS,
    compute_fold_grams,
    cross_validate_nested,
    prepare_targets,
)
from pipeline.encoding.nested_scoring import score_as_brainscore
from speed.side_by_side import describe_machine

N_SENTENCES, N_TOPICS, N_VOXELS = 384, 24, 12_155
N_LAYERS, N_UNITS = 33, 4096
N_SUBJECTS, N_POOLS = 10, 5
WANTED_S, WANTED_CEILING_S = 60, 600
BRAINSCORE_PYTHON = Path(__file__).parents[1] / ".venv-brainscore" / "bin" / "python"
BRAINSCORE_SCRIPT = """
import time, warnings
warnings.simplefilter("ignore")
import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_language.metrics.linear_predictivity.metric import ridge_pearsonr
rng = np.random.default_rng(0)
features, targets = rng.standard_normal((384, 4096)), rng.standard_normal((384, 1000))
targets[:, :500] += features[:, :500] * 5
rows = {"stimulus_id": [f"{n:03d}" for n in range(384)], "story": np.repeat([f"topic{n:02d}" for n in range(24)], 16)}
def assemble(values):
    columns = {"neuroid_id": [f"{n:05d}" for n in range(values.shape[1])], "subject": ["s"] * values.shape[1]}
    coords = {name: ("presentation", column) for name, column in rows.items()}
    coords |= {name: ("neuroid", column) for name, column in columns.items()}
    return NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid"])
source, target = assemble(features), assemble(targets)
metric = ridge_pearsonr(crossvalidation_kwargs={"split_coord": "story", "kfold": "group", "random_state": 1234})
started = time.perf_counter()
score = float(metric(source, target))
print(time.perf_counter() - started, score)
"""


def main():
    """Time the scores and the ceiling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--layers", type=int, default=N_LAYERS)
    python_help = "of .venv-brainscore: compare with brainscore-language on one layer and fewer voxels"
    parser.add_argument("--brainscore_python", type=Path, default=BRAINSCORE_PYTHON, help=python_help)
    args = parser.parse_args()
    print(describe_machine())
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(N_TOPICS), N_SENTENCES // N_TOPICS)
    folds, targets = hold_out_groups_nested(groups), rng.standard_normal((N_SENTENCES, N_VOXELS))
    layers = [rng.standard_normal((N_SENTENCES, N_UNITS), dtype=np.float32) for _ in range(args.layers)]
    with threadpool_limits(1), ThreadPoolExecutor(args.threads) as executor:
        time_scores(executor, layers, targets, folds)
        time_ceiling(executor, rng, folds)
    if args.brainscore_python.is_file():
        compare_with_brainscore(args.brainscore_python)
    else:
        print("brainscore-language is not installed (make .venv-brainscore/made): no comparison with it")


def compare_with_brainscore(python):
    """Print the times of one layer with the published ridge, ours and brainscore-language's, and their difference."""
    done = subprocess.run([str(python), "-c", BRAINSCORE_SCRIPT], capture_output=True, text=True, check=True)
    theirs, raw = map(float, done.stdout.splitlines()[-1].split())
    rng = np.random.default_rng(0)
    features, targets = rng.standard_normal((384, 4096)), rng.standard_normal((384, 1000))
    targets[:, :500] += features[:, :500] * 5
    started, groups = time.perf_counter(), np.repeat([f"topic{number:02d}" for number in range(24)], 16)
    folds = split_as_brainscore(384, groups)
    scores = cross_validate_nested(
        compute_fold_grams(features, folds, has_z_scores=False),
        targets,
        folds,
        PUBLISHED_ALPHAS,
        prepared=prepare_targets(targets, folds, has_z_scores=False),
        score=score_as_brainscore,
    )
    ours = time.perf_counter() - started
    difference = abs(raw - np.median(scores.correlations, axis=1).mean())
    print(
        f"one layer, 1,000 voxels, published ridge: ours {ours:.1f} s, brainscore-language {theirs:.1f} s, "
        f"{theirs / ours:.0f} x; difference of the score {difference:.1g}"
    )


def time_scores(executor, layers, targets, folds):
    """Print the time of all layers."""
    started = time.perf_counter()
    prepared = prepare_targets(targets, folds)

    def fit(features):
        return cross_validate_nested(compute_fold_grams(features, folds), targets, folds, prepared=prepared)

    scores = list(executor.map(fit, layers))
    seconds, cpu = time.perf_counter() - started, time.process_time()
    verdict = "met" if seconds <= WANTED_S else "missed"
    print(
        f"{len(scores)} layers of {N_UNITS} units, {N_VOXELS} voxels, {len(folds)} folds, 16 penalties: "
        f"{seconds:.1f} s ({cpu:.0f} s of CPU since the start), wanted at most {WANTED_S} s: {verdict}"
    )


def time_ceiling(executor, rng, folds):
    """Print the time of the ceiling with 10 subjects, from the time of one subject."""
    subjects, n_voxels = [f"s{number}" for number in range(N_SUBJECTS)], N_VOXELS // N_SUBJECTS
    started = time.perf_counter()
    responses = {name: rng.standard_normal((N_SENTENCES, n_voxels)) for name in subjects}
    grams = {name: compute_fold_grams(values, folds) for name, values in responses.items()}
    shared = time.perf_counter() - started
    started, targets = time.perf_counter(), responses["s0"]
    prepared = prepare_targets(targets, folds)

    def predict(pool):
        pooled = [sum(matrices) for matrices in zip(*(grams[name] for name in pool), strict=True)]
        return cross_validate_nested(pooled, targets, folds, prepared=prepared).correlations

    pools = list_pools(subjects, "s0", N_POOLS)
    by_size = {size: np.stack(list(executor.map(predict, chosen))) for size, chosen in pools.items()}
    compute_ceilings(by_size)
    seconds = shared + N_SUBJECTS * (time.perf_counter() - started)
    verdict = "met" if seconds <= WANTED_CEILING_S else "missed"
    n_fits = sum(map(len, pools.values()))
    print(
        f"ceiling, {N_SUBJECTS} subjects, {n_fits} pools and {n_voxels} voxels each: {seconds / 60:.1f} minutes "
        f"(10 times one subject), wanted at most {WANTED_CEILING_S / 60:.0f}: {verdict}"
    )


if __name__ == "__main__":
    main()
