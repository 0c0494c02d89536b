"""Prepare benchmarks from published and hostile files, and from files of one's own."""

from pathlib import Path

import numpy as np
import pytest

from study.inputs import hdf5
from study.inputs.stories import read_story_table
from study.outputs.brain_benchmarks import read_benchmark
from study.paths import brain_benchmark_path, story_path

h5py = pytest.importorskip("h5py", reason="h5py is not here: pip install -r experiments/brain_score/requirements.txt")
PREPARE = "experiments.brain_score.prepare"
MADE = Path(__file__).with_name("assy_made.nc")


def write_layout(path, benchmark="blank", **changes):
    """Write a small file in the published layout of Blank2014 or Fedorenko2016; changes replace items, None removes."""
    rng = np.random.default_rng(0)
    items = {
        "blank": {
            "data": rng.standard_normal((6, 4)),
            "stimulus": ["is here ", "Once a king ", "was ", "He slept ", ". Then ", "woke "],
            "story": ["Boar", "Aqua", "Aqua", "Boar", "Boar", "Aqua"],
            "sentence_number_in_story": [0, 0, 0, 1, 1, 10],
            "part_number_in_sentence": [1, 0, 1, 0, 1, 0],
            "subject_id": ["061", "061", "085", "085"],
            "fROI_area": ["01_LH_PostTemp", "02", "01_LH_PostTemp", "02"],
            "neuroid_id": ["1", "2", "3", "4"],
        },
        "fedorenko": {
            "data": rng.standard_normal((4, 3)),
            "stimulus": ["ALEX", "SLEPT", "SHE", "RAN"],
            "sentence_id": [0, 0, 1, 1],
            "word_num": [0, 1, 0, 1],
            "subject_UID": [1, 1, 2],
            "electrode": ["a", "b", "c"],
            "neuroid_id": ["1", "2", "3"],
        },
    }[benchmark] | changes
    with h5py.File(path, "w") as file:
        for name, values in items.items():
            if values is None:
                continue
            if callable(values):
                values(file, name)
            elif isinstance(values, list) and isinstance(values[0], str):
                file.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())
            else:
                file.create_dataset(name, data=values)
    return path


def test_a_published_file_becomes_a_story_and_responses(study_folder, call):
    status, printed, _ = call(PREPARE, "--benchmark", "pereira384", "--file", MADE)
    assert (status, "is not the published" in printed) == (0, True)
    assert "60 units in 12 runs and 12 groups, 14 neuroids of 5 subjects" in printed
    story = read_story_table("pereira384")
    assert story.texts[0].startswith("Sentence 0 is made. Sentence 1 is made.")
    for text, units, spans in zip(story.texts, story.units, story.spans, strict=True):
        assert [text[first:end] for first, end in spans] == units
    assert story.onsets_offsets == []
    read = read_benchmark("pereira384")
    assert read.responses.shape == (60, 14)
    assert call(PREPARE, "--benchmark", "pereira384", "--file", MADE)[1].strip().endswith("is there already")


def test_units_are_in_reading_order_without_spaces(study_folder, call, tmp_path):
    path = write_layout(tmp_path / "b.nc")
    assert call(PREPARE, "--benchmark", "blank", "--file", path)[0] == 0
    story, read = read_story_table("blank"), read_benchmark("blank")
    assert (story.runs, story.texts) == (["Aqua", "Boar"], ["Once a king was woke", "is here He slept. Then"])
    assert read.stored.tolist() == [1, 2, 5, 0, 3, 4]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(read.responses, file["data"][()][read.stored])
    assert read.subjects.tolist() == ["061", "061", "085", "085"]
    assert call(PREPARE, "--benchmark", "blank", "--file", path, "--as_published", "--overwrite")[0] == 0
    assert read_story_table("blank").units[0] == ["Once a king ", "was ", "woke "]


def test_capitals_become_sentence_case(study_folder, call, tmp_path):
    path = write_layout(tmp_path / "f.nc", "fedorenko")
    assert call(PREPARE, "--benchmark", "fedorenko", "--file", path)[0] == 0
    assert read_story_table("fedorenko").texts == ["Alex slept", "She ran"]
    assert call(PREPARE, "--benchmark", "fedorenko", "--file", path, "--as_published", "--overwrite")[0] == 0
    assert read_story_table("fedorenko").texts == ["ALEX SLEPT", "SHE RAN"]


def test_neuroids_without_responses_are_left_out(study_folder, call, tmp_path):
    data = np.random.default_rng(0).standard_normal((6, 4))
    data[2, 1] = np.nan
    status, printed, _ = call(PREPARE, "--benchmark", "blank", "--file", write_layout(tmp_path / "b.nc", data=data))
    assert (status, "1 neuroids with missing responses left out" in printed) == (0, True)
    assert read_benchmark("blank").neuroids.tolist() == ["1", "3", "4"]


def external(file, name):
    file[name] = h5py.ExternalLink("/etc/hostname", "/x")


def soft(file, name):
    file[name] = h5py.SoftLink("/story")


def stored_elsewhere(file, name):
    file.create_dataset(name, shape=(6, 4), dtype="f8", external=[("elsewhere.bin", 0, 192)])


def virtual(file, name):
    layout = h5py.VirtualLayout(shape=(6, 4), dtype="f8")
    layout[:] = h5py.VirtualSource("other.nc", "data", shape=(6, 4))
    file.create_virtual_dataset(name, layout)


