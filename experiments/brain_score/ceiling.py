"""Compute how well the neuroids of each subject of a brain benchmark are predicted from the other subjects.

    python -m experiments.brain_score.ceiling --benchmark pereira384

reads   brain_benchmarks/{benchmark}.npz
writes  brain_benchmark_results/ceiling_{benchmark}_{splits}_{regression}.npz    by neuroid: at_n (predicted from all
                                other subjects), extrapolated, tau, low, high, at_bound
        brain_benchmark_results/ceiling_{benchmark}_{splits}_{regression}.csv    a row per subject, and all: medians

in the study folder (LTBA_DIR, or the folder of the project). Folds and regression are those of the scores that the
ceilings are to divide. The ceiling is relative to prediction from noisy subjects: a model can exceed it.
--as_published uses all pools of subjects, and SciPy's fit of the published extrapolation, which is slow.
"""

from experiments.brain_score.score import add_method_arguments, check_method_arguments
from study.command_line import ArgumentParser, run_script, whole_number


def main():
    """Compute the ceilings of one benchmark."""
    parser = ArgumentParser(__doc__)
    add_method_arguments(parser)
    parser.add_argument("--n_pools", type=whole_number, default=5, help="pools of each size and subject (default: 5)")
    args = parser.parse_args()
    check_method_arguments(parser, args)

    from study.stages.brain_ceiling import fit_ceiling

    fit_ceiling(args)


if __name__ == "__main__":
    run_script(main)
