"""What is to be run next: with the options of the others, of begun work with its own, and what waits for what."""

import os
import shlex

import pytest
from helpers import STEM, Stopped, counting_calls
from todo_studies import STEP1, run_line

from study.cache import open_cache
from study.files.atomic import hidden_path
from study.files.safe_joblib import read_arrays, write_arrays
from study.jobs import Job
from study.paths import (
    acceptability_path,
    activations_path,
    average_subject_path,
    benchmark_path,
    generated_text_path,
    generated_texts_folder,
    lm_eval_path,
    run_correlations_path,
    word_timings_path,
)


def test_what_begins_anew_says_what_differs(fitting_study, call, model, monkeypatch):
    assert call("extract_llm_activations", "--model", model, "--revision", "step8", "--device", "cpu")[0] == 0
    with counting_calls(monkeypatch, "study.stages.fit.cross_validate", most=2), pytest.raises(Stopped):
        call("fit_average_subject", "--model", STEM, "--alphas", 1, 4, 4)
    # The same: nothing is removed.
    with counting_calls(monkeypatch, "study.stages.fit.cross_validate", most=0), pytest.raises(Stopped):
        call("fit_average_subject", "--model", STEM, "--alphas", 1, 4, 4)
    folder = hidden_path(run_correlations_path(STEM, "en"), "parts")
    assert sorted(path.name for path in folder.glob("*.npz")) == ["layer-0.npz", "layer-1.npz"]
    path = average_subject_path("en", 1)
    write_arrays(path, 2 * read_arrays(path))
    status, printed, _ = call("fit_average_subject", "--model", STEM, "--alphas", 0, 5, 6)
    assert status == 0
    assert (
        f"{run_correlations_path(STEM, 'en')} starts over: its cached parts were made with alphas [1.0, 4.0, 4.0] "
        "(now [0.0, 5.0, 6.0]), another average_subject_run-1.gz\n"
    ) in printed


def test_a_note_of_parts_names_every_difference(tmp_path):
    source, said = tmp_path / "source", []
    source.write_text("a")
    before = {"parameters": {"dtype": "float32", "prompts": ["a" * 90]}, "model": "me/lm"}
    before |= {"versions": {"torch": "2.0"}, "program": {"encoding.py": "1", "files.py": "2"}}
    now = {"parameters": {"dtype": "bfloat16", "prompts": ["b" * 90]}, "model": "you/lm"}
    now |= {"versions": {"torch": "2.1"}, "program": {"encoding.py": "3", "files.py": "2"}}
    with pytest.raises(KeyboardInterrupt), open_cache(tmp_path / "out", before, [source], said.append) as parts:
        (parts / "part").touch()
        raise KeyboardInterrupt
    with open_cache(tmp_path / "out", before, [source], said.append, command="another") as parts:
        assert (parts / "part").exists()
        (parts / "part").touch()
        assert said == []
    with pytest.raises(KeyboardInterrupt), open_cache(tmp_path / "out", before, [source], said.append) as parts:
        (parts / "part").touch()
        raise KeyboardInterrupt
    source.write_text("longer")
    with open_cache(tmp_path / "out", now, [source], said.append) as parts:
        assert not (parts / "part").exists()
    assert said == [
        f'{tmp_path / "out"} starts over: its cached parts were made with dtype "float32" (now "bfloat16"), '
        'another value of prompts, model "me/lm" (now "you/lm"), torch "2.0" (now "2.1"), '
        "another version of encoding.py, another source"
    ]


def test_an_extraction_that_was_stopped_is_known_and_can_be_run(study_folder, to_do, call):
    """By a version that noted no command line."""
    path = activations_path("me_lm_step4", "en")
    path.parent.mkdir()
    with pytest.raises(KeyboardInterrupt), Job(path, {"revision": "step4"}, modules=[], model="me/lm") as job:
        (job.folder / "run-1.npz").write_bytes(b"")
        raise KeyboardInterrupt
    assert "1 run" in call("llm_brain_asym")[1]
    command = "python extract_llm_activations.py --model me/lm --revision step4 --lang en\n"
    assert to_do("activations") == (0, command, "")


