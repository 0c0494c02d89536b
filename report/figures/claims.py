"""Draw how the claim moves with the choice and the kinds of benchmarks."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context

from report.figures import drawing


@rc_context(drawing.STYLE)
def draw_claims(claims, title):
    """Draw formal minus functional alignment with its 95 % interval, a row for each variant of the claim.

    Filled marks are over benchmarks whose alignment is known. Hollow marks are over all benchmarks, with each unknown
    alignment at its most unfavourable value; they are drawn where a benchmark is unknown. ``claims`` is the
    pandas.DataFrame of ``transitions.claims.tabulate_claims``.
    """
    size = (2 * drawing.ONE_COLUMN_INCHES, 0.9 + 0.26 * len(claims))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize="medium")
    for number, row in enumerate(claims.to_dict("records")):
        _draw_variant(axes, row, -number)
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_yticks(-np.arange(len(claims)), claims["variant"])
    axes.set_ylim(-len(claims) + 0.5, 0.5)
    axes.set_xlim(-1.05, 1.05)
    axes.set_xlabel("alignment with left − right: formal minus functional competence")
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot([], [], "o-", color=drawing.DIFFERENCE_COLOUR, label="benchmarks with a known alignment")
    label = "unknown alignments at their worst"
    axes.plot([], [], "o-", color=drawing.LIGHT_DIFFERENCE, markerfacecolor="white", label=label)
    figure.legend(loc="outside lower center", ncols=2, fontsize="x-small")
    return figure


def _draw_variant(axes, row, height):
    """Draw a variant of the claim, and its unfavourable version where the alignment of a benchmark is unknown."""
    names = ("difference", "low", "high")
    known, worst = ([row[f"{prefix}{name}"] for name in names] for prefix in ("", "unfavourable_"))
    has_unknown = isinstance(row["undetected_benchmarks"], str) and row["undetected_benchmarks"] != ""
    if has_unknown and np.isfinite(worst[0]):
        place = height - 0.22 * np.isfinite(known[0])
        drawing.draw_estimate(axes, worst, place, drawing.LIGHT_DIFFERENCE, "o")
        axes.plot(worst[0], place, "o", color=drawing.LIGHT_DIFFERENCE, markerfacecolor="white")
    if np.isfinite(known[0]):
        drawing.draw_estimate(axes, known, height, drawing.DIFFERENCE_COLOUR, "o")
    elif not has_unknown or not np.isfinite(worst[0]):
        axes.text(0, height, row["reason"], fontsize="x-small", ha="center", va="center")
