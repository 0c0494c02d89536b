"""The embedded study: its language, its listener, and the known truth that the pipeline must recover."""

import itertools
import random
import re

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit

import llm_brain_asym as study
from demo import endings, judge, listener, make_study, pairs
from demo.language import CATEGORIES, DETERMINER_FORMS, NOUN_FORMS, OTHER_FORMS, VERB_FORMS, sentence, spell
from pipeline.asymmetry import hemispheres, reliable_voxels, voxel_positions
from pipeline.encoding import TRIM_SCANS

# ---------------------------------------------------------------- the language


def test_the_language_has_about_240_words():
    words = {form for forms, reflexive in NOUN_FORMS for form in [*forms.values(), reflexive]} | {"themselves"}
    words |= {form for kind in VERB_FORMS.values() for forms in kind for form in forms.values()}
    words |= {word for word, _ in DETERMINER_FORMS} | {word for kind in OTHER_FORMS.values() for word in kind}
    assert 220 < len(words) < 260


def test_what_is_expected_is_what_comes():
    """The probabilities of the next category are those with which it is spoken."""
    rng = random.Random(0)
    expected, spoken, n_words = np.zeros(len(CATEGORIES)), np.zeros(len(CATEGORIES)), 0
    for _ in range(3000):
        words = sentence(rng, with_state=True)
        for (_, _, state), (_, following, _) in itertools.pairwise(words):
            probabilities = np.array([state[f"next_{category}"] for category in CATEGORIES])
            assert probabilities.sum() == pytest.approx(1)
            assert probabilities[CATEGORIES.index(following)] > 0
            expected += probabilities
            spoken[CATEGORIES.index(following)] += 1
            n_words += 1
    np.testing.assert_allclose(spoken / n_words, expected / n_words, atol=0.01)


def test_state_of_mind_in_a_sentence_with_everything():
    """the dogs that a boy sees sleep: by hand."""
    rng = random.Random(0)
    while True:
        words = sentence(rng, with_state=True)
        categories = " ".join(category for _, category, _ in words)
        if re.fullmatch("determiner noun_pl that determiner noun_sg verb_sg verb_pl end", categories):
            break
    states = [state for _, _, state in words]
    assert [state["number"] for state in states] == [0, -1, -1, -1, 1, -1, 0, 0]
    assert [state["outer_number"] for state in states] == [0, 0, 0, 0, -1, 0, 0, 0]
    assert [state["gap"] for state in states] == [0, 0, 0, 1, 1, 0, 0, 0]
    assert [state["depth"] for state in states] == [0, 0, 1, 1, 1, 1, 0, 0]
    assert [state["distance"] for state in states] == [0, 0, 1, 2, 0, 4, 0, 0]


def grammatical_verbs(words):
    """Whether every verb of a sentence agrees with its subject, found by the position of words alone."""
    numbers = {form: number for forms, _ in NOUN_FORMS for number, form in forms.items()}
    verbs = {form: number for kind in VERB_FORMS.values() for forms in kind for number, form in forms.items()}
    subject, verb = words[1], next(word for word in reversed(words) if word in verbs)
    return numbers[subject] == verbs[verb]


@pytest.mark.parametrize("paradigm", [name for name, (_, level) in pairs.PARADIGMS.items() if level == "hard"])
def test_hard_pairs_are_minimal_and_defeat_agreement_with_the_nearest_noun(paradigm):
    rng = random.Random(0)
    numbers = {form: number for forms, _ in NOUN_FORMS for number, form in forms.items()}
    nearest_is_right = []
    for _ in range(400):
        good, bad = pairs.minimal_pair(paradigm, rng)
        assert sum(one != other for one, other in zip(good, bad, strict=True)) == 1
        between, subject = [word for word in good if word in numbers][1], good[1]
        nearest_is_right.append(numbers[between] == numbers[subject])
        if paradigm.startswith("subject_verb"):
            assert grammatical_verbs(good)
            assert not grammatical_verbs(bad)
    assert np.mean(nearest_is_right) == pytest.approx(0.25, abs=0.07)


def test_pairs_are_written_as_blimp_s_and_zorro_s(study_folder):
    pairs.write_blimp(study_folder / "blimp" / "data", n_pairs=20, seed=1)
    pairs.write_zorro(study_folder / "Zorro" / "sentences" / "babyberta", n_pairs=20, seed=1)
    for table, level in [(study.read_blimp(), "hard"), (study.read_zorro(), "easy")]:
        names = set(table["paradigm"].str.rpartition("-")[2])
        assert names == {name for name, (_, difficulty) in pairs.PARADIGMS.items() if difficulty == level}
        assert (table.groupby("paradigm")["good"].nunique() == 20).all()
        assert (table["good"] != table["bad"]).all()
        assert set(table["phenomenon"]) == {of for of, difficulty in pairs.PARADIGMS.values() if difficulty == level}


