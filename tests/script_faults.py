"""Share what tests of scripts need."""

import re

import pandas as pd
from helpers import all_files


def edit_timings(folder, change):
    path = folder / "lppEN_word_information.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)


def refuses(folder, script, said, *options):
    """Status 2, one line that names the fault, nothing written or changed."""
    before = all_files(folder)
    status, _, error = script(*options)
    assert status == 2
    assert error.count("\n") == 1, error
    assert re.search(said, error), error
    assert all_files(folder) == before
