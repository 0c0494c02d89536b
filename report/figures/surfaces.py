"""Draw maps of left minus right on the inflated cortex of the left hemisphere."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from pipeline.brain.hemispheres import assign_hemispheres, find_mirror_voxels
from pipeline.brain.surfaces import project_to_left_surface, read_left_surface
from report.figures import drawing
from report.figures.rendering import COLOURS, colour_vertices, find_triangles, paint

QUANTITIES = ["left − right (r)", "log(left / right)"]
PERCENTILES = [100, 99]  # which are the last colour; a ratio of scores near 0 may have any value
VIEWS = {"lateral": -1, "medial": 1}  # the sign of the viewer's x
ROW_INCHES, TOP_INCHES, BOTTOM_INCHES = 1.0, 0.45, 0.6
LABEL_WIDTH, VIEW_WIDTH = 0.15, 0.2125  # in shares of the figure


@rc_context(drawing.STYLE)
def draw_surfaces(differences, ratios, checkpoints, mask_image, title, most=5):
    """Draw left minus right and log(left / right) on the left cortex over training, from outside and inside.

    The first checkpoint, the last, and some between them are drawn. The right hemisphere would be the mirror image with
    the other sign. A row contains the number of pairs of mirrored voxels with a ratio.

    Parameters
    ----------
    differences, ratios : array (n_checkpoints, n_voxels)
        of ``subtract_mirror_voxels`` and ``compute_mirror_log_ratios``; NaN is grey
    checkpoints : pandas.DataFrame with the column tokens, and same_weights_as where it is known
    mask_image : nibabel image
    title : str
    most : int, the number of checkpoints that are drawn
    """
    surface = read_left_surface()
    shown = drawing.choose_checkpoints(len(differences), most)
    projected = project_to_left_surface(np.stack([differences[shown], ratios[shown]]), mask_image, surface)
    limits = find_limits(projected)
    views = [find_triangles(surface.inflated, surface.faces, side) for side in VIEWS.values()]
    n_ratios, n_pairs = count_ratios(ratios, mask_image)

    height_inches = TOP_INCHES + ROW_INCHES * len(shown) + BOTTOM_INCHES
    figure = plt.figure(figsize=(2 * drawing.ONE_COLUMN_INCHES, height_inches))
    figure.suptitle(f"{title}: left hemisphere{drawing.describe_shown(shown, len(differences))}", fontsize="medium")
    for row, checkpoint in enumerate(shown):
        low = 1 - (TOP_INCHES + ROW_INCHES * (row + 1)) / height_inches
        middle = low + 0.5 * ROW_INCHES / height_inches
        words = drawing.describe_checkpoint(checkpoints, checkpoint)
        words += f"\n\nratios: {n_ratios[checkpoint]}\nof {n_pairs} pairs"
        figure.text(0.01, middle, words, va="center")
        for column in range(len(QUANTITIES) * len(VIEWS)):
            quantity, view = divmod(column, len(VIEWS))
            place = (LABEL_WIDTH + column * VIEW_WIDTH, low, VIEW_WIDTH, ROW_INCHES / height_inches)
            axes = figure.add_axes(place, label=f"{checkpoint} {QUANTITIES[quantity]} {list(VIEWS)[view]}")
            axes.set_axis_off()
            axes.imshow(paint(views[view], colour_vertices(projected[quantity, row], limits[quantity], surface.depth)))
            if row == 0:
                axes.set_title(list(VIEWS)[view], fontsize="small")
    _draw_colour_bars(figure, projected, limits)
    return figure


def count_ratios(ratios, mask_image):
    """Count the pairs of mirrored voxels with a ratio at each checkpoint, an int array, and all pairs.

    ratios are an array (n_checkpoints, n_voxels) of ``compute_mirror_log_ratios``.
    """
    is_pair = assign_hemispheres(mask_image)[0] & (find_mirror_voxels(mask_image) >= 0)
    return np.isfinite(ratios[:, is_pair]).sum(axis=1), is_pair.sum()


def find_limits(projected):
    """Find the value of the last colour of differences and of ratios; projected is (2, n_checkpoints, n_vertices).

    The largest ratio would leave all others without colour, so that one in a hundred lies beyond the last colour.
    """
    sizes = [np.abs(values[np.isfinite(values)]) for values in projected]
    return [
        (float(np.percentile(values, percentile)) if len(values) else 0) or 0.01
        for values, percentile in zip(sizes, PERCENTILES, strict=True)
    ]


def _draw_colour_bars(figure, projected, limits):
    """Draw a colour bar below the views of each quantity, with arrows where values lie beyond its ends."""
    height_inches = figure.get_size_inches()[1]
    for quantity, (values, limit) in enumerate(zip(projected, limits, strict=True)):
        first = LABEL_WIDTH + (quantity * len(VIEWS) + 0.25) * VIEW_WIDTH
        axes = figure.add_axes((first, 0.4 / height_inches, 1.5 * VIEW_WIDTH, 0.09 / height_inches), label="colour bar")
        is_beyond = (np.abs(values) > limit).any()
        colours = ScalarMappable(Normalize(-limit, limit), COLOURS)
        extend = "both" if is_beyond else "neither"
        bar = figure.colorbar(colours, cax=axes, orientation="horizontal", label=QUANTITIES[quantity], extend=extend)
        bar.ax.minorticks_off()
