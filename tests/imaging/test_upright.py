from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from tests.imaging.files import PHOTO, message_of, write_turned
from unpaired.imaging.upright import (
    as_stored,
    orientation_of,
    read_opaque,
    read_upright,
    upright,
)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_pillow_turns_and_back(tmp_path, orientation):
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    assert orientation_of(tmp_path / "a.png") == orientation
    assert np.array_equal(upright(pixels, orientation), wanted)
    assert np.array_equal(as_stored(wanted, orientation), pixels)


def test_without_a_tag_or_with_nonsense_a_picture_stays(tmp_path):
    buffer = io.BytesIO()
    Image.new("L", (3, 2)).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    assert orientation_of(tmp_path / "a.png") == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_as_it_is_looked_at(tmp_path, orientation):
    write_turned(tmp_path / "a.png", PHOTO, orientation)
    picture, has_alpha = read_upright(tmp_path / "a.png")
    assert not has_alpha
    assert np.array_equal(picture, PHOTO)
    assert np.array_equal(read_opaque(tmp_path / "a.png"), PHOTO)


def test_alpha_is_left_out_or_refused_with_a_remedy_that_there_is(tmp_path):
    path = tmp_path / "a.png"
    write_turned(path, np.dstack([PHOTO, PHOTO[..., 0]]))
    picture, has_alpha = read_upright(path)
    assert has_alpha
    assert np.array_equal(picture, PHOTO)
    assert message_of(read_opaque, path) == f"{path}: it has transparency; remove the alpha channel"
    path.write_bytes(b"no picture")
    assert "not a PNG" in message_of(read_upright, path)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
def test_a_tiff_says_its_orientation_whether_pillow_knows_it_or_not(tmp_path, dtype):
    tag = (274, "H", 1, 6, True)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 6), dtype), extratags=[tag])
    assert orientation_of(tmp_path / "a.tif") == 6


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08"])
def test_damaged_exif_data_are_no_orientation(tmp_path, exif):
    Image.new("L", (3, 2)).save(tmp_path / "a.png", exif=exif)
    assert orientation_of(tmp_path / "a.png") == 1


def test_too_many_pixels_are_one_line(tmp_path, monkeypatch):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "a.png: too many pixels" in message_of(orientation_of, tmp_path / "a.png")


def test_a_tiff_may_have_more_pixels_than_pillow_takes(tmp_path, monkeypatch):
    tag = (274, "H", 1, 6, True)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint8), extratags=[tag])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "a.tif")
    assert orientation_of(tmp_path / "a.tif") == 6
