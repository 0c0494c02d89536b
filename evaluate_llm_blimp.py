"""Score the 67 paradigms of BLiMP: the acceptable sentence of a pair must be more probable.

    python evaluate_llm_blimp.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B

reads   blimp/data/*.jsonl                                    the clone of BLiMP (Warstadt et al. 2020)
writes  blimp_results/{model}_{revision}_blimp.csv            a row per paradigm: its accuracy
        blimp_results/{model}_{revision}_blimp_pairs.csv.gz   a row per pair: log-probabilities (nats)

in the study folder (LTBA_DIR, or the folder of this script). The model is a name on the Hugging
Face hub or a local folder, of which --revision names a sub-folder.
"""

from study.command_line import make_benchmark_parser, run_script


def main():
    """Score the pairs of BLiMP with one checkpoint."""
    args = make_benchmark_parser(__doc__).parse_args()

    from study.inputs.blimp_zorro import read_blimp
    from study.paths import blimp_files
    from study.stages.minimal_pairs import evaluate_minimal_pairs

    evaluate_minimal_pairs("blimp", read_blimp, args, blimp_files)


if __name__ == "__main__":
    run_script(main)
