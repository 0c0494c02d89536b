"""Test prefix trees: their layout, that they give the plain numbers, and which models cannot read them."""

import re
import weakref

import numpy as np
import pytest
import torch
import transformers
from helpers import ENGLISH, FRENCH, byte_level_tokenizer, random_model
from tiny_models import sizes_for, tiny_model

from pipeline.errors import InputError
from pipeline.models import prefix_trees
from pipeline.models.batches import work_in_batches
from pipeline.models.sentence_batches import prepare_padded, score_padded, stage_batch, upload_batch
from pipeline.models.sentence_scores import _select_tried, compute_log_probabilities

WORDS = "the prince snake people are is lonely a little in desert among too finger".split()


def random_sentences(n, seed=0):
    """Return sentences of 1 to 9 words that share many beginnings, some of them repeated."""
    rng = np.random.default_rng(seed)
    sentences = [" ".join(rng.choice(WORDS[: 2 + 4 * (k % 4)], rng.integers(1, 10))) for k in range(n)]
    return [*sentences, sentences[0], sentences[1][:-1], sentences[2] + " is", "a", " a"]


def unexpected(line):
    raise AssertionError(line)


# ---------------------------------------------------------------- layout


def attention(ends):
    """Return which nodes (n_rows, query, key) the attention mask lets each node see."""
    mask = prefix_trees.make_attention_mask(torch.from_numpy(ends), torch.float32)
    assert ((mask == 0) | (mask == torch.finfo(torch.float32).min)).all()
    return (mask == 0)[:, 0].numpy()


def test_a_small_tree():
    beginnings = [[0, 1, 2], [0, 1, 3, 4], [0, 1, 2], [0, 5], [0]]
    ids, depths, ends, paths = prefix_trees.pack_trees(beginnings, 16)
    assert ids.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert depths.tolist() == [[0, 1, 2, 2, 3, 1]]
    assert paths.tolist() == [[0, 1, 2, -1], [0, 1, 3, 4], [0, 1, 2, -1], [0, 5, -1, -1], [0, -1, -1, -1]]
    assert ends.tolist() == [[6, 5, 3, 5, 5, 6]]
    sees = attention(ends)
    assert [np.flatnonzero(seen).tolist() for seen in sees[0]] == [
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 1, 3],
        [0, 1, 3, 4],
        [0, 5],
    ]
    # Rows as short as their number allows, each from a BOS of its own.
    assert prefix_trees.pack_trees(beginnings, 5)[0].tolist() == [[0, 1, 2, 3, 4], [0, 5, 0, 0, 0]]
    assert prefix_trees.pack_trees(beginnings, 4)[0].tolist() == [[0, 1, 2, 0], [0, 1, 3, 4], [0, 5, 0, 0]]
    assert prefix_trees.pack_trees([*beginnings[:2], [0, 6, 7]], 6)[0].tolist() == [[0, 1, 2, 3, 4], [0, 6, 7, 0, 0]]
    assert prefix_trees.pack_trees([[0], [0]], 1)[0].tolist() == [[0]]


