"""Run the commands of the README of brain benchmarks, on a made file and a tiny model in the place of the real ones."""

import re
import shlex

import pytest
from helpers import ROOT, STEM
from localizer_stimuli import write_stimuli

from study.files.npz import read_npz
from study.files.tables import read_csv
from study.outputs.brain_benchmarks import read_score_table
from study.paths import activations_path, brain_benchmark_scores_path, figure_path, language_units_path
from study.records import read_record

README = ROOT / "experiments" / "brain_score" / "README.md"
BLOCKS = [
    [shlex.split(line) for line in block.splitlines()]
    for block in re.findall(r"^```bash\n(.*?)^```$", README.read_text(), flags=re.S | re.M)
]
MADE = ROOT / "tests" / "experiments" / "brain_score" / "assy_made.nc"
pytest.importorskip("h5py", reason="h5py is not here: pip install -r experiments/brain_score/requirements.txt")


@pytest.fixture
def run_block(call, tiny_checkpoint, tmp_path):
    """Run the commands of a block, with a tiny model in the place of gpt2, and a made file and stimuli."""
    stimuli = write_stimuli(tmp_path / "langloc.csv")

    def run(commands):
        files = {"assy_Pereira2018_language.nc": MADE, "langloc_fmri_run1_stim_set1.csv": stimuli}
        files["language_units/gpt2.npz"] = language_units_path(STEM)
        for python, *words in commands:
            assert python == "python"
            module, options = (words[1], words[2:]) if words[0] == "-m" else (words[0].removesuffix(".py"), words[1:])
            options = [str(files.get(word, word)) for word in options]
            if module == "extract_llm_activations" or module.endswith("localize"):
                options = [str(tiny_checkpoint) if word == "gpt2" else word for word in options]
                options += ["--revision", "step8", "--device", "cpu"]
            options = [word if "/" in word else word.replace("gpt2", STEM) for word in options]
            status, _, error = call(module, *options)
            assert status == 0, (module, options, error)

    return run


def test_every_command_runs(study_folder, run_block):
    run_block(BLOCKS[0])
    path = brain_benchmark_scores_path(STEM, "pereira384", "groups", "ridge")
    assert read_npz(path, ["unique_r2"], "")["unique_r2"].shape[1] == 14
    table = read_csv(figure_path("brain_benchmarks.csv")).set_index("model")
    models = {f"{STEM}{ending}" for ending in ("", "_untrained-1", "_units", "_random-units")}
    assert set(table.index) == models | {"baseline_oasm_1", f"baseline_static_{STEM}"}
    assert activations_path(STEM, "pereira384").is_file()


def test_every_command_of_the_published_way_runs(study_folder, run_block):
    run_block(BLOCKS[1])
    path = brain_benchmark_scores_path(STEM, "pereira384", "shuffled", "linear-brainscore")
    assert read_score_table(path.with_suffix(".csv"))["score"].notna().all()
    parameters = read_record(activations_path(STEM, "pereira384"))["parameters"]
    assert (parameters["pooling"], parameters["before_norm"]) == ("last", True)


def test_links_and_paths_exist():
    text = README.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert target.startswith("https://") or (README.parent / target).is_file(), target
    for path in re.findall(r"`((?:pipeline|study|report|experiments|tests)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
