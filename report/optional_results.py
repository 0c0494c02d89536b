"""Save the results that only some studies have; where a study lacks them, remove those of an earlier run.

The functions print a sentence on every result that is not there. The names of files begin with a prefix,
``{model}_{lang}``.
"""

import numpy as np
import pandas as pd

from pipeline.brain.region_differences import select_largest
from pipeline.transitions.comparison import BRAIN_CURVES, RIVALS
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS
from report.claim_sentences import format_difference
from report.figures.brain import draw_emergence, draw_regions
from report.figures.claims import draw_claims
from report.figures.training import draw_acceptability, draw_benchmarks, draw_comparison, draw_transitions
from study.outputs.figures import read_families, remove_figure, save_figure, save_map, save_table


def save_benchmarks(points, table, title, prefix):
    """Save the figure of all benchmarks, ``{prefix}_benchmarks``; for points and table see ``draw_benchmarks``."""
    if table["curve"].isin([*BRAIN_CURVES, *RIVALS]).all():
        remove_figure(f"{prefix}_benchmarks")
        print("no benchmark has been run for these checkpoints")
    else:
        save_figure(draw_benchmarks(points, table, title), f"{prefix}_benchmarks")


def save_acceptability(texts, title, prefix):
    """Save the table and figure of acceptability, ``{prefix}_acceptability``; for texts see ``draw_acceptability``."""
    if texts.empty:
        remove_figure(f"{prefix}_acceptability")
        print("no texts have been generated and judged")
    else:
        save_table(texts, f"{prefix}_acceptability")
        save_figure(draw_acceptability(texts, title), f"{prefix}_acceptability")


def save_transitions(table, title, prefix):
    """Save the figure of transitions, ``{prefix}_transitions``, where a curve has enough checkpoints for a fit."""
    if table["p_flat"].notna().any():
        save_figure(draw_transitions(table, title), f"{prefix}_transitions")
    else:
        remove_figure(f"{prefix}_transitions")


def save_claim(claim, prefix):
    """Save and print the comparison of formal with functional competence of ``compare_kinds``, ``{prefix}_claim``."""
    if claim is None:
        remove_figure(f"{prefix}_claim")
        print(
            "at least one benchmark of either kind is needed, with intervals, at "
            f"{FEWEST_CHECKPOINTS} trained checkpoints or more"
        )
        return
    save_table(pd.DataFrame([claim]), f"{prefix}_claim")
    if claim["reason"]:
        print(f"no claim is made: {claim['reason']}")
        return
    print("alignment with formal competence {formal:.2f}, with functional competence {functional:.2f}".format(**claim))
    print("difference", format_difference(claim))
    if claim["undetected_benchmarks"]:
        names = claim["undetected_benchmarks"].replace(" ", ", ")
        print(f"with {names} at the most unfavourable value", format_difference(claim, "unfavourable_"))


def save_claims(claims, title, prefix):
    """Save the table of ``tabulate_claims`` and its figure, ``{prefix}_claims``."""
    remove_figure(f"{prefix}_claims")
    if claims.empty:
        print("the claim cannot be made, so that it cannot move")
        return
    save_table(claims, f"{prefix}_claims")
    if claims["unfavourable_difference"].notna().any():
        save_figure(draw_claims(claims, title), f"{prefix}_claims")


def save_specificity(specificity, prefix):
    """Save and print the table of ``compare_targets``, ``{prefix}_specificity``."""
    remove_figure(f"{prefix}_specificity")
    if specificity.empty:
        print("no formal benchmark can be compared with left minus right and with the mean brain score")
        return
    save_table(specificity, f"{prefix}_specificity")
    for row in specificity.to_dict("records"):
        print(f"alignment of left minus right with {row['curve']}, minus that of the mean:", format_difference(row))


def save_atlas(curves, title, prefix):
    """Save the table of ``compute_atlas_curves`` and the figure of its largest differences, ``{prefix}_atlas``."""
    remove_figure(f"{prefix}_atlas")
    if curves is None:
        print("the study folder does not contain atlas.nii.gz")
        return
    save_table(curves, f"{prefix}_atlas")
    if curves.empty:
        print("the atlas has no region on the left of the brain with a mirror image in the brain")
    else:
        save_figure(draw_regions(select_largest(curves), title), f"{prefix}_atlas")


def save_maximum_map(maps, mask, name):
    """Save the map of the published maximum over layers, ``fig/{name}``, if another has layers chosen on other runs.

    maps is a dict from "nested" and "maximum" to arrays (n_checkpoints, n_voxels), without "nested" where only
    averages over runs are known; mask is a nibabel image.
    """
    if "nested" in maps:
        save_map(maps["maximum"], mask, name)
    else:
        remove_figure(name)


def save_emergence(log_tokens, n_pairs, mask, title, prefix):
    """Save the map and the figure of ``emergence_map.compute_emergence_map``, ``{prefix}_emergence``."""
    remove_figure(f"{prefix}_emergence")
    if not n_pairs:
        print(f"the time of emergence takes every run of {FEWEST_CHECKPOINTS} trained checkpoints or more")
        return
    emerges = np.isfinite(log_tokens)
    save_map(log_tokens, mask, f"{prefix}_emergence")
    print(f"a difference emerges in {emerges.sum()} of {n_pairs} pairs of voxels")
    if emerges.any():
        save_figure(draw_emergence(log_tokens, mask, title), f"{prefix}_emergence")


def save_comparison(title):
    """Save the figure of all models and languages of the study folder, ``comparison``, where there are several."""
    curves, tables = read_families()
    if curves["family"].nunique() > 1:
        save_figure(draw_comparison(curves, tables), "comparison")
    else:
        print(f"so far, {title} is the only one")
