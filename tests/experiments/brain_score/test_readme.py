"""Run the commands of the README of brain benchmarks, on a made file and a tiny model in the place of the real ones."""

import re
import shlex

import pytest
from helpers import ROOT, STEM
from localizer_stimuli import write_stimuli

from study.files.npz import read_npz
from study.paths import activations_path, brain_benchmark_scores_path, figure_path, language_units_path
from study.stages.story_extraction import extract_story, extract_story_baseline

README = ROOT / "experiments" / "brain_score" / "README.md"
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"^```bash\n(.*?)^```$", README.read_text(), flags=re.S | re.M)
    for line in block.splitlines()
]
MADE = ROOT / "tests" / "experiments" / "brain_score" / "assy_made.nc"
pytest.importorskip("h5py", reason="h5py is not here: pip install -r experiments/brain_score/requirements.txt")


def test_every_command_runs(study_folder, call, tiny_checkpoint, tmp_path):
    stimuli = write_stimuli(tmp_path / "langloc.csv")
    for python, dash_m, module, *options in COMMANDS:
        assert (python, dash_m) == ("python", "-m")
        files = {"assy_Pereira2018_language.nc": MADE, "langloc_fmri_run1_stim_set1.csv": stimuli}
        options = [str(files.get(word, word)) for word in options]
        if module.endswith("localize"):
            options = [str(tiny_checkpoint) if word == "gpt2" else word for word in options]
            options += ["--revision", "step8", "--device", "cpu"]
        options = [STEM if word == "gpt2" else word for word in options]
        status, _, error = call(module, *options)
        assert status == 0, error
        if module.endswith("prepare"):  # what extraction does
            assert extract_story(str(tiny_checkpoint), "step8", "pereira384") == STEM
            for baseline in ("length", "position", "oasm:1"):
                extract_story_baseline(baseline, "pereira384")
    assert language_units_path(STEM).is_file()
    path = brain_benchmark_scores_path(STEM, "pereira384", "groups", "ridge")
    assert read_npz(path, ["unique_r2"], "")["unique_r2"].shape[1] == 14
    assert figure_path("brain_benchmarks.csv").is_file()
    assert activations_path(STEM, "pereira384").is_file()


def test_links_and_paths_exist():
    text = README.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert target.startswith("https://") or (README.parent / target).is_file(), target
    for path in re.findall(r"`((?:pipeline|study|report|experiments|tests)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
