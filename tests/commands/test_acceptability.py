"""Compare generated texts with a slow reference, and test their acceptability."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from helpers import ENGLISH, all_files, byte_level_tokenizer

from pipeline.errors import InputError
from pipeline.models.loading import load_classifier
from pipeline.tasks.acceptability import find_acceptable_label, judge_sentences, split_sentences
from study.outputs.texts import PROMPTS
from study.paths import acceptability_path


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("P. It rained. He said “No.” She le", ["It rained.", "He said “No.”"]),
        (
            "P. Dr. Smith paid 3.5 pounds!\n\nWhy? (He was rich.)",
            ["Dr. Smith paid 3.5 pounds!", "Why?", "(He was rich.)"],
        ),
        ("P. A line\nthat is broken. Cut", ["A line that is broken."]),
        ("P. 🙂🙂 Ok. It is œuf. Yes…", ["🙂🙂 Ok.", "It is œuf.", "Yes…"]),
        ("P.", []),
        ("P.   \n ", []),
        ("P. the the the the the the", []),
        ("P. . . . ... !!! ?", []),
        ("P. " + "again and " * 400, []),
    ],
)
def test_only_whole_sentences_after_the_prompt_are_judged(text, sentences):
    assert split_sentences(text, "P.") == sentences


def test_a_sentence_that_begins_in_the_prompt_is_left_out():
    assert split_sentences("One day the king left. He was old.", "One day the king") == ["He was old."]


def test_the_label_that_means_acceptable():
    assert find_acceptable_label({0: "unacceptable", 1: "acceptable"}) == 1
    assert find_acceptable_label({0: "Acceptable", 1: "Unacceptable"}) == 0
    assert find_acceptable_label({0: "LABEL_0", 1: "LABEL_1"}) == 1
    assert find_acceptable_label({0: "good", 1: "bad"}, "GOOD") == 0
    assert find_acceptable_label({0: "good", 1: "bad"}, "1") == 1
    for labels, wanted in [({0: "good", 1: "bad"}, None), ({0: "a", 1: "b"}, "c"), ({0: "LABEL_0"}, None)]:
        with pytest.raises(InputError, match="--acceptable_label"):
            find_acceptable_label(labels, wanted)


def test_sentences_are_truncated_where_a_classifier_has_fewer_positions_than_configured():
    """RoBERTa has 514 positions in its configuration, but can only use 512."""
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    tokenizer.pad_token = "<bos>"
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=34, pad_token_id=1, initializer_range=1.0,
    )  # fmt: skip
    model = transformers.RobertaForSequenceClassification(config).eval()
    long_sentence = "The snake said the people are lonely. " * 9
    ids = torch.tensor([tokenizer(long_sentence)["input_ids"][:32]])
    with torch.no_grad():
        expected = model(ids).logits[0].softmax(dim=-1)[1].item()
    probabilities, _ = judge_sentences([long_sentence, "It is."], model, tokenizer, 1)
    assert probabilities[0] == pytest.approx(expected, abs=1e-5)


def test_a_classifier_judges_the_tokens_of_tokenizer_json(study_folder, call, judges, tmp_path):
    shutil.copytree(judges / "one", tmp_path / "judge")
    for name, values in (
        ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}),
        ("tokenizer_config.json", {"tokenizer_class": "GPT2TokenizerFast", "backend": None}),
    ):
        content = json.loads((tmp_path / "judge" / name).read_text()) | values
        (tmp_path / "judge" / name).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    lines = []
    _, tokenizer, checkpoint = load_classifier(str(tmp_path / "judge"), "cpu", ["It is."], lines.append)
    assert tokenizer("THE")["input_ids"] == tokenizer("the")["input_ids"]
    assert len(lines) == 1
    assert checkpoint["tokenizer"].startswith("tokenizer.json")
    write_text(study_folder / "generated_texts", "me_lm_tokens5B_gen_0_0.txt", "P.", " It is.")
    options = ["--device", "cpu", "--classifier", tmp_path / "judge"]
    status, out, err = call("evaluate_linguistic_acceptability", *options)
    assert status == 0, err
    assert lines[0] in out  # on standard output, not as a Python warning


def write_text(folder, name, prompt, text, model="me_lm", revision="tokens5B"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(prompt + text)
    record = {"parameters": {"model": model, "revision": revision, "prompt": prompt}}
    (folder / f"{name}.json").write_text(json.dumps(record))


def plain_probability(folder, sentence, label):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(torch.tensor([tokenizer(sentence)["input_ids"][:64]])).logits[0].softmax(dim=-1)[label].item()


def test_every_text_is_a_row_for_every_judge(study_folder, call, judges):
    folder = study_folder / "generated_texts"
    long_sentence = "A " + "very " * 100 + "long one."
    write_text(folder, "me_lm_tokens5B_gen_0_0.txt", "P.", " It is. Is it? It i")
    write_text(folder, "me_lm_tokens5B_gen_0_1.txt", "P.", " the the the")
    write_text(folder, "me_lm_tokens5B_gen_1_0.txt", "Q.", "")
    write_text(folder, "me_lm_tokens70B_gen_0_0.txt", "P.", f" It is. {long_sentence}", revision="tokens70B")
    write_text(folder, "other_gen_0_0.txt", "P.", " Yes.", model="other", revision=None)
    options = ["--device", "cpu", "--classifier", judges / "one", judges / "two"]
    status, _, err = call("evaluate_linguistic_acceptability", *options)
    assert status == 0, err
    table = pd.read_csv(folder / "me_lm_gen_cola.csv")
    columns = "revision tokens prompt sample classifier n_sentences mean_probability share_acceptable"
    assert list(table.columns) == columns.split()
    assert len(table) == 8
    assert table["tokens"].tolist() == [5e9] * 6 + [70e9] * 2
    rows = table.set_index(["revision", "prompt", "sample", "classifier"])
    for judge, label in [("one", 1), ("two", 0)]:
        row = rows.loc[("tokens5B", 0, 0, judge)]
        probabilities = [plain_probability(judges / judge, sentence, label) for sentence in ("It is.", "Is it?")]
        assert row["n_sentences"] == 2
        assert row["mean_probability"] == pytest.approx(np.mean(probabilities), abs=1e-5)
        assert row["share_acceptable"] == np.mean([p > 0.5 for p in probabilities])
        for place in [("tokens5B", 0, 1, judge), ("tokens5B", 1, 0, judge)]:
            assert rows.loc[place, "n_sentences"] == 0
            assert np.isnan(rows.loc[place, "mean_probability"])
        probabilities = [plain_probability(judges / judge, sentence, label) for sentence in ("It is.", long_sentence)]
        assert rows.loc[("tokens70B", 0, 0, judge), "mean_probability"] == pytest.approx(
            np.mean(probabilities), abs=1e-5
        )
    table = pd.read_csv(folder / "other_gen_cola.csv")
    assert table["revision"].isna().all()
    assert table["n_sentences"].tolist() == [1, 1]

    before = all_files(folder)
    assert call("evaluate_linguistic_acceptability", *options)[1].count("is there already") == 2
    assert all_files(folder) == before
    write_text(folder, "me_lm_tokens70B_gen_0_1.txt", "P.", " Yes. No.", revision="tokens70B")
    write_text(folder, "me_lm_tokens5B_gen_1_0.txt", "Q.", " New.")
    record = folder / "me_lm_gen_cola.csv.json"
    assert set(json.loads(record.read_text())["checkpoint"]["classifiers"]) == {"one", "two"}
    record.write_text(json.dumps(json.loads(record.read_text()) | {"checkpoint": None}))  # as of an older version
    assert "10 texts, 4 of them new" in call("evaluate_linguistic_acceptability", *options)[1]
    updated = pd.read_csv(folder / "me_lm_gen_cola.csv").set_index(["revision", "prompt", "sample", "classifier"])
    assert updated.loc[("tokens5B", 1, 0, "one"), "n_sentences"] == 1
    unchanged = rows.index.drop([("tokens5B", 1, 0, "one"), ("tokens5B", 1, 0, "two")])
    pd.testing.assert_frame_equal(updated.loc[unchanged], rows.loc[unchanged])


def test_another_classifier_of_the_same_name_is_not_taken_for_it(study_folder, call, judges, tmp_path):
    folder = study_folder / "generated_texts"
    write_text(folder, "me_lm_tokens5B_gen_0_0.txt", "P.", " It is.")
    options = ["evaluate_linguistic_acceptability", "--device", "cpu", "--classifier"]
    assert call(*options, judges / "one")[0] == 0
    shutil.copytree(judges / "two", tmp_path / "one")
    status, _, err = call(*options, tmp_path / "one")
    assert status == 2
    assert "me_lm_gen_cola.csv was made with another classifier" in err


def test_texts_of_someone_else_need_the_name_of_the_model(study_folder, call, judges):
    folder = study_folder / "generated_texts"
    folder.mkdir()
    (folder / "me_my_lm_step8_gen_3_0.txt").write_text(PROMPTS[3] + " Yes.")
    options = ["--device", "cpu", "--classifier", judges / "one"]
    status, _, err = call("evaluate_linguistic_acceptability", *options)
    assert status == 2
    assert (
        "me_my_lm_step8_gen_3_0.txt: expected a record of the model next to it, got none. Name the model with --model"
        in err
    )
    status, _, err = call("evaluate_linguistic_acceptability", *options, "--model", "me/my_lm")
    assert status == 0, err
    assert pd.read_csv(folder / "me_my_lm_gen_cola.csv")["revision"].tolist() == ["step8"]
    (folder / "me_my_lm_step8_gen_4_0.txt").write_text("Something else. Yes.")
    status, _, err = call("evaluate_linguistic_acceptability", *options, "--model", "me/my_lm")
    assert status == 2
    assert "gen_4_0.txt: expected a text that begins with prompt 4" in err
    assert "generate_texts.py makes them" in call("evaluate_linguistic_acceptability", "--folder", study_folder)[2]


def test_a_model_that_is_not_a_classifier_is_an_error(study_folder, call, tiny_checkpoint):
    write_text(study_folder / "generated_texts", "me_lm_tokens5B_gen_0_0.txt", "P.", " It is.")
    options = ["--device", "cpu", "--classifier", tiny_checkpoint / "step8"]
    status, _, err = call("evaluate_linguistic_acceptability", *options)
    assert status == 2
    assert "expected an AutoModelForSequenceClassification, got a checkpoint without" in err.splitlines()[-1]
    assert acceptability_path("me_lm", study_folder / "generated_texts").exists() is False
