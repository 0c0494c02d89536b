"""Test the checks of a loaded model: it is causal, and its tokenizer follows tokenizer.json."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tokenizers
import torch
import transformers
from helpers import ENGLISH, FRENCH, add_blimp, all_files, byte_level_tokenizer, random_model
from tiny_models import tiny_model

from pipeline.errors import InputError
from pipeline.models import model_checks, tokenizer_checks
from pipeline.models.loading import load_checkpoint
from study.paths import benchmark_pairs_path

# ---------------------------------------------------------------- causal or not

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ENCODERS = {
    "roberta": {},
    "bert": {},
    "camembert": {},
    "electra": {},
    "roformer": {},
    "xlnet": {},
    "gemma3_text": {"use_bidirectional_attention": True},  # EmbeddingGemma
    "xlm": {"causal": False},
}
CAUSAL = {
    "gpt2": {},
    "bert": {"is_decoder": True},
    "mixtral": {},
    "mpt": {},  # ALiBi
    "mamba": {},
    "rwkv": {},
    "recurrent_gemma": {},
    "mistral": {"sliding_window": 4},
    "llama4_text": {"attention_chunk_size": 4},
    "gemma3": {},
    "xlm": {"causal": True},
}


@pytest.mark.parametrize("scale", [1.0, 0.07], ids=["trained", "untrained"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("architecture", ENCODERS)
def test_an_encoder_is_refused_in_any_precision(architecture, dtype, scale):
    model = scaled(tiny_model(architecture, 320, **ENCODERS[architecture]), scale).to(DEVICE, dtype)
    with pytest.raises(InputError, match="expected a causal language model, got one whose predictions change"):
        model_checks.check_causal(model)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("architecture", CAUSAL)
def test_a_causal_model_is_not_refused(architecture, dtype):
    model = tiny_model(architecture, 320, **CAUSAL[architecture]).to(DEVICE, dtype)
    needed = [parameter.requires_grad for parameter in model.parameters()]
    model_checks.check_causal(model)
    assert [parameter.requires_grad for parameter in model.parameters()] == needed
    assert all(parameter.grad is None for parameter in model.parameters())


def scaled(model, scale):
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data *= scale
    return model


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rounding_that_depends_on_other_tokens_is_not_taken_for_an_encoder(dtype):
    """As in a mixture of experts, where the order of sums depends on the other tokens."""
    model = tiny_model("gpt2", 320).to(dtype)
    size = 0.02 if dtype != torch.float32 else 1e-5

    def jitter(module, inputs, output):
        generator = torch.Generator().manual_seed(int(inputs[0].detach().float().abs().sum() * 1e4))
        return output + size * output.detach().abs().max() * torch.randn(output.shape, generator=generator).to(dtype)

    hook = model.get_output_embeddings().register_forward_hook(jitter)
    model_checks.check_causal(model)
    hook.remove()


def test_what_cannot_read_a_text_is_one_line():
    model = tiny_model("gpt2", 320)
    model.transformer.h[1].mlp.c_fc = torch.nn.Linear(7, 7)
    with pytest.raises(InputError, match=r"^GPT2LMHeadModel cannot read a text \(RuntimeError: .*\)\. Use another"):
        model_checks.check_causal(model)


@pytest.mark.parametrize("script", ["evaluate_llm_blimp", "extract_llm_activations", "generate_texts"])
def test_scripts_refuse_an_encoder_in_one_line_and_write_nothing(script, tiny_study, call, tmp_path):
    add_blimp(tiny_study)
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    tiny_model("roberta", len(tokenizer), pad_token_id=1).save_pretrained(tmp_path / "roberta")
    tokenizer.save_pretrained(tmp_path / "roberta")
    before = all_files(tiny_study)
    status, _, err = call(script, "--model", tmp_path / "roberta")
    assert status == 2
    assert "roberta: RobertaForCausalLM: expected a causal language model" in err
    assert err.count("\n") == 1
    assert all_files(tiny_study) == before


# ---------------------------------------------------------------- BOS and EOS


@pytest.mark.parametrize("kind", ["bos", "eos"])
def test_bos_and_eos_that_the_model_does_not_know_are_errors_on_loading(kind, tmp_path):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    random_model("gpt_neox", len(tokenizer), context=64).save_pretrained(tmp_path / "lm")
    setattr(tokenizer, f"{kind}_token", "<new>")
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(tmp_path / "lm")
    with pytest.raises(InputError, match=f"lm: tokenizer: expected its {kind.upper()} '<new>' among the 320 tokens"):
        load_checkpoint(str(tmp_path / "lm"), None, "cpu")


def test_an_added_token_that_no_text_has_is_no_error_on_loading(tmp_path):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    random_model("gpt_neox", len(tokenizer), context=64).save_pretrained(tmp_path / "lm")
    tokenizer.add_tokens(["<image>"])
    tokenizer.save_pretrained(tmp_path / "lm")
    load_checkpoint(str(tmp_path / "lm"), None, "cpu")


# ---------------------------------------------------------------- tokenizer.json


def saved_checkpoint(folder, tokenizer_class, **changes):
    """Save a tiny model with a given tokenizer class and a changed tokenizer.json."""
    tokenizer = byte_level_tokenizer(ENGLISH + FRENCH + "He didn't, in 1984. " * 20, 420, adds_bos=False)
    random_model("gpt_neox", len(tokenizer), context=128).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    change(folder / "tokenizer.json", **changes)
    change(folder / "tokenizer_config.json", tokenizer_class=tokenizer_class, backend=None)
    return folder


def change(path, **values):
    content = json.loads(path.read_text())
    content |= values
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def split_at(pattern):
    """Return a pre-tokenizer that splits at a pattern, and then at bytes."""
    pieces = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    as_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [pieces, as_bytes]}}


DESCRIPTIONS = {
    "lower case": {"normalizer": {"type": "Lowercase"}},
    "accents": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]}},
    "composed": {"normalizer": {"type": "NFC"}},
    "digits": split_at(r"\d"),
    "contractions": split_at("[’']"),
    "spaces": {"normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}},
    "quotes": {"normalizer": {"type": "Replace", "pattern": {"String": "“"}, "content": '"'}},
}


@pytest.mark.parametrize("description", DESCRIPTIONS)
@pytest.mark.parametrize("tokenizer_class", ["GPT2TokenizerFast", "TokenizersBackend"])
def test_tokens_are_those_of_tokenizer_json(tokenizer_class, description, tmp_path):
    folder = saved_checkpoint(tmp_path / "lm", tokenizer_class, **DESCRIPTIONS[description])
    lines = []
    _, tokenizer, checkpoint = load_checkpoint(str(folder), None, "cpu", log=lines.append)
    described = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in (ENGLISH, FRENCH, *tokenizer_checks.TEXTS, "He  didn't, in 1984 and “more”.", "J’ai été là."):
        assert tokenizer(text)["input_ids"] == described.encode(text).ids
    is_replaced = tokenizer_class == "GPT2TokenizerFast"
    assert ("tokenizer" in checkpoint) == is_replaced
    assert len(lines) == is_replaced
    if is_replaced:
        assert checkpoint["tokenizer"] == "tokenizer.json, since GPT2Tokenizer makes other tokens"
        assert "the tokens are those of tokenizer.json: the class GPT2Tokenizer" in lines[0]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 0)


def test_a_difference_that_only_the_user_s_sentences_show_is_seen(tmp_path):
    rare = {"normalizer": {"type": "Replace", "pattern": {"String": "serpent"}, "content": "snake"}}
    folder = saved_checkpoint(tmp_path / "lm", "GPT2TokenizerFast", **rare)
    lines = []
    load_checkpoint(str(folder), None, "cpu", texts=["The snake."], log=lines.append)
    assert not lines
    texts = [f"The {n} snakes." for n in range(1500)]
    texts[700] = "The serpent."
    load_checkpoint(str(folder), None, "cpu", texts=texts, log=lines.append)
    assert "The serpent." in lines[0]


def test_log_probabilities_are_of_the_described_tokens(study_folder, call, tmp_path):
    """With both classes, they are sums over the tokens of tokenizer.json."""
    add_blimp(study_folder)
    pairs = {}
    for tokenizer_class in ("GPT2TokenizerFast", "TokenizersBackend"):
        folder = saved_checkpoint(tmp_path / tokenizer_class, tokenizer_class, normalizer={"type": "Lowercase"})
        status, out, err = call("evaluate_llm_blimp", "--model", folder)
        assert status == 0, err
        assert (out + err).count("the tokens are those of tokenizer.json") == (tokenizer_class == "GPT2TokenizerFast")
        pairs[tokenizer_class] = pd.read_csv(benchmark_pairs_path(tokenizer_class, "blimp"))
    pd.testing.assert_frame_equal(pairs["GPT2TokenizerFast"], pairs["TokenizersBackend"])
    described = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = [0, *described.encode("The prince of number one is here.").ids]
    with torch.no_grad():
        log_probabilities = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    expected = sum(log_probabilities[position, token].item() for position, token in enumerate(ids[1:]))
    np.testing.assert_allclose(pairs["GPT2TokenizerFast"]["logprob_good"][0], expected, rtol=1e-5)


@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize("in_config", [True, False])
def test_a_space_before_a_text_that_the_configuration_asks_for_is_no_mistake(in_file, in_config, tmp_path):
    as_bytes = {"type": "ByteLevel", "add_prefix_space": in_file, "trim_offsets": True, "use_regex": True}
    folder = saved_checkpoint(tmp_path / "lm", "GPT2TokenizerFast", pre_tokenizer=as_bytes)
    change(folder / "tokenizer_config.json", add_prefix_space=in_config)
    lines = []
    _, tokenizer, checkpoint = load_checkpoint(str(folder), None, "cpu", log=lines.append)
    assert (tokenizer("the")["input_ids"] == tokenizer(" the")["input_ids"]) == in_config
    assert not lines
    assert "tokenizer" not in checkpoint


def test_truncation_and_padding_in_tokenizer_json_are_no_difference(tmp_path):
    folder = saved_checkpoint(tmp_path / "lm", "GPT2TokenizerFast")
    described = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    described.enable_truncation(8)
    described.enable_padding(length=8, pad_token="<bos>")
    described.save(str(folder / "tokenizer.json"))
    lines = []
    load_checkpoint(str(folder), None, "cpu", texts=[ENGLISH], log=lines.append)
    assert not lines


def test_bos_is_put_before_a_text_where_tokenizer_json_does(tmp_path):
    folder = saved_checkpoint(tmp_path / "lm", "GPT2TokenizerFast")
    template = [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    bos = {"<bos>": {"id": "<bos>", "ids": [0], "tokens": ["<bos>"]}}
    adds_bos = {"type": "TemplateProcessing", "single": template, "special_tokens": bos}
    adds_bos["pair"] = [*template, {"Sequence": {"id": "B", "type_id": 1}}]
    change(folder / "tokenizer.json", post_processor=adds_bos)
    _, tokenizer, _ = load_checkpoint(str(folder), None, "cpu")
    assert tokenizer("It is")["input_ids"][0] == 0


def test_a_checkpoint_on_the_hub_is_compared_with_its_cached_file(tmp_path, monkeypatch):
    folder = saved_checkpoint(tmp_path / "lm", "GPT2TokenizerFast", normalizer={"type": "Lowercase"})
    repository = tmp_path / "hub" / "models--somebody--lm"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "step8").write_text("1" * 40)
    shutil.copytree(folder, repository / "snapshots" / ("1" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    lines = []
    _, tokenizer, _ = load_checkpoint("somebody/lm", "step8", "cpu", log=lines.append)
    assert len(lines) == 1
    assert tokenizer("THE")["input_ids"] == tokenizer("the")["input_ids"]


def test_a_checkpoint_without_tokenizer_json_is_taken_as_it_is(tmp_path):
    folder = saved_checkpoint(tmp_path / "lm", "GPT2TokenizerFast")
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    before = load_checkpoint(str(folder), None, "cpu")[1](ENGLISH)["input_ids"]
    (folder / "tokenizer.json").unlink()
    assert load_checkpoint(str(folder), None, "cpu")[1](ENGLISH)["input_ids"] == before


@pytest.mark.parametrize(("name", "is_same"), [("vocab.json", True), ("vocab.json", False), ("vocab.txt", False)])
def test_a_different_vocabulary_next_to_tokenizer_json_is_logged(name, is_same, tmp_path):
    """The tokenizer.json may be of another model."""
    folder = saved_checkpoint(tmp_path / "lm", "TokenizersBackend")
    numbers = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    tokens = sorted(numbers, key=numbers.get)
    if not is_same:
        tokens = tokens[::-1]
    as_json = json.dumps({token: number for number, token in enumerate(tokens)})
    (folder / name).write_text(as_json if name == "vocab.json" else "\n".join(tokens) + "\n")
    lines = []
    load_checkpoint(str(folder), None, "cpu", log=lines.append)
    assert len(lines) == (not is_same)
    assert is_same or f"tokenizer.json is used, though {name} numbers 420 of its 420 tokens differently" in lines[0]