def huge(file, name):
    file.create_dataset(name, shape=(6, 2**40), dtype="f8", chunks=(1, 2**10), compression="gzip")


def another_filter(file, name):
    file.create_dataset(name, data=np.zeros((6, 4)), compression="lzf")


def a_group(file, name):
    file.create_group(name)


def one_long_text(file, name):
    file.create_dataset(name, data=np.array(["x" * 2**24] * 6, dtype=object), dtype=h5py.string_dtype())


def references(file, name):
    file.create_dataset(name, data=np.array([file.ref] * 6, dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)


WRONG = {
    "external": ({"data": external}, "data: expected values, got a link or a group"),
    "soft": ({"stimulus": soft}, "stimulus: expected values, got a link or a group"),
    "stored-elsewhere": ({"data": stored_elsewhere}, "data: expected values"),
    "virtual": ({"data": virtual}, "data: expected values"),
    "huge": ({"data": huge}, "data: expected at most"),
    "another-filter": ({"data": another_filter}, "expected gzip, got another compression"),
    "group": ({"data": a_group}, "data: expected values, got a link or a group"),
    "long-text": ({"stimulus": one_long_text}, "stimulus: expected at most"),
    "references": ({"stimulus": references}, "stimulus: expected texts"),
    "three-dimensions": ({"data": np.zeros((6, 4, 2))}, "data: expected a matrix of numbers, got 3 dimensions"),
    "transposed": ({"data": np.zeros((4, 6))}, "stimulus: expected 4 values, as data has, got (6,)"),
    "texts-as-data": ({"data": np.zeros((6, 4), dtype="S3")}, "data: expected a matrix of numbers"),
    "missing-coordinate": ({"story": None}, "expected story, got only"),
    "missing-subjects": ({"subject_id": None}, "expected subject_id, got only"),
    "same-place-twice": ({"part_number_in_sentence": [1, 0, 0, 0, 1, 0]}, "expected one row at Aqua 0 0, got several"),
    "nothing-finite": ({"data": np.full((6, 4), np.nan)}, "expected a neuroid with finite responses"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_hostile_and_wrong_files_get_one_line(study_folder, call, tmp_path, changes, message):
    path = write_layout(tmp_path / "b.nc", **changes)
    status, _, error = call(PREPARE, "--benchmark", "blank", "--file", path)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not brain_benchmark_path("blank").exists()


def test_damaged_and_other_files_get_one_line(study_folder, call, tmp_path):
    whole = write_layout(tmp_path / "b.nc").read_bytes()
    for content in (b"", b"no HDF5", whole[: len(whole) // 2], whole[:2000] + bytes(500) + whole[2500:]):
        path = tmp_path / "damaged.nc"
        path.write_bytes(content)
        status, _, error = call(PREPARE, "--benchmark", "blank", "--file", path)
        assert (status, error.count("\n")) == (2, 1)
    status, _, error = call(PREPARE, "--benchmark", "blank", "--file", tmp_path / "missing.nc")
    assert (status, "expected a file, got none" in error) == (2, True)


def test_no_h5py_is_one_line(study_folder, call, monkeypatch, tmp_path):
    monkeypatch.setattr(hdf5, "h5py", None)
    status, _, error = call(PREPARE, "--benchmark", "blank", "--file", write_layout(tmp_path / "b.nc"))
    assert (status, "experiments/brain_score/requirements.txt" in error) == (2, True)


def test_files_of_ones_own(study_folder, call, tmp_path):
    np.savez(tmp_path / "r.npz", responses=np.arange(12.0).reshape(4, 3))
    (tmp_path / "s.csv").write_text("stimulus,run,group\nOne.,a,x\nTwo.,a,x\nThree.,b,x\nFour.,c,y\n")
    (tmp_path / "n.csv").write_text("neuroid,subject,x,y,z\n1,p,-40,0,2\n2,p,40,0,2\n3,q,0,0,0\n")
    options = ["--responses", tmp_path / "r.npz", "--stimuli", tmp_path / "s.csv", "--neuroids", tmp_path / "n.csv"]
    assert call(PREPARE, "--benchmark", "mine", *options)[0] == 0
    read = read_benchmark("mine")
    assert (read.runs.tolist(), read.groups.tolist()) == (["a", "a", "b", "c"], ["x", "x", "x", "y"])
    assert read.positions[0].tolist() == [-40, 0, 2]
    assert story_path("mine").read_text().splitlines()[1] == "a,One.,"
    np.savez(tmp_path / "r.npz", responses=np.zeros((3, 3)))
    status, _, error = call(PREPARE, "--benchmark", "mine2", *options)
    assert (status, "expected 4 units and 3 neuroids" in error) == (2, True)


@pytest.mark.parametrize(
    "options",
    [
        ["--benchmark", "blank"],
        ["--benchmark", "mine", "--file", MADE],
        ["--benchmark", "blank", "--file", MADE, "--stimuli", MADE],
        ["--benchmark", "../x", "--responses", MADE, "--stimuli", MADE, "--neuroids", MADE],
    ],
)
def test_wrong_options_are_one_line(study_folder, call, options):
    status, _, error = call(PREPARE, *options)
    assert (status, error.count("\n")) == (2, 1)
    assert not any(study_folder.iterdir())
