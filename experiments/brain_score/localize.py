"""Localise the language-selective units of a model: sentences against lists of non-words.

    python -m experiments.brain_score.localize --model gpt2 --stimuli langloc_fmri_run1_stim_set1.csv

reads   --stimuli    files in the layout of brainscore-language's localizer: stim2 ... stim13 are words, stim14 is S
                     (sentence) or N (non-words)
writes  language_units/{model}_{revision}.npz    t and p (Welch's test, sentences minus non-words) of each layer and
                     unit; mask, the selected units; random_mask, the same number of other units in the same layers

in the study folder (LTBA_DIR, or the folder of the project). The share of units with the highest t over all layers is
selected (--share, default 0.01). Stimuli are read whole, in lower case. brainscore-language cuts them after 12 tokens.
"""

import argparse
from pathlib import Path

from study.command_line import ArgumentParser, add_checkpoint_arguments, run_script, seed_number


def share(text):
    """Return a share above 0, at most 1."""
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, at most 1, got {text}")
    return number


def main():
    """Localise the units of one checkpoint."""
    parser = ArgumentParser(__doc__)
    add_checkpoint_arguments(parser)
    add = parser.add_argument
    add("--stimuli", type=Path, nargs="+", required=True, help="files of stimuli, .csv")
    add("--share", type=share, default=0.01, help="of all units (default: 0.01)")
    add("--pooling", choices=["last", "mean"], default="last", help="last word, or all tokens (default: last)")
    add("--seed", type=seed_number, default=0, help="of the random units (default: 0)")
    args = parser.parse_args()

    from study.stages.brain_localize import localize_units

    localize_units(args)


if __name__ == "__main__":
    run_script(main)
