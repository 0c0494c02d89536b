"""Check the page of a study: its content, that it needs no further file, and the values of its brain."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers import all_files
from nibabel.affines import apply_affine

from demo.listener import make_brain_mask
from pipeline.brain.hemispheres import compute_mirror_log_ratios, subtract_mirror_voxels
from pipeline.brain.surfaces import project_to_left_surface, read_left_surface
from pipeline.brain.voxels import compute_positions
from report import page
from study.files.safe_joblib import write_arrays
from study.outputs.figures import save_figure, save_map, save_table, save_text
from study.paths import isc_path, note_path

NOTE = "Listener <made> & known"
REVISIONS = ["step0-tokens0", "step1-tokens1K", "<b>step2</b>-tokens2M"]
BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1000,1400"
).split()


def write_study(folder):
    """What the notebook leaves of three checkpoints in a coarse brain, with two of its figures."""
    mask = make_brain_mask()
    nibabel.save(mask, folder / "mask_lpp_en.nii.gz")
    note_path().write_text(f"{NOTE}\n")
    n_voxels = int(np.asarray(mask.dataobj).sum())
    write_arrays(isc_path("en"), np.random.default_rng(1).random((10, n_voxels)))
    scores = np.random.default_rng(0).normal([[0.0], [0.1], [0.2]], 0.1, (3, n_voxels))
    scores[0] = 0  # a model that predicts nothing
    save_map(scores, mask, "small_lm_en_brain")
    save_map(subtract_mirror_voxels(scores, mask), mask, "small_lm_en_asymmetry")
    curves = {"left": [0, 0.1, 0.25], "right": [0, 0.1, 0.2], "left_minus_right": [0, 0, 0.05]}
    curves |= {"low": [np.nan, -0.01, 0.04], "high": [np.nan, 0.01, 0.06], "blimp": [0.5, np.nan, 0.9]}
    table = pd.DataFrame({"revision": REVISIONS, "tokens": [0, 1e3, 2e6], **curves})
    save_table(table, "small_lm_en_curves")
    save_text("Left minus right < 1 & rises.", "small_lm_en_summary")
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, 1])
    for name in ("brain_scores", "regions"):
        save_figure(figure, f"small_lm_en_{name}")
    plt.close(figure)


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


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The page of the small study in headless Chromium, and its study folder."""
    if BROWSER is None or DRIVER is None:
        pytest.skip("chromium or chromedriver is not here (Debian: chromium, chromium-driver)")
    from selenium import webdriver

    folder = tmp_path_factory.mktemp("page") / "study"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTBA_DIR", str(folder))
        write_study(folder)
        path = folder / "fig" / "report.html"
        path.write_text(page.fill_page("small_lm", "en"))
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    browser.get(Path(path).as_uri())
    wait_for(browser, "return document.getElementById('voxel').textContent != ''")
    yield browser, folder
    loaded = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    assert all(name.startswith(("data:", "about:")) for name in browser.execute_script(loaded))
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    browser.quit()
    assert not errors


def wait_for(browser, script):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda _: browser.execute_script(script))


def text(browser, name):
    return browser.find_element("id", name).text


def pixels(browser):
    """What the viewer has drawn, which an image that is still being read would change."""
    return wait_for(
        browser,
        "const page = document.getElementById('brain').contentDocument; if (!page) return null;"
        "return page.getElementById('overlayImg-map')?.complete && page.querySelector('canvas').toDataURL()",
    )


def wait_for_change(browser, seen):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda _: pixels(browser) != seen and pixels(browser))


def shown_map(browser, name):
    """Choose a map, and wait until its viewer is there."""
    choice = browser.find_element("css selector", f"input[value={name}]")
    if not choice.is_selected():
        before = pixels(browser)
        choice.click()
        wait_for_change(browser, before)
    words = {"brain": "brain score", "asymmetry": "left minus mirror image"}[name]
    wait_for(browser, f"return document.getElementById('voxel').textContent.includes('{words}')")


def click_at(browser, right, down):
    """Click in the viewer, at shares of its width and height."""
    from selenium.webdriver import ActionChains

    browser.switch_to.frame("brain")
    canvas = browser.find_element("css selector", "canvas")
    width, height = canvas.size["width"], canvas.size["height"]
    to = round((right - 0.5) * width), round((down - 0.5) * height)
    ActionChains(browser).move_to_element_with_offset(canvas, *to).click().perform()
    browser.switch_to.default_content()


