"""A whole study by Snakemake, on one machine and through a Slurm of one node that is started here."""

import base64
import getpass
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers import ROOT, make_bare_study

from pipeline.tasks.table import BENCHMARKS
from study.checkpoints import find_training_tokens
from study.paths import checkpoint_stem

SNAKEMAKE = ROOT / ".venv-snakemake" / "bin" / "snakemake"
GUIDE = (ROOT / "docs" / "cluster.md").read_text()
FAMILIES = ["olmo2-7b", "pythia-2.8b", "pythia-6.9b"]
SLURM_CONF = Path("/etc/slurm/slurm.conf")  # jobs look for it there alone
WRITTEN_HERE = "# written by tests/whole/test_cluster.py\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SNAKEMAKE.is_file(), reason="Snakemake is not there: make .venv-snakemake/made"),
]


def snakemake(folder, *options, configuration="embedded", **how):
    """Start Snakemake on a study folder; returns the process, whose stdout has all that it prints."""
    configurations = [ROOT / "config" / f"{configuration}.yaml"] if configuration else []
    if (folder / "study.yaml").is_file():
        configurations.append(folder / "study.yaml")
    options = [*(["--configfile", *configurations] if configurations else []), *options]
    environment = os.environ | {
        "LTBA_DIR": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [str(word) for word in (SNAKEMAKE, "--snakefile", ROOT / "Snakefile", *options)],
        **{"env": environment, "cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
        **how,
    )


def printed(process, status=0):
    """What a process prints until it ends."""
    text, _ = process.communicate()
    assert process.returncode == status, text
    return text


def test_a_study_on_one_machine(tmp_path):
    folder = tmp_path / "study"
    make_bare_study(folder, words=100)
    revisions = ["step0-tokens0", "step1-tokens1024"]
    stages = ["fit", "blimp", "texts", "acceptability", "lm_eval"]
    (folder / "study.yaml").write_text(yaml.safe_dump({"revisions": revisions, "stages": stages}))

    planned = printed(snakemake(folder, "--dry-run"))
    assert "small_lm_step1-tokens1024_runs_en.npz" in planned
    assert not (folder / "llms_activations").exists()

    printed(snakemake(folder, "--cores", 2))
    curves = pd.read_csv(folder / "fig" / "small_lm_en_curves.csv")
    assert curves["revision"].tolist() == revisions
    assert curves[["left", "right", "blimp", "acceptability", "small_endings"]].notna().all(axis=None)
    assert len(list(folder.glob("generated_texts/*.txt"))) == 2 * 50
    assert "Nothing to be done" in printed(snakemake(folder, "--cores", 1))

    for name in ("lpp_en_text.zip", "llms_activations/small_lm_step1-tokens1024_en.lz4", "lpp_en_average_subject"):
        os.utime(folder / name)  # as copies have it: what is there stays
    assert "Nothing to be done" in printed(snakemake(folder, "--dry-run"))

    begun = base64.b64encode(b"llms_activations/small_lm_step1-tokens1024_en.lz4").decode()
    (folder / ".snakemake" / "incomplete" / begun).touch()  # as a Snakemake that is killed leaves it
    assert "Nothing to be done" in printed(snakemake(folder, "--dry-run"))

    (folder / "blimp_results" / "small_lm_step1-tokens1024_blimp.csv").unlink()
    planned = printed(snakemake(folder, "--dry-run", "--printshellcmds"))
    assert planned.count("evaluate_llm_blimp.py") == 1
    assert "extract_llm_activations.py" not in planned


@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_of_the_paper_are_ready(tmp_path, family):
    (tmp_path / "blimp" / "data").mkdir(parents=True)
    (tmp_path / "Zorro" / "sentences" / "babyberta").mkdir(parents=True)
    for lang in ("en", "fr"):
        average = tmp_path / f"lpp_{lang}_average_subject" / "average_subject_run-0.gz"
        average.parent.mkdir()
        timings = f"lpp{lang.upper()}_word_information.csv"
        for name in (average, f"lpp_{lang}_text.zip", timings, f"mask_lpp_{lang}.nii.gz", f"isc_10trials_{lang}.gz"):
            (tmp_path / name).touch()
    planned = printed(snakemake(tmp_path, "--dry-run", "--printshellcmds", configuration=family))
    assert planned.count("extract_llm_activations.py") == 2 * 10
    assert planned.count("fit_average_subject.py") == 2 * 10
    for benchmark in BENCHMARKS:
        assert planned.count(f"evaluate_llm_{benchmark}.py") == 10
    assert planned.count("analyze_results.ipynb") == 2
    asked = yaml.safe_load((ROOT / "config" / f"{family}.yaml").read_text())
    assert planned.count("lm_eval --model hf") == 10 * len(asked["lm_eval"])
    for revision in asked["revisions"]:
        assert f"--model {asked['model']} --revision {revision} " in planned
        assert find_training_tokens(checkpoint_stem(asked["model"]), revision) > 0


def test_activations_alone_are_a_stage(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"revisions": ["step0-tokens0"], "stages": ["activations"]}))
    for name in ("lpp_en_text.zip", "lppEN_word_information.csv"):
        (tmp_path / name).touch()
    planned = printed(snakemake(tmp_path, "--dry-run", "--printshellcmds"))
    assert planned.count("extract_llm_activations.py") == 1
    assert "fit_average_subject.py" not in planned


