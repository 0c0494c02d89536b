"""Run every command of README and docs as it is written there, on a small study.

In place of the network are folders of the same names: repositories that git takes instead, a curl that
copies, and a cache of the hub with small models. In place of python and lm_eval, forks of one process that
has imported everything (demo/forked_commands.py).
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers import ENGLISH, ROOT, byte_level_tokenizer, make_bare_study, random_model

from demo.forked_commands import fork_commands
from pipeline.checksums import compute_sha256
from pipeline.tasks.table import BENCHMARKS
from study.checkpoints import find_training_tokens
from study.files.safe_joblib import read_arrays
from study.paths import checkpoint_stem

README = (ROOT / "README.md").read_text()
# README first: its commands set up the shell that those of docs continue.
DOCUMENTS = {"README.md": README} | {f"docs/{path.name}": path.read_text() for path in sorted(ROOT.glob("docs/*.md"))}
GUIDES = DOCUMENTS | {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")}
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", "\n".join(DOCUMENTS.values()), flags=re.S | re.M)
LPP = "https://github.com/l-bg/llms_brain_lateralization"
FOREIGN_FILE = "compute_average_subject_fmri.py"  # of that repository
ARCHITECTURES = {"olmo2-7b": "olmo2", "pythia-2.8b": "gpt_neox"}
STUDIES = {name: yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()) for name in ARCHITECTURES}
# The commands run with five checkpoints, the fewest for a transition, the first and the last among them.
SHORT_STUDIES = {
    name: study | {"revisions": [*study["revisions"][:8:2], study["revisions"][-1]]} for name, study in STUDIES.items()
}
FIRST = STUDIES["olmo2-7b"]["revisions"][0]
OUTPUTS = {"activations": "llms_activations", "fit": "llms_brain_correlations", "blimp": "blimp_results"}
# What other programs take: Snakemake, hf, Jupyter, parallel, lm_eval.
FOREIGN_OPTIONS = set(
    "--help --slurm-status-command --set-resources --unlock --include_path --log_samples --config --executor".split()
)
TASK = """\
task: {task}
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {data}}}}}
validation_split: validation
output_type: multiple_choice
doc_to_text: "{{{{beginning}}}}"
doc_to_target: "{{{{right}}}}"
doc_to_choice: "{{{{endings}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


def assigned(name):
    """Return what the documents give a shell variable, in order."""
    return [value.strip('"').split() for value in re.findall(rf'^{name}=("[^"]*"|\S+)', "\n".join(BLOCKS), flags=re.M)]


# ---------------------------------------------------------------- without running anything


def test_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_commands_are_fenced_and_nothing_else_looks_like_one():
    for name, text in DOCUMENTS.items():
        outside = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
        assert not re.search(r"^ {4,}(python|make|git|for|export|parallel|lm_eval)\b", outside, flags=re.M), name
    assert len(BLOCKS) > 10


def test_checkpoints_are_those_of_the_paper():
    steps = [16, 32, 128, 512, 1000, 3000, 7000, 19000, 52000, 143000]
    billions = [1, 3, 5, 13, 30, 80, 214, 558, 1477, 3896]
    olmo2_tokens = [
        *(629_145_600, 2_516_582_400, 4_194_304_000, 12_582_912_000, 29_360_128_000, 79_691_776_000),
        *(213_909_504_000, 557_842_432_000, 1_476_395_008_000, 3_895_023_632_384),
    ]
    expected = {"pythia-2.8b": [step * 2_097_152 for step in steps], "olmo2-7b": olmo2_tokens}
    for name, study in STUDIES.items():
        model = checkpoint_stem(study["model"])
        assert [find_training_tokens(model, revision) for revision in study["revisions"]] == expected[name]
    for revision, n in zip(STUDIES["olmo2-7b"]["revisions"], billions, strict=True):  # a step is 4 million tokens
        assert math.ceil(int(re.search(r"step(\d+)", revision)[1]) * 2**22 / 1e9) == n
    olmo2 = STUDIES["olmo2-7b"]
    for (model,) in assigned("model"):
        assert model in [study["model"] for study in STUDIES.values()]
    (loop,) = re.findall(r"^for revision in (stage.*); do$", README, flags=re.M)
    assert set(loop.split()) <= set(olmo2["revisions"])
    assert dict(task.split("=") for task in assigned("tasks")[0]) == olmo2["lm_eval"]


