"""Serve commands as forks of this process, which has imported everything, see ``demo/forked_commands.py``.

python -m demo.command_server ADDRESS
"""

import contextlib
import importlib
import json
import os
import socket
import sys
import traceback
from pathlib import Path

import lm_eval.models.huggingface
import lm_eval.tasks
from lm_eval.__main__ import cli_evaluate
from lm_eval.tasks import TaskManager

from demo import heavy_imports
from study.command_line import run_script

ROOT = Path(__file__).parents[1]
SCRIPTS = ["llm_brain_asym", "report.page", "experiments.baselines.extract"] + [
    path.stem for pattern in ("e*_*.py", "fit_*.py", "generate_*.py") for path in sorted(ROOT.glob(pattern))
]


def serve(address, tasks=None):
    """Run the commands that clients send to an address, until this process is stopped.

    Parameters
    ----------
    address : str, of a socket that is made
    tasks : str, optional
        Folder of the tasks of lm_eval. Default: those of --include_path.
    """
    lm_eval.tasks.TaskManager = lambda include_path=None, **_: TaskManager(
        include_path=tasks or include_path, include_defaults=False
    )
    heavy_imports.import_all()
    for name in SCRIPTS:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                answer(connection)
                os._exit(0)
            connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def answer(connection):
    """Run the command that a client sends in a fork, and send the exit status back."""
    message, descriptors, _, _ = socket.recv_fds(connection, 2**20, 3)
    command = json.loads(message)
    if (child := os.fork()) == 0:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.environ.clear()
        os.environ |= command["environment"]
        os.chdir(command["folder"])
        status = 1
        try:
            status = run(command["arguments"])
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(bytes([status % 256]))


def run(arguments):
    """Run a command in this process, and return its exit status."""
    program, *arguments = arguments
    if program == "lm_eval":
        sys.argv = [program, *arguments]
        call = cli_evaluate
    else:
        script, *options = arguments[1:] if arguments[0] == "-m" else arguments
        name = script.removesuffix(".py")
        if name not in SCRIPTS:
            os.execv(sys.executable, [sys.executable, *arguments])
        sys.argv = [f"{name}.py", *options]
        call = lambda: run_script(importlib.import_module(name).main)  # noqa: E731
    try:
        return call() or 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
