"""Score models, compute ceilings and compare them by the commands, where the right answer is known."""

import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from pipeline.brain.benchmark_scores import (
    POOLED,
    choose_layers_nested,
    compute_resampled_medians,
    compute_unique_r2,
    score_subjects,
)
from study.files.safe_joblib import write_arrays
from study.outputs.brain_benchmarks import SCORE_COLUMNS, read_benchmark, read_score_table, read_scores
from study.paths import activations_path, brain_benchmark_scores_path, brain_ceiling_path, figure_path, record_path
from study.stages.brain_compare import compare_models

PREPARE, SCORE, CEILING, COMPARE = (
    f"experiments.brain_score.{name}" for name in ("prepare", "score", "ceiling", "compare")
)
FAST = ("--permutations", 9)
N_TOPICS, N_PARTS, SUBJECTS = 10, 6, np.repeat(["p", "q", "r"], [4, 5, 3])


@pytest.fixture
def benchmark(study_folder, call, tmp_path):
    """A benchmark of one's own: four planted features, drift within topics, noise."""
    rng = np.random.default_rng(0)
    n = N_TOPICS * N_PARTS
    planted = rng.standard_normal((n, 4))
    drift = np.cumsum(rng.standard_normal((N_TOPICS, N_PARTS, len(SUBJECTS))), axis=1).reshape(n, -1)
    responses = planted @ rng.standard_normal((4, len(SUBJECTS))) + drift + rng.standard_normal((n, len(SUBJECTS)))
    np.savez(tmp_path / "r.npz", responses=responses)
    rows = [f"Word {number} here.,run{number // N_PARTS}" for number in range(n)]
    (tmp_path / "s.csv").write_text("\n".join(["stimulus,run", *rows]) + "\n")
    rows = [f"{number},{subject}" for number, subject in enumerate(SUBJECTS)]
    (tmp_path / "n.csv").write_text("\n".join(["neuroid,subject", *rows]) + "\n")
    files = ("--responses", tmp_path / "r.npz", "--stimuli", tmp_path / "s.csv", "--neuroids", tmp_path / "n.csv")
    assert call(PREPARE, "--benchmark", "made", *files)[0] == 0
    write_model("exact", [responses])
    write_model("planted", [rng.standard_normal((n, 9)), planted, planted + rng.standard_normal((n, 4))])
    write_model("scrambled", [planted[rng.permutation(n)]])
    return "made"


def make_baseline(call, baseline, stem):
    status, _, error = call("experiments.baselines.extract", "--story", "made", "--baseline", baseline)
    assert status == 0, error
    return stem


def write_model(stem, layers):
    runs = zip(*(np.split(layer.astype(np.float32), N_TOPICS) for layer in layers), strict=True)
    path = activations_path(stem, "made")
    path.parent.mkdir(exist_ok=True)
    write_arrays(path, [list(run) for run in runs])


def find(stem, splits="groups", regression="ridge"):
    return brain_benchmark_scores_path(stem, "made", splits, regression)


def pooled(stem, splits="groups", regression="ridge"):
    table = read_score_table(find(stem, splits, regression).with_suffix(".csv"))
    return table[table["subject"] == POOLED].reset_index(drop=True)


def test_exact_data_score_one_and_scrambled_stimuli_nothing(benchmark, call):
    assert call(SCORE, "--model", "exact", "--benchmark", benchmark, *FAST)[0] == 0
    assert call(SCORE, "--model", "exact", "--benchmark", benchmark, "--regression", "linear", *FAST)[0] == 0
    assert call(SCORE, "--model", "scrambled", "--benchmark", benchmark, *FAST)[0] == 0
    assert pooled("exact")["raw"][0] > 0.999
    assert pooled("exact", regression="linear")["raw"][0] == pytest.approx(1)
    assert pooled("exact")["cka"][0] == pytest.approx(1)
    assert abs(pooled("scrambled")["raw"][0]) < 0.2


def test_oasm_scores_exactly_nothing_only_where_groups_are_left_out(benchmark, call):
    stem = make_baseline(call, "oasm:1", "baseline_oasm_1")
    for splits in ("groups", "shuffled"):
        assert call(SCORE, "--model", stem, "--benchmark", benchmark, "--splits", splits, *FAST)[0] == 0
    assert (read_scores(find(stem))["correlations"] == 0).all()
    assert pooled(stem, "shuffled")["raw"][0] > 0.2


