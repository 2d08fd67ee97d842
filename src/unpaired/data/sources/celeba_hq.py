"""CelebA-HQ: portraits with 40 attributes each, in the layout that CelebAMask-HQ unpacks to.

CelebA-HQ-img/<id>.jpg             square RGB, 1024 px, ids from 0 to 29,999
CelebAMask-HQ-attribute-anno.txt   a count, 40 names, and a line of 1 and -1 for every picture
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import reading, state_of
from unpaired.core.fingerprint import fingerprint
from unpaired.data.records import Part, Parts, Record

PICTURES, ATTRIBUTES = "CelebA-HQ-img", "CelebAMask-HQ-attribute-anno.txt"
READERS, TOGETHER = 2, 500


def portraits(folder: Path, ids: Sequence[int], side_px: int) -> Parts:
    """Return portraits by id, reduced to ``side_px`` by means over squares.

    Records: "image" S x S x 3, "attributes" 1 x 1 x 40 (0 or 1), all uint8. Missing pictures are
    told when they are counted, what is wrong inside them together when they are read.
    """
    folder, code = Path(folder), fingerprint(__name__)
    files = {number: folder / PICTURES / f"{number}.jpg" for number in ids}
    parts = [
        Part(
            f"{number:05d}",
            f"{code} {side_px} {state_of(path)}",
            partial(_read, folder, number, side_px),
        )
        for number, path in files.items()
        if path.is_file()
    ]
    missing = tuple(f"{path}: missing" for path in files.values() if not path.is_file())
    return Parts(str(folder), tuple(parts), missing, READERS, TOGETHER)


def _read(folder: Path, number: int, side_px: int) -> Record:
    path, name = folder / PICTURES / f"{number}.jpg", f"{number}.jpg"
    image = pixels(path, "RGB")
    if image.shape[0] != image.shape[1]:
        height, width = image.shape[:2]
        raise UnpairedError(f"{path}: a square is needed, not {width}x{height}")
    attributes = _attributes_of(folder / ATTRIBUTES)
    if name not in attributes:
        raise UnpairedError(f"{folder / ATTRIBUTES}: no line of {name}")
    arrays = {"image": reduced(path, image, side_px), "attributes": attributes[name][None, None]}
    return Record(f"{number:05d}", arrays, f"celeba_hq:{number}")


@cache
def _attributes_of(path: Path) -> dict[str, np.ndarray]:
    return read_attributes(path)


def read_attributes(path: Path) -> dict[str, np.ndarray]:
    """Return the attributes of every picture by the name of its file: 0 or 1, uint8."""
    with reading(path):
        lines = path.read_text(encoding="utf-8").splitlines()
    count, names, *rows = [line.split() for line in lines if line.strip()] or [[], []]
    wrong = [row[0] for row in rows if len(row) != len(names) + 1 or set(row[1:]) - {"1", "-1"}]
    if not names or count != [str(len(rows))] or wrong:
        named = f": {list_some(wrong)}" if wrong else ""
        raise UnpairedError(
            f"{path}: not a list of attributes, a count, names, and a line of 1 and -1 for "
            f"each picture{named}; unpack it again"
        )
    return {row[0]: np.array([value == "1" for value in row[1:]], np.uint8) for row in rows}


def pixels(path: Path, mode: str) -> np.ndarray:
    """Return H x W x channels of an 8-bit picture that must be of a mode of Pillow, RGB or L."""
    try:
        with reading(path), Image.open(path) as picture:
            found = picture.mode
            if found == mode or (mode == "L" and found in ("1", "P")):
                array = np.asarray(picture.convert(mode))
                return array if array.ndim == 3 else array[..., None]
    except (UnidentifiedImageError, SyntaxError, ValueError, OSError) as error:
        raise UnpairedError(f"{path}: cannot be read ({error}); unpack it again") from None
    wanted = {"RGB": "RGB of 8 bits", "L": "gray of 8 bits"}[mode]
    raise UnpairedError(f"{path}: {wanted} is needed, not {found}; unpack it again")


def reduced(path: Path, image: np.ndarray, side_px: int) -> np.ndarray:
    """Return a square picture of a smaller side, by means over squares, rounded."""
    factor = factor_of(path, image.shape[0], side_px)
    if factor == 1:
        return np.ascontiguousarray(image)
    squares = image.reshape(side_px, factor, side_px, factor, -1).astype(np.float32)
    return np.floor(squares.mean(axis=(1, 3)) + 0.5).astype(np.uint8)


def factor_of(path: Path, side_px: int, target_px: int) -> int:
    """Return how many pixels of a side become one; raises UnpairedError unless that is whole."""
    if side_px < target_px or side_px % target_px:
        raise UnpairedError(
            f"{path}: {side_px} px a side cannot be reduced to {target_px}; its sides must be "
            "multiples"
        )
    return side_px // target_px
