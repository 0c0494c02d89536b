"""List the commands that are still to be run for a stage.

``python llm_brain_asym.py --todo STAGE ...`` prints them for checkpoints with at least one output. Their options come
from the command lines on record, so that all checkpoints of a model are treated equally, and begun work continues with
its own options. With ``--config``, ``report.configured`` lists the commands of a whole study.
"""

import json
import shlex
import sys
from pathlib import Path

from report import states
from report.overview import shorten
from study.cache import NOTE, read_note
from study.files.atomic import hidden_path
from study.paths import acceptability_path, generated_texts_folder
from study.stages import PER_STORY, SCRIPTS

# Options that name a checkpoint, which another checkpoint does not share.
CHECKPOINT_OPTIONS = {"activations": ["model", "revision", "lang"], "fit": ["model", "revision", "lang"]}


def list_commands(stage, table, lang):
    """Return the commands that are still to be run for a stage.

    Parameters
    ----------
    stage : str
        One of ``SCRIPTS``.
    table : pandas.DataFrame
        As ``states.tabulate_states`` returns it.
    lang : str

    Returns
    -------
    commands : list of str
        A line for a shell each. Begun work continues with its own options. Other checkpoints get the options of most
        checkpoints of the model.
    waiting : list of str
        Checkpoints that wait for an earlier stage.
    without_model : list of str
        Checkpoints whose files do not show their model.
    """
    if stage == "acceptability":
        return list_acceptability_commands(table)
    commands, waiting, without_model = [], [], []
    for row in table.to_dict("records"):
        if is_finished(stage, row):
            continue
        if stage == "fit" and not is_ready_for_fit(row):
            waiting.append(row["stem"])
        elif row["model"] is None and stage != "fit":
            without_model.append(row["stem"])
        else:
            sisters = table[table["name"] == row["name"]]["stem"]
            words = describe_begun(stage, row["stem"], lang) or describe_new(stage, row, sisters, lang)
            words += ["--overwrite"] if must_overwrite(stage, row) else []
            commands.append(shlex.join(["python", SCRIPTS[stage], *words]))
    return commands, waiting, without_model


def is_finished(stage, row):
    """Return whether a stage has nothing left to do for a checkpoint, a row of the table of states."""
    if stage == "activations" and row["fit"] == "done" and row[stage] != "outdated":
        return True  # only the fit needs activations
    return row[stage] in ("done", "other options")  # other options may be intended


def is_ready_for_fit(row):
    """Return whether the activations of a checkpoint can be fitted."""
    return row["activations"] in ("done", "other options")


def must_overwrite(stage, row):
    """Return whether a stage must replace an output that exists."""
    return row[stage] in ("outdated", "damaged")


def list_acceptability_commands(table):
    """Return ``list_commands`` of the classifier, which takes all texts of a model at once."""
    commands, waiting = [], []
    for name, rows in table[table["acceptability"] != "done"].dropna(subset="name").groupby("name"):
        has_texts = ~rows["texts"].isin(["missing", "begun"])
        waiting += list(rows["stem"][~has_texts])
        if not has_texts.any():
            continue
        path = acceptability_path(name, generated_texts_folder())
        words = read_words_in_note("acceptability", path)
        if words is None:
            # The tables of other models count too: one study has one classifier.
            paths = path.parent.glob("*_gen_cola.csv")
            tables = sorted(paths, key=lambda table_path: (table_path == path, read_time(table_path)))
            on_record = [read_words_on_record("acceptability", table_path) for table_path in tables]
            known = [options for options in on_record if options is not None]
            words = ["--model", name, *(known[-1] if known else [])]
        commands.append(shlex.join(["python", SCRIPTS["acceptability"], *words]))
    return commands, waiting, []


# ---------------------------------------------------------------- options


def describe_new(stage, row, sisters, lang):
    """Return the whole command line of a checkpoint that is not begun, a list of str without the script."""
    words = ["--model", row["stem"] if stage == "fit" else row["model"]]
    words += ["--revision", row["revision"]] if row["revision"] and stage != "fit" else []
    words += ["--lang", lang] if stage in PER_STORY else []
    return words + choose_options(stage, row, sisters, lang)


