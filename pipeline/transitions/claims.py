"""Compare formal with functional competence, and left minus right with the mean score: the claims of the paper.

An unknown alignment counts against each conclusion: see ``pipeline.statistics.intervals.Bounds``. The interval of a
difference is two-sided. A claim that its low end is above 0 is a one-sided test at 2.5 %.
"""

import numpy as np
import pandas as pd

from pipeline.statistics.intervals import average_bounds
from pipeline.tasks.table import BENCHMARKS, FORMAL, FUNCTIONAL, OTHER_KINDS
from pipeline.transitions.comparison import BRAIN_CURVES, MEAN_SCORE, RIVALS, compare_curves

KINDS = (FORMAL, FUNCTIONAL)
NO_ASYMMETRY = "no transition is detected in left minus right"
# Benchmarks whose kind is disputed: recursive syntax, and the choice of a likely ending.
DISPUTED = ("dyck", "hellaswag", "french_bench_hellaswag")


def compare_kinds(table, alignments):
    """Compare the alignment of formal with that of functional competence: the paper's claim as a single number.

    The claim is made over benchmarks whose alignment is known: those with a detected transition, and those that are
    shown to rise by less than a tenth of their range, which count as 0. It is made a second time over all benchmarks,
    with each unknown alignment at the value (0 or 1) that counts most against the claim.

    Parameters
    ----------
    table : pandas.DataFrame, as ``compare_curves`` returns it
    alignments : dict from name to Bounds, the resampled alignments of ``compare_curves``

    Returns
    -------
    dict, or None where a kind has no benchmark that is compared:
        formal, functional : mean alignment of the benchmarks of either kind whose alignment is known, NaN without any
        formal_benchmarks, functional_benchmarks : their names, separated by spaces
        difference, low, high : formal minus functional, with its 95 % interval
        undetected_benchmarks : names of the benchmarks whose alignment is unknown
        unfavourable_difference, unfavourable_low, unfavourable_high : the same with all benchmarks. Where the
            difference is not below 0, an unknown formal alignment is 0, and an unknown functional alignment is 1; else
            the other way round. For low and high, unknown alignments take the values that widen the interval most.
        reason : why the difference is NaN, else the empty str. All numbers are NaN where no transition is detected in
            left minus right. Only the first three are NaN where no alignment of a kind is known.
    """
    compared = table[table["curve"].isin(alignments) & table["kind"].isin(KINDS)]
    if set(compared["kind"]) != set(KINDS):
        return None
    is_known = compared["alignment"].notna()
    claim: dict = {}
    for kind in KINDS:
        rows = compared[is_known & (compared["kind"] == kind)]
        claim |= {kind: float(rows["alignment"].mean()), f"{kind}_benchmarks": " ".join(rows["curve"])}
    numbers = _subtract_kinds(compared[is_known], alignments)
    reverse = numbers["difference"] < 0
    worst = ((compared["kind"] == FUNCTIONAL) ^ reverse).astype(float)
    unfavourable = _subtract_kinds(compared.assign(alignment=compared["alignment"].fillna(worst)), alignments)
    claim |= numbers | {"undetected_benchmarks": " ".join(compared["curve"][~is_known])}
    claim |= {f"unfavourable_{name}": number for name, number in unfavourable.items()}
    claim["reason"] = _explain_missing_claim(claim)
    if _is_target_flat(table):
        claim |= {f"unfavourable_{name}": np.nan for name in unfavourable} | {"reason": NO_ASYMMETRY}
    return claim


def _is_target_flat(table):
    """Return whether no transition is detected in the target, the first row of the table."""
    return bool(table["is_flat"].head(1).eq(True).any())  # NaN without a fit


def _subtract_kinds(rows, alignments):
    """Return the difference of the mean alignments of both kinds, with low and high; NaN where a kind has no rows."""
    by_kind = [rows[rows["kind"] == kind] for kind in KINDS]
    if any(kind.empty for kind in by_kind):
        return dict.fromkeys(("difference", "low", "high"), np.nan)
    difference = float(by_kind[0]["alignment"].mean() - by_kind[1]["alignment"].mean())
    formal, functional = (average_bounds([alignments[name] for name in kind["curve"]]) for kind in by_kind)
    low, high = formal.subtract(functional).compute_interval(difference)
    return {"difference": difference, "low": low, "high": high}