def test_groups_make_one_job_of_the_stages_that_load_a_checkpoint(tmp_path):
    revisions = ["step0-tokens0", "step1-tokens1024"]
    stages = ["activations", "blimp", "arithmetic", "texts", "lm_eval"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"revisions": revisions, "stages": stages}))
    for name in ("blimp/data", "checkpoints/small_lm"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("lpp_en_text.zip", "lppEN_word_information.csv"):
        (tmp_path / name).touch()
    options = re.search(r"--groups .*\n +--resources .*$", GUIDE, flags=re.M)[0].replace("\\\n", " ").split()
    planned = printed(snakemake(tmp_path, "--dry-run", "--printshellcmds", *options))
    _, *parts = re.split(r"Group job (\S+)", planned)  # the name of a group, and its jobs, in any order
    groups = dict(zip(parts[::2], parts[1::2], strict=True))
    assert groups.keys() == {f"small_lm_{revision}" for revision in revisions}
    for revision in revisions:
        jobs = groups[f"small_lm_{revision}"]
        assert jobs.count(f"--revision {revision}") == 4
        assert f"small_lm/{revision},dtype" in jobs  # of lm_eval


def test_what_cannot_be_run_is_told(tmp_path):
    told = printed(snakemake(tmp_path, "-n", configuration=None), 1)
    assert "--configfile: model: expected a name on the hub or a folder, got None. config/olmo2-7b.yaml" in told
    (tmp_path / "study.yaml").write_text("stages: [fit, chess]\n")
    assert "stages: expected a list of some of activations, fit, blimp" in printed(snakemake(tmp_path, "-n"), 1)
    (tmp_path / "study.yaml").unlink()
    (tmp_path / "a study").mkdir()
    assert "expected folders without spaces in their names" in printed(snakemake(tmp_path / "a study", "-n"), 1)
    assert "lpp_en_text.zip" in printed(snakemake(tmp_path, "-n"), 1)  # which is missing


# ---------------------------------------------------------------- Slurm


@pytest.fixture
def slurm(tmp_path):
    """A Slurm of one node, as long as the test runs."""
    for program in ("slurmctld", "slurmd", "sbatch"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not there: apt-get install slurmctld slurmd slurm-client")
    if os.geteuid() != 0:
        pytest.skip("a Slurm can only be started by root")
    if SLURM_CONF.is_file() and not SLURM_CONF.read_text().startswith(WRITTEN_HERE):
        pytest.skip("this machine has a Slurm of its own")
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    place = tmp_path / "slurm"
    (place / "state").mkdir(parents=True)
    (place / "spool").mkdir()
    SLURM_CONF.parent.mkdir(exist_ok=True)
    SLURM_CONF.write_text(
        WRITTEN_HERE + f"ClusterName=test\nSlurmctldHost=localhost\nSlurmctldPort={ports[0]}\nSlurmdPort={ports[1]}\n"
        f"SlurmUser={getpass.getuser()}\nSlurmdUser={getpass.getuser()}\nAuthType=auth/none\nCredType=cred/none\n"
        "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n"
        "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\nReturnToService=2\nMinJobAge=600\n"
        f"SchedulerParameters=sched_interval=1\nStateSaveLocation={place}/state\nSlurmdSpoolDir={place}/spool\n"
        f"SlurmctldPidFile={place}/slurmctld.pid\nSlurmdPidFile={place}/slurmd.pid\n"
        f"NodeName=localhost CPUs={os.cpu_count()} RealMemory=6000\n"
        "PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    )
    daemons = []
    try:
        for command in (["slurmctld", "-D"], ["slurmd", "-D", "-N", "localhost"]):
            with open(place / f"{command[0]}.log", "w") as log:
                daemons.append(subprocess.Popen(command, stdout=log, stderr=log))
        wait_for(lambda: "idle" in subprocess.run(["sinfo"], capture_output=True, text=True).stdout)
        yield
    finally:
        for daemon in daemons[::-1]:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=30)
        SLURM_CONF.unlink()


def wait_for(happens, seconds=120, every=0.01):
    """Wait until something happens; returns what it is then."""
    end = time.monotonic() + seconds
    while not (it := happens()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(every)
    return it


def test_a_job_that_slurm_kills_is_sent_again_and_goes_on(slurm, tmp_path):
    folder = tmp_path / "study"
    make_bare_study(folder, words=3000)
    (folder / "study.yaml").write_text("revisions: [step0-tokens0, step1-tokens1024]\nstages: [fit]\n")
    options = re.findall(r"^\$snakemake --configfile \S+ (--executor slurm .*)$", GUIDE, flags=re.M)[0]
    options = [*options.split(), "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", 3]
    process = snakemake(folder, *options, start_new_session=True)
    try:
        output = folder / "llms_activations" / "small_lm_step1-tokens1024_en.lz4"
        parts = output.with_name(f".{output.name}.parts")
        first = parts / "run-1-surprisal.npz"
        wait_for(first.is_file)
        made = first.stat().st_ino
        jobs = subprocess.run(["squeue", "--noheader", "--format=%i %k"], capture_output=True, text=True, check=True)
        (job,) = [line.split()[0] for line in jobs.stdout.splitlines() if "step1-tokens1024" in line]
        subprocess.run(["scancel", "--signal=KILL", "--full", job], check=True)
        time.sleep(1)
        left = {part.name for part in parts.glob("run-*.npz")}
        assert left and not output.exists()
        # Sent again, it makes the next run of the story, and the first one is that of the job that was killed.
        wait_for(lambda: output.exists() or {part.name for part in parts.glob("run-*.npz")} > left)
        assert first.stat().st_ino == made
        told = printed(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "Trying to restart job" in told
    assert len(pd.read_csv(folder / "fig" / "small_lm_en_curves.csv")) == 2

    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    for name in ("lpp_en_text.zip", "lppEN_word_information.csv"):
        shutil.copy(folder / name, undisturbed)
    command = [sys.executable, ROOT / "extract_llm_activations.py", "--model", folder / "checkpoints" / "small_lm"]
    command += ["--revision", "step1-tokens1024", "--threads", "1"]
    subprocess.run(command, env=os.environ | {"LTBA_DIR": str(undisturbed)}, check=True, capture_output=True)
    again = undisturbed / "llms_activations" / output.name
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(output.read_bytes()).digest()