def test_outputs_hold_every_layer_subject_fold_and_neuroid(benchmark, call):
    make_baseline(call, "length", "baseline_length")
    make_baseline(call, "position", "baseline_position")
    options = ("--nuisance", "baseline_length", "baseline_position", "--similarity", "cka", "rdm")
    status, printed, _ = call(SCORE, "--model", "planted", "--benchmark", benchmark, *options, *FAST)
    assert (status, "layers chosen on other folds" in printed) == (0, True)
    table = read_score_table(find("planted").with_suffix(".csv"))
    assert list(table) == SCORE_COLUMNS
    assert table[["layer", "subject"]].to_numpy().tolist() == [[k, name] for k in range(3) for name in [*"pqr", "all"]]
    assert (table["low"] <= table["raw"]).all()
    assert (table["raw"] <= table["high"]).all()
    assert pooled("planted")["raw"].argmax() == 1
    assert pooled("planted")["unique_r2"].argmax() == 1
    with np.load(find("planted")) as arrays:
        shape = (3, 10, len(SUBJECTS))
        assert {arrays[name].shape for name in ("correlations", "r2", "errors")} == {shape}
        assert arrays["unique_r2"].shape == (3, len(SUBJECTS))
        assert {arrays[name].shape for name in ("cka", "cka_p", "biased_cka", "rdm")} == {(3, 4)}
        assert (arrays["biased_cka"] > arrays["cka"]).all()
        totals = arrays["totals"]
        np.testing.assert_allclose(arrays["r2"][1], 1 - arrays["errors"][1] / totals, atol=1e-4)
    record = json.loads(record_path(find("planted")).read_text())
    assert record["parameters"]["nuisance"] == ["baseline_length", "baseline_position"]
    assert call(SCORE, "--model", "planted", "--benchmark", benchmark, *options, *FAST)[1].endswith(
        "is there already\n"
    )
    status, _, error = call(SCORE, "--model", "planted", "--benchmark", benchmark, *FAST)
    assert (status, "--overwrite makes it again" in error) == (2, True)


def test_one_penalty_for_each_neuroid(benchmark, call):
    assert call(SCORE, "--model", "planted", "--benchmark", benchmark, "--alpha_per", "target", *FAST)[0] == 0
    assert read_scores(find("planted"))["alphas"].shape == (3, 10, len(SUBJECTS))


def test_penalties_at_the_ends_are_reported(benchmark, call):
    printed = call(SCORE, "--model", "planted", "--benchmark", benchmark, "--alphas", 3, 5, 3, *FAST)[1]
    assert "warning: " in printed


def test_scores_are_divided_only_by_ceilings_of_the_same_splits(benchmark, call):
    assert call(CEILING, "--benchmark", benchmark)[0] == 0
    assert call(CEILING, "--benchmark", benchmark, "--splits", "shuffled")[0] == 0
    assert call(SCORE, "--model", "planted", "--benchmark", benchmark, *FAST)[0] == 0
    rows, limits = pooled("planted"), pd.read_csv(brain_ceiling_path("made", "groups", "ridge").with_suffix(".csv"))
    assert rows["ceiling"][1] == pytest.approx(limits["at_n"].iloc[-1], abs=1e-6)
    np.testing.assert_allclose(rows["score"], rows["raw"] / rows["ceiling"])
    assert rows["score"].max() > 1  # not clipped: the planted features predict better than noisy subjects
    wrong = brain_ceiling_path("made", "shuffled", "ridge")
    status, _, error = call(SCORE, "--model", "exact", "--benchmark", benchmark, "--ceiling", wrong, *FAST)
    assert (status, "splits: expected the splits of the scores, groups, got shuffled" in error) == (2, True)


def test_published_methods_have_names_of_their_own(benchmark, call):
    for method, splits, regression in (
        ("brainscore", "groups", "ridge"),
        ("brainscore", "shuffled", "linear"),
        ("neural_nlp", "shuffled", "linear"),
    ):
        options = ("--as_published", method, "--splits", splits, "--regression", regression)
        assert call(SCORE, "--model", "planted", "--benchmark", benchmark, *options, *FAST)[0] == 0
        assert len(pooled("planted", splits, f"{regression}-{method}")) == 3
    arrays = read_scores(find("planted", "shuffled", "linear-neural_nlp"))
    means = arrays["correlations"][1].mean(axis=0)
    expected = np.median([np.median(means[subject == SUBJECTS]) for subject in "pqr"])
    assert pooled("planted", "shuffled", "linear-neural_nlp")["raw"][1] == pytest.approx(expected, abs=1e-6)
    status, _, error = call(SCORE, "--model", "planted", "--benchmark", benchmark, "--as_published", "neural_nlp")
    assert (status, "expected --splits shuffled --regression linear" in error) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "missing", "--benchmark", "made"], "expected a file, got none"),
        (["--model", "exact", "--benchmark", "missing"], "expected a file, got none"),
        (["--model", "exact", "--benchmark", "made", "--nuisance", "planted"], "expected one layer, got 3"),
        (["--model", "exact", "--benchmark", "made", "--alphas", "5", "3", "2"], "the lower first"),
        (
            ["--model", "exact", "--benchmark", "made", "--regression", "linear", "--nuisance", "x"],
            "--regression ridge",
        ),
        (["--model", "short", "--benchmark", "made"], "expected arrays (60, n_features)"),
    ],
)
def test_wrong_options_and_files_are_one_line(benchmark, call, options, message):
    write_model("short", [np.zeros((20, 3))])
    status, _, error = call(SCORE, *options)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error


