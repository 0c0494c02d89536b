"""A study at a glance: what is there, what is missing, what to run next, and whether it is right.

``python llm_brain_asym.py`` prints it. A checkpoint is known once any stage has left something of it.
"""

import llm_brain_asym as study

import collections
import contextlib
import inspect
import json
import shlex

import numpy as np
import pandas as pd

from pipeline import BadInput, asymmetry, benchmark_tables, files, work
from pipeline.benchmarks import describe_part, is_same_part, is_whole
from report import progress

LPP, DS003643 = "https://github.com/l-bg/llms_brain_lateralization", "https://openneuro.org/datasets/ds003643"
STAGES = ("activations", "fit", *study.BENCHMARKS, "texts", "acceptability", "lm_eval")


def inputs(lang):
    """What a study needs from elsewhere.

    Returns
    -------
    list of dict with what, path, is_there, source, command
        The command puts it in its place, in the study folder.
    """
    folder, name = study.study_folder(), lang.upper()
    of_average = study.average_subject_path(lang, 0).parent
    clone = f"[ -d lpp_published ] || git clone --depth 1 {LPP} lpp_published"
    rows = [
        ("text of the story", study.text_path(lang), LPP, f"{clone}; cp lpp_published/lpp_{lang}_text.zip ."),
        (
            *("word timings", study.word_timings_path(lang), f"{DS003643} (annotation/{name})"),
            "curl --fail -O "
            f"https://s3.amazonaws.com/openneuro.org/ds003643/annotation/{name}/lpp{name}_word_information.csv",
        ),
        ("brain mask", study.mask_path(lang), LPP, f"{clone}; cp lpp_published/mask_lpp_{lang}.nii.gz ."),
        ("ISC", study.isc_path(lang), LPP, f"{clone}; cp lpp_published/isc_10trials_{lang}.gz ."),
        (
            *("average subject", of_average, LPP),
            f"{clone}; cp -r lpp_published/{of_average.name} .  # or made by its compute_average_subject_fmri.py",
        ),
        ("BLiMP", folder / "blimp" / "data", study.BLIMP, "git clone --depth 1 https://github.com/alexwarstadt/blimp"),
        (
            *("Zorro", folder / "Zorro" / "sentences" / "babyberta", study.ZORRO),
            "git clone --depth 1 https://github.com/phueb/Zorro",
        ),
    ]
    keys = "what", "path", "source", "command"
    return [dict(zip(keys, row, strict=True)) | {"is_there": row[1].exists()} for row in rows]


# ---------------------------------------------------------------- checkpoints


def outputs(stem, lang):
    """Where each stage leaves what it makes of a checkpoint: the file that comes last."""
    paths = {"activations": study.activations_path(stem, lang), "fit": study.run_correlations_path(stem, lang)}
    return paths | {benchmark: study.benchmark_path(stem, benchmark) for benchmark in study.BENCHMARKS}


def find_checkpoints(lang):
    """All checkpoints of which there is anything.

    Returns
    -------
    dict from stem to dict with model, revision
        As on the command line; model is None where no record tells.
    """
    found: dict[str, dict] = {}
    patterns = outputs("*", lang)
    patterns["averages"] = study.layer_correlations_path("*", 0, lang)
    patterns["texts"] = study.generated_text_path("*", 0, 0, study.generated_texts_folder())
    for pattern in patterns.values():
        before, after = pattern.name.split("*")
        for path in sorted(pattern.parent.glob(pattern.name)):
            if path.name.startswith((".", "onsets_offsets_")):
                continue
            stem = path.name.removeprefix(before).removesuffix(after)
            checkpoint = study.read_record(path).get("checkpoint") or {"model": None, "revision": None}
            if found.get(stem, {"model": None})["model"] is None:
                found[stem] = {"model": checkpoint["model"], "revision": checkpoint.get("revision")}
        for folder in pattern.parent.glob(files.hidden(pattern, "parts").name):  # work that was stopped
            note = folder / work.NOTE
            with files.naming(note, f"remove {folder}"):
                made_with = (
                    json.loads(note.read_text())["with"] if note.is_file() else {"model": None, "parameters": {}}
                )
                name = folder.name.removeprefix(".").removesuffix(".parts")
                stem = name.removeprefix(before).removesuffix(after)
                revision = made_with["parameters"].get("revision")
            found.setdefault(stem, {"model": made_with["model"], "revision": revision})
    return found


