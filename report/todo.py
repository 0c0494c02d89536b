"""What to run next: the commands of a stage that are still to be run, with the options of its sisters.

``python llm_brain_asym.py --todo STAGE ...`` prints them. Options come from the command lines on record,
so that every checkpoint of a model is treated like the others, and begun work goes on as it began.
"""

import json
import shlex
import sys
from pathlib import Path

from pipeline.tasks.table import BENCHMARKS
from pipeline.wording import shorten
from report import overview
from study.cache import NOTE, read_note
from study.files.atomic import hidden_path
from study.paths import acceptability_path, generated_texts_folder

SCRIPTS = {
    "activations": "extract_llm_activations.py",
    "fit": "fit_average_subject.py",
    **{benchmark: f"evaluate_llm_{benchmark}.py" for benchmark in BENCHMARKS},
    "texts": "generate_texts.py",
    "acceptability": "evaluate_linguistic_acceptability.py",
}
# Options that name a checkpoint, which another checkpoint does not share.
OF_A_CHECKPOINT = {"activations": ["model", "revision", "lang"], "fit": ["model", "revision", "lang"]}


def list_commands(stage, table, lang):
    """Return the commands that are still to be run for a stage.

    Parameters
    ----------
    stage : str
        One of ``SCRIPTS``.
    table : pandas.DataFrame
        As ``overview.states`` returns it.
    lang : str

    Returns
    -------
    commands : list of str
        A line for a shell each. Work that has begun is continued with its own options; other
        checkpoints get the options of most checkpoints of the model.
    waiting : list of str
        Checkpoints that wait for an earlier stage (see ``WAITS_FOR``).
    without_model : list of str
        Checkpoints whose files do not show which model they are of.
    """
    if stage == "acceptability":
        return list_acceptability_commands(table)
    commands, waiting, without_model = [], [], []
    for row in table[~table[stage].isin(["done", "other options"])].to_dict("records"):  # those may be meant
        if stage == "activations" and row["fit"] == "done" and row[stage] != "outdated":
            continue  # nothing else needs them
        if stage == "fit" and row["activations"] not in ("done", "other options"):
            waiting.append(row["stem"])
            continue
        if row["model"] is None and stage != "fit":
            without_model.append(row["stem"])
            continue
        words = describe_begun(stage, row["stem"], lang)
        if words is None:
            sisters = table[table["name"] == row["name"]]["stem"]
            words = ["--model", row["stem"] if stage == "fit" else row["model"]]
            words += ["--revision", row["revision"]] if row["revision"] and stage != "fit" else []
            words += ["--lang", lang] if stage in ("activations", "fit") else []
            words += choose_options(stage, row, sisters, lang)
        words += ["--overwrite"] if row[stage] in ("outdated", "damaged") else []
        commands.append(shlex.join(["python", SCRIPTS[stage], *words]))
    return commands, waiting, without_model


def list_acceptability_commands(table):
    """Return ``to_do`` of the judge, which takes all texts of a model at once."""
    commands, waiting = [], []
    for name, rows in table[table["acceptability"] != "done"].dropna(subset="name").groupby("name"):
        has_texts = ~rows["texts"].isin(["missing", "begun"])
        waiting += list(rows["stem"][~has_texts])
        if not has_texts.any():
            continue
        path = acceptability_path(name, generated_texts_folder())
        words = words_in_note("acceptability", path)
        if words is None:
            # The tables of other models count too: one study has one judge.
            tables = sorted(path.parent.glob("*_gen_cola.csv"), key=lambda other: (other == path, when_made(other)))
            on_record = [words_on_record("acceptability", other) for other in tables]
            known = [options for options in on_record if options is not None]
            words = ["--model", name, *(known[-1] if known else [])]
        commands.append(shlex.join(["python", SCRIPTS["acceptability"], *words]))
    return commands, waiting, []


# ---------------------------------------------------------------- options


