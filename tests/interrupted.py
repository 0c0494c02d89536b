"""Share what tests of interruption need."""

import json
import shutil

from helpers import all_files

CHECKPOINT = ["--model", "MODELS/tiny-pythia", "--revision", "step8", "--device", "cpu"]


# Each with the stages that make what it reads.
STAGES = {
    "extract": (["extract_llm_activations.py", *CHECKPOINT], []),
    "fit": (["fit_average_subject.py", *CHECKPOINT, "--alphas", "0", "5", "6"], ["extract"]),
    "blimp": (["evaluate_llm_blimp.py", *CHECKPOINT, "--batch_size", "8"], []),
    "texts": (
        [
            *["generate_texts.py", *CHECKPOINT, "--prompts", "MODELS/prompts.txt", "--n_samples", "3"],
            *["--max_new_tokens", "30", "--batch_size", "2"],
        ],
        [],
    ),
    "judge": (
        [
            *["evaluate_linguistic_acceptability.py", "--classifier", "MODELS/judge", "--device", "cpu"],
            *["--batch_size", "2"],
        ],
        ["texts"],
    ),
}


def command(stage, models, *options):
    """Arguments of a stage's script; of options that are given twice, the last one counts."""
    return [argument.replace("MODELS", str(models)) for argument in [*STAGES[stage][0], *options]]


def contents(folder):
    """Every file and its content; of records, without the command and the time."""
    found = {}
    for path, content in all_files(folder).items():
        if path.suffix == ".json" and "finished" in (record := json.loads(content)):
            content = json.dumps({key: record[key] for key in record.keys() - {"command", "finished", "seconds"}})
        found[str(path.relative_to(folder))] = content
    return found


def is_hidden(name):
    return any(part.startswith(".") for part in name.split("/"))


def undisturbed(run, stage, study_folder, *options):
    """What a study holds after a stage, and how many steps that took."""
    folder = study_folder.with_name("undisturbed")
    shutil.copytree(study_folder, folder)
    answer = run(stage, folder, *options)
    assert answer["status"] == 0, answer
    expected = contents(folder)
    assert not any(map(is_hidden, expected)), sorted(expected)
    assert len(expected) > len(contents(study_folder))
    shutil.rmtree(folder)
    return expected, answer["n_steps"]


def check_whole(folder, inputs, expected):
    """What is there under a final name is what was there before, or what should come to be."""
    whole = {name: content for name, content in contents(folder).items() if not is_hidden(name)}
    assert whole.items() <= expected.items()
    assert whole.items() >= inputs.items()
