"""Compare models on brain benchmarks: one table, a sentence for each model, and curves over training."""

import numpy as np
import pandas as pd

from pipeline.brain.benchmark_scores import choose_layers_nested, resample_pooled
from pipeline.errors import InputError
from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval, format_with_interval
from pipeline.statistics.resampling import resample_means
from pipeline.transitions.comparison import COLUMNS as TRANSITION_COLUMNS
from pipeline.transitions.comparison import compare_curves
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS
from study import paths
from study.baselines import is_baseline
from study.checkpoints import find_training_tokens, get_name_on_record
from study.outputs.brain_benchmarks import SCORE, read_ceiling, read_scores
from study.outputs.tasks import read_benchmark_items, read_benchmarks
from study.records import read_record

COLUMNS = (
    "benchmark model splits regression published r low high r_maximum best_layer unique_r2 best_baseline baseline_r "
    "difference difference_low difference_high ceiling tokens"
).split()

KEYS = ["benchmark", "splits", "regression", "model"]  # of a curve over training


def compare_models(benchmarks, published):
    """Compare the models that have scores.

    Parameters
    ----------
    benchmarks : list of str, or empty for all that are prepared
    published : pandas.DataFrame with the columns benchmark, model, splits and raw, published numbers. A number has a
        place only next to scores with the splits that it was made with.

    Returns
    -------
    table : pandas.DataFrame with a row per model, benchmark, splits and regression, and the columns COLUMNS. r, low and
        high have layers chosen on other folds. difference is r minus that of the best baseline with the same folds.
    curves : dict from (benchmark, splits, regression, model's name) to (tokens, Curve of scores, Curve of BLiMP), where
        there are enough checkpoints. BLiMP is the accuracy of each checkpoint, NaN where it is not evaluated.
    """
    prepared = sorted(path.stem for path in paths.brain_benchmark_path("x").parent.glob("*.npz"))
    if missing := [name for name in benchmarks if name not in prepared]:
        raise InputError(
            f"--benchmark {missing[0]}: expected one of {', '.join(prepared) or 'none'}. Prepare it first."
        )
    rows: list[list] = []
    series: dict[tuple, list[dict]] = {}
    for benchmark in benchmarks or prepared:
        for (splits, regression), stems in find_scores(benchmark).items():
            entries = {stem: read_entry(stem, benchmark, splits, regression) for stem in stems}
            rows += [make_row(stem, entries, benchmark, splits, regression, published) for stem in stems]
            for entry in entries.values():
                if np.isfinite(entry["tokens"]):
                    series.setdefault((benchmark, splits, regression, entry["name"]), []).append(entry)
    if not rows:
        raise InputError(f"brain_benchmark_results: expected scores of a model, got none. {SCORE} makes them.")
    curves = {}
    for key, checkpoints in series.items():
        points = sorted(checkpoints, key=lambda entry: entry["tokens"])
        tokens = np.array([point["tokens"] for point in points])
        if len(set(tokens)) == len(points) >= FEWEST_CHECKPOINTS:
            resamples = np.stack([point["resamples"] for point in points], axis=1)
            scores = Curve(np.array([point["r"] for point in points]), resamples)
            curves[key] = tokens, scores, read_blimp(key[-1], [point["stem"] for point in points])
    return pd.DataFrame(rows, columns=COLUMNS), curves


def read_blimp(name, stems):
    """Return the accuracy of the checkpoints of a model on BLiMP, a Curve, resampled where pairs are known."""
    checkpoints = pd.DataFrame({"stem": stems, "revision": stems})
    if (items := read_benchmark_items(name, checkpoints).get("blimp")) is not None:
        values, paradigms, groups = items
        return Curve(*resample_means(values, paradigms, groups=groups))
    values = read_benchmarks(name, checkpoints).get("blimp", pd.Series(np.nan, range(len(stems)))).to_numpy(float)
    return Curve(values, np.full((1, len(stems)), np.nan))


def tabulate_transitions(curves):
    """Detect the transitions of scores and of BLiMP over training, and compare them.

    Parameters
    ----------
    curves : as ``compare_models`` returns them

    Returns
    -------
    pandas.DataFrame with the columns benchmark, splits, regression and model, then those of
        ``pipeline.transitions.comparison.compare_curves``, whose target is the curve ``brain_score``
    """
    tables = []
    for key, (tokens, scores, blimp) in curves.items():
        known = {"brain_score": scores} | ({"blimp": blimp} if np.isfinite(blimp.values).any() else {})
        table, _ = compare_curves(tokens, known, target="brain_score", unbounded=["brain_score"])
        tables.append(pd.DataFrame([key] * len(table), columns=KEYS).join(table))
    return pd.concat(tables) if tables else pd.DataFrame(columns=[*KEYS, *TRANSITION_COLUMNS])


def find_scores(benchmark):
    """Return the stems with scores on a benchmark, a dict from (splits, regression) to a sorted list of str."""
    scores: dict[tuple[str, str], list[str]] = {}
    for path in sorted(paths.brain_ceiling_path("x", "y", "z").parent.glob(f"*_{benchmark}_*.npz")):
        stem, _, options = path.stem.rpartition(f"_{benchmark}_")
        splits, _, regression = options.partition("_")
        if splits in ("groups", "shuffled") and stem != "ceiling":
            scores.setdefault((splits, regression), []).append(stem)
    return scores


