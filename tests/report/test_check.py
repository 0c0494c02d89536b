"""The check of a study: what it shows, what it warns of, and every fault that a later stage would refuse."""

import re
import shutil
import zipfile

import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers import add_blimp, all_files

from study.files.safe_joblib import read_arrays, write_arrays
from study.inputs.le_petit_prince import read_word_timings
from study.paths import (
    activations_path,
    average_subject_path,
    isc_path,
    layer_correlations_path,
    mask_path,
    run_correlations_path,
)
from study.records import record_path, write_record

STEM = "tiny-pythia_step8"


@pytest.fixture
def check(call):
    """check() -> (status, stdout, stderr)."""
    return lambda *options: call("llm_brain_asym", "--check", *options)


def line_of(printed, what):
    """The line on something, without its name."""
    (line,) = [line for line in printed.splitlines() if line.startswith(f"{what} ")]
    return line.removeprefix(what).strip()


def write_mask(folder, shape=(3, 2, 4), x=-10.0, size=10.0):
    affine = np.diag([size, size, size, 1.0])
    affine[0, 3] = x
    nibabel.Nifti1Image(np.ones(shape, np.int8), affine).to_filename(folder / "mask_lpp_en.nii.gz")


def write_atlas(folder, labels):
    affine = np.diag([10.0, 10, 10, 1])
    affine[0, 3] = -10
    nibabel.Nifti1Image(np.asarray(labels, np.float32), affine).to_filename(folder / "atlas.nii.gz")


def labels_at(*positions):
    """An atlas with a number for each given place along x (0 left, 1 midline, 2 right)."""
    labels = np.zeros((3, 2, 4))
    for number, position in enumerate(positions, start=1):
        labels[position, number % 2, number % 4] = number
    return labels


def edit_timings(folder, change):
    path = folder / "lppEN_word_information.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)


def edit_run(run, change):
    path = average_subject_path("en", run)
    write_arrays(path, change(read_arrays(path)))


def replace_member(folder, run, content):
    path = folder / "lpp_en_text.zip"
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    texts[f"lpp_en_text/text_en_run{run}.txt"] = content
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


# ---------------------------------------------------------------- what is there


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


# ---------------------------------------------------------------- warnings


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


# ---------------------------------------------------------------- errors


def make_folder(name):
    def make(folder):
        path = folder / name
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)

    return make


FAULTS = {
    "a run of 20 scans": (
        lambda folder: edit_run(0, lambda scans: scans[:20]),
        r"average_subject_run-0\.gz: 20 scans are too few: 10 are cut off at each end",
    ),
    "a run that ends before its words": (
        lambda folder: edit_run(0, lambda scans: scans[:30]),
        r"lppEN_word_information\.csv does not fit .*run-0\.gz: run 0: word \d+ .* begins after the end",
    ),
    "a mask that is not symmetric": (
        lambda folder: write_mask(folder, x=-8.0),
        r"mask_lpp_en\.nii\.gz: the mask's grid is not symmetric about x = 0",
    ),
    "a mask of the right hemisphere": (
        lambda folder: write_mask(folder, x=10.0),
        r"isc_10trials_en\.gz: a side has no \(reliable\) voxel",
    ),
    "a mask of other voxels": (
        lambda folder: write_mask(folder, (3, 2, 5)),
        r"average_subject_run-0\.gz has other voxels \(24\) than .*mask_lpp_en\.nii\.gz \(30\)",
    ),
    "onsets in milliseconds": (
        lambda folder: edit_timings(
            folder, lambda rows: rows.assign(onset=1000 * rows["onset"], offset=1000 * rows["offset"])
        ),
        r"begins after the end of the \d+ scans of 2 s; are the times in milliseconds\?",
    ),
    "two runs": (
        lambda folder: (
            [average_subject_path("en", run).unlink() for run in (2, 3)],
            edit_timings(folder, lambda rows: rows[rows["section"] < 3]),
            keep_texts(folder, 2),
        ),
        r"lpp_en_average_subject: 2 runs are too few: one is held out, one chooses alpha, the others train",
    ),
    "a run of fMRI too few": (
        lambda folder: average_subject_path("en", 3).unlink(),
        r"lppEN_word_information\.csv: expected 3 runs, as .* has, got 4",
    ),
    "another text": (
        lambda folder: replace_member(folder, 2, b"It was the best of times, it was the worst of times. " * 12),
        r"section 2, does not fit .*lpp_en_text\.zip: only .* from word 1 on",
    ),
    "an atlas on the right": (
        lambda folder: write_atlas(folder, labels_at(2, 2)),
        r"atlas\.nii\.gz: the atlas: no region lies left of the midline: mirror it",
    ),
    "an atlas on the midline": (
        lambda folder: write_atlas(folder, labels_at(1)),
        r"atlas\.nii\.gz: the atlas: no region lies left of the midline: mirror it",
    ),
    "an atlas of nothing": (
        lambda folder: write_atlas(folder, labels_at()),
        r"atlas\.nii\.gz: the atlas has no region in the mask",
    ),
    "an atlas of fractions": (
        lambda folder: write_atlas(folder, labels_at(0) * 0.4),
        r"atlas\.nii\.gz: expected whole numbers, one for each region and 0 elsewhere, got 0\.4",
    ),
    "an atlas that is a folder": (make_folder("atlas.nii.gz"), r"atlas\.nii\.gz is a folder \(expected a file\)"),
    "an empty blimp/data": (make_folder("blimp/data"), r"blimp/data: expected \.jsonl files, got none"),
    "a blimp without data": (make_folder("blimp"), r"blimp/data: expected \.jsonl files, got none"),
    "a Zorro without data": (make_folder("Zorro/sentences"), r"babyberta: expected \.txt files, got none"),
    "timings that are a folder": (
        make_folder("lppEN_word_information.csv"),
        r"lppEN_word_information\.csv: expected a file, got a folder",
    ),
    "a mask that is a link to nothing": (
        lambda folder: (mask_path("en").unlink(), mask_path("en").symlink_to(folder / "nowhere")),
        r"mask_lpp_en\.nii\.gz: expected a file, got none\. Get it from",
    ),
    "sections that are not counted": (
        lambda folder: edit_timings(folder, lambda rows: rows[rows["section"] != 2]),
        r"expected the sections 1, 2, 3 \.\.\., got 1, 3, 4",
    ),
    "fMRI that does not vary": (
        lambda folder: edit_run(1, lambda scans: 0 * scans),
        r"average_subject_run-1\.gz: expected voxels that vary",
    ),
    "an image in the place of fMRI": (
        lambda folder: shutil.copy(folder / "mask_lpp_en.nii.gz", average_subject_path("en", 1)),
        r"average_subject_run-1\.gz: expected arrays that joblib wrote, got a NIfTI image",
    ),
    "a text in Latin-1": (
        lambda folder: replace_member(folder, 3, "Le petit prince est allé".encode("latin-1")),
        r"lpp_en_text\.zip: lpp_en_text/text_en_run3\.txt: line 1: expected text in UTF-8, got the byte 0xe9\. Save it",
    ),
    "ISC that is no number": (
        lambda folder: write_arrays(isc_path("en"), np.full((10, 24), np.nan)),
        r"isc_10trials_en\.gz: an ISC of shape \(10, 24\) is not .* of finite numbers",
    ),
    "a damaged record": (
        lambda folder: (
            (folder / "llms_activations").mkdir(),
            (folder / "llms_activations" / "x_en.lz4").touch(),
            (folder / "llms_activations" / "x_en.lz4.json").write_text("{"),
        ),
        r"x_en\.lz4\.json: remove it",
    ),
}


