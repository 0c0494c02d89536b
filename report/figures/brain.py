"""Draw the figures of the notebook that show parts of the brain, and layers of the model.

Each function returns a matplotlib Figure. The voxels of a ``mask_image`` (nibabel) in C order are the columns of every
voxel array.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from nibabel import Nifti1Image
from nilearn.plotting import plot_glass_brain

from pipeline.brain.voxels import fill_volume
from pipeline.statistics.checkpoints import has_own_weights
from pipeline.statistics.intervals import describe_tokens
from report.figures import drawing


@rc_context(drawing.STYLE)
def draw_regions(curves, title):
    """Draw left minus right over training in each region, with 95 % intervals, all on the same scale.

    ``curves`` is the pandas.DataFrame of ``region_differences.compute_region_curves``. Layers are chosen on other runs
    where runs are known.
    """
    regions = list(curves["region"].unique())
    figure, panels = drawing.make_grid(len(regions), 4, 1.6, drawing.format_title(title, curves), sharey=True)
    points, _ = drawing.select_difference(curves, curves["region"])
    for axes, region in zip(panels, regions, strict=False):
        axes.axhline(0, color="0.6", linewidth=0.8)
        drawing.draw_curve(axes, points, region, drawing.DIFFERENCE_COLOUR, "o")
        axes.set_title(region, fontsize="medium")
        drawing.draw_token_axis(axes, curves["tokens"], most=4)
    for axes in panels[::4]:
        axes.set_ylabel("left − right (r)")
    return figure


@rc_context(drawing.STYLE)
def draw_layers(layers, title):
    """Draw either hemisphere at every layer of the last checkpoint, and left minus right at all checkpoints.

    ``layers`` is the pandas.DataFrame of ``scores.compute_layer_curves``.
    """
    figure, panels = drawing.make_grid(2, 2, 2.8, drawing.format_title(title, layers))
    tokens = sorted(layers["tokens"].unique())
    last = layers[layers["tokens"] == tokens[-1]]
    panels[0].plot(last["layer"], last["left"], "o-", color=drawing.LEFT_COLOUR, label="left hemisphere")
    panels[0].plot(last["layer"], last["right"], "s-", color=drawing.RIGHT_COLOUR, label="right hemisphere")
    panels[0].set_title("the last checkpoint", fontsize="medium")
    panels[0].set_ylabel("correlation (mean r)")
    panels[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncol=2, fontsize="x-small")
    colours = plt.get_cmap("viridis_r")(np.linspace(0.1, 1, len(tokens)))
    for colour, n_tokens in zip(colours, tokens, strict=True):
        rows = layers[layers["tokens"] == n_tokens]
        face = colour if has_own_weights(rows).all() else "white"
        panels[1].plot(
            rows["layer"], rows["left_minus_right"], "o-", color=colour, markersize=2.5, markerfacecolor=face
        )
    panels[1].axhline(0, color="0.6", linewidth=0.8)
    panels[1].set_title("all checkpoints", fontsize="medium")
    panels[1].set_ylabel("left − right (r)")
    edges = np.arange(len(tokens) + 1) - 0.5
    mappable = ScalarMappable(BoundaryNorm(edges, len(tokens)), ListedColormap(colours))
    ticks = np.unique(np.linspace(0, len(tokens) - 1, 8).round().astype(int))
    bar = figure.colorbar(mappable, ax=panels[1], ticks=ticks, label="training tokens")
    bar.set_ticklabels([drawing.abbreviate_tokens(tokens[tick]) for tick in ticks])
    bar.ax.minorticks_off()
    for axes in panels:
        axes.set_xlabel("layer (0: embedding)")
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


@rc_context(drawing.STYLE)
def draw_difference(differences, is_drawn, mask_image, label):
    """Draw differences of voxels in a glass brain, seen from the left, the back, the right and above.

    Parameters
    ----------
    differences : array (n_voxels,); NaN is left blank
    is_drawn : bool array (n_voxels,), the voxels that are drawn
    mask_image : nibabel image
    label : str, the meaning of the colours
    """
    differences = np.where(is_drawn, differences, np.nan)
    largest = np.nanmax(np.abs(differences), initial=0) or 0.01
    figure = _make_brain_figure(differences, mask_image, label, colours="RdBu_r", limits=(-largest, largest))
    drawing.draw_colour_bar(figure, (0.9, 0.12, 0.014, 0.68), "RdBu_r", limits=(-largest, largest))
    return figure


@rc_context(drawing.STYLE)
def draw_emergence(log_tokens, mask_image, title):
    """Draw when the difference between mirrored voxels has risen by half, in a glass brain.

    ``log_tokens`` is an array (n_voxels,), log10 of training tokens; NaN is left blank, and not all are NaN.
    """
    lowest, highest = np.nanmin(log_tokens), np.nanmax(log_tokens)
    limits = (lowest, highest) if highest - lowest > 0.02 else (lowest - 0.01, highest + 0.01)
    label = f"{title}: midpoint of the rise (or fall) of a difference, not its first appearance"
    figure = _make_brain_figure(log_tokens, mask_image, label, colours="viridis", limits=limits)
    ticks = drawing.choose_token_ticks(10**lowest, 10**highest)
    place = (0.83, 0.12, 0.014, 0.68)
    labels = [describe_tokens(number) for number in ticks]
    bar = drawing.draw_colour_bar(figure, place, "viridis", limits=limits, ticks=np.log10(ticks), labels=labels)
    bar.ax.set_title("training tokens", fontsize="small")
    return figure


@rc_context(drawing.STYLE)
def draw_training(scores, checkpoints, mask_image, title, most=5):
    """Draw brain scores in glass brains over training: the first checkpoint, the last, and some between them.

    Parameters
    ----------
    scores : array (n_checkpoints, n_voxels), Pearson's r; NaN is left blank
    checkpoints : pandas.DataFrame with the column tokens, and same_weights_as where it is known
    mask_image : nibabel image
    title : str
    most : int, the number of checkpoints that are drawn
    """
    shown = drawing.choose_checkpoints(len(scores), most)
    height = 1 / (len(shown) + 0.4)  # of a row, in shares of the figure; the title takes the rest
    figure = plt.figure(figsize=(2 * drawing.ONE_COLUMN_INCHES, 1.5 / height))
    number = drawing.describe_shown(shown, len(scores))
    figure.suptitle(f"{title}: brain score (r){number}", fontsize="medium", y=0.99)
    limits = (0, np.nanmax(scores, initial=0) or 0.01)
    for row, checkpoint in enumerate(shown, start=1):
        place = (0.16, 1 - (row + 0.4) * height, 0.73, height)
        _draw_glass_brain(scores[checkpoint], mask_image, figure, place=place, colours="viridis", limits=limits)
        words = drawing.describe_checkpoint(checkpoints, checkpoint)
        figure.text(0.01, place[1] + height / 2, words, va="center")
    drawing.draw_colour_bar(figure, (0.91, 0.5 - 0.7 * height / 2, 0.014, 0.7 * height), "viridis", limits=limits)
    return figure


def _make_brain_figure(values, mask_image, label, colours, limits):
    """Make a figure of a glass brain, with room for a colour bar."""
    figure = plt.figure(figsize=(2 * drawing.ONE_COLUMN_INCHES, 2.0))
    place = (0, 0, 0.82, 0.88)
    _draw_glass_brain(values, mask_image, figure, place=place, colours=colours, limits=limits)
    figure.suptitle(label, fontsize="medium")
    return figure


def _draw_glass_brain(values, mask_image, figure, place, colours, limits):
    """Draw voxels in a glass brain; place is (left, bottom, width, height) in shares of the figure."""
    image = Nifti1Image(np.nan_to_num(fill_volume(values, mask_image)).astype(np.float32), mask_image.affine)
    scale = {"cmap": colours, "vmin": limits[0], "vmax": limits[1], "plot_abs": False}
    scale["threshold"] = 1e-6  # voxels outside the brain are not drawn
    plot_glass_brain(image, display_mode="lyrz", figure=figure, axes=place, colorbar=False, **scale)
