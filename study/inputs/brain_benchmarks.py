"""Read published brain benchmarks (netCDF-4), or one's own files, as responses, neuroids and stimuli.

The published files are those of brainscore-language (``assy_{name}.nc``), with the SHA-1 of its 2.3.0. A neuroid is a
voxel, a region or an electrode. Nothing is downloaded.
"""

import hashlib
import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from study.files.npz import read_npz
from study.files.tables import parse_numbers, read_csv
from study.inputs.hdf5 import has_dataset, open_hdf5, read_numbers, read_texts


class Layout(NamedTuple):
    """Describe the published file of a benchmark.

    ``run`` is the coordinate of what a model reads in one go, ``order`` the coordinates that sort a run, ``group`` what
    folds must not split. ``select`` is a coordinate and the value of the rows that are used.
    """

    file: str
    sha1: str
    text: str
    run: str
    order: tuple
    group: str
    subject: tuple
    region: tuple
    select: tuple = ()
    has_groups: bool = True


PEREIRA = Layout(
    "assy_Pereira2018_language.nc",
    "f8434b4022f5b2c862f0ff2854d5b3f5f2a7fb96",
    "stimulus",
    "passage_label",
    ("stimulus_num",),
    "story",
    ("subject",),
    ("atlas", "roi"),
)
LAYOUTS = {
    "pereira243": PEREIRA._replace(select=("experiment", "243sentences")),
    "pereira384": PEREIRA._replace(select=("experiment", "384sentences")),
    "blank": Layout(
        "assy_Blank2014_fROI.nc",
        "af1e868821b897cb1684e4c8dcd33977121ef552",
        "stimulus",
        "story",
        ("sentence_number_in_story", "part_number_in_sentence"),
        "story",
        ("subject_id", "subject"),
        ("fROI_area",),
    ),
    "fedorenko": Layout(
        "assy_Fedorenko2016_language.nc",
        "2966b6d78e972a72068aa6907377483f427e8d9a",
        "stimulus",
        "sentence_id",
        ("word_num",),
        "sentence_id",
        ("subject_UID", "subject"),
        ("electrode",),
    ),
    "tuckute": Layout(
        "assy_Tuckute2024_language.nc",
        "5c8fc7f3e24cc1af5f5296459377b638b6492641",
        "stimulus",
        "stimulus_id",
        ("stimulus_id",),
        "stimulus_id",
        ("subject", "target_UID"),
        ("roi",),
        has_groups=False,
    ),
}


class BrainBenchmark(NamedTuple):
    """Hold a benchmark in reading order.

    ``responses`` is float64 (n_units, n_neuroids), finite. ``subjects``, ``regions`` and ``neuroids`` are str arrays
    (n_neuroids,), ``positions`` float64 (n_neuroids, 3), mm, NaN where unknown. ``runs``, ``groups`` and ``units`` are
    str arrays (n_units,). ``stored`` is int (n_units,), the row of each unit among the rows of the file that are used.
    """

    responses: np.ndarray
    subjects: np.ndarray
    regions: np.ndarray
    neuroids: np.ndarray
    positions: np.ndarray
    runs: np.ndarray
    groups: np.ndarray
    units: np.ndarray
    stored: np.ndarray


