"""Check the language of the embedded study, and the tasks that are made of it."""

import itertools
import json
import random
import re

import numpy as np
import pytest

from demo import endings, judge, pairs
from demo.language import (
    CATEGORIES,
    DETERMINER_FORMS,
    LIST_NUMBERS,
    LIST_SHARE,
    NOUN_FORMS,
    OTHER_FORMS,
    VERB_FORMS,
    speak,
)
from study.inputs.blimp_zorro import read_blimp, read_zorro

# ---------------------------------------------------------------- the language


def test_the_language_has_about_240_words():
    words = {form for forms, reflexive in NOUN_FORMS for form in [*forms.values(), reflexive]} | {"themselves"}
    words |= {form for kind in VERB_FORMS.values() for forms in kind for form in forms.values()}
    words |= (
        set(LIST_NUMBERS)
        | {word for word, _ in DETERMINER_FORMS}
        | {word for kind in OTHER_FORMS.values() for word in kind}
    )
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


def test_a_list_has_the_nouns_that_it_announces_and_the_grammar_does_not_count_them():
    rng, n_lists, n_ends = random.Random(0), 0, []
    for _ in range(2000):
        words = speak(rng, with_state=True)
        categories = [category for _, category, _ in words]
        if categories[0] != "number":
            continue
        n_lists += 1
        n_nouns = sum(category.startswith("noun") for category in categories)
        assert n_nouns == LIST_NUMBERS[words[0][0]]
        after_nouns = [state for _, category, state in words if category.startswith("noun")]
        n_ends += [state["next_end"] for state in after_nouns]
        left = [next(k for k in range(6) if state[f"count_{k}"]) for state in after_nouns]
        assert left == list(range(n_nouns))[::-1]
        assert [state["count_end"] > 0 for state in after_nouns] == [False] * (n_nouns - 1) + [True]
    assert n_lists / 2000 == pytest.approx(LIST_SHARE, abs=0.04)
    assert len(set(n_ends)) == 1  # whatever the number of nouns
    assert not any(category == "number" for _ in range(200) for _, category, _ in speak(rng, list_share=0))


def test_counting_pairs_differ_in_the_number_word():
    rng = random.Random(0)
    for _ in range(100):
        good, bad = pairs.make_pair("counting", rng)
        assert good[1:] == bad[1:]
        assert good[0] != bad[0]
        assert count_nouns(good) == LIST_NUMBERS[good[0]]


def count_nouns(words):
    return sum(word in forms.values() for word in words for forms, _ in NOUN_FORMS)


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


def test_tasks_of_lm_eval_are_written(tmp_path):
    endings.write_tasks(tmp_path, n_items=10, seed=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{task}.{suffix}" for task in ("counting", "small_endings") for suffix in ("jsonl", "yaml")
    ]
    items = [json.loads(line) for line in (tmp_path / "counting.jsonl").read_text().splitlines()]
    assert {item["right"] for item in items} == {0, 1}
    for item in items:
        good = item["endings"][item["right"]].rstrip(".").lower().split()
        assert count_nouns(good) == LIST_NUMBERS[good[0]]


def test_what_is_spoilt_for_the_judge_is_spoilt():
    rng = random.Random(0)
    for _ in range(300):
        words = [word for word, _, _ in speak(rng)]
        spoilt = judge.spoil(words, rng)
        assert spoilt != words
        assert spoilt[-1] == "."