@pytest.mark.parametrize("max_slots", [12, 13, 20, 64, 1000])
def test_every_path_spells_its_tokens_and_sees_nothing_else(max_slots):
    rng = np.random.default_rng(max_slots)
    beginnings = [[0, *rng.integers(0, 4, rng.integers(0, 12)).tolist()] for _ in range(150)]
    ids, depths, ends, paths = prefix_trees.pack_trees(beginnings, max_slots)
    n_rows, n_slots = ids.shape
    assert n_slots <= max_slots
    sees = attention(ends)
    walked = np.zeros_like(sees)
    for row in range(n_rows):
        walked[row] = np.eye(n_slots)
    for tokens, path in zip(beginnings, paths, strict=True):
        assert (path[len(tokens) :] == -1).all()
        places = path[: len(tokens)]
        assert ids.ravel()[places].tolist() == tokens
        assert depths.ravel()[places].tolist() == list(range(len(tokens)))
        (row,) = set(places // n_slots)
        for depth, place in enumerate(places):
            walked[row, place % n_slots, places[: depth + 1] % n_slots] = True
    np.testing.assert_array_equal(sees, walked)
    # No beginning stands twice in a row; in one row for all, nowhere.
    n_distinct = len({tuple(tokens[: k + 1]) for tokens in beginnings for k in range(len(tokens))})
    n_nodes = len(np.unique(paths[paths >= 0]))
    assert n_distinct <= n_nodes <= n_distinct + 12 * (n_rows - 1)
    assert n_rows > 1 or n_nodes == ids.size


# ---------------------------------------------------------------- the numbers are the plain ones


def plain(sentences, model, tokenizer):
    """Return the log-probabilities of sentences that the model reads one at a time."""
    token_ids = [[0, *ids] for ids in tokenizer(sentences, add_special_tokens=False)["input_ids"]]
    with torch.inference_mode():
        batches = [upload_batch(stage_batch(prepare_padded([ids]), model.device), model.device) for ids in token_ids]
        return np.array([score_padded(batch, model).item() for batch in batches])


@pytest.fixture(scope="module")
def tokenizer():
    return byte_level_tokenizer(ENGLISH + FRENCH + " ".join(WORDS), 400, adds_bos=False)


def configured(name, n_vocabulary, **more):
    """Return a small random model of any architecture of Transformers, whose weights make context matter."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.AutoConfig.for_model(
        name, vocab_size=n_vocabulary, bos_token_id=0, eos_token_id=0, pad_token_id=0, **sizes | more
    )
    for key in ("initializer_range", "init_std"):
        if hasattr(config, key):
            setattr(config, key, 0.3)
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("architecture", ["gpt_neox", "olmo2", "llama"])
def test_trees_give_the_plain_numbers(architecture, attention, tokenizer):
    n_vocabulary = len(tokenizer) + 700  # more than one block of the output layer
    if architecture == "llama":
        model = configured("llama", n_vocabulary, num_key_value_heads=2, max_position_embeddings=64)
    else:
        model = random_model(architecture, n_vocabulary, context=64)
    model.set_attn_implementation(attention)
    sentences = random_sentences(80)
    expected = plain(sentences, model, tokenizer)
    for batch_size in (1, 3, 1000):
        done = []
        scores = compute_log_probabilities(sentences, model, tokenizer, batch_size, done.extend, unexpected)
        np.testing.assert_allclose(scores, expected, rtol=2e-6)
        assert sorted(done) == list(range(len(sentences)))
    assert scores[0] == scores[80]  # written twice, read once
    repeated = compute_log_probabilities(sentences, model, tokenizer, 1000, log=unexpected)
    assert scores.tobytes() == repeated.tobytes()


@pytest.mark.parametrize("architecture", ["gpt_neox", "olmo2"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_trees_are_as_accurate_as_plain_batches_in_half_precision(architecture, dtype, tokenizer):
    """Against the same weights in float32, rounding costs both ways of reading the same."""
    model = random_model(architecture, len(tokenizer), context=64).to(dtype)
    sentences = random_sentences(40)
    as_trees = compute_log_probabilities(sentences, model, tokenizer, log=unexpected)
    one_by_one = plain(sentences, model, tokenizer)
    exact = plain(sentences, model.float(), tokenizer)
    error, plain_error = (np.sqrt(np.mean((scores - exact) ** 2)) for scores in (as_trees, one_by_one))
    assert 0 < error < 2 * plain_error  # seen: .93 to 1.5


# Architectures that can read trees, and architectures that need plain batches.
READERS = {
    "gpt2": {},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 32},  # longer than any sentence
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 8},  # an output layer with bias
    "phi": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 16},
}
NON_READERS = {
    "mistral": {"num_key_value_heads": 2, "sliding_window": 3},
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 3},
    "bloom": {"n_layer": 2, "n_head": 4},  # attention by distance in the row (ALiBi)
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "gemma2": {"num_key_value_heads": 2, "head_dim": 8, "final_logit_softcapping": 2.0},
    "cohere": {"num_key_value_heads": 2, "logit_scale": 0.25},
    "granite": {"num_key_value_heads": 2, "logits_scaling": 4.0},
    "mamba": {"state_size": 4},  # no attention
    "rwkv": {"context_length": 64},
}


@pytest.mark.parametrize("architecture", READERS)
def test_models_that_can_read_trees_do(architecture, tokenizer):
    model = configured(architecture, len(tokenizer), **READERS[architecture])
    layer = model.get_output_embeddings()
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    assert (layer.bias is not None) == (architecture in ("gptj", "phi"))
    sentences = random_sentences(60)
    scores = compute_log_probabilities(sentences, model, tokenizer, log=unexpected)
    np.testing.assert_allclose(scores, plain(sentences, model, tokenizer), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weights", [1.0, 0.07], ids=["trained", "untrained"])  # 0.02, as models begin with
@pytest.mark.parametrize("architecture", NON_READERS)
def test_models_that_cannot_read_trees_read_plain_batches(architecture, weights, dtype, tokenizer):
    """With small weights and in half precision, the numbers alone do not show it."""
    model = configured(architecture, len(tokenizer), **NON_READERS[architecture])
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "norm" not in name:
            parameter.data *= weights
    sentences = random_sentences(60)
    lines = []
    model = model.to(dtype)
    scores = compute_log_probabilities(sentences, model, tokenizer, log=lines.append)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    np.testing.assert_allclose(scores, plain(sentences, model, tokenizer), rtol=tolerance)
    assert len(lines) == 1
    assert "cannot read sentences as trees" in lines[0]


@pytest.mark.parametrize("architecture", ["cohere", "granite", "gemma2"])
def test_scaled_logits_are_seen_whatever_the_weights_and_the_precision(architecture, tokenizer):
    model = configured(architecture, len(tokenizer), **NON_READERS[architecture] | {"final_logit_softcapping": 0.1})
    for parameter in model.parameters():
        parameter.data *= 0.1
    lines = []
    compute_log_probabilities(["the people", "the prince"], model.bfloat16(), tokenizer, log=lines.append)
    assert "its logits are more than those of a linear layer" in lines[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("architecture", "settings", "name"),
    [
        ("gemma3", {"text_config": {"sliding_window": 3}}, "sliding_window 3"),
        ("llama4_text", {"attention_chunk_size": 3}, "it takes tokens by|attention_chunk_size 3"),
    ],
)
def test_windows_in_the_part_for_text_are_seen(architecture, settings, name, dtype, tokenizer):
    if "text_config" in settings:
        settings = {"text_config": sizes_for(transformers.Gemma3TextConfig, len(tokenizer)) | settings["text_config"]}
    model = tiny_model(architecture, len(tokenizer), **settings).to(dtype)
    sentences, lines = random_sentences(30), []
    scores = compute_log_probabilities(sentences, model, tokenizer, log=lines.append)
    np.testing.assert_allclose(
        scores, plain(sentences, model, tokenizer), rtol=1e-5 if dtype == torch.float32 else 2e-2
    )
    assert re.search(name, lines[0])


def test_without_a_log_the_line_is_a_warning(tokenizer):
    model = configured("cohere", len(tokenizer), **NON_READERS["cohere"])
    with pytest.warns(UserWarning, match="CohereForCausalLM cannot read sentences as trees"):
        compute_log_probabilities(["the people", "the prince"], model, tokenizer)


def test_a_log_probability_that_is_not_finite_is_named_wherever_it_is(tokenizer):
    model = random_model("gpt_neox", len(tokenizer), context=64)
    sentences = random_sentences(300)
    order = sorted(range(len(sentences)), key=lambda k: tokenizer(sentences[k])["input_ids"][:-1])
    tried = _select_tried([[0, *ids] for ids in tokenizer(sentences)["input_ids"]], order)
    untried = next(
        k for k in range(len(sentences)) if k not in tried and sentences[k] not in {sentences[t] for t in tried}
    )
    sentences[untried] += "œ"
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(tokenizer.tokenize("œ"))[0]] = torch.nan
    with pytest.raises(InputError, match=f"log-probability of '{sentences[untried]}': expected finite numbers"):
        compute_log_probabilities(sentences, model, tokenizer, log=unexpected)


# ---------------------------------------------------------------- batches and memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"),
    ],
)
def test_batches_become_smaller_where_memory_runs_out(error):
    done, lines = [], []

    def work(batch):
        if len(batch) > 3 or (5 in batch and len(batch) > 1):
            raise error
        done.append(batch)

    work_in_batches(list(range(8)), 7, work, lines.append)
    assert done == [[0, 1, 2], [3], [4], [5], [6], [7]]
    assert lines == [f"the memory of the device does not hold {n} at once; going on with {n // 2}" for n in (7, 3)]
    with pytest.raises(InputError, match="even one text: use another --device"):
        work_in_batches([1, 2], 2, lambda batch: (_ for _ in ()).throw(error), lines.append)
    with pytest.raises(RuntimeError, match="another"):
        work_in_batches([1], 1, lambda batch: (_ for _ in ()).throw(RuntimeError("another")), lines.append)
    work_in_batches([], 1, unexpected, unexpected)


def test_what_a_failed_batch_held_is_free_before_the_next():
    references = []

    def work(batch):
        assert all(reference() is None for reference in references)
        tensor = torch.zeros(4)
        references.append(weakref.ref(tensor))
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        del tensor

    work_in_batches([1, 2, 3, 4], 4, work, lambda line: None)
    assert len(references) == 6


@pytest.mark.parametrize("architecture", ["gpt_neox", "cohere"])
def test_too_little_memory_changes_no_number(architecture, tokenizer, monkeypatch):
    if architecture == "cohere":
        model = configured("cohere", len(tokenizer), **NON_READERS["cohere"])
    else:
        model = random_model("gpt_neox", len(tokenizer), context=64)
    sentences = random_sentences(150)
    expected = compute_log_probabilities(sentences, model, tokenizer, log=lambda line: None)
    read, n_tokens = model.base_model.forward, []

    def forward(input_ids, position_ids=None, **more):
        if input_ids.numel() > 150:
            raise torch.OutOfMemoryError("CUDA out of memory")
        n_tokens.append(input_ids.numel())
        return read(input_ids, position_ids=position_ids, **more)

    monkeypatch.setattr(model.base_model, "forward", forward)
    done, lines = [], []
    scores = compute_log_probabilities(sentences, model, tokenizer, 128, done.extend, lines.append)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert sorted(done) == list(range(len(sentences)))
    assert max(n_tokens) <= 150
    assert sum("does not hold" in line for line in lines) >= 2
    assert sum("as trees" in line for line in lines) == (architecture == "cohere")

    def out_of_memory(input_ids, position_ids=None, attention_mask=None, **more):
        if attention_mask is None:  # the few tokens that find the context length
            return read(input_ids, position_ids=position_ids, **more)
        raise MemoryError

    monkeypatch.setattr(model.base_model, "forward", out_of_memory)
    with pytest.raises(InputError, match="even one text"):
        compute_log_probabilities(sentences, model, tokenizer, log=lines.append)
