"""List the commands that are still to be run for a stage.

``python llm_brain_asym.py --todo STAGE ...`` prints them for checkpoints with at least one output. Their options come
from the command lines on record, so that all checkpoints of a model are treated equally, and begun work continues with
its own options. With ``--config``, they are the commands of a configuration for all of its checkpoints, begun or not,
as the Snakefile runs them, without the number of threads.
"""

import json
import shlex
import sys
from pathlib import Path

from pipeline.wording import shorten
from report import states
from study.cache import NOTE, cache_folder, read_note
from study.config import find_model, list_checkpoint_options, list_checkpoints, make_lm_eval_command, make_options
from study.paths import acceptability_path, checkpoint_stem, generated_texts_folder, lm_eval_path
from study.records import read_record
from study.stages import PER_STORY, SCRIPTS, STAGES

PARAMETER_OPTIONS = ("dtype", "max_length", "seed", "max_new_tokens", "temperature", "limit", "drop_first")


def list_commands(stage, table, lang):
    """Return the commands that are still to be run for a stage, one of ``SCRIPTS``, in three lists of str.

    These are command lines for a shell, checkpoints that wait for an earlier stage, and checkpoints whose files do not
    show their model. table is as ``states.tabulate_states`` returns it. Begun work continues with its own options.
    Other checkpoints get the options of most checkpoints of the model.
    """
    if stage == "acceptability":
        return list_acceptability_commands(table)
    commands, waiting, without_model = [], [], []
    rows = table.astype(object).where(table.notna(), None)  # pandas has NaN for None in a column of text
    for row in rows.to_dict("records"):
        if is_finished(stage, row):
            continue
        if stage == "fit" and not is_ready_for_fit(row):
            waiting.append(row["stem"])
        elif row["model"] is None and stage != "fit":
            without_model.append(row["stem"])
        else:
            sisters = table[table["name"] == row["name"]]["stem"]
            words = describe_begun(stage, row["stem"], lang) or [
                *list_checkpoint_options(stage, row["stem"], row["model"], row["revision"], lang),
                *choose_options(stage, row, sisters, lang),
            ]
            commands.append(write_command(stage, row, shlex.join(words)))
    return commands, waiting, without_model


def list_baseline_commands(stems, lang):
    """Return the commands of the fit for baselines, and the baselines that wait for activations, two lists of str.

    Baselines are fitted with the options of most checkpoints, whose stems are given.
    """
    commands, waiting = [], []
    for row in states.tabulate_baselines(lang).to_dict("records"):
        if is_finished("fit", row):
            continue
        if is_ready_for_fit(row):
            words = describe_begun("fit", row["stem"], lang) or [
                *list_checkpoint_options("fit", row["stem"], None, None, lang),
                *choose_options("fit", row, stems, lang),
            ]
            commands.append(write_command("fit", row, shlex.join(words)))
        else:
            waiting.append(row["stem"])
    return commands, waiting


def is_finished(stage, row):
    """Return whether a stage has nothing left to do for a checkpoint, a row of the table of states."""
    if stage == "activations" and row["fit"] == "done" and row[stage] != "outdated":
        return True  # only the fit needs activations
    return row[stage] in ("done", "other options")  # other options may be intended


def is_ready_for_fit(row):
    """Return whether the activations of a checkpoint can be fitted."""
    return row["activations"] in ("done", "other options")


def write_command(stage, row, options):
    """Return the command line of a stage for a checkpoint; it replaces an output that is outdated or damaged."""
    return f"python {SCRIPTS[stage]} {options}" + (" --overwrite" if row[stage] in ("outdated", "damaged") else "")


def list_acceptability_commands(table):
    """Return ``list_commands`` of the classifier, which takes all texts of a model at once."""
    commands, waiting = [], []
    for name, rows in table[table["acceptability"] != "done"].dropna(subset="name").groupby("name"):
        has_texts = ~rows["texts"].isin(["missing", "begun"])
        waiting += list(rows["stem"][~has_texts])
        if not has_texts.any():
            continue
        path = acceptability_path(name, generated_texts_folder())
        words = parse_command("acceptability", read_note(cache_folder(path)).get("command"), is_whole=True)
        if words is None:
            # The tables of other models count too: one study has one classifier.
            tables = sorted(path.parent.glob("*_gen_cola.csv"), key=lambda table: (table == path, read_time(table)))
            on_record = [states.read_or({}, read_record, table).get("command") for table in tables]
            options = [parse_command("acceptability", command) for command in on_record]
            words = ["--model", name, *next((known for known in options[::-1] if known is not None), [])]
        commands.append(shlex.join(["python", SCRIPTS["acceptability"], *words]))
    return commands, waiting, []


