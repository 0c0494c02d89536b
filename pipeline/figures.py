"""The figures of the notebook; each function draws one and returns it."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator
from nibabel import Nifti1Image
from nilearn.plotting import plot_glass_brain

# Okabe & Ito: told apart by colour-blind readers, and in grey.
LEFT_COLOUR, RIGHT_COLOUR, DIFFERENCE_COLOUR, BENCHMARK_COLOUR = "#0072B2", "#D55E00", "#000000", "#007A5E"
SERIES = ("#0072B2", "#D55E00", "#007A5E", "#CC79A7", "#E69F00", "#56B4E9")
MARKS = "osD^vP"
MINIMAL_PAIRS = {"blimp", "zorro", "arithmetic", "dyck"}
ONE_COLUMN_INCHES = 3.5
STYLE = {"font.size": 8, "lines.markersize": 4, "lines.linewidth": 1.2}  # readable at one column


@plt.rc_context(STYLE)
def brain_score_figure(curve, title):
    """Mean brain score of each hemisphere over training.

    Parameters
    ----------
    curve : pandas.DataFrame
        As ``asymmetry.asymmetry_curve`` returns it.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _panel(title)
    axes.plot(curve["tokens"], curve["left"], "o-", color=LEFT_COLOUR, label="left hemisphere")
    axes.plot(curve["tokens"], curve["right"], "s-", color=RIGHT_COLOUR, label="right hemisphere")
    axes.set_ylabel("brain score (mean r)")
    axes.legend(frameon=False)
    _token_axis(axes, curve["tokens"])
    return figure


@plt.rc_context(STYLE)
def asymmetry_figure(curve, title):
    """Left minus right brain score over training, with its 95 % interval; arguments as above."""
    figure, axes = _panel(title)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.fill_between(curve["tokens"], curve["low"], curve["high"], color=DIFFERENCE_COLOUR, alpha=0.15, linewidth=0)
    axes.plot(curve["tokens"], curve["left_minus_right"], "o-", color=DIFFERENCE_COLOUR)
    axes.set_ylabel("left − right brain score (r)")
    _token_axis(axes, curve["tokens"])
    return figure


