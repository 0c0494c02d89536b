"""fMRI that is nothing but noise: nothing is to be found in it.

Each of the tests and intervals that the summary reports is wrong in one of twenty studies by design. Seeds 0 to
39 were tried when this was written: in seed 31 a transition was claimed, in seed 6 a region. The seeds below are
the first five.
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
    # What comes first is lower than the maximum over layers.
    for side in ("left", "right"):
        assert last.loc[f"{side}_nested", "value"] < 0.6 * last.loc[side, "value"]
        assert words.index(f"{last.loc[f'{side}_nested', 'value']:.3f}") < words.index("as published")
    assert study["regions"]["p_holm"].dropna().min() > 0.05
    assert np.isfinite(study["regions"]["p_holm"]).sum() == 8
