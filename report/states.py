"""Find the checkpoints of a study, and how far every stage of each has come.

A checkpoint is known once a stage has written or begun an output for it.
"""

import collections
import json

import numpy as np
import pandas as pd

from pipeline.brain.hemispheres import assign_hemispheres, average_sides
from pipeline.brain.scores import compute_brain_scores, select_reliable_voxels
from pipeline.errors import InputError
from pipeline.tasks import lm_eval_results
from pipeline.tasks.table import BENCHMARKS
from study import paths
from study.baselines import is_baseline
from study.cache import cache_folder, read_note
from study.checkpoints import find_training_tokens, get_name_on_record
from study.inputs import lm_eval_files
from study.inputs.le_petit_prince import read_isc, read_mask
from study.inputs.lm_eval import read_lm_eval_files, read_lm_eval_runs
from study.outputs.correlations import read_correlations
from study.outputs.same_weights import mark_equal, read_fingerprints
from study.outputs.texts import read_acceptability
from study.records import find_changed_input, read_record
from study.stages import PER_STORY, STAGES


def list_outputs(stem, lang):
    """Return the last file that each stage writes for a checkpoint, a dict from stage to path.

    For texts, it is the path whose hidden folder of cached parts shows that texts are being made.
    """
    outputs = {"activations": paths.activations_path(stem, lang), "fit": paths.run_correlations_path(stem, lang)}
    outputs |= {benchmark: paths.benchmark_path(stem, benchmark) for benchmark in BENCHMARKS}
    return outputs | {"texts": paths.generated_texts_folder() / f"{stem}_gen"}


def find_checkpoints(lang):
    """Return the checkpoints with an output, finished or begun, a dict from stem to a dict with model and revision.

    Both are as on the command line. The model is None where no record contains it.
    """
    checkpoints: dict[str, dict] = {}
    *outputs, begun_texts = list_outputs("*", lang).values()
    first_text = paths.generated_text_path("*", 0, 0, paths.generated_texts_folder())
    for pattern in [*outputs, paths.layer_correlations_path("*", 0, lang), first_text, begun_texts]:
        ending = pattern.name.removeprefix("*")
        for path in sorted(pattern.parent.glob(pattern.name)):
            if path.name.startswith((".", "onsets_offsets_")):
                continue
            known = checkpoints.setdefault(path.name.removesuffix(ending), {"model": None, "revision": None})
            if known["model"] is None:
                checkpoint = read_or({}, read_record, path).get("checkpoint") or {}
                known.update({key: checkpoint.get(key) for key in known})
        for folder in pattern.parent.glob(cache_folder(pattern).name):  # interrupted work
            made_with = read_note(folder).get("with", {})  # empty where the note is damaged
            stem = folder.name.removeprefix(".").removesuffix(f"{ending}.parts")
            revision = made_with.get("parameters", {}).get("revision")
            checkpoints.setdefault(stem, {"model": made_with.get("model"), "revision": revision})
    return checkpoints


def read_or(default, read, *arguments):
    """Return what a function reads, or a default where a file is damaged, which must not hide all others.

    ``--check`` names damaged files.
    """
    try:
        return read(*arguments)
    except InputError:
        return default


