"""The tests are the same on every run: pytest-xdist compares what each worker collects before it runs anything."""

import os
import subprocess
import sys
import time

from helpers import ROOT


def collect(hash_seed):
    """Start a process with this hash seed that prints the names of all tests."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": hash_seed}, stdout=subprocess.PIPE, text=True
    )


def test_every_process_collects_the_same_tests():
    processes = []
    for hash_seed in ("1", "2"):
        processes.append(collect(hash_seed))
        time.sleep(1.1)  # gzip writes the second into its header
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed[0]
    first, second = ([line for line in text.splitlines() if "::" in line] for text in printed)
    assert first == second
    assert len(first) > 800
