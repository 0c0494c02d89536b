"""Describe what is unusual about the checkpoints of a study, though no file is damaged."""

import pandas as pd

from study.outputs.same_weights import describe_weights, mark_equal


def mark_same_weights(table, fingerprints):
    """Return the overview's table with a column that names checkpoints of the same model with the same weights.

    Only checkpoints with known training tokens are compared: only these are points of a curve.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``states.tabulate_states`` makes it.
    fingerprints : dict of str to set
        By stem (see ``same_weights.read_fingerprints``).
    """
    table = table.assign(same_weights_as="")
    for _, rows in table[table["tokens"].notna()].groupby("name", dropna=False):
        marked = mark_equal(rows, [fingerprints[stem] for stem in rows["stem"]])
        table.loc[marked.index, "same_weights_as"] = marked["same_weights_as"]
    return table


def describe_weights_of_models(table):
    """Return a sentence for everything that is strange about the weights of checkpoints, a list of str."""
    sentences = []
    for name, rows in table.groupby("name", dropna=False):
        prefix = "" if pd.isna(name) or table["name"].nunique(dropna=False) == 1 else f"{name}: "
        sentences += [prefix + sentence for sentence in describe_weights(rows)]
    return sentences
