"""Read story tables that people write by hand."""

import pytest

from pipeline.errors import InputError
from study.inputs.stories import make_story_table, read_story_table, write_story_table
from study.paths import story_path


@pytest.fixture
def write(study_folder):
    def write_text(text):
        path = story_path("mine")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write_text


def test_texts_spans_and_times(write):
    write('run,unit,text_before,onset,offset\n1,Once,,0.1,0.4\n1,upon," ",0.5,0.9\nb,End,,0,1\n')
    story = read_story_table("mine")
    assert (story.runs, story.texts, story.units) == (["1", "b"], ["Once upon", "End"], [["Once", "upon"], ["End"]])
    assert [spans.tolist() for spans in story.spans] == [[[0, 4], [5, 9]], [[0, 3]]]
    assert [times[0].tolist() for times in story.onsets_offsets] == [[0.1, 0.5], [0.0]]


def test_what_is_written_is_read(write):
    path = write("")
    units = ["A sentence, with a comma.", 'A "mark"', "x"]
    write_story_table(path, make_story_table(["r", "r", "s"], units, ["", " ", ""]))
    story = read_story_table("mine")
    assert story.units == [units[:2], units[2:]]
    assert story.texts[0] == " ".join(units[:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run,unit\n1,Once\n", "expected the columns"),
        ("run,unit,text_before\n", "expected a row per unit"),
        ("run,unit,text_before\n1, ,\n", "line 2: expected text as unit"),
        ("run,unit,text_before\n1,a,\n2,b,\n1,c,\n", "expected the rows of run 1 next to each other"),
        ("run,unit,text_before,onset,offset\n1,a,,x,1\n", "line 2: expected a number as onset"),
    ],
)
def test_wrong_tables_are_refused(write, text, message):
    write(text)
    with pytest.raises(InputError, match=message):
        read_story_table("mine")


def test_a_missing_table_is_named(study_folder):
    with pytest.raises(InputError, match="expected a file, got none"):
        read_story_table("mine")