def tokens_of(stem, checkpoint):
    """Training tokens of a checkpoint, or NaN where nothing tells."""
    if checkpoint["model"] is None:  # the name alone does not tell where the model ends
        model, _, revision = stem.rpartition("_")
        tokens = study.training_tokens(model, revision)
        return np.nan if tokens is None else tokens
    tokens = study.training_tokens(study.name_on_record(stem, checkpoint), checkpoint["revision"] or "")
    return np.nan if tokens is None else tokens


def states(lang):
    """How far every checkpoint has come.

    Returns
    -------
    pandas.DataFrame, a row per checkpoint by model and training, with columns stem, name, model, revision,
    tokens, one for each stage, and left_minus_right
        name is the model's in file names, model as on the command line that is on record.
        A stage is done, missing, or partly done, in words (``5 layers``, ``30 of 50``); ``other
        options`` where most checkpoints of the model were made with others; ``outdated`` where what it was
        made from has changed since.
    """
    rows = []
    most_texts: collections.Counter = collections.Counter()
    for stem, checkpoint in find_checkpoints(lang).items():
        name = None if checkpoint["model"] is None else study.name_on_record(stem, checkpoint)
        row = {"stem": stem, "name": name, **checkpoint, "tokens": tokens_of(stem, checkpoint)}
        for stage, path in outputs(stem, lang).items():
            row[stage] = state(path)
        if row["fit"] == "missing" and study.layer_correlations_path(stem, 0, lang).is_file():
            row["fit"] = "averages"
        row["texts"] = len(list(study.generated_texts_folder().glob(f"{stem}_gen_*_*.txt")))
        rows.append(row)
        most_texts[name] = max(most_texts[name], row["texts"])
    for row in rows:
        n, most = row["texts"], most_texts[row["name"]]
        row["texts"] = "missing" if n == 0 else "done" if n == most else f"{n} of {most}"
        row["acceptability"], row["lm_eval"] = judged(row), harnessed(row)
        row["left_minus_right"] = np.nan
        if row["fit"] in ("done", "averages"):
            with contextlib.suppress(BadInput):  # of damaged files, --check tells
                row["left_minus_right"] = left_minus_right(row["stem"], lang)
    columns = ["stem", "name", "model", "revision", "tokens", *STAGES, "left_minus_right"]
    table = pd.DataFrame(rows, columns=columns)
    for stage in ("activations", "fit", *study.BENCHMARKS):
        mark_other_options(table, stage, lang)
    return table.sort_values(["name", "tokens", "stem"], ignore_index=True, na_position="first")


def state(path):
    """How far an output has come, in a word or two."""
    if path.is_file():
        return "done"
    parts = files.hidden(path, "parts")
    n_parts = {what: len(list(parts.glob(f"{what}-*.npz"))) for what in ("run", "layer")}
    for what, n in n_parts.items():
        if n:
            return f"{n} {what}{'s' * (n > 1)}"
    return "begun" if parts.is_dir() else "missing"


def judged(row):
    """Whether the texts of a checkpoint have been judged."""
    path = study.acceptability_path(row["name"] or row["stem"], study.generated_texts_folder())
    if not path.is_file():
        return "missing"
    table = study.read_acceptability(path)
    n = (table["revision"] == (row["revision"] or "")).sum()
    return "done" if n else "missing"


def harnessed(row):
    """The tasks that lm_eval has run for a checkpoint, in words."""
    if row["name"] is None:
        return "missing"
    results = study.read_lm_eval(row["name"])
    tasks = results["task"][results["revision"] == (row["revision"] or "")].nunique()
    return f"{tasks} task{'s' * (tasks > 1)}" if tasks else "missing"


