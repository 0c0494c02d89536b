"""Execute the notebook on a small embedded study, and check its form."""

import json
import os
import re

import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, execute_notebook, make_embedded_study
from matplotlib.image import imread
from nbclient.exceptions import CellExecutionError

from pipeline.brain.curves import CONTROL_COLUMNS
from pipeline.brain.hemispheres import subtract_mirror_voxels
from pipeline.brain.regions import LANGUAGE_REGIONS
from pipeline.brain.scores import compute_brain_scores
from report import results

NOTEBOOK = ROOT / "analyze_results.ipynb"
FIGURES = [
    *["brain_scores", "left_minus_right", "benchmarks", "acceptability", "regions"],
    *["asymmetry", "brain", "layers", "controls", "baselines", "surface"],
]


@pytest.fixture(scope="module")
def small_study(tmp_path_factory):
    """The embedded study with four checkpoints of next to no training."""
    folder = tmp_path_factory.mktemp("embedded") / "study"
    run = make_embedded_study(folder, "--runs", "3", "--words", "150", "--steps", "4", "--judge_steps", "20")
    assert "== what was found" in run.stdout, run.stdout + run.stderr
    # So little training leaves no asymmetry to find, and the demo must say so.
    assert run.returncode == 1
    assert "NOT FOUND: the trained model predicts the left better" in run.stdout
    return folder


def test_figures_and_curve_are_written(small_study):
    for name in FIGURES:
        assert (small_study / "fig" / f"small_lm_en_{name}.pdf").read_bytes()[:4] == b"%PDF"
        picture = imread(small_study / "fig" / f"small_lm_en_{name}.png")
        assert picture.shape[0] > 500
        assert 0.02 < np.mean(picture[..., :3].min(axis=2) < 0.9) < 0.9  # neither empty nor full
    for folder in (small_study, small_study / "null"):
        assert "It is not evidence about brains." in (folder / "fig" / "report.html").read_text()
    curve = pd.read_csv(small_study / "fig" / "small_lm_en_curves.csv")
    assert list(curve.columns) == [
        *["revision", "tokens", "left", "right", "left_minus_right", "low", "high"],
        *["left_nested", "right_nested", "left_minus_right_nested", "low_nested", "high_nested"],
        *[f"{name}{end}" for name in CONTROL_COLUMNS for end in ("", "_low", "_high")],
        *["same_weights_as", "blimp", "zorro", "arithmetic", "dyck", "acceptability", "counting", "small_endings"],
    ]
    assert curve[["blimp", "zorro", "arithmetic", "dyck", "counting", "small_endings"]].notna().all(axis=None)
    assert curve["tokens"].tolist() == [0, 1024, 2048, 4096]
    for end in ("", "_nested"):
        difference = curve[f"left{end}"] - curve[f"right{end}"]
        np.testing.assert_allclose(difference, curve[f"left_minus_right{end}"], atol=1e-6)
        assert (curve[f"low{end}"] < curve[f"high{end}"]).all()
        assert curve[f"left_minus_right{end}"].between(curve[f"low{end}"], curve[f"high{end}"]).all()
    assert (curve["left"] > curve["left_nested"]).all()  # the maximum is biased upwards more
    # Three trained checkpoints are too few for a transition: a note says so, without an error.
    assert not list((small_study / "fig").glob("small_lm_en_transitions.*"))
    table = pd.read_csv(small_study / "fig" / "small_lm_en_table.csv")
    assert table["curve"].tolist()[:2] == ["left_minus_right_nested", "left_minus_right"]
    assert (table["n_checkpoints"] <= 3).all()
    assert table["x0"].isna().all()
    assert not table[["at_limit", "at_start"]].any(axis=None)
    volume = nibabel.load(small_study / "fig" / "small_lm_en_asymmetry.nii.gz")
    mask = nibabel.load(small_study / "mask_lpp_en.nii.gz")
    assert volume.shape == (*mask.shape, 4)
    np.testing.assert_allclose(volume.get_fdata(), -volume.get_fdata()[::-1], atol=1e-6)
    voxels = pd.read_csv(small_study / "fig" / "small_lm_en_voxels.csv.gz")
    np.testing.assert_allclose(
        voxels["asymmetry_step4-tokens4096"].fillna(0),
        volume.get_fdata()[mask.get_fdata() != 0][:, 3],
        atol=1e-6,
    )
    check_maps(small_study)
    points = pd.read_csv(small_study / "fig" / "small_lm_en_points.csv")
    for end in ("", "_nested"):
        of_difference = points[points["curve"] == f"left_minus_right{end}"].reset_index(drop=True)
        for ours, theirs in [("value", "left_minus_right"), ("low", "low"), ("high", "high")]:
            np.testing.assert_allclose(of_difference[ours], curve[f"{theirs}{end}"], atol=1e-6)
    for benchmark in ("blimp", "zorro", "arithmetic", "dyck", "small_endings"):
        np.testing.assert_allclose(points[points["curve"] == benchmark]["value"], curve[benchmark], atol=1e-6)
    assert (small_study / "fig" / "small_lm_en_summary.txt").read_text().startswith("4 checkpoints of small_lm")
    regions = pd.read_csv(small_study / "fig" / "small_lm_en_regions.csv")
    assert regions.groupby("region").size().to_dict() == dict.fromkeys([*LANGUAGE_REGIONS, "cerebellum"], 4)
    last = regions[regions["tokens"] == 4096]
    assert regions["p"].notna().sum() == last["p_holm"].notna().sum() == 8
    assert (last["p_holm"] >= last["p"]).all()
    assert (regions[["n_left", "n_right"]] > 0).all(axis=None)


