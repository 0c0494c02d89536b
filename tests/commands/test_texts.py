"""Compare generated texts with a slow reference, and test their acceptability."""

import json

import numpy as np
import pytest
import torch
import transformers
from helpers import ENGLISH, all_files, byte_level_tokenizer, random_model
from plain_noise import plain_keys, plain_noise
from tiny_models import tiny_model

from pipeline.errors import InputError
from pipeline.models import generation
from pipeline.models.generation import continue_prompts, make_text_seed
from pipeline.models.loading import load_classifier
from pipeline.tasks.acceptability import judge_sentences, split_sentences
from study.outputs.texts import PROMPTS

OPENINGS = ["The prince", "“Where are the people?” asked the snake.", "It is"]


@pytest.fixture(scope="module", params=["olmo2", "gpt_neox"])
def writer(request):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=request.param == "olmo2")
    model = random_model(request.param, len(tokenizer), context=128)
    with torch.no_grad():  # logits of a size at which some tokens are likely
        model.get_output_embeddings().weight *= 0.3
    return model, tokenizer


def plain_text(model, tokenizer, prompt, seed, n_tokens, temperature):
    """Return a text that is sampled one token at a time, without a cache."""
    keys = plain_keys(seed, n_tokens)
    ids = [0, *tokenizer.convert_tokens_to_ids(tokenizer.tokenize(prompt))]
    start = len(ids)
    for key in keys:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        noise = plain_noise(key, len(logits))
        ids.append(int((logits / temperature + noise).argmax()))
        if ids[-1] == tokenizer.eos_token_id:
            break
    return prompt + tokenizer.decode(ids[start:], skip_special_tokens=True)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_texts_are_those_of_plain_sampling_whatever_is_written_with_them(writer, temperature):
    prompts = [opening for opening in OPENINGS for _ in range(4)]
    seeds = [make_text_seed(3, prompt, sample % 4) for sample, prompt in enumerate(prompts)]
    expected = [plain_text(*writer, *text, 30, temperature) for text in zip(prompts, seeds, strict=True)]
    assert len(set(expected)) == len(prompts)
    assert continue_prompts(*writer, prompts, seeds, 30, temperature) == expected
    for text in range(0, len(prompts), 5):
        assert continue_prompts(*writer, [prompts[text]], [seeds[text]], 30, temperature) == [expected[text]]


def test_close_choices_are_made_by_the_text_alone(writer, monkeypatch):
    """If every choice is close, the batch decides nothing, and the texts are the same."""
    prompts, seeds = OPENINGS * 2, list(range(6))
    texts = continue_prompts(*writer, prompts, seeds, 15)
    monkeypatch.setattr("pipeline.models.generation.CLOSE_CHOICE", 1e9)
    assert continue_prompts(*writer, prompts, seeds, 15) == texts


