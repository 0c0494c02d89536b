"""Describe a study at a glance: what exists, what is missing, and how far every checkpoint has come.

``python llm_brain_asym.py`` prints it.
"""

import contextlib
import json

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.tasks.table import BENCHMARKS, describe_part, is_whole
from report import inputs, notices
from report.states import tabulate_states
from study.inputs.lm_eval import describe_lm_eval_files, read_lm_eval_files
from study.outputs.tasks import describe_other_parts, read_parts
from study.paths import (
    describe_study_folder,
    study_folder,
)
from study.stages import STAGES

MOST_NAMES = 6  # in a message


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


def shorten(names):
    """Return names with commas, a few of many."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


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
