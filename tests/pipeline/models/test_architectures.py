"""Compare every causal architecture of Transformers, tiny and random, with a plain loop, unless it is refused.

``make test`` tests a selection. ``make architectures`` tests all, and prints the outcome of each.
"""

import numpy as np
import pytest
import torch
from helpers import ENGLISH, byte_level_tokenizer, words_in
from plain_noise import plain_keys, plain_noise
from tiny_models import ARCHITECTURES, tiny_config, tiny_model

from pipeline.errors import InputError
from pipeline.models.generation import continue_prompts
from pipeline.models.loading import load_checkpoint
from pipeline.models.sentence_scores import compute_log_probabilities
from pipeline.words.tokens import assign_tokens
from pipeline.words.vectors import compute_word_vectors

# Outcomes of the fast selection: the numbers of a plain loop, or an error with these words.
SELECTION = {
    "gpt2": "equal",
    "gemma3": "equal",
    "opt": "equal",
    "mixtral": "equal",
    "mamba": "equal",
    "rwkv": "equal",
    "mpt": "equal",
    "llama4_text": "equal",
    "roberta": "expected a causal language model",
    "xlnet": "expected a causal language model",
}
SENTENCES = ["The people are lonely.", "The people is lonely.", "a", "“Where is the king?” said the snake."]
PROMPTS = ["The prince didn’t answer.", "It is a little lonely in the desert, among people."]
N_NEW = 8


@pytest.fixture(scope="module")
def tokenizer():
    return byte_level_tokenizer(ENGLISH, 320, adds_bos=False)


def pytest_generate_tests(metafunc):
    if "architecture" in metafunc.fixturenames:
        every = metafunc.config.getoption("--architectures")
        metafunc.parametrize("architecture", ARCHITECTURES if every else list(SELECTION))


def plain_log_probability(ids, model):
    """Return the log-probability of a sentence that the model reads alone."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0]
    log_probabilities = logits.double().log_softmax(dim=-1)
    return sum(log_probabilities[position, token].item() for position, token in enumerate(ids[1:]))


def plain_states(ids, model):
    """Return the states that Transformers returns, and the embedding of recurrent models."""
    ids, embeddings = torch.tensor([ids], device=model.device), []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, __, output: embeddings.append(output[0]))
    with torch.no_grad():
        states = model.base_model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
    hook.remove()
    states = [layer_states[0] for layer_states in states]
    if model.config.model_type in ("mamba", "mamba2", "falcon_mamba", "rwkv"):
        states = [embeddings[0], *states[:-2], states[-1]]
    return torch.stack(states).cpu().numpy()  # (n_layers, n_tokens, n_units)


def plain_text(prompt, seed, model, tokenizer):
    """Return a text that is written token by token, each time from the whole text, without a cache."""
    start = tokenizer(prompt)["input_ids"]
    ids = [0, *start]
    for key in plain_keys(seed, N_NEW):
        with torch.no_grad():
            row = torch.tensor([ids], device=model.device)
            logits = model(input_ids=row, use_cache=False).logits[0, -1].float().cpu()
        noise = plain_noise(key, len(logits))
        ids.append(int((logits + noise).argmax()))
        if ids[-1] == tokenizer.eos_token_id:
            break
    written = tokenizer.decode(ids[1:], skip_special_tokens=True)
    return prompt + written[len(tokenizer.decode(start, skip_special_tokens=True)) :]


def check_sums(model, tokenizer):
    scores = compute_log_probabilities(SENTENCES, model, tokenizer, log=lambda line: None)
    expected = [plain_log_probability([0, *ids], model) for ids in tokenizer(SENTENCES)["input_ids"]]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def check_states(model, tokenizer):
    spans = words_in(ENGLISH)[:15]
    text = ENGLISH[: spans[-1][1]]
    vectors = compute_word_vectors(model, tokenizer, text, spans)
    encoded = tokenizer(text, return_offsets_mapping=True)
    states = plain_states(encoded["input_ids"], model)
    ranges = assign_tokens(spans, encoded["offset_mapping"], text)
    expected = np.stack([states[:, first:end].mean(axis=1) for first, end in ranges], axis=1)
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def check_texts(model, tokenizer):
    expected = [plain_text(prompt, seed, model, tokenizer) for seed, prompt in enumerate(PROMPTS)]
    together = continue_prompts(model, tokenizer, PROMPTS, [0, 1], N_NEW, log=lambda line: None)
    alone = [continue_prompts(model, tokenizer, [PROMPTS[seed]], [seed], N_NEW)[0] for seed in range(2)]
    assert alone == expected
    assert together == expected


def find_outcome(architecture, tokenizer, folder):
    """Load a tiny model as the scripts do, and compare it with the plain loops: return "equal", or the errors."""
    try:
        config = tiny_config(architecture, len(tokenizer))
        model = tiny_model(architecture, len(tokenizer))
    except Exception as error:
        return f"cannot be built: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    model.save_pretrained(folder / architecture)
    config.save_pretrained(folder / architecture)  # whole, as published: the model only keeps the part for text
    tokenizer.save_pretrained(folder / architecture)
    try:
        model, tokenizer, _ = load_checkpoint(str(folder / architecture), texts=SENTENCES)  # on a GPU if there is one
    except InputError as error:
        return f"refused: {' '.join(str(error).split()).removeprefix(f'checkpoint {folder}/')}"
    refused = []
    for check in (check_sums, check_states, check_texts):
        try:
            check(model, tokenizer)
        except InputError as error:
            refused.append(f"{check.__name__.removeprefix('check_')} refused: {' '.join(str(error).split())}")
    return "; ".join(refused) or "equal"


def test_an_architecture_gives_the_numbers_of_a_plain_loop_or_one_line(
    architecture, tokenizer, tmp_path, record_property
):
    outcome = find_outcome(architecture, tokenizer, tmp_path)
    record_property("outcome", f"{architecture}: {outcome}")
    if architecture in SELECTION:
        assert SELECTION[architecture] in outcome
    if outcome.startswith("cannot be built"):
        pytest.skip(outcome)
