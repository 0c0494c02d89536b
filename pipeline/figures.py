"""The figures of the notebook; each function draws one and returns it.

Most of them draw ``points``, a table with a row for each curve and checkpoint, as
``transitions.points`` returns it; what is drawn is in it, and so in the file it is saved as.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import NullLocator
from matplotlib.typing import RcKeyType
from nibabel import Nifti1Image
from nilearn.plotting import plot_glass_brain

from pipeline.summary import tokens_in_words

# Okabe & Ito: told apart by colour-blind readers, and in grey.
LEFT_COLOUR, RIGHT_COLOUR, DIFFERENCE_COLOUR = "#0072B2", "#D55E00", "#000000"
KIND_COLOURS = {"formal": "#007A5E", "functional": "#CC79A7", "other": "#E69F00"}
KIND_MARKS = {"formal": "s", "functional": "^", "other": "D"}
SERIES = ("#0072B2", "#D55E00", "#007A5E", "#CC79A7", "#E69F00", "#56B4E9")
MARKS = "osD^vP"
ONE_COLUMN_INCHES = 3.5
STYLE: dict[RcKeyType, float] = {
    "font.size": 8,
    "lines.markersize": 3.5,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
}


@rc_context(STYLE)
def brain_score_figure(points, title):
    """Mean brain score of each hemisphere over training, with 95 % intervals.

    Parameters
    ----------
    points : pandas.DataFrame
        With the curves left and right.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _panel(title)
    for side, colour, mark in [("left", LEFT_COLOUR, "o"), ("right", RIGHT_COLOUR, "s")]:
        _draw(axes, points, side, colour, mark, label=f"{side} hemisphere")
    axes.set_ylabel("brain score (mean r)")
    axes.legend()
    _token_axis(axes, points["tokens"])
    return figure


@rc_context(STYLE)
def asymmetry_figure(points, title):
    """Left minus right over training, with its 95 % interval, for both choices of layers.

    Parameters
    ----------
    points : pandas.DataFrame
        With the curves left_minus_right and, where runs are known, left_minus_right_nested.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _panel(title)
    axes.axhline(0, color="0.6", linewidth=0.8)
    _draw(axes, points, "left_minus_right", DIFFERENCE_COLOUR, "o", label="best layer")
    if (points["curve"] == "left_minus_right_nested").any():
        _draw(axes, points, "left_minus_right_nested", SERIES[5], "D", label="best layer on other runs")
        axes.legend()
    axes.set_ylabel("left − right brain score (r)")
    _token_axis(axes, points["tokens"])
    return figure


@rc_context(STYLE)
def benchmark_figure(points, table, title):
    """Each benchmark over training, a panel each, beside left minus right, with 95 % intervals.

    Each curve is scaled from its first plateau (0) to its last one (1). A flat one has no plateaus:
    of a benchmark, 0 is then its mean and 1 is a perfect score; left minus right is then not drawn.
    A benchmark that is not fitted is drawn as it is.

    Parameters
    ----------
    points : pandas.DataFrame
        With columns scaled, scaled_low and scaled_high, and the curves of the table.
    table : pandas.DataFrame
        As ``transitions.compare`` returns it.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    benchmarks = table[table["curve"] != "left_minus_right"].to_dict("records")
    figure, panels = _grid(len(benchmarks), 3, 1.7, title)
    for axes, row in zip(panels, benchmarks, strict=False):
        axes.axhline(0, color="0.8", linewidth=0.8)
        axes.axhline(1, color="0.8", linewidth=0.8)
        style = {"colour": KIND_COLOURS[row["kind"]], "mark": KIND_MARKS[row["kind"]], "label": row["kind"]}
        remark = {True: ": flat", False: ""}.get(row["is_flat"], ": score, not fitted")
        if np.isfinite(row["p_flat"]):
            _draw(axes, points, "left_minus_right", DIFFERENCE_COLOUR, "o", "left − right", column="scaled", alpha=0.12)
            _draw(axes, points, row["curve"], column="scaled", **style)
        else:
            _draw(axes, points, row["curve"], **style)
        axes.set_title(f"{row['curve']}{remark}", fontsize="medium")
        axes.set_ylim(-0.45, 1.45)
        axes.legend(fontsize="x-small", loc="upper left", borderaxespad=0)
        _token_axis(axes, points["tokens"])
    is_fitted = any(np.isfinite(row["p_flat"]) for row in benchmarks)
    for axes in panels[::3]:
        axes.set_ylabel("share of the transition" if is_fitted else "score")
    return figure


