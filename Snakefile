"""A whole study, every stage of every checkpoint, with the scripts and files of README, by Snakemake.

    make .venv/made .venv-snakemake/made
    export LTBA_DIR=/data/lpp
    snakemake="$PWD/.venv-snakemake/bin/snakemake"
    $snakemake --configfile config/olmo2-7b.yaml -n                            # what is missing
    $snakemake --configfile config/olmo2-7b.yaml --cores 16 --resources gpu=1  # on one machine
    $snakemake --configfile config/olmo2-7b.yaml --executor slurm --jobs 20    # on a cluster

reads the study folder (LTBA_DIR, or the folder of this file) and makes in it what is missing, up to the tables and
figures of the notebook; config/default.yaml says what a configuration may hold. What each job prints is in logs/
in the study folder. A job that was killed goes on where it stopped.

Snakemake deletes what it makes anew, and knows files by their times alone, which change when they are copied. So
what is there stays (all inputs are "ancient"), but for the tables of the notebook. Whether it is outdated is known by
its checksums: `python llm_brain_asym.py` says so, and the script's --overwrite makes it anew.
"""

import os
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

HERE = Path(workflow.basedir)
LTBA_DIR = Path(os.environ.get("LTBA_DIR") or HERE).absolute()
if not LTBA_DIR.is_dir():
    raise WorkflowError(f"LTBA_DIR={LTBA_DIR}: there is no such folder; make it, or name another")
if re.search(r"\s", f"{HERE}{LTBA_DIR}"):
    raise WorkflowError(f"{HERE}, {LTBA_DIR}: Snakemake's commands take no folders with spaces in their names")


configfile: HERE / "config" / "default.yaml"


# Paths below are those in the study folder, and so are Snakemake's own notes of what is finished.
workdir: LTBA_DIR


os.environ["LTBA_DIR"] = str(LTBA_DIR)  # jobs on other machines inherit it
shell.prefix(f"export PATH={HERE}/.venv/bin:$PATH; set -euo pipefail; ")

if not config["model"] or not config["revisions"]:
    raise WorkflowError("which study? --configfile config/olmo2-7b.yaml, or another one with a model and revisions")

MODEL, REVISIONS = config["model"], config["revisions"]
BENCHMARKS = ["blimp", "zorro", "arithmetic", "dyck"]
PAIRS = {"blimp": "blimp/data", "zorro": "Zorro/sentences/babyberta"}  # those that are read
STAGES = ["fit", *BENCHMARKS, "texts", "acceptability", "lm_eval"]
if unknown := set(config["stages"]) - set(STAGES):
    raise WorkflowError(f"stages: {', '.join(sorted(unknown))} is none; there are {', '.join(STAGES)}")
IS_LOCAL = Path(LTBA_DIR, MODEL).is_dir()
NAME = Path(LTBA_DIR, MODEL).resolve().name if IS_LOCAL else MODEL.replace("/", "_")
REVISION_OF = {f"{NAME}_{revision}".replace("/", "_"): revision for revision in REVISIONS}
CHECKPOINT = f"--model {LTBA_DIR / MODEL if IS_LOCAL else MODEL} --revision {{params.revision}} --threads {{threads}}"


wildcard_constraints:
    stem="|".join(map(re.escape, REVISION_OF)),
    lang="[a-z]{2}",
    benchmark="|".join(BENCHMARKS),
    task="|".join(map(re.escape, config["lm_eval"])) or "none",


def revision(wildcards):
    """The revision of a checkpoint."""
    return REVISION_OF[wildcards.stem]


def options(stage):
    """What the configuration adds to a stage's command."""
    return config["options"].get(stage) or ""


def asked(stage, what):
    """What a job of a stage asks for; of time and memory, twice as much when it has failed."""

    def amount(wildcards, attempt):
        return config["resources"][stage][what] * (1 if what == "gpus" else attempt)

    return amount


def of_stage(stage):
    """The files that a stage leaves, of all checkpoints."""
    if stage == "fit":
        return expand("llms_brain_correlations/{stem}_runs_{lang}.npz", stem=REVISION_OF, lang=config["languages"])
    if stage == "texts":
        return expand(rules.texts.output, stem=REVISION_OF)
    if stage == "acceptability":
        return rules.acceptability.output
    if stage == "lm_eval":
        return expand(rules.lm_eval.output, stem=REVISION_OF, task=config["lm_eval"])
    return expand(rules.benchmark.output, stem=REVISION_OF, benchmark=stage)


rule all:
    input:
        lambda wildcards: [str(path) for stage in config["stages"] for path in of_stage(stage)],
        expand("fig/{name}_{lang}_summary.txt", name=NAME, lang=config["languages"]) if "fit" in config["stages"] else [],


rule activations:
    input:
        ancient("lpp_{lang}_text.zip"),
        ancient(lambda wildcards: f"lpp{wildcards.lang.upper()}_word_information.csv"),
    output:
        "llms_activations/{stem}_{lang}.lz4",
    log:
        "logs/activations_{stem}_{lang}.txt",
    params:
        revision=revision,
    threads: config["threads"]["activations"]
    resources:
        mem_mb=asked("activations", "megabytes"),
        runtime=asked("activations", "minutes"),
        gpu=asked("activations", "gpus"),
    shell:
        f"python {HERE}/extract_llm_activations.py {CHECKPOINT} --lang {{wildcards.lang}} "
        f"{options('activations')} > {{log}} 2>&1"


