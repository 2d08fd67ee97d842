"""The pages of pictures as a person meets them: in a headless Chromium, by pointer and by keys."""

from __future__ import annotations

import numpy as np
import pytest

from unpaired.systems.denoising.pages import Place, write_before_after, write_comparison

pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[test]'")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.pages import DESKTOP_PX, PHONE_PX, pick, serious_violations, show
from tests.waiting import PATIENCE_SECONDS

pytestmark = [pytest.mark.browser, pytest.mark.long]

COMMAND = "unpaired denoise my_pictures/ --output restored --minutes 4 --method neighbor2neighbor"
LONG_NAME = 3 * "a_name_without_any_break_" + ".tif"


def places(methods):
    rng = np.random.default_rng(0)
    clean = np.indices((120, 180)).sum(0)[..., None] / 300 * np.ones(3)
    noisy = clean + 0.1 * rng.standard_normal(clean.shape)
    versions = {name: clean + 0.01 * number for number, name in enumerate(methods)}
    restored = versions if len(methods) > 1 else clean
    return [Place(name, "20 dB before, 30 dB after", noisy, restored) for name in ("a", LONG_NAME)]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    write_before_after(
        folder / "before_after.html",
        title="Before and after",
        lines=["2 color pictures."],
        command=COMMAND,
        places=places(["one"]),
    )
    write_comparison(
        folder / "comparison.html",
        title="Denoisers compared",
        notes=["Noise: 10 %."],
        columns=[f"a long heading {number}" for number in range(8)],
        table=[(["text"] * 8, True), (["text"] * 8, False)],
        legend=["What the columns mean."],
        command=COMMAND,
        places=places(["cbm3d, 30.00 dB", "neighbor2neighbor, 29.00 dB"]),
    )
    return {path.stem: path.as_uri() for path in folder.iterdir()}


@pytest.fixture(params=["before_after", "comparison"])
def page(request, browser, addresses):
    """One of the pages as on a desktop, freshly opened; nothing may be logged while a test runs."""
    show(browser, addresses[request.param])
    yield browser
    assert browser.get_log("browser") == []


def style(page, name):
    """Return a number that the first place's pictures are drawn by."""
    script = "return getComputedStyle(document.querySelector('.place')).getPropertyValue"
    return float(page.execute_script(f"{script}(arguments[0])", name))


def transforms(page, place):
    return page.execute_script(
        "return [...arguments[0].querySelectorAll('.view img')].map("
        "(image) => getComputedStyle(image).transform)",
        pick(page, place),
    )


def test_the_slider_moves_by_keyboard(page):
    slider = pick(page, ".place input")
    slider.send_keys(Keys.END)
    assert style(page, "--split") == 100
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    assert style(page, "--split") == 1
    clip = pick(page, ".place .left").value_of_css_property("clip-path")
    assert clip.startswith("inset(0px 99%")


def test_the_line_is_dragged(page):
    handle, view = pick(page, ".handle"), pick(page, ".stage .view")
    actions = webdriver.ActionChains(page).click_and_hold(handle)
    actions.move_by_offset(view.size["width"] // 4, 0).release().perform()
    assert style(page, "--split") == pytest.approx(75, abs=1.5)
    assert pick(page, ".place input").get_property("value") == str(round(style(page, "--split")))


def test_all_pictures_of_a_place_zoom_together_and_are_crisp(page):
    others = transforms(page, ".place:nth-of-type(2)")
    before = pick(page, ".zoom output").text
    pick(page, "[data-zoom=in]").click()
    shown = transforms(page, ".place")
    assert len(shown) == 3  # noisy, restored, difference
    assert len(set(shown)) == 1
    assert style(page, "--zoom") == 1.5
    assert pick(page, ".zoom output").text != before
    assert pick(page, ".view img").value_of_css_property("image-rendering") == "pixelated"
    assert transforms(page, ".place:nth-of-type(2)") == others
    pick(page, "[data-zoom=all]").click()
    assert style(page, "--zoom") == 1


def test_an_enlarged_picture_is_dragged(page):
    pick(page, "[data-zoom=in]").click()
    view = pick(page, ".taken-away .view")
    actions = webdriver.ActionChains(page).click_and_hold(view)
    actions.move_by_offset(-view.size["width"] // 10, 0).release().perform()
    assert style(page, "--x") == pytest.approx(50 + 10 / 1.5, abs=0.5)
    assert style(page, "--y") == 50
    assert len(set(transforms(page, ".place"))) == 1


def test_keys_on_a_picture(page):
    view = pick(page, ".stage .view")
    view.send_keys("++", Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert style(page, "--zoom") == 2.25
    assert style(page, "--x") == pytest.approx(50 - 20 / 2.25)
    view.send_keys(*[Keys.ARROW_UP] * 20)  # As far as the picture goes.
    assert style(page, "--y") == pytest.approx(50 / 2.25)
    view.send_keys("0")
    assert (style(page, "--zoom"), style(page, "--x")) == (1, 50)


def test_the_wheel_enlarges_only_what_was_clicked(page):
    view = pick(page, ".stage .view")
    page.execute_script("arguments[0].scrollIntoView()", view)
    origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(view)

    def turn():
        webdriver.ActionChains(page).scroll_from_origin(origin, 0, -100).perform()

    turn()
    assert style(page, "--zoom") == 1
    page.execute_script("arguments[0].focus({preventScroll: true})", view)
    turn()
    assert style(page, "--zoom") == 1.5


def test_another_method_is_chosen(browser, addresses):
    show(browser, addresses["comparison"])
    stage = pick(browser, ".place .stages")

    def sources():
        selectors = (".left img", ".right img", ".taken-away img")
        return [pick(stage, selector).get_attribute("src") for selector in selectors]

    noisy, restored, difference = sources()
    assert pick(stage, ".at-right").text == "cbm3d, 30.00 dB"
    pick(browser, ".place select").send_keys("neighbor")
    assert pick(stage, ".at-right").text == "neighbor2neighbor, 29.00 dB"
    now = sources()
    assert now[0] == noisy
    assert now[1] != restored
    assert now[2] != difference
    assert browser.get_log("browser") == []


def test_the_command_is_copied_or_marked(page):
    pick(page, "[data-copies]").click()
    WebDriverWait(page, PATIENCE_SECONDS).until(lambda page: pick(page, "[role=status]").text)
    assert pick(page, "code").text == COMMAND


def test_without_scripts_the_pictures_are_there(browser, addresses):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, addresses["comparison"])
        images = browser.find_elements(By.CSS_SELECTOR, ".place img")
        assert len(images) == 2 * (1 + 2 * 2)
        assert all(image.is_displayed() for image in images)
        assert not any(
            element.is_displayed() for element in browser.find_elements(By.CSS_SELECTOR, "button")
        )
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("enlarged", [False, True])
def test_a_phone_scrolls_no_page_sideways(page, enlarged):
    show(page, page.current_url, PHONE_PX)
    if enlarged:
        pick(page, "[data-zoom=in]").click()
    whole = pick(page, "html")
    assert whole.get_property("scrollWidth") == whole.get_property("clientWidth") <= PHONE_PX[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size_px", [DESKTOP_PX, PHONE_PX])
def test_axe_finds_no_serious_violation(page, scheme, size_px):
    show(page, page.current_url, size_px, scheme)
    assert not serious_violations(page)
