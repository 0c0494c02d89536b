"""Test minimal pairs: log-probabilities against a slow reference and lm-eval, benchmarks, generators."""

import hashlib
import itertools
import json
import os
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from helpers import all_files
from made_pairs import RECORD

from pipeline.tasks import arithmetic, dyck
from study.records import record_path


@pytest.fixture(scope="module")
def arithmetic_pairs():
    return arithmetic.make_arithmetic_pairs(12345)


def test_arithmetic_is_right_and_its_foils_are_close(arithmetic_pairs):
    sizes = arithmetic_pairs.groupby("paradigm", sort=False).size()
    assert len(sizes) == 9
    assert (sizes[[name for name in sizes.index if "1_digit" not in name]] == 1000).all()
    # Of 81 sums, 45 differences and 81 products, nearly all find a partner.
    assert sizes["addition_1_digit"] >= 76
    assert sizes["subtraction_1_digit"] >= 42
    assert sizes["multiplication_1_digit"] >= 70
    assert not arithmetic_pairs.duplicated(["paradigm", "good"]).any()
    for row in arithmetic_pairs.itertuples():
        (problem, answer), (same, foil) = row.good.split(" = "), row.bad.split(" = ")
        a, sign, b = problem.split()
        n_digits = int(re.search(r"\d", row.paradigm)[0])
        assert problem == same
        assert len(a) == len(b) == n_digits
        assert int(answer) == {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[sign]
        assert len(foil) == len(answer)
        assert 1 <= abs(int(foil) - int(answer)) <= 9


def test_a_model_that_only_knows_how_frequent_numbers_are_stays_at_half(arithmetic_pairs):
    rng = np.random.default_rng(0)
    for _, pairs in arithmetic_pairs.groupby("paradigm"):
        answers, foils = ([int(sentence.split(" = ")[1]) for sentence in pairs[side]] for side in ("good", "bad"))
        assert Counter(answers) == Counter(foils)
        preference = dict(zip(set(answers), rng.random(len(set(answers))), strict=True))
        right = [preference[answer] > preference[foil] for answer, foil in zip(answers, foils, strict=True)]
        assert np.mean(right) == 0.5


@pytest.fixture(scope="module")
def dyck_pairs():
    return dyck.make_dyck_pairs(12345)


def test_the_two_problems_of_a_match_are_one_group(arithmetic_pairs):
    for _, pairs in arithmetic_pairs.groupby(["paradigm", "group"]):
        first, second = pairs.to_dict("records")
        assert first["good"].split(" = ")[1] == second["bad"].split(" = ")[1]
        assert first["bad"].split(" = ")[1] == second["good"].split(" = ")[1]


def test_two_pairs_with_opposite_changes_are_one_group(dyck_pairs):
    for _, pairs in dyck_pairs.groupby(["paradigm", "group"]):
        first, second = ([row[side].replace(" ", "") for side in ("good", "bad")] for row in pairs.to_dict("records"))
        assert dyck.make_local_changes(*first) == dyck.make_local_changes(*second[::-1])


@pytest.mark.parametrize("make", [arithmetic.make_arithmetic_pairs, dyck.make_dyck_pairs])
@pytest.mark.parametrize("n_pairs", [2, 20])
def test_groups_are_numbered_within_paradigms_as_tables_without_groups_are_read(make, n_pairs):
    pairs = make(3, n_pairs)
    assert pairs["group"].tolist() == (pairs["pair"] // 2).tolist()
    assert (pairs.groupby(["paradigm", "group"]).size() == 2).all()


def is_dyck(string):
    """Return whether nothing remains of a string after all closed pairs are removed repeatedly."""
    string = string.replace(" ", "")
    while (shorter := re.sub(r"\(\)|\[\]|\{\}", "", string)) != string:
        string = shorter
    return string == ""


def test_dyck_strings_are_well_formed_except_for_one_change(dyck_pairs):
    assert dyck_pairs.groupby("paradigm", sort=False).size().to_dict() == {
        f"dyck{kinds}_{change}": 1000
        for kinds in (1, 2, 3)
        for change in ("turned", "wrong_kind", "exchanged")
        if kinds > 1 or change == "turned"
    }
    assert not dyck_pairs.duplicated(["paradigm", "good", "bad"]).any()
    kind = str.maketrans("([{)]}", "012012")
    shape = str.maketrans("([{)]}", "<<<>>>")
    for row in dyck_pairs.itertuples():
        good, bad = row.good.split(" "), row.bad.split(" ")
        assert is_dyck(row.good)
        assert not is_dyck(row.bad)
        assert len(good) == len(bad)
        assert set(good) <= set("()[]{}"[: 2 * int(row.phenomenon[-1])])
        changed = [pair for pair in zip(good, bad, strict=True) if pair[0] != pair[1]]
        if row.paradigm.endswith("exchanged"):
            assert len(changed) == 2
            assert changed[0] == changed[1][::-1]
            assert changed[0][0].translate(shape) == changed[0][1].translate(shape)
        else:
            ((before, after),) = changed
            unchanged = shape if row.paradigm.endswith("wrong_kind") else kind
            assert before.translate(unchanged) == after.translate(unchanged)
            assert row.paradigm.endswith("turned") or before in ")]}"


def test_dyck_strings_are_of_several_lengths_and_depths(dyck_pairs):
    for _, pairs in dyck_pairs.groupby("paradigm"):
        assert pairs["good"].str.split(" ").map(len).value_counts().loc[[8, 12, 16, 20, 24]].min() >= 10
        depths = [max(itertools.accumulate(1 if b in "([{" else -1 for b in good.split())) for good in pairs["good"]]
        assert {2, 3, 4, 5, 6} <= set(depths)


def test_a_preference_that_grows_along_the_string_does_not_separate_good_from_bad(dyck_pairs):
    """An untrained model may have such a preference for a bracket."""
    rng = np.random.default_rng(0)
    for paradigm, pairs in dyck_pairs.groupby("paradigm"):
        shares = []
        for _ in range(20):
            preference, growth = (dict(zip("()[]{}", rng.standard_normal(6), strict=True)) for _ in range(2))

            def score(string, preference=preference, growth=growth):
                return sum(preference[b] + growth[b] * np.sqrt(k) for k, b in enumerate(string.split(" ")))

            shares.append(np.mean([score(row.good) > score(row.bad) for row in pairs.itertuples()]))
        assert max(abs(share - 0.5) for share in shares) < 0.15, (paradigm, shares)


@pytest.mark.parametrize("seed", range(3))
def test_bigrams_do_not_separate_good_from_bad(dyck_pairs, seed):
    """Neither bigrams of the well-formed strings nor random bigrams do."""

    def bigrams(string):
        brackets = ["^", *string.split(" "), "$"]
        return list(itertools.pairwise(brackets))

    counts = Counter(bigram for good in dyck_pairs["good"] for bigram in bigrams(good))
    firsts = Counter(bigram[0] for good in dyck_pairs["good"] for bigram in bigrams(good))
    rng = np.random.default_rng(seed)
    for paradigm, pairs in dyck_pairs.groupby("paradigm"):
        for weights in (
            lambda bigram: np.log((counts[bigram] + 0.01) / firsts[bigram[0]]),
            dict(zip(itertools.product("^()[]{}", "()[]{}$"), rng.standard_normal(49), strict=True)).__getitem__,
        ):
            differences = [
                round(sum(map(weights, bigrams(row.good))) - sum(map(weights, bigrams(row.bad))), 9)
                for row in pairs.itertuples()
            ]
            assert np.mean(np.sign(differences)) == 0, paradigm


@pytest.mark.parametrize(
    ("make", "checksum"),
    [
        (arithmetic.make_arithmetic_pairs, "a318dd6886000dd4"),
        (dyck.make_dyck_pairs, "f8c718200e476f56"),
    ],
)
def test_the_same_seed_makes_the_same_pairs(make, checksum):
    """If this checksum changes, the benchmark has changed, and older results cannot be compared."""
    pairs = make(12345).drop(columns="group")  # which the first versions did not have
    assert hashlib.sha256(pairs.to_csv(index=False).encode()).hexdigest()[:16] == checksum
    assert not make(1).equals(make(12345))


@pytest.mark.parametrize("benchmark", ["blimp", "zorro", "arithmetic", "dyck"])
def test_the_scripts_write_tables_and_records(study_folder, call, tiny_checkpoint, benchmark):
    (study_folder / "blimp" / "data").mkdir(parents=True)
    (study_folder / "blimp" / "data" / "p_1.jsonl").write_text((json.dumps(RECORD) + "\n") * 3)
    (study_folder / "Zorro" / "sentences" / "babyberta").mkdir(parents=True)
    (study_folder / "Zorro" / "sentences" / "babyberta" / "x-p_1.txt").write_text("b a .\r\na b .\r\n" * 2)
    script, options = f"evaluate_llm_{benchmark}", ["--model", tiny_checkpoint, "--revision", "step8"]
    if benchmark in ("arithmetic", "dyck"):
        options += ["--limit", 30]
    status, out, err = call(script, *options)
    assert status == 0, err
    assert re.search(r"^ *all +\d+ +\d+ +\d+ +[01]\.\d{3}$", out, re.MULTILINE)
    path = study_folder / f"{benchmark}_results" / f"tiny-pythia_step8_{benchmark}.csv"
    table = pd.read_csv(path)
    columns = ["paradigm", "phenomenon", "n_pairs", "n_ties", "accuracy"]
    assert list(table.columns) == columns + ["field"] * (benchmark == "blimp")
    pairs = pd.read_csv(path.with_name(f"tiny-pythia_step8_{benchmark}_pairs.csv.gz"))
    group = ["group"] if benchmark in ("arithmetic", "dyck") else []
    assert list(pairs.columns) == ["paradigm", "pair", *group, "good", "bad", "logprob_good", "logprob_bad"]
    accuracies = (pairs["logprob_good"] > pairs["logprob_bad"]).groupby(pairs["paradigm"], sort=False).mean()
    assert accuracies.to_dict() == table.set_index("paradigm")["accuracy"].to_dict()
    record = json.loads(record_path(path).read_text())
    assert record["parameters"]["revision"] == "step8"
    assert len(record["inputs"]) == (benchmark in ("blimp", "zorro"))

    before = all_files(study_folder)
    assert "is there already" in call(script, *options)[1]
    changed = ["--seed", "1"] if benchmark in ("arithmetic", "dyck") else ["--leading_space"]
    status, _, err = call(script, *options, *changed)
    assert status == 2
    assert "was made with" in err
    assert all_files(study_folder) == before

    if benchmark in ("blimp", "zorro"):
        source = next(path for path in before if path.suffix == (".jsonl" if benchmark == "blimp" else ".txt"))
        source.write_bytes(before[source] * 2)
        os.utime(source, (path.stat().st_mtime + 10,) * 2)
        status, _, err = call(script, *options)
        assert status == 2
        assert f"was made from another {source}, which has changed since" in err
        source.unlink()  # an existing result does not need the benchmark
        assert "is there already" in call(script, *options)[1]
        source.write_bytes(before[source])

    elsewhere = study_folder / "elsewhere"
    assert call(script, *options, "--output_folder", elsewhere, "--batch_size", 7)[0] == 0
    copied = pd.read_csv(elsewhere / f"tiny-pythia_step8_{benchmark}_pairs.csv.gz")
    np.testing.assert_allclose(copied["logprob_good"], pairs["logprob_good"], rtol=1e-5)
