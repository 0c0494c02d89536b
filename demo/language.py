"""Speak sentences of a small English-like language, and describe the speaker's memory after every word.

Sentences come from a probabilistic grammar with a stack. The topmost symbol is expanded to further
symbols, or spoken as a word. After a word, the stack contains the memory of a listener: clauses to be
finished, a subject whose verb is still to come, a gap to be filled. Determiner and noun, subject and
verb, reflexive and antecedent agree, across phrases and clauses with nouns of the other number between.

Some sentences are lists: a number word, then that many nouns. The grammar does not count. It expects the end
of a list with the same probability after every noun. A speaker and a listener who count know when a list ends.
"""

NOUNS = {  # singular/plural, by reflexive
    "himself": "boy/boys king/kings uncle/uncles brother/brothers monk/monks father/fathers prince/princes man/men "
    "waiter/waiters wizard/wizards actor/actors baron/barons son/sons hero/heroes",
    "herself": "girl/girls queen/queens aunt/aunts sister/sisters nun/nuns mother/mothers princess/princesses "
    "woman/women waitress/waitresses witch/witches actress/actresses duchess/duchesses daughter/daughters",
    "itself": "dog/dogs cat/cats bird/birds robot/robots fox/foxes horse/horses bear/bears lion/lions wolf/wolves "
    "mouse/mice goose/geese snake/snakes sheep-dog/sheep-dogs pony/ponies rabbit/rabbits",
}
VERBS = {  # singular/plural
    "intransitive": "sleeps/sleep laughs/laugh dances/dance sings/sing waits/wait falls/fall smiles/smile runs/run "
    "works/work cries/cry swims/swim coughs/cough sneezes/sneeze walks/walk jumps/jump yawns/yawn",
    "transitive": "sees/see hears/hear likes/like follows/follow helps/help knows/know finds/find calls/call "
    "hates/hate paints/paint watches/watch loves/love chases/chase draws/draw trusts/trust fears/fear "
    "admires/admire blames/blame greets/greet teases/tease",
    "clausal": "thinks/think says/say hopes/hope believes/believe",
    "copula": "is/are",
}
DETERMINERS = {"sg": "a this every one", "pl": "these some many two few", "either": "the my your our"}
OTHERS = {
    "adjective": "big small old young happy sad tall quiet clever tired hungry brave kind proud red grey lazy famous "
    "strange gentle rich poor busy careful",
    "adverb": "often loudly slowly today again now here quickly alone gladly softly there badly",
    "preposition": "near behind beside with above below before after",
    "that": "that",
    "end": ".",
}
DEEPEST = 3  # open clauses, without the main clause
LIST_NUMBERS = {"three": 3, "four": 4, "five": 5, "six": 6}
LIST_SHARE = 0.3  # of the sentences
MORE_ADJECTIVES = 0.6  # before a noun of a list, so that the number of words does not give away that of nouns
LIST_END = len(LIST_NUMBERS) / sum(LIST_NUMBERS.values())  # share of the nouns of lists that are the last

NUMBERS = ("sg", "pl")
NOUN_FORMS = [
    (dict(zip(NUMBERS, pair.split("/"), strict=True)), reflexive)
    for reflexive, pairs in NOUNS.items()
    for pair in pairs.split()
]
VERB_FORMS = {
    kind: [dict(zip(NUMBERS, pair.split("/"), strict=True)) for pair in pairs.split()] for kind, pairs in VERBS.items()
}
OTHER_FORMS = {kind: words.split() for kind, words in OTHERS.items()}
DETERMINER_FORMS = [(word, number) for number, words in DETERMINERS.items() for word in words.split()]

# Categories of words, whose probabilities the speaker expects.
CATEGORIES = tuple(
    "determiner adjective noun_sg noun_pl verb_sg verb_pl reflexive adverb preposition that number end".split()
)
AWAIT_VERB = {"VP", "RELATIVE_VP", "GAP_VP", "intransitive", "transitive", "clausal", "copula"}


def spell(words):
    """Write a sentence, a list of str with the full stop last, as a str."""
    written = " ".join(words[:-1]) + words[-1]
    return written[0].upper() + written[1:]


