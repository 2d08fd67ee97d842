"""What the file of a picture holds or says, and the one that is written will not.

`read_picture` notes what it cannot keep. Here is what it leaves out on purpose, and what a change
of colors, type or size costs: a person is told of that as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import tifffile

from unpaired.core.errors import counted
from unpaired.imaging.formats.tiff_pages import is_palette
from unpaired.imaging.formats.tiff_tags import DESCRIPTION
from unpaired.imaging.pictures import Picture, read_picture

PALETTE_NOTE = "its palette became RGB"
_PNG_PALETTE = 3  # A color type of PNG.


def read_own(path: str | os.PathLike) -> Picture:
    """Read a person's picture, to be written again, with notes of all that it will not hold.

    Raises UnpairedError as `read_picture` does.
    """
    picture = read_picture(path)
    return replace(picture, notes=(*picture.notes, *_left_out(picture)))


def noting_descriptions(before: Picture, after: Picture) -> Picture:
    """Return ``after`` with a note on every description of ``before`` that it has no more."""
    lost = [
        f"its description {owner} is left out, since it is not true of the result"
        for owner in _descriptions(before)
        if owner not in _descriptions(after)
    ]
    return replace(after, notes=(*after.notes, *lost))


def _left_out(picture: Picture) -> Iterator[str]:
    if picture.format == "PNG":
        with open(picture.path, "rb") as file:
            bits, colors = file.read(26)[24:26]
        if colors == _PNG_PALETTE:
            yield PALETTE_NOTE
        elif bits < 8:
            yield f"{counted(bits, 'bit')} a pixel became 8"
    elif picture.format == "TIFF":
        with tifffile.TiffFile(picture.path) as tiff:
            pages = list(tiff.pages)
            if is_palette(pages[0]):
                yield PALETTE_NOTE
            if any(page.is_reduced or page.subifds for page in pages):
                yield "the smaller copies in it (a pyramid or a preview) are left out"


def _descriptions(picture: Picture) -> list[str]:
    """Return whose descriptions a TIFF has, with what they say."""
    if picture.format != "TIFF" or picture.carried.around is not None:
        return []
    tags = [tag for page in picture.carried.tags for tag in page if tag.code == DESCRIPTION]
    return list(dict.fromkeys(_owner_of(tag.value) for tag in tags))


def _owner_of(description: bytes) -> str:
    if b"<OME" in description:
        return "by OME (axes, channels, sizes of pixels)"
    if description.startswith(b"ImageJ="):
        return "by ImageJ (axes, channels, units)"
    if description.startswith(b'{"shape"'):
        return "by tifffile (axes)"
    return "in words"