rule fit:
    input:
        ancient("llms_activations/{stem}_{lang}.lz4"),
        ancient("lpp_{lang}_average_subject/average_subject_run-0.gz"),
    output:
        "llms_brain_correlations/{stem}_runs_{lang}.npz",
    log:
        "logs/fit_{stem}_{lang}.txt",
    threads: config["threads"]["fit"]
    resources:
        mem_mb=asked("fit", "megabytes"),
        runtime=asked("fit", "minutes"),
        gpu=asked("fit", "gpus"),
    shell:
        f"python {HERE}/fit_average_subject.py --model {{wildcards.stem}} --lang {{wildcards.lang}} "
        f"--threads {{threads}} {options('fit')} > {{log}} 2>&1"


rule benchmark:
    input:
        ancient(lambda wildcards: PAIRS.get(wildcards.benchmark, [])),
    output:
        "{benchmark}_results/{stem}_{benchmark}.csv",
    log:
        "logs/{benchmark}_{stem}.txt",
    params:
        revision=revision,
        options=lambda wildcards: options(wildcards.benchmark),
    threads: config["threads"]["benchmark"]
    resources:
        mem_mb=asked("benchmark", "megabytes"),
        runtime=asked("benchmark", "minutes"),
        gpu=asked("benchmark", "gpus"),
    shell:
        f"python {HERE}/evaluate_llm_{{wildcards.benchmark}}.py {CHECKPOINT} {{params.options}} > {{log}} 2>&1"


# Of a checkpoint's texts, which are written in order, the last one.
rule texts:
    output:
        f"generated_texts/{{stem}}_gen_{config['prompts'] - 1}_{config['samples'] - 1}.txt",
    log:
        "logs/texts_{stem}.txt",
    params:
        revision=revision,
    threads: config["threads"]["texts"]
    resources:
        mem_mb=asked("texts", "megabytes"),
        runtime=asked("texts", "minutes"),
        gpu=asked("texts", "gpus"),
    shell:
        f"python {HERE}/generate_texts.py {CHECKPOINT} --n_samples {config['samples']} {options('texts')} > {{log}} 2>&1"


rule acceptability:
    input:
        expand(rules.texts.output, stem=REVISION_OF),
    output:
        update(f"generated_texts/{NAME}_gen_cola.csv"),  # which may know more judges and texts than are asked for here
    log:
        f"logs/acceptability_{NAME}.txt",
    threads: config["threads"]["acceptability"]
    resources:
        mem_mb=asked("acceptability", "megabytes"),
        runtime=asked("acceptability", "minutes"),
        gpu=asked("acceptability", "gpus"),
    shell:
        f"python {HERE}/evaluate_linguistic_acceptability.py --model {NAME} {options('acceptability')} > {{log}} 2>&1"


rule lm_eval:
    output:
        directory("lm_eval_results/{stem}_{task}"),
    log:
        "logs/lm_eval_{stem}_{task}.txt",
    params:
        checkpoint=lambda wildcards: f"pretrained={LTBA_DIR / MODEL}/{revision(wildcards)}"
        if IS_LOCAL
        else f"pretrained={MODEL},revision={revision(wildcards)}",
        batch_size=lambda wildcards: config["lm_eval"][wildcards.task],
    threads: config["threads"]["lm_eval"]
    resources:
        mem_mb=asked("lm_eval", "megabytes"),
        runtime=asked("lm_eval", "minutes"),
        gpu=asked("lm_eval", "gpus"),
    shell:
        "lm_eval --model hf --model_args {params.checkpoint},dtype=" + config["lm_eval_dtype"] + " --tasks {wildcards.task} "
        "--batch_size {params.batch_size} --output_path {output} " + options("lm_eval") + " > {log} 2>&1"


rule notebook:
    input:
        fits=expand("llms_brain_correlations/{stem}_runs_{{lang}}.npz", stem=REVISION_OF),
        others=[of_stage(stage) for stage in config["stages"] if stage != "fit"],
        mask=ancient("mask_lpp_{lang}.nii.gz"),
        isc=ancient("isc_10trials_{lang}.gz"),
    output:
        f"fig/{NAME}_{{lang}}_curves.csv",
        f"fig/{NAME}_{{lang}}_summary.txt",  # which comes last
    log:
        f"logs/notebook_{NAME}_{{lang}}.txt",
    threads: config["threads"]["notebook"]
    resources:
        mem_mb=asked("notebook", "megabytes"),
        runtime=asked("notebook", "minutes"),
        gpu=asked("notebook", "gpus"),
    shell:
        f"LTBA_MODEL={NAME} LTBA_LANG={{wildcards.lang}} jupyter execute {HERE}/analyze_results.ipynb "
        f"--output={LTBA_DIR}/fig/{NAME}_{{wildcards.lang}}.ipynb > {{log}} 2>&1"
