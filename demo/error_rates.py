"""Count how often tests and intervals of simulated studies give an answer that they should, or should not."""

import numpy as np
import pandas as pd

from demo.listeners import LISTENERS

LEVEL = 0.95  # of the intervals
FIVE, ONE_SIDED, POWER, SHOWN = "5 % at most", "2.5 % at most", "all", ""
# Listeners whose truth is an asymmetry; small_effect is too small to be found in every study.
FOUND_BY_ALL = ("asymmetric", "late_hrf")
CONTROLS = {
    "log_left_right": "the log of left over right",
    "ceiling_left_minus_right": "left minus right of ceiling-normalised scores",
    "matched_left_minus_right": "left minus right of pairs matched in ISC",
}


def count_errors(results):
    """Count how often tests and signs give the answer that they should, or should not.

    Parameters
    ----------
    results : pandas.DataFrame
        As for ``coverage.compute_coverage``.

    Returns
    -------
    pandas.DataFrame with columns listener, answer, should_be, share, n_studies, standard_error
        should_be is empty where no level is promised. "2.5 % at most" is the level of a one-sided test: the low end of
        a 95 % interval is above 0.
    """
    rows = []
    for listener in (name for name in LISTENERS if (results["listener"] == name).any()):
        answers = [*_test_asymmetry(results, listener), *_test_bands(results, listener)]
        answers += _test_claims(results, listener)
        if listener == "asymmetric":
            answers += [*_test_benchmarks(results), *_test_order(results)]
        rows += [(listener, answer, should_be, *_compute_share(given)) for answer, should_be, given in answers]
    table = pd.DataFrame(rows, columns=["listener", "answer", "should_be", "share", "n_studies", "standard_error"])
    return table[table["n_studies"] > 0].reset_index(drop=True)


def _test_asymmetry(results, listener):
    """Yield (answer, how often it should be given, whether each study gives it) on the emergence of an asymmetry."""
    emerges = select_rows(results, listener, "left_minus_right", "p_flat")["value"] < 1 - LEVEL
    is_noisier = listener.startswith("noisier")
    is_null = LISTENERS[listener]["is_flat"] or is_noisier
    expected = POWER if listener in FOUND_BY_ALL else SHOWN
    if LISTENERS[listener]["is_flat"]:
        expected = FIVE
    yield "left minus right emerges", expected, emerges
    for curve, name in CONTROLS.items():
        rows = select_rows(results, listener, curve, "p_flat")
        control = rows["value"] < 1 - LEVEL
        yield f"{name} emerges", FIVE if is_null else SHOWN, control
        if is_noisier and len(rows):
            yield f"left minus right and {name} emerge", FIVE, emerges & control
    if listener == "symmetric":
        pairs = select_rows(results, listener, "left_minus_right", "n_emerging_pairs")
        yield "an asymmetry emerges in some pair of voxels", FIVE, pairs["value"] > 0


def _test_bands(results, listener):
    """Yield the same of the bands of left minus right."""
    if LISTENERS[listener]["is_flat"]:
        for kind, level in [("pointwise", SHOWN), ("simultaneous", FIVE)]:
            rows = select_rows(results, listener, "left_minus_right", f"{kind}_excludes_0")
            yield f"some point of the {kind} band excludes 0", level, rows["value"] > 0


def _test_claims(results, listener):
    """Yield the same of the claim that the asymmetry is closer to formal competence."""
    is_claim = (results["listener"] == listener) & results["curve"].str.startswith("claim against ")
    follows_grammar = listener in ("asymmetric", "late_hrf", "small_effect")
    for curve in results.loc[is_claim, "curve"].unique():
        functional = curve.removeprefix("claim against ")
        for quantity, manner in [("difference", ""), ("unfavourable", ", at the most unfavourable values")]:
            rows = select_rows(results, listener, curve, quantity)
            n_studies = len(select_rows(results, listener, "left_minus_right", "p_flat"))
            is_made = np.append(rows["low"] > 0, np.zeros(max(0, n_studies - len(rows)), bool))  # no row: no claim
            # A weak benchmark has the transition of the hard pairs: neither is closer.
            is_error = functional.startswith("weak") or not follows_grammar
            name = {"all": "all functional benchmarks"}.get(functional, functional)
            if len(rows):
                yield f"closer to formal competence than to {name}{manner}", ONE_SIDED if is_error else SHOWN, is_made


def _test_benchmarks(results):
    """Yield the same of tests for a transition, and of comparisons of two benchmarks by their alignment."""
    for name, should_be in [("coin", FIVE), ("twos", POWER)]:
        rows = select_rows(results, "asymmetric", name, "p_flat")
        yield f"a transition of {name} is detected", should_be, rows["value"] < 1 - LEVEL
    again = select_rows(results, "asymmetric", "blimp - blimp_again", "alignment")
    yield "two samples of the same benchmark are aligned differently", FIVE, excludes_zero(again)
    weak = sorted({curve for curve in results["curve"] if curve.startswith("blimp - weak")})
    for curve in ("blimp - coin", *weak):
        rows = select_rows(results, "asymmetric", curve, "alignment")
        name = curve.removeprefix("blimp - ")
        should_be = SHOWN if name == "coin" else ONE_SIDED  # the weak benchmarks rise with the hard pairs
        yield f"the asymmetry is closer to the hard pairs than to {name}", should_be, rows["low"] > 0


def _test_order(results):
    """Yield the same of every benchmark that leads or follows by .2 decades or more."""
    is_lead = (results["quantity"] == "lead") & (results["listener"] == "asymmetric")
    truth = results[is_lead & (results["study"] == "truth")].set_index("curve")["value"]
    for curve, lead in truth[truth.abs() > 0.2].items():
        estimates = select_rows(results, "asymmetric", curve, "lead")
        words = f"{curve} leads by {lead:+.2f} decades"
        yield f"{words}, and its lead has that sign", POWER, np.sign(estimates["value"]) == np.sign(lead)
        has_other_sign = estimates["high"] < 0 if lead > 0 else estimates["low"] > 0
        yield f"{words}, and its interval has the other sign", ONE_SIDED, has_other_sign


def _compute_share(answers):
    """Return the share of answers that are yes, their number, and a standard error, at least that of a share of 5 %."""
    if not len(answers):
        return np.nan, 0, np.nan
    share = float(np.mean(answers))
    return share, len(answers), np.sqrt(max(share * (1 - share), LEVEL * (1 - LEVEL)) / len(answers))


def select_rows(results, listener, curve, quantity):
    """Return the estimates of a quantity of a curve, a row per study."""
    rows = results[(results["listener"] == listener) & (results["curve"] == curve) & (results["study"] != "truth")]
    return rows[rows["quantity"] == quantity].set_index("study")


def excludes_zero(rows):
    """Return whether each interval lies on one side of 0."""
    return (rows["low"] > 0) | (rows["high"] < 0)