def tabulate_states(lang, lm_eval=None):
    """Return the state of every stage of every checkpoint, without baselines.

    lm_eval is what ``read_lm_eval_files`` returns, if read.

    Returns
    -------
    pandas.DataFrame, a row per checkpoint by model and training, with columns stem, name, model, revision,
    tokens, one for each stage, left_minus_right, and same_weights_as
        name is the model's in file names, model as on the command line on record. A stage is done, missing, or partly
        done, in words (``5 layers``, ``30 of 50``). It has ``other options`` where most checkpoints of the model were
        made with different options. It is ``outdated`` where its inputs have changed since, and ``damaged`` where its
        record or table cannot be read. same_weights_as names others of the model, where training tokens are known:
        only these are points of a curve.
    """
    sides = read_or(None, find_reliable_sides, lang)  # llm_brain_asym.main ends with this error
    known = {stem: checkpoint for stem, checkpoint in find_checkpoints(lang).items() if not is_baseline(stem)}
    rows = [describe_checkpoint(stem, checkpoint, lang, sides) for stem, checkpoint in known.items()]
    most_texts: collections.Counter = collections.Counter()
    for row in rows:
        most_texts[row["name"]] = max(most_texts[row["name"]], row["texts"])
    lm_eval = lm_eval or read_lm_eval_files()
    tasks = {name: list_lm_eval_tasks(name, lm_eval) for name in {row["name"] for row in rows} - {None}}
    for row in rows:
        row["lm_eval"] = describe_tasks(row, tasks)
        row["texts"] = describe_texts(row["stem"], row["texts"], most_texts[row["name"]])
    columns = ["stem", "name", "model", "revision", "tokens", *STAGES, "left_minus_right", "fingerprints"]
    table = pd.DataFrame(rows, columns=columns)
    for stage in ("activations", "fit", *BENCHMARKS):
        mark_other_options(table, stage, lang)
    table = table.sort_values(["name", "tokens", "stem"], ignore_index=True, na_position="first")
    table["same_weights_as"] = ""
    for _, rows_of_model in table[table["tokens"].notna()].groupby("name", dropna=False):
        marked = mark_equal(rows_of_model, list(rows_of_model["fingerprints"]))
        table.loc[marked.index, "same_weights_as"] = marked["same_weights_as"]
    return table.drop(columns="fingerprints")


def tabulate_baselines(lang):
    """Return the states of the extraction and of the fit of every baseline, as ``tabulate_states`` does.

    Returns
    -------
    pandas.DataFrame, a row per baseline by name, with columns stem, activations, fit and left_minus_right
        Fits have ``other options`` where most baselines were fitted with different options.
    """
    sides = read_or(None, find_reliable_sides, lang)
    unknown = {"model": None, "revision": None}
    stems = sorted(stem for stem in find_checkpoints(lang) if is_baseline(stem))
    rows = [describe_checkpoint(stem, unknown, lang, sides) for stem in stems]
    table = pd.DataFrame(rows, columns=["stem", *PER_STORY, "left_minus_right"])
    # Each baseline has its own options of extraction. All are fitted with the same options.
    for stage, group in (("activations", table["stem"]), ("fit", "")):
        table["name"] = group
        mark_other_options(table, stage, lang)
    return table.drop(columns="name")


def describe_checkpoint(stem, checkpoint, lang, sides):
    """Return a row of the table of states, a dict, with the number of texts, and fingerprints of the weights, a set."""
    name = None if checkpoint["model"] is None else get_name_on_record(stem, checkpoint)
    if name is None:
        model, _, revision = stem.rpartition("_")  # a guess: the stem does not show where the model's name ends
        tokens = find_training_tokens(model, revision)
    else:
        tokens = find_training_tokens(name, checkpoint["revision"] or "")
    row = {"stem": stem, "name": name, **checkpoint, "tokens": np.nan if tokens is None else tokens}
    row |= {stage: describe_output(path) for stage, path in list_outputs(stem, lang).items()}
    row["texts"] = count_texts(stem)
    row["acceptability"] = read_or("damaged", describe_judged, row, row["texts"])
    if row["fit"] == "missing" and paths.layer_correlations_path(stem, 0, lang).is_file():
        row["fit"] = "averages"
    is_fitted = row["fit"] in ("done", "averages")
    correlations = read_or(None, read_correlations, stem, lang) if is_fitted else None
    row["left_minus_right"] = read_or(np.nan, compute_left_minus_right, correlations, sides)
    return row | {"fingerprints": read_or(set(), read_fingerprints, stem, lang, correlations)}


def compute_left_minus_right(correlations, sides):
    """Return the mean brain score of the left minus the mean of the right, NaN without one of the arguments."""
    if correlations is None or sides is None:
        return np.nan
    scores = compute_brain_scores([correlations])[0].mean(axis=0)  # (n_voxels,)
    left, right = average_sides(scores, *sides)
    return float(left - right)


def count_texts(stem):
    """Return the number of texts of a checkpoint."""
    return len(list(paths.generated_texts_folder().glob(f"{stem}_gen_*_*.txt")))


def describe_output(path):
    """Return the state of an output: done, missing, begun, or its number of cached parts."""
    if path.is_file():
        return "done"
    parts = cache_folder(path)
    for unit in ("run", "layer"):
        if n := len(list(parts.glob(f"{unit}-*.npz"))):
            return f"{n} {unit}" if n == 1 else f"{n} {unit}s"
    return "begun" if parts.is_dir() else "missing"


