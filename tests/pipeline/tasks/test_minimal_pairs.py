"""Test minimal pairs: log-probabilities against a slow reference and lm-eval, benchmarks, generators."""

import hashlib
import itertools
import json
import os
import re
from collections import Counter

import lm_eval
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import ENGLISH, FRENCH, all_files, byte_level_tokenizer, random_model
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from pipeline.errors import InputError
from pipeline.models.sentence_scores import compute_log_probabilities
from pipeline.tasks import arithmetic, dyck
from pipeline.tasks.minimal_pairs import average_by_phenomenon, compute_accuracies, score_pairs
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.records import record_path

SENTENCES = ["The people are lonely.", "The people is lonely.", "a", " a", "“Où est-il ?” — cœur …", "the the the " * 9]


def plain_log_probability(sentence, model, tokenizer):
    """Return the log-probability of a sentence with one forward pass for each token, in float64."""
    ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(sentence))
    total = 0.0
    for position, token in enumerate(ids):
        with torch.no_grad():
            logits = model(torch.tensor([[0, *ids[:position]]])).logits[0, -1].double()
        total += (logits - logits.exp().sum().log())[token].item()
    return total


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("architecture", ["olmo2", "gpt_neox"])
def test_log_probabilities_are_those_of_a_plain_reference(architecture, adds_bos):
    tokenizer = byte_level_tokenizer(ENGLISH + FRENCH, 320, adds_bos)
    model = random_model(architecture, len(tokenizer) + 13, context=128)  # more rows than tokens
    expected = [plain_log_probability(sentence, model, tokenizer) for sentence in SENTENCES]
    for batch_size in (1, 4, 64):
        scores = compute_log_probabilities(SENTENCES, model, tokenizer, batch_size)
        np.testing.assert_allclose(scores, expected, rtol=1e-5)
    # Without BOS, EOS is used.
    tokenizer.bos_token = None
    np.testing.assert_allclose(compute_log_probabilities(SENTENCES, model, tokenizer), expected, rtol=1e-5)
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="neither BOS nor EOS"):
        compute_log_probabilities(SENTENCES, model, tokenizer)


def test_what_cannot_be_scored_is_named():
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = random_model("gpt_neox", len(tokenizer), context=16)
    assert len(compute_log_probabilities(["a a a a a a a"], model, tokenizer)) == 1
    with pytest.raises(InputError, match=r"sentence 'word word .*: expected 16 tokens at most"):
        compute_log_probabilities(["a", "word " * 20], model, tokenizer)
    with pytest.raises(InputError, match="sentence '': expected a token or more, got none"):
        compute_log_probabilities(["a", ""], model, tokenizer)
    with torch.no_grad():
        model.get_output_embeddings().weight[5] = torch.inf
    with pytest.raises(InputError, match="log-probability of 'a': expected finite numbers"):
        compute_log_probabilities(["a"], model, tokenizer)


LM_EVAL_TASK = """\
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {data}
validation_split: validation
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{{{[sentence_good, sentence_bad]}}}}"
metric_list:
  - metric: acc
"""


@pytest.mark.parametrize("architecture", ["olmo2", "gpt_neox"])
def test_with_a_leading_space_every_decision_and_sum_is_lm_eval_s(published, architecture, tmp_path, monkeypatch):
    paradigms = ["adjunct_island", "principle_A_case_2", "passive_1", "npi_present_1"]
    monkeypatch.setenv("LTBA_DIR", str(published))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    pairs = read_blimp()
    pairs = pairs[pairs["paradigm"].isin(paradigms)].reset_index(drop=True)
    # Trained on the sentences themselves, so that tokens are words as well as letters.
    tokenizer = byte_level_tokenizer(" ".join(pairs["good"]), 1000, adds_bos=architecture == "olmo2")
    model = random_model(architecture, len(tokenizer), context=64)
    ours = score_pairs(pairs, model, tokenizer, batch_size=32, leading_space=True)

    for paradigm in paradigms:
        data = published / "blimp" / "data" / f"{paradigm}.jsonl"
        (tmp_path / f"{paradigm}.yaml").write_text(LM_EVAL_TASK.format(task=f"local_{paradigm}", data=data))
    results = lm_eval.simple_evaluate(
        model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=32),
        tasks=[f"local_{paradigm}" for paradigm in paradigms],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )
    n_identical = 0
    for paradigm, our_pairs in ours.groupby("paradigm"):
        samples = sorted(results["samples"][f"local_{paradigm}"], key=lambda sample: sample["doc_id"])
        theirs = np.array([[response[0] for response in sample["filtered_resps"]] for sample in samples])
        np.testing.assert_allclose(our_pairs[["logprob_good", "logprob_bad"]], theirs, rtol=1e-3)
        identical = (our_pairs["good"] == our_pairs["bad"]).to_numpy()
        right = (our_pairs["logprob_good"] > our_pairs["logprob_bad"]).to_numpy()
        np.testing.assert_array_equal(right[~identical], (theirs[:, 0] > theirs[:, 1])[~identical])
        assert not right[identical].any()
        n_identical += identical.sum()
        # lm-eval counts a tie as right, or lets rounding decide.
        accuracy = results["results"][f"local_{paradigm}"]["acc,none"]
        assert right.mean() <= accuracy + 1e-9 <= right.mean() + identical.mean() + 1e-8
    assert n_identical == 7