@pytest.mark.parametrize(
    ("architecture", "line"),
    [
        ("gpt2", None),
        ("mamba", None),
        ("recurrent_gemma", None),
        ("bart", "depends on the padding before a prompt: one length at a time"),
        ("rwkv", "depends on the other texts in a batch: one text at a time"),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_texts_of_models_that_ignore_the_padding_do_not_depend_on_the_batch(architecture, line, scale):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = tiny_model(architecture, len(tokenizer))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data *= scale
    prompts, seeds, lines, n_written = [*OPENINGS, *OPENINGS[:2]], list(range(5)), [], []
    expected = [plain_text(model, tokenizer, *text, 12, 1.0) for text in zip(prompts, seeds, strict=True)]
    assert continue_prompts(model, tokenizer, prompts, seeds, 12, 1.0, n_written.append, lines.append) == expected
    reverse = continue_prompts(model, tokenizer, prompts[::-1], seeds[::-1], 12, 1.0, None, lines.append)
    assert reverse[::-1] == expected
    assert [text.split("what it writes ")[1] for text in lines] == ([] if line is None else [line])  # once
    assert sum(n_written) <= 12 * 5


def test_in_half_precision_texts_are_kept_apart_where_padding_counts(monkeypatch):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    starts = [[0, *ids] for ids in tokenizer(OPENINGS)["input_ids"]]
    for dtype in (torch.bfloat16, torch.float16):
        for architecture, n_groups in (("gpt2", 1), ("bart", 3), ("rwkv", 3)):
            model = tiny_model(architecture, len(tokenizer)).to(dtype)
            groups = generation._group_into_batches(model, starts, lambda line: None)
            assert sorted(text for group in groups for text in group) == [0, 1, 2]
            assert len(groups) == n_groups


def test_what_cannot_write_is_one_line():
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = tiny_model("gpt2", len(tokenizer))
    model.transformer.h[1].mlp.c_fc = torch.nn.Linear(7, 7)
    with pytest.raises(InputError, match=r"GPT2LMHeadModel cannot .* \(RuntimeError: "):
        continue_prompts(model, tokenizer, ["It is"], [1], 5)


def test_tokens_are_drawn_with_the_probabilities_of_the_model(writer):
    model, tokenizer = writer
    ids = [0, *tokenizer.convert_tokens_to_ids(tokenizer.tokenize("The prince"))]
    with torch.no_grad():
        probabilities = model(torch.tensor([ids])).logits[0, -1].softmax(dim=-1).numpy()
    n = 4000
    texts = continue_prompts(model, tokenizer, ["The prince"] * n, list(range(n)), 1)
    likely = np.argsort(-probabilities)[:8]
    for token in likely:
        end = tokenizer.decode([*ids[1:], token], skip_special_tokens=True)
        same = [
            k for k in range(len(probabilities)) if tokenizer.decode([*ids[1:], k], skip_special_tokens=True) == end
        ]
        p = float(probabilities[same].sum())
        assert np.mean([text == end for text in texts]) == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / n))


def test_a_text_ends_with_eos_and_generation_settings_of_the_checkpoint_have_no_effect(writer):
    model, tokenizer = writer
    model.generation_config = transformers.GenerationConfig(repetition_penalty=5.0, max_length=3, min_new_tokens=9)
    assert continue_prompts(model, tokenizer, ["It is"], [1], 20) == [plain_text(model, tokenizer, "It is", 1, 20, 1.0)]
    bias = torch.zeros(model.config.vocab_size)
    bias[0] = 1e6
    with torch.no_grad():
        handle = model.get_output_embeddings().register_forward_hook(lambda _, __, logits: logits + bias)
    assert continue_prompts(model, tokenizer, ["It is"], [1], 20) == ["It is"]
    handle.remove()


def test_texts_that_cannot_be_written_are_errors(writer):
    model, tokenizer = writer
    with pytest.raises(InputError, match="--max_new_tokens 200: expected 128 tokens at most, the model's context"):
        continue_prompts(model, tokenizer, ["a"], [1], 200)
    handle = model.get_output_embeddings().register_forward_hook(lambda _, __, logits: logits * torch.nan)
    with pytest.raises(InputError, match="expected finite numbers, got NaN or infinity"):
        continue_prompts(model, tokenizer, ["a"], [1], 5)
    handle.remove()


OPTIONS = ["--revision", "step8", "--max_new_tokens", "12", "--n_samples", "3"]


