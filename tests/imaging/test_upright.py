from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from unpaired.imaging.upright import as_stored, orientation_of, upright


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