def describe_texts(stem, n_texts, n_expected):
    """Return the state of the texts of a checkpoint."""
    begun = describe_output(list_outputs(stem, "")["texts"])
    if n_texts == 0:
        return begun
    if n_texts < n_expected:
        return f"{n_texts} of {n_expected}"
    return "done" if begun == "missing" else f"{n_texts} so far"


def describe_judged(row, n_texts):
    """Return the state of the acceptability of the texts of a checkpoint."""
    path, n_judged = paths.acceptability_path(row["name"] or row["stem"], paths.generated_texts_folder()), 0
    if path.is_file():
        table = read_acceptability(path)
        table = table[table["revision"] == (row["revision"] or "")]
        n_judged = len(table.drop_duplicates(["prompt", "sample"]))
    if n_judged == 0:
        return "missing"
    return "done" if n_judged >= n_texts else f"{n_judged} of {n_texts}"


def list_lm_eval_tasks(name, lm_eval=None):
    """Return the tasks that lm_eval ran for a model: those in curves, and all, each a dict from revision to a set."""
    runs = read_lm_eval_runs(name, files=lm_eval)
    runs = runs[~runs["is_limited"].astype(bool)]
    curves = lm_eval_results.choose_curves(runs)[0]
    return [rows.groupby("revision")["task"].agg(set).to_dict() for rows in (curves, runs)]


def describe_tasks(row, tasks):
    """Return the number of tasks that lm_eval ran for a checkpoint; tasks: from name to ``list_lm_eval_tasks``."""
    if row["name"] is None:
        return "missing"
    revision = row["revision"] or ("" if lm_eval_files.is_local_folder(row["model"]) else "main")
    in_curves, run = (by_revision.get(revision, set()) for by_revision in tasks[row["name"]])
    n, n_others = len(in_curves), len(run - in_curves)
    words = [f"{n} task" if n == 1 else f"{n} tasks"] if n else []
    return ", ".join([*words, f"{n_others} with other options"] if n_others else words) or "missing"


def find_reliable_sides(lang):
    """Return the reliable voxels of the left and of the right, bool arrays (n_voxels,).

    They are None where the mask or the ISC is missing. An InputError is raised where one of them cannot be used.
    """
    if not (paths.mask_path(lang).is_file() and paths.isc_path(lang).is_file()):
        return None
    left, right = assign_hemispheres(read_mask(lang))
    reliable = select_reliable_voxels(read_isc(lang, n_voxels=len(left)))
    return left & reliable, right & reliable


def mark_other_options(table, stage, lang):
    """Mark in the table outputs of a stage that were made with other options than most, or are outdated."""
    for _, rows in table[table[stage] == "done"].groupby("name", dropna=False):
        outputs = {row: list_outputs(stem, lang)[stage] for row, stem in rows["stem"].items()}
        records = {row: read_or(None, read_record, path) for row, path in outputs.items()}
        options = {row: encode_options(record or {}) for row, record in records.items()}
        usual = find_most_common(options.values())
        for row, path in outputs.items():
            if records[row] is None:
                table.loc[row, stage] = "damaged"
            elif usual is not None and options[row] not in (usual, None):
                table.loc[row, stage] = "other options"
            elif find_changed_input(path, list_inputs(stage, table.loc[row, "stem"], lang), counts_copies=False):
                table.loc[row, stage] = "outdated"


def encode_options(record):
    """Return the parameters on a record as JSON, without revision and sample; None without a record."""
    same = {"revision": None, "sample": None}
    return json.dumps(record["parameters"] | same, sort_keys=True) if "parameters" in record else None


def find_most_common(options):
    """Return the most common of some options, or None where two are equally common."""
    counts = collections.Counter(option for option in options if option is not None).most_common(2)
    is_tie = len(counts) == 2 and counts[0][1] == counts[1][1]
    return counts[0][0] if counts and not is_tie else None


def list_inputs(stage, stem, lang):
    """Return the files that the output of a stage is made from."""
    if stage == "activations":
        return [paths.text_path(lang), paths.word_timings_path(lang)]
    if stage == "fit":
        activations = [paths.activations_path(stem, lang), paths.onsets_offsets_path(lang)]
        return activations + paths.average_subject_files(lang)
    return {"blimp": paths.blimp_files, "zorro": paths.zorro_files}.get(stage, list)()
