"""Which of two sentences a language model finds more probable: the 23 paradigms of Zorro.

    python evaluate_llm_zorro.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B

reads   Zorro/sentences/babyberta/*.txt                       the clone of Zorro (Huebner et al. 2021)
writes  zorro_results/{model}_{revision}_zorro.csv            a row per paradigm: its accuracy
        zorro_results/{model}_{revision}_zorro_pairs.csv.gz   a row per pair: log-probabilities (nats)

in the study folder (LTBA_DIR, or the folder of this script). The model is a name on the Hugging
Face hub or a local folder, of which --revision names a sub-folder.
"""

import llm_brain_asym as study


def main():
    """Score the pairs of Zorro with one checkpoint."""
    args = study.minimal_pair_parser(__doc__, batch_size=64).parse_args()
    study.evaluate_minimal_pairs("zorro", study.read_zorro, args, study.zorro_files)


if __name__ == "__main__":
    study.run_script(main)