class Noun:
    """Hold the features of a noun phrase that further words agree with; its number is None until it has been heard."""

    def __init__(self):
        self.number = self.reflexive = self.spoken_at = None


class Tally:
    """Hold the number of nouns that a list announces, and how many of them are complete."""

    def __init__(self):
        self.announced, self.n_complete = None, 0


def expand(symbol, noun, depth):
    """Return the expansions of a symbol: a list of (probability, symbols), or None for a word.

    A symbol is (name, noun that it agrees with or None); depth is the number of open clauses. The second
    part of a symbol of a list is its Tally.
    """
    match symbol:
        case "SENTENCE":
            tally = Tally()
            items = [("number", tally), ("ITEM", Noun()), ("MORE", tally)]
            return [(1 - LIST_SHARE, [("S", None)]), (LIST_SHARE, items)]
        case "MORE":
            return [(LIST_END, []), (1 - LIST_END, [("ITEM", Noun()), ("MORE", noun)])]
        case "ITEM":
            return [(1, [("determiner", noun), ("ADJECTIVES", None), ("noun", noun)])]
        case "ADJECTIVES":
            return [(1 - MORE_ADJECTIVES, []), (MORE_ADJECTIVES, [("adjective", None), ("ADJECTIVES", None)])]
        case "S":
            subject = Noun()
            return [(1, [("NP", subject), ("VP", subject)])]
        case "NP":
            after = ("POST", noun)
            return [
                (0.8, [("determiner", noun), ("noun", noun), after]),
                (0.2, [("determiner", noun), ("adjective", None), ("noun", noun), after]),
            ]
        case "SHORT_NP":
            return [(1, [("determiner", noun), ("noun", noun)])]
        case "POST":
            if depth >= DEEPEST:
                return [(1, [])]
            return [
                (0.56, []),
                (0.22, [("preposition", None), ("SHORT_NP", Noun())]),
                (0.22, [("that", None), ("RELATIVE", noun), ("CLOSE", None)]),
            ]
        case "RELATIVE":
            subject = Noun()
            return [(0.5, [("RELATIVE_VP", noun)]), (0.5, [("SHORT_NP", subject), ("GAP_VP", subject)])]
        case "RELATIVE_VP":
            return [(0.4, [("intransitive", noun)]), (0.6, [("transitive", noun), ("SHORT_NP", Noun())])]
        case "GAP_VP":
            return [(1, [("transitive", noun)])]
        case "VP":
            clause = [("clausal", noun), ("that", None), ("S", None), ("CLOSE", None)]
            deeper = 0.15 if depth < DEEPEST else 0
            return [
                (0.3, [("intransitive", noun), ("ADVERB", None)]),
                (0.4 + 0.15 - deeper, [("transitive", noun), ("OBJECT", noun)]),
                (0.15, [("copula", noun), ("adjective", None)]),
                (deeper, clause),
            ]
        case "OBJECT":
            return [(0.75, [("NP", Noun())]), (0.25, [("reflexive", noun)])]
        case "ADVERB":
            return [(0.65, []), (0.35, [("adverb", None)])]
        case "CLOSE":
            return [(1, [])]
    return None


def choose_word(symbol, noun, position, rng):
    """Choose the word for a symbol, and set the features of its noun that are heard."""
    match symbol:
        case "determiner":
            word, number = rng.choice(DETERMINER_FORMS)
            noun.number = None if number == "either" else number
            return word
        case "noun":
            forms, noun.reflexive = rng.choice(NOUN_FORMS)
            noun.number = noun.number or rng.choice(NUMBERS)
            noun.spoken_at = position
            return forms[noun.number]
        case "reflexive":
            return noun.reflexive if noun.number == "sg" else "themselves"
        case "number":
            word = rng.choice(list(LIST_NUMBERS))
            noun.announced = LIST_NUMBERS[word]
            return word
    if symbol in VERB_FORMS:
        return rng.choice(VERB_FORMS[symbol])[noun.number]
    return rng.choice(OTHER_FORMS[symbol])


