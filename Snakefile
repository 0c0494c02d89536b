"""Run a whole study, every stage of every checkpoint, with the scripts and files of README, by Snakemake.

    make .venv/made .venv-snakemake/made
    export LTBA_DIR=/data/lpp
    snakemake="$PWD/.venv-snakemake/bin/snakemake"
    $snakemake --configfile config/olmo2-7b.yaml -n                            # what is missing
    $snakemake --configfile config/olmo2-7b.yaml --cores 16 --resources gpu=1  # on one machine
    $snakemake --configfile config/olmo2-7b.yaml --executor slurm --jobs 20    # on a cluster

reads the study folder (LTBA_DIR, or the folder of this file) and makes what is missing in it, up to the tables and
figures of the notebook. config/default.yaml explains every key of a configuration. The study folder has the output of
each job in logs/. A job that was killed goes on where it stopped when it is sent again.

Snakemake deletes an output before it makes it again, and compares files only by their times, which change when files
are copied. So existing files stay (all inputs are "ancient"), except for the tables of the notebook. Outdated files are
found by their checksums: `python llm_brain_asym.py` shows them, and the script's --overwrite makes them again.
"""

import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

HERE = Path(workflow.basedir)
sys.path.insert(0, str(HERE))
from pipeline.errors import InputError
from pipeline.tasks.table import BENCHMARKS
from study import paths
from study.config import check_config, find_model, list_checkpoints, make_lm_eval_command, make_options
from study.stages import SCRIPTS


configfile: HERE / "config" / "default.yaml"


try:
    LTBA_DIR = paths.study_folder().absolute()
    os.environ["LTBA_DIR"] = str(LTBA_DIR)  # jobs on other machines inherit it
    check_config(config, "--configfile")
except InputError as error:
    raise WorkflowError(str(error))
if re.search(r"\s", f"{HERE}{LTBA_DIR}"):
    raise WorkflowError(f"{HERE}, {LTBA_DIR}: expected folders without spaces in their names, which Snakemake requires")


# Paths below are relative to the study folder, and so are Snakemake's own notes of what is finished.
workdir: LTBA_DIR


shell.prefix(f"export PATH={HERE}/.venv/bin:$PATH; set -euo pipefail; ")

STEMS = list_checkpoints(config)
NAME = paths.checkpoint_stem(find_model(config))
PAIRS = {"blimp": "blimp/data", "zorro": "Zorro/sentences/babyberta"}  # that are read, not made


def relative(path):
    """Return a path relative to the study folder."""
    return str(path.relative_to(LTBA_DIR))


ACTIVATIONS = relative(paths.activations_path("{stem}", "{lang}"))
FITS = relative(paths.run_correlations_path("{stem}", "{lang}"))
BENCHMARK = relative(paths.benchmark_path("{stem}", "{benchmark}"))
LAST_TEXT = config["prompts"] - 1, config["samples"] - 1
TEXTS = relative(paths.generated_text_path("{stem}", *LAST_TEXT, paths.generated_texts_folder()))
ACCEPTABILITY = relative(paths.acceptability_path(find_model(config), paths.generated_texts_folder()))
LM_EVAL = relative(paths.lm_eval_path("{stem}", "{task}"))
RUN = "{params.command} --threads {threads} > {log} 2>&1"


wildcard_constraints:
    stem="|".join(map(re.escape, STEMS)),
    lang="[a-z]{2}",
    benchmark="|".join(BENCHMARKS),
    task="|".join(map(re.escape, config["lm_eval"])) or "none",


def command(stage):
    """Return a function of wildcards that returns the command line of a stage."""

    def make_command(wildcards):
        name = stage if stage != "benchmark" else wildcards.benchmark
        options = make_options(config, name, wildcards.get("stem"), wildcards.get("lang"))
        return f"python {HERE}/{SCRIPTS[name]} {options}"

    return make_command


