"""Write what the notebook writes of a small study, for tests of the page."""

import shutil

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pandas as pd

from demo.listener import make_brain_mask
from pipeline.brain.hemispheres import subtract_mirror_voxels
from study.files.safe_joblib import write_arrays
from study.outputs.figures import save_figure, save_map, save_table, save_text
from study.paths import isc_path, note_path

NOTE = "Listener <made> & known"
REVISIONS = ["step0-tokens0", "step1-tokens1K", "<b>step2</b>-tokens2M"]
BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1000,1400"
).split()


def write_study(folder):
    """What the notebook leaves of three checkpoints in a coarse brain, with two of its figures."""
    mask = make_brain_mask()
    nibabel.save(mask, folder / "mask_lpp_en.nii.gz")
    note_path().write_text(f"{NOTE}\n")
    n_voxels = int(np.asarray(mask.dataobj).sum())
    write_arrays(isc_path("en"), np.random.default_rng(1).random((10, n_voxels)))
    scores = np.random.default_rng(0).normal([[0.0], [0.1], [0.2]], 0.1, (3, n_voxels))
    scores[0] = 0  # a model that predicts nothing
    save_map(scores, mask, "small_lm_en_brain")
    save_map(subtract_mirror_voxels(scores, mask), mask, "small_lm_en_asymmetry")
    curves = {"left": [0, 0.1, 0.25], "right": [0, 0.1, 0.2], "left_minus_right": [0, 0, 0.05]}
    curves |= {"low": [np.nan, -0.01, 0.04], "high": [np.nan, 0.01, 0.06], "blimp": [0.5, np.nan, 0.9]}
    table = pd.DataFrame({"revision": REVISIONS, "tokens": [0, 1e3, 2e6], **curves})
    save_table(table, "small_lm_en_curves")
    save_text("Left minus right < 1 & rises.", "small_lm_en_summary")
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, 1])
    for name in ("brain_scores", "regions"):
        save_figure(figure, f"small_lm_en_{name}")
    plt.close(figure)
