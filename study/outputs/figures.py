"""Write tables, figures, maps and texts into ``fig/``, and read them back."""

import gzip

import numpy as np
import pandas as pd

from pipeline.brain.voxels import fill_volume
from study.files import images
from study.files.atomic import write_text, write_whole
from study.files.tables import read_values, write_table
from study.paths import figure_path


def save_table(table, name, suffix=".csv"):
    """Save a pandas table as ``fig/{name}.csv``, or ``.csv.gz``."""
    write_table(figure_path(f"{name}{suffix}"), table)


def remove_figure(name):
    """Remove what an earlier run of the notebook left as ``fig/{name}.*`` and is not made any more."""
    for suffix in ("csv", "pdf", "png", "nii.gz"):
        figure_path(f"{name}.{suffix}").unlink(missing_ok=True)


def read_families():
    """Read all ``fig/{family}_curves.csv`` and ``fig/{family}_table.csv``, two tables with a column family."""
    curves, tables = [], []
    for path in sorted(figure_path("x").parent.glob("*_curves.csv")):
        family = path.name.removesuffix("_curves.csv")
        if (table := path.with_name(f"{family}_table.csv")).is_file():
            curves.append(read_values(path, text=["revision", "same_weights_as"]).assign(family=family))
            tables.append(read_values(table, text=["curve"]).assign(family=family))
    return pd.concat(curves, ignore_index=True), pd.concat(tables, ignore_index=True)


def save_text(text, name):
    """Save words as ``fig/{name}.txt``."""
    write_text(figure_path(f"{name}.txt"), text + "\n")


def save_map(values, mask_image, name):
    """Save values of voxels as ``fig/{name}.nii.gz``, which every viewer opens. NaN becomes 0.

    values is an array of shape (n_voxels,), or (n_maps, n_voxels) for an image with a time axis.
    """
    volumes = [fill_volume(voxels, mask_image) for voxels in np.atleast_2d(values)]
    volume = np.stack(volumes, axis=-1) if len(volumes) > 1 else volumes[0]
    code = int(mask_image.header["sform_code"])
    image = images.make_image(np.nan_to_num(volume).astype(np.float32), mask_image.affine, code)
    with write_whole(figure_path(f"{name}.nii.gz")) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def save_figure(figure, name):
    """Save a matplotlib figure as ``fig/{name}.pdf`` and ``fig/{name}.png``."""
    for suffix in ("pdf", "png"):
        with write_whole(figure_path(f"{name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, dpi=300)
