"""The result in words, with the numbers in it: a paragraph that can be pasted and corrected."""

import numpy as np

from pipeline.transitions import FEWEST_CHECKPOINTS

LANGUAGE_NAMES = {"en": "English", "fr": "French"}


def in_words(name, lang, points, table, claim, regions, missing=(), not_alike=()):
    """Say what was found.

    Parameters
    ----------
    name, lang : str
    points : pandas.DataFrame
        As ``transitions.points`` returns it, with the curves left, right and left_minus_right.
    table : pandas.DataFrame
        As ``transitions.compare`` returns it.
    claim : dict or None
        As ``transitions.formal_minus_functional`` returns it.
    regions : pandas.DataFrame
        As ``asymmetry.region_curves`` returns it.
    missing : list of str
        What is not there, in words.
    not_alike : list of str
        In what checkpoints were not treated alike, in words.

    Returns
    -------
    str
    """
    of_curve = table.set_index("curve").to_dict("index")
    benchmarks = {curve: row for curve, row in of_curve.items() if curve != "left_minus_right"}
    sentences = [
        _at_the_end(name, lang, points),
        _asymmetry(of_curve["left_minus_right"]),
        *_benchmarks(benchmarks),
        _claim(claim, benchmarks),
        _regions(regions),
        *(f"Missing: {what}." for what in missing),
        *(f"Checkpoints are not alike: {what}." for what in not_alike),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _at_the_end(name, lang, points):
    last = points[points["tokens"] == points["tokens"].max()].set_index("curve")
    n_checkpoints = points[points["curve"] == "left"]["tokens"].nunique()
    story = LANGUAGE_NAMES.get(lang, lang)
    words = (
        f"{n_checkpoints} checkpoints of {name} were compared with the average listener to the story in {story}. After "
        f"{tokens_in_words(points['tokens'].max())} training tokens, the left hemisphere was predicted with a mean "
        f"correlation of {last.loc['left', 'value']:.3f} and the right with {last.loc['right', 'value']:.3f}, a "
        f"difference of {_with_interval(last.loc['left_minus_right'])}"
    )
    if "left_minus_right_nested" in last.index:
        nested = _with_interval(last.loc["left_minus_right_nested"])
        words += f"; with layers chosen on other runs, {nested}"
    return words + "."


def _asymmetry(row):
    if row["n_checkpoints"] == 0:
        return "Since no left-out runs are known, nothing can be said of when the difference arises, and how surely."
    if row["n_checkpoints"] < FEWEST_CHECKPOINTS:
        return "At fewer than five trained checkpoints, nothing can be said of when the difference arises."
    if row["is_flat"]:
        return (
            "Over training, no transition of left minus right can be shown: a constant may describe it as well "
            f"(p = {row['p_flat']:.2f})."
        )
    x0, low, high = (tokens_in_words(10 ** row[column]) for column in ("x0", "x0_low", "x0_high"))
    back = "" if row["is_monotonic"] else ", and turns back on its way"
    return (
        f"Left minus right {'rises' if row['high'] > row['low'] else 'falls'} with a midpoint at {x0} training tokens "
        f"(95 % interval {low} to {high}; p {'≤' if row['p_flat'] < 0.001 else '='} {row['p_flat']:.4f} against a flat "
        f"curve){back}."
    )


def _benchmarks(rows):
    aligned = {name: row for name, row in rows.items() if row["is_flat"] is False and np.isfinite(row["alignment"])}
    if aligned:
        ranked = sorted(aligned.items(), key=lambda item: -item[1]["alignment"])
        yield f"Its alignment is {', '.join(f'{_alignment(row)} with {name}' for name, row in ranked)}."
    flat = [name for name, row in rows.items() if row["is_flat"] is True]
    if flat:
        yield f"No transition can be shown in {' and '.join(flat)}."
    by_lead = sorted(aligned.items(), key=lambda item: -item[1]["lead"])
    for column, sign, words in [("lead_low", 1, "before the asymmetry"), ("lead_high", -1, "after it")]:
        moved = [
            f"{name} by {sign * row['lead']:.2f} ({row['lead_low']:.2f} to {row['lead_high']:.2f})"
            for name, row in by_lead
            if sign * row[column] > 0
        ]
        if moved:
            yield f"What moves {words}, in factors of ten of tokens: {', '.join(moved)}."
    together = [name for name, row in by_lead if row["lead_low"] <= 0 <= row["lead_high"]]
    if together:
        yield f"Neither before nor after it, as far as can be told: {', '.join(together)}."


def _claim(claim, benchmarks):
    if claim is None:
        return (
            "Formal and functional competence cannot be compared: that takes at least one benchmark of either kind, "
            "with intervals, at five trained checkpoints or more."
        )
    verdict = "the asymmetry goes with formal competence rather than with functional competence"
    if claim["high"] < 0:
        verdict = "the asymmetry goes with functional competence rather than with formal competence"
    elif claim["low"] <= 0:
        verdict = "these checkpoints cannot tell which of the two the asymmetry goes with"
    formal, functional = (claim[f"{of_kind}_benchmarks"].split() for of_kind in ("formal", "functional"))
    words = (
        f"Mean alignment is {claim['formal']:.2f} with benchmarks of formal competence ({', '.join(formal)}) and "
        f"{claim['functional']:.2f} with those of functional competence ({', '.join(functional)}), a difference of "
        f"{claim['difference']:.2f} (95 % interval {claim['low']:.2f} to {claim['high']:.2f}): {verdict}."
    )
    if all(benchmarks[name]["is_flat"] is True for name in functional):
        words += " Those of functional competence are all flat: no transition could be shown; one may be there."
    return words


def _regions(regions):
    last = regions[regions["tokens"] == regions["tokens"].max()]
    if not len(last) or last["low"].isna().all():
        return ""
    more = {
        side: list(last["region"][beyond]) for side, beyond in [("left", last["low"] > 0), ("right", last["high"] < 0)]
    }
    said = [f"the {side} is predicted better in {', '.join(names)}" for side, names in more.items() if names]
    found = " and ".join(said) or "none has an interval that excludes 0"
    return (
        f"Of {len(last)} regions (of language, and the cerebellum) at the last checkpoint, {found} "
        "(95 % intervals of each, not corrected for their number)."
    )


def _with_interval(row):
    if not np.isfinite(row["low"]):
        return f"{row['value']:.4f} (only averages over runs are known, so there is no interval)"
    return f"{row['value']:.4f} (95 % interval {row['low']:.4f} to {row['high']:.4f})"


def _alignment(row):
    return f"{row['alignment']:.2f} ({row['alignment_low']:.2f} to {row['alignment_high']:.2f})"


def tokens_in_words(number):
    """A number of tokens as one says it: 3.2 billion."""
    for size, word in [(1e12, " trillion"), (1e9, " billion"), (1e6, " million"), (1e3, " thousand")]:
        if number >= size:
            return f"{number / size:.3g}{word}"
    return f"{number:.3g}"
