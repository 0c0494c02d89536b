"""The curve against its baselines: the same voxels, runs and resamples, against a plain bootstrap."""

import numpy as np
import pandas as pd
import pytest
from brains import BRAIN, CHECKPOINTS

from pipeline.brain.curves import compute_brain_curves, compute_scores
from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.brain.voxels import make_blocks
from pipeline.transitions.tables import tabulate_points
from report import baselines
from study.paths import figure_path, run_correlations_path

LEFT, RIGHT = assign_hemispheres(BRAIN)
BLOCKS = make_blocks(BRAIN)
MODEL, NO_TABLE = "lm", pd.DataFrame(columns=["curve", "low", "high", "is_flat"])
# From the untrained model on, left minus right of each.
PLANTED = {"baseline_word_rate": -0.03, "baseline_random_embedding_seed-1": 0.02, "lm_a_untrained-1": 0.0}


def simulate(difference, n_layers=1, n_runs=9, seed=0):
    """Correlations (n_layers, n_runs, n_voxels) with a known left minus right."""
    noise = np.random.default_rng(seed).normal(0.2, 0.02, (n_layers, n_runs, len(LEFT)))
    return (noise + difference * LEFT).astype(np.float32)


def simulate_study(rise=0.1):
    correlations = [simulate(difference, 3, seed=seed) for seed, difference in enumerate((0.0, rise))]
    of_baselines = {
        stem: simulate(difference, 3 if "untrained" in stem else 1, seed=10 + number)
        for number, (stem, difference) in enumerate(PLANTED.items())
    }
    return compute_scores(correlations), of_baselines


def save(stem, correlations, lang="en"):
    path = run_correlations_path(stem, lang)
    path.parent.mkdir(exist_ok=True)
    np.savez(path, correlations=correlations, alphas=np.ones(correlations.shape[:2]))


def test_baselines_are_drawn_in_the_resamples_of_the_curve():
    scores, of_baselines = simulate_study()
    sides = compute_brain_curves(scores, LEFT, RIGHT, BLOCKS, 200)
    curves, differences = baselines.compute_baseline_curves(scores, of_baselines, LEFT, RIGHT, BLOCKS, 200)
    for number, (stem, layers) in enumerate(of_baselines.items()):
        alone = compute_brain_curves(compute_scores([layers]), LEFT, RIGHT, BLOCKS, 200)
        for side in ("left", "right", "left_minus_right"):
            values, resamples = curves[side]
            np.testing.assert_allclose(values[number], alone[f"{side}_nested"].values[0], atol=1e-7)
            np.testing.assert_allclose(resamples[:, number], alone[f"{side}_nested"].resamples[:, 0], atol=1e-7)
        curve, baseline = sides["left_minus_right_nested"], alone["left_minus_right_nested"]
        np.testing.assert_allclose(differences[stem].values, curve.values - baseline.values, atol=1e-7)
        np.testing.assert_allclose(differences[stem].resamples, curve.resamples - baseline.resamples, atol=1e-7)


def test_the_table_recovers_what_was_planted():
    scores, of_baselines = simulate_study()
    curves, differences = baselines.compute_baseline_curves(scores, of_baselines, LEFT, RIGHT, BLOCKS)
    table = baselines.tabulate_baselines(CHECKPOINTS, curves, differences, MODEL).set_index("stem")
    assert list(table.index) == ["baseline_random_embedding_seed-1", "lm_a_untrained-1", "baseline_word_rate"]
    assert list(table["baseline"]) == ["random embedding 1", "untrained 1", "word rate"]
    for stem, difference in PLANTED.items():
        row = table.loc[stem]
        assert row["left_minus_right"] == pytest.approx(difference, abs=0.01)
        assert row["low"] < difference < row["high"]
        assert row["difference"] == pytest.approx(0.1 - difference, abs=0.01)
        assert row["difference_low"] < 0.1 - difference < row["difference_high"]
        assert row["left"] - row["right"] == pytest.approx(row["left_minus_right"])
    points = baselines.tabulate_differences(CHECKPOINTS, differences, MODEL)
    assert len(points) == 6
    last = points[points["revision"] == "b"].set_index("stem")
    for stem in PLANTED:
        found = last.loc[stem, ["value", "low", "high"]].to_numpy(float)
        np.testing.assert_allclose(
            found, table.loc[stem, ["difference", "difference_low", "difference_high"]].to_numpy(float)
        )


