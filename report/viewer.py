"""Put nilearn's viewer (view_img) of a brain into the page, once for each map.

The slider of the page changes the image of coloured voxels in the viewer. The viewer has colours only: the
page contains the values of the voxels, too.
"""

import itertools
import re
import warnings
from base64 import b64encode

import nibabel
import numpy as np
from nibabel.affines import apply_affine
from nilearn.datasets import load_mni152_template
from nilearn.image import resample_img
from nilearn.plotting import view_img

from pipeline.brain.voxels import compute_positions, fill_volume

ANATOMY_MM = 2  # resolution of the brain behind the map


def embed_viewers(brain, asymmetry, mask, reliable):
    """Make the viewers of both maps, a dict of dicts as of ``make_viewer``, with one scale of colours each.

    Parameters
    ----------
    brain, asymmetry : float32 array (n_checkpoints, n_voxels)
    mask : nibabel image
    reliable : bool array (n_voxels,)
    """
    anatomy = resample_anatomy(mask)
    # The viewer opens at the most asymmetric reliable voxel of the left, at the last checkpoint.
    positions = compute_positions(mask)
    centre = positions[np.argmax(np.where(reliable & (positions[:, 0] < 0), np.abs(asymmetry[-1]), -1))]
    # A map of zeros has no scale of its own.
    score_colours = {"cmap": "viridis", "symmetric_cmap": False, "vmin": min(0.0, float(brain.min()))}
    score_colours["vmax"] = float(brain.max()) if brain.max() > 0 else 0.01
    difference_colours = {"cmap": "RdBu_r", "symmetric_cmap": True, "vmax": float(np.abs(asymmetry).max()) or 0.01}
    return {
        "brain": make_viewer(brain, mask, anatomy, centre=centre, colours=score_colours),
        "asymmetry": make_viewer(asymmetry, mask, anatomy, centre=centre, colours=difference_colours),
    }


def make_viewer(values, mask, anatomy, centre, colours):
    """Make nilearn's viewer of a map, and the images and values that change from checkpoint to checkpoint.

    Return a dict. page is the viewer, with OVERLAY in the place of the coloured voxels. overlays are images of coloured
    voxels, a PNG for each checkpoint in base64, and values those of the voxels, float32 in base64.
    """
    options = {"resampling_interpolation": "nearest", "threshold": 0, "black_bg": False, "annotate": False, **colours}
    pages, overlays = [], []
    for checkpoint in values:
        image = nibabel.Nifti1Image(np.nan_to_num(fill_volume(checkpoint, mask)), mask.affine)
        with warnings.catch_warnings():
            # nilearn computes a percentile of the masked anatomy; the values outside the brain are 0.
            warnings.filterwarnings("ignore", message=".*'partition' will ignore the 'mask'")
            page, overlay = adapt_viewer(view_img(image, anatomy, centre, **options).html)
        pages.append(page)
        overlays.append(overlay)
    return {"page": pages[0], "overlays": overlays, "values": [encode_base64(checkpoint) for checkpoint in values]}


def adapt_viewer(page):
    """Remove the icon from the network and the random names from nilearn's page, and give access to its viewer.

    Return the page with OVERLAY in the place of the image of voxels, and this image in base64.
    """
    page = replace_once(r'<link rel="icon"[^>]*>', "", page)
    (random_name,) = set(re.findall(r'id="overlayImg-(\w+)"', page))
    page = page.replace(random_name, "map")
    image = r'(id="overlayImg-map"[^>]*?base64,)([^"]*)'
    ((_, overlay),) = re.findall(image, page)
    page = replace_once(image, r"\1OVERLAY", page)
    # The last script starts the viewer. A script before it gives the surrounding page access to the viewer.
    access = (
        "<style>html { overflow: hidden; } body { margin: 0; }</style>\n"
        "<script>const start = brainsprite; brainsprite = (options) => "
        "(window.viewer = start({...options, onclick: () => parent.showVoxel()}));</script>\n<script>"
    )
    return replace_once(r"<script>(?=\s*\(function \(\) \{\s*var brain;)", access, page), overlay


def replace_once(pattern, text, page):
    """Replace the single match of a pattern in a page; another version of nilearn may have none, or several."""
    page, n_places = re.subn(pattern, text, page)
    if n_places != 1:
        raise RuntimeError(f"view_img of nilearn: expected a page with {pattern} once, got it {n_places} times")
    return page


def resample_anatomy(mask):
    """Resample the MNI brain to a grid that divides each of the mask's voxels evenly.

    No point of the grid lies between two voxels: the colour and the value at a point belong to the same voxel.
    """
    template = load_mni152_template(resolution=ANATOMY_MM)
    brain = np.argwhere(template.get_fdata() > 0)
    box = np.array(list(itertools.product(*zip(brain.min(axis=0), brain.max(axis=0), strict=True))))
    in_voxels = apply_affine(np.linalg.inv(mask.affine) @ template.affine, box)
    first = np.floor(np.minimum(in_voxels.min(axis=0), 0)).astype(int)
    last = np.ceil(np.maximum(in_voxels.max(axis=0), np.array(mask.shape) - 1)).astype(int)
    n_parts = max(1, round(min(mask.header.get_zooms()[:3]) / ANATOMY_MM))
    to_voxels = np.diag([1 / n_parts] * 3 + [1])
    to_voxels[:3, 3] = first - 0.5 + 0.5 / n_parts
    shape = tuple(int(length) for length in (last - first + 1) * n_parts)
    return resample_img(template, mask.affine @ to_voxels, shape, interpolation="linear")


def encode_base64(array):
    """Encode numbers for the page, in C order."""
    return b64encode(np.ascontiguousarray(array).tobytes()).decode()