def test_the_slider_changes_label_numbers_and_brain_together(opened):
    from selenium.webdriver.common.keys import Keys

    browser, _ = opened
    shown_map(browser, "brain")
    slider = browser.find_element("id", "slider")
    slider.send_keys(Keys.END)
    names = ["revision", "tokens", "left", "right", "difference", "interval"]
    assert [text(browser, name) for name in names] == [
        *["<b>step2</b>-tokens2M", "2 million training tokens"],
        *["0.2500", "0.2000", "0.0500", "95 % interval 0.0400 to 0.0600"],
    ]
    seen, voxel = pixels(browser), text(browser, "voxel")
    slider.send_keys(Keys.ARROW_LEFT)
    assert [text(browser, name) for name in names] == [
        *["step1-tokens1K", "1 thousand training tokens"],
        *["0.1000", "0.1000", "0.0000", "95 % interval -0.0100 to 0.0100"],
    ]
    assert text(browser, "voxel") != voxel
    assert text(browser, "voxel").partition(": ")[0] == voxel.partition(": ")[0]  # the same one
    wait_for_change(browser, seen)
    slider.send_keys(Keys.HOME)
    assert text(browser, "revision") == "step0-tokens0"
    assert text(browser, "interval") == "no interval is known"
    slider.send_keys(Keys.END)
    assert wait_for_change(browser, pixels(browser) if pixels(browser) != seen else "") == seen


@pytest.mark.parametrize("which", ["brain", "asymmetry"])
def test_a_click_tells_the_value_of_the_map_at_the_place(opened, which):
    browser, folder = opened
    shown_map(browser, which)
    slider = browser.find_element("id", "slider")
    volumes = nibabel.load(folder / "fig" / f"small_lm_en_{which}.nii.gz")
    values = volumes.get_fdata(dtype=np.float32)
    inside = np.asarray(nibabel.load(folder / "mask_lpp_en.nii.gz").dataobj) != 0
    places = set()
    for checkpoint, right, down in [(2, 0.2, 0.5), (1, 0.5, 0.5), (2, 0.85, 0.4), (1, 0.8, 0.6), (2, 0.45, 0.45)]:
        browser.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", slider, checkpoint
        )
        pixels(browser)
        click_at(browser, right, down)
        told = text(browser, "voxel")
        x, y, z = (float(re.search(rf"{axis} = (-?[\d.]+)", told)[1]) for axis in "xyz")
        index = tuple(np.rint(apply_affine(np.linalg.inv(volumes.affine), [x, y, z])).astype(int))
        assert f"({'left' if x < 0 else 'right' if x > 0 else 'midline'})" in told
        assert inside[index], told
        assert float(told.split()[-1]) == pytest.approx(values[(*index, checkpoint)], abs=5.1e-5)
        # The viewer itself knows a colour, one of 256 of the same scale, or none at 0: it is that of the same voxel.
        lowest, highest, coloured = browser.execute_script(
            "const shown = document.getElementById('brain').contentWindow.viewer;"
            "return [shown.colorMap.min, shown.colorMap.max, shown.voxelValue]"
        )
        assert lowest <= values.min() and highest >= values.max()
        assert (coloured or 0) == pytest.approx(values[(*index, checkpoint)], abs=1.1 * (highest - lowest) / 255)
        places.add(index)
    assert len(places) > 3


def test_a_click_beside_the_brain_says_so(opened):
    browser, _ = opened
    shown_map(browser, "brain")
    click_at(browser, 0.01, 0.9)
    assert "outside of the mask" in text(browser, "voxel")


def test_the_other_map_opens_where_one_was(opened):
    browser, _ = opened
    shown_map(browser, "brain")
    click_at(browser, 0.8, 0.55)
    at = text(browser, "voxel").partition(":")[0]
    shown_map(browser, "asymmetry")
    assert text(browser, "voxel").partition(":")[0] == at


def painted(browser, name):
    """The pixels of a cortex, red to alpha of each."""
    return np.array(
        browser.execute_script(
            "const canvas = document.getElementById(arguments[0]);"
            "return Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)",
            f"surface-{name}",
        )
    ).reshape(360, 400, 4)


def choose_checkpoint(browser, number):
    browser.execute_script(
        "slider.value = arguments[0]; slider.dispatchEvent(new Event('input', {bubbles: true}))", number
    )


