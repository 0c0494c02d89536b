"""Tabulate, read and average the surprisal of the words of the story."""

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.statistics.curve import Curve
from pipeline.statistics.run_resampling import resample_correlations, resample_ratios
from pipeline.words.ngrams import compute_bigram_surprisal, compute_unigram_surprisal, count_letters
from study.files.tables import parse_numbers, read_csv
from study.paths import surprisal_path, text_path, word_timings_path
from study.require import require_output

COLUMNS = ["run", "word_index", "word", "n_tokens", "surprisal"]


def tabulate_surprisal(words_of_runs, runs, has_context=False):
    """Return the table of ``surprisal_path``, a row per word of the story in order.

    Parameters
    ----------
    words_of_runs : list over runs of list of str
    runs : list over runs of dict with surprisal, n_tokens and n_context, arrays (n_words,)
    has_context : bool, add the column n_context

    Returns
    -------
    pandas.DataFrame with columns run, word_index, word, n_tokens, surprisal; then n_context
        run and word_index count from 0, as in the file of the word vectors. surprisal is in nats, NaN (an empty cell)
        where a token of the word has no context: at the first token of a window that the model reads without BOS. The
        perplexity of a word is exp(surprisal / n_tokens). n_context counts the tokens before the word in its window.
    """
    tables = [
        pd.DataFrame({"run": run, "word_index": np.arange(len(words)), "word": words})
        for run, words in enumerate(words_of_runs)
    ]
    names = ["n_tokens", "surprisal", *(["n_context"] if has_context else [])]
    columns = {name: np.concatenate([run[name] for run in runs]) for name in names}
    return pd.concat(tables, ignore_index=True).assign(**columns)


def read_surprisal(stem, lang):
    """Read the surprisal of a checkpoint at every word, a pandas.DataFrame as ``tabulate_surprisal`` returns it.

    A file that is missing or damaged raises InputError.
    """
    path = require_output(surprisal_path(stem, lang), "extract_llm_activations.py")
    rows = read_csv(path, COLUMNS, free_text=["word"])
    is_empty = rows["surprisal"] == ""
    numbers = {name: parse_numbers(rows[name], path) for name in ("run", "word_index", "n_tokens")}
    values = parse_numbers(rows["surprisal"].mask(is_empty, "0"), path)
    if rows.empty or is_empty.all():
        raise InputError(f"{path}: expected the surprisal of words, got none. Make it again with --overwrite.")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise InputError(f"{path}: expected surprisal of 0 or more, got other numbers. Make it again with --overwrite.")
    table = rows.assign(**{name: column.astype(int) for name, column in numbers.items()})
    return table.assign(surprisal=np.where(is_empty, np.nan, values)).reset_index(drop=True)


def compute_story_curves(model, checkpoints, lang):
    """Compute curves of the model's surprisal of the story, and of its agreement with word frequencies.

    ``surprisal`` is the mean over words, in nats, and ``surprisal_per_letter`` the sum over words divided by the number
    of letters and digits. ``unigram_agreement`` and ``bigram_agreement`` are Pearson's correlation over words between
    the surprisal of the model and -log of the probability of the word in the rest of the story (see
    ``pipeline.words.ngrams``). Words without a surprisal at some checkpoint count at no checkpoint.

    Parameters
    ----------
    model, lang : str
    checkpoints : pandas.DataFrame with a column stem, as ``find_fitted_checkpoints`` returns it

    Returns
    -------
    dict from name to Curve
        Runs are drawn with replacement, the same at all checkpoints. NaN where a checkpoint has no file. The dict is
        empty where no checkpoint has a file. InputError is raised if a file is damaged, or files have different words.
    """
    tables = [
        read_surprisal(stem, lang) if surprisal_path(stem, lang).is_file() else None for stem in checkpoints["stem"]
    ]
    first = next((table for table in tables if table is not None), None)
    if first is None:
        return {}
    values = np.full((len(tables), len(first)), np.nan)  # (n_checkpoints, n_words)
    for row, (stem, table) in enumerate(zip(checkpoints["stem"], tables, strict=True)):
        if table is None:
            continue
        if not table[["run", "word"]].equals(first[["run", "word"]]):
            raise InputError(
                f"{surprisal_path(stem, lang)}: expected the words of the other checkpoints of {model}, got others. "
                f"Extract again from the same {text_path(lang).name} and {word_timings_path(lang).name}."
            )
        values[row] = table["surprisal"]
    is_used = np.isfinite(values[[table is not None for table in tables]]).all(axis=0)
    runs, words_of_runs = first["run"].to_numpy(), [list(words) for _, words in first.groupby("run")["word"]]
    values, used_runs = values[:, is_used], runs[is_used]
    letters = count_letters(first["word"])[is_used]
    curves = {
        "surprisal": resample_ratios(values, np.ones(is_used.sum()), used_runs),
        "surprisal_per_letter": resample_ratios(values, letters, used_runs),
    }
    for name, compute in (("unigram", compute_unigram_surprisal), ("bigram", compute_bigram_surprisal)):
        curves[f"{name}_agreement"] = resample_correlations(values, compute(words_of_runs)[is_used], used_runs)
    return curves


def select_rivals(curves):
    """Return the curves of ``compute_story_curves`` that are compared with left minus right, a dict from name to Curve.

    Surprisal falls while left minus right rises, and alignment is 0 for curves in opposite directions. So
    ``minus_surprisal`` stands for surprisal. No plateau of these curves has bounds: pass their names as ``unbounded``.
    """
    rivals = {name: curve for name, curve in curves.items() if name.endswith("_agreement")}
    if "surprisal" in curves:
        rivals = {"minus_surprisal": Curve(-curves["surprisal"].values, -curves["surprisal"].resamples)} | rivals
    return rivals
