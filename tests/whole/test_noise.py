"""Check that the analysis finds nothing in fMRI of pure noise.

Each of the tests and intervals in the summary is wrong in one of twenty studies by design. Seeds 0 to 39 were tried
when this test was written: seed 31 gave a transition, seed 6 a region. The seeds below are the first five.
"""

import noise
import numpy as np
import pytest


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_in_noise(seed):
    study = noise.analyse(seed)
    words = study["words"]
    assert "no transition of left minus right can be shown" in words
    assert "none shows a difference" in words
    assert "already" not in words
    last = study["points"].groupby("curve").last()
    assert last.loc["left_minus_right_nested", "low"] < 0 < last.loc["left_minus_right_nested", "high"]
    # The scores with layers chosen on other runs come first, and are lower than the maximum over layers.
    for side in ("left", "right"):
        assert last.loc[f"{side}_nested", "value"] < 0.6 * last.loc[side, "value"]
        assert words.index(f"{last.loc[f'{side}_nested', 'value']:.3f}") < words.index("as published")
    assert study["regions"]["p_holm"].dropna().min() > 0.05
    assert np.isfinite(study["regions"]["p_holm"]).sum() == 8