def test_the_cortex_has_the_colours_of_the_checkpoint(opened):
    browser, folder = opened
    browser.find_element("id", "from-lateral").click()
    seen = {}
    for checkpoint in (0, 1, 2):
        choose_checkpoint(browser, checkpoint)
        seen[checkpoint] = {name: painted(browser, name) for name in ("difference", "ratio")}
        count = re.fullmatch(r"(\d+) of (\d+)", text(browser, "n_ratios"))
        mask = nibabel.load(folder / "mask_lpp_en.nii.gz")
        x, y, z = compute_positions(mask).T
        scores = nibabel.load(folder / "fig/small_lm_en_brain.nii.gz").get_fdata(dtype=np.float32)[..., checkpoint]
        above = dict(zip(zip(x, y, z, strict=True), scores[np.asarray(mask.dataobj) != 0] > 0, strict=True))
        pairs = [is_above and above[-x, y, z] for (x, y, z), is_above in above.items() if x < 0]
        assert (int(count[1]), int(count[2])) == (sum(pairs), len(pairs))
    is_brain = seen[2]["difference"][..., 3] == 255
    assert 0.2 < is_brain.mean() < 0.6
    for name in ("difference", "ratio"):
        first, *later = [seen[checkpoint][name] for checkpoint in (0, 1, 2)]
        assert np.abs(np.ptp(first[is_brain][:, :3], axis=1)).max() <= 1  # grey: the first predicts nothing
        for image in later:
            assert (image[..., 3] == 255).sum() == is_brain.sum()
            assert np.ptp(image[is_brain][:, :3], axis=1).max() > 50
        assert (later[0] != later[1]).any()
    choose_checkpoint(browser, 1)
    assert (painted(browser, "ratio") == seen[1]["ratio"]).all()


def test_a_click_on_the_cortex_shows_its_values_and_a_drag_turns_both(opened):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser, folder = opened
    mask = nibabel.load(folder / "mask_lpp_en.nii.gz")
    surface = read_left_surface()
    middle = np.rint((surface.white + surface.pial) / 2)
    maps = nibabel.load(folder / "fig/small_lm_en_brain.nii.gz").get_fdata(dtype=np.float32)
    scores = maps[np.asarray(mask.dataobj) != 0].T
    browser.find_element("id", "from-lateral").click()
    canvas = browser.find_element("id", "surface-ratio")
    places = set()
    for checkpoint, right, down in [(2, 0, 0), (2, -60, 10), (1, 60, -20)]:
        choose_checkpoint(browser, checkpoint)
        ActionChains(browser).move_to_element_with_offset(canvas, right, down).click().perform()
        words = text(browser, "vertex")
        place = [float(re.search(rf"{axis} = (-?[\d.]+)", words)[1]) for axis in "xyz"]
        assert place[0] < 0
        vertices = np.flatnonzero((middle == place).all(axis=1))
        projected = project_to_left_surface(
            np.stack(
                [subtract_mirror_voxels(scores[checkpoint], mask), compute_mirror_log_ratios(scores[checkpoint], mask)]
            ),
            mask,
            surface,
        )
        expected = {
            tuple("none" if np.isnan(value) else f"{value:.4f}" for value in projected[:, vertex])
            for vertex in vertices
        }
        assert re.search(r"left minus right (\S+), log\(left / right\) (\S+)$", words).groups() in expected
        places.add(tuple(place))
    assert len(places) == 3
    before = {name: painted(browser, name) for name in ("difference", "ratio")}
    ActionChains(browser).move_to_element(canvas).click_and_hold().move_by_offset(50, 20).release().perform()
    wait_for(browser, "return turn < 180 && tilt > 0")
    for name, image in before.items():
        assert (painted(browser, name) != image).mean() > 0.1
    browser.find_element("id", "from-medial").click()
    assert browser.execute_script("return [turn, tilt]") == [0, 0]
    canvas.send_keys(Keys.ARROW_UP)
    assert browser.execute_script("return tilt") != 0
    browser.find_element("id", "from-lateral").click()


@pytest.mark.parametrize("width", [390, 1500])
def test_nothing_is_cut_off_on_a_phone_or_a_wide_screen(opened, width):
    browser, _ = opened
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wait_for(
        browser,
        "const page = document.getElementById('brain').contentDocument.documentElement;"
        "return document.documentElement.scrollWidth <= innerWidth && page.scrollWidth <= page.clientWidth"
        " && page.scrollHeight <= page.clientHeight && page.clientHeight < 1.2 * page.clientWidth",
    )
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