def left_minus_right(stem, lang):
    """Mean brain score of the reliable voxels on the left minus that on the right, NaN without mask or ISC."""
    if not (study.mask_path(lang).is_file() and study.isc_path(lang).is_file()):
        return np.nan
    left, right = asymmetry.hemispheres(study.read_mask(lang))
    reliable = asymmetry.reliable_voxels(study.read_isc(lang, n_voxels=len(left)))
    scores = asymmetry.brain_scores([study.read_correlations(stem, lang)])[0].mean(axis=0)  # (n_voxels,)
    of_left, of_right = asymmetry.left_right(scores, left & reliable, right & reliable)
    return float(of_left - of_right)


def mark_other_options(table, stage, lang):
    """Say in the table where an output of a stage was made with other options than most, or is outdated."""
    for _, rows in table[table[stage] == "done"].groupby("name", dropna=False):
        paths = {row: outputs(stem, lang)[stage] for row, stem in rows["stem"].items()}
        options = {row: options_on_record(path) for row, path in paths.items()}
        usual = most_common(options.values())
        for row, path in paths.items():
            if usual is not None and options[row] not in (usual, None):
                table.loc[row, stage] = "other options"
            elif study.changed_input(path, made_from(stage, table.loc[row, "stem"], lang), or_copied=False):
                table.loc[row, stage] = "outdated"


def options_on_record(path):
    """What an output was made with, as JSON, but for the revision; None where nothing tells."""
    parameters = study.read_record(path).get("parameters")
    return None if parameters is None else json.dumps({**parameters, "revision": None}, sort_keys=True)


def most_common(options):
    """The one that most have, or None where there are as many of another."""
    counts = collections.Counter(option for option in options if option is not None).most_common(2)
    is_tie = len(counts) == 2 and counts[0][1] == counts[1][1]
    return counts[0][0] if counts and not is_tie else None


def made_from(stage, stem, lang):
    """The files that a stage's output is made from."""
    return {
        "activations": [study.text_path(lang), study.word_timings_path(lang)],
        "fit": [
            *[study.activations_path(stem, lang), study.onsets_offsets_path(lang)],
            *study.average_subject_files(lang),
        ],
        "blimp": study.blimp_files(),
        "zorro": study.zorro_files(),
    }.get(stage, [])


# ---------------------------------------------------------------- what to run next


def to_do(stage, table, lang):
    """The commands that are still to be run for a stage.

    Parameters
    ----------
    stage : str
        One of STAGES but lm_eval.
    table : pandas.DataFrame
        As ``states`` returns it.

    Returns
    -------
    list of str
        A line for a shell each, with the options that most other checkpoints of the model were made with.
    without_model : list of str
        Checkpoints whose files do not tell which model they are of.
    """
    if stage == "acceptability":
        names = table["name"][(table[stage] == "missing") & (table["texts"] != "missing")].dropna().unique()
        return [shlex.join(["python", "evaluate_linguistic_acceptability.py", "--model", name]) for name in names], []
    commands, without_model = [], []
    for row in table[~table[stage].isin(["done", "other options"])].to_dict("records"):  # those may be meant
        if stage == "activations" and row["fit"] == "done":
            continue  # of the fit, nothing else needs them
        if stage == "fit" and row["activations"] not in ("done", "other options", "outdated"):
            continue
        if row["model"] is None and stage != "fit":
            without_model.append(row["stem"])
            continue
        script = {"activations": "extract_llm_activations", "fit": "fit_average_subject", "texts": "generate_texts"}
        words = ["python", f"{script.get(stage, f'evaluate_llm_{stage}')}.py"]
        words += ["--model", row["stem"] if stage == "fit" else row["model"]]
        if row["revision"] and stage != "fit":
            words += ["--revision", row["revision"]]
        words += ["--lang", lang] if stage in ("activations", "fit") else []
        words += usual_options(stage, table[table["name"] == row["name"]]["stem"], lang)
        words += ["--overwrite"] if row[stage] == "outdated" else []
        commands.append(shlex.join(words))
    return commands, without_model


