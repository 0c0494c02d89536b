"""A study at a glance: what is there, what is missing, and how far every checkpoint has come.

``python llm_brain_asym.py`` prints it. A checkpoint is known once any stage has left something of it.
"""

import collections
import contextlib
import json

import numpy as np
import pandas as pd

from pipeline.brain.hemispheres import assign_hemispheres, average_sides
from pipeline.brain.reliability import select_reliable_voxels
from pipeline.brain.scores import compute_brain_scores
from pipeline.errors import InputError
from pipeline.tasks import lm_eval_results
from pipeline.tasks.table import BENCHMARKS, describe_part, is_whole
from report import inputs, notices
from study.cache import read_note
from study.checkpoints import find_training_tokens, get_name_on_record
from study.files.atomic import hidden_path
from study.inputs import lm_eval_files
from study.inputs.le_petit_prince import read_isc, read_mask
from study.inputs.lm_eval import describe_lm_eval_files, read_lm_eval_files, read_lm_eval_runs
from study.outputs.correlations import read_correlations
from study.outputs.same_weights import read_fingerprints
from study.outputs.tasks import describe_other_parts, read_parts
from study.outputs.texts import read_acceptability
from study.paths import (
    acceptability_path,
    activations_path,
    average_subject_files,
    benchmark_path,
    blimp_files,
    describe_study_folder,
    generated_text_path,
    generated_texts_folder,
    isc_path,
    layer_correlations_path,
    mask_path,
    onsets_offsets_path,
    run_correlations_path,
    study_folder,
    text_path,
    word_timings_path,
    zorro_files,
)
from study.records import find_changed_input, read_record
from study.stages import STAGES

# ---------------------------------------------------------------- checkpoints


def list_outputs(stem, lang):
    """Where each stage leaves what it makes of a checkpoint: the file that comes last."""
    paths = {"activations": activations_path(stem, lang), "fit": run_correlations_path(stem, lang)}
    return paths | {benchmark: benchmark_path(stem, benchmark) for benchmark in BENCHMARKS}


def texts_begun_path(stem):
    """Return the path whose hidden folder of parts shows that texts of a checkpoint are being made."""
    return generated_texts_folder() / f"{stem}_gen"


def find_checkpoints(lang):
    """All checkpoints of which there is anything.

    Returns
    -------
    dict from stem to dict with model, revision
        As on the command line; model is None where no record tells.
    """
    found: dict[str, dict] = {}
    patterns = list_outputs("*", lang)
    patterns["averages"] = layer_correlations_path("*", 0, lang)
    patterns["texts"] = generated_text_path("*", 0, 0, generated_texts_folder())
    patterns["begun texts"] = texts_begun_path("*")
    for pattern in patterns.values():
        before, after = pattern.name.split("*")
        for path in sorted(pattern.parent.glob(pattern.name)):
            if path.name.startswith((".", "onsets_offsets_")):
                continue
            stem = path.name.removeprefix(before).removesuffix(after)
            checkpoint = read_record_or_nothing(path).get("checkpoint") or {"model": None, "revision": None}
            if found.get(stem, {"model": None})["model"] is None:
                found[stem] = {"model": checkpoint["model"], "revision": checkpoint.get("revision")}
        for folder in pattern.parent.glob(hidden_path(pattern, "parts").name):  # work that was stopped
            made_with = read_note(folder).get("with", {})  # a damaged note: the stage begins from its start
            name = folder.name.removeprefix(".").removesuffix(".parts")
            stem = name.removeprefix(before).removesuffix(after)
            revision = made_with.get("parameters", {}).get("revision")
            found.setdefault(stem, {"model": made_with.get("model"), "revision": revision})
    return found


def read_record_or_nothing(path):
    """Return the record of an output, empty where it is damaged: one file must not hide all others."""
    try:
        return read_record(path)
    except InputError:
        return {}


def find_tokens(stem, checkpoint):
    """Training tokens of a checkpoint, or NaN where nothing tells."""
    if checkpoint["model"] is None:  # the name alone does not tell where the model ends
        model, _, revision = stem.rpartition("_")
        tokens = find_training_tokens(model, revision)
        return np.nan if tokens is None else tokens
    tokens = find_training_tokens(get_name_on_record(stem, checkpoint), checkpoint["revision"] or "")
    return np.nan if tokens is None else tokens


