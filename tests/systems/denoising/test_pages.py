"""Pages of pictures before and after: what is drawn of the arrays, and what stands in the file."""

from __future__ import annotations

import base64
import io
import os
import re

import numpy as np
import pytest
from PIL import Image

from unpaired.imaging.liveliness import liveliest
from unpaired.systems.denoising import pages
from unpaired.systems.denoising.pages import (
    PLACES_MAX,
    SIDE_MAX_PX,
    Place,
    shown_places,
    write_before_after,
)

RNG = np.random.default_rng(0)


def place(noisy, restored, name="a.tif", caption=""):
    return Place(name, caption, noisy, restored)


def decode(source):
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def write(path, places, **texts):
    defaults = {"title": "Before and after", "lines": ["Two pictures."], "command": "unpaired"}
    write_before_after(path, places=places, **(defaults | texts))
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("scale", [1.0, 1e-6, 257.0, 1e8])
@pytest.mark.parametrize("channels", [1, 3])
def test_noisy_and_restored_share_black_and_white_in_any_unit(scale, channels):
    clean = np.linspace(0.2, 0.8, 64 * 64).reshape(64, 64, 1).repeat(channels, axis=2)
    noisy = clean + 0.05 * RNG.standard_normal(clean.shape)
    (shown,) = shown_places([place(scale * noisy, scale * clean)])
    low, high = np.quantile(noisy, pages.SHOWN_QUANTILES)
    expected = 255 * ((clean - low) / (high - low)).clip(0, 1)
    restored = decode(shown["versions"][0]["picture"]).reshape(clean.shape)
    assert np.abs(restored - expected).max() <= 1.01
    factor, difference = shown["factor"], decode(shown["versions"][0]["difference"])
    expected = 127.5 + 255 * factor * (noisy - clean) / (high - low)
    assert np.abs(difference.reshape(clean.shape) - expected.clip(0, 255)).max() <= 1.01
    assert factor == 2  # The quantile of the noise, times that, fills the scale by half.


def test_a_few_bright_spots_leave_the_background_visible():
    noisy = RNG.normal(220, 10, (100, 100, 1))
    noisy[::50, ::50] = 60_000
    (shown,) = shown_places([place(noisy, noisy)])
    assert 20 < decode(shown["noisy"]).std() < 100


def test_a_flat_picture_and_numbers_that_are_none():
    flat = np.full((8, 9, 1), 7.0)
    broken = flat.copy()
    broken[0, 0] = np.nan
    broken[1, 1] = np.inf
    (shown,) = shown_places([place(flat, broken)])
    assert decode(shown["noisy"]).shape == (8, 9)
    (shown,) = shown_places([place(broken, flat)])
    assert (decode(shown["versions"][0]["difference"])[2:] == 128).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_integers_do_not_wrap_around(dtype):
    noisy, restored = np.full((8, 8, 1), 10, dtype), np.full((8, 8, 1), 20, dtype)
    noisy[0, 0] = 110
    (shown,) = shown_places([place(noisy, restored)])
    assert decode(shown["versions"][0]["difference"])[4, 4] < 127


@pytest.mark.parametrize(
    ("shape", "channels"), [((3000, 200), 1), ((200, 3000), 3), ((1500, 1600), 3), ((40, 9000), 1)]
)
def test_of_large_pictures_a_part_is_shown_and_said(shape, channels):
    noisy = RNG.random((*shape, channels), dtype=np.float32)
    (shown,) = shown_places([place(noisy, noisy)])
    assert decode(shown["noisy"]).shape[:2] == (shown["height"], shown["width"])
    assert max(shown["height"], shown["width"]) <= SIDE_MAX_PX
    assert min(shown["height"], shown["width"]) == min(*shape, SIDE_MAX_PX)
    part = f"a part of {shown['width']} x {shown['height']} of {shape[1]} x {shape[0]} pixels"
    assert shown["part"] == part


def test_a_small_picture_is_shown_whole():
    noisy = RNG.random((30, 40, 3))
    (shown,) = shown_places([place(noisy, noisy)])
    assert shown["part"] == ""
    assert decode(shown["noisy"]).shape == (30, 40, 3)


def test_many_large_pictures_are_few_and_fit_in_a_file(tmp_path):
    noisy = RNG.random((1000, 1000, 3), dtype=np.float32)  # No picture compresses worse.
    places = [place(noisy, noisy, f"{number}.tif") for number in range(11)]
    page = write(tmp_path / "a.html", places)
    names = re.findall(r"<h2 [^>]*>(.*tif)</h2>", page)
    assert names == ["0.tif", "2.tif", "4.tif", "6.tif", "8.tif", "10.tif"]
    assert len(names) == PLACES_MAX
    assert (tmp_path / "a.html").stat().st_size < 12e6


def test_a_page_without_pictures(tmp_path):
    assert "Two pictures." in write(tmp_path / "a.html", [])


def test_names_and_texts_of_any_kind(tmp_path):
    noisy = RNG.random((8, 8, 1))
    strange = '"><script>alert(1)</script>' + os.fsdecode(b"\xff") + "\ud800"
    page = write(
        tmp_path / "a.html",
        [place(noisy, noisy, strange, strange)],
        title=strange,
        lines=[strange],
        command=f"unpaired denoise {strange}",
    )
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;??" in page


def test_the_page_needs_nothing_else_and_forbids_itself_the_network(tmp_path):
    noisy = RNG.random((8, 8, 1))
    page = write(tmp_path / "a.html", [place(noisy, noisy)])
    assert not re.search(r"https?://|<script src|<link", page)
    assert "default-src 'none'" in page
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', page))
    assert page.count("<img ") == 3
    assert all("alt=" in image for image in re.findall(r"<img [^>]*>", page))


def test_of_several_versions_the_first_decides_what_a_difference_is_multiplied_by():
    noisy = RNG.normal(0.5, 0.1, (32, 32, 1))
    (shown,) = shown_places([place(noisy, {"none": noisy, "all": np.full_like(noisy, 0.5)})])
    assert [version["title"] for version in shown["versions"]] == ["none", "all"]
    assert shown["factor"] == max(pages.FACTORS)


def test_the_liveliest_part():
    page = np.full((60, 90, 1), 5e4, np.float32)
    page[30:50, 60:80] += 100 * RNG.random((2, 2, 1)).repeat(10, 0).repeat(10, 1)
    rows, columns = liveliest(page, 24, 24)
    assert rows.start <= 32
    assert rows.stop >= 48
    assert columns.start <= 62
    assert columns.stop >= 76
    assert liveliest(page, 100, 100) == (slice(0, 60), slice(0, 90))
