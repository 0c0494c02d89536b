"""Check the truth of the made benchmark; ``make demo-brain-score`` runs the whole demo."""

import numpy as np
import pytest

pytest.importorskip("h5py", reason="h5py is not here: pip install -r experiments/brain_score/requirements.txt")
from experiments.brain_score import made_benchmark as made_module
from study.inputs.brain_benchmarks import read_published

MADE = made_module.make_words(1)


def test_parts_have_the_shares_of_variance_that_they_claim():
    shares = made_module.SHARES
    assert sum(shares.values()) == pytest.approx(1)
    responses, weights = made_module.make_responses(MADE, shares, 1)
    assert responses.var(axis=0).mean() == pytest.approx(1, abs=0.1)
    planted = (MADE.planted @ weights[:-1]).var(axis=0)
    np.testing.assert_allclose(planted, shares["planted"], rtol=1e-6)
    length = (MADE.length[:, None] * weights[-1]).var(axis=0)
    np.testing.assert_allclose(length, shares["length"], rtol=1e-6)
    np.testing.assert_allclose(MADE.planted.T @ MADE.length, 0, atol=1e-6)


def test_ceilings_are_those_of_a_fit_to_very_many_sentences():
    """With 60,000 words, a plain least-squares fit is close to the best prediction."""
    shares = made_module.SHARES
    _, weights = made_module.make_responses(MADE, shares, 1)
    rng, owners = np.random.default_rng(0), np.repeat(np.arange(made_module.N_SUBJECTS), made_module.N_NEUROIDS)
    source = rng.standard_normal((60_000, len(weights)))
    noise = np.sqrt(shares["drift"] + shares["noise"]) * rng.standard_normal((60_000, len(owners)))
    responses = source @ weights + noise
    at_n, extrapolated = made_module.compute_analytic_ceilings(weights, shares)
    x, y = responses[:, owners > 0], responses[:, owners == 0]
    coefficients = np.linalg.lstsq(x[:30_000], y[:30_000], rcond=None)[0]
    predicted = x[30_000:] @ coefficients
    r = [np.corrcoef(pair)[0, 1] for pair in zip(predicted.T, y[30_000:].T, strict=True)]
    np.testing.assert_allclose(r, at_n[owners == 0], atol=0.02)
    assert (at_n < extrapolated).all()


def test_the_file_has_the_published_layout(tmp_path):
    responses, _ = made_module.make_responses(MADE, made_module.SHARES, 1)
    made_module.write_published_layout(tmp_path / "assy.nc", MADE, responses)
    read, n_dropped = read_published(tmp_path / "assy.nc", "blank")
    np.testing.assert_array_equal(read.responses, responses)
    assert ([unit.strip() for unit in read.units], n_dropped) == (MADE.words, 0)
    assert len(set(read.groups)) == made_module.N_PASSAGES


def test_words_do_not_contain_what_is_planted():
    """The category of a word, its place and its length predict nothing linearly; the words before it do."""
    by_word = {}
    for word, values in zip(MADE.words, MADE.planted, strict=True):
        by_word.setdefault(word, []).append(values)
    assert len(MADE.planted) > 400
    np.testing.assert_allclose(MADE.planted.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(MADE.planted.std(axis=0), 1, rtol=1e-6)
    frequent = [np.mean(values, axis=0) for values in by_word.values() if len(values) >= 10]
    assert np.mean(np.square(frequent)) < 0.3
