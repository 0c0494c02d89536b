"""Read and tabulate the results of one study for the notebook, and describe them for readers."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.brain.region_differences import compute_region_curves
from pipeline.brain.regions import make_atlas_regions
from pipeline.statistics.checkpoints import select_tokens_for_fits
from pipeline.statistics.resampling import resample_means, resample_normal
from pipeline.statistics.score_curves import add_scores_alone, describe_scores_alone
from pipeline.tasks.lm_eval_results import find_tasks_without_bounds, select_headline_rows
from pipeline.transitions.claims import compare_targets
from pipeline.transitions.comparison import compare_curves, select_brain_curves
from pipeline.transitions.sigmoids import FEWEST_CHECKPOINTS
from pipeline.transitions.tables import tabulate_points
from report.summary import explain_too_few_checkpoints
from study.checkpoints import find_fitted_checkpoints
from study.config import find_model, read_config
from study.inputs.le_petit_prince import read_atlas
from study.inputs.lm_eval import describe_lm_eval_files, read_lm_eval
from study.inputs.lm_eval_samples import read_lm_eval_items
from study.outputs.comparability import find_differences, find_gaps
from study.outputs.correlations import read_all_correlations
from study.outputs.same_weights import mark_same_weights
from study.outputs.tasks import describe_parts, read_acceptability_items, read_benchmark_items

ACCEPTABILITY_COLUMNS = "by curve revision tokens n_texts value low high same_weights_as".split()


def choose_study():
    """Return the model, as on the command line without a revision, and the language that the environment chooses.

    LTBA_MODEL and LTBA_LANG come first, then the first language and the model of LTBA_CONFIG, a file
    ``config/*.yaml``, then OLMo-2 7B and English. A local model goes by the name of its folder. An InputError is
    raised where LTBA_CONFIG is not a definition of a study.
    """
    model, lang = "allenai/OLMo-2-1124-7B", "en"
    if path := os.environ.get("LTBA_CONFIG"):
        config = read_config(path)
        model, lang = find_model(config), config["languages"][0]
        model = Path(model).name if Path(model).is_dir() else model
    return os.environ.get("LTBA_MODEL", model), os.environ.get("LTBA_LANG", lang)


def read_fits(model, lang):
    """Read the correlations of all fitted checkpoints.

    Returns
    -------
    checkpoints : pandas.DataFrame with columns stem, revision, tokens, same_weights_as
    correlations : list over checkpoints of array (n_layers, n_runs, n_voxels)
    left_out : list of str, a sentence for each reason why checkpoints are left out

    Raises InputError where there is not a fitted checkpoint, or a file is damaged.
    """
    checkpoints, without_tokens = find_fitted_checkpoints(model, lang)
    checkpoints, correlations, unfinished = read_all_correlations(checkpoints, lang)
    left_out = []
    if without_tokens:
        left_out.append(f"their training tokens are not known: {' '.join(without_tokens)}")
    if unfinished:
        left_out.append(f"they have fewer layers than the rest, and are still being fitted: {' '.join(unfinished)}")
    return mark_same_weights(checkpoints, correlations, lang), correlations, left_out


def collect_notes(model, checkpoints, benchmarks, lang):
    """Return notes on gaps in the results ("missing"), files of lm_eval, and "different" checkpoints: lists in a dict.

    checkpoints are as ``read_fits`` returns them, benchmarks as ``study.outputs.tasks.read_benchmarks`` does.
    """
    return {
        "missing": find_gaps(model, checkpoints, benchmarks, lang) + describe_parts(model, checkpoints),
        "lm_eval": describe_lm_eval_files([model]),
        "different": find_differences(model, checkpoints, lang),
    }


def print_notes(notes):
    """Print every note of a dict from a heading to a list of notes."""
    for heading, sentences in notes.items():
        for sentence in sentences:
            print(f"{heading}: {sentence}")


def describe_correlations(correlations):
    """Describe the shape of correlations, a list over checkpoints: ``10 checkpoints, 25 layers, 9 runs, 26164 voxels``.

    Where checkpoints have different numbers of runs, both are given.
    """
    shapes = [np.shape(checkpoint) for checkpoint in correlations]
    numbers = [" or ".join(map(str, sorted(set(sizes)))) for sizes in zip(*shapes, strict=True)]
    axes = [f"{number} {axis}" for number, axis in zip(numbers, ("layers", "runs", "voxels"), strict=True)]
    return ", ".join([f"{len(shapes)} checkpoints", *axes])


def describe_scores(scores):
    """Describe the shape of brain scores, a line for each choice of layers, with a note where runs are not known."""
    choices = {"nested": "chosen on other runs", "maximum": "at the published maximum"}
    lines = [
        "layers {}: {} checkpoints, {} runs, {} voxels".format(choices[choice], *values.shape)
        for choice, values in scores.items()
    ]
    if "nested" not in scores:
        lines.append(
            "only averages over runs are known for some checkpoints: layers are the best layers on the scored runs, "
            "which biases brain scores upwards, and there are no intervals"
        )
    return "\n".join(lines)


def describe_curves(curves):
    """Describe the shape of curves, a dict from name to (curve, resamples): a line for each."""
    shapes = [(name, *np.shape(resamples)) for name, (_, resamples) in curves.items()]
    return "\n".join(f"{name}: {n_points} checkpoints, {n} resamples" for name, n, n_points in shapes)


def describe_tables(**tables):
    """Describe the shape of pandas tables by name: ``points: 144 rows, 10 columns``, a line for each."""
    return "\n".join(f"{name}: {len(table)} rows, {len(table.columns)} columns" for name, table in tables.items())


def compute_benchmark_curves(model, checkpoints, benchmarks):
    """Compute the curve of every benchmark, with resamples; checkpoints and benchmarks as for ``collect_notes``.

    Returns
    -------
    curves : dict from benchmark to (curve, resamples), arrays (n_checkpoints,) and (n_resamples, n_checkpoints)
    unbounded : collection of str, benchmarks whose scores may lie beyond 0 and 1
    notes : list of str, a sentence for each benchmark with a point that has no interval, and for each task of lm_eval
        whose items are not known
    """
    items = read_benchmark_items(model, checkpoints)
    curves = {
        benchmark: resample_means(values, paradigms, groups=groups)
        for benchmark, (values, paradigms, groups) in items.items()
    }
    lm_eval, revisions = read_lm_eval(model, checkpoints["revision"]), checkpoints["revision"]
    lm_eval_curves, notes = _resample_lm_eval(select_headline_rows(lm_eval), revisions)
    curves = add_scores_alone(curves | lm_eval_curves, benchmarks)
    return curves, find_tasks_without_bounds(lm_eval), describe_scores_alone(curves, revisions) + notes


def _resample_lm_eval(results, revisions):
    """Return the curve of every task, resampled by items where they are known, and notes on the rest."""
    items, notes = read_lm_eval_items(results, revisions)
    curves = resample_normal(results, revisions)
    curves |= {task: resample_means(values, np.zeros(values.shape[1])) for task, values in items.items()}
    return curves, notes


def compare_with_asymmetry(checkpoints, sides, benchmark_curves, lang, unbounded=()):
    """Compare every benchmark with left minus right, at the checkpoints that have weights of their own.

    Return what ``pipeline.transitions.comparison.compare_curves`` returns of the benchmark curves, and a list of notes:
    a sentence where there are too few checkpoints for a fit over training. The table also has rows of the hemispheres
    and of their mean. checkpoints are as ``read_fits`` returns them, sides as
    ``pipeline.brain.curves.compute_brain_curves`` does.
    """
    tokens = select_tokens_for_fits(checkpoints)
    n_trained = int((tokens > 0).sum())
    notes = [explain_too_few_checkpoints(n_trained)] if n_trained < FEWEST_CHECKPOINTS else []
    curves = select_brain_curves(sides) | benchmark_curves
    return *compare_curves(tokens, curves, lang, unbounded=unbounded), notes


def compare_with_mean(checkpoints, sides, benchmark_curves, table, alignments, *, lang, unbounded=()):
    """Compare how close left minus right and the mean brain score are to each formal benchmark.

    Return the pandas.DataFrame of ``pipeline.transitions.claims.compare_targets``. table and alignments are those of
    ``compare_with_asymmetry``, as are the other arguments.
    """
    curves = select_brain_curves(sides) | benchmark_curves
    tokens = select_tokens_for_fits(checkpoints)
    return compare_targets(tokens, curves, table, alignments, lang=lang, unbounded=unbounded)


def tabulate_acceptability(model, checkpoints, table):
    """Return ACCEPTABILITY_COLUMNS of generated texts, a row per prompt or judge and checkpoint, as a pandas table.

    It is empty where texts have not been generated and judged. checkpoints and table are as ``read_fits`` and
    ``compare_with_asymmetry`` return them.
    """
    tables = []
    for by, name, values in read_acceptability_items(model, checkpoints):
        curve = {name: resample_means(values, np.zeros(values.shape[1]))}
        n_texts = np.isfinite(values).sum(axis=1)
        tables.append(tabulate_points(checkpoints, curve, table).assign(by=by, n_texts=n_texts))
    return pd.concat(tables).filter(ACCEPTABILITY_COLUMNS) if tables else pd.DataFrame(columns=ACCEPTABILITY_COLUMNS)


def compute_atlas_curves(checkpoints, scores, mask):
    """Compute left minus right over training in the regions of the study's own atlas, None where it has no atlas.

    checkpoints and scores are as for ``pipeline.brain.region_differences.compute_region_curves``, which makes the
    pandas.DataFrame; mask is a nibabel image.
    """
    atlas = read_atlas()
    return None if atlas is None else compute_region_curves(checkpoints, scores, make_atlas_regions(mask, atlas))


def format_numbers(table):
    """Return a table with a column per curve and three decimals, for reading."""
    return table.set_index("curve").T.map(lambda value: f"{value:.3f}" if isinstance(value, float) else value)
