"""Training tokens are those of a table, else exact steps, else the number in a revision."""

import pytest

from study.checkpoints import find_training_tokens
from study.paths import tokens_table_path


@pytest.mark.parametrize(
    ("model", "revision", "tokens"),
    [
        ("allenai_OLMo-2-1124-7B", "stage1-step150-tokens1B", 150 * 4_194_304),
        ("allenai_OLMo-2-1124-7B", "stage1-step928646-tokens3896B", 928646 * 4_194_304),
        ("OLMo-2-1124-7B", "stage1-step0-tokens0B", 0),
        ("allenai_OLMo-2-1124-7B", "stage1-step150-tokens2B", 2e9),  # step and name do not agree
        ("allenai_OLMo-2-1124-7B", "stage1-step1000-tokens4B", 4e9),  # 4.19e9 is not rounded up
        ("allenai_OLMo-2-1124-13B", "stage1-step100000-tokens839B", 839e9),  # another number of tokens a step
        ("me_lm", "stage1-step150-tokens1B", 1e9),
        ("allenai_OLMo-2-1124-7B", "stage2-ingredient1-step1000-tokens5B", None),  # counted anew, after stage 1
        ("EleutherAI_pythia-6.9b", "step1000", 1000 * 2097152),
        ("EleutherAI_pythia-6.9b", "step0", 0),
        ("small_lm", "step2-tokens2048", 2048),
        ("x", "tokens1.5T", 1.5e12),
        ("other-lm", "step1000", None),  # who knows how many tokens a step
        ("allenai_OLMo-2-1124-7B", "main", None),
    ],
)
def test_training_tokens(study_folder, model, revision, tokens):
    assert find_training_tokens(model, revision) == tokens


def test_training_tokens_of_other_names_are_in_a_table(study_folder):
    tokens_table_path().write_text("model,revision,tokens\nme/other-lm,step1000,5e6\nme/other-lm,main,1e9\n")
    assert find_training_tokens("me_other-lm", "step1000") == 5e6
    assert find_training_tokens("me_other-lm", "main") == 1e9
    assert find_training_tokens("me_another-lm", "main") is None
    tokens_table_path().write_text("model,revision,tokens\nallenai/OLMo-2-1124-7B,stage1-step150-tokens1B,7\n")
    assert find_training_tokens("allenai_OLMo-2-1124-7B", "stage1-step150-tokens1B") == 7