def tabulate_states(lang, lm_eval=None):
    """How far every checkpoint has come.

    Parameters
    ----------
    lang : str
    lm_eval : optional
        As ``study.read_lm_eval_files`` returns it, for callers that have read the files.

    Returns
    -------
    pandas.DataFrame, a row per checkpoint by model and training, with columns stem, name, model, revision,
    tokens, one for each stage, and left_minus_right
        name is the model's in file names, model as on the command line that is on record.
        A stage is done, missing, or partly done, in words (``5 layers``, ``30 of 50``); ``other
        options`` where most checkpoints of the model were made with others; ``outdated`` where what it was
        made from has changed since; ``damaged`` where its record or table cannot be read. same_weights_as
        names others of the model (see ``study.mark_same_weights``).
    """
    rows: list[dict] = []
    fingerprints: dict[str, set] = {}
    most_texts: collections.Counter = collections.Counter()
    for stem, checkpoint in find_checkpoints(lang).items():
        name = None if checkpoint["model"] is None else get_name_on_record(stem, checkpoint)
        row = {"stem": stem, "name": name, **checkpoint, "tokens": find_tokens(stem, checkpoint)}
        for stage, path in list_outputs(stem, lang).items():
            row[stage] = find_state(path)
        if row["fit"] == "missing" and layer_correlations_path(stem, 0, lang).is_file():
            row["fit"] = "averages"
        row["texts"] = len(list(generated_texts_folder().glob(f"{stem}_gen_*_*.txt")))
        rows.append(row)
        most_texts[name] = max(most_texts[name], row["texts"])
    lm_eval = lm_eval or read_lm_eval_files()
    tasks = {name: list_lm_eval_tasks(name, lm_eval) for name in {row["name"] for row in rows} - {None}}
    sides = None
    with contextlib.suppress(InputError):  # ``llm_brain_asym.main`` ends with what is wrong
        sides = find_reliable_sides(lang)
    for row in rows:
        row["acceptability"] = read_or_damaged(find_judged, row, row["texts"])
        row["lm_eval"] = find_harnessed(row, tasks)
        row["texts"] = find_state_of_texts(row["stem"], row["texts"], most_texts[row["name"]])
        row["left_minus_right"], correlations = np.nan, None
        if row["fit"] in ("done", "averages"):
            with contextlib.suppress(InputError):  # of damaged files, --check tells
                correlations = read_correlations(row["stem"], lang)
                row["left_minus_right"] = compute_left_minus_right(correlations, sides)
        fingerprints[row["stem"]] = set()
        with contextlib.suppress(InputError):
            fingerprints[row["stem"]] = read_fingerprints(row["stem"], lang, correlations)
    columns = ["stem", "name", "model", "revision", "tokens", *STAGES, "left_minus_right"]
    table = pd.DataFrame(rows, columns=columns)
    for stage in ("activations", "fit", *BENCHMARKS):
        mark_other_options(table, stage, lang)
    table = table.sort_values(["name", "tokens", "stem"], ignore_index=True, na_position="first")
    return notices.mark_same_weights(table, fingerprints)


def read_or_damaged(function, *arguments):
    """Return what a function returns, or ``damaged``; ``--check`` shows what is wrong."""
    try:
        return function(*arguments)
    except InputError:
        return "damaged"


def find_state(path):
    """How far an output has come, in a word or two."""
    if path.is_file():
        return "done"
    parts = hidden_path(path, "parts")
    n_parts = {what: len(list(parts.glob(f"{what}-*.npz"))) for what in ("run", "layer")}
    for what, n in n_parts.items():
        if n:
            return f"{n} {what}{'s' * (n > 1)}"
    return "begun" if parts.is_dir() else "missing"


def find_state_of_texts(stem, n_texts, most):
    """Return how far the texts of a checkpoint have come; most is the number of texts of a sister."""
    begun = find_state(texts_begun_path(stem))
    if n_texts == 0:
        return begun
    if n_texts < most:
        return f"{n_texts} of {most}"
    return "done" if begun == "missing" else f"{n_texts} so far"


def find_judged(row, n_texts):
    """Return whether the texts of a checkpoint have been judged, in words."""
    path = acceptability_path(row["name"] or row["stem"], generated_texts_folder())
    if not path.is_file():
        return "missing"
    table = read_acceptability(path)
    table = table[table["revision"] == (row["revision"] or "")]
    n_judged = len(table.drop_duplicates(["prompt", "sample"]))
    if n_judged == 0:
        return "missing"
    return "done" if n_judged >= n_texts else f"{n_judged} of {n_texts}"


