"""Runs python and lm_eval for shells, a script in a fork of this process, where everything is imported already.

    python tests/forked_scripts.py SOCKET [TASKS]

serves commands that tests/forked_client.py sends: arguments, environment, folder, and the three standard
files. What it runs is what the commands would; it only saves the seconds that imports take, hundreds of times.
lm_eval knows only the tasks of its --include_path, or those in the folder TASKS. With TASKS, benchmarks that are made
on the spot are small too: N_PAIRS pairs of a paradigm.
"""

import importlib
import json
import os
import socket
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import heavy_imports
import lm_eval.models.huggingface
import lm_eval.tasks
from lm_eval.__main__ import cli_evaluate
from lm_eval.tasks import TaskManager

from pipeline.tasks import arithmetic, dyck
from study.command_line import run_script

ROOT = Path(__file__).parents[1]
N_PAIRS = 4
SCRIPTS = ["llm_brain_asym", "report.page"] + [
    path.stem for pattern in ("e*_*.py", "fit_*.py", "generate_*.py") for path in sorted(ROOT.glob(pattern))
]


def run(arguments):
    """Do what a command would; returns its exit status."""
    program, *arguments = arguments
    if program == "lm_eval":
        sys.argv = [program, *arguments]
        main = cli_evaluate
    else:
        script, *options = arguments[1:] if arguments[0] == "-m" else arguments
        name = script.removesuffix(".py")
        if name not in SCRIPTS:
            os.execv(sys.executable, [sys.executable, *arguments])
        sys.argv = [f"{name}.py", *options]
        main = lambda: run_script(importlib.import_module(name).main)  # noqa: E731
    try:
        return main() or 0
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve(connection):
    """Run the command that a client sends, and tell it the exit status."""
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


def main():
    address, *tasks = sys.argv[1:]
    if tasks:
        for make_pairs in (arithmetic.make_arithmetic_pairs, dyck.make_dyck_pairs):
            make_pairs.__defaults__ = (N_PAIRS,)
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
                serve(connection)
                os._exit(0)
            connection.close()
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    main()
