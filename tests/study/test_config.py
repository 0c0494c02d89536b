"""The definition of a study: what the files in config/ may contain, and the commands that they give."""

import shlex
from pathlib import Path

import pytest
import yaml
from helpers import ROOT

from pipeline.errors import InputError
from pipeline.tasks.lm_eval_settings import parse_model_args
from study.config import list_checkpoints, make_lm_eval_command, make_options, read_config
from study.stages import SCRIPTS

CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
SMALL = {"model": "me/lm", "revisions": ["step1", "step2"]}


@pytest.fixture
def write_config(study_folder):
    """write_config(content) -> path of a YAML file."""

    def write(content):
        path = study_folder / "study.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem != "default"], ids=lambda path: path.stem)
def test_the_configurations_of_this_project_are_right(study_folder, path):
    config = read_config(path)
    own = yaml.safe_load(path.read_text())
    assert config["revisions"] == own["revisions"]
    assert config["samples"] == 10  # of the default
    assert config["options"]["arithmetic"] == "--seed 12345"
    assert config["options"] | own.get("options", {}) == config["options"]
    assert list(list_checkpoints(config).values()) == own["revisions"]


WRONG = {
    "nothing": ("", "expected keys and values, got None"),
    "no YAML": ("model: [", "expected YAML"),
    "no model": ({"revisions": ["step1"]}, "model: expected a name on the hub or a folder, got None"),
    "no revisions": (
        {"model": "me/lm"},
        "revisions: expected a list of names, in quotes where they are numbers",
    ),
    "one revision": (SMALL | {"revisions": "step1"}, "revisions: expected a list"),
    "a number": (SMALL | {"revisions": [1000]}, "in quotes where they are numbers, got [1000]"),
    "a revision twice": (SMALL | {"revisions": ["a/b", "a_b"]}, "revisions: expected different names"),
    "a misspelt key": (SMALL | {"revision": ["step1"]}, "got 'revision'. Correct the name."),
    "a misspelt stage": (SMALL | {"options": {"fits": ""}}, "options: expected some of activations, fit"),
    "an unknown stage": (SMALL | {"stages": ["chess"]}, "stages: expected a list of some of activations, fit, blimp"),
    "an unknown language": (SMALL | {"languages": ["de"]}, "languages: expected a list of some of en, fr, got ['de']"),
    "no samples": (SMALL | {"samples": 0}, "samples: expected a whole number of 1 or more, got 0"),
    "an open quote": (SMALL | {"options": {"fit": "--device 'cpu"}}, "options: fit: expected options as in a shell"),
    "a list of options": (
        SMALL | {"options": {"fit": ["--drop_first"]}},
        "options: fit: expected options as in a shell",
    ),
    "no options": (SMALL | {"options": None}, "options: expected keys and values, got None"),
    "no threads": (SMALL | {"threads": {"fit": 0}}, "threads: fit: expected a whole number of 1 or more, got 0"),
    "half a GPU": (
        SMALL | {"resources": {"fit": {"gpus": 0.5}}},
        "resources: fit: expected whole numbers of",
    ),
    "a batch size": (SMALL | {"lm_eval": {"hellaswag": 0}}, "lm_eval: hellaswag: expected a batch size, got 0"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_an_error_in_one_line(write_config, mistake):
    content, message = WRONG[mistake]
    path = write_config(content)
    with pytest.raises(InputError) as error:
        read_config(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_file_that_does_not_exist_is_an_error(study_folder):
    with pytest.raises(InputError, match="expected a file, got none"):
        read_config(study_folder / "none.yaml")


def test_a_model_and_files_in_the_study_folder_have_absolute_paths(study_folder, write_config, monkeypatch):
    (study_folder / "models" / "lm").mkdir(parents=True)
    (study_folder / "my prompts.txt").touch()
    monkeypatch.setenv("JUDGE", "you/judge")
    options = {"texts": "--prompts 'my prompts.txt' --seed 3", "acceptability": "--classifier $JUDGE", "fit": None}
    config = SMALL | {"model": "models/lm", "options": options, "lm_eval": {"hellaswag": 4}, "samples": 2}
    config = read_config(write_config(config))
    assert list_checkpoints(config) == {"lm_step1": "step1", "lm_step2": "step2"}
    model = str(study_folder.absolute() / "models" / "lm")
    words = shlex.split(make_options(config, "texts", "lm_step1"))
    assert words[:6] == ["--model", model, "--revision", "step1", "--n_samples", "2"]
    assert words[6:] == ["--prompts", str(study_folder.absolute() / "my prompts.txt"), "--seed", "3"]
    assert make_options(config, "acceptability") == "--model lm --classifier you/judge"
    assert make_options(config, "fit", "lm_step2", "fr") == "--model lm_step2 --lang fr"
    words = shlex.split(make_lm_eval_command(config, "lm_step2", "hellaswag"))
    assert parse_model_args(words[words.index("--model_args") + 1])["pretrained"] == f"{model}/step2"


def test_a_model_of_the_hub_keeps_its_name(study_folder, write_config):
    config = read_config(write_config(SMALL | {"lm_eval": {"hellaswag": "auto:4"}}))
    assert make_options(config, "activations", "me_lm_step1", "en") == "--model me/lm --revision step1 --lang en"
    words = shlex.split(make_lm_eval_command(config, "me_lm_step2", "hellaswag"))
    arguments = parse_model_args(words[words.index("--model_args") + 1])
    assert arguments == {"pretrained": "me/lm", "revision": "step2", "dtype": "float16"}
    folder = Path(words[words.index("--output_path") + 1])
    assert folder == study_folder.absolute() / "lm_eval_results" / "me_lm_step2_hellaswag"


def test_every_stage_has_its_script():
    assert [script for script in SCRIPTS.values() if not (ROOT / script).is_file()] == []
