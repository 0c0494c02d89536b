"""Score all layers of a model on a brain benchmark.

    python -m experiments.brain_score.score --model gpt2 --benchmark pereira384 --nuisance baseline_oasm_1

reads   llms_activations/{model}_{benchmark}.lz4, and of each nuisance
        brain_benchmarks/{benchmark}.npz
        brain_benchmark_results/ceiling_{benchmark}_{splits}_{regression}.npz    if it exists
writes  brain_benchmark_results/{model}_{benchmark}_{splits}_{regression}.npz    r, r2 by layer, fold and neuroid
        brain_benchmark_results/{model}_{benchmark}_{splits}_{regression}.csv    a row per layer and subject: layer,
                                subject, raw, low, high, ceiling, score, unique_r2, cka; subject "all" pools neuroids

in the study folder (LTBA_DIR, or the folder of the project). raw is the mean over folds of the median over neuroids of
Pearson's r. Nothing is clipped. Folds leave whole topics, stories or sentences out (--splits groups). --splits shuffled
leaves out random units, as most published numbers do: neighbours of a test unit are then in training.

--units language_units/{model}_{revision}.npz uses these units alone. {model} in the names then ends in _units, or in
_random-units with --random_units.

--as_published brainscore has the folds, penalties and aggregates of brainscore-language 2.3.0; neural_nlp those of
Schrimpf et al. (2021). The regression in the file names then ends in -brainscore or -neural_nlp.
"""

from pathlib import Path

from study.command_line import ArgumentParser, checkpoint_name, run_script, seed_number, story_name, whole_number

PUBLISHED = ("brainscore", "neural_nlp")


def add_method_arguments(parser):
    """Add the options of folds and regression, which score and ceiling share."""
    add = parser.add_argument
    add("--benchmark", type=story_name, required=True, help="name of a prepared benchmark")
    add("--splits", choices=["groups", "shuffled"], default="groups", help="what a fold leaves out (default: groups)")
    add("--regression", choices=["ridge", "linear"], default="ridge", help="linear: least squares (default: ridge)")
    add("--as_published", choices=PUBLISHED, help="method of brainscore-language or of neural-nlp")
    add("--alphas", nargs=3, type=float, metavar=("LOW", "HIGH", "N"), help="N penalties from 10^LOW to 10^HIGH")
    add("--seed", type=seed_number, default=0, help="of resamples and permutations (default: 0)")
    add("--threads", type=whole_number, help="cores of the CPU to use (default: all)")
    add("--overwrite", action="store_true", help="make the output again if it exists")


def check_method_arguments(parser, args):
    """Check the penalties."""
    if args.alphas is None:
        return
    low, high, n_alphas = args.alphas
    if args.as_published or args.regression == "linear":
        parser.error("--alphas: expected neither --as_published nor --regression linear with it")
    if not (-5 <= low <= high <= 15 and n_alphas >= 1 and n_alphas % 1 == 0):
        parser.error("--alphas: give two exponents from -5 to 15, the lower first, and a number")


def main():
    """Score one model on one benchmark."""
    parser = ArgumentParser(__doc__)
    add = parser.add_argument
    add("--model", type=checkpoint_name, required=True, help="name in the activation file")
    add_method_arguments(parser)
    add("--alpha_per", choices=["all", "target"], default="all", help="one penalty for all neuroids, or for each")
    add("--nuisance", nargs="+", type=checkpoint_name, metavar="STEM", help="baselines: find unique r2 over them")
    add("--units", type=Path, metavar="FILE", help="of localize: score these units of each layer alone")
    add("--random_units", action="store_true", help="random units of the same layers, which FILE contains, as control")
    add("--similarity", nargs="+", choices=["cka", "rdm"], default=[], help="also biased CKA, RDM similarity")
    add("--permutations", type=whole_number, help="of the test of CKA (default: 1000)")
    add("--ceiling", type=Path, help="ceilings to divide by (default: those of the same benchmark and options)")
    args = parser.parse_args()
    check_method_arguments(parser, args)
    if args.random_units and not args.units:
        parser.error("--random_units: expected --units with it, got none")
    if args.nuisance and args.regression == "linear":
        parser.error("--nuisance: expected --regression ridge, whose penalties differ between bands")

    from study.stages.brain_score import score_benchmark

    score_benchmark(args)


if __name__ == "__main__":
    run_script(main)
