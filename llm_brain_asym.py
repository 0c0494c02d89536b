"""Print a study at a glance: what exists, what is missing, and what to run next.

    python llm_brain_asym.py --lang en
    python llm_brain_asym.py --todo fit | parallel -j 2
    python llm_brain_asym.py --config config/olmo2-7b.yaml --todo activations fit | parallel -j 2

--todo prints commands for checkpoints with at least one output. With --config, it prints commands for all
checkpoints of a configuration, with its options. In a notebook, ``import llm_brain_asym`` gives the functions of
``study.paths``, which name every file of a study.
"""

import sys

from pipeline.words.languages import LANGUAGES
from study.command_line import ArgumentParser, run_script
from study.paths import *  # noqa: F403
from study.stages import STAGES


def main():
    """Print the study at a glance, or the check or the commands that the options request."""
    parser = ArgumentParser(__doc__)
    checks = "make every check that a later stage would make, and show what is there; status 1 if anything is wrong"
    commands = "print the commands that are still to be run for these stages, a line each"
    parser.add_argument("--lang", choices=LANGUAGES, help="language of the story (default: en, or those of --config)")
    parser.add_argument("--json", action="store_true", help="print it for other programs")
    parser.add_argument("--check", action="store_true", help=checks)
    parser.add_argument("--todo", nargs="+", choices=STAGES, help=commands)
    parser.add_argument("--config", metavar="FILE", help="with --todo: definition of a study, as config/olmo2-7b.yaml")
    args = parser.parse_args()
    if args.config and not args.todo:
        parser.error("--config: expected --todo STAGE with it, for example --todo fit, got none")
    if "lm_eval" in (args.todo or []) and not args.config:
        parser.error("--todo lm_eval: expected --config, which names the tasks, got none")

    from report import check, overview, states, todo
    from study.config import read_config

    lang = args.lang or "en"
    if args.config:
        config = read_config(args.config)
        todo.print_configured(args.todo, config, [args.lang] if args.lang else config["languages"])
    elif args.todo:
        todo.print_to_do(args.todo, lang)
    elif args.check:
        results = check.check_study(lang)
        print(results.in_words())
        sys.exit(1 if results.errors else 0)
    else:
        print(overview.format_json(lang) if args.json else overview.describe_study(lang))
        states.find_reliable_sides(lang)  # a wrong mask or ISC is an error, though the rest is shown


if __name__ == "__main__":
    run_script(main)
