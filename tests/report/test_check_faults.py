"""The check of a study: what it shows, what it warns of, and every fault that a later stage would refuse."""

import re
import shutil
import zipfile

import numpy as np
import pytest
from checked import edit_run, edit_timings, labels_at, make_folder, replace_member, write_atlas, write_mask
from helpers import STEM, all_files

from study.files.safe_joblib import read_arrays, write_arrays
from study.files.tables import write_table
from study.outputs.surprisal import read_surprisal
from study.paths import (
    activations_path,
    average_subject_path,
    isc_path,
    layer_correlations_path,
    mask_path,
    run_correlations_path,
    surprisal_path,
)
from study.records import record_path, write_record

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
    words = read_surprisal(STEM, "en")
    write_table(surprisal_path(STEM, "en"), words.assign(surprisal=-words["surprisal"]))
    status, printed, _ = check()
    assert status == 1
    assert f"error: {surprisal_path(STEM, 'en')}: expected surprisal of 0 or more, got other numbers" in printed


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