def test_begun_texts_are_known_and_go_on(study_folder, to_do, call, model, monkeypatch):
    (study_folder / "my.txt").write_text("The prince asked.\n")
    options = ["--model", model, "--revision", "step8", "--prompts", study_folder / "my.txt", "--n_samples", 3]
    options += ["--batch_size", 1, "--max_new_tokens", 5]
    name = "study.stages.texts.continue_prompts"
    with counting_calls(monkeypatch, name, most=2), pytest.raises(Stopped):
        call("generate_texts", *options)
    assert "2 so far" in call("llm_brain_asym")[1]
    printed = to_do("texts")[1]
    assert printed == f"python generate_texts.py {shlex.join(map(str, options))}\n"
    status, told, _ = run_line(call, printed)
    assert (status, "3 texts, 1 of them new" in told, "starts over" in told) == (0, True, False)
    assert to_do("texts") == (0, "", "texts: nothing is left to be run\n")


def test_a_stage_says_what_it_waits_for(study_folder, make_output, to_do):
    for number in range(8):
        make_output(
            benchmark_path(f"me_lm_step{number}", "dyck"), "evaluate_llm_dyck.py", {"revision": f"step{number}"}
        )
    status, printed, error = to_do("activations", "fit", "texts", "acceptability")
    assert status == 0
    assert printed.count("extract_llm_activations.py") == printed.count("generate_texts.py") == 8
    assert printed.count("\n") == 16
    names = "me_lm_step0, me_lm_step1, me_lm_step2, me_lm_step3, me_lm_step4, me_lm_step5 and 2 more"
    assert error == f"fit: waits for activations of {names}\nacceptability: waits for texts of {names}\n"
    folder = generated_texts_folder()
    parameters = {"model": "me_lm", "revision": "step0", "prompt": "x", "sample": 0}
    make_output(generated_text_path("me_lm_step0", 0, 0, folder), "generate_texts.py", parameters)
    judge = "python evaluate_linguistic_acceptability.py --model me_lm"
    assert to_do("acceptability")[1] == f"{judge}\n"
    columns = "revision,tokens,prompt,sample,classifier,n_sentences,mean_probability,share_acceptable\n"
    other = acceptability_path("you_lm", folder)
    command = "evaluate_linguistic_acceptability.py --classifier a b/c --acceptable_label 1 --overwrite --model=you_lm"
    make_output(other, command, {"lang": "en"}, "a, b/c")
    other.write_text(columns)
    judge += " --classifier a b/c --acceptable_label 1\n"
    assert to_do("acceptability")[1] == judge
    own = acceptability_path("me_lm", folder)
    make_output(own, "evaluate_linguistic_acceptability.py --classifier d", {"lang": "en"}, "d")
    own.write_text(f"{columns}step0,,0,0,d,1,0.5,1\n")
    waits = "me_lm_step1, me_lm_step2, me_lm_step3, me_lm_step4, me_lm_step5, me_lm_step6 and 1 more"
    assert to_do("acceptability") == (0, "", f"acceptability: waits for texts of {waits}\n")


@pytest.fixture
def configured(study_folder, call):
    """configured(stage, ...) -> (status, stdout, stderr), of a configuration of two checkpoints in two languages."""
    (study_folder / "study.yaml").write_text(
        "model: me/lm\nrevisions: [step2, step1]\nlanguages: [en, fr]\nprompts: 1\nsamples: 2\nlm_eval: {a: 4, b: 8}\n"
        "options: {fit: --alphas 0 7 16, texts: --seed 3, acceptability: --classifier you/judge}\n"
    )
    options = ["--config", study_folder / "study.yaml", "--todo"]
    return lambda *stages: call("llm_brain_asym", *options, *stages)


