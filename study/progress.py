"""Show how far a script has come: a bar on a terminal, a line now and then in a log."""

import sys

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60


class _Lines:
    """Standard error, where what tqdm draws over its last bar becomes a line of its own."""

    def __init__(self):
        self.last_line = ""

    def write(self, text):
        line = text.strip()
        if line and line != self.last_line:  # tqdm draws a full bar once more when it is closed
            sys.stderr.write(f"{line}\n")
            self.last_line = line

    def flush(self):
        sys.stderr.flush()


def bar(total, what, unit):
    """A tqdm bar with the time that is left, to be used in ``with``.

    Parameters
    ----------
    total : int
    what : str
        Of what it tells, first in its line.
    unit : str
        What ``update`` counts, one of them.
    """
    if sys.stderr.isatty():
        return tqdm(total=total, desc=what, unit=unit)
    return tqdm(
        total=total,
        bar_format=f"{what}: {{percentage:.0f}} % of {{total_fmt}} {unit}s, {{remaining}} left",
        file=_Lines(),
        mininterval=SECONDS_BETWEEN_LINES,
        maxinterval=SECONDS_BETWEEN_LINES,
        miniters=1,
        delay=SECONDS_BETWEEN_LINES,
    )


def log(line):
    """Tell the user, at once, even where the output is not a terminal."""
    print(line, flush=True)
