"""The check of a study: what it shows, what it warns of, and every fault that a later stage would refuse."""

import re

import nibabel
import numpy as np
import pandas as pd
from checked import edit_run, edit_timings, labels_at, write_atlas
from helpers import add_blimp, all_files

from study.files.safe_joblib import read_arrays
from study.inputs.le_petit_prince import read_word_timings
from study.paths import (
    average_subject_path,
    isc_path,
    mask_path,
)


def line_of(printed, what):
    """The line on something, without its name."""
    (line,) = [line for line in printed.splitlines() if line.startswith(f"{what} ")]
    return line.removeprefix(what).strip()


def test_what_is_there_is_counted(fitting_study, check):
    add_blimp(fitting_study)
    write_atlas(fitting_study, labels_at(0, 0, 2, 1))
    edit_timings(fitting_study, lambda rows: pd.concat([rows, rows[:3].assign(word="")]))
    before = all_files(fitting_study)
    status, printed, error = check()
    assert (status, error, printed.splitlines()[-1]) == (0, "", "nothing is wrong")
    assert all_files(fitting_study) == before

    rows = pd.read_csv(fitting_study / "lppEN_word_information.csv")
    n_words = rows["word"].notna().sum()
    assert line_of(printed, "story") == f"4 runs, {n_words} words of {n_words + 3} rows, all placed in the text"
    n_scans = [len(read_arrays(average_subject_path("en", run))) for run in range(4)]
    last = rows.groupby("section")["offset"].max().to_numpy()
    share = last / (2 * np.array(n_scans))
    assert line_of(printed, "fMRI") == (
        f"4 runs, {sum(n_scans)} scans of 24 voxels; the story ends at {share.min():.0%} to {share.max():.0%} of the "
        f"scans ({last[0]:.0f} of {2 * n_scans[0]} s in run-0)"
    )
    assert line_of(printed, "mask") == (
        "24 voxels of 10 mm; 8 left, 8 right, 8 on the midline; left is x < 0 by its sform (code 2, aligned), "
        "stored in order RAS"
    )
    isc = read_arrays(isc_path("en")).mean(axis=0)
    reliable = isc > np.percentile(isc, 75)  # in C order, the first third of the voxels is on the left
    sides = f"{reliable[:8].sum()} left, {reliable[16:].sum()} right"
    assert line_of(printed, "ISC") == f"10 trials; {reliable.sum()} reliable voxels, {sides}"
    assert line_of(printed, "regions").startswith("0 of 8 regions have voxels on both sides; without: TP, aSTS")
    sides = "left is x < 0 by its sform (code 2, aligned), stored in order RAS"
    assert line_of(printed, "atlas") == f"2 regions on the left of the mask (median size: 1); {sides}"
    assert line_of(printed, "BLiMP") == "2 paradigms, 20 pairs"
    assert line_of(printed, "Zorro") == "not there (optional)"
    assert line_of(printed, "training tokens") == "not there (optional)"
    assert line_of(printed, "checkpoints") == "0 known, 0 of them fitted"


def test_words_that_are_not_in_the_text_are_counted(fitting_study, check):
    def repeat(rows):
        return pd.concat([rows[:9], rows[8:9].assign(word="um"), rows[9:]])

    edit_timings(fitting_study, repeat)
    assert re.search(r"\d+ rows, 1 of them not in the text", line_of(check()[1], "story"))


def test_fmri_that_is_not_z_scored_is_no_more_than_noted(fitting_study, check):
    for run in range(4):
        edit_run(run, lambda scans: 3 * scans + 1000)
    status, printed, _ = check()
    assert (status, printed.splitlines()[-1]) == (0, "nothing is wrong")
    assert line_of(printed, "fMRI").endswith("; not z-scored, which the fit does")


def lengthen(factor):
    for run in range(4):
        edit_run(run, lambda scans: np.random.default_rng(0).standard_normal((int(len(scans) * factor), 24)))


def test_another_tr_is_told_with_the_one_that_fits(fitting_study, check):
    lengthen(2)
    status, printed, _ = check()
    (warning,) = [line for line in printed.splitlines() if line.startswith("warning: ")]
    rows, n_scans = pd.read_csv(fitting_study / "lppEN_word_information.csv"), []
    for run in range(4):
        n_scans.append(len(read_arrays(average_subject_path("en", run))))
    last = rows.groupby("section")["offset"].max().to_numpy()
    assert status == 0
    assert f"the words fill only {min(last / n_scans / 2):.0%} to {max(last / n_scans / 2):.0%} of the scans" in warning
    assert f"Is the TR {np.median(last / n_scans):.2f} s? The fit takes 2 s" in warning
    assert printed.splitlines()[-1] == "no error, 1 warning"


def test_a_rest_after_a_short_run_is_no_other_tr(fitting_study, check):
    """Runs of 66 to 99 s with 19 s of rest: most fill less than 85 % of the scans, and nothing is wrong."""
    for run, (_, _, offsets) in enumerate(read_word_timings("en")):
        n_scans = int((offsets[-1] + 19) / 2)
        edit_run(run, lambda scans, n=n_scans: np.random.default_rng(0).standard_normal((n, 24)))
    status, printed, _ = check()
    assert (status, printed.splitlines()[-1]) == (0, "nothing is wrong")
    assert re.search(r"ends at (7\d|80)% to 8[45]%", line_of(printed, "fMRI"))


def test_one_run_whose_words_end_early_is_named(fitting_study, check):
    edit_timings(fitting_study, lambda rows: rows[(rows["section"] != 2) | (rows["onset"] < 45)])
    status, printed, _ = check()
    assert status == 0
    (warning,) = [line for line in printed.splitlines() if line.startswith("warning: ")]
    assert re.search(
        r"average_subject_run-1\.gz: its last word ends at 4\d of 9\d s\. Are rows missing in section 2 of", warning
    )


def test_a_mask_of_one_hemisphere_and_a_half_is_told(fitting_study, check):
    inside = np.ones((3, 2, 4), np.int8)
    inside[2, 0] = inside[2, 1, :2] = 0
    image = nibabel.load(mask_path("en"))
    nibabel.Nifti1Image(inside, image.affine).to_filename(mask_path("en"))
    assert "only 67% of its voxels have a mirror image in it. Is a hemisphere missing?" in check()[1]


def test_rows_of_training_tokens_of_no_checkpoint_are_told(fitting_study, check, call, tiny_checkpoint):
    assert call("extract_llm_activations", "--model", tiny_checkpoint, "--revision", "step8", "--device", "cpu")[0] == 0
    table = fitting_study / "training_tokens.csv"
    table.write_text("model,revision,tokens\ntiny-pythia,step8,5\ntiny-pythia,final,6\nme/lm,,7\n")
    status, printed, _ = check()
    assert status == 0
    assert line_of(printed, "training tokens") == "3 rows in training_tokens.csv"
    assert f"warning: {table}: rows of no checkpoint so far: tiny-pythia final, me_lm. The model is" in printed
    assert line_of(printed, "checkpoints") == "1 known, 0 of them fitted"
    table.write_text("model,revision,tokens\ntiny-pythia,step8,5\n")
    assert check()[1].splitlines()[-1] == "nothing is wrong"
    table.write_text("model,revision,tokens\ntiny-pythia,step8,5\ntiny-pythia,final,many\n")
    status, printed, _ = check()
    assert status == 1
    assert "error: " in printed
    assert "training_tokens.csv: line 3: expected a number as tokens, got 'many'" in printed
