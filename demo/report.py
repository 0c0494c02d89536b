"""Print the curve of the embedded study, and check that the known truth was recovered.

    LTBA_DIR=embedded_study python -m demo.report

reads fig/small_lm_en_{curves,table,claim,controls}.csv and small_lm_en_summary.txt of the study folder, of null/ and
of noisy/, which the notebook writes. The exit status is 1 if the known truth is not recovered.
"""

import sys

import numpy as np
import pandas as pd

from demo.listeners import LISTENERS
from demo.make_study import PLACES
from pipeline.brain.curves import CONTROL_COLUMNS
from study.files.tables import read_values
from study.paths import study_folder

# The limit for the untrained model and for the null listener, at the best layer.
NEGLIGIBLE = 0.01
CLEAR = 0.05
TARGET = "left_minus_right_nested"
BEYOND_RELIABILITY = "more than a difference in reliability explains"  # of the summary


def main():
    """Print the curve, the verdicts, and what was put in and concluded; exit with status 1 if a claim does not hold."""
    name = "small_lm_en_curves.csv"
    places = {listener: study_folder() / place / "fig" / name for place, listener in PLACES.items()}
    place, null_place, noisy_place = places.values()
    curve = read_values(place)
    # Printed are the published maximum over layers, and left minus right with layers chosen on other runs.
    not_shown = [column for column in curve if column.endswith("_nested") and column != TARGET] + ["same_weights_as"]
    not_shown += [column for column in curve if _is_control(column) and column != "log_left_right"]
    table = curve.drop(columns=["revision", *not_shown], errors="ignore").astype({"tokens": int})
    for column, path in [("null_listener", null_place), ("noisy_listener", noisy_place)]:
        table[column] = read_values(path)["left_minus_right"]
    print(table.to_string(index=False, float_format="{:.4f}".format))
    print()
    verdicts = [*check_listener(place, curve), *check_null_listener(null_place), *check_noisy_listener(noisy_place)]
    print(f"\nfigures and tables: {place.parent}")
    print(f"all on one page, with a brain to click in: {place.with_name('report.html')}")
    print("The language and the listeners are simulated: this study shows that the pipeline recovers a known")
    print("truth. It is not evidence about brains.")
    for listener, path in places.items():
        print(f"\n{listener} ({path.parent})")
        print(f"  put in:    {LISTENERS[listener]['truth']}")
        print(f"  concluded: {describe_conclusion(path)}")
    sys.exit(0 if all(verdicts) else 1)


def _is_control(column):
    """Return whether a column of the curves belongs to a control of left minus right, or to surprisal."""
    return column.removesuffix("_low").removesuffix("_high") in CONTROL_COLUMNS


def check_listener(place, curve):
    """Check the claims about the listener whose left follows the grammar more; yield whether each holds."""
    asymmetry = curve["left_minus_right_nested"]
    transitions = read_values(place.with_name("small_lm_en_table.csv")).set_index("curve")
    formal = read_claim(claim_path(place))
    blimp, zorro = transitions.loc["blimp"], transitions.loc["zorro"]
    benchmarks = transitions[transitions["kind"] != "other"]  # without the hemispheres and their mean
    yield print_verdict(
        f"the untrained model shows no asymmetry: {asymmetry.iloc[0]:+.4f}",
        abs(curve["left_minus_right"].iloc[0]) < NEGLIGIBLE and curve["low_nested"].iloc[0] <= 0,
    )
    yield print_verdict(
        f"the trained model predicts the left better: {asymmetry.iloc[-1]:+.4f}",
        asymmetry.iloc[-1] > CLEAR and curve["low_nested"].iloc[-1] > 0,
    )
    yield print_verdict(
        f"it comes to do so with the hard pairs of the language: alignment {format_estimate(blimp, 'alignment')}",
        benchmarks["alignment"].idxmax() == "blimp" if benchmarks["alignment"].notna().any() else False,
    )
    yield print_verdict(
        f"and after the easy pairs: they lead by {format_estimate(zorro, 'lead')} decades of tokens",
        zorro["lead_low"] > 0,
    )
    yield print_verdict(
        f"closer to formal than to functional competence: by {format_estimate(formal, 'difference', '')}",
        formal["unfavourable_low"] > 0,
    )


