"""Score sums, differences and products: 12 + 7 = 19 must be more probable than 12 + 7 = 18.

    python evaluate_llm_arithmetic.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B

writes  arithmetic_results/{model}_{revision}_arithmetic.csv   a row per paradigm: its accuracy
        arithmetic_results/{model}_{revision}_arithmetic_pairs.csv.gz
                                                               a row per pair: log-probabilities (nats)

in the study folder (LTBA_DIR, or the folder of this script). The pairs are made on the spot, the
same for the same --seed (pipeline/tasks/arithmetic.py). The model is a name on the Hugging
Face hub or a local folder, of which --revision names a sub-folder.
"""

from study.command_line import make_benchmark_parser, run_script


def main():
    """Score pairs of arithmetic problems with one checkpoint."""
    parser = make_benchmark_parser(__doc__)
    parser.add_argument("--seed", type=int, default=12345, help="which problems are drawn (default: 12345)")
    args = parser.parse_args()

    from pipeline.tasks.arithmetic import make_arithmetic_pairs
    from study.stages.minimal_pairs import evaluate_minimal_pairs

    evaluate_minimal_pairs("arithmetic", make_arithmetic_pairs, args, seed=args.seed)


if __name__ == "__main__":
    run_script(main)
