"""Fixtures: published data where they exist, small models and studies."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub: no test may look a model up
import importlib
import sys
import zipfile

import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers import ENGLISH, SHARED, byte_level_tokenizer, random_model, zygote

from study.command_line import run_script
from study.files.safe_joblib import write_arrays
from study.inputs.le_petit_prince import read_word_timings
from study.paths import average_subject_path, isc_path


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="kill at every step, race again and again: half an hour")
    parser.addoption("--architectures", action="store_true", help="every causal architecture: a quarter of an hour")


def pytest_terminal_summary(terminalreporter):
    """What the scripts have survived: tests record so many kills, races, damaged files."""
    survived = {}
    for report in terminalreporter.getreports("passed"):
        for what, number in report.user_properties:
            if what == "outcome":
                continue
            survived[what] = survived.get(what, 0) + number
    if survived:
        told = ", ".join(f"{number} {what}" for what, number in sorted(survived.items()))
        terminalreporter.write_line(f"survived: {told}")
    if terminalreporter.config.getoption("--architectures"):
        reports = [report for kind in ("passed", "skipped", "failed") for report in terminalreporter.getreports(kind)]
        for report in sorted(reports, key=lambda report: report.nodeid):
            for what, outcome in report.user_properties:
                if what == "outcome":
                    terminalreporter.write_line(outcome)


def pytest_collection_modifyitems(config, items):
    """Run the longest files first, next to the rest; skip what takes a quarter of an hour, unless with --soak."""
    longest = ["test_cluster", "test_readme", "test_whole_study"]
    items.sort(key=lambda item: -longest.index(item.path.stem) if item.path.stem in longest else 1)
    if not config.getoption("--soak"):
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.skip(reason="takes a quarter of an hour: make soak"))


@pytest.fixture(scope="session")
def published():
    """The folder of published data beside the checkout; without it, the test is skipped."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the published data (../shared/data) is not here")
    return SHARED / "data"


@pytest.fixture
def study_folder(tmp_path, monkeypatch):
    """An empty study folder, which the scripts are told of."""
    monkeypatch.setenv("LTBA_DIR", str(tmp_path / "study"))
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


@pytest.fixture
def tiny_study(study_folder):
    """A study of 4 runs, 60 scans and 24 voxels, of random numbers, in the published formats."""
    rng = np.random.default_rng(0)
    run_words = []
    with zipfile.ZipFile(study_folder / "lpp_en_text.zip", "w") as archive:
        for run in range(4):
            text = ENGLISH[run * 40 :].partition(" ")[2]
            archive.writestr(f"lpp_en_text/text_en_run{run + 1}.txt", text)
            words = "".join(c if c.isalpha() or c == "’" else " " for c in text).replace("’", "'").split()
            run_words.append(words)
    rows = [
        (word.lower(), 1.5 * k, 1.5 * k + rng.uniform(0.2, 1.5), run + 1)
        for run, words in enumerate(run_words)
        for k, word in enumerate(words)
    ]
    table = pd.DataFrame(rows, columns=["word", "onset", "offset", "section"])
    table.to_csv(study_folder / "lppEN_word_information.csv", index=True)

    affine = np.diag([10.0, 10, 10, 1])
    affine[:3, 3] = -10, 0, 0
    mask = np.ones((3, 2, 4), dtype=np.int8)  # x = -10, 0, 10
    nibabel.Nifti1Image(mask, affine).to_filename(study_folder / "mask_lpp_en.nii.gz")
    write_arrays(isc_path("en"), rng.random((10, 24)))
    for run in range(4):
        write_arrays(average_subject_path("en", run), rng.standard_normal((60 + run, 24)))
    return study_folder


@pytest.fixture
def fitting_study(tiny_study):
    """The tiny study, its fMRI z-scored and ending soon after the last word, as a published one does."""
    for run, (_, _, offsets) in enumerate(read_word_timings("en")):
        path = average_subject_path("en", run)
        scans = np.random.default_rng(run).standard_normal((int(offsets[-1] / 2) + 5, 24))
        write_arrays(path, (scans - scans.mean(axis=0)) / scans.std(axis=0))
    return tiny_study


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """A local model with one revision, as ``save_pretrained`` writes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-pythia"
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    random_model("gpt_neox", len(tokenizer), context=128).save_pretrained(folder / "step8")
    tokenizer.save_pretrained(folder / "step8")
    return folder


@pytest.fixture
def call(monkeypatch, capfd):
    """Run a script's main in this process: call(script, *arguments) -> (status, stdout, stderr)."""

    def run(script, *arguments):
        module = importlib.import_module(script)
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *map(str, arguments)])
        capfd.readouterr()
        try:
            run_script(module.main)
            status = 0
        except SystemExit as error:
            status = error.code
        return status, *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def together():
    """together(folder, (arguments, what goes wrong), ...) -> answers: each in a process, all at the same time."""
    with zygote() as run:
        yield run


@pytest.fixture(scope="module")
def light_together():
    """As ``together``, for commands that need no PyTorch: a process takes some milliseconds."""
    with zygote("light") as run:
        yield run
