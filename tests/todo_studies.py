"""Share what tests of todo need."""

import shlex

STEP1 = {"revision": "step1", "dtype": "float32"}


def run_line(call, line):
    """Run a printed command: (status, stdout, stderr)."""
    python, script, *options = shlex.split(line)
    assert python == "python"
    return call(script.removesuffix(".py"), *options)
