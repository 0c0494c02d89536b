"""The table of surprisal, its curves over training against plain loops, and the extraction that writes it."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import Stopped, counting_calls

from pipeline.errors import InputError
from pipeline.statistics.resampling import draw_counts
from pipeline.words.ngrams import compute_bigram_surprisal, compute_unigram_surprisal
from study.files.tables import write_table
from study.outputs import surprisal
from study.paths import activations_path, record_path, surprisal_path

WORDS = [["The", "fox", "sees", "the", "fox"], ["the", "well"], ["A", "fox", "sees", "a", "well", "the", "fox"]]
CHECKPOINTS = pd.DataFrame({"stem": ["lm_a", "lm_b", "lm_c", "lm_d"]})


def write(stem, values, words=WORDS):
    """Write the surprisal of a checkpoint, values for all words."""
    cuts = np.cumsum([len(run) for run in words])[:-1]
    runs = [{"surprisal": part, "n_tokens": np.ones(len(part), dtype=int)} for part in np.split(values, cuts)]
    path = surprisal_path(stem, "en")
    path.parent.mkdir(exist_ok=True)
    write_table(path, surprisal.tabulate_surprisal(words, runs))
    return path


def test_a_table_is_read_as_it_was_written(study_folder):
    values = np.arange(14) + 0.1
    values[0] = np.nan
    write("lm_a", values)
    table = surprisal.read_surprisal("lm_a", "en")
    assert list(table) == ["run", "word_index", "word", "n_tokens", "surprisal"]
    np.testing.assert_array_equal(table["surprisal"], values)
    assert table["word"].tolist() == [word for run in WORDS for word in run]
    assert table["run"].tolist() == [0] * 5 + [1] * 2 + [2] * 7
    assert table["word_index"].tolist() == [*range(5), *range(2), *range(7)]


@pytest.mark.parametrize("values", [np.full(14, np.nan), np.full(14, -1.0), np.full(14, np.inf)])
def test_a_damaged_table_is_an_error(study_folder, values):
    path = write("lm_a", values)
    with pytest.raises(InputError, match=rf"{path.name}: .*expected (the surp|surprisal of 0|a numb)"):
        surprisal.read_surprisal("lm_a", "en")


def test_curves_are_those_of_plain_loops(study_folder):
    rng = np.random.default_rng(0)
    values = {stem: rng.gamma(2, 3, 14) for stem in ("lm_a", "lm_b", "lm_d")}  # lm_c has no file
    values["lm_b"][0] = np.nan
    for stem, values_of_stem in values.items():
        write(stem, values_of_stem)
    curves = surprisal.compute_story_curves("lm", CHECKPOINTS, "en")
    assert list(curves) == ["surprisal", "surprisal_per_letter", "unigram_agreement", "bigram_agreement"]
    words = [word for run in WORDS for word in run]
    runs = np.repeat(np.arange(3), [5, 2, 7])
    counts = draw_counts(np.random.default_rng(0), 3, np.ones(3), n_resamples=1000)
    references = {"unigram": compute_unigram_surprisal(WORDS), "bigram": compute_bigram_surprisal(WORDS)}
    for draw, row in [(np.ones(3, dtype=int), None), (counts[7], 7)]:
        items = [k for run in range(3) for _ in range(draw[run]) for k in np.flatnonzero(runs == run) if k != 0]
        for place, stem in enumerate(CHECKPOINTS["stem"]):
            expected = dict.fromkeys(curves, np.nan)
            if stem in values:
                y = values[stem]
                expected["surprisal"] = np.mean(y[items])
                expected["surprisal_per_letter"] = y[items].sum() / sum(len(words[k]) for k in items)
                for name, reference in references.items():
                    kept = [k for k in items if np.isfinite(reference[k])]
                    expected[f"{name}_agreement"] = np.corrcoef(y[kept], reference[kept])[0, 1]
            for name, curve in curves.items():
                value = curve.values[place] if row is None else curve.resamples[row, place]
                np.testing.assert_allclose(value, expected[name], rtol=1e-9)
    rivals = surprisal.select_rivals(curves)
    assert list(rivals) == ["minus_surprisal", "unigram_agreement", "bigram_agreement"]
    np.testing.assert_array_equal(rivals["minus_surprisal"].values, -curves["surprisal"].values)


def test_without_a_file_there_is_no_curve_and_other_words_are_an_error(study_folder):
    assert surprisal.compute_story_curves("lm", CHECKPOINTS, "en") == {}
    assert surprisal.select_rivals({}) == {}
    write("lm_a", np.ones(14))
    write("lm_d", np.ones(14), [["The", "fox", "sees", "the", "king"], *WORDS[1:]])
    with pytest.raises(InputError, match=r"lm_d_en_surprisal.csv.gz: expected the words of the other checkpoints"):
        surprisal.compute_story_curves("lm", CHECKPOINTS, "en")


# ---------------------------------------------------------------- the extraction


def test_the_extraction_writes_surprisal_and_activations_together(tiny_study, tiny_checkpoint, call, monkeypatch):
    command = ["extract_llm_activations", "--model", tiny_checkpoint, "--revision", "step8"]
    stem = "tiny-pythia_step8"
    output, table_path = activations_path(stem, "en"), surprisal_path(stem, "en")
    assert call(*command, "--no-surprisal")[0] == 0
    plain = output.read_bytes()
    assert not table_path.exists()
    # A finished extraction stays finished, whatever the option.
    status, printed, _ = call(*command)
    assert status == 0
    assert f"{table_path} does not exist: --overwrite makes it, and the activations again" in printed
    assert not table_path.exists()
    # An interrupted extraction goes on from the runs that are finished.
    name = "study.stages.extraction.read_run"
    with counting_calls(monkeypatch, name, most=2), pytest.raises(Stopped):
        call(*command, "--overwrite")
    with counting_calls(monkeypatch, name) as calls:
        status, printed, _ = call(*command, "--overwrite")
    assert len(calls) == 2
    assert status == 0
    assert output.read_bytes() == plain
    table = surprisal.read_surprisal(stem, "en")
    assert f"surprisal {table['surprisal'].mean():.3f} nats per word" in printed
    assert np.isnan(table["surprisal"][table["word_index"] == 0]).any()
    record = json.loads(record_path(output).read_text())
    assert set(record["sha256"]) == {output.name, table_path.name}
    assert len(record["first_token_norm_ratio"]) == 4
    assert all(ratio > 0 for ratio in record["first_token_norm_ratio"])
    assert call(*command, "--no-surprisal")[0] == 0  # which leaves the table
    assert table_path.exists()
    # Activations that are made again without surprisal leave no table of other activations.
    assert call(*command, "--no-surprisal", "--overwrite")[0] == 0
    assert not table_path.exists()
