"""The report as a person meets it: in a headless Chromium, by pointer and by keyboard."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.pipeline.synthetic_results import make_results
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.report.page import write_report

pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[test]'")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.pages import DESKTOP_PX, PHONE_PX, pick, serious_violations, show

pytestmark = [pytest.mark.browser, pytest.mark.long]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("report")
    plan = make_results(root, noises=["gauss25", "poisson30"])
    path = root / "report.html"
    refusals = [(plan.table, UnpairedError("config: methods: the table has no such row"))]
    write_report(path, {1: plan}, refusals, plan.settings, root)
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    """The page as on a desktop, freshly opened; nothing may be logged while a test runs."""
    show(browser, address)
    yield browser
    assert browser.get_log("browser") == []


def color_at(element, across, down=0.5):
    with Image.open(io.BytesIO(element.screenshot_as_png)) as picture:
        point = int(across * (picture.width - 1)), int(down * (picture.height - 1))
        return picture.convert("RGB").getpixel(point)


def column(page, title, table="table.numbers"):
    """Return the header whose button reads ``title`` in one line, and its cells' exact values."""
    return page.execute_script(
        """
        const table = document.querySelector(arguments[0]);
        const header = [...table.querySelectorAll("th[aria-sort]")].find(
          (th) => th.querySelector("button").textContent.trim() === arguments[1]);
        const shift = header.parentNode.rowIndex ? 1 : 0;
        return [header, [...table.tBodies[0].rows].map(
          (row) => row.cells[header.cellIndex + shift].dataset.sort)];
        """,
        table,
        title,
    )


def test_the_divider_uncovers_one_picture_or_the_other(page):
    view, divider = pick(page, ".stage .view"), pick(page, "[data-sets=split]")
    red, right = color_at(view, 0.25), color_at(view, 0.75)
    assert red == (200, 30, 30)
    assert right != red
    divider.send_keys(Keys.END)
    assert color_at(view, 0.75) == red
    divider.send_keys(Keys.HOME)
    assert color_at(view, 0.25) == right


def test_any_two_pictures_can_be_compared(page):
    view = pick(page, ".stage .view")
    pick(page, "select[data-side=right]").send_keys("clean")
    assert color_at(view, 0.75) == (30, 30, 200)
    caption = pick(page, ".stage figcaption").text
    assert caption == "left: noisy (22.00 / 0.500); right: clean"


def test_all_pictures_zoom_together(page):
    pick(page, "[data-sets=zoom]").send_keys(Keys.END)
    pick(page, "[data-sets=across]").send_keys(Keys.HOME)
    styles = page.execute_script(
        "return [...document.querySelector('.comparison').querySelectorAll('img')].map((img) => {"
        "const style = getComputedStyle(img); return style.transform + style.transformOrigin[0]})"
    )
    assert len(styles) > 4
    assert set(styles) == {"matrix(8, 0, 0, 8, 0, 0)0"}


def test_dragging_a_picture_moves_them_all(page):
    pick(page, "[data-sets=zoom]").send_keys(Keys.END)
    actions = webdriver.ActionChains(page)
    actions.click_and_hold(pick(page, ".versions .view")).move_by_offset(-30, 0).release().perform()
    assert float(pick(page, "[data-sets=across]").get_property("value")) > 50
    assert float(pick(page, "[data-sets=down]").get_property("value")) == 50


def test_a_heading_sorts_one_way_the_other_and_back(page):
    header, before = column(page, "PSNR (dB) paper")
    numbers = sorted((float(value) for value in before if value), reverse=True)
    button = header.find_element(By.TAG_NAME, "button")
    for order, expected in (("descending", numbers), ("ascending", numbers[::-1])):
        button.click()
        header, values = column(page, "PSNR (dB) paper")
        assert header.get_attribute("aria-sort") == order
        assert [float(value) for value in values if value] == expected
        assert values[-1] == ""  # The row that the paper does not have.
    button.click()
    assert column(page, "PSNR (dB) paper")[1] == before
    assert header.get_attribute("aria-sort") == "none"


def test_one_column_at_a_time_is_sorted_by(page):
    for title in ("SSIM ours", "method"):
        column(page, title)[0].find_element(By.TAG_NAME, "button").click()
    methods = column(page, "method")[1]
    assert methods == sorted(methods)
    script = "return document.querySelectorAll('th[aria-sort]:not([aria-sort=none])').length"
    assert page.execute_script(script) == 1


def test_costs_sort_by_numbers_and_by_words(page):
    for title in ("seed", "method"):
        column(page, title, "table:not(.numbers)")[0].find_element(By.TAG_NAME, "button").click()
    methods = column(page, "method", "table:not(.numbers)")[1]
    assert methods == sorted(methods)


def focused(page):
    return page.switch_to.active_element


def press(page, *keys):
    webdriver.ActionChains(page).send_keys(*keys).perform()


def test_the_keyboard_reaches_and_works_everything(page):
    press(page, Keys.TAB)
    assert focused(page).text == "To the tables"
    press(page, Keys.ENTER, Keys.TAB)
    assert "wide" in focused(page).get_attribute("class")  # The box that scrolls.
    press(page, Keys.TAB, Keys.TAB, Keys.ENTER)
    header = focused(page).find_element(By.XPATH, "..")
    assert header.get_attribute("aria-sort") == "descending"
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_a_number_leads_to_its_provenance(page):
    link = pick(page, "td a")
    target = link.get_attribute("href").partition("#")[2]
    link.send_keys(Keys.ENTER)
    assert pick(page, f"#{target}").get_property("open")
    assert "0123456789abcdef" in pick(page, f"#{target} dl").text


@pytest.mark.parametrize("is_open", [False, True])
def test_a_phone_scrolls_no_page_sideways(page, address, is_open):
    show(page, address, PHONE_PX)
    if is_open:
        open_all(page)
    whole = pick(page, "html")
    assert whole.get_property("scrollWidth") == whole.get_property("clientWidth") <= PHONE_PX[0]
    box = pick(page, ".wide")
    assert box.get_property("scrollWidth") > box.get_property("clientWidth")


def open_all(page):
    page.execute_script(
        "for (const entry of document.querySelectorAll('details')) entry.open = true"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size_px", [DESKTOP_PX, PHONE_PX])
def test_axe_finds_no_serious_violation(page, address, scheme, size_px):
    show(page, address, size_px, scheme)
    open_all(page)
    assert not serious_violations(page)