def list_lm_eval_tasks(name, lm_eval):
    """Return the tasks that lm_eval ran for a model: those in curves, and all, each a dict from revision to a set."""
    runs = read_lm_eval_runs(name, files=lm_eval)
    runs = runs[~runs["is_limited"].astype(bool)]
    curves = lm_eval_results.choose_curves(runs)[0]
    return [rows.groupby("revision")["task"].agg(set).to_dict() for rows in (curves, runs)]


def find_harnessed(row, tasks):
    """Return the tasks that lm_eval ran for a checkpoint, in words; tasks is a dict from name to ``lm_eval_tasks``."""
    if row["name"] is None:
        return "missing"
    revision = row["revision"] or ("" if lm_eval_files.is_local_folder(row["model"]) else "main")
    in_curves, run = (by_revision.get(revision, set()) for by_revision in tasks[row["name"]])
    n, n_others = len(in_curves), len(run - in_curves)
    words = [f"{n} task{'s' * (n > 1)}"] if n else []
    return ", ".join([*words, f"{n_others} with other options"] if n_others else words) or "missing"


def find_reliable_sides(lang):
    """Return the reliable voxels of the left and of the right, bool arrays of shape (n_voxels,).

    They are None where the mask or the ISC is missing.

    Raises
    ------
    InputError
        The mask or the ISC cannot be used, so that left and right are not known.
    """
    if not (mask_path(lang).is_file() and isc_path(lang).is_file()):
        return None
    left, right = assign_hemispheres(read_mask(lang))
    reliable = select_reliable_voxels(read_isc(lang, n_voxels=len(left)))
    return left & reliable, right & reliable


def compute_left_minus_right(correlations, sides):
    """Return the mean brain score of the left minus that of the right, NaN without ``reliable_sides``."""
    if sides is None:
        return np.nan
    scores = compute_brain_scores([correlations])[0].mean(axis=0)  # (n_voxels,)
    left, right = average_sides(scores, *sides)
    return float(left - right)


def mark_other_options(table, stage, lang):
    """Say in the table where an output of a stage was made with other options than most, or is outdated."""
    for _, rows in table[table[stage] == "done"].groupby("name", dropna=False):
        paths = {row: list_outputs(stem, lang)[stage] for row, stem in rows["stem"].items()}
        options = {row: read_options(path) for row, path in paths.items()}
        usual = find_most_common(options.values())
        for row, path in paths.items():
            if read_or_damaged(read_record, path) == "damaged":
                table.loc[row, stage] = "damaged"
            elif usual is not None and options[row] not in (usual, None):
                table.loc[row, stage] = "other options"
            elif find_changed_input(path, list_inputs_of(stage, table.loc[row, "stem"], lang), counts_copies=False):
                table.loc[row, stage] = "outdated"


def read_options(path):
    """Return what an output was made with, as JSON, without revision and sample; None where no record shows it."""
    parameters = read_record_or_nothing(path).get("parameters")
    same = {"revision": None, "sample": None}
    return None if parameters is None else json.dumps(parameters | same, sort_keys=True)


def find_most_common(options):
    """The one that most have, or None where there are as many of another."""
    counts = collections.Counter(option for option in options if option is not None).most_common(2)
    is_tie = len(counts) == 2 and counts[0][1] == counts[1][1]
    return counts[0][0] if counts and not is_tie else None


def list_inputs_of(stage, stem, lang):
    """The files that a stage's output is made from."""
    return {
        "activations": [text_path(lang), word_timings_path(lang)],
        "fit": [
            *[activations_path(stem, lang), onsets_offsets_path(lang)],
            *average_subject_files(lang),
        ],
        "blimp": blimp_files(),
        "zorro": zorro_files(),
    }.get(stage, [])


# ---------------------------------------------------------------- in words


