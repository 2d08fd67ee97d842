"""Enlarged pictures keep their size in print."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.imaging.files import PHOTO
from unpaired.imaging.pictures import in_another_size, read_picture, write_picture
from unpaired.imaging.resolution import at_finer_resolution


def four_times(path):
    """Write a picture of four times its size as its file asks for; return the new file."""
    picture = read_picture(path)
    large = picture.pixels.repeat(4, 1).repeat(4, 2)
    target = path.parent / "large" / path.name
    write_picture(at_finer_resolution(in_another_size(picture, large, None), 4), target)
    return target


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_the_resolution_is_finer_in_the_file_and_in_exif_data(tmp_path, suffix, byteorder):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif.endian = byteorder
    if suffix != ".tif":  # Its own tags are those of EXIF.
        exif[282], exif[283], exif[296] = 300.0, 72.5, 2
    exif[271] = "Maker"
    Image.fromarray(PHOTO).save(path, dpi=(300, 300), exif=exif)
    with Image.open(four_times(path)) as large:
        assert large.size == (4 * PHOTO.shape[1], 4 * PHOTO.shape[0])
        assert large.info["dpi"] == pytest.approx((1200, 1200), rel=1e-4)
        found = large.getexif()
        assert found[271] == "Maker"
        wanted = (1200, 1200) if suffix == ".tif" else (1200, 290)
        assert (found[282], found[283]) == pytest.approx(wanted)


def test_webp_has_its_resolution_in_exif_data_alone(tmp_path):
    exif = Image.Exif()
    exif[282] = exif[283] = 96.0
    Image.fromarray(PHOTO).save(tmp_path / "a.webp", lossless=True, exif=exif)
    with Image.open(four_times(tmp_path / "a.webp")) as large:
        assert large.getexif()[282] == 384


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"MM\0*\0\0\0\x08\0\xff", b"nonsense that is long"])
def test_damaged_exif_data_stay_as_they_are(tmp_path, exif):
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif)
    before = read_picture(tmp_path / "a.jpg").carried
    kept = read_picture(four_times(tmp_path / "a.jpg")).carried
    assert [one for one in kept if one.marker == 0xE1] == [
        one for one in before if one.marker == 0xE1
    ]


def test_a_place_on_the_ground_is_left_out_and_told(tmp_path):
    tags = [(33550, "d", 3, (10.0, 10.0, 0.0), True), (33922, "d", 6, (0.0,) * 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", PHOTO, photometric="rgb", extratags=tags)
    picture = read_picture(tmp_path / "a.tif")
    finer = at_finer_resolution(picture, 4)
    assert finer.notes == ("its place on the ground (GeoTIFF) is left out: it counts pixels",)
    assert not {33550, 33922} & {tag.code for page in finer.carried.tags for tag in page}
    assert np.array_equal(finer.pixels, picture.pixels)
