"""Compare left minus right of a model with left minus right of baselines, which no training has made.

The zero line is not the line that a curve must rise above: features of words that know no grammar may predict one
hemisphere better, too. The voxels, runs and blocks of baselines are those of the curve, and the same resamples are
drawn, so that differences have valid intervals.
"""

import numpy as np
import pandas as pd

from pipeline.brain.curves import SIDES, compute_brain_curves, compute_scores
from pipeline.errors import InputError
from pipeline.statistics.checkpoints import find_last_to_report
from pipeline.statistics.curve import Curve
from pipeline.statistics.intervals import compute_interval, format_with_interval
from report.figures.baselines import draw_baselines
from study.baselines import find_source, is_baseline
from study.checkpoints import get_name_on_record
from study.outputs.correlations import read_correlations
from study.outputs.figures import remove_figure, save_figure, save_table
from study.paths import checkpoint_stem, run_correlations_path
from study.records import describe_changed_parameters, read_record

COLUMNS = "baseline stem left right left_minus_right low high difference difference_low difference_high".split()
DIFFERENCE_COLUMNS = "baseline stem revision tokens value low high".split()


def compare_with_baselines(model, lang, checkpoints, scores, left, right, blocks):
    """Compare left minus right over training with that of all fitted baselines of the study folder.

    Parameters
    ----------
    model, lang : str
    checkpoints : pandas.DataFrame with columns stem, revision and tokens, and same_weights_as where it is known
    scores, left, right, blocks : as for ``compute_brain_curves`` of these checkpoints

    Returns
    -------
    table : pandas.DataFrame, as ``tabulate_baselines`` returns it, empty without baselines
    differences : pandas.DataFrame, as ``tabulate_differences`` returns it, also empty then
    notes : list of str, a sentence for each baseline that is left out, or was fitted with other options
    """
    correlations, notes = read_baselines(model, lang, checkpoints["stem"])
    correlations, others = select_comparable(correlations, scores)
    if not correlations:
        return pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=DIFFERENCE_COLUMNS), notes + others
    baselines, differences = compute_baseline_curves(scores, correlations, left, right, blocks=blocks)
    table = tabulate_baselines(checkpoints, baselines, differences, model)
    return table, tabulate_differences(checkpoints, differences, model), notes + others


def read_baselines(model, lang, stems):
    """Read the correlations of all fitted baselines that a model can be compared with.

    These are the baselines without a model, and baselines that were made from a checkpoint of this model or from a
    model that has no curve in the study folder. ``stems`` are those of the fitted checkpoints of the model.

    Returns
    -------
    correlations : dict from the stem of each baseline to array (n_layers, n_runs, n_voxels)
    notes : list of str, a sentence for each baseline that is left out, or was fitted with other options than the model
    """
    name, correlations, notes = checkpoint_stem(model), {}, []
    of_model = read_record(run_correlations_path(list(stems)[-1], lang)).get("parameters", {})
    pattern = run_correlations_path("*", lang)
    for path in sorted(pattern.parent.glob(pattern.name)):
        stem = path.name.removesuffix(pattern.name.removeprefix("*"))
        if not is_baseline(stem) or is_of_another_model(stem, name, lang):
            continue
        try:
            correlations[stem] = read_correlations(stem, lang)
        except InputError as error:
            notes.append(str(error))
            continue
        if of_model and (changed := describe_changed_parameters(read_record(path), of_model)):
            notes.append(f"{stem} was fitted with {', '.join(changed)}, other options than {name}")
    return correlations, notes


def is_of_another_model(stem, name, lang):
    """Return whether a baseline was made from a fitted checkpoint of another model than name, as in file names."""
    if (source := find_source(stem)) is None:
        return False
    own = read_record(run_correlations_path(stem, lang)).get("checkpoint") or {}
    record = own if own.get("model") else read_record(run_correlations_path(source, lang)).get("checkpoint")
    if record:
        return get_name_on_record(source, record) != name
    return not source.startswith(f"{name}_") and run_correlations_path(source, lang).exists()


def select_comparable(correlations, scores):
    """Return baselines with the runs and voxels of the curve, and a note on each other baseline.

    Parameters
    ----------
    correlations : dict from stem to array (n_layers, n_runs, n_voxels)
    scores : dict, as ``compute_scores`` returns it for the curve
    """
    expected, kept, notes = scores["maximum"].shape[1:], {}, []
    for stem, layers in correlations.items():
        if layers.shape[1:] == expected:
            kept[stem] = layers
        elif expected[0] == 1 and layers.shape[2] == expected[1]:
            kept[stem] = layers.mean(axis=1, keepdims=True)  # of the curve, only averages over runs are known
        else:
            sizes = ["{} runs of {} voxels".format(*shape) for shape in (expected, layers.shape[1:])]
            notes.append(f"{stem}: expected {sizes[0]}, got {sizes[1]}. Fit it again.")
    return kept, notes


def compute_baseline_curves(scores, correlations, left, right, blocks, n_resamples=1000):
    """Compute both sides and their difference of baselines and of the curve, in the same resamples.

    Parameters
    ----------
    scores : dict, as ``compute_scores`` returns it for the curve
    correlations : dict from stem to array (n_layers, n_runs, n_voxels), of one or more baselines
    left, right, blocks, n_resamples : as for ``compute_brain_curves`` of the curve

    Returns
    -------
    baselines : dict from left, right and left_minus_right to Curve, with a value for each baseline instead of a
        checkpoint. Layers are chosen on other runs where runs are known. A baseline with one layer has no choice.
    differences : dict from stem to Curve, over training: left minus right of the model minus that of the baseline
    """
    choice = "nested" if "nested" in scores else "maximum"
    of_baselines = compute_scores(list(correlations.values()))[choice]
    together = {choice: np.concatenate([scores[choice], of_baselines])}
    curves = compute_brain_curves(together, left, right, blocks, n_resamples)
    suffix, n_checkpoints = "_nested" if choice == "nested" else "", len(scores[choice])
    is_checkpoint = np.arange(len(together[choice])) < n_checkpoints
    baselines = {side: curves[f"{side}{suffix}"].select(~is_checkpoint) for side in SIDES}
    values, resamples = curves[f"left_minus_right{suffix}"].select(is_checkpoint)
    differences = {}
    for number, stem in enumerate(correlations):
        value, drawn = baselines["left_minus_right"].values[number], baselines["left_minus_right"].resamples[:, number]
        differences[stem] = Curve(values - value, resamples - drawn[:, None])
    return baselines, differences