def choose_options(stage, row, sisters, lang):
    """Return the options for a checkpoint that most checkpoints of its model have, a list of str.

    An outdated output keeps its own options. Where no output is finished, begun work counts.
    """
    stems = [row["stem"]] if row[stage] == "outdated" else list(sisters)
    paths = [path for stem in stems for path in list_output_paths(stage, stem, lang)]
    made = [(states.read_options(path), read_time(path), read_words_on_record(stage, path)) for path in paths]
    if not any(parameters for parameters, _, _ in made):
        begun = [find_begun_path(stage, stem, lang) for stem in stems]
        made = [read_options_in_note(stage, path) for path in begun if read_note(hidden_path(path, "parts"))]
    made = [candidate for candidate in made if candidate[0] is not None]
    if not made:
        return []
    usual = states.find_most_common(parameters for parameters, _, _ in made)
    candidates = [candidate for candidate in made if usual in (None, candidate[0])]
    with_command = [candidate for candidate in candidates if candidate[2] is not None]
    parameters, _, words = max(with_command or candidates, key=lambda candidate: candidate[1])
    return words if words is not None else list_parameter_options(json.loads(parameters))


def list_output_paths(stage, stem, lang):
    """Return the files of a stage whose records contain the options for a checkpoint."""
    if stage == "texts":
        return sorted(generated_texts_folder().glob(f"{stem}_gen_0_*.txt"))
    return [states.list_outputs(stem, lang)[stage]]


def find_begun_path(stage, stem, lang):
    """Return the path whose hidden folder contains the cached parts of begun work."""
    return states.texts_begun_path(stem) if stage == "texts" else states.list_outputs(stem, lang)[stage]


def describe_begun(stage, stem, lang):
    """Return the whole command line of begun work, a list of str without the script, or None."""
    path = find_begun_path(stage, stem, lang)
    words = read_words_in_note(stage, path, is_whole=True)
    note = read_note(hidden_path(path, "parts"))
    if words is None and note:  # an older version, which noted no command
        parameters, model = note["with"].get("parameters", {}), note["with"].get("model")
        words = ["--model", model or stem]
        words += ["--revision", parameters["revision"]] if parameters.get("revision") and model else []
        words += ["--lang", lang] if stage in PER_STORY else []
        words += list_parameter_options(parameters)
    return words


def read_options_in_note(stage, path):
    """Return parameters as JSON, time and options of begun work."""
    folder = hidden_path(path, "parts")
    parameters = {**read_note(folder)["with"].get("parameters", {}), "revision": None}
    time = (folder / NOTE).stat().st_mtime
    return json.dumps(parameters, sort_keys=True), time, read_words_in_note(stage, path)


def read_words_in_note(stage, path, is_whole=False):
    """Return the command line of begun work, or only its options, or None where there is none."""
    command = read_note(hidden_path(path, "parts")).get("command")
    is_whole = is_whole or stage == "acceptability"
    return parse_command(stage, command, [] if is_whole else CHECKPOINT_OPTIONS.get(stage, ["model", "revision"]))


def read_words_on_record(stage, path):
    """Return the options of the command line that made an output, or None where none is on record."""
    names = ["model"] if stage == "acceptability" else CHECKPOINT_OPTIONS.get(stage, ["model", "revision"])
    return parse_command(stage, states.read_record_or_nothing(path).get("command"), names)


def parse_command(stage, command, names):
    """Return the options of a command line, a list of str, without --overwrite and the options in ``names``.

    None where it is not a command line of the stage's script: other programs can write outputs, too.
    """
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
            is_dropped = any(name.startswith(beginning) for name in [*names, "overwrite"])
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
        elif name in ("dtype", "max_length", "seed", "max_new_tokens", "temperature", "limit") and value is not None:
            words += [f"--{name}", str(value)]
    return words


def read_time(path):
    """Return the time at which an output was made, 0 where it does not exist."""
    return path.stat().st_mtime if path.is_file() else 0.0


# ---------------------------------------------------------------- in words


def print_to_do(stages, lang):
    """Print the commands of checkpoints with at least one output, for a shell, and on standard error what waits."""
    table = states.tabulate_states(lang)
    if table.empty:
        print("no checkpoint is known yet: extract_llm_activations.py makes the first", file=sys.stderr)
        return
    for stage in stages:
        commands, waiting, without_model = list_commands(stage, table, lang)
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