def test_models_are_compared_with_the_best_baseline(benchmark, call):
    for stem in (
        make_baseline(call, "length", "baseline_length"),
        make_baseline(call, "random_vector", "baseline_random_vector_seed-1"),
    ):
        assert call(SCORE, "--model", stem, "--benchmark", benchmark, *FAST)[0] == 0
    for stem in ("planted", "scrambled"):
        assert call(SCORE, "--model", stem, "--benchmark", benchmark, *FAST)[0] == 0
    status, printed, error = call(COMPARE)
    assert status == 0, error
    lines = {line.split()[0]: line for line in printed.splitlines()}
    assert "; something is left beyond baseline_" in lines["planted"]
    assert "; nothing is shown to be left beyond baseline_" in lines["scrambled"]
    table = pd.read_csv(figure_path("brain_benchmarks.csv"))
    assert sorted(table["model"]) == sorted(
        ["planted", "scrambled", "baseline_length", "baseline_random_vector_seed-1"]
    )
    assert table["difference"].notna().sum() == 2
    assert figure_path("brain_benchmark_made_groups_ridge.png").is_file()
    status, _, error = call(COMPARE, "--benchmark", "other")
    assert (status, "expected one of made" in error) == (2, True)


def test_published_numbers_stand_only_next_to_the_splits_that_they_were_made_with(benchmark, call):
    for splits in ("groups", "shuffled"):
        assert call(SCORE, "--model", "planted", "--benchmark", benchmark, "--splits", splits, *FAST)[0] == 0
    row = {"benchmark": "made", "model": "planted", "splits": "shuffled", "raw": "0.25"}
    table, _ = compare_models([], pd.DataFrame([row]))
    numbers = table.set_index("splits")["published"]
    assert numbers["shuffled"] == 0.25
    assert np.isnan(numbers["groups"])


def test_selected_units_are_scored_alone(benchmark, call, tmp_path):
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((N_TOPICS * N_PARTS, 8)).astype(np.float32)
    exact = np.concatenate([run[0] for run in joblib.load(activations_path("exact", "made"))])
    write_model("wide", [np.hstack([noise[:, :4], exact[:, :4]]), noise])
    masks = np.zeros((2, 2, 8), dtype=bool)
    masks[0, 0, 4:6] = masks[1, 0, :2] = True
    file = tmp_path / "units.npz"
    np.savez(file, mask=masks[0], random_mask=masks[1])
    write_model("wide_by-hand", [exact[:, :2]])
    for options in (("wide", "--units", file), ("wide", "--units", file, "--random_units"), ("wide_by-hand",)):
        assert call(SCORE, "--model", options[0], "--benchmark", benchmark, *options[1:], *FAST)[0] == 0
    by_hand = read_scores(find("wide_by-hand"))["correlations"][0]
    selected = read_scores(find("wide_units"))["correlations"]
    np.testing.assert_array_equal(selected[0], by_hand)
    assert (selected[1] == 0).all()  # none of its units is selected
    assert pooled("wide_random-units")["raw"][0] < pooled("wide_units")["raw"][0]
    record = json.loads(record_path(find("wide_units")).read_text())
    assert "units.npz" in record["inputs"]
    wrong = {"other.npz": masks[0][:, :7], "numbers.npz": masks[0].astype(float), "flat.npz": masks[0][0]}
    for name, mask in wrong.items():
        np.savez(tmp_path / name, mask=mask)
        options = ("--splits", "shuffled", "--units", tmp_path / name)
        status, _, error = call(SCORE, "--model", "wide", "--benchmark", benchmark, *options)
        assert (status, error.count("\n"), "expected bool (2, 8)" in error) == (2, 1, True), error
    for options in (("--units", tmp_path / "none.npz"), ("--random_units",)):
        status, _, error = call(SCORE, "--model", "exact", "--benchmark", benchmark, *options)
        assert (status, error.count("\n")) == (2, 1)


# ---------------------------------------------------------------- the statistics behind