@plt.rc_context(STYLE)
def benchmark_figure(curve, benchmarks, title):
    """Each benchmark over training, a panel each, beside left minus right.

    Scores are drawn from 0 to 1, so that noise at the level of chance looks as small as it is.

    Parameters
    ----------
    curve : pandas.DataFrame
        As ``asymmetry.asymmetry_curve`` returns it, with a column for each benchmark.
    benchmarks : list of str
        The columns to draw; checkpoints without a value are left out of the line. Those of minimal
        pairs have a line at chance, .5.
    title : str
    """
    n_rows = -(-len(benchmarks) // 2)
    figure, panels = plt.subplots(
        n_rows, 2, figsize=(2 * ONE_COLUMN_INCHES, 2 * n_rows), layout="constrained", squeeze=False
    )
    figure.suptitle(title, fontsize="medium")
    for axes in panels.flat[len(benchmarks) :]:
        axes.set_axis_off()
    for axes, benchmark in zip(panels.flat, benchmarks, strict=False):
        beside = axes.twinx()
        for side, column, marks, colour in [
            (axes, benchmark, "s-", BENCHMARK_COLOUR),
            (beside, "left_minus_right", "o-", DIFFERENCE_COLOUR),
        ]:
            known = curve[curve[column].notna()]
            side.plot(known["tokens"], known[column], marks, color=colour)
            side.tick_params(axis="y", colors=colour)
            side.spines["top"].set_visible(False)
        axes.set_ylim(0, 1.03)
        if benchmark in MINIMAL_PAIRS:
            axes.axhline(0.5, color=BENCHMARK_COLOUR, linewidth=0.8, linestyle=":")
        axes.set_ylabel(benchmark, color=BENCHMARK_COLOUR)
        beside.set_ylabel("left − right (r)")
        _token_axis(axes, curve["tokens"])
    return figure


@plt.rc_context(STYLE)
def transition_figure(curve, table, title):
    """Left minus right and every benchmark, each scaled from its first plateau (0) to its last (1).

    Parameters
    ----------
    curve : pandas.DataFrame
        With a column tokens and one for each curve.
    table : pandas.DataFrame
        As ``transitions.compare`` returns it. Flat curves, and those of too few checkpoints, have no
        plateaus: they are named in the legend and not drawn.
    title : str
    """
    figure, axes = _panel(title)
    for number, row in enumerate(table.to_dict("records")):
        is_target = row["curve"] == "left_minus_right"
        label = "left − right" if is_target else row["curve"]
        if row["is_flat"] is not False:
            axes.plot([], [], " ", label=f"{label} ({'flat' if row['is_flat'] is True else 'too few'})")
            continue
        known = curve[curve[row["curve"]].notna()]
        scaled = (known[row["curve"]] - row["low"]) / (row["high"] - row["low"])
        style = {"color": DIFFERENCE_COLOUR, "linewidth": 2.2} if is_target else {"color": SERIES[number % len(SERIES)]}
        axes.plot(known["tokens"], scaled, f"{MARKS[number % len(MARKS)]}-", label=label, **style)
    axes.set_ylabel("share of the transition")
    axes.legend(frameon=False, fontsize="x-small")
    _token_axis(axes, curve["tokens"])
    return figure


@plt.rc_context(STYLE)
def region_figure(curves, title):
    """Left minus right over training in each region, all on the same scale.

    Parameters
    ----------
    curves : pandas.DataFrame
        As ``asymmetry.region_curves`` returns it.
    title : str
    """
    regions = list(curves["region"].unique())
    n_rows = -(-len(regions) // 4)
    figure, panels = plt.subplots(
        n_rows, 4, figsize=(2 * ONE_COLUMN_INCHES, 1.6 * n_rows), layout="constrained", squeeze=False, sharey=True
    )
    figure.suptitle(title, fontsize="medium")
    for axes in panels.flat[len(regions) :]:
        axes.set_axis_off()
    for axes, region in zip(panels.flat, regions, strict=False):
        of_region = curves[curves["region"] == region]
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.plot(of_region["tokens"], of_region["left_minus_right"], "o-", color=DIFFERENCE_COLOUR, markersize=2.5)
        axes.set_title(region, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
        _token_axis(axes, of_region["tokens"])
    for axes in panels[:, 0]:
        axes.set_ylabel("left − right (r)")
    return figure


@plt.rc_context(STYLE)
def layer_figure(left_of_layers, right_of_layers, title):
    """Mean correlation of each hemisphere at every layer.

    Parameters
    ----------
    left_of_layers, right_of_layers : arrays of shape (n_layers,)
        Layer 0 is the embedding.
    title : str
    """
    figure, axes = _panel(title)
    layers = np.arange(len(left_of_layers))
    axes.plot(layers, left_of_layers, "o-", color=LEFT_COLOUR, label="left hemisphere")
    axes.plot(layers, right_of_layers, "s-", color=RIGHT_COLOUR, label="right hemisphere")
    axes.set_xlabel("layer (0: embedding)")
    axes.set_ylabel("correlation (mean r)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    return figure


@plt.rc_context(STYLE)
def brain_figure(values, mask_img, label, signed=False):
    """Values of voxels in a glass brain, seen from the left, the back, the right and above.

    Parameters
    ----------
    values : array of shape (n_voxels,)
        NaN is left blank.
    mask_img : nibabel image
        Its voxels in C order are the values'.
    label : str
        What the colour stands for.
    signed : bool
        Whether values below 0 are drawn too, in colours of their own.
    """
    volume = np.zeros(mask_img.shape, dtype=np.float32)
    volume[np.asarray(mask_img.dataobj) != 0] = np.nan_to_num(values)
    figure = plt.figure(figsize=(2 * ONE_COLUMN_INCHES, 2))
    plot_glass_brain(
        Nifti1Image(volume, mask_img.affine),
        display_mode="lyrz",
        figure=figure,
        colorbar=True,
        cmap="RdBu_r" if signed else "viridis",
        vmin=None if signed else 0,
        threshold=1e-6,  # nothing is drawn outside the brain
        plot_abs=False,
    )
    figure.suptitle(label)
    return figure


def _panel(title):
    """A figure of one panel, one column wide."""
    figure, axes = plt.subplots(figsize=(ONE_COLUMN_INCHES, 2.6), layout="constrained")
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _token_axis(axes, tokens):
    """A logarithmic axis of training tokens, on which an untrained checkpoint (0) has a place."""
    axes.set_xlabel("training tokens")
    axes.set_xscale("log")
    if min(tokens) == 0 < max(tokens):
        # From 0 to the smallest number of tokens the axis is linear, and takes the room of a decade.
        axes.set_xscale("symlog", linthresh=min(tokens[tokens > 0]), linscale=1)
    axes.xaxis.set_minor_locator(NullLocator())
