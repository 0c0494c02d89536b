"""Print a study at a glance: what exists, what is missing, and what to run next.

    python llm_brain_asym.py --lang en
    python llm_brain_asym.py --todo fit | parallel -j 2

In a notebook, ``import llm_brain_asym`` gives the functions of ``study.paths``, which name every file of a study.
"""

import sys

from pipeline.words.languages import LANGUAGES
from study.command_line import ArgumentParser, run_script
from study.paths import *  # noqa: F403
from study.stages import STAGES


def main():
    """Print the study at a glance, or what the options ask for."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the story (default: en)")
    parser.add_argument("--json", action="store_true", help="print it for other programs")
    parser.add_argument(
        "--check",
        action="store_true",
        help="make every check that a later stage would make, and show what is there; status 1 if anything is wrong",
    )
    parser.add_argument(
        "--todo",
        nargs="+",
        choices=[stage for stage in STAGES if stage != "lm_eval"],
        help="print the commands that are still to be run for these stages, a line each",
    )
    args = parser.parse_args()

    from report import check, overview, todo

    if args.todo:
        todo.print_to_do(args.todo, args.lang)
    elif args.check:
        results = check.check_study(args.lang)
        print(results.in_words())
        sys.exit(1 if results.errors else 0)
    else:
        print(overview.format_json(args.lang) if args.json else overview.describe_study(args.lang))
        overview.find_reliable_sides(args.lang)  # what is wrong with mask or ISC is an error, though the rest is shown


if __name__ == "__main__":
    run_script(main)
