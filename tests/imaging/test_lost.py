"""What the written picture will not say or hold is told."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.imaging.files import PHOTO
from unpaired.imaging.lost import noting_descriptions, read_own
from unpaired.imaging.pictures import in_rgb

STACK = np.arange(6 * 8 * 9, dtype=np.uint16).reshape(3, 2, 8, 9)


@pytest.mark.parametrize(
    ("name", "options", "owner"),
    [
        ("a.ome.tif", {"metadata": {"axes": "ZCYX"}}, "OME"),
        ("a.tif", {"metadata": {"axes": "ZCYX"}, "imagej": True}, "ImageJ"),
        ("a.tif", {"metadata": {"axes": "ZCYX"}}, "tifffile"),
        ("a.tif", {"metadata": None, "description": "20 ms"}, "in words"),
    ],
)
def test_descriptions_that_gray_pictures_lose_as_rgb_are_noted(tmp_path, name, options, owner):
    tifffile.imwrite(tmp_path / name, STACK, photometric="minisblack", **options)
    gray = read_own(tmp_path / name)
    assert gray.notes == ()
    (note,) = noting_descriptions(gray, in_rgb(gray)).notes
    assert owner in note
    assert "left out" in note
    assert noting_descriptions(gray, gray).notes == ()


def test_a_pyramid_and_a_preview_are_noted(tmp_path):
    with tifffile.TiffWriter(tmp_path / "sub.ome.tif") as tiff:
        tiff.write(STACK[0, 0], subifds=1, metadata={"axes": "YX"})
        tiff.write(STACK[0, 0, ::2, ::2], subfiletype=1)
    with tifffile.TiffWriter(tmp_path / "chain.tif") as tiff:
        tiff.write(STACK[0, 0], metadata=None)
        tiff.write(STACK[0, 0, ::2, ::2], subfiletype=1, metadata=None)
    for name in ("sub.ome.tif", "chain.tif"):
        picture = read_own(tmp_path / name)
        assert picture.pixels.shape == (1, 8, 9, 1)
        assert picture.notes == ("the smaller copies in it (a pyramid or a preview) are left out",)


@pytest.mark.parametrize(
    ("mode", "suffix", "note"),
    [
        ("1", ".png", "1 bit a pixel became 8"),
        ("P", ".png", "its palette became RGB"),
        ("P", ".tif", "its palette became RGB"),
        ("L", ".png", None),
        ("RGB", ".png", None),
        ("RGB", ".tif", None),
        ("RGB", ".jpg", None),
    ],
)
def test_other_depths_and_palettes_are_noted(tmp_path, mode, suffix, note):
    path = tmp_path / f"a{suffix}"
    image = Image.fromarray(PHOTO)
    (image.quantize(16) if mode == "P" else image.convert(mode)).save(path)
    assert read_own(path).notes == (() if note is None else (note,))