# ---------------------------------------------------------------- options


def choose_options(stage, row, sisters, lang):
    """Return the options for a checkpoint that most checkpoints of its model have, a list of str.

    An outdated output keeps its own options. Where no output is finished, begun work counts.
    """
    stems = [row["stem"]] if row[stage] == "outdated" else list(sisters)
    outputs = [path for stem in stems for path in list_output_paths(stage, stem, lang)]
    made = [(path, states.read_or({}, read_record, path)) for path in outputs]
    if not any("parameters" in record for _, record in made):
        made = [read_begun(stage, stem, lang) for stem in stems]
    candidates = [
        (states.encode_options(record), read_time(path), parse_command(stage, record.get("command")))
        for path, record in made
        if "parameters" in record
    ]
    if not candidates:
        return []
    usual = states.find_most_common(parameters for parameters, _, _ in candidates)
    candidates = [candidate for candidate in candidates if usual in (None, candidate[0])]
    with_command = [candidate for candidate in candidates if candidate[2] is not None]
    parameters, _, words = max(with_command or candidates, key=lambda candidate: candidate[1])
    return words if words is not None else list_parameter_options(json.loads(parameters))


def list_output_paths(stage, stem, lang):
    """Return the files of a stage whose records contain the options for a checkpoint."""
    if stage == "texts":
        return sorted(generated_texts_folder().glob(f"{stem}_gen_0_*.txt"))
    return [states.list_outputs(stem, lang)[stage]]


def read_begun(stage, stem, lang):
    """Return the path of the note of begun work, and its content like a record, empty where no work is begun."""
    folder = cache_folder(states.list_outputs(stem, lang)[stage])
    note = read_note(folder)
    return folder / NOTE, {"parameters": {}, **note["with"], "command": note.get("command")} if note else {}


def describe_begun(stage, stem, lang):
    """Return the whole command line of begun work, a list of str without the script, or None."""
    _, begun = read_begun(stage, stem, lang)
    words = parse_command(stage, begun.get("command"), is_whole=True)
    if words is None and begun:  # an older version, which noted no command
        model, parameters = begun.get("model"), begun["parameters"]
        revision = parameters.get("revision") if model else None
        words = list_checkpoint_options(stage, stem, model or stem, revision, lang) + list_parameter_options(parameters)
    return words


def parse_command(stage, command, is_whole=False):
    """Return the options of a command line, a list of str, without --overwrite and options that name the checkpoint.

    With ``is_whole``, only --overwrite is left out. None where it is not a command line of the stage's script: other
    programs can write outputs, too.
    """
    names = ["overwrite", *([] if is_whole else ["model", "revision"])]
    names += ["lang"] if stage in PER_STORY and not is_whole else []
    try:
        script, *words = shlex.split(command or "")
    except ValueError:
        return None
    if Path(script).name != SCRIPTS[stage]:
        return None
    kept, is_dropped = [], False
    for word in words:
        if word.startswith("--") and len(word) > 2:
            # The command line was valid, so an abbreviation belongs to one option only.
            beginning = word[2:].partition("=")[0]
            is_dropped = any(name.startswith(beginning) for name in names)
        if not is_dropped:
            kept.append(word)
    return kept


def list_parameter_options(parameters):
    """Return options from the parameters on record, where no command line is on record."""
    words = []
    for name, value in parameters.items():
        if value is True:
            words.append(f"--{name}")
        elif name == "alphas":
            words += ["--alphas", *[f"{number:g}" for number in value]]
        elif name in PARAMETER_OPTIONS and value is not None:
            words += [f"--{name}", str(value)]
    return words


def read_time(path):
    """Return the time at which a file was written, 0 where it does not exist."""
    return path.stat().st_mtime if path.is_file() else 0.0


# ---------------------------------------------------------------- in words


