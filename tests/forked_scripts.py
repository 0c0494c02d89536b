"""Serves commands as ``demo/command_server.py``, for tests.

    python tests/forked_scripts.py TASKS ADDRESS

lm_eval knows only the tasks in the folder TASKS, and benchmarks that are made on the spot are small too: N_PAIRS pairs
of a paradigm.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from demo.command_server import serve
from pipeline.tasks import arithmetic, dyck

N_PAIRS = 4

if __name__ == "__main__":
    tasks, address = sys.argv[1:]
    for make_pairs in (arithmetic.make_arithmetic_pairs, dyck.make_dyck_pairs):
        make_pairs.__defaults__ = (N_PAIRS,)
    serve(address, tasks)