def tabulate_baselines(checkpoints, baselines, differences, model):
    """Tabulate baselines with their intervals, and with the last checkpoint of the model minus each baseline.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns revision and tokens, and same_weights_as where it is known
    baselines, differences : as of ``compute_baseline_curves``
    model : str

    Returns
    -------
    pandas.DataFrame with a row per baseline, sorted by left minus right: baseline (its name for readers), stem,
        left, right, left_minus_right, low and high (its 95 % interval). difference, difference_low and
        difference_high are left minus right of the last checkpoint minus that of the baseline.
    """
    last = int(np.flatnonzero(checkpoints["tokens"] == find_last_to_report(checkpoints))[-1])
    table = pd.DataFrame({side: curve.values for side, curve in baselines.items()})
    table["low"], table["high"] = compute_interval(*baselines["left_minus_right"])
    table["stem"], table["baseline"] = list(differences), name_baselines(differences, checkpoint_stem(model))
    ends = [compute_interval(curve.values[last], curve.resamples[:, last]) for curve in differences.values()]
    table["difference"] = [curve.values[last] for curve in differences.values()]
    table[["difference_low", "difference_high"]] = np.array(ends, dtype=float)
    return table.sort_values(["left_minus_right", "stem"], ascending=False, ignore_index=True)[COLUMNS]


def name_baselines(stems, model):
    """Return the names of baselines for readers, a list of str; model is the model's name as in file names.

    A revision is only in the names of baselines that have the same name without it.
    """
    stems, names = list(stems), []
    for stem in stems:
        name, _, seed = stem.removeprefix("baseline_").partition("_seed-")
        if (source := find_source(stem)) is not None:
            is_static = stem.startswith("baseline_static_")
            name, seed = ("static embedding", "") if is_static else ("untrained", stem.rpartition("-")[2])
        revision = "" if source is None else source.removeprefix(f"{model}_")
        names.append((f"{name.replace('_', ' ')} {seed}".strip(), revision))
    short = [name for name, _ in names]
    return [f"{name}, {revision}" if short.count(name) > 1 else name for name, revision in names]


def tabulate_differences(checkpoints, differences, model):
    """Tabulate the model minus each baseline over training, as a pandas.DataFrame.

    It has a row per baseline and checkpoint: baseline, stem, revision, tokens, value, low and high. The arguments are
    as for ``tabulate_baselines``.
    """
    tables = []
    names = name_baselines(differences, checkpoint_stem(model))
    for name, (stem, (values, resamples)) in zip(names, differences.items(), strict=True):
        low, high = compute_interval(values, resamples)
        points = checkpoints[["revision", "tokens"]].reset_index(drop=True).assign(value=values, low=low, high=high)
        tables.append(points.assign(baseline=name, stem=stem))
    return pd.concat(tables, ignore_index=True)[DIFFERENCE_COLUMNS]


def describe_baselines(table):
    """Return a sentence on left minus right of the last checkpoint against a table of ``tabulate_baselines``."""
    if table.empty:
        return (
            "No baseline was fitted: whether left minus right is above that of features without grammar is not known."
        )
    nearest = table.loc[table["difference"].idxmin()]
    last = nearest["left_minus_right"] + nearest["difference"]
    level = format_with_interval(*nearest[["left_minus_right", "low", "high"]])
    distance = format_with_interval(*nearest[["difference", "difference_low", "difference_high"]])
    words = f"the highest is {nearest['baseline']} with {level}, and the last checkpoint minus it is {distance}"
    if not np.isfinite(table["difference_low"]).all():
        return f"Left minus right of the last checkpoint was {last:.4f}; of {_count(table)}, {words}."
    below = list(table["baseline"][table["difference_low"] <= 0])
    if not below:
        return f"Left minus right of the last checkpoint, {last:.4f}, was above that of {_count(table)}: {words}."
    return (
        f"Left minus right of the last checkpoint, {last:.4f}, was not shown to be above that of {', '.join(below)} "
        f"({len(below)} of {_count(table)}): {words}."
    )


def _count(table):
    """Write the number of baselines."""
    return "the one baseline" if len(table) == 1 else f"{len(table)} baselines"


def save_baselines(points, table, differences, title, prefix):
    """Save the tables and the figure of baselines, and print the sentence of ``describe_baselines``.

    table is that of ``compare_with_baselines``, ``{prefix}_baselines.csv``, differences that of
    ``tabulate_differences``, ``{prefix}_baseline_differences.csv``, and points those of ``draw_asymmetry``. Without
    baselines, the files of an earlier run are removed.
    """
    if table.empty:
        remove_figure(f"{prefix}_baselines")
        remove_figure(f"{prefix}_baseline_differences")
    else:
        save_table(table, f"{prefix}_baselines")
        save_table(differences, f"{prefix}_baseline_differences")
        save_figure(draw_baselines(points, table, title), f"{prefix}_baselines")
    print(describe_baselines(table))
