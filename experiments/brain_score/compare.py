"""Compare all models that have scores on brain benchmarks: a table, figures, and a sentence for each model.

    python -m experiments.brain_score.compare --benchmark pereira384

reads   brain_benchmark_results/*.npz, and ceilings where they exist
        blimp_results/                              of series of checkpoints, where they exist
        published.csv                               in this folder: published numbers, by benchmark and model
writes  fig/brain_benchmarks.csv                    a row per model, benchmark, splits and regression: the published r,
                                                    r with layers chosen on other folds, unique r2, the best baseline,
                                                    r minus that of the baseline, ceiling
        fig/brain_benchmark_transitions.csv         for series of checkpoints: when scores and BLiMP rise over training,
                                                    and their alignment
        fig/brain_benchmark_{benchmark}_{splits}_{regression}.pdf, .png

in the study folder (LTBA_DIR, or the folder of the project). A series of checkpoints is also drawn over training.
"""

from pathlib import Path

from study.command_line import ArgumentParser, run_script, story_name


def main():
    """Compare the models of one or more benchmarks."""
    parser = ArgumentParser(__doc__)
    names = "benchmarks to compare (default: all that are prepared)"
    parser.add_argument("--benchmark", nargs="+", type=story_name, default=[], help=names)
    args = parser.parse_args()

    import matplotlib.pyplot as plt

    from report.figures.brain_benchmarks import draw_benchmark
    from study.files.tables import read_csv
    from study.outputs.figures import save_figure, save_table
    from study.stages.brain_compare import (
        compare_models,
        describe_models,
        describe_transitions,
        tabulate_transitions,
    )

    published = read_csv(Path(__file__).with_name("published.csv"))
    table, curves = compare_models(args.benchmark, published)
    save_table(table, "brain_benchmarks")
    transitions = tabulate_transitions(curves)
    save_table(transitions, "brain_benchmark_transitions")
    for (benchmark, splits, regression), rows in table.groupby(["benchmark", "splits", "regression"]):
        own = {key[3]: curve for key, curve in curves.items() if key[:3] == (benchmark, splits, regression)}
        name = f"brain_benchmark_{benchmark}_{splits}_{regression}"
        figure = draw_benchmark(rows, own, f"{benchmark}, {splits} left out, {regression}")
        save_figure(figure, name)
        plt.close(figure)
    for sentence in [*describe_models(table), *describe_transitions(transitions)]:
        print(sentence)
    print(f"{len(table)} rows in fig/brain_benchmarks.csv")


if __name__ == "__main__":
    run_script(main)
