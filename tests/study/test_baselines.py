"""Names of baselines, which are never taken for checkpoints."""

import json
import shutil
import types

import pytest
from hub_models import NAME, REVISION

from study import baselines
from study.inputs import word_frequencies
from study.paths import activations_path, checkpoint_stem, record_path

NAMES = {
    "baseline_word_rate": None,
    "baseline_random_embedding_seed-12": None,
    "baseline_length": None,
    "baseline_oasm_0.5": None,
    "baseline_static_me_lm_step8": "me_lm_step8",
    "me_lm_step8_untrained-3": "me_lm_step8",
}


@pytest.mark.parametrize("stem", NAMES)
def test_a_baseline_is_known_by_its_name(stem):
    assert baselines.is_baseline(stem)
    assert baselines.find_source(stem) == NAMES[stem]


@pytest.mark.parametrize(
    "stem", ["baseline_lm_step8", "me_baseline_word_rate", "lm_untrained", "lm_untrained-x", "lm_step8"]
)
def test_a_checkpoint_is_no_baseline(stem):
    assert not baselines.is_baseline(stem)


def test_stems_have_the_seed_of_random_baselines_alone():
    assert baselines.make_baseline_stem("random_vector", 4) == "baseline_random_vector_seed-4"
    assert baselines.make_baseline_stem("position", 4) == "baseline_position"
    assert baselines.make_untrained_stem("lm_step8", 0) == "lm_step8_untrained-0"
    assert baselines.make_untrained_stem("lm_step8", None) == "lm_step8"


def test_wordfreq_is_used_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(word_frequencies, "wordfreq", None)
    assert word_frequencies.read_zipf_frequencies({"fox"}, "en") is None
    package = types.SimpleNamespace(
        available_languages=lambda: {"en": "a file"}, zipf_frequency=lambda word, lang: {"fox": 4.5}.get(word, 0.0)
    )
    monkeypatch.setattr(word_frequencies, "wordfreq", package)
    monkeypatch.setattr(word_frequencies.importlib.metadata, "version", lambda name: "3.1.1")
    assert word_frequencies.find_wordfreq_version("en") == "3.1.1"
    assert word_frequencies.read_zipf_frequencies({"fox", "b612"}, "en") == {"fox": 4.5, "b612": 0.0}
    assert word_frequencies.find_wordfreq_version("xx") is None


def test_an_untrained_model_of_the_hub_needs_no_weights(hub, two_checkpoints, tiny_study, extract, tmp_path):
    """The cache has configuration and tokenizer alone, and no test reaches the hub."""
    commits = ["a" * 40, "b" * 40]
    shutil.copytree(two_checkpoints / "old", tmp_path / "lm", ignore=shutil.ignore_patterns("*.safetensors"))
    hub(tmp_path / "lm", commits[0])
    assert extract("--untrained", 1, "--device", "cpu")[0] == 0
    path = activations_path(f"{checkpoint_stem(NAME, REVISION)}_untrained-1", "en")
    checkpoint = json.loads(record_path(path).read_text())["checkpoint"]
    assert (checkpoint["commit"], checkpoint["untrained"]) == (commits[0], 1)
    assert "is there already" in extract("--untrained", 1, "--device", "cpu")[1]
    assert extract("--device", "cpu")[0] == 2  # with weights, which are not there
    # A new commit with the same configuration and tokenizer has the same weights.
    hub(tmp_path / "lm", commits[1])
    assert extract("--untrained", 1, "--device", "cpu")[0] == 0
    config = tmp_path / "lm" / "config.json"
    config.write_text(config.read_text().replace('"initializer_range": 0.3', '"initializer_range": 0.2'))
    hub(tmp_path / "lm", commits[1])
    status, _, error = extract("--untrained", 1, "--device", "cpu")
    assert (status, "--overwrite makes it again" in error) == (2, True)