def test_every_option_exists():
    shared = (ROOT / "study" / "command_line.py").read_text()
    sources = {path.name: path.read_text() for path in ROOT.glob("*.py")}
    sources["report.page"] = (ROOT / "report" / "page.py").read_text()
    sources["experiments.baselines.extract"] = (ROOT / "experiments" / "baselines" / "extract.py").read_text()
    commands = re.findall(r"python (?:-m )?([\w.]+)((?:[^|;\n]|\\\n)*)", "\n".join(BLOCKS))
    checked = [(name, option) for name, words in commands for option in re.findall(r"--\w+", words) if name in sources]
    assert len(checked) > 10
    for name, option in checked:
        assert f'"{option}"' in sources[name] + shared, f"{name} {option}"
    everything = shared + "".join(sources.values())
    for name, text in GUIDES.items():
        for option in re.findall(r"`(--[\w-]+)", text):
            option = option.replace("--no-", "--")  # of a BooleanOptionalAction
            assert option in FOREIGN_OPTIONS or f'"{option}"' in everything, f"{name}: {option}"


def paths_in(text):
    """Return the paths of this project that a document names in prose or links to."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    quoted = re.findall(r"`([\w.-]+(?:/[\w.-]*)*)`", prose)
    is_tracked = re.compile(r"(pipeline|study|report|demo|speed|config|profiles|docs|tests)/|[\w.-]+\.py$|Snakefile$")
    return [path for path in quoted if is_tracked.match(path) and path != FOREIGN_FILE]


@pytest.mark.parametrize("name", GUIDES)
def test_every_path_exists(name):
    for path in paths_in(GUIDES[name]):
        # In its row of the table, a file stands next to the folder that it is in.
        assert (ROOT / path).exists() or any(ROOT.glob(f"*/*/{path}")), path


@pytest.mark.parametrize("name", GUIDES)
def test_every_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", GUIDES[name]):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.M)
            slugs = [re.sub(r"[^\w -]", "", words).lower().replace(" ", "-") for words in headings]
            assert heading in slugs, target


def test_tree_of_readme_exists():
    (tree,) = re.findall(r"^```\n(extract_.*?)^```$", README, flags=re.S | re.M)
    folder = ROOT
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = ROOT / name if name.endswith("/") else ROOT
        pattern = name if folder == ROOT or not line.startswith(" ") else f"{folder.name}/{name}"
        assert any(ROOT.glob(pattern.rstrip("/"))), line


# ---------------------------------------------------------------- what there is in place of the network


def make_hub(cache, classifier):
    """A cache of the Hugging Face hub with a small model for every revision of two families."""
    for name, study in SHORT_STUDIES.items():
        model, revisions, architecture = study["model"], study["revisions"], ARCHITECTURES[name]
        tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False, architecture=architecture)
        for number, revision in enumerate(revisions):
            snapshot = hub_snapshot(cache, model, revision, number)
            network = random_model(architecture, len(tokenizer), context=384)
            for parameter in network.parameters():
                parameter.data *= (number + 1) / len(revisions)  # so that no two are the same
            network.save_pretrained(snapshot)
            tokenizer.save_pretrained(snapshot)
    shutil.copytree(classifier, hub_snapshot(cache, "yiiino/deberta-v3-large-cola", "main", 0), dirs_exist_ok=True)


def hub_snapshot(cache, model, revision, number):
    """The folder of a revision in a cache of the hub, as huggingface_hub lays it out."""
    folder, commit = cache / "hub" / f"models--{model.replace('/', '--')}", f"{number:040x}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / revision).write_text(commit)
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot


def make_hub_api(net, cache):
    """What the hub's API lists of every revision: files, with a checksum where they are large."""
    for model, revisions in ((study["model"], study["revisions"]) for study in SHORT_STUDIES.values()):
        for revision in revisions:
            folder = cache / "hub" / f"models--{model.replace('/', '--')}"
            snapshot = folder / "snapshots" / (folder / "refs" / revision).read_text()
            listed = [
                {"type": "file", "oid": "0" * 40, "size": path.stat().st_size, "path": path.name}
                | ({"lfs": {"oid": compute_sha256(path), "pointerSize": 135}} if path.suffix == ".safetensors" else {})
                for path in sorted(snapshot.iterdir())
            ]
            answer = net / "huggingface.co" / "api" / "models" / model / "tree" / revision
            answer.parent.mkdir(parents=True, exist_ok=True)
            answer.write_text(json.dumps(listed))


