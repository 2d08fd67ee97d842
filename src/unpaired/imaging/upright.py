"""Pictures as they are looked at: turned as the EXIF orientation in their file says."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from unpaired.core.errors import UnpairedError
from unpaired.core.files import reading
from unpaired.imaging.finding import TIFF_SUFFIXES
from unpaired.imaging.formats.decoded import bad
from unpaired.imaging.pictures import read_rgb8

ORIENTATION_TAG = 0x0112
# EXIF's number -> whether the stored picture is mirrored first, left to right, and by how many
# quarters it is turned counterclockwise then.
TURNS = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}


def read_upright(path: str | os.PathLike) -> tuple[np.ndarray, bool]:
    """Read an ordinary picture as it is looked at: H x W x 3, uint8; and whether it had alpha.

    Alpha is left out. Raises UnpairedError as `read_rgb8` does.
    """
    try:
        stored, has_alpha = read_rgb8(path, alpha="refuse"), False
    except UnpairedError:
        # What is wrong with it otherwise is raised again.
        stored, has_alpha = read_rgb8(path, alpha="drop"), True
    return upright(stored, orientation_of(path)), has_alpha


def read_opaque(path: str | os.PathLike) -> np.ndarray:
    """Read as `read_upright` does; raises UnpairedError for a picture with alpha, too."""
    picture, has_alpha = read_upright(path)
    if has_alpha:
        raise bad(Path(path), "it has transparency", "remove the alpha channel")
    return picture


def orientation_of(path: str | os.PathLike) -> int:
    """Return the EXIF orientation of a picture file, 1 to 8; 1 where it has none, or nonsense.

    Raises UnpairedError, naming the file, if it has too many pixels for Pillow and is no TIFF.
    """
    found = None
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # About flaws of EXIF data, and sizes below Pillow's cap.
        try:
            with Image.open(path) as image, suppress(Exception):  # EXIF data may be damaged.
                found = image.getexif().get(ORIENTATION_TAG)
        except UnidentifiedImageError:  # a TIFF that Pillow does not know
            found = _in_tiff(path)
        except Image.DecompressionBombError as error:
            if Path(path).suffix.lower() not in TIFF_SUFFIXES:
                remedy = "crop or scale it down"
                raise bad(Path(path), "too many pixels to be opened safely", remedy) from error
            found = _in_tiff(path)  # TIFFs are not read by Pillow, and may be larger.
    return found if found in TURNS else 1


def _in_tiff(path: str | os.PathLike) -> object:
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages[0].tags.valueof(ORIENTATION_TAG)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return H x W x ... as it is looked at."""
    mirrored, quarters = TURNS[orientation]
    return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters))


def as_stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return what `upright` made of a stored picture as it was stored."""
    mirrored, quarters = TURNS[orientation]
    turned = np.rot90(pixels, -quarters)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
