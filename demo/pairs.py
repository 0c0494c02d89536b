"""Make minimal pairs of the small language: a sentence of its grammar, and a sentence that breaks a rule.

In the easy paradigms the rule holds between words next to each other. They are written as Zorro's files are.
In the hard paradigms another noun stands between a word and the noun that it agrees with. In three
of four pairs that noun has the other number: a model that agrees with the nearest noun is right in one
pair of four. They are written as BLiMP's files are.
"""

import json
import random

from demo.language import (
    DETERMINER_FORMS,
    LIST_NUMBERS,
    MORE_ADJECTIVES,
    NOUN_FORMS,
    NUMBERS,
    OTHER_FORMS,
    VERB_FORMS,
    spell,
)

DETERMINERS = {number: [word for word, form in DETERMINER_FORMS if form == number] for number in NUMBERS}
NEUTRAL = [word for word, form in DETERMINER_FORMS if form == "either"]
PARADIGMS = {  # name: phenomenon, difficulty
    "determiner_noun": ("determiner_noun_agreement", "easy"),
    "subject_verb": ("subject_verb_agreement", "easy"),
    "verb_with_gap": ("filler_gap", "easy"),
    "subject_verb_across_preposition": ("subject_verb_agreement", "hard"),
    "subject_verb_across_subject_relative": ("subject_verb_agreement", "hard"),
    "subject_verb_across_object_relative": ("subject_verb_agreement", "hard"),
    "reflexive_across_preposition": ("anaphor_agreement", "hard"),
    "counting": ("counting", "counting"),
}


def make_pair(paradigm, rng):
    """Make a pair of a paradigm: (good words, bad words), full stop included."""
    if paradigm == "counting":
        return make_counting_pair(rng)
    number = rng.choice(NUMBERS)
    other_number = NUMBERS[1 - NUMBERS.index(number)]
    (noun, reflexive), (between, _) = rng.choice(NOUN_FORMS), rng.choice(NOUN_FORMS)
    number_between = rng.choice([other_number] * 3 + [number])
    subject, attractor = [rng.choice(NEUTRAL), noun[number]], [rng.choice(NEUTRAL), between[number_between]]
    preposition = rng.choice(OTHER_FORMS["preposition"])
    intransitive, transitive = rng.choice(VERB_FORMS["intransitive"]), rng.choice(VERB_FORMS["transitive"])
    good, bad, end = intransitive[number], intransitive[other_number], []
    match paradigm:
        case "determiner_noun":
            start, good, bad = [rng.choice(DETERMINERS[number])], noun[number], noun[other_number]
            end = [intransitive[number]]
        case "subject_verb":
            start = subject
        case "verb_with_gap":  # the object of the verb in the relative clause is the subject
            start, end = [*subject, "that", *attractor], [intransitive[number]]
            good, bad = transitive[number_between], rng.choice(VERB_FORMS["intransitive"])[number_between]
        case "subject_verb_across_preposition":
            start = [*subject, preposition, *attractor]
        case "subject_verb_across_subject_relative":
            start = [*subject, "that", transitive[number], *attractor]
        case "subject_verb_across_object_relative":
            start = [*subject, "that", *attractor, transitive[number_between]]
        case "reflexive_across_preposition":
            start = [*subject, preposition, *attractor, transitive[number]]
            good, bad = (reflexive, "themselves")[:: 1 if number == "sg" else -1]
    return [*start, good, *end, "."], [*start, bad, *end, "."]


def make_counting_pair(rng):
    """Make a list of nouns after the right number word, and after a wrong number word."""
    good, bad = rng.sample(list(LIST_NUMBERS), 2)
    items: list[str] = []
    for _ in range(LIST_NUMBERS[good]):
        determiner, number = rng.choice(DETERMINER_FORMS)
        items.append(determiner)
        while rng.random() < MORE_ADJECTIVES:
            items.append(rng.choice(OTHER_FORMS["adjective"]))
        items.append(rng.choice(NOUN_FORMS)[0][rng.choice(NUMBERS) if number == "either" else number])
    return [good, *items, "."], [bad, *items, "."]


def make_distinct_pairs(paradigm, n_pairs, seed):
    """Make the pairs of a paradigm as they are written: a list of n_pairs (good sentence, bad sentence)."""
    rng = random.Random(f"{seed} {paradigm}")
    pairs: dict[str, str] = {}  # good sentence: bad sentence
    while len(pairs) < n_pairs:
        good, bad = make_pair(paradigm, rng)
        pairs[spell(good)] = spell(bad)
    return list(pairs.items())


def write_zorro(folder, n_pairs, seed):
    """Write the easy paradigms as Zorro does: ``{phenomenon}-{paradigm}.txt``, the bad sentence first."""
    folder.mkdir(parents=True, exist_ok=True)
    for paradigm, (phenomenon, difficulty) in PARADIGMS.items():
        if difficulty == "easy":
            lines = [f"{bad}\n{good}\n" for good, bad in make_distinct_pairs(paradigm, n_pairs, seed)]
            (folder / f"{phenomenon}-{paradigm}.txt").write_text("".join(lines), encoding="utf-8")


def write_blimp(folder, n_pairs, seed):
    """Write the hard paradigms as BLiMP does: ``{paradigm}.jsonl``, a line for each pair."""
    folder.mkdir(parents=True, exist_ok=True)
    for paradigm, (phenomenon, difficulty) in PARADIGMS.items():
        if difficulty != "hard":
            continue
        with open(folder / f"{paradigm}.jsonl", "w", encoding="utf-8") as file:
            for number, (good, bad) in enumerate(make_distinct_pairs(paradigm, n_pairs, seed)):
                record = {
                    "sentence_good": good,
                    "sentence_bad": bad,
                    "field": "morphology",
                    "linguistics_term": phenomenon,
                    "UID": paradigm,
                    "simple_LM_method": True,
                    "pairID": str(number),
                }
                file.write(json.dumps(record) + "\n")
