"""Fixtures that tests of this folder share."""

import shutil

import pytest
import torch
import transformers
from helpers import ENGLISH, STEM, add_blimp, byte_level_tokenizer
from interrupted import STAGES, command


@pytest.fixture
def extract(call, tiny_checkpoint):
    """Extract the tiny checkpoint with more options: extract(*options) -> (status, stdout, stderr)."""
    return lambda *options: call(
        "extract_llm_activations", "--model", tiny_checkpoint, "--revision", "step8", "--device", "cpu", *options
    )


@pytest.fixture
def fit(call):
    return lambda *options: call("fit_average_subject", "--model", STEM, "--lang", "en", "--device", "cpu", *options)


@pytest.fixture
def damaged_study(tiny_study, tiny_checkpoint, tmp_path, call):
    """A study of which every stage can be run: stage(name) -> (status, stdout, stderr), and the models' folder."""
    models = tmp_path / "models" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, models)
    (models / "prompts.txt").write_text("The prince asked.\nIt was lonely.\n")
    add_blimp(tiny_study)
    zorro = tiny_study / "Zorro" / "sentences" / "babyberta"
    zorro.mkdir(parents=True)
    (zorro / "agreement-one.txt").write_text("a princes is .\na prince is .\n" * 20)
    checkpoint = ["--model", models, "--revision", "step8", "--device", "cpu"]
    commands = {
        "extract": ["extract_llm_activations", *checkpoint],
        "fit": ["fit_average_subject", *checkpoint, "--alphas", 0, 5, 6],
        "blimp": ["evaluate_llm_blimp", *checkpoint],
        "zorro": ["evaluate_llm_zorro", *checkpoint],
        "texts": [
            *["generate_texts", *checkpoint, "--prompts", models / "prompts.txt"],
            *["--n_samples", 1, "--max_new_tokens", 5],
        ],
    }
    return lambda name: call(*commands[name]), models


@pytest.fixture
def models(tmp_path, tiny_checkpoint):
    """Checkpoints, a judge, and prompts."""
    folder = tmp_path / "models"
    shutil.copytree(tiny_checkpoint, folder / tiny_checkpoint.name)
    shutil.copytree(tiny_checkpoint / "step8", folder / tiny_checkpoint.name / "step16")
    (folder / "prompts.txt").write_text("The prince asked.\nIt was lonely.\n")
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    tokenizer.pad_token = "<bos>"
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, pad_token_id=0, id2label={0: "unacceptable", 1: "acceptable"},
    )  # fmt: skip
    for name in ("judge", "another_judge"):
        transformers.DebertaV2ForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture
def run(together, models):
    """run(stage, folder, *options, **what goes wrong) -> its answer."""
    return lambda stage, folder, *options, **wrong: together(folder, (command(stage, models, *options), wrong))[0]


@pytest.fixture
def prepared(tiny_study, run):
    """prepared(stage): a study in which the stage can begin."""

    def prepare(stage):
        add_blimp(tiny_study)
        for before in STAGES[stage][1]:
            assert run(before, tiny_study)["status"] == 0
        return tiny_study

    return prepare


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    """Save two classifiers with random weights, whose labels are in opposite order."""
    folder, tokenizer = tmp_path_factory.mktemp("judges"), byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    tokenizer.pad_token = "<bos>"
    for seed, (name, labels) in enumerate(
        {"one": ["unacceptable", "acceptable"], "two": ["acceptable", "unacceptable"]}.items()
    ):
        torch.manual_seed(seed)
        config = transformers.DebertaV2Config(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=64, pad_token_id=0, initializer_range=1.0,
            id2label=dict(enumerate(labels)), label2id={label: k for k, label in enumerate(labels)},
        )  # fmt: skip
        transformers.DebertaV2ForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder
