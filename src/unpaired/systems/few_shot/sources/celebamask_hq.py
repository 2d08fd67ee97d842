"""CelebAMask-HQ: portraits with one mask per part, in the layout that its archive unpacks to.

    CelebA-HQ-img/<id>.jpg                                 square RGB, 1024 px
    CelebAMask-HQ-mask-anno/<id // 2000>/<id>_<part>.png   square gray, 512 px, 255 inside; the id
                                                           has five digits; absent where the part is
    CelebAMask-HQ-attribute-anno.txt                       40 attributes of every picture, 1 or -1

The masks of a picture become one label map: a later part of PARTS covers an earlier one. Pictures
and masks above PICTURE_PX are reduced to it: by means over squares, and by the label at the middle
of each square.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from unpaired.core.errors import UnpairedError
from unpaired.core.files import reading, state_of
from unpaired.core.fingerprint import fingerprint
from unpaired.data.records import Part, Parts, Record
from unpaired.data.sources.celeba_hq import (
    ATTRIBUTES,
    PICTURES,
    factor_of,
    pixels,
    read_attributes,
    reduced,
)

MASKS = "CelebAMask-HQ-mask-anno"
PICTURE_PX = 128
PICTURES_PER_FOLDER = 2000  # of masks
# In the order in which they cover each other; a label is 1 + the index, and 0 is what has no mask.
PARTS = ("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear")
PARTS += ("mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth")
# Which pictures are for what, by id. The paper says how many (5, 1,000, 12,500 and 768), not which.
# Of the pairs five are learned from, as a run's seed draws them, and the others are for validation.
SPLIT = {
    "pairs": range(69),
    "measured": range(69, 1_069),
    "pictures": range(1_069, 13_569),
    "test": range(29_232, 30_000),
}
READERS, TOGETHER = 2, 500
LISTED = 20  # bad files that a message names


def pairs(folder: Path) -> Parts:
    """Return the portraits of which measurement and truth are seen together."""
    return portraits(folder, SPLIT["pairs"], "celebamask_hq")


def measured(folder: Path) -> Parts:
    """Return the portraits of which only the measurement is seen."""
    return portraits(folder, SPLIT["measured"], "celebamask_hq")


def pictures(folder: Path) -> Parts:
    """Return the portraits that are seen as they are, without a measurement."""
    return portraits(folder, SPLIT["pictures"], "celebamask_hq")


def test(folder: Path) -> Parts:
    """Return the test portraits."""
    return portraits(folder, SPLIT["test"], "celebamask_hq")


def portraits(folder: Path, ids: Sequence[int], scenes: str) -> Parts:
    """Return portraits by id, in the layout at the top of this module.

    Records: "image" S x S x 3, "labels" S x S x 1 (see PARTS), "attributes" 1 x 1 x A (0 or 1), all
    uint8. scenes: what their scenes are called, before the id. What names alone show to be wrong
    (missing pictures, masks of no picture, of no part or in another's folder) is told when they
    are counted, and all the rest together when they are read.
    """
    layout = _Layout(Path(folder))
    code = fingerprint(__name__)
    parts = [
        Part(
            f"{number:05d}",
            f"{code} {state_of(*layout.files_of(number))}",
            partial(_read, layout, number, scenes),
        )
        for number in ids
        if layout.picture(number).is_file()
    ]
    return Parts(str(folder), tuple(parts), tuple(_bad_names(layout, ids)), READERS, TOGETHER)


@dataclass(frozen=True)
class _Layout:
    folder: Path

    def picture(self, number: int) -> Path:
        return self.folder / PICTURES / f"{number}.jpg"

    def mask(self, number: int, part: str) -> Path:
        place = str(number // PICTURES_PER_FOLDER)
        return self.folder / MASKS / place / f"{number:05d}_{part}.png"

    @cached_property
    def masks(self) -> dict[int, list[str]]:
        """The parts of every picture that has a mask, in the order of PARTS."""
        found: dict[int, set[str]] = {}
        for place, name in self.mask_names:
            if (known := _part_of(name)) and place == str(known[0] // PICTURES_PER_FOLDER):
                found.setdefault(known[0], set()).add(known[1])
        return {n: [part for part in PARTS if part in own] for n, own in found.items()}

    @cached_property
    def mask_names(self) -> list[tuple[str, str]]:
        """Folder and name of every file of masks."""
        with reading(self.folder / MASKS):
            places = sorted(entry.name for entry in os.scandir(self.folder / MASKS))
            return [
                (place, name)
                for place in places
                if (self.folder / MASKS / place).is_dir()
                for name in sorted(os.listdir(self.folder / MASKS / place))
                if not name.startswith(".")
            ]

    @cached_property
    def attributes(self) -> dict[str, np.ndarray]:
        """The attributes of every picture by the name of its file: 0 or 1, uint8."""
        return read_attributes(self.folder / ATTRIBUTES)

    def files_of(self, number: int) -> list[Path]:
        masks = [self.mask(number, part) for part in self.masks.get(number, ())]
        return [self.picture(number), *masks]


def _part_of(name: str) -> tuple[int, str] | None:
    """Return id and part of the name of a mask; None if it is no such name."""
    found = re.fullmatch(r"(\d{5})_(\w+)\.png", name)
    return (int(found[1]), found[2]) if found and found[2] in PARTS else None


def _bad_names(layout: _Layout, ids: Sequence[int]) -> Iterator[str]:
    for place in (PICTURES, MASKS):
        if not (layout.folder / place).is_dir():
            yield f"{layout.folder / place}: no such folder; unpack the archive again"
            return
    for number in ids:
        if not layout.picture(number).is_file():
            yield f"{layout.picture(number)}: missing"
        elif not layout.masks.get(number):
            yield f"{layout.mask(number, '<part>')}: no mask of picture {number}"
        elif f"{number}.jpg" not in layout.attributes:
            yield f"{layout.folder / ATTRIBUTES}: no line of {number}.jpg"
    wanted = set(ids)
    for place, name in layout.mask_names:
        known = _part_of(name)
        where = f"{MASKS}/{place}/{name}"
        if known is None:
            yield f"{where}: no <id>_<part>.png with a part of {', '.join(PARTS)}"
        elif place != str(known[0] // PICTURES_PER_FOLDER):
            yield f"{where}: belongs into folder {known[0] // PICTURES_PER_FOLDER}"
        elif known[0] in wanted and not layout.picture(known[0]).is_file():
            yield f"{where}: a mask without the picture {known[0]}.jpg"


def _read(layout: _Layout, number: int, scenes: str) -> Record:
    path = layout.picture(number)
    image = pixels(path, "RGB")
    parts = {part: pixels(layout.mask(number, part), "L") for part in layout.masks[number]}
    side = image.shape[0]
    mask_sides = {mask.shape[:2] for mask in parts.values()}
    if image.shape[1] != side or len(mask_sides) > 1 or any(h != w for h, w in mask_sides):
        sizes = ", ".join(f"{w}x{h}" for h, w in sorted({image.shape[:2], *mask_sides}))
        raise UnpairedError(
            f"{path}: picture and masks must be squares, masks of one size: {sizes}"
        )
    labels = np.zeros((*next(iter(mask_sides)), 1), np.uint8)
    for part, mask in parts.items():
        labels[mask > 127] = 1 + PARTS.index(part)
    if not labels.any():
        raise UnpairedError(f"{path}: all of its masks are empty; unpack them again")
    target = min(side, PICTURE_PX)
    arrays = {
        "image": reduced(path, image, target),
        "labels": _sampled(path, labels, target),
        "attributes": layout.attributes[f"{number}.jpg"][None, None],
    }
    return Record(f"{number:05d}", arrays, f"{scenes}:{number}")


def _sampled(path: Path, labels: np.ndarray, side: int) -> np.ndarray:
    factor = factor_of(path, labels.shape[0], side)
    middle = factor // 2
    return np.ascontiguousarray(labels[middle::factor, middle::factor])


def write_attributes(path: Path, names: Sequence[str], rows: Iterable[tuple[str, Sequence[bool]]]):
    """Write a list of attributes in the layout at the top of this module."""
    rows = [f"{name}  {' '.join('1' if one else '-1' for one in own)}" for name, own in rows]
    path.write_text("\n".join([str(len(rows)), " ".join(names), *rows, ""]), encoding="utf-8")