def make_repositories(net, embedded):
    """The repositories of README, with the embedded study in them; in French it is the same with other names."""
    lpp = net / LPP.removeprefix("https://")
    lpp.mkdir(parents=True)
    for lang in ("en", "fr"):
        shutil.copy(embedded / "mask_lpp_en.nii.gz", lpp / f"mask_lpp_{lang}.nii.gz")
        shutil.copy(embedded / "isc_10trials_en.gz", lpp / f"isc_10trials_{lang}.gz")
        shutil.copytree(embedded / "lpp_en_average_subject", lpp / f"lpp_{lang}_average_subject")
        name = f"lpp{lang.upper()}_word_information.csv"
        timings = net / "s3.amazonaws.com" / "openneuro.org" / "ds003643" / "annotation" / lang.upper() / name
        timings.parent.mkdir(parents=True)
        shutil.copy(embedded / "lppEN_word_information.csv", timings)
        with (
            zipfile.ZipFile(embedded / "lpp_en_text.zip") as english,
            zipfile.ZipFile(lpp / f"lpp_{lang}_text.zip", "w") as archive,
        ):
            for member in english.namelist():
                archive.writestr(member.replace("_en", f"_{lang}"), english.read(member))
    shutil.copytree(embedded / "blimp", net / "github.com" / "alexwarstadt" / "blimp")
    shutil.copytree(embedded / "Zorro", net / "github.com" / "phueb" / "Zorro")
    for path in (net / "github.com").glob("*/*"):
        for command in ("init -q", "add -A", "commit -q -m published"):
            who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
            subprocess.run(["git", *who, *command.split()], cwd=path, check=True, capture_output=True)


def make_tasks(folder):
    """The tasks of the documents for lm_eval, with a few items each."""
    folder.mkdir()
    items = [{"beginning": f"{k} and", "endings": [f"{k}.", "a word.", "nothing."], "right": k % 3} for k in range(8)]
    data = folder / "items.jsonl"
    data.write_text(pd.DataFrame(items).to_json(orient="records", lines=True))
    for task_batch in assigned("tasks")[0]:
        task = task_batch.partition("=")[0]
        (folder / f"{task}.yaml").write_text(TASK.format(task=task, data=data))


def make_clone(clone, home):
    """This program in a folder of its own, whose .venv has commands that are quick."""
    clone.mkdir()
    for path in ROOT.iterdir():
        if path.suffix in (".py", ".ipynb", ".txt") or path.name in ("Makefile", "Snakefile"):
            shutil.copy2(path, clone)
    shutil.copytree(ROOT / "config", clone / "config")
    for name, study in SHORT_STUDIES.items():
        (clone / "config" / f"{name}.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    for name in ("profiles", "pipeline", "study", "report", "demo", "experiments", ".venv-snakemake"):
        if (ROOT / name).exists():
            (clone / name).symlink_to(ROOT / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clone / ".venv"], check=True)
    (clone / ".venv" / "made").touch()
    commands = clone / ".venv" / "bin"
    for path in Path(sys.executable).parent.iterdir():
        if not (commands / path.name).exists():
            (commands / path.name).symlink_to(path)
    curl = commands / "curl"  # whose last word is what to get: a file with -O, else what to print
    get = f'for word; do :; done\nfile="{home}/net/${{word#https://}}"\n'
    curl.write_text(f'#!/bin/bash\n{get}case " $* " in *" -O "*) cp "$file" . ;; *) cat "$file" ;; esac\n')
    curl.chmod(0o755)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A user's home: a clone of this program, and in place of the network folders."""
    if shutil.which("parallel") is None:
        pytest.skip("GNU parallel is not there: apt-get install parallel")
    home = tmp_path_factory.mktemp("home")
    embedded = home / "embedded"
    make_bare_study(embedded, words=100)
    make_repositories(home / "net", embedded)
    make_hub(home / "huggingface", embedded / "checkpoints" / "small_judge")
    make_hub_api(home / "net", home / "huggingface")
    make_tasks(home / "tasks")
    make_clone(home / "clone", home)
    (home / ".gitconfig").write_text(f'[url "file://{home}/net/github.com/"]\n    insteadOf = https://github.com/\n')
    return home


