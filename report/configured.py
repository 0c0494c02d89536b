"""List the commands that a configuration still needs, for all of its checkpoints, begun or not.

``python llm_brain_asym.py --config config/olmo2-7b.yaml --todo STAGE ...`` prints them. They are the commands that
the Snakefile runs, without the number of threads.
"""

from report import states
from report.todo import is_finished, is_ready_for_fit, must_overwrite, print_stage
from study.config import find_model, list_checkpoints, make_lm_eval_command, make_options
from study.inputs.lm_eval import read_lm_eval_runs
from study.paths import checkpoint_stem, lm_eval_path
from study.stages import PER_STORY, SCRIPTS, STAGES


def print_configured(stages, config, languages):
    """Print the commands of a configuration, and on standard error what waits.

    All lines can be run at the same time. Where ``activations`` and ``fit`` are both requested, a checkpoint that needs
    both has one line: the fit follows the extraction.

    Parameters
    ----------
    stages : collection of str
        Some of STAGES.
    config : dict
        As ``study.config.read_config`` returns it.
    languages : list of str
        Each has its own commands for the stages in PER_STORY.
    """
    story_stages = [stage for stage in PER_STORY if stage in stages]
    for lang in languages if story_stages else []:
        print_story_stages(story_stages, config, lang)
    other_stages = [stage for stage in STAGES if stage in stages and stage not in PER_STORY]
    table = tabulate_configured(config, languages[0]) if other_stages else []
    for stage in other_stages:
        waiting: list[str] = []
        if stage == "lm_eval":
            commands = list_lm_eval_commands(config)
        elif stage == "acceptability":
            commands, waiting = list_acceptability_commands(config, table)
        else:
            commands = [make_command(config, stage, row) for row in table if not is_finished(stage, row)]
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
    table = states.tabulate_states(lang)
    known = {row["stem"]: row for row in table.to_dict("records")}
    n_texts = config["prompts"] * config["samples"]
    rows = []
    for stem in list_checkpoints(config):
        row = {"stem": stem, **dict.fromkeys(STAGES, "missing"), **known.get(stem, {})}
        rows.append(row | {"texts": states.describe_texts(stem, states.count_texts(stem), n_texts)})
    return rows


def make_command(config, stage, row, lang=None):
    """Return the command line of a stage for a checkpoint, a str for a shell."""
    command = f"python {SCRIPTS[stage]} {make_options(config, stage, row['stem'], lang)}"
    return f"{command} --overwrite" if must_overwrite(stage, row) else command


def list_acceptability_commands(config, table):
    """Return the command of the classifier, which takes all texts of the model, and the checkpoints without texts."""
    unfinished = [row for row in table if not is_finished("acceptability", row)]
    waiting = [row["stem"] for row in unfinished if row["texts"] in ("missing", "begun")]
    if len(waiting) == len(unfinished):
        return [], waiting
    return [f"python {SCRIPTS['acceptability']} {make_options(config, 'acceptability')}"], waiting


def list_lm_eval_commands(config):
    """Return the commands of lm_eval for checkpoints and tasks without results."""
    runs = read_lm_eval_runs(checkpoint_stem(find_model(config)))
    runs = runs[~runs["is_limited"].astype(bool)]
    finished = set(zip(runs["revision"], runs["task"], strict=True))
    return [
        make_lm_eval_command(config, stem, task)
        for stem, revision in list_checkpoints(config).items()
        for task in config["lm_eval"]
        # A tag such as ai2_arc has results only under the names of its tasks.
        if (revision, task) not in finished and not any(lm_eval_path(stem, task).rglob("results*.json"))
    ]
