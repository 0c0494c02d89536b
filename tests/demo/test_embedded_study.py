"""Check the language and the listener of the embedded study."""

import itertools
import random
import re

import numpy as np
import pytest

from demo import endings, judge, listener, make_study, pairs
from demo.language import CATEGORIES, DETERMINER_FORMS, NOUN_FORMS, OTHER_FORMS, VERB_FORMS, speak
from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.brain.scores import select_reliable_voxels
from pipeline.brain.voxels import compute_positions
from pipeline.encoding.signals import TRIM_SCANS
from pipeline.errors import InputError
from study.inputs.blimp_zorro import read_blimp, read_zorro

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
        words = speak(rng, with_state=True)
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
        words = speak(rng, with_state=True)
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
    """Return whether the last verb of a sentence agrees with its subject, by the position of words alone."""
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
        good, bad = pairs.make_pair(paradigm, rng)
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
    for table, level in [(read_blimp(), "hard"), (read_zorro(), "easy")]:
        names = set(table["paradigm"].str.rpartition("-")[2])
        assert names == {name for name, (_, difficulty) in pairs.PARADIGMS.items() if difficulty == level}
        assert (table.groupby("paradigm")["good"].nunique() == 20).all()
        assert (table["good"] != table["bad"]).all()
        assert set(table["phenomenon"]) == {
            phenomenon for phenomenon, difficulty in pairs.PARADIGMS.values() if difficulty == level
        }


def test_endings_are_those_of_one_sentence_and_three_others():
    rng = random.Random(0)
    items = [endings.make_item(rng) for _ in range(200)]
    assert {item["right"] for item in items} == {0, 1, 2, 3}
    assert all(len(set(item["endings"])) == 4 for item in items)


def test_what_is_spoilt_for_the_judge_is_spoilt():
    rng = random.Random(0)
    for _ in range(300):
        words = [word for word, _, _ in speak(rng)]
        spoilt = judge.spoil(words, rng)
        assert spoilt != words
        assert spoilt[-1] == "."


# ---------------------------------------------------------------- the listener


@pytest.fixture(scope="module")
def signals():
    rng = random.Random(3)
    onsets, offsets = make_study.make_timings(300)
    runs, others = ([make_study.list_words(make_study.tell(300, rng)) for _ in range(n)] for n in (3, 60))
    n_scans = 60
    return listener.make_signals(
        runs, others, onsets=onsets, offsets=offsets, n_scans=n_scans, rng=np.random.default_rng(0)
    )


def test_the_brain_is_symmetric_and_a_quarter_of_it_is_driven():
    mask = listener.make_brain_mask()
    inside = np.asarray(mask.dataobj)
    assert (inside == inside[::-1]).all()
    (left, right), x = assign_hemispheres(mask), compute_positions(mask)[:, 0]
    assert left.sum() == right.sum()
    assert 800 < left.sum() < 1000
    assert (x == 0).sum() > 100
    driven_left, driven_right = listener.find_driven_pairs(mask)
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
    mask = listener.make_brain_mask()
    fmri, isc = listener.listen(mask, signals, listener.SYNTACTIC_RIGHT, seed=1)
    null, _ = listener.listen(mask, signals, listener.SYNTACTIC_LEFT, seed=1)
    left, right = listener.find_driven_pairs(mask)
    assert fmri[0].shape == (60, len(compute_positions(mask)))
    assert fmri[0].dtype == np.float32
    assert select_reliable_voxels(isc)[left].mean() > 0.9
    assert select_reliable_voxels(isc)[[*left, *right]].sum() == select_reliable_voxels(isc).sum()
    for run, null_run in zip(fmri, null, strict=True):
        np.testing.assert_allclose(run[:, left], null_run[:, left], atol=1e-5)
        np.testing.assert_allclose(run.std(axis=0), 1, atol=1e-4)
        both = [np.corrcoef(run[:, a], run[:, b])[0, 1] for a, b in zip(left, right, strict=True)]
        both_null = [np.corrcoef(null_run[:, a], null_run[:, b])[0, 1] for a, b in zip(left, right, strict=True)]
        # Mirror images share words and grammar: .15 + sqrt(.30 x .09), or .15 + .30.
        assert np.mean(both) == pytest.approx(0.15 + np.sqrt(0.30 * 0.09), abs=0.06)
        assert np.mean(both_null) == pytest.approx(0.45, abs=0.06)


def test_a_story_too_short_for_the_fit_is_refused():
    onsets, offsets = make_study.make_timings(60)
    run = make_study.list_words(make_study.tell(60, random.Random(0)))
    times = {"onsets": onsets, "offsets": offsets, "n_scans": 17, "rng": np.random.default_rng(0)}
    with pytest.raises(InputError, match="17 scans are too few"):
        listener.make_signals([run], [run], **times)


def test_scrambling_keeps_the_spectrum_and_nothing_else():
    rng = np.random.default_rng(0)
    signal = np.cumsum(rng.standard_normal((200, 50)), axis=0)
    scrambled = listener.scramble(signal, rng)
    np.testing.assert_allclose(np.abs(np.fft.rfft(scrambled, axis=0))[1:-1], np.abs(np.fft.rfft(signal, axis=0))[1:-1])
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(signal.T, scrambled.T, strict=True)]
    assert abs(np.mean(correlations)) < 0.25
