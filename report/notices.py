"""What readers of a study must know about its checkpoints, though no file is damaged."""

import pandas as pd

from study.outputs.same_weights import describe_weights, mark_equal


def mark_same_weights(table, fingerprints):
    """Return the overview's table with a column that names checkpoints of the same model with the same weights.

    Only checkpoints whose training tokens are known are compared: no other has a place on a curve.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``overview.states`` makes it.
    fingerprints : dict of str to set
        By stem (see ``study.read_fingerprints``).
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
