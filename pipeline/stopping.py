"""What becomes of a script that is told to stop: one line, and the status that shells expect.

Importing the rest takes seconds, in which users press Ctrl-C too. So this is imported before all else,
and acts at once, if a script of this folder is what runs. Nothing is cleaned up: what is left behind
when a script is stopped must not depend on how it is stopped.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path


def stop(number, _):
    """End the process with status 130 (SIGINT) or 143 (SIGTERM)."""
    script, name = Path(sys.argv[0]).name, signal.Signals(number).name
    with contextlib.suppress(Exception):  # it may be in the middle of a print
        sys.stdout.flush()
    line = f"{script}: stopped by {name}; the same command goes on from what is finished\n"
    # A progress bar leaves the cursor in its line.
    os.write(2, ("\n" * os.isatty(2) + line).encode())
    os._exit(128 + number)


def end_in_one_line():
    """Let SIGINT and SIGTERM end this process with ``stop``, unless they are ignored (``nohup``, ``&``)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def ignore():
    """Let both do nothing: the work is done, and Python is about to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


_main = getattr(sys.modules["__main__"], "__file__", None)
IS_SCRIPT = _main is not None and Path(_main).resolve().parent == Path(__file__).resolve().parents[1]
if IS_SCRIPT:
    end_in_one_line()
