"""Put the cortex of the left hemisphere into the page, with the values of every checkpoint.

``report/surface.js`` turns it, and draws it in the colours of the checkpoint that is chosen.
"""

import numpy as np
from matplotlib import colormaps

from pipeline.brain.hemispheres import compute_mirror_log_ratios, subtract_mirror_voxels
from pipeline.brain.surfaces import project_to_left_surface, read_left_surface
from report.figures.rendering import COLOURS, DARKEST_SHADE, shade_depth
from report.figures.surfaces import count_ratios, find_limits
from report.viewer import encode_base64

TITLES = {"difference": "left minus right", "ratio": "log(left / right)"}


def embed_surface(scores, mask_image):
    """Return the vertices, triangles, colours and values of the left cortex, a dict for the page.

    Arrays are in base64: ``inflated`` float32 (n_vertices, 3), ``faces`` uint16 (n_faces, 3), ``greys`` uint8
    (n_vertices,), ``positions`` int8 (n_vertices, 3) in MNI millimetres, ``palette`` uint8 (256, 3), and the values of
    each quantity and checkpoint, float32 (n_vertices,), NaN without a value.

    Parameters
    ----------
    scores : array (n_checkpoints, n_voxels); 0 is without a value, as in the maps of the notebook
    mask_image : nibabel image
    """
    scores = np.where(scores == 0, np.nan, scores)
    ratios = compute_mirror_log_ratios(scores, mask_image)
    surface = read_left_surface()
    maps = np.stack([subtract_mirror_voxels(scores, mask_image), ratios])
    projected = project_to_left_surface(maps, mask_image, surface).astype(np.float32)
    n_ratios, n_pairs = count_ratios(ratios, mask_image)
    return {
        "inflated": encode_base64(surface.inflated - (surface.inflated.max(axis=0) + surface.inflated.min(axis=0)) / 2),
        "faces": encode_base64(surface.faces.astype(np.uint16)),
        "greys": encode_base64(np.rint(255 * shade_depth(surface.depth)).astype(np.uint8)),
        "positions": encode_base64(np.rint((surface.white + surface.pial) / 2).astype(np.int8)),
        "palette": encode_base64(np.rint(255 * colormaps[COLOURS](np.arange(256))[:, :3]).astype(np.uint8)),
        "darkest": DARKEST_SHADE,
        "n_ratios": [f"{n} of {n_pairs}" for n in n_ratios],
        "quantities": {
            name: {"title": title, "limit": limit, "values": [encode_base64(vertices) for vertices in values]}
            for (name, title), limit, values in zip(TITLES.items(), find_limits(projected), projected, strict=True)
        },
    }