def describe_study(lang):
    """The overview as text."""
    lines = [describe_study_folder(), ""]
    needed = inputs.find_inputs(lang)
    width = max(len(row["state"]) for row in needed)
    lines += [f"{row['state']:<{width}}  {row['what']:<18} {row['path']}" for row in needed]
    for is_optional, heading in ((False, "to get what is missing"), (True, "to get what is optional")):
        missing = [
            row for row in needed if row["is_optional"] == is_optional and not row["is_there"] and row["command"]
        ]
        if missing:
            lines += ["", f"{heading}, in {study_folder()}:"]
            steps = [step for row in missing for step in row["command"].split("; ")]
            lines += [f"    {step}" for step in dict.fromkeys(steps)]
    lm_eval = read_lm_eval_files()
    table = tabulate_states(lang, lm_eval)
    lines.append("")
    if table.empty:
        return "\n".join([*lines, "no checkpoint yet: extract_llm_activations.py makes the first"])
    shown = table.drop(columns=["name", "model", "revision", "same_weights_as"]).rename(
        columns={"stem": "checkpoint", "left_minus_right": "L-R"}
    )
    is_part, parts = describe_parts(table)
    for benchmark, is_part_of in is_part.items():
        shown[benchmark] = shown[benchmark].mask(is_part_of & (shown[benchmark] == "done"), "part")
    shown["tokens"] = shown["tokens"].map(abbreviate_tokens)
    shown["L-R"] = shown["L-R"].map(lambda value: "" if np.isnan(value) else f"{value:+.4f}")
    shown = shown.replace("missing", "-")
    lines.append(shown.to_string(index=False))
    lines += ["", f"language {lang}; - is missing; --todo STAGE prints the commands still to be run"]
    if shown["L-R"].any():
        lines.append("L-R: left minus right at each voxel's best layer, as published")
    if (table["fit"] == "averages").any():
        lines.append("averages: of the fit, single runs are missing, without which there are no intervals")
    if (table[list(STAGES)] == "damaged").any(axis=None):
        lines.append("damaged: a file cannot be read; --check shows which one, and why")
    lines += [*parts, *describe_lm_eval(table, lm_eval), *notices.describe_weights_of_models(table)]
    return "\n".join(lines)


def describe_lm_eval(table, lm_eval):
    """Return a line for each thing in lm_eval's files that is not used."""
    return [f"lm_eval: {note}" for note in describe_lm_eval_files(table["name"].dropna().unique(), lm_eval)]


def describe_parts(table):
    """Find the checkpoints that have a part of a benchmark only.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``states`` returns it.

    Returns
    -------
    is_part : pandas.DataFrame of bool, a row per checkpoint, with a column per benchmark
    sentences : list of str
        Which part of which benchmark, for each model; which checkpoints have another part than most.
    """
    is_part = pd.DataFrame(False, index=table.index, columns=list(BENCHMARKS))
    sentences = []
    for name, rows in table.groupby("name", dropna=False):
        which_model = f" ({name})" if table["name"].nunique(dropna=False) > 1 else ""
        for benchmark in BENCHMARKS:
            with contextlib.suppress(InputError):  # --check names damaged files
                parts, usual = read_parts(benchmark, rows["stem"])
                is_part.loc[rows.index, benchmark] = [
                    part is not None and not is_whole(benchmark, part) for part in parts
                ]
                words = [] if usual is None else [describe_part(benchmark, usual)]
                words += describe_other_parts(benchmark, rows["stem"], parts, usual)
                sentences += [f"{sentence}{which_model}" for sentence in words if sentence]
    return is_part, sentences


def abbreviate_tokens(tokens):
    """Return training tokens as revisions write them (``1477B``, ``16.8M``), or ``?`` where they are unknown."""
    if np.isnan(tokens):
        return "?"
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        scaled = float(f"{tokens / size:.3g}") if tokens < 100 * size else round(tokens / size)
        if scaled >= 1:
            return f"{scaled:g}{letter}" if scaled < 1e5 else f"{scaled:.0f}{letter}"
    return f"{tokens:g}"


def format_json(lang):
    """The overview for other programs."""
    told = [row | {"path": str(row["path"])} for row in inputs.find_inputs(lang)]
    lm_eval = read_lm_eval_files()
    table = tabulate_states(lang, lm_eval)
    checkpoints = json.loads(table.to_json(orient="records"))
    content = {"study_folder": str(study_folder()), "lang": lang, "inputs": told, "checkpoints": checkpoints}
    content["lm_eval"] = describe_lm_eval_files(table["name"].dropna().unique(), lm_eval)
    content |= {"parts_of_benchmarks": describe_parts(table)[1], "notices": notices.describe_weights_of_models(table)}
    return json.dumps(content, indent=1)
