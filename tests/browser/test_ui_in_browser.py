"""The page of `unpaired ui` as a person meets it: in a headless Chromium, by pointer and keys."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.systems.guided_colorization.made import make_model, write_scene

pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[test]'")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import alert_is_present
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.pages import DESKTOP_PX, PHONE_PX, pick, serious_violations, show
from tests.waiting import PATIENCE_SECONDS
from unpaired.systems.guided_colorization.page.serve import start

pytestmark = [pytest.mark.browser, pytest.mark.long]


@pytest.fixture
def folder(tmp_path):
    for index, name in enumerate(("a.png", "b.png")):
        write_scene(tmp_path / name, index)
    return tmp_path


def started(folder, method="local_hints", **options):
    model = make_model(folder / "model.safetensors", method, **options)
    page = start([folder / "a.png", folder / "b.png"], model, device="cpu", precision="fp32")
    page.start_in_background()
    return page


@pytest.fixture
def server(folder):
    page = started(folder)
    yield page
    page.shutdown()
    page.close()


@pytest.fixture
def ui(browser, server, folder):
    """The page, opened; nothing may be logged while a test runs."""
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(folder / "downloads")},
    )
    show(browser, server.address)
    settled(browser)
    yield browser
    assert browser.get_log("browser") == []


def wait(browser, condition):
    return WebDriverWait(browser, PATIENCE_SECONDS, 0.05).until(condition)


def status(browser):
    return pick(browser, "#status").text


def settled(browser):
    """Wait until everything that was asked for has come."""
    wait(browser, lambda b: b.execute_script("return picture !== null && !busy && !waiting"))


def points(browser):
    return browser.execute_script("return points.map(plain)")


def result(browser):
    return pick(browser, "#result").get_attribute("src")


def move_to(browser, x, y):
    """Return actions at a place of the gray picture, in its pixels."""
    pad = pick(browser, "#pad")
    scale = pad.size["width"] / browser.execute_script("return picture.width")
    middle = [side / 2 for side in (pad.size["width"], pad.size["height"])]
    chain = webdriver.ActionChains(browser, duration=20)
    offsets = [round((k + 0.5) * scale - m) for k, m in zip((x, y), middle, strict=True)]
    return chain.move_to_element_with_offset(pad, *offsets)


def click_at(browser, x, y):
    move_to(browser, x, y).click().perform()
    settled(browser)


def press(browser, *keys):
    webdriver.ActionChains(browser).send_keys(*keys).perform()
    settled(browser)


def suggestions(browser):
    return browser.find_elements(By.CSS_SELECTOR, "#suggestions button")


def color_point(browser, x, y, which=1):
    click_at(browser, x, y)
    suggestions(browser)[which].click()
    settled(browser)


def test_points_are_set_moved_removed_and_colored(ui):
    before = result(ui)
    for place in ((20, 20), (60, 40), (100, 70)):
        color_point(ui, *place)
    assert [(p["x"], p["y"]) for p in points(ui)] == [
        (pytest.approx(x, abs=1), pytest.approx(y, abs=1))
        for x, y in ((20, 20), (60, 40), (100, 70))
    ]
    colored = result(ui)
    assert colored != before
    move_to(ui, 60, 40).click_and_hold().move_by_offset(30, 0).move_by_offset(
        10, 5
    ).release().perform()
    settled(ui)
    moved = points(ui)[1]
    assert moved["x"] > 62
    assert moved["a"] is not None
    assert result(ui) != colored
    move_to(ui, 20, 20).context_click().perform()
    settled(ui)
    assert len(points(ui)) == 2


def test_suggestions_are_those_of_the_place_and_are_taken(ui):
    click_at(ui, 60, 40)
    buttons = suggestions(ui)
    assert 2 <= len(buttons) <= 10
    assert "current" in buttons[0].get_attribute("class")
    name = buttons[2].get_attribute("aria-label")
    buttons[2].click()
    settled(ui)
    (point,) = points(ui)
    told = [float(number) for number in re.findall(r"-?\d+", name)[1:]]
    assert (point["a"], point["b"]) == (
        pytest.approx(told[0], abs=1),
        pytest.approx(told[1], abs=1),
    )
    recent = ui.find_elements(By.CSS_SELECTOR, "#recent button")
    assert len(recent) == 1


def test_the_gamut_gives_colors_of_the_points_lightness(ui):
    click_at(ui, 60, 40)
    gamut = pick(ui, "#gamut")
    webdriver.ActionChains(ui).move_to_element_with_offset(gamut, 20, -20).click().perform()
    settled(ui)
    (point,) = points(ui)
    assert 12 < point["a"] < 28
    assert 12 < point["b"] < 28
    webdriver.ActionChains(ui).move_to_element_with_offset(gamut, -105, -105).click().perform()
    assert "No color of this lightness" in status(ui)


def test_undo_and_redo_by_keys_and_buttons(ui):
    color_point(ui, 20, 20)
    color_point(ui, 60, 40)
    both = result(ui)
    for _ in range(2):
        webdriver.ActionChains(ui).key_down(Keys.CONTROL).send_keys("z").key_up(
            Keys.CONTROL
        ).perform()
    settled(ui)
    assert len(points(ui)) == 1
    for _ in range(2):
        pick(ui, "#redo").click()
    settled(ui)
    assert len(points(ui)) == 2
    assert result(ui) == both


def test_everything_by_keyboard(ui):
    ui.execute_script("document.getElementById('pad').focus()")
    press(ui, Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ENTER)
    (point,) = points(ui)
    assert (point["x"], point["y"]) == (62, 46)
    press(ui, "+", "+")
    assert points(ui)[0]["size_px"] > point["size_px"]
    webdriver.ActionChains(ui).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(
        Keys.SHIFT
    ).perform()
    settled(ui)
    assert points(ui)[0]["x"] == 64
    pick(ui, "#a").send_keys(Keys.ARROW_RIGHT)
    settled(ui)
    assert points(ui)[0]["a"] is not None
    ui.execute_script("document.getElementById('pad').focus()")
    press(ui, Keys.DELETE)
    assert points(ui) == []


def test_the_wheel_changes_the_size_of_a_point(ui):
    click_at(ui, 60, 40)
    before = points(ui)[0]["size_px"]
    origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(pick(ui, "#pad"))
    webdriver.ActionChains(ui).scroll_from_origin(origin, 0, -100).perform()
    settled(ui)
    assert points(ui)[0]["size_px"] > before


def test_gray_and_result_side_by_side(ui):
    slider = pick(ui, "#compare")
    slider.send_keys(Keys.ARROW_RIGHT * 10)
    shown = "return document.getElementById('over').style.clipPath"
    assert "90%" in ui.execute_script(shown)
    pick(ui, "#gray").click()
    assert "0%" in ui.execute_script(shown).split()[1]
    assert pick(ui, "#gray").get_attribute("aria-pressed") == "true"


def downloaded(ui, folder, name):
    path = folder / "downloads" / name
    wait(ui, lambda _: path.is_file() and path.stat().st_size)
    return path


def test_downloads_keep_lightness_and_size(ui, folder):
    color_point(ui, 60, 40)
    pick(ui, "#kind").send_keys("PNG, 16")
    pick(ui, "#download").click()
    path = downloaded(ui, folder, "a_colored.png")
    with Image.open(path) as image:
        assert image.size == (128, 96)
    assert path.read_bytes()[24] == 16  # bits per sample
    assert "Downloaded a_colored.png" in status(ui)


def test_points_are_kept_beside_the_picture_and_loaded_again(ui, folder):
    color_point(ui, 60, 40)
    pick(ui, "#save").click()
    kept = folder / "a.png.points.json"
    wait(ui, lambda _: kept.is_file() and "Saved a.png.points.json" in status(ui))
    wanted = points(ui)
    assert json.loads(kept.read_text())["points"] == wanted
    pick(ui, "#clear").click()
    settled(ui)
    pick(ui, "#save").click()
    wait(ui, alert_is_present()).dismiss()
    wait(ui, lambda _: "Nothing saved" in status(ui))
    assert json.loads(kept.read_text())["points"] == wanted
    show(ui, ui.current_url)
    settled(ui)
    assert points(ui) == wanted


def test_points_of_a_file_are_checked(ui, folder):
    good, bad = folder / "good.json", folder / "bad.json"
    point = {"x": 5, "y": 6, "size_px": 3, "a": 10, "b": -10}
    good.write_text(json.dumps({"width": 128, "height": 96, "points": [point]}))
    bad.write_text(json.dumps({"width": 10, "height": 96, "points": [point]}))
    chosen = pick(ui, "#points-file")
    chosen.send_keys(str(good))
    wait(ui, lambda b: points(b) == [point])
    settled(ui)
    chosen.send_keys(str(bad))
    wait(ui, lambda b: "10 x 96 pixels" in status(b))
    assert points(ui) == [point]
    ui.get_log("browser")  # Chromium notes the refusal.


def test_pictures_of_a_folder_and_one_that_is_sent(ui, folder):
    pick(ui, "#next").click()
    wait(ui, lambda b: b.execute_script("return picture.name") == "b.png")
    sent = folder / "sent.jpg"
    write_scene(sent, 2)
    pick(ui, "#file").send_keys(str(sent))
    wait(ui, lambda b: b.execute_script("return picture.name") == "sent.jpg")
    settled(ui)
    color_point(ui, 20, 20)
    pick(ui, "#save").click()
    assert downloaded(ui, folder, "sent.jpg.points.json").is_file()


def test_a_bad_picture_is_told_and_the_page_goes_on(ui, folder):
    bad = folder / "bad.png"
    bad.write_bytes(b"no picture at all")
    pick(ui, "#file").send_keys(str(bad))
    wait(ui, lambda b: "bad.png: not a PNG" in status(b))
    assert str(folder) not in status(ui)
    color_point(ui, 20, 20)
    assert len(points(ui)) == 1
    ui.get_log("browser")  # Chromium notes the refusal.


def test_two_tabs_at_once(ui, server):
    color_point(ui, 20, 20)
    first, own = ui.current_window_handle, result(ui)
    ui.switch_to.new_window("tab")
    ui.get(server.address)
    settled(ui)
    assert points(ui) == []
    color_point(ui, 100, 70, which=2)
    ui.close()
    ui.switch_to.window(first)
    assert len(points(ui)) == 1
    assert result(ui) == own
    color_point(ui, 60, 40)
    assert len(points(ui)) == 2


def test_colors_from_the_distribution(ui):
    before = result(ui)
    pick(ui, "#distribution").click()
    settled(ui)
    assert result(ui) != before


def test_the_statistics_of_another_picture(browser, folder):
    page = started(folder, "global_hints")
    try:
        show(browser, page.address)
        settled(browser)
        before = result(browser)
        assert not pick(browser, "#suggestions").is_displayed()
        pick(browser, "#reference-file").send_keys(str(folder / "b.png"))
        wait(browser, lambda b: result(b) != before)
        settled(browser)
        of_histogram = result(browser)
        pick(browser, "#saturated").click()
        wait(browser, lambda b: result(b) != of_histogram)
    finally:
        page.shutdown()
        page.close()


@pytest.mark.parametrize("size_px", [DESKTOP_PX, PHONE_PX])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window_and_axe_finds_nothing(ui, server, size_px, scheme):
    show(ui, server.address, size_px, scheme)
    settled(ui)
    color_point(ui, 60, 40)
    width = ui.execute_script("return document.documentElement.scrollWidth")
    assert width <= size_px[0]
    assert serious_violations(ui) == []


def test_a_screenshot_shows_the_points(ui):
    color_point(ui, 60, 40)
    shot = np.asarray(Image.open(io.BytesIO(pick(ui, "#pad").screenshot_as_png)).convert("RGB"))
    yellow = (shot[..., 0] > 200) & (shot[..., 1] > 170) & (shot[..., 2] < 80)
    assert yellow.any()
