"""Runs the scripts again and again, each time in a process of its own, without importing everything anew.

    python tests/zygote.py < orders

An order is a line of JSON: arguments (the script and its options), environment, output (a file that
receives what is printed), folder, and at (a number) and signal (its number): the process gets the signal
just before its at-th step in the folder. A step is whatever opens, makes, renames or removes a file or a
folder there. Each order is answered with a line of JSON: status, as ``subprocess`` gives it, and n_steps.
"""

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from transformers import (  # noqa: F401  (lazily imported otherwise)
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    DebertaV2ForSequenceClassification,
    GPTNeoXForCausalLM,
    PreTrainedTokenizerFast,
)

import llm_brain_asym as study
from pipeline import work

SCRIPTS = [
    "extract_llm_activations",
    "fit_average_subject",
    "evaluate_llm_blimp",
    "evaluate_llm_zorro",
    "evaluate_llm_arithmetic",
    "evaluate_llm_dyck",
    "generate_texts",
    "evaluate_linguistic_acceptability",
]
STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def follow(order):
    """Run a script in this process, which ends with it."""
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    n_steps = 0

    def count(event, arguments):
        nonlocal n_steps
        # A path that is given beside an open folder (as shutil.rmtree does) counts too.
        if event in STEPS and (str(arguments[0]).startswith(order["folder"]) or not str(arguments[0]).startswith("/")):
            n_steps += 1
            if n_steps == order["at"]:
                os.kill(os.getpid(), order["signal"])

    os.environ |= order["environment"]
    sys.argv = order["arguments"]
    work.KEEP_SECONDS = 0  # every batch is a part
    torch.set_num_threads(1)
    module = importlib.import_module(Path(sys.argv[0]).stem)
    sys.addaudithook(count)
    status = 0
    try:
        study.run_script(module.main)
    except SystemExit as error:
        status = error.code
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
    with open(order["output"] + ".steps", "w") as file:
        file.write(str(n_steps))
    os._exit(status or 0)


def main():
    for script in SCRIPTS:
        importlib.import_module(script)
    for line in sys.stdin:
        order = json.loads(line)
        if (child := os.fork()) == 0:
            follow(order)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        steps = Path(order["output"] + ".steps")
        n_steps = int(steps.read_text()) if steps.exists() else None
        steps.unlink(missing_ok=True)
        print(json.dumps({"status": status, "n_steps": n_steps}), flush=True)


if __name__ == "__main__":
    main()