def print_to_do(stages, lang):
    """Print the commands of checkpoints with at least one output, for a shell, and on standard error what waits."""
    table = states.tabulate_states(lang)
    baselines = list_baseline_commands(table["stem"], lang) if "fit" in stages else ([], [])
    if table.empty and not any(baselines):
        print("no checkpoint is known yet: extract_llm_activations.py makes the first", file=sys.stderr)
        return
    for stage in stages:
        commands, waiting, without_model = list_commands(stage, table, lang)
        if stage == "fit":
            commands, waiting = commands + baselines[0], waiting + baselines[1]
        for stem in without_model:
            print(f"{stem}: its files do not show its model", file=sys.stderr)
        needed = "activations" if stage == "fit" else "texts"
        print_stage(stage, commands, waiting, needed, is_left=bool(without_model))


def print_stage(name, commands, waiting, needed, *, is_left=False):
    """Print the commands of a stage, and on standard error what waits for needed outputs, or that nothing is left."""
    if waiting:
        print(f"{name}: waits for {needed} of {shorten(waiting)}", file=sys.stderr)
    for command in commands:
        print(command)
    if not (commands or waiting or is_left):
        print(f"{name}: nothing is left to be run", file=sys.stderr)


# ---------------------------------------------------------------- of a configuration


def print_configured(stages, config, languages):
    """Print the commands of a configuration, as ``read_config`` returns it, and on standard error what waits.

    All lines can be run at the same time. Where ``activations`` and ``fit`` are both requested, a checkpoint that needs
    both has one line: the fit follows the extraction. These two stages have commands for each of the languages.
    """
    story_stages = [stage for stage in PER_STORY if stage in stages]
    for lang in languages if story_stages else []:
        print_story_stages(story_stages, config, lang)
    other_stages = [stage for stage in STAGES if stage in stages and stage not in PER_STORY]
    table = tabulate_configured(config, languages[0]) if other_stages else []
    for stage in other_stages:
        waiting: list[str] = []
        unfinished = [row for row in table if stage != "lm_eval" and not is_finished(stage, row)]
        if stage == "lm_eval":
            commands = list_lm_eval_commands(config)
        elif stage == "acceptability":  # all texts of the model at once
            waiting = [row["stem"] for row in unfinished if row["texts"] in ("missing", "begun")]
            command = f"python {SCRIPTS[stage]} {make_options(config, stage)}"
            commands = [command] if len(waiting) < len(unfinished) else []
        else:
            commands = [make_command(config, stage, row) for row in unfinished]
        print_stage(stage, commands, waiting, "texts")


def print_story_stages(stages, config, lang):
    """Print the commands of the requested stages in PER_STORY, a line for each checkpoint."""
    commands, waiting = [], []
    for row in tabulate_configured(config, lang):
        unfinished = [stage for stage in stages if not is_finished(stage, row)]
        if unfinished == ["fit"] and not is_ready_for_fit(row):
            waiting.append(row["stem"])
        elif unfinished:
            commands.append(" && ".join(make_command(config, stage, row, lang) for stage in unfinished))
    name = "fit" if waiting else " and ".join(stages)
    print_stage(f"{name}, {lang}", commands, waiting, "activations")


def tabulate_configured(config, lang):
    """Return the states of the checkpoints of a configuration, a list of dict in their order.

    A row is as in ``states.tabulate_states``. Where a checkpoint has no output, every stage is ``missing``. The texts
    are done when all configured texts exist.
    """
    known = {row["stem"]: row for row in states.tabulate_states(lang).to_dict("records")}
    rows = [
        {"stem": stem, **dict.fromkeys(STAGES, "missing"), **known.get(stem, {})} for stem in list_checkpoints(config)
    ]
    n_texts = config["prompts"] * config["samples"]
    for row in rows:
        row["texts"] = states.describe_texts(row["stem"], states.count_texts(row["stem"]), n_texts)
    return rows


def make_command(config, stage, row, lang=None):
    """Return the configured command line of a stage for a checkpoint, a str for a shell."""
    return write_command(stage, row, make_options(config, stage, row["stem"], lang))


def list_lm_eval_commands(config):
    """Return the commands of lm_eval for checkpoints and tasks without results."""
    _, finished = states.list_lm_eval_tasks(checkpoint_stem(find_model(config)))
    return [
        make_lm_eval_command(config, stem, task)
        for stem, revision in list_checkpoints(config).items()
        for task in config["lm_eval"]
        # A tag such as ai2_arc has results only under the names of its tasks.
        if task not in finished.get(revision, ()) and not any(lm_eval_path(stem, task).rglob("results*.json"))
    ]
