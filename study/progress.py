"""Show the progress of a script: a bar on a terminal, a line every minute in a log file."""

import sys

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60


class _Lines:
    """Write each bar that tqdm draws as a line of its own to standard error."""

    last_line = ""

    def write(self, text):
        """Write a bar, unless it is the same as the last one."""
        line = text.strip()
        if line and line != self.last_line:  # tqdm draws a full bar once more when it is closed
            sys.stderr.write(f"{line}\n")
            self.last_line = line

    def flush(self):
        """Flush standard error."""
        sys.stderr.flush()


def bar(total, label, unit):
    """Make a tqdm bar with the remaining time, for ``with``: total is an int, unit the singular of what it counts."""
    if sys.stderr.isatty():
        return tqdm(total=total, desc=label, unit=unit)
    return tqdm(
        total=total,
        bar_format=f"{label}: {{percentage:.0f}} % of {{total_fmt}} {unit}s, {{remaining}} left",
        file=_Lines(),
        mininterval=SECONDS_BETWEEN_LINES,
        maxinterval=SECONDS_BETWEEN_LINES,
        miniters=1,
        delay=SECONDS_BETWEEN_LINES,
    )


def log(line):
    """Print a line at once, even where standard output is not a terminal."""
    print(line, flush=True)
