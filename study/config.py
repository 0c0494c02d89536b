"""Read the definition of a study: the model, its revisions, and the options of every stage.

The Snakefile, ``python llm_brain_asym.py --config`` and the notebook read the same files, ``config/*.yaml``.
``config/default.yaml`` explains every key.
"""

import os
import shlex
from pathlib import Path

import yaml

from pipeline.errors import InputError, explain_errors
from pipeline.words.languages import LANGUAGES
from study.paths import checkpoint_stem, lm_eval_path, study_folder
from study.stages import PER_STORY, STAGES

DEFAULT = Path(__file__).parents[1] / "config" / "default.yaml"
EXAMPLE = "config/olmo2-7b.yaml is an example"
AMOUNTS = ("megabytes", "minutes", "gpus")  # that a job requests


def read_config(path):
    """Read a YAML file with the definition of a study over ``config/default.yaml``, a dict with the keys of the latter.

    InputError is raised if the file is missing or no YAML, has unknown keys or values of another type, or defines no
    model or revisions.
    """
    config = _merge(_read_yaml(DEFAULT), _read_yaml(path))
    check_config(config, path)
    return config


def _read_yaml(path):
    """Return the content of a YAML file, a dict."""
    if not Path(path).is_file():
        raise InputError(f"{path}: expected a file, got none. {EXAMPLE}.")
    with explain_errors(path, "expected YAML, got other text. Correct it"):
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values, got {content!r}. {EXAMPLE}.")
    return content


def _merge(default, changes):
    """Return a dict with changes, also inside dicts in it, as Snakemake merges its configuration files."""
    merged = dict(default)
    for key, value in changes.items():
        is_nested = isinstance(value, dict) and isinstance(default.get(key), dict)
        merged[key] = _merge(default[key], value) if is_nested else value
    return merged


def check_config(config, source):
    """Check the keys and types of a definition of a study; source is the name of the file or option, for messages.

    An InputError contains, in one line, the key, what is expected, and the value.
    """
    default = _read_yaml(DEFAULT)

    def require(is_right, key, expected, value):
        if not is_right:
            raise InputError(f"{source}: {key}: expected {expected}, got {value!r}. {EXAMPLE}.")

    _check_keys(config, default, source)
    require(_is_text(config["model"]), "model", "a name on the hub or a folder", config["model"])
    revisions = config["revisions"]
    are_revisions = isinstance(revisions, list) and revisions and all(map(_is_text, revisions))
    require(are_revisions, "revisions", "a list of names, in quotes where they are numbers", revisions)
    require(len(list_checkpoints(config)) == len(revisions), "revisions", "different names", revisions)
    for key, choices in (("languages", tuple(LANGUAGES)), ("stages", STAGES)):
        values = config[key]
        is_right = isinstance(values, list) and values and all(value in choices for value in values)
        require(is_right, key, f"a list of some of {', '.join(choices)}", values)
    numbers = {key: config[key] for key in ("prompts", "samples")}
    require(_is_text(config["lm_eval_dtype"]), "lm_eval_dtype", "a name", config["lm_eval_dtype"])
    for key in ("lm_eval", "options", "threads", "resources"):
        require(isinstance(config[key], dict), key, "keys and values", config[key])
        if key != "lm_eval":
            _check_keys(config[key], default[key], f"{source}: {key}")
    for task, size in config["lm_eval"].items():
        require(_is_text(task), "lm_eval", "names of tasks", task)
        require(_is_text(size) or _is_number(size, 1), f"lm_eval: {task}", "a batch size", size)
    for stage, options in config["options"].items():
        require(options is None or _is_options(options), f"options: {stage}", "options as in a shell", options)
    numbers |= {f"threads: {stage}": threads for stage, threads in config["threads"].items()}
    for key, number in numbers.items():
        require(_is_number(number, 1), key, "a whole number of 1 or more", number)
    for stage, amounts in config["resources"].items():
        is_right = isinstance(amounts, dict) and set(amounts) == set(AMOUNTS)
        is_right = is_right and all(_is_number(amount, 0) for amount in amounts.values())
        require(is_right, f"resources: {stage}", f"whole numbers of {', '.join(AMOUNTS)}", amounts)


def _check_keys(content, known, source):
    """Check that all keys are known, and none is missing."""
    for key in content:
        if key not in known:
            raise InputError(f"{source}: expected some of {', '.join(known)}, got {key!r}. Correct the name.")
    for key in known:
        if key not in content:
            raise InputError(f"{source}: expected {key}, got none. Read it over config/default.yaml.")


def _is_text(value):
    return isinstance(value, str) and value.strip() != "" and value.isprintable()


def _is_number(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_options(value):
    """Return whether a shell could read a text as options: quotes are closed."""
    try:
        return isinstance(value, str) and shlex.split(value) is not None
    except ValueError:
        return False


def find_model(config):
    """Return the model of a study: the absolute path of a folder in the study folder, or a name on the hub."""
    folder = study_folder().absolute() / config["model"]
    return str(folder) if folder.is_dir() else config["model"]


def list_checkpoints(config):
    """Return the checkpoints of a study in their order, a dict from the stem of their files to the revision."""
    model = find_model(config)
    return {checkpoint_stem(model, revision): revision for revision in config["revisions"]}


def list_checkpoint_options(stage, stem, model, revision, lang):
    """Return the options of a stage's script that name the checkpoint and the language, a list of str.

    model and revision are as on the command line; the revision may be None.
    """
    words = ["--model", stem if stage == "fit" else model]
    words += ["--revision", revision] if revision and stage != "fit" else []
    return words + (["--lang", lang] if stage in PER_STORY else [])


def make_options(config, stage, stem=None, lang=None):
    """Return the options of a stage's script for one checkpoint, a str for a shell, without the number of threads.

    Options that name a file or folder in the study folder have its absolute path. The stage ``acceptability`` has one
    command for all checkpoints and no stem. Only the stages in PER_STORY have a language.
    """
    if stage == "acceptability":
        words = ["--model", checkpoint_stem(find_model(config))]
    else:
        words = list_checkpoint_options(stage, stem, find_model(config), list_checkpoints(config)[stem], lang)
    words += ["--n_samples", str(config["samples"])] if stage == "texts" else []
    return shlex.join([*words, *_split_options(config, stage)])


def make_lm_eval_command(config, stem, task):
    """Return the command line that evaluates a checkpoint on a task by lm_eval, a str for a shell."""
    model, revision = find_model(config), list_checkpoints(config)[stem]
    location = f"{model}/{revision}" if Path(model).is_dir() else f"{model},revision={revision}"
    words = ["lm_eval", "--model", "hf", "--model_args", f"pretrained={location},dtype={config['lm_eval_dtype']}"]
    words += ["--tasks", task, "--batch_size", str(config["lm_eval"][task])]
    words += ["--output_path", str(lm_eval_path(stem, task).absolute()), *_split_options(config, "lm_eval")]
    return shlex.join(words)


def _split_options(config, stage):
    """Return the configured options of a stage, a list of str, with absolute paths of what is in the study folder."""
    folder = study_folder().absolute()
    words = [os.path.expanduser(word) for word in shlex.split(os.path.expandvars(config["options"].get(stage) or ""))]
    is_path = [word != "" and not word.startswith("-") and (folder / word).exists() for word in words]
    return [str(folder / word) if is_there else word for word, is_there in zip(words, is_path, strict=True)]
