"""The whole embedded study, as ``make demo`` makes it: the known truth, and what the notebook says of it."""

import joblib
import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers import execute_notebook, make_embedded_study
from matplotlib.image import imread
from scipy.optimize import curve_fit
from simulated_studies import check

from demo import calibration as simulation
from demo import coverage
from demo.language import spell
from pipeline.brain.voxels import compute_positions
from study.inputs.le_petit_prince import read_average_subject, read_mask, read_texts, read_word_timings

pytestmark = [pytest.mark.slow, pytest.mark.soak]


@pytest.fixture(scope="module")
def whole_study(tmp_path_factory):
    """The embedded study as ``make demo`` makes it, and what was printed: minutes."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    run = make_embedded_study(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder, run.stdout


def midpoint(tokens, values):
    """x0 of low + (high - low) / (1 + exp(-beta (log10 tokens - x0))), by least squares.

    Checkpoints are 0.3 decades apart, so a rise steeper than that (beta above 15) cannot be seen.
    """
    x = np.log10(tokens)

    def sigmoid(x, low, high, beta, x0):
        return low + (high - low) / (1 + np.exp(-beta * (x - x0)))

    fits = []
    for start in np.arange(x[0], x[-1], 0.25):
        parameters, _ = curve_fit(
            sigmoid,
            x,
            values,
            p0=[values[0], values[-1], 8, start],
            bounds=([-1, -1, 1, x[0]], [2, 2, 15, x[-1]]),
            max_nfev=20_000,
        )
        fits.append((np.sum((sigmoid(x, *parameters) - values) ** 2), parameters[3]))
    return min(fits)[1]


def test_the_pipeline_recovers_the_known_truth(whole_study):
    folder, printed = whole_study
    curve = pd.read_csv(folder / "fig" / "small_lm_en_curves.csv")
    null = pd.read_csv(folder / "null" / "fig" / "small_lm_en_curves.csv")
    assert curve["tokens"].tolist() == [0, *[1024 * 2**k for k in range(11)]]
    assert abs(curve["left_minus_right"].iloc[0]) < 0.01
    assert null["left_minus_right"].abs().max() < 0.01
    for end in ("", "_nested"):
        assert curve[f"left_minus_right{end}"].iloc[-1] > 0.05
        assert curve[f"low{end}"].iloc[-1] > 0.05
        for row in (curve.iloc[0], null.iloc[0], null.iloc[-1]):
            assert row[f"low{end}"] <= 0 <= row[f"high{end}"]

    # The hard pairs are written as BLiMP's, the easy ones as Zorro's.
    hard, easy = curve["blimp"].to_numpy(), curve["zorro"].to_numpy()
    assert hard[0] == pytest.approx(0.5, abs=0.1)
    assert hard[-1] > 0.9
    assert easy[0] == pytest.approx(0.5, abs=0.1)
    assert easy[-1] > 0.95
    assert (curve["arithmetic"] - 0.5).abs().max() < 0.05
    assert (curve["dyck"] - 0.5).abs().max() < 0.05
    assert curve["acceptability"].iloc[0] < 0.1
    assert curve["acceptability"].iloc[-1] > 0.7
    assert curve["acceptability"].corr(curve["blimp"]) > 0.8
    assert curve["small_endings"].iloc[0] == pytest.approx(0.25, abs=0.1)
    assert curve["small_endings"].iloc[-1] > 0.7
    tokens = curve["tokens"].to_numpy()[1:]  # the untrained checkpoint has no logarithm
    x0_of_asymmetry = midpoint(tokens, curve["left_minus_right_nested"].to_numpy()[1:])
    x0_of_hard_pairs = midpoint(tokens, hard[1:])
    assert abs(x0_of_asymmetry - x0_of_hard_pairs) < 0.05
    table = pd.read_csv(folder / "fig" / "small_lm_en_table.csv").set_index("curve")
    assert table.index[table["is_flat"]].tolist() == ["arithmetic", "dyck"]
    assert table.index[:2].tolist() == ["left_minus_right_nested", "left_minus_right"]
    assert table.loc["left_minus_right_nested", "x0"] == pytest.approx(x0_of_asymmetry, abs=0.05)
    assert not table[["at_limit", "at_start"]].any(axis=None)
    assert table.loc["blimp", "x0"] == pytest.approx(x0_of_hard_pairs, abs=0.05)
    assert table.loc["blimp", "midpoint_difference_low"] < 0 < table.loc["blimp", "midpoint_difference_high"]
    # The easy pairs are learnt long before the hard ones, which the asymmetry goes with.
    assert table.loc["zorro", "lead_low"] > 0.5
    assert table["alignment"].idxmax() == "blimp"
    null_table = pd.read_csv(folder / "null" / "fig" / "small_lm_en_table.csv").set_index("curve")
    assert null_table.loc["left_minus_right_nested", "is_flat"]
    noisy_table = pd.read_csv(folder / "noisy" / "fig" / "small_lm_en_controls.csv").set_index("curve")
    assert noisy_table.loc["log_left_right", "is_flat"]
    # What a functional benchmark needs to be a rival: it rises, at another time.
    assert curve["counting"].iloc[0] == pytest.approx(0.5, abs=0.1)
    assert curve["counting"].iloc[-1] > 0.8
    assert abs(table.loc["counting", "x0"] - x0_of_hard_pairs) > 0.15
    assert printed.count("\nfound: ") == 10
    assert printed.count("  put in: ") == printed.count("  concluded: ") == 3
    assert "NOT FOUND" not in printed
    assert "It is not evidence about brains." in printed


def test_the_story_is_in_the_published_formats(whole_study, monkeypatch):
    folder, _ = whole_study
    monkeypatch.setenv("LTBA_DIR", str(folder))
    texts, timings = read_texts("en"), read_word_timings("en")
    assert [len(words) for words, _, _ in timings] == [600] * 9
    assert np.diff(timings[0][1]).mean() == pytest.approx(0.36)
    assert all(text.startswith(text[0].upper()) and "." in text for text in texts)
    scans = read_average_subject("en")
    assert {run.shape for run in scans} == {(114, len(compute_positions(read_mask("en"))))}
    assert spell(["the", "dog", "sleeps", "."]) == "The dog sleeps."


def test_a_study_with_gaps_leaves_notes_and_no_errors(whole_study, tmp_path, monkeypatch):
    """Benchmarks not run or not everywhere, a checkpoint that is still being fitted, one only extracted."""
    folder, _ = whole_study
    for file in folder.iterdir():
        if file.name not in {"fig", "llms_brain_correlations", "llms_activations", "blimp_results", "dyck_results"}:
            (tmp_path / file.name).symlink_to(file)
    left_out = {
        "llms_activations": [],
        "dyck_results": ["small_lm"],
        "blimp_results": ["step32-"],
        "llms_brain_correlations": ["step8-tokens8192_", "step64-tokens65536_layer-3", "step64-tokens65536_runs"],
    }
    for name, parts in left_out.items():
        (tmp_path / name).mkdir()
        for file in (folder / name).iterdir():
            if not any(part in file.name for part in parts):
                (tmp_path / name / file.name).symlink_to(file)
    printed = execute_notebook(tmp_path, monkeypatch)
    assert "still being fitted: step64-tokens65536" in printed
    assert "extracted and not fitted" in printed
    assert "small_lm_step8-tokens8192_en.lz4" in printed
    assert "not run for any fitted checkpoint: dyck" in printed
    assert "blimp has no value at step32-tokens32768" in printed
    curve = pd.read_csv(tmp_path / "fig" / "small_lm_en_curves.csv")
    whole = pd.read_csv(folder / "fig" / "small_lm_en_curves.csv").set_index("revision")
    assert len(curve) == 10
    np.testing.assert_allclose(curve["left_minus_right"], whole.loc[curve["revision"], "left_minus_right"], atol=1e-6)
    assert curve.set_index("revision")["blimp"].isna().sum() == 1
    table = pd.read_csv(tmp_path / "fig" / "small_lm_en_table.csv").set_index("curve")
    assert table.loc["blimp", "n_checkpoints"] == 8
    assert table.loc["left_minus_right_nested", "n_checkpoints"] == 9
    assert table.loc["blimp", "x0"] == pytest.approx(whole_table(folder).loc["blimp", "x0"], abs=0.05)
    assert "dyck" not in table.index
    words = (tmp_path / "fig" / "small_lm_en_summary.txt").read_text()
    missing = words[words.index("Missing: ") :]
    assert "not run for any fitted checkpoint: dyck" in missing


def test_models_are_set_beside_each_other_and_an_atlas_is_taken(whole_study, tmp_path, monkeypatch):
    folder, _ = whole_study
    for file in folder.iterdir():
        if file.name != "fig":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "fig").mkdir()
    for name in ("curves", "table"):  # as another model's notebook would leave them
        (tmp_path / "fig" / f"other_fr_{name}.csv").symlink_to(folder / "null" / "fig" / f"small_lm_en_{name}.csv")
    mask = nibabel.load(folder / "mask_lpp_en.nii.gz")
    halves = np.ones(mask.shape, dtype=np.int16)
    halves[:, 10:] = 2  # the front of the brain
    nibabel.Nifti1Image(halves, mask.affine).to_filename(tmp_path / "atlas.nii.gz")
    printed = execute_notebook(tmp_path, monkeypatch)
    assert "is the only one" not in printed
    for name in ("comparison", "small_lm_en_atlas", "small_lm_en_transitions", "small_lm_en_emergence"):
        assert imread(tmp_path / "fig" / f"{name}.png").shape[0] > 500
    atlas = pd.read_csv(tmp_path / "fig" / "small_lm_en_atlas.csv")
    assert atlas.groupby("region").size().to_dict() == {1: 12, 2: 12}


def whole_table(folder):
    return pd.read_csv(folder / "fig" / "small_lm_en_table.csv").set_index("curve")


def test_new_simulated_studies_say_the_same(whole_study):
    """A few of them, with stories, listeners and pairs of their own."""
    folder, _ = whole_study
    folders = sorted(
        (folder / "checkpoints" / "small_lm").glob("step*"), key=lambda path: int(path.name[4:].split("-")[0])
    )
    parallel = joblib.Parallel(n_jobs=-1, return_as="generator")
    world = simulation.make_world(folders, n_runs=30, n_pairs=400, seed=2, parallel=parallel)
    names = ("asymmetric", "symmetric")
    results = pd.concat(simulation.calibrate(name, world, 12, seed=2, parallel=parallel) for name in names)
    check(results, n_errors=4)
    # The truth does not depend on which studies were drawn, save for the noise of their mean.
    keys = ["listener", "curve", "quantity"]
    saved, new = (
        coverage.compute_coverage(table).set_index(keys)["truth"] for table in (coverage.read_calibration(), results)
    )
    for quantity, distance in [("value", 0.012), ("x0", 0.1)]:
        place = "asymmetric", "left_minus_right", quantity
        assert new[place] == pytest.approx(saved[place], abs=distance)
