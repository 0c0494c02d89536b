"""What is to be run next: with the options of the others, of begun work with its own, and what waits for what."""

import os
import shlex

import pandas as pd
import pytest
from helpers import Stopped, add_blimp, counting_calls
from todo_studies import STEP1, run_line

from report import states, todo
from study.files.tables import write_table
from study.paths import (
    activations_path,
    benchmark_path,
    generated_text_path,
    generated_texts_folder,
    run_correlations_path,
)
from study.records import write_record


def test_what_is_to_be_run_can_be_run(fitting_study, to_do, call, model):
    add_blimp(fitting_study)
    assert call("extract_llm_activations", "--model", model, "--revision", "step8", "--device", "cpu")[0] == 0
    for stage in ("fit", "blimp"):
        status, told, _ = to_do(stage)
        assert (status, told.count("\n")) == (0, 1)
        assert run_line(call, told)[0] == 0
        assert to_do(stage) == (0, "", f"{stage}: nothing is left to be run\n")
    assert to_do("fit", "dyck", "arithmetic")[1].count("\n") == 2
    assert to_do("dyck")[1] == f"python evaluate_llm_dyck.py --model {model} --revision step8\n"


def test_a_checkpoint_without_a_model_or_a_revision_among_others(study_folder):
    """In a column with text, pandas has NaN for None."""
    for stem, checkpoint in (
        ("me_lm_step1", {"model": "me/lm", "revision": "step1"}),
        ("me_lm", {"model": "me/lm", "revision": None}),
        ("someone_else_step3", None),
    ):
        path = benchmark_path(stem, "zorro")
        write_table(path, pd.DataFrame({"paradigm": ["a"], "accuracy": [1]}))
        write_record(path, {}, [], 0, checkpoint)
    commands, waiting, without_model = todo.list_commands("dyck", states.tabulate_states("en"), "en")
    script = "python evaluate_llm_dyck.py --model me/lm"
    assert sorted(commands) == [script, f"{script} --revision step1"]
    assert (waiting, without_model) == ([], ["someone_else_step3"])


def test_what_is_to_be_run_has_the_options_of_the_others(study_folder):
    """Of records without a command line of the script, as those of other programs."""
    for revision in ("step1", "step2", "step4"):
        path = activations_path(f"me_lm_{revision}", "en")
        write_table(path, pd.DataFrame({"a": [1]}))
        checkpoint = {"model": "me/lm", "revision": revision}
        write_record(path, {"revision": revision, "dtype": "bfloat16"}, [], 0, checkpoint)
    for revision, alphas in (("step1", [0, 7, 16]), ("step2", [0, 7, 16]), ("step4", [2, 7, 16])):
        path = run_correlations_path(f"me_lm_{revision}", "en")
        write_table(path, pd.DataFrame({"a": [1]}))
        write_record(path, {"alphas": alphas}, [], 0, {"model": "me/lm", "revision": revision})
    table = pd.DataFrame(
        {"stem": [f"me_lm_step{k}" for k in (1, 2, 4)], "name": "me_lm", "model": "me/lm", "fit": "done"}
    )
    states.mark_other_options(table, "fit", "en")
    assert table["fit"].tolist() == ["done", "done", "other options"]
    table = table.assign(activations="done", revision=[f"step{k}" for k in (1, 2, 4)], texts="missing")
    assert todo.list_commands("fit", table, "en") == ([], [], [])  # other options may be meant
    table.loc[2, "fit"] = "missing"
    command = "python fit_average_subject.py --model me_lm_step4 --lang en --alphas 0 7 16"
    assert todo.list_commands("fit", table, "en") == ([command], [], [])
    table["activations"], table["fit"] = ["done", "missing", "done"], "missing"
    commands, _, _ = todo.list_commands("activations", table, "en")
    assert commands == ["python extract_llm_activations.py --model me/lm --revision step2 --lang en --dtype bfloat16"]


COMMANDS = {
    "all options": (
        "--model me/lm --revision step1 --batch_size 8 --threads 2 --output_folder 'my results'",
        "--batch_size 8 --threads 2 --output_folder 'my results'",
    ),
    "options with =": (
        "--model=me/lm --batch_size=8 --revision=step1 '--output_folder=my results'",
        "--batch_size=8 '--output_folder=my results'",
    ),
    "abbreviations": ("--mod me/lm --batch 8 --rev=step1 --th 2 --overw --lead", "--batch 8 --th 2 --lead"),
    "a flag first": ("--overwrite --batch_size 8 --model me/lm --leading_space", "--batch_size 8 --leading_space"),
    "nothing else": ("--model me/lm", ""),
}


@pytest.mark.parametrize("given", COMMANDS)
def test_every_option_on_record_is_repeated(study_folder, make_output, to_do, given):
    words, repeated = COMMANDS[given]
    make_output(benchmark_path("me_lm_step1", "dyck"), f"/home/me/evaluate_llm_dyck.py {words}", STEP1)
    make_output(benchmark_path("me_lm_step2", "zorro"), "evaluate_llm_zorro.py", {"revision": "step2"})
    command = f"python evaluate_llm_dyck.py --model me/lm --revision step2 {repeated}".strip()
    assert to_do("dyck") == (0, f"{command}\n", "")


