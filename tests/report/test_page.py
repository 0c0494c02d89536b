"""Check the page of a study: its content, that it needs no further file, and the values of its brain."""

import json
import re
from html.parser import HTMLParser

import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers import all_files
from page_studies import write_study


@pytest.fixture
def notebook_outputs(study_folder):
    write_study(study_folder)
    return study_folder


@pytest.fixture
def make_page(call):
    """make_page(*options) -> (status, stdout, stderr)."""
    return lambda *options: call("report.page", "--model", "small_lm", "--lang", "en", *options)


def test_the_page_holds_figures_table_and_words_and_needs_nothing_else(notebook_outputs, make_page):
    status, told, error = make_page()
    path = notebook_outputs / "fig" / "report.html"
    assert (status, error) == (0, "")
    assert told.startswith(f"{path} (")
    page = path.read_text()
    assert page.count("<figure ") == 2
    assert "Left minus right in seven language regions" in page
    assert "over every benchmark" not in page  # a figure that is not there
    assert "Left minus right &lt; 1 &amp; rises." in page
    assert "&lt;b&gt;step2&lt;/b&gt;-tokens2M" in page
    assert "<b>step2" not in page
    assert "Listener &lt;made&gt; &amp; known" in page
    assert page.count("base64,OVERLAY") == 2  # a viewer for each map, not for each checkpoint
    content = json.loads(page.partition('<script id="content" type="application/json">')[2].partition("</script>")[0])
    for of_page in [page, *(each["page"] for each in content["maps"].values())]:
        places = loaded_by(of_page)
        assert places
        assert all(place.startswith("data:image/png;base64,") for place in places)


def loaded_by(page):
    """Whatever the tags of a page load from somewhere."""
    places = re.findall(r"@import|url\(", page.partition("</style>")[0])
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: places.extend(
        value for name, value in attributes if name in {"src", "srcset", "href", "data", "action", "poster"}
    )
    parser.feed(page)
    return places


def test_layers_chosen_on_other_runs_come_first(notebook_outputs, make_page):
    path = notebook_outputs / "fig" / "small_lm_en_curves.csv"
    curves = pd.read_csv(path)
    published = curves.copy()
    for name in ("left", "right", "left_minus_right", "low", "high"):
        curves[f"{name}_nested"] = published[name] - 0.01
    curves["same_weights_as"] = ["", "", "step1-tokens1K"]
    curves.to_csv(path, index=False)
    assert make_page()[0] == 0
    page = (notebook_outputs / "fig" / "report.html").read_text()
    content = json.loads(page.partition('<script id="content" type="application/json">')[2].partition("</script>")[0])
    assert content["checkpoints"][1] | {"revision": ""} == {
        **{"revision": "", "tokens": "1 thousand training tokens", "left": "0.0900", "right": "0.0900"},
        **{"difference": "-0.0100", "interval": "95 % interval -0.0200 to 0.0000"},
    }
    assert content["checkpoints"][2]["revision"].endswith("(the same weights as step1-tokens1K)")
    heads = re.findall(r"<th>(.*?)</th>", page)
    assert heads[:8] == [
        *["revision", "tokens", "left", "right", "left minus right", "95 % low", "95 % high", "left, best layer"]
    ]
    assert "chosen, in each run, on the other runs" in " ".join(page.split())


def test_the_same_study_makes_the_same_bytes(notebook_outputs, make_page):
    path = notebook_outputs / "fig" / "report.html"
    make_page()
    first = path.read_bytes()
    assert make_page()[0] == 0
    assert path.read_bytes() == first


def test_one_checkpoint_is_enough(notebook_outputs, make_page):
    fig = notebook_outputs / "fig"
    curves = pd.read_csv(fig / "small_lm_en_curves.csv")
    curves.tail(1).to_csv(fig / "small_lm_en_curves.csv", index=False)
    for name in ("brain", "asymmetry"):
        volumes = nibabel.load(fig / f"small_lm_en_{name}.nii.gz")
        of_last = nibabel.Nifti1Image(volumes.get_fdata(dtype=np.float32)[..., -1], volumes.affine)
        nibabel.save(of_last, fig / f"small_lm_en_{name}.nii.gz")
    assert make_page()[0] == 0
    assert 'max="0"' in (fig / "report.html").read_text()


@pytest.mark.parametrize("missing", ["curves.csv", "summary.txt", "brain.nii.gz", "asymmetry.nii.gz"])
def test_what_is_missing_is_named_in_one_line(notebook_outputs, make_page, missing):
    (notebook_outputs / "fig" / f"small_lm_en_{missing}").unlink()
    before = all_files(notebook_outputs)
    status, told, error = make_page()
    assert (status, told, error.count("\n")) == (2, "", 1)
    assert f"small_lm_en_{missing} is missing: analyze_results.ipynb makes it" in error
    assert all_files(notebook_outputs) == before


def test_damaged_and_contradicting_files_are_named(notebook_outputs, make_page):
    fig = notebook_outputs / "fig"
    for name, content in [
        ("brain.nii.gz", (fig / "small_lm_en_brain.nii.gz").read_bytes()[:200]),
        ("curves.csv", b"revision,tokens\nstep1,1000\n"),
        ("curves.csv", b"revision,tokens,left,right,left_minus_right,low,high\nstep1,1000,much,0,0,0,0\n"),
        ("asymmetry.nii.gz", None),
    ]:
        path = fig / f"small_lm_en_{name}"
        right = path.read_bytes()
        if content is None:  # of other checkpoints
            volumes = nibabel.load(path)
            nibabel.save(volumes.slicer[..., :2], path)
        else:
            path.write_bytes(content)
        status, told, error = make_page()
        assert (status, told, error.count("\n")) == (2, "", 1), error
        assert f"small_lm_en_{name}: analyze_results.ipynb makes it again" in error
        path.write_bytes(right)
        assert not (fig / "report.html").exists()