def test_endings_are_those_of_one_sentence_and_three_others():
    rng = random.Random(0)
    items = [endings.item(rng) for _ in range(200)]
    assert {item["right"] for item in items} == {0, 1, 2, 3}
    assert all(len(set(item["endings"])) == 4 for item in items)


def test_what_is_spoilt_for_the_judge_is_spoilt():
    rng = random.Random(0)
    for _ in range(300):
        words = [word for word, _, _ in sentence(rng)]
        spoilt = judge.spoil(words, rng)
        assert spoilt != words
        assert spoilt[-1] == "."


# ---------------------------------------------------------------- the listener


@pytest.fixture(scope="module")
def signals():
    rng = random.Random(3)
    onsets, offsets = make_study.timings(300)
    runs, others = ([make_study.spoken_words(make_study.tell(300, rng)) for _ in range(n)] for n in (3, 60))
    n_scans = 60
    return listener.signals(runs, others, onsets, offsets, n_scans, np.random.default_rng(0))


def test_the_brain_is_symmetric_and_a_quarter_of_it_is_driven():
    mask = listener.brain_mask()
    inside = np.asarray(mask.dataobj)
    assert (inside == inside[::-1]).all()
    (left, right), x = hemispheres(mask), voxel_positions(mask)[:, 0]
    assert left.sum() == right.sum()
    assert 800 < left.sum() < 1000
    assert (x == 0).sum() > 100
    driven_left, driven_right = listener.driven_pairs(mask)
    assert (x[driven_left] < 0).all()
    np.testing.assert_array_equal(x[driven_left], -x[driven_right])
    assert 0.25 < 2 * len(driven_left) / len(x) < 0.30


def test_syntax_is_orthogonal_to_words_within_each_run(signals):
    for lexical, syntactic in signals:
        seen = slice(TRIM_SCANS, len(lexical) - TRIM_SCANS)
        n_lexical = lexical.shape[1]
        correlations = np.corrcoef(lexical[seen], syntactic[seen], rowvar=False)[:n_lexical, n_lexical:]
        assert np.abs(correlations).max() < 1e-4


def test_voxels_are_made_of_what_they_are_said_to_be_made_of(signals):
    mask = listener.brain_mask()
    fmri, isc = listener.listen(mask, signals, listener.SYNTACTIC_RIGHT, seed=1)
    null, _ = listener.listen(mask, signals, listener.SYNTACTIC_LEFT, seed=1)
    left, right = listener.driven_pairs(mask)
    assert fmri[0].shape == (60, len(voxel_positions(mask)))
    assert fmri[0].dtype == np.float32
    assert reliable_voxels(isc)[left].mean() > 0.9
    assert reliable_voxels(isc)[[*left, *right]].sum() == reliable_voxels(isc).sum()
    for run, null_run in zip(fmri, null, strict=True):
        np.testing.assert_allclose(run[:, left], null_run[:, left], atol=1e-5)
        np.testing.assert_allclose(run.std(axis=0), 1, atol=1e-4)
        both = [np.corrcoef(run[:, a], run[:, b])[0, 1] for a, b in zip(left, right, strict=True)]
        both_null = [np.corrcoef(null_run[:, a], null_run[:, b])[0, 1] for a, b in zip(left, right, strict=True)]
        # Mirror images share words and grammar: .15 + sqrt(.30 x .09), or .15 + .30.
        assert np.mean(both) == pytest.approx(0.15 + np.sqrt(0.30 * 0.09), abs=0.06)
        assert np.mean(both_null) == pytest.approx(0.45, abs=0.06)


def test_scrambling_keeps_the_spectrum_and_nothing_else():
    rng = np.random.default_rng(0)
    signal = np.cumsum(rng.standard_normal((200, 50)), axis=0)
    scrambled = listener.scramble(signal, rng)
    np.testing.assert_allclose(np.abs(np.fft.rfft(scrambled, axis=0))[1:-1], np.abs(np.fft.rfft(signal, axis=0))[1:-1])
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(signal.T, scrambled.T, strict=True)]
    assert abs(np.mean(correlations)) < 0.25


# ---------------------------------------------------------------- the known truth


