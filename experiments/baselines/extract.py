"""Write a baseline in the format of the word vectors of a language model.

    python -m experiments.baselines.extract --lang en --baseline random_embedding --seed 1
    python -m experiments.baselines.extract --lang en --baseline static:allenai/OLMo-2-1124-7B --revision REVISION
    python -m experiments.baselines.extract --story pereira243 --baseline oasm:1

reads   lpp_{lang}_text.zip, lpp{LANG}_word_information.csv
        stories/{story}.csv                                 or any other stimulus (--story): run, unit, text_before
        llms_activations/{model}_{revision}_{lang}.lz4      only for static:MODEL, whose layer 0 it takes
writes  llms_activations/baseline_{name}_{lang}.lz4         joblib: list over runs of list over layers (here: one) of
                                                            float32 array (n_words, n_units)
        llms_activations/onsets_offsets_{lang}.lz4          unless it exists

in the study folder (LTBA_DIR, or the folder of the project). With --story, names have {story} in the place of {lang},
and a unit (a sentence, say) is what a word is. The name of a random baseline ends with its seed, as
baseline_random_embedding_seed-1. MODEL is the name in the activation file, or the model as for the extraction.
fit_average_subject.py --model baseline_{name} fits a baseline like a checkpoint. README.md in this folder explains
each baseline.
"""

import argparse
import re
from pathlib import Path

from pipeline.words.languages import LANGUAGES
from study.baselines import NAMES, OASM, ONLY_UNITS, ONLY_WORDS, STATIC, WITH_SEED, WITHOUT_SEED
from study.command_line import (
    ArgumentParser,
    checkpoint_name,
    revision_name,
    run_script,
    seed_number,
    story_name,
    whole_number,
)


def baseline_name(text):
    """Return the name of a baseline, if there is a baseline of this name; the sigma of OASM in its shortest form."""
    if text in (*WITHOUT_SEED, *WITH_SEED) or (text.startswith(STATIC) and text != STATIC):
        return checkpoint_name(text)
    if not text.startswith(OASM):
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(NAMES)}, got {text!r}")
    sigma = text.removeprefix(OASM)
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", sigma) or 0 < float(sigma) < 0.001 or float(sigma) > 100:
        raise argparse.ArgumentTypeError(f"expected {OASM} and a number of units from 0 to 100, got {text!r}")
    return f"{OASM}{float(sigma):g}"


def main():
    """Write one baseline."""
    parser = ArgumentParser(__doc__)
    add = parser.add_argument
    add("--baseline", type=baseline_name, required=True, metavar="NAME", help=", ".join(NAMES))
    add("--revision", type=revision_name, help=f"of the model in {STATIC}MODEL, as for extraction")
    add("--lang", choices=LANGUAGES, help="language of Le Petit Prince (default: en)")
    add("--story", type=story_name, help="another stimulus, with units in the place of words")
    add("--seed", type=seed_number, default=1, help="of a random baseline (default: 1)")
    add("--n_dimensions", type=whole_number, default=300, help="of the random vectors (default: 300)")
    add("--output_folder", type=Path, help="where the vectors go (default: llms_activations in the study folder)")
    add("--overwrite", action="store_true", help="make the output again if it exists")
    args = parser.parse_args()
    if args.revision and not args.baseline.startswith(STATIC):
        parser.error(f"--revision: expected {STATIC}MODEL with it, got --baseline {args.baseline}")
    if args.story and args.lang:
        parser.error("--lang and --story: expected one of them, got both")
    kind = args.baseline.partition(":")[0]
    if kind in (ONLY_WORDS if args.story else ONLY_UNITS):
        expected = "--lang" if args.story else "--story"
        parser.error(
            f"--baseline {args.baseline}: expected {expected} with it, got {'--story' if args.story else 'none'}"
        )
    args.lang = args.lang or "en"

    from study.stages.baselines import extract_baseline

    extract_baseline(args)


if __name__ == "__main__":
    run_script(main)
