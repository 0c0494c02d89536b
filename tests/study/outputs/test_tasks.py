"""A part of a benchmark is called a part, and parts of several sizes are not one curve."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import add_blimp
from task_results import checkpoints_of, mean_accuracy, pairs_of, write_results

from pipeline.errors import InputError
from pipeline.tasks import dyck, table
from pipeline.tasks.arithmetic import DIGITS, OPERATIONS
from pipeline.tasks.minimal_pairs import select_first_pairs
from pipeline.tasks.table import BENCHMARKS
from study.files.tables import write_table
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.outputs import task_tables
from study.outputs.comparability import find_differences
from study.outputs.tasks import describe_parts, read_benchmark_items, read_benchmarks
from study.paths import benchmark_pairs_path, benchmark_path
from study.records import record_path

WHOLE = {
    "blimp": [(f"p{k}", 1000) for k in range(67)],
    "zorro": [(f"p{k}", 2000) for k in range(23)],
    "dyck": [(f"p{k}", 1000) for k in range(7)],
    "arithmetic": [
        ("addition_1_digit", 78),
        ("subtraction_1_digit", 44),
        ("multiplication_1_digit", 78),
        *((f"p{k}", 1000) for k in range(6)),
    ],
}


def test_sizes_are_those_of_the_benchmarks():
    assert {name: (size.n_paradigms, size.n_pairs) for name, size in BENCHMARKS.items()} == {
        "blimp": (67, 67_000),
        "zorro": (23, 46_000),
        "arithmetic": (9, 6_200),
        "dyck": (7, 7_000),
    }
    assert len(OPERATIONS) * len(DIGITS) == 9
    assert dyck.make_dyck_pairs(1, n_pairs=2)["paradigm"].nunique() == 7


def test_sizes_are_those_of_the_published_files(published, monkeypatch):
    monkeypatch.setenv("LTBA_DIR", str(published))
    for benchmark, read in [("blimp", read_blimp), ("zorro", read_zorro)]:
        pairs = read()
        part = tuple(sorted(pairs["paradigm"].value_counts().items()))
        assert len(pairs) == BENCHMARKS[benchmark].n_pairs
        assert table.is_whole(benchmark, part)
        assert table.describe_part(benchmark, part) == ""


@pytest.mark.parametrize("benchmark", WHOLE)
def test_a_whole_benchmark_is_no_part_and_anything_less_is(benchmark):
    whole = tuple(sorted(WHOLE[benchmark]))
    assert table.describe_part(benchmark, whole) == ""
    without_numbers = tuple((paradigm, None) for paradigm, _ in whole)
    assert table.describe_part(benchmark, without_numbers) == ""
    n, size = len(whole), BENCHMARKS[benchmark]
    assert table.describe_part(benchmark, without_numbers[1:]) == (f"{benchmark} is a part: {n - 1} of {n} paradigms")
    about = "about " if benchmark == "arithmetic" else ""
    for limit in (1, 999):
        cut = tuple((paradigm, min(limit, of_paradigm)) for paradigm, of_paradigm in whole)
        n_pairs = sum(min(limit, of_paradigm) for _, of_paradigm in whole)
        assert table.describe_part(benchmark, cut) == (
            f"{benchmark} is a part: {n} of {n} paradigms, {n_pairs:,} of {about}{size.n_pairs:,} pairs"
        )
    assert "is not the published set" in table.describe_part(benchmark, (*whole, ("q", 1000)))


def test_arithmetic_with_another_seed_is_whole():
    """How many problems of one digit make pairs depends on the seed."""
    other = dict(WHOLE["arithmetic"]) | {"addition_1_digit": 76, "subtraction_1_digit": 42}
    assert table.is_whole("arithmetic", tuple(sorted(other.items())))


def test_the_part_that_most_have_counts():
    small, middle, large = (("a", 5),), (("a", 10),), (("a", 10), ("b", 10))
    unknown = (("a", None),)
    for parts, expected in [
        ([small, small, large], small),
        ([small, large], large),
        ([small, middle], middle),
        ([None, small, None], small),
        ([None, None], None),
        ([], None),
        ([small, small, unknown, large, large], small),  # of the same paradigms, which supports it
        ([small, middle, unknown], middle),
        ([unknown, unknown, large], unknown),
        ([unknown, unknown, (("a", 5), ("a", 5))], unknown),  # a damaged table with a paradigm twice is another part
    ]:
        assert table.find_most_common_part(parts) == expected
        assert table.find_most_common_part(parts[::-1]) == expected
    assert table.is_same_part(small, unknown)
    assert not table.is_same_part(small, middle)
    assert not table.is_same_part(small, large)
    twice = (("a", None), ("a", None))  # a damaged table repeats a paradigm
    assert table.find_most_common_part([twice, small]) == twice


# ---------------------------------------------------------------- the study folder


def test_checkpoints_with_another_part_are_left_out_and_named(study_folder):
    usual = {revision: pairs_of("abcd", 20, seed) for seed, revision in enumerate(["s1", "s2", "s4"])}
    for revision, pairs in usual.items():
        write_results(revision, pairs)
    write_results("s8", pairs_of("ab", 20, 7))
    write_results("s16", pairs_of("abcd", 5, 8))
    checkpoints = checkpoints_of("s1", "s2", "s4", "s8", "s16", "s32")
    scores = read_benchmarks("lm", checkpoints)["blimp"].tolist()
    assert scores[:3] == pytest.approx([mean_accuracy(pairs) for pairs in usual.values()])
    assert np.isnan(scores[3:]).all()
    values, paradigms, _ = read_benchmark_items("lm", checkpoints)["blimp"]
    assert values.shape == (6, 80)
    assert paradigms.tolist() == list("a" * 20 + "b" * 20 + "c" * 20 + "d" * 20)
    for row, pairs in enumerate(usual.values()):
        assert values[row].tolist() == (pairs["logprob_good"] > pairs["logprob_bad"]).tolist()
    assert np.isnan(values[3:]).all()
    rest = "than in the rest of the curve (4 of 67 paradigms, 80 of 67,000 pairs), and is left out there"
    assert find_differences("lm", checkpoints, "en") == [
        f"blimp is another part at s8 (2 of 67 paradigms, 40 of 67,000 pairs) {rest}",
        f"blimp is another part at s16 (4 of 67 paradigms, 20 of 67,000 pairs) {rest}",
    ]
    assert describe_parts("lm", checkpoints) == [
        "blimp is a part: 4 of 67 paradigms, 80 of 67,000 pairs",
    ]


def test_where_as_many_checkpoints_have_either_part_the_larger_counts(study_folder):
    write_results("s1", pairs_of("ab", 4, 0))
    write_results("s2", pairs_of("ab", 6, 1))
    checkpoints = checkpoints_of("s1", "s2")
    assert read_benchmarks("lm", checkpoints)["blimp"].isna().tolist() == [True, False]
    assert np.isnan(read_benchmark_items("lm", checkpoints)["blimp"][0]).all(axis=1).tolist() == [True, False]


def test_tables_of_others_without_numbers_of_pairs_are_read(study_folder):
    """As older versions and the published code leave them: with or without pairs, with or without n_pairs."""
    usual = {revision: pairs_of("ab", 6, seed) for seed, revision in enumerate(["s1", "s2", "s4"])}
    write_results("s1", usual["s1"], drop=["n_pairs", "n_ties"], what=["accuracies"])
    write_results("s2", usual["s2"], drop=["n_pairs", "n_ties", "phenomenon"])
    write_results("s4", usual["s4"])
    write_results("s8", pairs_of("ab", 3, 9), drop=["n_pairs"])  # another part, which its pairs show
    checkpoints = checkpoints_of(*usual, "s8")
    scores = read_benchmarks("lm", checkpoints)["blimp"].tolist()
    assert scores[:3] == pytest.approx([mean_accuracy(pairs) for pairs in usual.values()])
    assert np.isnan(scores[3])
    values, _, _ = read_benchmark_items("lm", checkpoints)["blimp"]
    assert np.isnan(values).all(axis=1).tolist() == [True, False, False, True]
    assert len(find_differences("lm", checkpoints, "en")) == 1


def test_the_same_pairs_in_another_order_are_the_same(study_folder):
    first, second = pairs_of("ab", 5, 0), pairs_of("ab", 5, 1)
    write_results("s1", first)
    write_results("s2", second.sample(frac=1, random_state=0))
    values, paradigms, _ = read_benchmark_items("lm", checkpoints_of("s1", "s2"))["blimp"]
    assert paradigms.tolist() == ["a"] * 5 + ["b"] * 5
    assert values[1].tolist() == (second["logprob_good"] > second["logprob_bad"]).tolist()


def test_pairs_of_other_numbers_are_named(study_folder):
    write_results("s1", pairs_of("ab", 5, 0))
    write_results("s2", pairs_of("ab", 5, 1, shift=1))
    with pytest.raises(
        InputError, match=r"lm_s2_blimp_pairs\.csv\.gz: expected the pairs of lm_s1_blimp_pairs\.csv\.gz"
    ):
        read_benchmark_items("lm", checkpoints_of("s1", "s2"))


def test_a_table_that_cannot_be_an_accuracy_is_named(study_folder):
    path = benchmark_path("lm_s1", "blimp")
    write_table(path, pd.DataFrame({"paradigm": ["a", "b"], "accuracy": [0.5, 81.2]}))
    with pytest.raises(InputError, match=r"lm_s1_blimp\.csv: line 3: expected an accuracy from 0 to 1, got 81\.2"):
        read_benchmarks("lm", checkpoints_of("s1"))
    write_table(path, pd.DataFrame({"paradigm": [], "accuracy": []}))
    with pytest.raises(InputError, match=r"lm_s1_blimp\.csv: expected a row per paradigm"):
        read_benchmarks("lm", checkpoints_of("s1"))


# ---------------------------------------------------------------- the scripts


def test_the_first_pairs_of_each_paradigm_are_those_of_the_limit():
    pairs = pd.DataFrame({"paradigm": list("aabbbc"), "pair": [0, 1, 0, 1, 2, 0]})
    assert select_first_pairs(pairs) is pairs
    first = select_first_pairs(pairs, 2)
    assert first.to_numpy().tolist() == [["a", 0], ["a", 1], ["b", 0], ["b", 1], ["c", 0]]


def test_a_trial_is_recorded_and_called_a_part(study_folder, tiny_checkpoint, call):
    add_blimp(study_folder)
    options = ["--model", tiny_checkpoint, "--revision", "step8"]
    status, out, error = call("evaluate_llm_blimp", *options, "--limit", 3)
    assert status == 0, error
    assert out.splitlines()[-1] == "blimp is a part: 2 of 67 paradigms, 6 of 67,000 pairs"
    path = benchmark_path("tiny-pythia_step8", "blimp")
    assert pd.read_csv(path)["n_pairs"].tolist() == [3, 3]
    pairs = pd.read_csv(benchmark_pairs_path("tiny-pythia_step8", "blimp"))
    assert pairs["pair"].tolist() == [0, 1, 2] * 2
    assert pairs["good"].tolist() == read_blimp().query("pair < 3")["good"].tolist()
    assert json.loads(record_path(path).read_text())["parameters"]["limit"] == 3

    status, _, error = call("evaluate_llm_blimp", *options)
    assert status == 2
    assert "was made with limit 3" in error
    assert call("evaluate_llm_blimp", *options, "--overwrite")[0] == 0
    assert "limit" not in json.loads(record_path(path).read_text())["parameters"]
    assert pd.read_csv(path)["n_pairs"].tolist() == [10, 10]
    status, _, error = call("evaluate_llm_blimp", *options, "--limit", 0)
    assert status == 2
    assert "--limit" in error


def test_the_overview_says_which_part_of_a_benchmark_there_is(study_folder, call):
    for benchmark, part in (("dyck", WHOLE["dyck"]), ("zorro", WHOLE["zorro"][:2])):
        rows = pd.DataFrame(part, columns=["paradigm", "n_pairs"]).assign(accuracy=0.5)
        write_table(benchmark_path("lm_s1", benchmark), rows)
    status, told, _ = call("llm_brain_asym")
    assert status == 0
    head, row = (line.split() for line in told.splitlines() if line.split()[:1] in (["checkpoint"], ["lm_s1"]))
    of_stage = dict(zip(head, row, strict=False))
    assert (of_stage["dyck"], of_stage["zorro"], of_stage["blimp"]) == ("done", "part", "-")
    said = "zorro is a part: 2 of 23 paradigms, 4,000 of 46,000 pairs"
    assert told.splitlines()[-1] == said
    assert json.loads(call("llm_brain_asym", "--json")[1])["parts_of_benchmarks"] == [said]
    assert f"warning: {said}" in call("llm_brain_asym", "--check")[1].splitlines()


def test_other_sentences_under_the_same_numbers_are_an_error(tmp_path):
    pairs = pd.DataFrame({"paradigm": "p", "pair": range(3), "good": list("abc"), "bad": list("xyz")})
    pairs = pairs.assign(logprob_good=-1.0, logprob_bad=-2.0)
    rights = []
    for name, rows in [("one", pairs), ("same", pairs[::-1]), ("other", pairs.assign(good=list("abz")))]:
        write_table(tmp_path / f"{name}.csv.gz", rows)
        rights.append((tmp_path / f"{name}.csv.gz", task_tables.read_right(tmp_path / f"{name}.csv.gz")))
    assert task_tables.join_pairs(rights[:2])[0].tolist() == [[1, 1, 1]] * 2
    with pytest.raises(InputError, match=r"other\.csv\.gz: expected the sentences of one\.csv\.gz"):
        task_tables.join_pairs(rights)


def write_scored(stem, right, **scoring):
    """Write a table of 4 pairs and its record, with the scoring options of the record."""
    pairs = pd.DataFrame({"paradigm": "p", "pair": range(4), "good": list("abcd"), "bad": list("efgh")})
    pairs["logprob_good"], pairs["logprob_bad"] = right, 0
    path = benchmark_path(stem, "blimp")
    path.parent.mkdir(exist_ok=True)
    write_table(benchmark_pairs_path(stem, "blimp"), pairs)
    write_table(path, pd.DataFrame({"paradigm": ["p"], "n_pairs": 4, "accuracy": np.mean(np.array(right) > 0)}))
    record_path(path).write_text(json.dumps({"parameters": {"revision": stem, "leading_space": False} | scoring}))


@pytest.mark.parametrize("option", ["no_bos", "mean", "leading_space"])
def test_scores_of_different_options_are_not_one_curve(study_folder, option):
    checkpoints = pd.DataFrame({"stem": ["m_a", "m_b", "m_c", "m_d"], "revision": list("abcd")})
    for stem in "m_a", "m_b", "m_d":
        write_scored(stem, [1, 1, -1, 1])
    write_scored("m_c", [1, 1, 1, 1], **{option: True})
    record_path(benchmark_path("m_d", "blimp")).unlink()  # its options are not known
    np.testing.assert_array_equal(read_benchmarks("m", checkpoints)["blimp"], [0.75, 0.75, np.nan, 0.75])
    values, *_ = read_benchmark_items("m", checkpoints)["blimp"]
    assert np.isnan(values).all(axis=1).tolist() == [False, False, True, False]
    expected = f"blimp is scored with --{option} at c, and without options in the rest of the curve"
    assert [line for line in find_differences("m", checkpoints, "en") if "scored" in line] == [
        f"{expected}, and is left out there"
    ]


def test_the_part_of_a_curve_is_that_of_its_usual_scoring(study_folder):
    checkpoints = pd.DataFrame({"stem": ["m_a", "m_b", "m_c"], "revision": list("abc")})
    write_scored("m_a", [1, 1, -1, 1], mean=True)
    write_scored("m_b", [1, 1, 1, 1], mean=True)
    write_scored("m_c", [1, 1, 1, -1])
    np.testing.assert_array_equal(read_benchmarks("m", checkpoints)["blimp"], [0.75, 1, np.nan])