def check_null_listener(place):
    """Check the claims about the listener with equal hemispheres; yield whether each holds."""
    asymmetry = read_values(place)["left_minus_right"]
    row = read_transition(place)
    yield print_verdict(
        f"the null listener is symmetric throughout: at most {asymmetry.abs().max():.4f}",
        asymmetry.abs().max() < NEGLIGIBLE,
    )
    yield print_verdict(
        f"and no asymmetry emerges in it: p = {row['p_flat']:.3f}",
        row["is_flat"] == True,  # noqa: E712  (NaN without a fit)
    )
    yield print_verdict(
        "nor does it go with formal competence", not read_claim(claim_path(place))["unfavourable_low"] > 0
    )


def check_noisy_listener(place):
    """Check the claims about the listener with a noisier right; yield whether each holds."""
    ratio = read_transition(place, "log_left_right")
    yield print_verdict(
        f"the noisier right leaves log(left/right) without a transition: p = {ratio['p_flat']:.3f}",
        ratio["is_flat"] == True,  # noqa: E712  (NaN without a fit)
    )
    summary = place.with_name("small_lm_en_summary.txt").read_text(encoding="utf-8")
    claims_nothing = BEYOND_RELIABILITY not in summary and "goes with formal competence" not in summary
    yield print_verdict(
        "and its summary claims neither an asymmetry beyond reliability, nor one that goes with formal competence",
        claims_nothing,
    )


def describe_conclusion(place):
    """Describe what the tables of a study folder conclude, in a line."""
    last = read_values(place).iloc[-1]
    numbers = f"{last[TARGET]:+.3f} [{last['low_nested']:+.3f}, {last['high_nested']:+.3f}]"
    words = [f"left minus right ends at {numbers}"]
    for name, curve in [("left minus right", TARGET), ("log(left/right)", "log_left_right")]:
        row = read_transition(place, curve)
        if np.isfinite(row["p_flat"]):
            shows = "shows no transition" if row["is_flat"] else "has a transition"
            words.append(f"{name} {shows} (p = {row['p_flat']:.4f})")
    claim = read_claim(claim_path(place))
    if claim["unfavourable_low"] > 0:
        words.append(f"closer to formal than to functional competence by {format_estimate(claim, 'difference', '')}")
    elif claim["unfavourable_high"] < 0:
        words.append(f"closer to functional than to formal competence: {format_estimate(claim, 'difference', '')}")
    else:
        words.append("no claim about formal or functional competence")
    return "; ".join(words)


def read_transition(place, curve=TARGET):
    """Read the row of left minus right, or of a control of it; NaN where the notebook has not written it."""
    path = place.with_name("small_lm_en_table.csv" if curve == TARGET else "small_lm_en_controls.csv")
    rows = read_values(path).set_index("curve") if path.is_file() else pd.DataFrame()
    return rows.loc[curve] if curve in rows.index else pd.Series({"p_flat": np.nan, "is_flat": np.nan})


def claim_path(place):
    """Return the path of the comparison of formal with functional competence."""
    return place.with_name("small_lm_en_claim.csv")


def read_claim(path):
    """Read the comparison of formal with functional competence; NaN where the notebook could not make it."""
    if not path.is_file():
        numbers = ("difference", "low", "high", "unfavourable_low", "unfavourable_high")
        return pd.Series(dict.fromkeys(numbers, np.nan))
    return read_values(path).iloc[0]


def format_estimate(row, column, prefix=None):
    """Write a value with its 95 % interval, whose columns begin with the name of the value or with a prefix."""
    prefix = f"{column}_" if prefix is None else prefix
    return f"{row[column]:.2f} [{row[f'{prefix}low']:.2f}, {row[f'{prefix}high']:.2f}]"


def print_verdict(claim, holds):
    """Print a claim and whether it holds, and return the latter."""
    print(f"{'found' if holds else 'NOT FOUND'}: {claim}")
    return holds


if __name__ == "__main__":
    main()
