"""The two scripts, from files to files: the published method's numbers, and what they say to bad input."""

import zipfile

import numpy as np
import pytest
from script_faults import edit_timings, refuses

from study.files.safe_joblib import write_arrays
from study.paths import (
    onsets_offsets_path,
)


def replace_text(folder, run, text, encoding="utf-8"):
    path = folder / "lpp_en_text.zip"
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    texts[f"lpp_en_text/text_en_run{run}.txt"] = text.encode(encoding)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in texts.items():
            archive.writestr(name, content)


EXTRACTION_FAULTS = {
    "no text": (
        lambda folder: (folder / "lpp_en_text.zip").unlink(),
        r"lpp_en_text\.zip: expected a file, got none\. Get it from http",
    ),
    "no timings": (
        lambda folder: (folder / "lppEN_word_information.csv").unlink(),
        r"lppEN_word_information\.csv: expected a file, got none\. Get it from .*ds003643.*annotation/EN",
    ),
    "no zip": (lambda folder: (folder / "lpp_en_text.zip").write_text("x"), r"lpp_en_text\.zip: download it again"),
    "a text of another story": (
        lambda folder: replace_text(folder, 2, "It was the best of times, it was the worst of times. " * 12),
        r"section 2, does not fit .*lpp_en_text\.zip: only .* from word 1 on, '.*' was heard where the text reads '",
    ),
    "a text in Latin-1": (
        lambda folder: replace_text(folder, 2, "Il est allé dans le désert", "latin-1"),
        r"lpp_en_text\.zip: lpp_en_text/text_en_run2\.txt: line 1: expected text in UTF-8, got the byte 0xe9\. Save it",
    ),
    "another number of sections": (
        lambda folder: edit_timings(folder, lambda rows: rows[rows["section"] < 4]),
        r"lppEN_word_information\.csv: expected 4 sections, as .*lpp_en_text\.zip has runs, got 3",
    ),
    "a section left out": (
        lambda folder: edit_timings(folder, lambda rows: rows[rows["section"] != 2]),
        r"lppEN_word_information\.csv: expected the sections 1, 2, 3 \.\.\., got 1, 3, 4\.",
    ),
    "no column of words": (
        lambda folder: edit_timings(folder, lambda rows: rows.rename(columns={"word": "token"})),
        r"lppEN_word_information\.csv: expected .*, got 'Unnamed: 0,token,onset,offset,section', without word",
    ),
    "an onset that is no number": (
        lambda folder: edit_timings(folder, lambda rows: rows.astype(str).replace({"onset": {"3.0": "soon"}})),
        r"lppEN_word_information\.csv: line 4: expected a number as onset, got 'soon'",
    ),
    "a word that ends before it begins": (
        lambda folder: edit_timings(
            folder, lambda rows: rows.assign(offset=rows["offset"] - 3 * (rows["onset"] == 4.5))
        ),
        r"lppEN_word_information\.csv: line 5: expected an onset .* and an offset no earlier, got 4\.5 and ",
    ),
    "a word at the end of time": (
        lambda folder: edit_timings(
            folder, lambda rows: rows.assign(offset=rows["offset"].where(rows["onset"] != 4.5, np.inf))
        ),
        r"lppEN_word_information\.csv: line 5: expected an onset .* got 4\.5 and inf s",
    ),
    "sections without end": (
        lambda folder: edit_timings(
            folder, lambda rows: rows.assign(section=rows["section"].astype(float).where(rows.index > 0, np.inf))
        ),
        r"lppEN_word_information\.csv: expected the sections .*inf",
    ),
    "rows with a field too many": (
        lambda folder: (folder / "lppEN_word_information.csv").write_text(
            "word,onset,offset,section\nthe,0.1,0.2,1,1\nfox,0.3,0.4,1,1\n"
        ),
        r"lppEN_word_information\.csv",
    ),
    "the text of another language": (
        lambda folder: (folder / "lpp_en_text.zip").write_bytes(
            (folder / "lpp_en_text.zip").read_bytes().replace(b"text_en", b"text_fr")
        ),
        r"lpp_en_text\.zip: expected lpp_en_text/text_en_run1\.txt in it",
    ),
    "timings of another edition": (
        lambda folder: write_arrays(onsets_offsets_path("en"), [(np.zeros(3), np.ones(3)) for _ in range(4)]),
        r"onsets_offsets_en\.lz4: expected the word timings of .*lppEN_word_information\.csv",
    ),
}


@pytest.mark.parametrize("fault", EXTRACTION_FAULTS)
def test_extraction_says_what_is_wrong(tiny_study, extract, fault):
    damage, said = EXTRACTION_FAULTS[fault]
    damage(tiny_study)
    refuses(tiny_study, extract, said)
