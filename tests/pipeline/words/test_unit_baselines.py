"""Compare baselines of the units of a story with loops."""

import numpy as np

from pipeline.words.baselines import draw_random_embedding
from pipeline.words.unit_baselines import (
    compute_oasm,
    compute_unit_length,
    compute_unit_word_rate,
    draw_unit_embedding,
)

UNITS = [["Once upon a time", "there was.", "A prince"], ["The end"]]


def test_lengths_and_word_rates():
    assert [run.tolist() for run in compute_unit_length(UNITS)] == [[[13, 4], [8, 2], [7, 2]], [[6, 2]]]
    assert [run.tolist() for run in compute_unit_word_rate(UNITS)] == [[[4], [2], [2]], [[2]]]


def test_an_embedding_is_the_mean_over_words():
    vectors = draw_unit_embedding(UNITS, seed=3, n_dimensions=5)
    expected = np.mean(draw_random_embedding([["A", "prince"]], seed=3, n_dimensions=5)[0], axis=0)
    np.testing.assert_allclose(vectors[0][2], expected, rtol=1e-6)


def test_oasm_contains_neighbourhood_within_a_run_only():
    whole = np.concatenate(compute_oasm(UNITS, 1.0))
    assert whole.shape == (4, 4)
    assert (whole[:3, 3] == 0).all()
    assert (whole[3, :3] == 0).all()
    assert whole[0, 0] > whole[0, 1] > whole[0, 2] > 0
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate(compute_oasm(UNITS, 0)), np.eye(4))