def test_resampled_medians_are_those_of_repeated_neuroids():
    rng = np.random.default_rng(0)
    values, counts = rng.standard_normal(len(SUBJECTS)), rng.integers(0, 3, (50, 3))
    counts[0] = 0
    values[2] = np.nan
    medians = compute_resampled_medians(values, SUBJECTS, counts)
    assert np.isnan(medians[0])
    for row, drawn in zip(medians[1:], counts[1:], strict=True):
        repeated = [values[name == SUBJECTS] for name, n in zip("pqr", drawn, strict=True) for _ in range(n)]
        if repeated:
            assert row == pytest.approx(np.nanmedian(np.concatenate(repeated)))


def test_intervals_cover_the_mean_of_folds():
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        correlations = 0.3 + 0.1 * rng.standard_normal((10, 1)) + 0.01 * rng.standard_normal((10, 8))
        _, low, high = score_subjects(correlations, np.repeat(["a"], 8), n_resamples=200)[POOLED]
        covered.append(low <= 0.3 <= high)
    assert np.mean(covered) > 0.8


def test_a_layer_is_never_chosen_on_the_fold_that_it_scores():
    correlations = np.zeros((2, 4, 3))
    correlations[0], correlations[1, 0] = 0.1, 10  # layer 1 is better in fold 0 only
    layers, chosen = choose_layers_nested(correlations)
    assert layers.tolist() == [0, 1, 1, 1]
    assert chosen[0].tolist() == [0.1] * 3


def test_unique_r2_is_a_share_of_all_folds():
    errors, alone, totals = np.array([[1.0], [8.0]]), np.array([[2.0], [9.0]]), np.array([[2.0], [18.0]])
    assert compute_unique_r2(errors, alone, totals).tolist() == [0.1]
    assert np.isnan(compute_unique_r2(errors, alone, 0 * totals)).all()


def test_the_published_numbers_stand_in_the_readme():
    folder = Path(__file__).parents[3] / "experiments" / "brain_score"
    readme = (folder / "README.md").read_text()
    for row in pd.read_csv(folder / "published.csv", dtype=str).itertuples():
        assert row.model in readme
        for number in (row.raw, row.ceiling, row.score):
            assert pd.isna(number) or number in readme


def write_pairs(path, n_pairs, n_right):
    scores = [(-1.0, -2.0) if pair < n_right else (-2.0, -1.0) for pair in range(n_pairs)]
    rows = [("p", pair, f"good {pair}", f"bad {pair}", *both) for pair, both in enumerate(scores)]
    columns = ["paradigm", "pair", "good", "bad", "logprob_good", "logprob_bad"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)


def test_a_series_of_checkpoints_is_described_over_training(benchmark, call, study_folder):
    """The planted features come in more and more of the training; the table holds their tokens."""
    rng = np.random.default_rng(1)
    responses = read_benchmark(benchmark).responses
    (study_folder / "brain_benchmark_results").mkdir()
    (study_folder / "blimp_results").mkdir()
    for step, share in enumerate([0, 0, 0.1, 1, 1, 1, 1]):
        stem = f"lm_step{step}-tokens{10 ** (step + 1)}"
        write_model(stem, [share * responses + 3 * rng.standard_normal(responses.shape)])
        record = {"parameters": {}, "checkpoint": {"model": "lm", "revision": stem.removeprefix("lm_")}}
        record_path(activations_path(stem, benchmark)).write_text(json.dumps(record))
        text = f"paradigm,phenomenon,n_pairs,n_ties,accuracy\np,x,200,0,{0.5 + share / 2}\n"
        (study_folder / "blimp_results" / f"{stem}_blimp.csv").write_text(text)
        write_pairs(study_folder / "blimp_results" / f"{stem}_blimp_pairs.csv.gz", 200, n_right=int(100 + 100 * share))
        assert call(SCORE, "--model", stem, "--benchmark", benchmark, *FAST)[0] == 0
    _, printed, _ = call(COMPARE)
    assert "lm on made (groups, ridge) over training: the score rises" in printed
    assert "its alignment with BLiMP is " in printed
    transitions = pd.read_csv(figure_path("brain_benchmark_transitions.csv")).set_index("curve")
    assert transitions.index.tolist() == ["brain_score", "blimp"]
    assert transitions.loc["blimp", "alignment"] > 0.8
    assert 2 < transitions.loc["brain_score", "x0"] < 4.5
    table, curves = compare_models([], pd.DataFrame(columns=["benchmark", "model", "splits", "raw"]))
    (tokens, curve, blimp), *_ = curves.values()
    assert tokens.tolist() == [10.0 ** (step + 1) for step in range(7)]
    assert blimp.values.tolist() == [0.5, 0.5, 0.55, 1, 1, 1, 1]
    assert curve.resamples.shape == (1000, 7)
    assert table["tokens"].notna().all()