def choose_options(stage, row, sisters, lang):
    """Return the options for a checkpoint, a list of str, as most of its model's checkpoints have them.

    An output that is made again keeps its own. Where no output is finished, begun work counts.
    """
    stems = [row["stem"]] if row[stage] == "outdated" else list(sisters)
    paths = [path for stem in stems for path in list_output_paths(stage, stem, lang)]
    made = [(overview.read_options(path), when_made(path), words_on_record(stage, path)) for path in paths]
    if not any(parameters for parameters, _, _ in made):
        begun = [begun_path(stage, stem, lang) for stem in stems]
        made = [options_in_note(stage, path) for path in begun if read_note(hidden_path(path, "parts"))]
    made = [how for how in made if how[0] is not None]
    if not made:
        return []
    usual = overview.find_most_common(parameters for parameters, _, _ in made)
    of_usual = [how for how in made if usual in (None, how[0])]
    with_command = [how for how in of_usual if how[2] is not None]
    parameters, _, words = max(with_command or of_usual, key=lambda how: how[1])
    return words if words is not None else words_of_parameters(json.loads(parameters))


def list_output_paths(stage, stem, lang):
    """Return the files of a stage whose records show how a checkpoint was treated."""
    if stage == "texts":
        return sorted(generated_texts_folder().glob(f"{stem}_gen_0_*.txt"))
    return [overview.list_outputs(stem, lang)[stage]]


def begun_path(stage, stem, lang):
    """Return the path whose hidden folder holds the parts of begun work."""
    return overview.texts_begun_path(stem) if stage == "texts" else overview.list_outputs(stem, lang)[stage]


def describe_begun(stage, stem, lang):
    """Return the whole command line of begun work, a list of str without the script, or None."""
    path = begun_path(stage, stem, lang)
    words = words_in_note(stage, path, is_whole=True)
    note = read_note(hidden_path(path, "parts"))
    if words is None and note:  # by a version that noted no command
        parameters, model = note["with"].get("parameters", {}), note["with"].get("model")
        words = ["--model", model or stem]
        words += ["--revision", parameters["revision"]] if parameters.get("revision") and model else []
        words += ["--lang", lang] if stage in ("activations", "fit") else []
        words += words_of_parameters(parameters)
    return words


def options_in_note(stage, path):
    """Return parameters as JSON, time and options of begun work."""
    folder = hidden_path(path, "parts")
    parameters = {**read_note(folder)["with"].get("parameters", {}), "revision": None}
    time = (folder / NOTE).stat().st_mtime
    return json.dumps(parameters, sort_keys=True), time, words_in_note(stage, path)


def words_in_note(stage, path, is_whole=False):
    """Return the command line of begun work, or only its options, or None where there is none."""
    command = read_note(hidden_path(path, "parts")).get("command")
    is_whole = is_whole or stage == "acceptability"
    return words_of_command(stage, command, [] if is_whole else OF_A_CHECKPOINT.get(stage, ["model", "revision"]))


def words_on_record(stage, path):
    """Return the options of the command line that made an output, or None where none is on record."""
    names = ["model"] if stage == "acceptability" else OF_A_CHECKPOINT.get(stage, ["model", "revision"])
    return words_of_command(stage, overview.read_record_or_nothing(path).get("command"), names)


def words_of_command(stage, command, names):
    """Return what a command line gives a script, without some options and --overwrite.

    None where it is not a command line of the stage's script: outputs can be made by other programs.
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
            # The command line was valid, so a beginning of an option's name is of that option alone.
            beginning = word[2:].partition("=")[0]
            is_dropped = any(name.startswith(beginning) for name in [*names, "overwrite"])
        if not is_dropped:
            kept.append(word)
    return kept


def words_of_parameters(parameters):
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


def when_made(path):
    """Return the time at which an output was made, 0 where it is not there."""
    return path.stat().st_mtime if path.is_file() else 0.0


# ---------------------------------------------------------------- in words


def print_to_do(stages, lang):
    """Print the commands on standard output, for a shell, and on standard error why there are none."""
    table = overview.tabulate_states(lang)
    if table.empty:
        print("no checkpoint is known yet: extract_llm_activations.py makes the first", file=sys.stderr)
        return
    for stage in stages:
        commands, waiting, without_model = list_commands(stage, table, lang)
        for stem in without_model:
            print(f"{stem}: its files do not tell which model it is of", file=sys.stderr)
        if waiting:
            needed = "activations" if stage == "fit" else "texts"
            print(f"{stage}: waits for {needed} of {shorten(waiting)}", file=sys.stderr)
        for command in commands:
            print(command)
        if not (commands or waiting or without_model):
            print(f"{stage}: nothing is left to be run", file=sys.stderr)
