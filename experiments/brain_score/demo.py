"""Score the checkpoints of a small model on a made benchmark with a known truth, and print what was recovered.

    python -m experiments.brain_score.demo --output_folder brain_score_demo

writes  a study folder: checkpoints, two benchmarks (blank, in the published netCDF-4 layout, with planted features that
        depend on the order of words; null, in the layout for files of one's own, with drift within passages and noise
        only), everything that the commands make of them, and fig/brain_benchmarks.csv with figures

The last lines compare what was put in with what was found; the exit status is 1 if a line does not hold. Words and
responses are simulated: this is not evidence about brains. It takes some minutes on two cores.
"""

import os
import sys
from pathlib import Path

from study.command_line import ArgumentParser, run_script, whole_number


def main():
    """Make and score the benchmarks, and compare with the truth."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--output_folder", type=Path, default=Path("brain_score_demo"))
    parser.add_argument("--steps", type=whole_number, default=256, help="training steps, a power of 2 (default: 256)")
    parser.add_argument("--seed", type=whole_number, default=1)
    args = parser.parse_args()

    from experiments.brain_score import demo_study

    if args.output_folder.exists():
        parser.error(f"--output_folder {args.output_folder}: expected a new folder, got an existing one")
    args.output_folder.mkdir(parents=True)
    os.environ["LTBA_DIR"] = str(args.output_folder.absolute())
    os.environ["HF_HUB_OFFLINE"] = "1"
    demo_study.make_study(args.output_folder, args.steps, args.seed)
    verdicts = demo_study.compare_with_truth(args.output_folder, args.seed)
    sys.exit(0 if all(verdicts) else 1)


if __name__ == "__main__":
    run_script(main)