@rc_context(STYLE)
def acceptability_figure(points, title):
    """Acceptability of generated texts over training: by prompt, and by judge.

    Parameters
    ----------
    points : pandas.DataFrame
        With columns by (prompt or classifier), curve (which one), tokens, value, low and high.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, panels = _grid(2, 2, 2.6, title)
    for axes, (by, of_kind) in zip(panels, points.groupby("by", sort=False), strict=False):
        for number, curve in enumerate(of_kind["curve"].unique()):
            # The seventh has the colour of the first, and another mark.
            mark, colour = MARKS[(number + number // len(SERIES)) % len(MARKS)], SERIES[number % len(SERIES)]
            _draw(axes, of_kind, curve, colour, mark, label=curve, alpha=0.08)
        axes.set_title(f"by {by}", fontsize="medium")
        axes.set_ylim(0, 1)
        axes.legend(fontsize="x-small")
        _token_axis(axes, points["tokens"])
    panels[0].set_ylabel("mean probability of acceptable")
    return figure


@rc_context(STYLE)
def transition_figure(table, title):
    """When each curve rises and how sharply, and how each benchmark goes with left minus right.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``transitions.compare`` returns it. A flat curve has no midpoint, which is said instead.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    measures = {
        "x0": "midpoint x0\n(log10 training tokens)",
        "beta": "steepness beta\n(per decade)",
        "alignment": "alignment with\nleft − right",
        "lead": "lead: moves first by\n(decades of tokens)",
    }
    figure, panels = plt.subplots(
        1, 4, figsize=(2 * ONE_COLUMN_INCHES, 1 + 0.22 * len(table)), layout="constrained", sharey=True
    )
    figure.suptitle(title, fontsize="medium")
    heights = -np.arange(len(table))
    for axes, (measure, label) in zip(panels, measures.items(), strict=True):
        for height, row in zip(heights, table.to_dict("records"), strict=True):
            is_target = row["curve"] == "left_minus_right"
            colour = DIFFERENCE_COLOUR if is_target else KIND_COLOURS[row["kind"]]
            mark = "o" if is_target else KIND_MARKS[row["kind"]]
            axes.plot([row[f"{measure}_low"], row[f"{measure}_high"]], [height] * 2, color=colour)
            axes.plot(row[measure], height, mark, color=colour)
            if measure == "x0" and not np.isfinite(row["x0"]):
                words = "flat" if row["is_flat"] is True else "not fitted"
                axes.text(0.5, height, words, transform=axes.get_yaxis_transform(), ha="center", va="center")
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    panels[1].set_xlim(left=0)
    panels[2].set_xlim(-0.05, 1.05)
    panels[3].axvline(0, color="0.6", linewidth=0.8)
    names = ["left − right" if curve == "left_minus_right" else curve for curve in table["curve"]]
    back = [" (turns back)" if is_monotonic is False else "" for is_monotonic in table["is_monotonic"].tolist()]
    panels[0].set_yticks(heights, [f"{name}{remark}" for name, remark in zip(names, back, strict=True)])
    panels[0].set_ylim(heights[-1] - 0.5, 0.5)
    return figure


