"""Score the 23 paradigms of Zorro: the acceptable sentence of a pair must be more probable.

    python evaluate_llm_zorro.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B

reads   Zorro/sentences/babyberta/*.txt                       the clone of Zorro (Huebner et al. 2021)
writes  zorro_results/{model}_{revision}_zorro.csv            a row per paradigm: its accuracy
        zorro_results/{model}_{revision}_zorro_pairs.csv.gz   a row per pair: log-probabilities (nats)

in the study folder (LTBA_DIR, or the folder of this script). The model is a name on the Hugging
Face hub or a local folder, of which --revision names a sub-folder.
"""

from study.command_line import make_benchmark_parser, run_script


def main():
    """Score the pairs of Zorro with one checkpoint."""
    args = make_benchmark_parser(__doc__).parse_args()

    from study.inputs.blimp_zorro import read_zorro
    from study.paths import zorro_files
    from study.stages.minimal_pairs import evaluate_minimal_pairs

    evaluate_minimal_pairs("zorro", read_zorro, args, zorro_files)


if __name__ == "__main__":
    run_script(main)
