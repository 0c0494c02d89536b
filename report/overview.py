"""Describe a study at a glance: what exists, what is missing, and how far every checkpoint has come.

``python llm_brain_asym.py`` prints it.
"""

import contextlib
import json

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.tasks.table import BENCHMARKS, describe_part, is_whole
from report.inputs import find_inputs
from report.states import tabulate_baselines, tabulate_states
from study.inputs.lm_eval import describe_lm_eval_files, read_lm_eval_files
from study.outputs.same_weights import describe_weights
from study.outputs.scoring import describe_other_scorings
from study.outputs.tasks import describe_other_parts, read_parts
from study.paths import describe_study_folder, study_folder
from study.stages import STAGES


def describe_study(lang):
    """Return the overview as text: inputs, a table of checkpoints, and notes on it."""
    lm_eval = read_lm_eval_files()
    table = tabulate_states(lang, lm_eval)
    lines, baselines = [describe_study_folder(), "", *describe_inputs(lang), ""], describe_baselines(lang)
    if table.empty:
        lines.append("no checkpoint yet: extract_llm_activations.py makes the first")
        return "\n".join([*lines, *baselines])
    is_part, parts = describe_parts(table)
    lines += [format_table(table, is_part), ""]
    lines.append(f"language {lang}; - is missing; --todo STAGE prints the commands still to be run")
    if table["left_minus_right"].notna().any():
        lines.append("L-R: left minus right at each voxel's best layer, as published")
    if (table["fit"] == "averages").any():
        lines.append("averages: of the fit, single runs are missing, without which there are no intervals")
    if (table[list(STAGES)] == "damaged").any(axis=None):
        lines.append("damaged: a file cannot be read; --check shows which one, and why")
    notes = [f"lm_eval: {note}" for note in describe_lm_eval(table, lm_eval)]
    return "\n".join([*lines, *parts, *notes, *describe_weights_of_models(table), *baselines])


def describe_baselines(lang):
    """Return a table of baselines, after an empty line, a list of str that is empty where there are none."""
    table = tabulate_baselines(lang).rename(columns={"stem": "baseline", "left_minus_right": "L-R"})
    return [] if table.empty else ["", format_rows(table)]


def describe_inputs(lang):
    """Return a line for each input, and the commands that get what is missing, a list of str."""
    rows = find_inputs(lang)
    width = max(len(row["state"]) for row in rows)
    lines = [f"{row['state']:<{width}}  {row['what']:<18} {row['path']}" for row in rows]
    missing = [row for row in rows if row["command"] and not row["is_there"]]
    for is_optional, heading in ((False, "to get what is missing"), (True, "to get what is optional")):
        commands = [row["command"] for row in missing if row["is_optional"] == is_optional]
        if commands:
            steps = dict.fromkeys(step for command in commands for step in command.split("; "))
            lines += ["", f"{heading}, in {study_folder()}:", *(f"    {step}" for step in steps)]
    return lines


def format_table(table, is_part):
    """Return the states of all checkpoints as text; is_part as ``describe_parts`` returns it."""
    shown = table.drop(columns=["name", "model", "revision", "same_weights_as"])
    shown = shown.rename(columns={"stem": "checkpoint", "left_minus_right": "L-R"})
    for benchmark in is_part:
        shown[benchmark] = shown[benchmark].mask(is_part[benchmark] & (shown[benchmark] == "done"), "part")
    shown["tokens"] = shown["tokens"].map(abbreviate_tokens)
    return format_rows(shown)


def format_rows(table):
    """Return a table of states as text, with left minus right in the column L-R."""
    differences = table["L-R"].map(lambda value: "" if np.isnan(value) else f"{value:+.4f}")
    return table.assign(**{"L-R": differences}).replace("missing", "-").to_string(index=False)


def describe_lm_eval(table, lm_eval):
    """Return a sentence for each result of lm_eval that is not used, a list of str."""
    return describe_lm_eval_files(table["name"].dropna().unique(), lm_eval)


def describe_parts(table):
    """Find the checkpoints that have only a part of a benchmark, in a table as ``tabulate_states`` returns it.

    Return a table of bool, a row per checkpoint and a column per benchmark, and a list of sentences: the part of each
    benchmark, for each model, and the checkpoints that have another part than most.
    """
    is_part = pd.DataFrame(False, index=table.index, columns=list(BENCHMARKS))
    sentences = []
    for name, rows in table.groupby("name", dropna=False):
        suffix = f" ({name})" if table["name"].nunique(dropna=False) > 1 else ""
        for benchmark in BENCHMARKS:
            with contextlib.suppress(InputError):  # --check names damaged files
                parts, usual = read_parts(benchmark, rows["stem"])
                has_part = [part is not None and not is_whole(benchmark, part) for part in parts]
                is_part.loc[rows.index, benchmark] = has_part
                words = [] if usual is None else [describe_part(benchmark, usual)]
                words += describe_other_parts(benchmark, rows["stem"], parts, usual)
                words += describe_other_scorings(benchmark, rows["stem"], rows["stem"])
                sentences += [f"{sentence}{suffix}" for sentence in words if sentence]
    return is_part, sentences


def describe_weights_of_models(table):
    """Return a sentence for everything that is strange about the weights of checkpoints, a list of str."""
    sentences = []
    for name, rows in table.groupby("name", dropna=False):
        prefix = "" if pd.isna(name) or table["name"].nunique(dropna=False) == 1 else f"{name}: "
        sentences += [prefix + sentence for sentence in describe_weights(rows)]
    return sentences


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
    """Return the overview as JSON, for other programs."""
    lm_eval = read_lm_eval_files()
    table = tabulate_states(lang, lm_eval)
    content = {
        "study_folder": str(study_folder()),
        "lang": lang,
        "inputs": [row | {"path": str(row["path"])} for row in find_inputs(lang)],
        "checkpoints": json.loads(table.to_json(orient="records")),
        "baselines": json.loads(tabulate_baselines(lang).to_json(orient="records")),
        "lm_eval": describe_lm_eval(table, lm_eval),
        "parts_of_benchmarks": describe_parts(table)[1],
        "notices": describe_weights_of_models(table),
    }
    return json.dumps(content, indent=1)