def check_maps(folder):
    """Check that maps have layers chosen on other runs, and that the published maximum has maps, too."""
    correlations = [
        np.load(folder / "llms_brain_correlations" / f"small_lm_{revision}_runs_en.npz")["correlations"]
        for revision in pd.read_csv(folder / "fig" / "small_lm_en_curves.csv")["revision"]
    ]
    mask = nibabel.load(folder / "mask_lpp_en.nii.gz")
    for best_layer, end in [("nested", ""), ("maximum", "_maximum")]:
        scores = compute_brain_scores(correlations, best_layer).mean(axis=1)
        for which, expected in [("brain", scores), ("asymmetry", subtract_mirror_voxels(scores, mask))]:
            volumes = nibabel.load(folder / "fig" / f"small_lm_en_{which}{end}.nii.gz").get_fdata()
            np.testing.assert_allclose(volumes[mask.get_fdata() != 0].T, np.nan_to_num(expected), atol=1e-6)


def test_averages_alone_are_enough(small_study, tmp_path, monkeypatch):
    """As from the published code: without .npz, and so without intervals."""
    for file in small_study.iterdir():
        if file.name not in {"fig", "llms_brain_correlations"}:
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "llms_brain_correlations").mkdir()
    for file in (small_study / "llms_brain_correlations").glob("*_corr_en.gz"):
        (tmp_path / "llms_brain_correlations" / file.name).symlink_to(file)
    (tmp_path / "fig").mkdir()
    left_over = ["claim.csv", "brain_maximum.nii.gz", "asymmetry_maximum.nii.gz"]
    for name in left_over:
        (tmp_path / "fig" / f"small_lm_en_{name}").write_text("of an earlier run\n")
    printed = execute_notebook(tmp_path, monkeypatch)
    assert not any((tmp_path / "fig" / f"small_lm_en_{name}").exists() for name in left_over)
    assert "3 trained checkpoints are too few for transitions" in printed
    assert "only averages over runs are known for some checkpoints" in printed
    whole = pd.read_csv(small_study / "fig" / "small_lm_en_curves.csv")
    averages = pd.read_csv(tmp_path / "fig" / "small_lm_en_curves.csv")
    np.testing.assert_allclose(averages["left_minus_right"], whole["left_minus_right"], atol=1e-6)
    assert averages[["low", "high"]].isna().all(axis=None)
    assert "left_nested" not in averages
    assert "only averages over runs are known" in (tmp_path / "fig" / "small_lm_en_summary.txt").read_text()
    best = nibabel.load(tmp_path / "fig" / "small_lm_en_brain.nii.gz").get_fdata()
    np.testing.assert_allclose(
        best, nibabel.load(small_study / "fig" / "small_lm_en_brain_maximum.nii.gz").get_fdata(), atol=1e-6
    )