def _explain_missing_claim(claim):
    """Return why a claim has no difference, the empty str where it has a difference."""
    missing = [kind for kind in KINDS if not claim[f"{kind}_benchmarks"]]
    if not missing:
        return ""
    kinds = " or ".join(missing)
    return f"no transition is detected in a benchmark of {kinds} competence, and none is shown to be flat"


def list_variants(table):
    """List the classifications for which the claim is computed.

    They are the classification of the table, each benchmark left out in turn, and other kinds for benchmarks whose kind
    is disputed, or not known: a task of lm_eval that is not in ``pipeline/tasks/table.py``.

    Returns
    -------
    dict from description to dict from curve to its kind, or to None where the curve is left out
    """
    kinds = {row["curve"]: row["kind"] for row in table.to_dict("records") if row["curve"] not in BRAIN_CURVES}
    variants: dict[str, dict] = {"all benchmarks": {}}
    variants |= {f"without {name}": {name: None} for name, kind in kinds.items() if kind in KINDS}
    for name, kind in kinds.items():
        is_disputed = name in DISPUTED and kind in KINDS
        if is_disputed or (kind not in KINDS and _is_unknown_task(name)):
            variants |= {f"{name} as {changed}": {name: changed} for changed in KINDS if changed != kind}
    return variants


def _is_unknown_task(name):
    """Return whether a curve is a task that has no kind in any language; surprisal and parts of benchmarks are none."""
    is_part = any(name.startswith(f"{benchmark}_") for benchmark in BENCHMARKS)
    return not (is_part or name in BENCHMARKS or name in OTHER_KINDS or name in RIVALS)


def tabulate_claims(table, alignments):
    """Tabulate how the claim of ``compare_kinds`` moves with the choice and the kinds of benchmarks.

    Parameters
    ----------
    table, alignments : as for ``compare_kinds``

    Returns
    -------
    pandas.DataFrame with a row per variant of ``list_variants``: variant, then what ``compare_kinds`` returns. reason
        is why a variant has no claim. The table is empty where a kind has no benchmark, and where no transition is
        detected in left minus right.
    """
    claim = compare_kinds(table, alignments)
    if claim is None or claim["reason"] == NO_ASYMMETRY:
        return pd.DataFrame()
    rows = []
    for variant, changes in list_variants(table).items():
        changed = table.assign(kind=[changes.get(row.curve, row.kind) for row in table.itertuples()])
        claim = compare_kinds(changed, alignments)
        rows.append({"variant": variant} | (claim or {"reason": "a kind has no other benchmark"}))
    return pd.DataFrame(rows)


def compare_targets(tokens, curves, table, alignments, *, lang="en", rival=MEAN_SCORE, unbounded=()):
    """Compare how close left minus right and a rival, the mean brain score, are to each formal benchmark.

    The mean brain score also rises with formal competence (AlKhamissi et al. 2025). Left minus right is specific to a
    benchmark if it is closer to the benchmark than the mean score is.

    Parameters
    ----------
    tokens, curves, lang, unbounded : as for ``compare_curves``, with the rival among the curves
    table, alignments : of left minus right, as ``compare_curves`` returns them
    rival : str

    Returns
    -------
    pandas.DataFrame with a row per formal benchmark: curve, target, rival, alignment (of the target), rival_alignment,
        difference (the first minus the second), low, high. Curves are resampled jointly. difference, low and high are
        NaN where no transition is detected in the target, in the rival or in the benchmark.
    """
    rows = table[table["curve"].isin(alignments) & (table["kind"] == FORMAL)]
    target = table["curve"].iloc[0]
    columns = "curve target rival alignment rival_alignment difference low high".split()
    if rival not in curves or rows.empty:
        return pd.DataFrame(columns=columns)
    benchmarks = {name: curves[name] for name in rows["curve"]}
    compared = compare_curves(tokens, {rival: curves[rival]} | benchmarks, lang, target=rival, unbounded=unbounded)
    rival_alignments = compared[0].set_index("curve")["alignment"]
    differences = []
    for name, alignment in zip(rows["curve"], rows["alignment"], strict=True):
        if name not in compared[1]["alignment"]:
            continue
        difference = alignment - rival_alignments[name]
        interval = alignments[name].subtract(compared[1]["alignment"][name]).compute_interval(difference)
        differences.append((name, target, rival, alignment, rival_alignments[name], difference, *interval))
    return pd.DataFrame(differences, columns=columns)
