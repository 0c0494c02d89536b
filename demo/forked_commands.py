"""Run a command whose ``python SCRIPT`` and ``lm_eval`` start at once, as forks of one process.

    python -m demo.forked_commands bash demo/run.sh embedded_study

The embedded study runs a hundred small commands. Without forks, half of their time would be spent on importing
PyTorch and Transformers, and on lm_eval's list of its own tasks. Every command computes and writes what it does
without forks. lm_eval has the tasks of --include_path only.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def main():
    """Run the command of the command line, and return its exit status."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return
    with tempfile.TemporaryDirectory() as folder, fork_commands(Path(folder), dict(os.environ)) as environment:
        environment["PATH"] = f"{folder}:{Path(sys.executable).parent}:{environment['PATH']}"
        status = subprocess.run(sys.argv[1:], env=environment).returncode
    sys.exit(status)


@contextlib.contextmanager
def fork_commands(folder, environment, server=("-m", "demo.command_server")):
    """Write the commands ``python`` and ``lm_eval`` into a folder, and serve them while the context lasts.

    Parameters
    ----------
    folder : Path
        Put it first on the PATH of those who run the commands.
    environment : dict of str to str
        Of those who run the commands. Gains the address of the server.
    server : tuple of str
        Arguments of Python that start the server. The address is added.

    Yields
    ------
    environment
    """
    folder.mkdir(exist_ok=True)
    for name in ("python", "lm_eval"):
        command = folder / name
        command.unlink(missing_ok=True)
        client = f'exec {sys.executable} -ISE {ROOT}/demo/forked_client.py {name} "$@"'
        command.write_text(f"#!/bin/sh\n{client}\n")
        command.chmod(0o755)
    address = folder / "server"
    environment |= ONE_THREAD | {"FORKED_COMMANDS": str(address)}
    process = subprocess.Popen([sys.executable, *server, address], env=environment, cwd=ROOT)
    try:
        while not address.exists():
            if process.poll() is not None:
                raise RuntimeError("the server of commands did not start")
            time.sleep(0.1)
        yield environment
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