def test_the_language_belongs_to_a_checkpoint_s_story_and_not_to_its_benchmarks(study_folder, make_output, to_do):
    """--l is --lang of the fit, and --leading_space of a benchmark."""
    make_output(run_correlations_path("me_lm_step1", "en"), "fit_average_subject.py --l en --drop_first 2", STEP1)
    make_output(activations_path("me_lm_step2", "en"), "extract_llm_activations.py", {"revision": "step2"})
    assert to_do("fit")[1] == "python fit_average_subject.py --model me_lm_step2 --lang en --drop_first 2\n"
    make_output(benchmark_path("me_lm_step1", "blimp"), "evaluate_llm_blimp.py --l --model me/lm", STEP1)
    assert to_do("blimp")[1] == "python evaluate_llm_blimp.py --model me/lm --revision step2 --l\n"


def test_the_newest_of_the_usual_command_lines_counts(study_folder, make_output, to_do):
    for number, (options, dtype, time) in enumerate(
        [("--threads 3", "bfloat16", 300), ("--threads 2", "bfloat16", 200), ("--dtype float32", "float32", 900)]
    ):
        path, revision = activations_path(f"me_lm_step{number}", "en"), f"step{number}"
        command = f"extract_llm_activations.py --model me/lm --revision {revision} {options}"
        make_output(path, command, {"revision": revision, "dtype": dtype})
        os.utime(path, (time, time))
    make_output(benchmark_path("me_lm_step9", "dyck"), "evaluate_llm_dyck.py", {"revision": "step9"})
    assert to_do("activations")[1] == (
        "python extract_llm_activations.py --model me/lm --revision step9 --lang en --threads 3\n"
    )


def test_texts_get_the_numbers_and_prompts_of_the_others(study_folder, make_output, to_do):
    folder, options = generated_texts_folder(), "--prompts my.txt --max_new_tokens 60 --n_samples"
    for sample in range(3):
        parameters = {"model": "me_lm", "revision": "step1", "sample": sample, "max_new_tokens": 60, "seed": 12345}
        make_output(
            generated_text_path("me_lm_step1", 0, sample, folder),
            f"generate_texts.py --model me/lm --revision step1 {options} {2 if sample < 2 else 3}",
            parameters,
        )
    make_output(benchmark_path("me_lm_step2", "dyck"), "x", {"revision": "step2"})
    assert to_do("texts")[1] == f"python generate_texts.py --model me/lm --revision step2 {options} 3\n"


def test_begun_work_goes_on_with_its_own_options_and_others_get_them(fitting_study, call, to_do, model, monkeypatch):
    for revision in ("step8", "step16"):
        assert call("extract_llm_activations", "--model", model, "--revision", revision, "--device", "cpu")[0] == 0
    begun = ["--model", model, "--revision=step8", "--alphas", 1, 4, 4, "--device", "cpu"]
    with counting_calls(monkeypatch, "study.stages.fit.cross_validate", most=3), pytest.raises(Stopped):
        call("fit_average_subject", *begun)
    status, printed, error = to_do("fit")
    assert (status, error) == (0, "")
    first, second = printed.splitlines()
    assert first == f"python fit_average_subject.py --model {model} --revision=step8 --alphas 1 4 4 --device cpu"
    assert second == ("python fit_average_subject.py --model tiny-pythia_step16 --lang en --alphas 1 4 4 --device cpu")
    with counting_calls(monkeypatch, "study.stages.fit.cross_validate") as calls:
        status, printed, _ = run_line(call, first)
    assert (status, len(calls)) == (0, 1)  # of four layers, three were there
    assert "starts over" not in printed
    assert to_do("fit")[1] == f"{second}\n"  # now as a finished one has it
    assert run_line(call, second)[0] == 0


def test_a_begun_extraction_goes_on_although_the_model_is_called_otherwise_elsewhere(
    fitting_study, call, to_do, model, monkeypatch
):
    monkeypatch.chdir(model.parent)
    add_blimp(fitting_study)
    assert call("evaluate_llm_blimp", "--model", model, "--revision", "step8", "--device", "cpu")[0] == 0
    name = "study.stages.extraction.read_run"
    options = ["--model", model.name, "--revision", "step8", "--device", "cpu", "--max_length", 100]
    with counting_calls(monkeypatch, name, most=2), pytest.raises(Stopped):
        call("extract_llm_activations", *options)
    printed = to_do("activations")[1]
    assert printed == f"python extract_llm_activations.py {shlex.join(map(str, options))}\n"
    with counting_calls(monkeypatch, name) as calls:
        status, printed, _ = run_line(call, printed)
    assert (status, len(calls)) == (0, 2)  # of four runs, two were there
    assert "starts over" not in printed
