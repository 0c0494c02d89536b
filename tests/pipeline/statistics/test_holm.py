"""Check Holm's correction against numbers worked out by hand."""

import numpy as np

from pipeline.statistics.holm import correct_holm


def test_holm_by_hand():
    corrected = correct_holm(np.array([0.03, np.nan, 0.01, 0.04, 0.9]))
    np.testing.assert_allclose(corrected, [0.09, np.nan, 0.04, 0.09, 0.9])
    assert correct_holm([0.6, 0.7]).tolist() == [1, 1]
    assert correct_holm([]).size == 0
