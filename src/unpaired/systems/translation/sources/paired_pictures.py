"""Pairs in one picture: the layout of pix2pix, and of every official set of BicycleGAN.

    train/1.jpg ..., val/1.jpg ..., test/1.jpg ...     width 2 W: A left, B right

Records: "input" and "output", H x W x 3, uint8. The halves of a set are brought to squares of one
side, as the authors do, by bicubic interpolation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.files import sha256_of, state_of
from unpaired.core.fingerprint import fingerprint
from unpaired.data.records import Part, Parts, Record
from unpaired.imaging.finding import pictures_by_name
from unpaired.imaging.pictures import read_rgb8, size_of

DIRECTIONS = ("AtoB", "BtoA")
A_TO_B, B_TO_A = DIRECTIONS
READERS, TOGETHER = 2, 500


@dataclass(frozen=True)
class Layout:
    """part: the folder below that of the set; "" for that itself.

    direction: which half is translated into which. side_px: of the squares that halves are brought
    to; None leaves them as they are.
    """

    part: str
    direction: str
    side_px: int | None = None

    def __post_init__(self) -> None:
        check_choice("pairs", "direction", self.direction, DIRECTIONS)


def pairs(folder: Path, layout: Layout) -> Parts:
    """Return the pairs of a set in the layout at the top of this module.

    Told when all have been looked at, together: pictures of an odd width, of another size than most
    of the set, and those that are as wide as one half of the others.
    """
    files = _files(Path(folder) / layout.part)
    code = fingerprint(__name__)
    parts = [
        Part(name, f"{code} {layout} {state_of(path)}", partial(_read, path, name, layout))
        for name, path in files.items()
    ]
    return Parts(str(folder), tuple(parts), tuple(_bad_sizes(files)), READERS, TOGETHER)


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UnpairedError(
            f"{folder}: no such folder; pictures of a left and a right half belong there"
        )
    found = pictures_by_name(folder)
    if not found:
        raise UnpairedError(f"{folder}: no pictures; put pictures of a left and a right half there")
    return dict(sorted(found.items()))


def _bad_sizes(files: dict[str, Path]) -> Iterator[str]:
    sizes: dict[Path, tuple[int, int]] = {}
    for path in files.values():
        try:
            width, height = size_of(path)
        except UnpairedError as error:
            yield str(error)
            continue
        sizes[path] = width, height
    if not sizes:
        return
    (width, height), _ = Counter(sizes.values()).most_common(1)[0]
    for path, (own_width, own_height) in sizes.items():
        told = f"{path} ({own_width}x{own_height})"
        if (2 * own_width, own_height) == (width, height):
            yield f"{told}: one half is missing; most are {width}x{height}"
        elif (own_width, own_height) != (width, height):
            yield f"{told}: another size than most, {width}x{height}"
        elif own_width % 2:
            yield f"{told}: an odd width has no two halves"


def _read(path: Path, name: str, layout: Layout) -> Record:
    both = read_rgb8(path, alpha="refuse")
    half = both.shape[1] // 2
    halves = [_square(both[:, :half], layout.side_px), _square(both[:, half:], layout.side_px)]
    if layout.direction == B_TO_A:
        halves.reverse()
    sha256 = sha256_of(path)
    return Record(
        name, dict(zip(("input", "output"), halves, strict=True)), f"file:{sha256}", sha256
    )


def _square(picture: np.ndarray, side_px: int | None) -> np.ndarray:
    if side_px is None or picture.shape[:2] == (side_px, side_px):
        return np.ascontiguousarray(picture)
    resized = Image.fromarray(picture).resize((side_px, side_px), Image.Resampling.BICUBIC)
    return np.asarray(resized)