def midpoint(tokens, values):
    """x0 of low + (high - low) / (1 + exp(-beta (log10 tokens - x0))), by least squares.

    Checkpoints are 0.3 decades apart, so a rise steeper than that (beta above 15) cannot be seen.
    """
    x = np.log10(tokens)

    def sigmoid(x, low, high, beta, x0):
        return low + (high - low) / (1 + np.exp(-beta * (x - x0)))

    fits = []
    for start in np.arange(x[0], x[-1], 0.25):
        parameters, _ = curve_fit(
            sigmoid,
            x,
            values,
            p0=[values[0], values[-1], 8, start],
            bounds=([-1, -1, 1, x[0]], [2, 2, 15, x[-1]]),
            max_nfev=20_000,
        )
        fits.append((np.sum((sigmoid(x, *parameters) - values) ** 2), parameters[3]))
    return min(fits)[1]


@pytest.mark.slow
def test_the_pipeline_recovers_the_known_truth(whole_study):
    folder, printed = whole_study
    curve = pd.read_csv(folder / "fig" / "small_lm_en_curves.csv")
    null = pd.read_csv(folder / "null" / "fig" / "small_lm_en_curves.csv")
    assert curve["tokens"].tolist() == [0, *[1024 * 2**k for k in range(11)]]
    assert abs(curve["left_minus_right"].iloc[0]) < 0.01
    assert curve["left_minus_right"].iloc[-1] > 0.05
    assert curve["low"].iloc[-1] > 0.05
    assert null["left_minus_right"].abs().max() < 0.01

    # The hard pairs are written as BLiMP's, the easy ones as Zorro's.
    hard, easy = curve["blimp"].to_numpy(), curve["zorro"].to_numpy()
    assert hard[0] == pytest.approx(0.5, abs=0.1)
    assert hard[-1] > 0.9
    assert easy[0] == pytest.approx(0.5, abs=0.1)
    assert easy[-1] > 0.95
    assert (curve["arithmetic"] - 0.5).abs().max() < 0.05
    assert (curve["dyck"] - 0.5).abs().max() < 0.05
    assert curve["acceptability"].iloc[0] < 0.1
    assert curve["acceptability"].iloc[-1] > 0.7
    assert curve["acceptability"].corr(curve["blimp"]) > 0.8
    assert curve["small_endings"].iloc[0] == pytest.approx(0.25, abs=0.1)
    assert curve["small_endings"].iloc[-1] > 0.7
    tokens = curve["tokens"].to_numpy()[1:]  # the untrained checkpoint has no logarithm
    x0_of_asymmetry = midpoint(tokens, curve["left_minus_right"].to_numpy()[1:])
    x0_of_hard_pairs = midpoint(tokens, hard[1:])
    assert abs(x0_of_asymmetry - x0_of_hard_pairs) < 0.05
    table = pd.read_csv(folder / "fig" / "small_lm_en_table.csv").set_index("curve")
    assert table.index[table["is_flat"]].tolist() == ["arithmetic", "dyck"]
    assert table.loc["left_minus_right", "x0"] == pytest.approx(x0_of_asymmetry, abs=0.05)
    assert table.loc["blimp", "x0"] == pytest.approx(x0_of_hard_pairs, abs=0.05)
    assert table.loc["blimp", "midpoint_difference_low"] < 0 < table.loc["blimp", "midpoint_difference_high"]
    # The easy pairs are learnt long before the hard ones, which the asymmetry goes with.
    assert table.loc["zorro", "lead_low"] > 0.5
    assert table["alignment"].drop("left_minus_right").idxmax() == "blimp"
    null_table = pd.read_csv(folder / "null" / "fig" / "small_lm_en_table.csv").set_index("curve")
    assert null_table.loc["left_minus_right", "is_flat"]
    assert printed.count("\nfound: ") == 7
    assert "NOT FOUND" not in printed
    assert "It is no evidence about brains." in printed


@pytest.mark.slow
def test_the_story_is_in_the_published_formats(whole_study, monkeypatch):
    folder, _ = whole_study
    monkeypatch.setenv("LTBA_DIR", str(folder))
    texts, timings = study.read_texts("en"), study.read_word_timings("en")
    assert [len(words) for words, _, _ in timings] == [600] * 9
    assert np.diff(timings[0][1]).mean() == pytest.approx(0.36)
    assert all(text.startswith(text[0].upper()) and "." in text for text in texts)
    scans = study.read_average_subject("en")
    assert {run.shape for run in scans} == {(114, len(voxel_positions(study.read_mask("en"))))}
    assert spell(["the", "dog", "sleeps", "."]) == "The dog sleeps."
