"""Read ``.npz`` files of arrays from anyone: no pickles, and no more than fits in memory."""

import numpy as np

from pipeline.errors import explain_errors
from study.files.safe_joblib import check_member

MOST_BYTES = 2**31  # of one array
MOST_ARRAY_BYTES = 2**32  # of all arrays of a file


def read_npz(path, names, remedy, optional=()):
    """Read arrays of a ``.npz`` file, a dict by name.

    A missing or damaged file, a file without one of the names, with objects or with more than 4 GB raises InputError,
    which ends with the remedy (str).
    """
    with explain_errors(path, remedy), np.load(path, allow_pickle=False) as file:
        for member in file.zip.infolist():
            check_member(member, MOST_BYTES)
        if sum(member.file_size for member in file.zip.infolist()) > MOST_ARRAY_BYTES:
            raise ValueError("it has more than 4 GB")
        if missing := [name for name in names if name not in file.files]:
            raise ValueError(f"it has no {', '.join(missing)}")
        return {name: file[name] for name in [*names, *(name for name in optional if name in file.files)]}
