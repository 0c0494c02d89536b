"""Extract the hidden states of a language model at every word of the story.

    python extract_llm_activations.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B --lang en
    python extract_llm_activations.py --model allenai/OLMo-2-1124-7B --story pereira243 --pooling last

reads   lpp_{lang}_text.zip                          the story as it is written
        lpp{LANG}_word_information.csv               the story as it is heard, word by word
        stories/{story}.csv                          or any other stimulus (--story): columns run, unit, text_before
writes  llms_activations/{model}_{revision}_{lang}.lz4
                                                     joblib: list over runs of list over layers of
                                                     float32 array (n_words, n_units)
        llms_activations/{model}_{revision}_{lang}_surprisal.csv.gz
                                                     a row per word: surprisal (nats)
        llms_activations/onsets_offsets_{lang}.lz4   joblib: list over runs of (onsets, offsets), seconds

in the study folder (LTBA_DIR, or the folder of this script). With --story, names have {story} in the
place of {lang}, and a unit (a sentence, say) is what a word is. The model is a name on the Hugging Face
hub or a local folder, of which --revision names a sub-folder. With --untrained SEED, the name ends
with _untrained-SEED, and the output is a baseline: never a point of the curve over training.
"""

from argparse import BooleanOptionalAction

from pipeline.words.languages import LANGUAGES
from study.command_line import (
    ArgumentParser,
    add_checkpoint_arguments,
    context_size,
    run_script,
    seed_number,
    story_name,
    whole_number,
)


def main():
    """Extract the word vectors of one checkpoint."""
    parser = ArgumentParser(__doc__)
    add_checkpoint_arguments(parser)
    parser.add_argument("--lang", choices=LANGUAGES, help="language of Le Petit Prince (default: en)")
    parser.add_argument("--story", type=story_name, help="another stimulus, with units in the place of words")
    pooling_help = "over the tokens of a unit (default: mean)"
    parser.add_argument("--pooling", choices=["mean", "sum", "last"], default="mean", help=pooling_help)
    context_help = "what the model reads before a unit: its run (group), nothing (none), or N tokens (default: group)"
    parser.add_argument("--context", type=context_size, default="group", metavar="group|none|N", help=context_help)
    norm_help = "the last layer before the final normalisation, as brainscore-language reads it"
    parser.add_argument("--before_norm", action="store_true", help=norm_help)
    parser.add_argument("--max_length", type=whole_number, help="tokens the model reads at once (default: its context)")
    surprisal_help = "also write the surprisal of every word (default: yes)"
    parser.add_argument("--surprisal", action=BooleanOptionalAction, default=True, help=surprisal_help)
    untrained = "give the model random weights of this seed, and read only its configuration and tokenizer"
    parser.add_argument("--untrained", type=seed_number, metavar="SEED", help=untrained)
    args = parser.parse_args()
    if args.story and args.lang:
        parser.error("--lang and --story: expected one of them, got both")
    if not args.story and (args.pooling, args.context) != ("mean", "group"):
        parser.error("--pooling and --context: expected --story with them, got none")
    if args.before_norm and not args.story:
        parser.error("--before_norm: expected --story with it, got none")
    args.lang = args.lang or "en"

    from study.stages.extraction import extract_activations

    extract_activations(args)


if __name__ == "__main__":
    run_script(main)