def compute_sha1(path):
    """Return the SHA-1 of a file, by which the publishers name it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()


def read_published(path, benchmark):
    """Read the netCDF-4 file of a benchmark.

    Neuroids with a response that is not finite are left out, as those of subjects who did not hear these sentences.

    Parameters
    ----------
    path : pathlib.Path
    benchmark : str, one of LAYOUTS

    Returns
    -------
    BrainBenchmark
    n_dropped : int, neuroids that were left out

    Raises
    ------
    InputError
        The file is missing, damaged, hostile (see ``hdf5``), or has other dimensions or coordinates than expected.
    """
    layout = LAYOUTS[benchmark]
    with open_hdf5(path) as file:
        data = read_numbers(file, "data")
        n_units, n_neuroids = data.shape

        def read_first(names, n_expected):
            name = next((name for name in names if has_dataset(file, name)), names[0])
            return np.array(read_texts(file, name, n_expected), dtype=str)

        names = dict.fromkeys([layout.text, layout.run, *layout.order, layout.group, *layout.select[:1]])
        rows = {name: read_first([name], n_units) for name in names}
        subjects = _read_optional(file, layout.subject, n_neuroids, "1" if n_neuroids == 1 else None)
        regions = _read_optional(file, layout.region, n_neuroids, "")
        neuroids = read_first(["neuroid_id"], n_neuroids)
        axes = [f"col_to_coord_{axis}" for axis in (1, 2, 3)]
        positions = np.full((n_neuroids, 3), np.nan)
        if all(has_dataset(file, name) for name in axes):
            columns = [read_texts(file, name, n_neuroids) for name in axes]
            positions = np.array([pd.to_numeric(column, errors="coerce") for column in columns], dtype=float).T
    is_used = np.ones(n_units, dtype=bool)
    if layout.select:
        name, value = layout.select
        is_used = rows[name] == value
        if not is_used.any():
            raise InputError(f"{path}: {name}: expected rows of {value}, got none. Use the file of {benchmark}.")
    keys = [_make_sort_key(rows[name][is_used]) for name in (*reversed(layout.order), layout.run)]
    order = np.lexsort(keys)
    _check_unique(path, [rows[layout.run][is_used], *(rows[name][is_used] for name in layout.order)])
    data = data[is_used][order]
    is_kept = np.isfinite(data).all(axis=0)
    if not is_kept.any():
        raise InputError(f"{path}: data: expected a neuroid with finite responses, got none. Get it again.")
    runs, groups, units = (rows[name][is_used][order] for name in (layout.run, layout.group, layout.text))
    kept = [column[is_kept] for column in (subjects, regions, neuroids, positions)]
    read = BrainBenchmark(*[data[:, is_kept], *kept, runs, groups, units, order])
    return read, int((~is_kept).sum())


def read_own(responses_path, stimuli_path, neuroids_path):
    """Read a benchmark of one's own, as ``read_published``.

    Parameters
    ----------
    responses_path : pathlib.Path, .npz with ``responses`` (n_units, n_neuroids)
    stimuli_path : pathlib.Path, .csv with a row per unit, in reading order: stimulus, run; group where folds must keep
        more together than a run
    neuroids_path : pathlib.Path, .csv with a row per neuroid: neuroid, subject; region, x, y, z where they are known
    """
    stimuli = read_csv(stimuli_path, ["stimulus", "run"], optional=["group"], free_text=("stimulus",))
    neuroids = read_csv(neuroids_path, ["neuroid", "subject"], optional=["region", "x", "y", "z"])
    remedy = "expected .npz with responses. Write it with numpy.savez."
    data = np.asarray(read_npz(responses_path, ["responses"], remedy)["responses"], dtype=np.float64)
    if data.shape != (len(stimuli), len(neuroids)):
        raise InputError(
            f"{responses_path}: expected {len(stimuli)} units and {len(neuroids)} neuroids, as in {stimuli_path.name} "
            f"and {neuroids_path.name}, got {data.shape}. Use files that belong together."
        )
    is_kept = np.isfinite(data).all(axis=0)
    if not is_kept.any():
        raise InputError(f"{responses_path}: expected a neuroid with finite responses, got none. Correct it.")
    positions = np.full((len(neuroids), 3), np.nan)
    if all(axis in neuroids for axis in "xyz"):
        positions = np.stack([parse_numbers(neuroids[axis], neuroids_path) for axis in "xyz"], axis=1)
    regions = neuroids["region"] if "region" in neuroids else neuroids["subject"].str.slice(0, 0)
    texts = [column.to_numpy().astype(str) for column in (neuroids["subject"], regions, neuroids["neuroid"])]
    rows = [stimuli[name].to_numpy().astype(str) for name in ("run", "group" if "group" in stimuli else "run")]
    kept = [column[is_kept] for column in (*texts, positions)]
    units = stimuli["stimulus"].to_numpy().astype(str)
    read = BrainBenchmark(*[data[:, is_kept], *kept, *rows, units, np.arange(len(data))])
    return read, int((~is_kept).sum())


def make_units(read, as_published=False):
    """Return the units as a model is to read them, and the text before each, two lists of str.

    Words in capitals become sentence case, and spaces at the ends of units go. Within a run, a unit follows a space,
    unless it begins with a punctuation mark. ``as_published`` keeps capitals and spaces, without spaces before
    punctuation marks, as brainscore-language joins units.
    """
    units, texts_before = [], []
    texts, runs = read.units, read.runs
    is_upper = all(text == text.upper() for text in texts) and any(text.isupper() for text in texts)
    for number, text in enumerate(texts):
        is_first = number == 0 or runs[number] != runs[number - 1]
        if as_published:
            text = re.sub(r"\s+([.,!?;:])", r"\1", text)
        else:
            text = " ".join(text.split())
            if is_upper:
                text = text.capitalize() if is_first else text.lower()
        units.append(str(text))
        texts_before.append("" if is_first or re.match(r"[.,!?;:]", text) else " ")
    return units, texts_before


def _read_optional(file, names, n_expected, default):
    """Return the first coordinate that a file has, or the default for each; None for a coordinate that it must have."""
    name = next((name for name in names if has_dataset(file, name)), None)
    if name is None and default is not None:
        return np.full(n_expected, default, dtype=str)
    return np.array(read_texts(file, name or names[0], n_expected), dtype=str)


def _make_sort_key(values):
    """Return numbers where all values are, else the ranks of texts in natural order: item2 before item10."""
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=float)
    if np.isfinite(numbers).all():
        return numbers

    def split(text):
        return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.findall(r"\d+|\D+", text)]

    ranks = {value: rank for rank, value in enumerate(sorted(set(values.tolist()), key=split))}
    return np.array([ranks[value] for value in values.tolist()], dtype=float)


def _check_unique(path, columns):
    """Check that no two rows have the same place in the same run."""
    places = list(zip(*(column.tolist() for column in columns), strict=True))
    if len(set(places)) < len(places):
        place = next(place for number, place in enumerate(places) if place in places[:number])
        raise InputError(f"{path}: expected one row at {' '.join(place)}, got several. Get it again.")