def usual_options(stage, stems, lang):
    """The options, as on a command line, with which most of some checkpoints were made, where they are not usual."""
    if stage == "texts":
        paths = [study.generated_text_path(stem, 0, 0, study.generated_texts_folder()) for stem in stems]
    else:
        paths = [outputs(stem, lang)[stage] for stem in stems]
    usual = most_common(map(options_on_record, paths))
    options = []
    for name, value in json.loads(usual or "{}").items():
        if value is True:
            options.append(f"--{name}")
        elif name == "alphas":
            options += ["--alphas", *[f"{number:g}" for number in value]]
        elif name in ("dtype", "max_length", "seed", "max_new_tokens", "temperature", "limit") and value is not None:
            options += [f"--{name}", str(value)]
    return options


# ---------------------------------------------------------------- whether it is right


def check(table, lang):
    """What is wrong in a study, a list of str: damaged files, and files that do not agree with each other."""
    wrong: list = []

    def attempt(function, *arguments):
        """Read something, or let a check yield what is wrong."""
        try:
            found = function(*arguments)
            wrong.extend(found if inspect.isgenerator(found) else [])
        except BadInput as error:
            wrong.append(str(error))

    for read in (study.read_texts, study.read_word_timings, study.read_average_subject, study.read_mask):
        attempt(read, lang)
    attempt(study.published, study.isc_path(lang), LPP)
    attempt(check_voxels, table, lang)
    with progress.bar(len(table), "checking", "checkpoint") as bar:
        for row in table.to_dict("records"):
            for stage, path in outputs(row["stem"], lang).items():
                if stage == "activations" and row["fit"] == "done" and not path.is_file():
                    continue  # deleted, since they are fitted
                attempt(check_record, path)
                if row[stage] == "outdated":
                    wrong.append(f"{path} was made from other files than are there now")
                if row[stage] == "other options":
                    wrong.append(f"{path} was made with other options than those of most checkpoints")
            if row["activations"] not in ("missing", "begun") and study.activations_path(row["stem"], lang).is_file():
                attempt(study.read_activations, row["stem"], lang, lambda run, layers: None)
            for benchmark in study.BENCHMARKS:
                attempt(check_benchmark, row["stem"], benchmark)
            bar.update()
    if list(study.generated_texts_folder().glob("*_gen_*.txt")):
        attempt(study.read_generated_texts, study.generated_texts_folder())
    return wrong


def check_record(path):
    """Whether an output is the file that was written."""
    written = study.read_record(path).get("sha256", {})
    for name, checksum in written.items():
        file = path.with_name(name)
        if not file.is_file():
            yield f"{file} is missing, though {path.name}.json tells of it: make it again"
        elif files.sha256(file) != checksum:
            yield f"{file} is not as it was written: make it again with --overwrite"


def check_voxels(table, lang):
    """Whether mask, ISC, fMRI and correlations have as many voxels, and checkpoints as many layers."""
    if not study.mask_path(lang).is_file():
        return
    n_voxels = len(asymmetry.voxel_positions(study.read_mask(lang)))
    if study.isc_path(lang).is_file():
        study.read_isc(lang, n_voxels)
    for path in study.average_subject_files(lang)[:1]:
        if files.read_arrays(path).shape[1] != n_voxels:
            yield f"{path} has other voxels than {study.mask_path(lang).name} ({n_voxels})"
    n_layers: dict[str, dict[str, int]] = {}  # model: checkpoint: layers
    for row in table[table["fit"] != "missing"].to_dict("records"):
        if row["fit"] not in ("done", "averages", "other options", "outdated"):
            continue
        correlations = study.read_correlations(row["stem"], lang)
        n_layers.setdefault(row["name"], {})[row["stem"]] = len(correlations)
        if correlations.shape[2] != n_voxels:
            yield f"correlations of {row['stem']}: {correlations.shape[2]} voxels, but {n_voxels} in the mask"
        for layer, of_runs in enumerate(correlations):
            path = study.layer_correlations_path(row["stem"], layer, lang)
            average = files.read_arrays(path) if path.is_file() else None
            if average is None or not np.allclose(average, of_runs.mean(axis=0), atol=1e-5, equal_nan=True):
                yield f"{path} is not the average of the runs in {study.run_correlations_path(row['stem'], lang).name}"
    for model, of_model in n_layers.items():
        if len(set(of_model.values())) > 1:
            yield f"checkpoints of {model} have {' and '.join(map(str, sorted(set(of_model.values()))))} layers"


