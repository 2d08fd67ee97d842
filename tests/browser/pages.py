"""What tests of several pages do in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.conftest import REPOSITORY

DESKTOP_PX, PHONE_PX = (1280, 900), (360, 740)
AXE = Path(os.environ.get("UNPAIRED_AXE", REPOSITORY / "node_modules/axe-core/axe.min.js"))


def show(browser, address, size_px=DESKTOP_PX, scheme="light"):
    metrics = {"width": size_px[0], "height": size_px[1], "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get("about:blank")  # Else an address that differs in its fragment only is not loaded.
    browser.get(address)


def pick(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def serious_violations(browser) -> list[str]:
    """Return what axe-core finds on the open page; skips without axe-core."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm install axe-core, or its axe.min.js in UNPAIRED_AXE")
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "axe.run({resultTypes: ['violations']}).then(arguments[arguments.length - 1])"
    )
    assert found["passes"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:300]}: {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
