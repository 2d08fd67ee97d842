"""Pictures as they are looked at: turned as the EXIF orientation in their file says."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from unpaired.core.files import reading

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


def orientation_of(path: str | os.PathLike) -> int:
    """Return the EXIF orientation of a picture file, 1 to 8; 1 where it has none, or nonsense."""
    with reading(path), Image.open(path) as image:
        found = image.getexif().get(ORIENTATION_TAG, 1)
    return found if found in TURNS else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return H x W x ... as it is looked at."""
    mirrored, quarters = TURNS[orientation]
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)


def as_stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return what `upright` made of a stored picture as it was stored."""
    mirrored, quarters = TURNS[orientation]
    turned = np.rot90(pixels, -quarters)
    return turned[:, ::-1] if mirrored else turned
