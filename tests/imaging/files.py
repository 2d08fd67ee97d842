"""Pictures in files, made and read back, for the tests of pictures and formats."""

from __future__ import annotations

import io
import os
import struct

import imagecodecs
import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.imaging.pictures import read_picture, write_picture
from unpaired.imaging.upright import ORIENTATION_TAG, as_stored

PHOTO = skimage.data.chelsea()[60:160:2, 100:220:2]  # 50 x 60 x 3, uint8


def photo(dtype, channels: int) -> np.ndarray:
    """A photo H x W x C of any type that uses all bits of it; further channels are a ramp."""
    height, width, _ = PHOTO.shape
    ramp = np.add.outer(np.arange(height), np.arange(width)) * 2.0
    colors = PHOTO[..., :1] if channels < 3 else PHOTO
    extra = np.repeat(ramp[..., None], max(channels - 3, channels == 2), axis=-1)
    values = np.concatenate([colors, extra], axis=-1)[..., :channels]
    if np.dtype(dtype).kind == "f":
        return (values * 13.7 - 200).astype(dtype)
    return (
        (values.astype(np.int64) * (257 if dtype == np.uint16 else 1) + 3)
        .clip(0, np.iinfo(dtype).max)
        .astype(dtype)
    )


def write_turned(path, pixels, orientation: int = 6) -> None:
    """Write H x W x ... that lies turned in the file, and is these pixels as it is looked at."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    Image.fromarray(as_stored(pixels, orientation)).save(path, exif=exif)


def copy(source, folder):
    """Read and write a picture unprocessed; return the path of the copy."""
    target = folder / "copy" / source.name
    write_picture(read_picture(source), target)
    assert os.listdir(target.parent) == [target.name]
    return target


def message_of(function, *arguments, **options) -> str:
    with pytest.raises(UnpairedError) as caught:
        function(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def refusal(path) -> str:
    message = message_of(read_picture, path)
    assert str(path) in message
    return message


def write_png(path, array):
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(array)))


def tiff_options(channels: int) -> dict:
    return {
        1: {"photometric": "minisblack"},
        2: {
            "photometric": "minisblack",
            "planarconfig": "contig",
            "extrasamples": ["unassalpha"],
        },
        3: {"photometric": "rgb"},
        4: {"photometric": "rgb", "extrasamples": ["assocalpha"]},
    }[channels]


def exif_of(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", orientation
    exif.get_ifd(34665).update({33434: 0.25, 36867: "2020:02:03 04:05:06", 37510: b"A" * 3000})
    exif.get_ifd(34853).update({1: "N", 2: (52.0, 31.0, 12.0)})
    return exif


def assert_same_exif(path) -> None:
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        assert tags[271].value == "Maker"
        assert tags[34665].value["UserComment"] == b"A" * 3000
        assert tags[34665].value["DateTimeOriginal"] == "2020:02:03 04:05:06"
        assert "ExposureTime" in tags[34665].value
        assert tags[34853].value["GPSLatitudeRef"] == "N"
        assert len(tags[34853].value["GPSLatitude"]) in (3, 6)


def jpeg_bytes(segments: bytes = b"", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "JPEG", **options)
    data = file.getvalue()
    return data[:2] + segments + data[2:]


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