def test_a_configuration_has_a_line_for_every_checkpoint_in_an_order_that_can_be_run(study_folder, configured):
    status, printed, error = configured("dyck", "fit", "activations")
    assert (status, error) == (0, "")
    assert printed.splitlines() == [
        *(
            f"python extract_llm_activations.py --model me/lm --revision {revision} --lang {lang} && "
            f"python fit_average_subject.py --model me_lm_{revision} --lang {lang} --alphas 0 7 16"
            for lang in ("en", "fr")
            for revision in ("step2", "step1")
        ),
        *(
            f"python evaluate_llm_dyck.py --model me/lm --revision {revision} --seed 12345"
            for revision in ("step2", "step1")
        ),
    ]
    names = "me_lm_step2, me_lm_step1"
    waits = f"fit, en: waits for activations of {names}\nfit, fr: waits for activations of {names}\n"
    assert configured("fit") == (0, "", waits)
    assert configured("acceptability")[1:] == ("", f"acceptability: waits for texts of {names}\n")


def test_a_configuration_lists_only_what_is_not_finished(study_folder, configured, make_output):
    make_output(activations_path("me_lm_step1", "en"), "extract_llm_activations.py --dtype float32", STEP1)
    fit = "python fit_average_subject.py --model me_lm_step1 --lang en --alphas 0 7 16"
    assert configured("fit", "--lang", "en")[1] == f"{fit}\n"
    assert configured("activations", "fit", "--lang", "en")[1].splitlines()[1] == fit
    make_output(run_correlations_path("me_lm_step1", "en"), "fit_average_subject.py", {"alphas": [2, 7, 16]})
    lines = configured("activations", "fit", "--lang", "en")[1].splitlines()
    assert len(lines) == 1 and "step2" in lines[0]
    folder = generated_texts_folder()
    for sample in range(2):
        make_output(generated_text_path("me_lm_step1", 0, sample, folder), "generate_texts.py", STEP1)
    make_output(generated_text_path("me_lm_step2", 0, 0, folder), "generate_texts.py", STEP1 | {"revision": "step2"})
    texts = "python generate_texts.py --model me/lm --revision step2 --n_samples 2 --seed 3\n"
    assert configured("texts") == (0, texts, "")
    judge = "python evaluate_linguistic_acceptability.py --model me_lm --classifier you/judge\n"
    assert configured("acceptability") == (0, judge, "")


def test_a_configuration_lists_tasks_of_lm_eval_without_results(study_folder, configured, call):
    results = lm_eval_path("me_lm_step2", "a") / "me__lm" / "results_2026.json"
    results.parent.mkdir(parents=True)
    results.touch()
    lines = configured("lm_eval")[1].splitlines()
    assert [(line.split()[4].split(",")[1], line.split()[6]) for line in lines] == [
        ("revision=step2", "b"),
        ("revision=step1", "a"),
        ("revision=step1", "b"),
    ]
    status, _, error = call("llm_brain_asym", "--todo", "lm_eval")
    assert (status, "--todo lm_eval: expected --config" in error) == (2, True)
    status, _, error = call("llm_brain_asym", "--config", study_folder / "study.yaml")
    assert (status, "--config: expected --todo STAGE with it" in error) == (2, True)


def test_activations_that_are_outdated_come_before_the_fit(fitting_study, call, to_do, model):
    assert call("extract_llm_activations", "--model", model, "--revision", "step8", "--device", "cpu")[0] == 0
    timings = word_timings_path("en")
    timings.write_text(timings.read_text().replace("\n", ",\n", 1).replace(",\n", "\n", 1) + "\n")
    later = activations_path(STEM, "en").stat().st_mtime + 10
    os.utime(timings, (later, later))
    assert to_do("activations", "fit") == (
        0,
        f"python extract_llm_activations.py --model {model} --revision step8 --lang en --device cpu --overwrite\n",
        f"fit: waits for activations of {STEM}\n",
    )