def keep_texts(folder, n_runs):
    path = folder / "lpp_en_text.zip"
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in list(texts.items())[:n_runs]:
            archive.writestr(name, text)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_an_error_in_one_line(fitting_study, check, fault):
    damage, said = FAULTS[fault]
    damage(fitting_study)
    before = all_files(fitting_study)
    status, printed, error = check()
    assert (status, error) == (1, "")
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert [line for line in errors if re.search(said, line)], errors
    assert len(set(errors)) == len(errors) <= 2
    assert "nothing is wrong" not in printed
    assert "np.float64" not in printed
    assert "warning: " not in printed or "mask" in fault
    assert all_files(fitting_study) == before


def test_faults_do_not_hide_each_other(fitting_study, check):
    for fault in ("an atlas of fractions", "another text", "an empty blimp/data", "fMRI that does not vary"):
        FAULTS[fault][0](fitting_study)
    status, printed, _ = check()
    assert status == 1
    assert printed.count("error: ") == 4


def test_word_vectors_that_the_fit_would_refuse_are_told(fitting_study, check, call, tiny_checkpoint):
    assert call("extract_llm_activations", "--model", tiny_checkpoint, "--revision", "step8", "--device", "cpu")[0] == 0
    path = activations_path(STEM, "en")
    study_record = record_path(path)
    content, runs = path.read_bytes(), read_arrays(path)
    runs[2][1][3, 4] = np.nan
    write_arrays(path, runs)
    status, printed, _ = check()
    assert status == 1
    assert f"error: {path}: run 2, layer 1: values that are not finite numbers. Extract again" in printed
    runs[2][1][:] = 0
    write_arrays(path, runs)
    assert f"error: {path}: layer 1: no unit varies in run 2" in check()[1]
    path.write_bytes(content)
    assert not study_record.exists()
    assert check()[0] == 0


def test_checkpoints_of_one_curve_that_do_not_go_together_are_told(fitting_study, check):
    rng = np.random.default_rng(0)
    for revision, n_runs in (("step1", 4), ("step2", 3)):
        path = run_correlations_path(f"me_lm_{revision}", "en")
        path.parent.mkdir(exist_ok=True)
        correlations = rng.random((1, n_runs, 24)).astype(np.float32)
        np.savez(path, correlations=correlations, alphas=np.ones((1, n_runs)))
        write_arrays(layer_correlations_path(f"me_lm_{revision}", 0, "en"), correlations[0].mean(axis=0))
        write_record(path, {"alphas": [2, 7, 16]}, [], 0, {"model": "me/lm", "revision": revision})
    status, printed, _ = check()
    assert status == 1
    assert "error: checkpoints of me_lm have 3 and 4 runs" in printed
    assert "warning: left out of curves, since their training tokens are not known: me_lm_step1, me_lm_step2" in printed
    tokens = fitting_study / "training_tokens.csv"
    tokens.write_text("model,revision,tokens\nme/lm,step1,5\nme/lm,step2,5\n")
    assert "expected a number of training tokens for each checkpoint" in check()[1]