def speak(rng, with_state=False, list_share=LIST_SHARE):
    """Speak a sentence.

    Parameters
    ----------
    rng : random.Random
    with_state : bool
        Whether to describe the memory after each word.
    list_share : float
        Share of lists. What is expected is right for LIST_SHARE.

    Returns
    -------
    list of (word, category, state)
        The last is the full stop. state is a dict of numbers (see ``describe_memory``), or None.
    """
    stack: list[tuple] = [("end", None), ("SENTENCE", None)]
    words: list[tuple] = []
    while stack:
        symbol, noun = stack.pop()
        depth = sum(name == "CLOSE" for name, _ in stack)
        choices = expand(symbol, noun, depth)
        if choices is None:
            word = choose_word(symbol, noun, len(words), rng)
            category = find_category(symbol, noun)
            words.append((word, category, describe_memory(stack, len(words)) if with_state else None))
        elif symbol == "SENTENCE":
            stack.extend(reversed(choices[rng.random() < list_share][1]))
        elif symbol == "MORE":  # the speaker counts
            noun.n_complete += 1
            stack.extend(reversed(choices[noun.n_complete < noun.announced][1]))
        else:
            (chosen,) = rng.choices([symbols for _, symbols in choices], [p for p, _ in choices])
            stack.extend(reversed(chosen))
    return words


def find_category(symbol, noun):
    """Return the category of a symbol that is spoken, one of CATEGORIES; None for a noun not heard yet."""
    if symbol == "noun":
        return f"noun_{noun.number}"
    if symbol in VERB_FORMS:
        return f"verb_{noun.number}"
    return symbol


def describe_memory(stack, position):
    """Describe what must be remembered, and what is expected, after a word.

    Parameters
    ----------
    stack : list of (symbol, noun), the next symbol last
    position : int
        Words since the beginning of the sentence.

    Returns
    -------
    dict of float
        depth: open clauses; open: open symbols; number: of the subject whose verb comes next (+1
        singular, -1 plural, 0 none); outer_number: of the subject whose verb comes after it; gap:
        whether a gap must be filled; distance: words since the subject whose verb comes next; then
        the probability of each category of the next word, without counting. The memory of a
        listener who counts: count_{k}, whether k nouns of a list are still to come; count_end, whether
        the list ends here, minus the probability without counting.
    """
    awaited = [noun for symbol, noun in reversed(stack) if symbol in AWAIT_VERB and noun.spoken_at is not None]
    signs = [1 if noun.number == "sg" else -1 for noun in awaited] + [0, 0]
    names = [symbol for symbol, _ in stack]
    state = {
        "depth": names.count("CLOSE"),
        "open": len(stack),
        "number": signs[0],
        "outer_number": signs[1],
        "gap": float("GAP_VP" in names),
        "distance": position - awaited[0].spoken_at if awaited else 0,
    }
    expected = dict.fromkeys(CATEGORIES, 0.0)
    _add_expected(stack, 1.0, expected)
    return state | {f"next_{category}": p for category, p in expected.items()} | describe_count(stack)


def describe_count(stack):
    """Describe the memory of a listener who counts the nouns of a list: a dict of float."""
    memory = dict.fromkeys([f"count_{k}" for k in range(max(LIST_NUMBERS.values()))] + ["count_end"], 0.0)
    for symbol, tally in stack:
        if symbol == "MORE":
            n_left = tally.announced - tally.n_complete - 1
            memory[f"count_{n_left}"] = 1.0
            if stack[-1][0] == "MORE":
                memory["count_end"] = (n_left == 0) - LIST_END
    return memory


def _add_expected(stack, probability, expected):
    """Add the probabilities of the next word's category, given the stack, to a dict."""
    if not stack or probability == 0:
        return
    *rest, (symbol, noun) = stack
    choices = expand(symbol, noun, sum(name == "CLOSE" for name, _ in rest))
    if choices is not None:
        for p, symbols in choices:
            _add_expected(rest + symbols[::-1], probability * p, expected)
    elif symbol == "noun" and noun.number is None:
        for number in NUMBERS:
            expected[f"noun_{number}"] += probability / 2
    else:
        expected[find_category(symbol, noun)] += probability