def test_ties_are_counted_and_never_right():
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = random_model("gpt_neox", len(tokenizer), context=64)
    pairs = pd.DataFrame(
        [("p", "x", 0, "same here", "same here"), ("p", "x", 1, "a", "b c d e"), ("q", "y", 0, "b c d e", "a")],
        columns=["paradigm", "phenomenon", "pair", "good", "bad"],
    )
    done = []
    scored = score_pairs(pairs, model, tokenizer, batch_size=2, progress=done.append)
    assert sum(done) == 2 * len(pairs)
    assert scored["logprob_good"][0] == scored["logprob_bad"][0]
    assert scored["logprob_good"][1] == scored["logprob_bad"][2]
    table = compute_accuracies(scored)
    assert table.to_dict("list") == {
        "paradigm": ["p", "q"],
        "phenomenon": ["x", "y"],
        "n_pairs": [2, 1],
        "n_ties": [1, 0],
        "accuracy": [0.5, 0.0],
    }
    overall = average_by_phenomenon(table)
    assert overall["phenomenon"].tolist() == ["x", "y", "all"]
    assert overall["accuracy"].tolist() == [0.5, 0.0, 0.25]
    assert overall["n_pairs"].tolist() == [2, 1, 3]


# ---------------------------------------------------------------- BLiMP and Zorro


def test_blimp_as_it_is_published(published, monkeypatch):
    monkeypatch.setenv("LTBA_DIR", str(published))
    pairs = read_blimp()
    assert pairs.groupby("paradigm").size().tolist() == [1000] * 67
    identical = pairs[pairs["good"] == pairs["bad"]]
    assert identical.groupby("paradigm").size().to_dict() == {"passive_1": 2, "principle_A_case_2": 5}
    first = pairs[pairs["paradigm"] == "adjunct_island"].iloc[0]
    assert first["good"] == "Who should Derek hug after shocking Richard?"
    assert (first["phenomenon"], first["field"], first["pair"]) == ("island_effects", "syntax", 0)
    assert pairs["phenomenon"].nunique() == 13


def test_zorro_as_it_is_published(published, monkeypatch):
    monkeypatch.setenv("LTBA_DIR", str(published))
    pairs = read_zorro()
    assert pairs.groupby("paradigm").size().tolist() == [2000] * 23
    first = pairs.iloc[0]
    assert (first["good"], first["bad"]) == ("look at this purple thing .", "look at this purple things .")
    assert first["phenomenon"] == "agreement_determiner_noun"
    assert {"filler-gap", "island-effects", "irregular", "local_attractor"} < set(pairs["phenomenon"])


RECORD = {"sentence_good": "a b", "sentence_bad": "b a", "linguistics_term": "t", "field": "f"}