def check_benchmark(stem, benchmark):
    """Whether accuracies are those of the pairs."""
    path, pairs_path = study.benchmark_path(stem, benchmark), study.benchmark_pairs_path(stem, benchmark)
    if not (path.is_file() and pairs_path.is_file()):
        return
    accuracies, right = benchmark_tables.read_accuracies(path), benchmark_tables.read_right(pairs_path)
    part = benchmark_tables.count_by_paradigm(right.index.get_level_values(0))
    counted = right.groupby(level=0).mean()
    is_same = is_same_part(benchmark_tables.read_part(path, pairs_path), part)
    if not is_same or not np.allclose(accuracies, counted[accuracies.index]):
        yield f"{path} is not what {pairs_path.name} gives"


# ---------------------------------------------------------------- in words


def in_words(lang):
    """The overview as text."""
    lines = [study.where(), ""]
    needed = inputs(lang)
    for row in needed:
        lines.append(f"{'there  ' if row['is_there'] else 'MISSING'}  {row['what']:<18} {row['path']}")
    if missing := [row for row in needed if not row["is_there"]]:
        lines += ["", f"to get what is missing, in {study.study_folder()}:"]
        steps = [step for row in missing for step in row["command"].split("; ")]
        lines += [f"    {step}" for step in dict.fromkeys(steps)]
    table = states(lang)
    lines.append("")
    if table.empty:
        return "\n".join([*lines, "no checkpoint yet: extract_llm_activations.py makes the first"])
    shown = table.drop(columns=["name", "model", "revision"]).rename(columns={"left_minus_right": "L-R"})
    parts, parts_in_words = parts_of_benchmarks(table)
    for benchmark, is_part in parts.items():
        shown[benchmark] = shown[benchmark].mask(is_part & (shown[benchmark] == "done"), "part")
    shown["tokens"] = shown["tokens"].map(lambda tokens: "?" if np.isnan(tokens) else f"{tokens:.3g}")
    shown["L-R"] = shown["L-R"].map(lambda value: "" if np.isnan(value) else f"{value:+.4f}")
    shown = shown.replace("missing", "-")
    lines.append(shown.to_string(index=False))
    lines += ["", f"language {lang}; - is missing; --todo STAGE prints the commands still to be run"]
    if (table["fit"] == "averages").any():
        lines.append("averages: of the fit, single runs are missing, without which there are no intervals")
    lines += parts_in_words
    return "\n".join(lines)


def parts_of_benchmarks(table):
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
    is_part = pd.DataFrame(False, index=table.index, columns=list(study.BENCHMARKS))
    sentences = []
    for name, rows in table.groupby("name", dropna=False):
        which_model = f" ({name})" if table["name"].nunique(dropna=False) > 1 else ""
        for benchmark in study.BENCHMARKS:
            with contextlib.suppress(BadInput):  # --check names damaged files
                parts, usual = study.parts_of_checkpoints(benchmark, rows["stem"])
                is_part.loc[rows.index, benchmark] = [
                    part is not None and not is_whole(benchmark, part) for part in parts
                ]
                words = [] if usual is None else [describe_part(benchmark, usual)]
                words += study.other_parts(benchmark, rows["stem"], parts, usual)
                sentences += [f"{sentence}{which_model}" for sentence in words if sentence]
    return is_part, sentences


def as_json(lang):
    """The overview for other programs."""
    told = [row | {"path": str(row["path"])} for row in inputs(lang)]
    table = states(lang)
    checkpoints = json.loads(table.to_json(orient="records"))
    content = {"study_folder": str(study.study_folder()), "lang": lang, "inputs": told, "checkpoints": checkpoints}
    content["parts_of_benchmarks"] = parts_of_benchmarks(table)[1]
    return json.dumps(content, indent=1)
