"""Draw the parts of all figures of the notebook: panels, curves with intervals, axes of training tokens."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.typing import RcKeyType

from pipeline.brain.region_differences import pick_difference_column
from pipeline.statistics.checkpoints import has_own_weights
from pipeline.statistics.intervals import describe_tokens, write_with_unit

# Okabe & Ito: colour-blind readers can distinguish these colours, also in grey.
LEFT_COLOUR, RIGHT_COLOUR, DIFFERENCE_COLOUR = "#0072B2", "#D55E00", "#000000"
LIGHT_LEFT, LIGHT_RIGHT, LIGHT_DIFFERENCE = "#8FC1E3", "#F0B48A", "#999999"  # the published maximum over layers
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


def draw_curve(axes, points, curve, colour, mark, label=None, column="value", alpha=0.15, **style):
    """Draw a curve of a table of points with its 95 % interval.

    A checkpoint without a value leaves a gap. A checkpoint with the weights of another checkpoint is hollow,
    and not joined to the rest. A point without neighbours has no band: its interval is a line. With alpha 0
    no interval is drawn.
    """
    low, high = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    rows = points[points["curve"] == curve].sort_values("tokens")
    is_own = has_own_weights(rows)
    own, shared = rows[is_own], rows[~is_own]
    axes.fill_between(own["tokens"], own[low], own[high], color=colour, alpha=alpha, linewidth=0)
    axes.plot(own["tokens"], own[column], f"{mark}-", color=colour, label=label, **style)
    has_band = np.concatenate([[False], np.isfinite(own[low].to_numpy(float)), [False]])
    isolated = own[has_band[1:-1] & ~has_band[:-2] & ~has_band[2:]]
    for lines in (isolated, shared) if alpha else ():
        axes.vlines(lines["tokens"], lines[low], lines[high], color=colour, linewidth=1)
    axes.plot(shared["tokens"], shared[column], mark, color=colour, markerfacecolor="white", **style)


def choose_colour_and_mark(number):
    """Return the colour and mark of a curve: the seventh curve has the colour of the first, and another mark."""
    return SERIES[number % len(SERIES)], MARKS[(number + number // len(SERIES)) % len(MARKS)]


def select_difference(table, curve):
    """Return left minus right of a table as points of a curve, or of curves, and the suffix of its columns.

    Layers are chosen on other runs where the table has such columns, else the best layer counts.
    """
    difference = pick_difference_column(table.dropna(axis=1, how="all"))
    suffix = difference.removeprefix("left_minus_right")
    points = table[[column for column in ("tokens", "same_weights_as") if column in table]]
    values = {"value": table[difference], "low": table[f"low{suffix}"], "high": table[f"high{suffix}"]}
    return points.assign(curve=curve, **values), suffix


def draw_estimate(axes, values, height, colour, mark, is_bound=(False, False)):
    """Draw an estimate with its interval on a line of its own.

    values are the estimate and the ends of its interval. is_bound is whether the true value may be larger,
    and whether it may be smaller: the mark is then hollow, and an arrow points to that side.
    """
    estimate, low, high = values
    axes.plot([low, high], [height, height], color=colour)
    axes.plot(estimate, height, mark, color=colour, markerfacecolor="white" if any(is_bound) else colour)
    for is_open, end, points in [(is_bound[0], high, 14), (is_bound[1], low, -14)]:
        if is_open:
            arrow = {"arrowstyle": "<-", "color": colour, "shrinkA": 0, "shrinkB": 0}  # its head is at the text
            axes.annotate("", (end, height), (points, 0), textcoords="offset points", arrowprops=arrow)


def format_title(title, points):
    """Return the title of a figure over training, with an explanation of hollow points where there are any."""
    if has_own_weights(points).all():
        return title
    return f"{title}\nhollow: the same weights as another checkpoint"


def choose_checkpoints(n_checkpoints, most):
    """Return the numbers of the checkpoints that are drawn: the first, the last, and some between them."""
    return np.unique(np.linspace(0, n_checkpoints - 1, most).round().astype(int))


def describe_shown(shown, n_checkpoints):
    """Return the end of a title: the number of checkpoints that are drawn, where some are left out."""
    return "" if len(shown) == n_checkpoints else f", {len(shown)} of {n_checkpoints} checkpoints"


def describe_checkpoint(checkpoints, number):
    """Return the training tokens of a checkpoint, in lines, and that another has the same weights."""
    words = f"{describe_tokens(checkpoints['tokens'].iloc[number])}\ntokens"
    return words if has_own_weights(checkpoints)[number] else f"{words}\n(weights of another)"


def make_grid(n_panels, n_columns, height_inches, title, **options):
    """Make a figure of several panels, two columns wide; panels that are not needed are left blank."""
    n_rows = max(1, -(-n_panels // n_columns))
    size = 2 * ONE_COLUMN_INCHES, height_inches * n_rows + 0.3
    figure, panels = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False, **options)
    figure.suptitle(title, fontsize="medium")
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels.flat[n_panels:]:
        axes.set_axis_off()
    return figure, panels.ravel()


def make_panel(title):
    """Make a figure of a single panel, a column wide."""
    figure, axes = plt.subplots(figsize=(ONE_COLUMN_INCHES, 2.6), layout="constrained")
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def draw_token_axis(axes, tokens, most=6):
    """Draw a logarithmic axis of training tokens, on which an untrained checkpoint (0) has a place.

    most is the largest number of ticks.
    """
    axes.set_xlabel("training tokens")
    trained = np.unique(tokens[tokens > 0])
    if not len(trained):
        axes.set_xticks([0], ["0"])
        return
    # Limits are those of the checkpoints, also in an empty panel.
    lowest, highest = trained[0] / 1.6, 1.6 * trained[-1]
    if (tokens == 0).any():
        # From 0 to the smallest number of tokens the axis is linear, and has the width of a decade.
        axes.set_xscale("symlog", linthresh=trained[0], linscale=1)
        axes.set_xlim(-0.2 * trained[0], highest)
    else:
        axes.set_xscale("log")
        axes.set_xlim(lowest, highest)
    if np.log10(highest / lowest) >= 3:
        axes.xaxis.set_minor_locator(LogLocator(subs=range(2, 10)) if (tokens > 0).all() else NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        return
    ticks = trained if len(trained) == 1 else choose_token_ticks(lowest, highest, most)
    axes.xaxis.set_major_locator(FixedLocator([0, *ticks] if (tokens == 0).any() else list(ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: abbreviate_tokens(number)))
    axes.xaxis.set_minor_locator(NullLocator())


def choose_token_ticks(lowest, highest, most=6):
    """Return numbers of tokens for the ticks of a logarithmic axis: 1, 2, 5 times a power of 10, or fewer.

    In a range without such a number, the ticks are its ends.
    """
    powers = 10.0 ** np.arange(np.floor(np.log10(lowest)), np.ceil(np.log10(highest)) + 1)
    for factors in [(1, 2, 5), (1, 3), (1,)]:
        ticks = np.outer(powers, factors).ravel()
        ticks = ticks[(ticks >= lowest * (1 - 1e-9)) & (ticks <= highest * (1 + 1e-9))]
        if len(ticks) <= most:
            break
    else:
        ticks = ticks[:: -(-len(ticks) // most)]
    return ticks if len(ticks) > 1 else np.unique([lowest, highest])


def abbreviate_tokens(number):
    """Write a number of tokens as in names of checkpoints: 32B."""
    return write_with_unit(number, 2, "TBMK")


def draw_colour_bar(figure, place, colours, limits, ticks=None, labels=None):
    """Draw an upright colour bar for the whole figure; place is (left, bottom, width, height) in shares of it."""
    bar = figure.colorbar(ScalarMappable(Normalize(*limits), colours), cax=figure.add_axes(place, label="colour bar"))
    if ticks is not None:
        bar.set_ticks(ticks, labels=labels)
    bar.ax.minorticks_off()
    return bar
