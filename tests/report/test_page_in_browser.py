"""Check in Chromium that the page draws, and reacts to slider, clicks and drags."""

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine
from page_studies import BROWSER, DRIVER, FLAGS, write_study

from pipeline.brain.hemispheres import compute_mirror_log_ratios, subtract_mirror_voxels
from pipeline.brain.surfaces import project_to_left_surface, read_left_surface
from pipeline.brain.voxels import compute_positions
from report import page

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
