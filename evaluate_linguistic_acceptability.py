"""Judge generated texts, sentence by sentence, with a classifier of linguistic acceptability.

    python evaluate_linguistic_acceptability.py --classifier yiiino/deberta-v3-large-cola

reads   generated_texts/{model}_{revision}_gen_{prompt}_{sample}.txt   and the .json next to each
writes  generated_texts/{model}_gen_cola.csv   a row per text and classifier: revision, tokens,
                                               prompt, sample, classifier, n_sentences,
                                               mean_probability, share_acceptable

in the study folder (LTBA_DIR, or the folder of this script). Prompts are not judged, nor is a last
sentence that was cut off. A text without a sentence has n_sentences 0 and no probability. Several
classifiers can be named, since one model may be biased in judging another; a classifier is a name
on the Hugging Face hub or a local folder. Texts that have been judged already are not judged again.
"""

from pathlib import Path

from pipeline.words.languages import LANGUAGES
from study.command_line import ArgumentParser, add_device_arguments, run_script, whole_number

CLASSIFIER = "yiiino/deberta-v3-large-cola"


def main():
    """Judge the texts of every model that is asked for, a table each."""
    parser = ArgumentParser(__doc__)
    add, names = parser.add_argument, f"names on the Hugging Face hub, or local folders (default: {CLASSIFIER})"
    add("--folder", type=Path, help="with the texts (default: generated_texts in the study folder)")
    add("--model", help="only texts of this model; needed for texts without a .json")
    add("--classifier", nargs="+", default=[CLASSIFIER], metavar="NAME", help=names)
    add("--acceptable_label", help="name or number of the label that means acceptable")
    add("--prompts", type=Path, help="prompts of texts without a .json (default: our own)")
    add("--lang", choices=LANGUAGES, default="en", help="language of the texts (default: en)")
    add("--batch_size", type=whole_number, default=32, help="sentences at once (default: 32)")
    add_device_arguments(parser)
    add("--overwrite", action="store_true", help="judge all texts again")
    args = parser.parse_args()

    from study.stages.acceptability import judge_texts

    judge_texts(args)


if __name__ == "__main__":
    run_script(main)
