"""Test minimal pairs: log-probabilities against a slow reference and lm-eval, benchmarks, generators."""

import json

import lm_eval
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import ENGLISH, FRENCH, all_files, byte_level_tokenizer, random_model
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from made_pairs import RECORD

from pipeline.errors import InputError
from pipeline.models.sentence_scores import compute_log_probabilities
from pipeline.tasks.minimal_pairs import average_accuracies, average_by_phenomenon, compute_accuracies, score_pairs
from study.inputs.blimp_zorro import read_blimp, read_zorro

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
    assert overall["accuracy"].tolist() == [0.5, 0.0, 1 / 3]  # one of three pairs
    assert overall["n_pairs"].tolist() == [2, 1, 3]


def test_paradigms_weigh_by_their_pairs_and_equally_where_these_are_not_known():
    table = pd.DataFrame(
        [("a", "x", 10, 1, 0.5), ("b", "x", 30, 0, 0.9), ("c", "y", 20, 2, 1.0)],
        columns=["paradigm", "phenomenon", "n_pairs", "n_ties", "accuracy"],
    )
    rows = average_by_phenomenon(table)
    assert rows.columns.tolist() == ["phenomenon", "paradigms", "n_pairs", "n_ties", "accuracy"]
    assert rows.drop(columns="accuracy").to_numpy().tolist() == [["x", 2, 40, 1], ["y", 1, 20, 2], ["all", 3, 60, 3]]
    assert rows["accuracy"].tolist() == pytest.approx([(5 + 27) / 40, 1.0, (5 + 27 + 20) / 60])
    accuracies = table.set_index("paradigm")["accuracy"]
    assert average_accuracies(accuracies, (("a", 10), ("b", 30), ("c", 20))) == pytest.approx(52 / 60)
    assert average_accuracies(accuracies, (("a", None), ("b", None), ("c", None))) == pytest.approx(0.8)
    # Paradigms of one size, as those of BLiMP, Zorro and Dyck, have the plain mean.
    assert average_accuracies(accuracies, (("a", 7), ("b", 7), ("c", 7))) == pytest.approx(accuracies.mean())
    assert average_by_phenomenon(table.assign(n_pairs=7))["accuracy"].tolist() == pytest.approx([0.7, 1.0, 0.8])


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
