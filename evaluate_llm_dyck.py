"""Score strings of brackets: ( [ ] ) must be more probable than ( [ ] ].

    python evaluate_llm_dyck.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B

writes  dyck_results/{model}_{revision}_dyck.csv            a row per paradigm: its accuracy
        dyck_results/{model}_{revision}_dyck_pairs.csv.gz   a row per pair: log-probabilities (nats)

in the study folder (LTBA_DIR, or the folder of this script). The strings are made on the spot, the
same for the same --seed (pipeline/tasks/dyck.py). The model is a name on the Hugging Face
hub or a local folder, of which --revision names a sub-folder.
"""

from study.command_line import make_benchmark_parser, run_script


def main():
    """Score pairs of strings of brackets with one checkpoint."""
    parser = make_benchmark_parser(__doc__)
    parser.add_argument("--seed", type=int, default=12345, help="which strings are drawn (default: 12345)")
    args = parser.parse_args()

    from pipeline.tasks.dyck import make_dyck_pairs
    from study.stages.minimal_pairs import evaluate_minimal_pairs

    evaluate_minimal_pairs("dyck", make_dyck_pairs, args, seed=args.seed)


if __name__ == "__main__":
    run_script(main)