def request(stage):
    """Return what a job requests, a dict: twice the time and memory when it has failed."""
    amounts = config["resources"][stage]

    def multiply(amount):
        return lambda wildcards, attempt: amount * attempt

    time_and_memory = {"mem_mb": multiply(amounts["megabytes"]), "runtime": multiply(amounts["minutes"])}
    return time_and_memory | {"gpu": amounts["gpus"]}


def list_outputs(stage):
    """Return the files that a stage writes for all checkpoints."""
    patterns = {"activations": ACTIVATIONS, "fit": FITS, "texts": TEXTS, "acceptability": ACCEPTABILITY}
    pattern = (patterns | {"lm_eval": LM_EVAL}).get(stage, BENCHMARK)
    return expand(pattern, stem=STEMS, lang=config["languages"], benchmark=stage, task=config["lm_eval"])


rule all:
    input:
        lambda wildcards: [path for stage in config["stages"] for path in list_outputs(stage)],
        expand("fig/{name}_{lang}_summary.txt", name=NAME, lang=config["languages"]) if "fit" in config["stages"] else [],


rule activations:
    input:
        ancient(relative(paths.text_path("{lang}"))),
        ancient(lambda wildcards: relative(paths.word_timings_path(wildcards.lang))),
    output: ACTIVATIONS
    log: "logs/activations_{stem}_{lang}.txt"
    params: command=command("activations")
    threads: config["threads"]["activations"]
    resources: **request("activations")
    shell: RUN


rule fit:
    input:
        ancient(ACTIVATIONS),
        ancient(relative(paths.average_subject_path("{lang}", 0))),
    output: FITS
    log: "logs/fit_{stem}_{lang}.txt"
    params: command=command("fit")
    threads: config["threads"]["fit"]
    resources: **request("fit")
    shell: RUN


rule benchmark:
    input: ancient(lambda wildcards: PAIRS.get(wildcards.benchmark, []))
    output: BENCHMARK
    log: "logs/{benchmark}_{stem}.txt"
    params: command=command("benchmark")
    threads: config["threads"]["benchmark"]
    resources: **request("benchmark")
    shell: RUN


# The last text of a checkpoint shows that all are written.
rule texts:
    output: TEXTS
    log: "logs/texts_{stem}.txt"
    params: command=command("texts")
    threads: config["threads"]["texts"]
    resources: **request("texts")
    shell: RUN


rule acceptability:
    input: list_outputs("texts")
    output: update(ACCEPTABILITY)  # it may hold more classifiers and texts than are requested here
    log: f"logs/acceptability_{NAME}.txt"
    params: command=command("acceptability")
    threads: config["threads"]["acceptability"]
    resources: **request("acceptability")
    shell: RUN


rule lm_eval:
    output: directory(LM_EVAL)
    log: "logs/lm_eval_{stem}_{task}.txt"
    params: command=lambda wildcards: make_lm_eval_command(config, wildcards.stem, wildcards.task)
    threads: config["threads"]["lm_eval"]
    resources: **request("lm_eval")
    shell: "{params.command} > {log} 2>&1"


rule notebook:
    input:
        fits=expand(FITS, stem=STEMS, allow_missing=True),
        benchmarks=[list_outputs(stage) for stage in config["stages"] if stage != "fit"],
        mask=ancient(relative(paths.mask_path("{lang}"))),
        isc=ancient(relative(paths.isc_path("{lang}"))),
    output:
        f"fig/{NAME}_{{lang}}_curves.csv",
        f"fig/{NAME}_{{lang}}_summary.txt",  # the last file of the notebook
    log: f"logs/notebook_{NAME}_{{lang}}.txt"
    threads: config["threads"]["notebook"]
    resources: **request("notebook")
    shell:
        f"LTBA_MODEL={NAME} LTBA_LANG={{wildcards.lang}} jupyter execute {HERE}/analyze_results.ipynb "
        f"--output={LTBA_DIR}/fig/{NAME}_{{wildcards.lang}}.ipynb > {{log}} 2>&1"
