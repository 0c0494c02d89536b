"""Groups of pairs are read from tables of every version, paradigms weigh by their pairs, and fields are curves."""

import pandas as pd
import pytest
from task_results import checkpoints_of, mean_accuracy, pairs_of, write_results

from pipeline.errors import InputError
from pipeline.statistics.resampling import resample_means
from pipeline.tasks import table
from study.files.tables import write_table
from study.outputs.tasks import read_benchmark_items, read_benchmarks
from study.paths import benchmark_path


def read_items_of(revisions, benchmark):
    return read_benchmark_items("lm", checkpoints_of(*revisions))[benchmark]


@pytest.mark.parametrize("benchmark", ["arithmetic", "dyck"])
def test_a_table_without_groups_has_the_groups_of_its_numbers(study_folder, benchmark):
    """Also where --limit has cut a group, and where rows have another order."""
    pairs = pairs_of("ab", 5, 0).sample(frac=1, random_state=1)
    write_results("s1", pairs, benchmark)
    write_results("s2", pairs.assign(group=pairs["pair"] // 2), benchmark)
    for revisions in (["s1"], ["s2"], ["s1", "s2"], ["s2", "s1"]):
        _, paradigms, groups = read_items_of(revisions, benchmark)
        assert paradigms.tolist() == pairs["paradigm"].tolist()
        assert groups.tolist() == (pairs["pair"] // 2).astype(str).tolist()


def test_each_pair_of_other_benchmarks_is_a_group_of_its_own(study_folder):
    write_results("s1", pairs_of("ab", 4, 0))
    _, paradigms, groups = read_items_of(["s1"], "blimp")
    assert len(set(zip(paradigms, groups, strict=True))) == 8


def test_other_groups_under_the_same_numbers_are_an_error(study_folder):
    pairs = pairs_of("a", 4, 0)
    write_results("s1", pairs, "dyck")
    write_results("s2", pairs.assign(group=[0, 1, 0, 1]), "dyck")
    with pytest.raises(InputError, match=r"lm_s2_dyck_pairs\.csv\.gz: expected the pairs of lm_s1_dyck"):
        read_items_of(["s1", "s2"], "dyck")


def test_numbers_of_pairs_that_make_no_groups_are_named(study_folder):
    write_results("s1", pairs_of("a", 2, 0).assign(pair=["x", "y"]), "dyck")
    with pytest.raises(InputError, match="line 2: expected a number as pair, got 'x'"):
        read_items_of(["s1"], "dyck")


def test_a_paradigm_without_pairs_is_named(study_folder):
    path = benchmark_path("lm_s1", "blimp")
    write_table(path, pd.DataFrame({"paradigm": ["a", "b"], "n_pairs": [5, 0], "accuracy": [0.5, 0.5]}))
    with pytest.raises(InputError, match=r"lm_s1_blimp\.csv: line 3: expected 1 pair or more, got 0"):
        read_benchmarks("lm", checkpoints_of("s1"))


def test_paradigms_of_a_benchmark_weigh_by_their_pairs(study_folder):
    """The score and the curve are the same, and a table without n_pairs has the weights of the rest."""
    pairs = pd.concat([pairs_of("a", 4, 0), pairs_of("b", 40, 1)])
    write_results("s1", pairs, "arithmetic")
    write_results("s2", pairs, "arithmetic", drop=["n_pairs"], what=["accuracies"])
    share = (pairs["logprob_good"] > pairs["logprob_bad"]).mean()
    checkpoints = checkpoints_of("s1", "s2")
    assert read_benchmarks("lm", checkpoints)["arithmetic"].tolist() == pytest.approx([share, share])
    values, paradigms, groups = read_items_of(["s1", "s2"], "arithmetic")
    assert resample_means(values, paradigms, 10, groups=groups).values[0] == pytest.approx(share)
    unknown = read_benchmarks("lm", checkpoints_of("s2"))["arithmetic"].tolist()
    assert unknown == pytest.approx([mean_accuracy(pairs)])


def test_fields_of_blimp_are_benchmarks_of_their_own(study_folder):
    fields = {"a": "morphology", "b": "syntax", "c": "syntax/semantics", "d": "syntax"}
    pairs = pairs_of("abcd", 6, 0)
    write_results("s1", pairs)  # of an older version
    checkpoints = checkpoints_of("s1", "s2")
    assert list(read_benchmark_items("lm", checkpoints)) == ["blimp"]
    pairs = pairs_of("abcd", 6, 1)
    write_results("s2", pairs.assign(field=pairs["paradigm"].map(fields)))
    items = read_benchmark_items("lm", checkpoints)
    assert list(items) == ["blimp", "blimp_morphology", "blimp_syntax", "blimp_syntax_semantics"]
    values, paradigms, groups = items["blimp_syntax"]
    assert paradigms.tolist() == ["b"] * 6 + ["d"] * 6
    right = (pairs["logprob_good"] > pairs["logprob_bad"])[pairs["paradigm"].isin(["b", "d"])]
    assert values[1].tolist() == right.tolist()
    assert len(groups) == 12
    assert {table.classify_benchmark(name, "en") for name in items} == {"formal", "other"}
    assert list(read_benchmarks("lm", checkpoints)) == ["blimp"]  # curves.csv has a column for BLiMP alone
    write_results("s2", pairs.assign(field="syntax"))  # the field is BLiMP itself
    assert list(read_benchmark_items("lm", checkpoints)) == ["blimp"]


@pytest.mark.parametrize(
    ("curve", "chance"),
    [
        *(("blimp", 0.5), ("zorro", 0.5), ("arithmetic", 0.5), ("dyck", 0.5), ("blimp_syntax", 0.5)),
        *(("arc_easy", 0.25), ("arc_challenge", 0.25), ("hellaswag", 0.25), ("french_bench_grammar", 0.25)),
        *(("acceptability", None), ("small_endings", None), ("left_minus_right", None)),
    ],
)
def test_chance_is_the_score_of_a_model_that_guesses(curve, chance):
    assert table.find_chance(curve) == chance
