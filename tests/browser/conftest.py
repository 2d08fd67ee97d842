"""A headless Chromium for the pages that this project writes."""

from __future__ import annotations

import shutil

import pytest


def find_program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"needs {names[0]} in PATH (Debian: apt-get install chromium chromium-driver)")
    return found


@pytest.fixture(scope="package")
def browser():
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="needs selenium: pip install -e '.[test]'"
    )
    from selenium.webdriver.chrome.service import Service

    chromium = find_program("chromium", "chromium-browser", "google-chrome")
    driver = find_program("chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # Chromium's sandbox does not start as root, nor its shared memory in small containers.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()
