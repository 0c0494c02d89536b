"""Share what tests of check need."""

import zipfile

import nibabel
import numpy as np
import pandas as pd

from study.files.safe_joblib import read_arrays, write_arrays
from study.paths import (
    average_subject_path,
)


def write_mask(folder, shape=(3, 2, 4), x=-10.0, size=10.0):
    affine = np.diag([size, size, size, 1.0])
    affine[0, 3] = x
    nibabel.Nifti1Image(np.ones(shape, np.int8), affine).to_filename(folder / "mask_lpp_en.nii.gz")


def write_atlas(folder, labels):
    affine = np.diag([10.0, 10, 10, 1])
    affine[0, 3] = -10
    nibabel.Nifti1Image(np.asarray(labels, np.float32), affine).to_filename(folder / "atlas.nii.gz")


def labels_at(*positions):
    """An atlas with a number for each given place along x (0 left, 1 midline, 2 right)."""
    labels = np.zeros((3, 2, 4))
    for number, position in enumerate(positions, start=1):
        labels[position, number % 2, number % 4] = number
    return labels


def edit_timings(folder, change):
    path = folder / "lppEN_word_information.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)


def edit_run(run, change):
    path = average_subject_path("en", run)
    write_arrays(path, change(read_arrays(path)))


def replace_member(folder, run, content):
    path = folder / "lpp_en_text.zip"
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    texts[f"lpp_en_text/text_en_run{run}.txt"] = content
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


def make_folder(name):
    def make(folder):
        path = folder / name
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)

    return make
