"""Runs the scripts again and again, each time in a process of its own, without importing everything anew.

    python tests/zygote.py [light] < orders

light leaves out PyTorch and what else takes long to import. A line of JSON is a list of orders that are followed at
the same time. An order has arguments (the script and its options), environment, folder, and what goes wrong just
before a step in that folder. A step is whatever opens, makes, renames or removes a file or a folder there.

    at        number of the step
    signal    number of the signal that the process gets
    remove    path of a file that vanishes
    largest   bytes that a file may have, as if the disk was full beyond (whatever at says)

Each line is answered with a line of JSON: for every order status (as ``subprocess`` gives it) and what was
printed; n_steps and bytes of memory that were taken, unless the process was killed.
"""

import contextlib
import importlib
import json
import os
import resource
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(Path(__file__).parents[1]))

from demo import heavy_imports
from study import cache
from study.command_line import run_script

STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def memory(what):
    """VmRSS or VmHWM of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(what)).split()[1])


def follow(order):
    """Run a script in this process, which ends with it."""
    os.dup2(order["output"], 1)
    os.dup2(order["output"], 2)
    n_steps = 0

    def count(event, arguments):
        nonlocal n_steps
        # A path that is given beside an open folder (as shutil.rmtree does) counts too.
        if event in STEPS and (str(arguments[0]).startswith(order["folder"]) or not str(arguments[0]).startswith("/")):
            n_steps += 1
            if n_steps != order.get("at"):
                return
            if "signal" in order:
                os.kill(os.getpid(), order["signal"])
            if "remove" in order:
                os.unlink(order["remove"])

    os.environ |= order["environment"]
    sys.argv = order["arguments"]
    cache.SAVE_SECONDS = 0  # every batch is a part
    if "largest" in order:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest"], order["largest"]))
    module = importlib.import_module(Path(sys.argv[0]).stem)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = memory("VmRSS")
    sys.addaudithook(count)
    status = 0
    try:
        run_script(module.main)
    except SystemExit as error:
        status = error.code or 0
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    answer = {"n_steps": n_steps, "memory": memory("VmHWM") - before}
    os.write(order["answer"], json.dumps(answer).encode())
    os._exit(status)


def main():
    importlib.import_module("job_command")
    heavy_imports.read_provenance(["study.jobs"])
    if "light" not in sys.argv:
        heavy_imports.import_all()
        sys.modules["torch"].set_num_threads(1)
    for line in sys.stdin:
        children = []
        for order in json.loads(line):
            (prints, output), (tells, answer) = os.pipe(), os.pipe()
            if (child := os.fork()) == 0:
                follow(order | {"output": output, "answer": answer})
            os.close(output)
            os.close(answer)
            children.append((child, prints, tells))
        answers = []
        for child, prints, tells in children:
            with open(prints) as printed, open(tells) as told:
                answer = {"printed": printed.read()} | json.loads(told.read() or "{}")
            answers.append(answer | {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])})
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