@pytest.fixture
def prompts_file(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("The prince asked.\r\n\r\nIt was “lonely”.\r\n")
    return path


def texts_in(folder):
    return {path.name: content for path, content in all_files(folder).items() if path.suffix == ".txt"}


def test_texts_do_not_depend_on_batches_interruptions_or_how_many_there_are(
    study_folder, call, tiny_checkpoint, prompts_file
):
    options = ["--model", tiny_checkpoint, *OPTIONS, "--prompts", prompts_file]
    status, out, err = call("generate_texts", *options)
    assert status == 0, err
    assert "6 texts, 6 of them new" in out
    folder = study_folder / "generated_texts"
    texts = texts_in(folder)
    assert sorted(texts) == [f"tiny-pythia_step8_gen_{prompt}_{sample}.txt" for prompt in (0, 1) for sample in range(3)]
    assert len(set(texts.values())) == 6
    assert texts["tiny-pythia_step8_gen_1_0.txt"].startswith("It was “lonely”.".encode())
    record = json.loads((folder / "tiny-pythia_step8_gen_1_0.txt.json").read_text())
    assert record["parameters"]["prompt"] == "It was “lonely”."
    assert record["seed"] == 12345

    elsewhere = study_folder / "elsewhere"
    assert call("generate_texts", *options, "--batch_size", "2", "--output_folder", elsewhere)[0] == 0
    assert texts_in(elsewhere) == texts
    (folder / "tiny-pythia_step8_gen_0_2.txt").unlink()
    assert "6 texts, 1 of them new" in call("generate_texts", *options)[1]
    assert texts_in(folder) == texts
    assert call("generate_texts", *options, "--n_samples", "5")[0] == 0
    assert texts_in(folder).items() > texts.items()
    assert len(texts_in(folder)) == 10
    before = all_files(folder)
    status, _, err = call("generate_texts", *options, "--seed", "1")
    assert status == 2
    assert "was made with seed 12345: --overwrite" in err
    assert all_files(folder) == before


def test_where_memory_does_not_hold_a_batch_it_is_halved_and_no_text_is_written_twice(
    study_folder, call, tiny_checkpoint, prompts_file, monkeypatch
):
    options = ["--model", tiny_checkpoint, *OPTIONS, "--prompts", prompts_file, "--n_samples", 5]
    assert call("generate_texts", *options, "--output_folder", study_folder / "plenty")[0] == 0
    written, n_calls = [], 0

    def scarce(model, tokenizer, prompts, seeds, *more):
        nonlocal n_calls
        n_calls += 1
        if len(prompts) > (3 if n_calls < 4 else 1):  # memory becomes scarcer on the way
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        written.extend(seeds)
        return continue_prompts(model, tokenizer, prompts, seeds, *more)

    monkeypatch.setattr("study.stages.texts.continue_prompts", scarce)
    status, out, err = call("generate_texts", *options)
    assert status == 0, err
    assert "the memory of the device does not hold 10 at once; going on with 5" in out + err
    assert "does not hold 2 at once; going on with 1" in out + err
    assert len(written) == len(set(written)) == 10
    assert texts_in(study_folder / "generated_texts") == texts_in(study_folder / "plenty")

    monkeypatch.setattr(
        "study.stages.texts.continue_prompts", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no"))
    )
    status, _, err = call("generate_texts", *options, "--overwrite")
    assert status == 2
    assert "does not hold the model's work on even one" in err
    assert texts_in(study_folder / "generated_texts") == texts_in(study_folder / "plenty")


def test_judging_goes_on_with_fewer_sentences_where_memory_ends(judges):
    sentences = [f"It is {'very ' * k}good." for k in range(9)]
    model, tokenizer, _ = load_classifier(str(judges / "one"), "cpu")
    expected, expected_accepted = judge_sentences(sentences, model, tokenizer, 1)
    n_sentences_of_calls, lines = [], []

    def scarce(**encoded):
        if len(encoded["input_ids"]) > 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: can't allocate memory")
        n_sentences_of_calls.append(len(encoded["input_ids"]))
        return model(**encoded)

    scarce.config, scarce.device = model.config, model.device
    scarce.get_input_embeddings = model.get_input_embeddings
    probabilities, accepted = judge_sentences(sentences, scarce, tokenizer, 1, batch_size=9, log=lines.append)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_array_equal(accepted, expected_accepted)
    assert n_sentences_of_calls == [1, 2, 2, 2, 2, 1]  # the first call finds the context length
    assert [line.split()[-1] for line in lines] == ["4", "2"]


def test_default_prompts_are_whole_sentences():
    assert len(PROMPTS) == 5
    assert all(split_sentences(f"{prompt} {prompt}", prompt) == [prompt] for prompt in PROMPTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", "0"], "--temperature 0: it must be above 0"),
        (["--n_samples", "0"], "0 is less than 1"),
        (["--max_new_tokens", "500"], "--max_new_tokens 500: expected 128 tokens at most, the model's context, got "),
        (["--prompts", "nowhere.txt"], "nowhere.txt: expected a file in UTF-8"),
    ],
)
def test_texts_that_cannot_be_written_are_errors_in_one_line(study_folder, call, tiny_checkpoint, options, message):
    status, _, err = call("generate_texts", "--model", tiny_checkpoint, *OPTIONS, *options)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not all_files(study_folder)