@rc_context(STYLE)
def region_figure(curves, title):
    """Left minus right over training in each region, with 95 % intervals, all on the same scale.

    Parameters
    ----------
    curves : pandas.DataFrame
        As ``asymmetry.region_curves`` returns it.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    regions = list(curves["region"].unique())
    figure, panels = _grid(len(regions), 4, 1.6, title, sharey=True)
    for axes, region in zip(panels, regions, strict=False):
        of_region = curves[curves["region"] == region].rename(columns={"left_minus_right": "value"})
        axes.axhline(0, color="0.6", linewidth=0.8)
        _draw(axes, of_region.assign(curve=region), region, DIFFERENCE_COLOUR, "o")
        axes.set_title(region, fontsize="medium")
        _token_axis(axes, of_region["tokens"])
    for axes in panels[::4]:
        axes.set_ylabel("left − right (r)")
    return figure


@rc_context(STYLE)
def layer_figure(layers, title):
    """Either hemisphere at every layer of the last checkpoint, and left minus right at all checkpoints.

    Parameters
    ----------
    layers : pandas.DataFrame
        With columns tokens, layer (0 is the embedding), left, right and left_minus_right.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, panels = _grid(2, 2, 2.6, title)
    tokens = sorted(layers["tokens"].unique())
    last = layers[layers["tokens"] == tokens[-1]]
    panels[0].plot(last["layer"], last["left"], "o-", color=LEFT_COLOUR, label="left hemisphere")
    panels[0].plot(last["layer"], last["right"], "s-", color=RIGHT_COLOUR, label="right hemisphere")
    panels[0].set_title("the last checkpoint", fontsize="medium")
    panels[0].set_ylabel("correlation (mean r)")
    colours = plt.get_cmap("viridis_r")(np.linspace(0.1, 1, len(tokens)))
    for number, (colour, of_tokens) in enumerate(zip(colours, tokens, strict=True)):
        rows = layers[layers["tokens"] == of_tokens]
        is_named = number in {0, len(tokens) // 2, len(tokens) - 1}
        label = f"{tokens_in_words(of_tokens)} tokens" if is_named else None
        panels[1].plot(rows["layer"], rows["left_minus_right"], "o-", color=colour, markersize=2, label=label)
    panels[1].axhline(0, color="0.6", linewidth=0.8)
    panels[1].set_title("all checkpoints", fontsize="medium")
    panels[1].set_ylabel("left − right (r)")
    for axes in panels:
        axes.set_xlabel("layer (0: embedding)")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    return figure


@rc_context(STYLE)
def comparison_figure(curves, tables):
    """Left minus right of several models and languages over training, and when each rises.

    Parameters
    ----------
    curves : pandas.DataFrame
        The curves files of all, with a column family (model and language).
    tables : pandas.DataFrame
        Their tables of transitions, likewise.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, panels = _grid(2, 2, 2.6, "")
    families = list(curves["family"].unique())
    for number, family in enumerate(families):
        colour, mark = SERIES[number % len(SERIES)], MARKS[number % len(MARKS)]
        rows = curves[curves["family"] == family].rename(columns={"left_minus_right": "value"})
        _draw(panels[0], rows.assign(curve=family), family, colour, mark, label=family)
        of_family = tables[(tables["family"] == family) & tables["x0"].notna()]
        for row in of_family.to_dict("records"):
            height = -list(tables["curve"].unique()).index(row["curve"]) - 0.6 * number / len(families)
            panels[1].plot([row["x0_low"], row["x0_high"]], [height] * 2, color=colour)
            panels[1].plot(row["x0"], height, mark, color=colour)
    panels[0].axhline(0, color="0.6", linewidth=0.8)
    panels[0].set_ylabel("left − right brain score (r)")
    panels[0].legend(fontsize="x-small")
    _token_axis(panels[0], curves["tokens"])
    names = list(tables["curve"].unique())
    panels[1].set_yticks(
        -np.arange(len(names)) - 0.3, ["left − right" if n == "left_minus_right" else n for n in names]
    )
    panels[1].set_xlabel("midpoint (log10 training tokens)")
    return figure


@rc_context(STYLE)
def brain_figure(values, mask_img, label, signed=False, vmin=0):
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
    vmin : float
        Where the colours begin, unless signed.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = plt.figure(figsize=(2 * ONE_COLUMN_INCHES, 2.2))
    _glass_brain(values, mask_img, figure, (0, 0, 1, 0.9), signed=signed, vmin=vmin)
    figure.suptitle(label, fontsize="medium")
    return figure


@rc_context(STYLE)
def training_figure(scores, checkpoints, mask_img, title):
    """Brain scores in glass brains over training: the first checkpoint, the last, and some between.

    Parameters
    ----------
    scores : array of shape (n_checkpoints, n_voxels)
        Pearson's r; NaN is left blank.
    checkpoints : pandas.DataFrame
        With the column tokens.
    mask_img : nibabel image
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    shown = np.unique(np.linspace(0, len(scores) - 1, 5).round().astype(int))
    height = 1 / (len(shown) + 0.3)  # of a row, in shares of the figure; the rest is the title's
    figure = plt.figure(figsize=(2 * ONE_COLUMN_INCHES, 1.5 / height))
    figure.suptitle(f"{title}: brain score (r)", fontsize="medium", y=0.99)
    for row, checkpoint in enumerate(shown, start=1):
        place = (0.12, 1 - (row + 0.3) * height, 0.88, height)
        _glass_brain(scores[checkpoint], mask_img, figure, place, vmax=np.nanmax(scores))
        words = tokens_in_words(checkpoints["tokens"].iloc[checkpoint]).replace(" ", "\n")
        figure.text(0.01, place[1] + height / 2, f"{words}\ntokens", va="center")
    return figure


def _glass_brain(values, mask_img, figure, place, signed=False, vmin=0, vmax=None):
    """Draw voxels in a glass brain, seen from the left, the back, the right and above.

    place is (left, bottom, width, height) in shares of the figure.
    """
    volume = np.zeros(mask_img.shape, dtype=np.float32)
    volume[np.asarray(mask_img.dataobj) != 0] = np.nan_to_num(values)
    plot_glass_brain(
        Nifti1Image(volume, mask_img.affine),
        display_mode="lyrz",
        figure=figure,
        axes=place,
        colorbar=True,
        cmap="RdBu_r" if signed else "viridis",
        vmin=None if signed else vmin,
        vmax=vmax,
        threshold=1e-6,  # nothing is drawn outside the brain
        plot_abs=False,
    )


def _draw(axes, points, curve, colour, mark, label=None, column="value", alpha=0.15):
    """A curve of a table of points with its 95 % interval; a checkpoint without a value leaves a gap."""
    low, high = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    of_curve = points[points["curve"] == curve].sort_values("tokens")
    axes.fill_between(of_curve["tokens"], of_curve[low], of_curve[high], color=colour, alpha=alpha, linewidth=0)
    axes.plot(of_curve["tokens"], of_curve[column], f"{mark}-", color=colour, label=label)


def _grid(n_panels, n_columns, height_inches, title, **options):
    """A figure of several panels, two columns wide; those that are too many are left blank."""
    n_rows = max(1, -(-n_panels // n_columns))
    figure, panels = plt.subplots(
        n_rows,
        n_columns,
        figsize=(2 * ONE_COLUMN_INCHES, height_inches * n_rows + 0.3),
        layout="constrained",
        squeeze=False,
        **options,
    )
    figure.suptitle(title, fontsize="medium")
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels.flat[n_panels:]:
        axes.set_axis_off()
    return figure, panels.ravel()


def _panel(title):
    """A figure of one panel, one column wide."""
    figure, axes = plt.subplots(figsize=(ONE_COLUMN_INCHES, 2.6), layout="constrained")
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _token_axis(axes, tokens):
    """A logarithmic axis of training tokens, on which an untrained checkpoint (0) has a place."""
    axes.set_xlabel("training tokens")
    trained = tokens[tokens > 0]
    if not len(trained):
        return
    # Limits are those of the checkpoints, also in a panel in which nothing is drawn.
    if (tokens == 0).any():
        # From 0 to the smallest number of tokens the axis is linear, and takes the room of a decade.
        axes.set_xscale("symlog", linthresh=trained.min(), linscale=1)
        axes.set_xlim(-0.2 * trained.min(), 1.6 * trained.max())
    else:
        axes.set_xlim(trained.min() / 1.6, 1.6 * trained.max())
        axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