@pytest.fixture(scope="module")
def environment(home):
    """The environment of the user's shell, with the server of commands running."""
    variables = {name: value for name, value in os.environ.items() if name not in ("LTBA_DIR", "VIRTUAL_ENV")}
    variables |= {
        **{"HOME": str(home), "HF_HOME": str(home / "huggingface"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        **{"TOKENIZERS_PARALLELISM": "false", "SHELL": "/bin/bash"},
    }
    server = [ROOT / "tests" / "forked_scripts.py", home / "tasks"]
    with fork_commands(home / "clone" / ".venv" / "bin", variables, server):
        yield variables


def outputs_to_remove(block):
    """Return the outputs of the first checkpoint without which a block has something to do, as shell patterns."""
    stages = re.findall(r"--todo ([\w ]+)", block)
    names = [OUTPUTS[stage] for words in stages for stage in words.split() if stage in OUTPUTS]
    if "--resources gpu=1" in block and "--executor slurm" not in block:
        names.append("zorro_results")
    return [f'"$LTBA_DIR"/{name}/*{FIRST}*' for name in names]


@pytest.mark.slow
def test_every_command_runs_as_written(home, environment):
    demo, *blocks = BLOCKS
    assert demo == "make demo\nmake test\n"  # tests/whole/test_whole_study.py makes it; this is one of the tests
    has_snakemake = (ROOT / ".venv-snakemake" / "bin" / "snakemake").is_file()
    has_slurm = shutil.which("sbatch") is not None  # with nothing left to do; test_cluster.py gives it something
    script = ["set -euo pipefail", f"cd {home}/clone", "make() { command make --dry-run $@; }", demo, "unset -f make"]
    for block in sorted(blocks, key=is_drawing):  # the notebook comes last: what docs add is in its tables
        if ("snakemake" in block and not has_snakemake) or ("--executor slurm" in block and not has_slurm):
            continue
        if outputs := outputs_to_remove(block):
            script.append(f"rm -f {' '.join(outputs)}")
        if "::: $revisions" in block:  # another way to do what a loop has done for all of them
            first_two = " ".join(SHORT_STUDIES["olmo2-7b"]["revisions"][:2])
            block = f'all=$revisions; revisions="{first_two}"\n{block}revisions=$all'
        script += [f"echo '== {block.splitlines()[0][:60]}' >&2", block]
    run = subprocess.run(
        ["bash", "-c", "\n".join(script)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    (home / "printed.txt").write_text(run.stdout)
    assert run.returncode == 0, run.stdout[-5000:]
    check_study(home, run.stdout, has_snakemake)
    if not (has_snakemake and has_slurm):
        pytest.skip("all but the commands for Snakemake and Slurm ran, which are not there")


def is_drawing(block):
    return "jupyter execute" in block


def check_study(home, printed, has_snakemake):
    folder, name, revisions = home / "lpp", "allenai_OLMo-2-1124-7B", SHORT_STUDIES["olmo2-7b"]["revisions"]
    assert "bash demo/run.sh embedded_study" in printed
    for lang in ("en", "fr"):
        curves = pd.read_csv(folder / "fig" / f"{name}_{lang}_curves.csv")
        assert curves["revision"].tolist() == revisions
        measured = [*BENCHMARKS, "hellaswag", "ai2_arc"]
        measured += [task.partition("=")[0] for task in assigned("tasks")[0] if task.startswith("french")]
        assert curves[["left", "right", *measured]].notna().all(axis=None)
        assert {"acceptability"} <= set(curves)
    assert (folder / "fig" / "report.html").is_file()
    for revision in revisions:
        read_arrays(folder / "llms_brain_correlations" / f"{name}_{revision}_layer-0_corr_en.gz")
    assert "nothing is wrong" in printed
    assert (folder / "zorro_results" / f"{name}_{revisions[0]}_zorro.csv").is_file() or not has_snakemake