def read_entry(stem, benchmark, splits, regression):
    """Read what the table needs of a model, a dict."""
    path = paths.brain_benchmark_scores_path(stem, benchmark, splits, regression)
    arrays = read_scores(path)
    layers, nested = choose_layers_nested(arrays["correlations"])
    r, resamples = resample_pooled(nested, arrays["subjects"])
    by_layer = np.nanmean(np.nanmedian(arrays["correlations"], axis=2), axis=1)
    best = int(by_layer.argmax())
    unique = float(np.nanmean(arrays["unique_r2"][best])) if "unique_r2" in arrays else np.nan
    checkpoint = read_record(path).get("checkpoint") or {}
    name = get_name_on_record(stem, checkpoint) if checkpoint else stem
    is_point = checkpoint and checkpoint.get("revision") and not is_baseline(stem)
    tokens = find_training_tokens(name, checkpoint["revision"]) if is_point else None
    return {
        "stem": stem,
        "r": float(r),
        "resamples": resamples,
        "r_maximum": float(by_layer[best]),
        "best_layer": best,
        "unique_r2": unique,
        "name": name,
        "tokens": np.nan if tokens is None else float(tokens),
        "nested_layers": layers,
    }


def make_row(stem, entries, benchmark, splits, regression, published):
    """Return the row of a model, a list in the order of COLUMNS."""
    entry = entries[stem]
    low, high = compute_interval(entry["r"], entry["resamples"])
    baselines = {name: other for name, other in entries.items() if is_baseline(name) and name != stem}
    best, difference = None, (np.nan, np.nan, np.nan)
    if baselines and not is_baseline(stem):
        best = max(baselines, key=lambda name: baselines[name]["r"])
        value = entry["r"] - baselines[best]["r"]
        difference = (value, *compute_interval(value, entry["resamples"] - baselines[best]["resamples"]))
    path, ceiling = paths.brain_ceiling_path(benchmark, splits, regression), np.nan
    if path.is_file():
        limits = read_ceiling(path, {"splits": splits, "regression": regression})
        ceiling = float(np.nanmedian(limits["at_n"]))
    is_same = np.array([_is_named(name, stem) for name in published["model"]], dtype=bool)
    is_same &= ((published["benchmark"] == benchmark) & (published["splits"] == splits)).to_numpy()
    known = published[is_same]
    number = float(known["raw"].iloc[0]) if len(known) and known["raw"].iloc[0] else np.nan
    baseline_r = baselines[best]["r"] if best else np.nan
    return [
        *[benchmark, stem, splits, regression, number, entry["r"], float(low), float(high)],
        *[entry["r_maximum"], entry["best_layer"], entry["unique_r2"], best, baseline_r],
        *[float(value) for value in difference],
        *[ceiling, entry["tokens"]],
    ]


def _is_named(name, stem):
    """Return whether a published model is the model of a stem: the same name without its organisation."""
    return stem.lower() == name.lower() or stem.lower().endswith("_" + name.lower())


def describe_models(table):
    """Return a sentence for each model that is not a baseline: whether anything is left beyond the best baseline."""
    sentences = []
    for row in table[~table["model"].map(is_baseline)].itertuples():
        score = format_with_interval(row.r, row.low, row.high)
        words = f"{row.model} on {row.benchmark} ({row.splits}, {row.regression}): r {score}"
        if not isinstance(row.best_baseline, str):
            sentences.append(f"{words}; no baseline has scores to compare with.")
            continue
        left = format_with_interval(row.difference, row.difference_low, row.difference_high)
        verdict = "something is left" if row.difference_low > 0 else "nothing is shown to be left"
        sentences.append(f"{words}; {verdict} beyond {row.best_baseline} (r {row.baseline_r:.4f}): {left}.")
    return sentences


def describe_transitions(transitions):
    """Return a sentence for each curve over training: when the score rises, and how BLiMP goes with it.

    transitions are as ``tabulate_transitions`` returns them.
    """
    sentences = []
    for key, rows in transitions.groupby(KEYS, sort=False):
        rows = rows.set_index("curve")
        score = rows.loc["brain_score"]
        if not np.isfinite(score["p_flat"]):  # too few checkpoints after the first step
            continue
        words = "{3} on {0} ({1}, {2}) over training: ".format(*key)
        if score["is_flat"]:
            sentences.append(f"{words}no transition is detected (p {score['p_flat']:.2g}).")
            continue
        place = format_with_interval(score["x0"], score["x0_low"], score["x0_high"])
        words += f"the score {'rises' if score['high'] > score['low'] else 'falls'}, its midpoint is 10^{place} tokens"
        if "blimp" in rows.index and np.isfinite(rows.loc["blimp", "alignment"]):
            blimp = rows.loc["blimp"]
            alignment = format_with_interval(*blimp[["alignment", "alignment_low", "alignment_high"]])
            words += f"; its alignment with BLiMP is {alignment}"
        sentences.append(f"{words}.")
    return sentences