@pytest.mark.parametrize(
    ("benchmark", "content", "message"),
    [
        (
            "blimp",
            json.dumps(RECORD) + "\n" + json.dumps(RECORD)[:30] + "\n",
            "line 2: expected a record of BLiMP",
        ),
        ("blimp", json.dumps(RECORD) + "\n" + json.dumps(RECORD)[:30], "p.jsonl: line 2: expected a whole line"),
        ("blimp", json.dumps({**RECORD, "sentence_bad": " "}) + "\n", "p.jsonl: line 1: expected two sentences"),
        ("blimp", json.dumps({"sentence_good": "a"}) + "\n", "p.jsonl: line 1: expected a record"),
        ("blimp", "[1, 2]\n", "p.jsonl: line 1: expected a record"),
        ("blimp", "", "p.jsonl: expected lines of text, got an empty file"),
        ("blimp", b"\xff\xfe\x00", "p.jsonl: expected text in UTF-8, got UTF-16"),
        ("zorro", "b a .\na b .\nb b .\n", "x-p.txt: expected an even number of lines, got 3"),
        ("zorro", "b a .\na b", "x-p.txt: line 2: expected a whole line"),
        ("zorro", "b a .\n\n", "x-p.txt: line 2: expected a sentence"),
        (
            "blimp",
            None,
            "data: expected .jsonl files, got none. Get them from https://github.com/alexwarstadt/blimp",
        ),
        ("zorro", None, "babyberta: expected .txt files, got none. Get them from https://github.com/phueb/Zorro"),
    ],
)
def test_benchmark_files_that_are_wrong_are_named(study_folder, call, tiny_checkpoint, benchmark, content, message):
    place = {"blimp": "blimp/data/p.jsonl", "zorro": "Zorro/sentences/babyberta/x-p.txt"}[benchmark]
    if content is not None:
        (study_folder / place).parent.mkdir(parents=True)
        (study_folder / place).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = all_files(study_folder)
    status, out, err = call(f"evaluate_llm_{benchmark}", "--model", tiny_checkpoint, "--revision", "step8")
    assert status == 2, out
    assert message in err
    assert err.count("\n") == 1
    assert all_files(study_folder) == before


# ---------------------------------------------------------------- arithmetic


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


# ---------------------------------------------------------------- Dyck


@pytest.fixture(scope="module")
def dyck_pairs():
    return dyck.make_dyck_pairs(12345)


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


# ---------------------------------------------------------------- the same on every machine


@pytest.mark.parametrize(
    ("make", "checksum"),
    [
        (arithmetic.make_arithmetic_pairs, "a318dd6886000dd4"),
        (dyck.make_dyck_pairs, "f8c718200e476f56"),
    ],
)
def test_the_same_seed_makes_the_same_pairs(make, checksum):
    """If this checksum changes, the benchmark has changed, and older results cannot be compared."""
    assert hashlib.sha256(make(12345).to_csv(index=False).encode()).hexdigest()[:16] == checksum
    assert not make(1).equals(make(12345))


# ---------------------------------------------------------------- the scripts


@pytest.mark.parametrize("benchmark", ["blimp", "zorro", "arithmetic", "dyck"])
def test_the_scripts_write_tables_and_records(study_folder, call, tiny_checkpoint, benchmark):
    (study_folder / "blimp" / "data").mkdir(parents=True)
    (study_folder / "blimp" / "data" / "p_1.jsonl").write_text((json.dumps(RECORD) + "\n") * 3)
    (study_folder / "Zorro" / "sentences" / "babyberta").mkdir(parents=True)
    (study_folder / "Zorro" / "sentences" / "babyberta" / "x-p_1.txt").write_text("b a .\r\na b .\r\n" * 2)
    script, options = f"evaluate_llm_{benchmark}", ["--model", tiny_checkpoint, "--revision", "step8"]
    status, out, err = call(script, *options)
    assert status == 0, err
    assert re.search(r"^ *all +\d+ +\d+ +\d+ +[01]\.\d{3}$", out, re.MULTILINE)
    path = study_folder / f"{benchmark}_results" / f"tiny-pythia_step8_{benchmark}.csv"
    table = pd.read_csv(path)
    columns = ["paradigm", "phenomenon", "n_pairs", "n_ties", "accuracy"]
    assert list(table.columns) == columns + ["field"] * (benchmark == "blimp")
    pairs = pd.read_csv(path.with_name(f"tiny-pythia_step8_{benchmark}_pairs.csv.gz"))
    assert list(pairs.columns) == ["paradigm", "pair", "good", "bad", "logprob_good", "logprob_bad"]
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
