"""Time every stage of the embedded study, as ``make demo`` runs them.

    python -m speed.whole_study

runs demo/run.sh in a temporary folder and reads the clock whenever a line shows that a stage begins. It takes as
long as ``make demo``, about eight minutes on two cores.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from speed.side_by_side import describe_machine, print_table


def main():
    """Time the embedded study, and print a table of its stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory(prefix="whole_study_") as folder:
        stages = time_stages(Path(folder, "study"))
    whole = sum(seconds for _, seconds in stages)
    rows = [(stage, f"{seconds:.0f}", f"{seconds / whole:.0%}") for stage, seconds in stages]
    print_table("The embedded study", ("stage", "seconds", "share"), [*rows, ("all", f"{whole:.0f}", "")])


def time_stages(folder):
    """Run the embedded study in a folder that does not exist yet, and return a list of (stage, seconds)."""
    script = Path(__file__).parents[1] / "demo" / "run.sh"
    process = subprocess.Popen(["bash", script, folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # it is a pipe
    began = []
    for line in process.stdout:
        if line.startswith("== "):
            stage = line.removeprefix("== ").strip().replace(str(folder), "the study")
            began.append((stage, time.perf_counter()))
    if process.wait() != 0:
        sys.exit(process.returncode)
    ends = [*(start for _, start in began[1:]), time.perf_counter()]
    return [(stage, end - start) for (stage, start), end in zip(began, ends, strict=True)]


if __name__ == "__main__":
    main()