def test_a_configuration_chooses_the_study(study_folder, monkeypatch):
    for variable in ("LTBA_MODEL", "LTBA_LANG", "LTBA_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    assert results.choose_study() == ("allenai/OLMo-2-1124-7B", "en")
    monkeypatch.setenv("LTBA_CONFIG", str(ROOT / "config" / "pythia-6.9b.yaml"))
    assert results.choose_study() == ("EleutherAI/pythia-6.9b", "en")
    monkeypatch.setenv("LTBA_LANG", "fr")
    assert results.choose_study() == ("EleutherAI/pythia-6.9b", "fr")
    monkeypatch.setenv("LTBA_CONFIG", str(ROOT / "config" / "embedded.yaml"))  # its model is a folder of the study
    (study_folder / "checkpoints" / "small_lm").mkdir(parents=True)
    assert results.choose_study() == ("small_lm", "fr")
    monkeypatch.setenv("LTBA_MODEL", "me/model")
    assert results.choose_study() == ("me/model", "fr")


def test_shapes_are_described():
    whole, averages = np.zeros((25, 9, 26164)), np.zeros((25, 1, 26164))
    assert results.describe_correlations([whole] * 10) == "10 checkpoints, 25 layers, 9 runs, 26164 voxels"
    assert results.describe_correlations([whole, averages]) == "2 checkpoints, 25 layers, 1 or 9 runs, 26164 voxels"
    words = results.describe_scores({"maximum": np.zeros((2, 1, 5))})
    assert words.startswith("layers at the published maximum: 2 checkpoints, 1 runs, 5 voxels\nonly averages over runs")
    assert results.describe_tables(points=pd.DataFrame({"x": [1, 2]})) == "points: 2 rows, 1 columns"


def test_a_model_that_is_not_there_is_named(small_study, monkeypatch):
    with pytest.raises(CellExecutionError, match="expected fitted checkpoints of me/other in en"):
        execute_notebook(small_study, monkeypatch, LTBA_MODEL="me/other")


def test_the_notebook_is_committed_without_outputs_in_short_cells_with_prose():
    notebook = json.loads(NOTEBOOK.read_text())
    cells = [(cell["cell_type"], "".join(cell["source"]), cell) for cell in notebook["cells"]]
    for number, (kind, source, cell) in enumerate(cells):
        if kind == "code":
            assert not cell["outputs"] and cell["execution_count"] is None
            assert cells[number - 1][0] == "markdown", source
            assert source.count("\n") < 11, source
            # A function of report/ contains what branches.
            assert not re.search(r"^(if|else|elif|for|while|def|try)\b", source, re.MULTILINE), source


def test_what_the_scripts_ran_on_is_recorded(small_study):
    record = json.loads((small_study / "llms_activations" / "small_lm_step2-tokens2048_en.lz4.json").read_text())
    assert record["command"].startswith("extract_llm_activations.py --model ")
    assert record["checkpoint"]["revision"] == "step2-tokens2048"
    assert len(record["checkpoint"]["files"]["model.safetensors"]) == 64
    assert set(record["inputs"]) == {"lpp_en_text.zip", "lppEN_word_information.csv"}
    assert os.listdir(small_study / "llms_activations").count("onsets_offsets_en.lz4") == 1