@pytest.mark.parametrize(
    ("rise", "words"), [(0.1, "was above that of 3 baselines"), (0.02, "was not shown to be above")]
)
def test_one_sentence_says_whether_the_curve_is_above_its_baselines(rise, words):
    scores, of_baselines = simulate_study(rise)
    curves, differences = baselines.compute_baseline_curves(scores, of_baselines, LEFT, RIGHT, BLOCKS)
    table = baselines.tabulate_baselines(CHECKPOINTS, curves, differences, MODEL)
    sentence = baselines.describe_baselines(table)
    assert words in sentence
    assert "the highest is random embedding 1 with 0.0" in sentence
    below = [name for name in table["baseline"] if f"{name} (" in sentence or f"{name}, " in sentence]
    assert below == list(table["baseline"][table["difference_low"] <= 0])
    assert sentence.endswith(".") and sentence.count(". ") == 0


def test_a_study_without_runs_is_compared_without_intervals():
    scores, of_baselines = simulate_study()
    averages = {"maximum": scores["maximum"].mean(axis=1, keepdims=True)}
    kept, notes = baselines.select_comparable(of_baselines, averages)
    curves, differences = baselines.compute_baseline_curves(averages, kept, LEFT, RIGHT, BLOCKS)
    table = baselines.tabulate_baselines(CHECKPOINTS, curves, differences, MODEL)
    assert notes == []
    assert table["low"].isna().all()
    assert "no interval is known" in baselines.describe_baselines(table)


def test_baselines_of_other_runs_and_of_other_models_are_left_out(study_folder):
    save("lm_a", simulate(0, 3))
    save("other_a", simulate(0, 3))
    own = ["baseline_position", "baseline_static_lm_a", "baseline_static_glove", "lm_a_untrained-1"]
    for stem in [*own, "baseline_static_other_a", "other_a_untrained-1"]:
        save(stem, simulate(0))
    save("baseline_word_rate", simulate(0, n_runs=4))
    correlations, notes = baselines.read_baselines(MODEL, "en", ["lm_a"])
    assert (set(correlations), notes) == ({*own, "baseline_word_rate"}, [])
    kept, (note,) = baselines.select_comparable(correlations, compute_scores([simulate(0, 3)]))
    assert set(kept) == set(own)
    assert note.startswith("baseline_word_rate: expected 9 runs of 60 voxels, got 4 runs of 60 voxels")


def test_names_have_a_revision_only_where_they_need_it():
    stems = ["baseline_static_lm_a", "lm_a_untrained-1", "baseline_random_vector_seed-2"]
    assert baselines.name_baselines(stems, MODEL) == ["static embedding", "untrained 1", "random vector 2"]
    stems = ["baseline_static_lm_a", "baseline_static_lm_b", "baseline_static_glove"]
    expected = ["static embedding, a", "static embedding, b", "static embedding, glove"]
    assert baselines.name_baselines(stems, MODEL) == expected


def test_files_come_and_go_with_the_baselines(study_folder, capsys):
    checkpoints = CHECKPOINTS.assign(stem=["lm_a", "lm_b"])
    scores, of_baselines = simulate_study()
    for stem, layers in of_baselines.items():
        save(stem, layers)
    sides = {"left": LEFT, "right": RIGHT, "blocks": BLOCKS}
    points = tabulate_points(CHECKPOINTS, compute_brain_curves(scores, **sides), NO_TABLE)
    names = ["lm_en_baselines.csv", "lm_en_baselines.png", "lm_en_baselines.pdf", "lm_en_baseline_differences.csv"]
    for are_there in (True, False):
        table, differences, notes = baselines.compare_with_baselines(MODEL, "en", checkpoints, scores, **sides)
        baselines.save_baselines(points, table, differences, "lm (en)", "lm_en")
        assert notes == []
        assert [figure_path(name).is_file() for name in names] == [are_there] * 4
        assert capsys.readouterr().out == baselines.describe_baselines(table) + "\n"
        for stem in of_baselines:
            run_correlations_path(stem, "en").unlink(missing_ok=True)
    assert baselines.describe_baselines(table).startswith("No baseline was fitted")
