"""Pixels per inch or centimeter, as the files of pictures say them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from unpaired.imaging.formats.png import split_chunks
from unpaired.imaging.formats.tiff import TiffLayout
from unpaired.imaging.pictures import Picture

X_RESOLUTION, Y_RESOLUTION = 282, 283
GEOGRAPHIC = (33550, 33922, 34264)  # How large pixels are on the ground, and where.
_JFIF_HEAD, _EXIF_HEAD = b"JFIF\0", b"Exif\0\0"
_RATIO = 5  # A type of TIFF's: two numbers of 32 bits.
_LARGEST = 2**32 - 1


def at_finer_resolution(picture: Picture, factor: int) -> Picture:
    """Return a picture whose file says ``factor`` times as many pixels per length.

    So it is as large in print as before. A GeoTIFF's place on the ground is left out, which is
    noted.
    """
    carried, notes = picture.carried, picture.notes
    if picture.format == "TIFF":
        carried = _of_tiff(carried, factor)
        if any(tag.code in GEOGRAPHIC for page in picture.carried.tags for tag in page):
            notes += ("its place on the ground (GeoTIFF) is left out: it counts pixels",)
    elif picture.format == "PNG":
        carried = b"".join(_of_chunk(chunk, factor) for chunk in split_chunks(carried))
    elif picture.format == "JPEG":
        carried = [one._replace(data=_of_segment(one.data, factor)) for one in carried]
    elif "exif" in carried:
        carried = carried | {"exif": _of_exif(carried["exif"], factor)}
    return replace(picture, carried=carried, notes=notes)


def _of_tiff(layout: TiffLayout, factor: int) -> TiffLayout:
    options: dict[str, Any] = dict(layout.options)
    if "resolution" in options:
        options["resolution"] = [_times(*ratio, factor) for ratio in options["resolution"]]
    tags = [[tag for tag in page if tag.code not in GEOGRAPHIC] for page in layout.tags]
    return layout._replace(options=options, tags=tags)


def _times(numerator: int, denominator: int, factor: int) -> tuple[int, int]:
    """Return a ratio times a factor; it stays as it is where 32 bits cannot hold that."""
    if denominator % factor == 0:
        return numerator, denominator // factor
    if numerator * factor > _LARGEST:
        return numerator, denominator
    return numerator * factor, denominator


def _of_chunk(chunk: bytes, factor: int) -> bytes:
    """Return a part of a PNG, whole with its length and checksum."""
    kind, data = chunk[4:8], chunk[8:-4]
    if kind == b"eXIf":
        data = _of_exif(data, factor)
    elif kind == b"pHYs" and len(data) == 9:
        x, y, unit = struct.unpack(">IIB", data)
        if max(x, y) * factor <= _LARGEST:
            data = struct.pack(">IIB", x * factor, y * factor, unit)
    else:
        return chunk
    return chunk[:4] + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _of_segment(data: bytes, factor: int) -> bytes:
    """Return a part of a JPEG, whole with marker and length."""
    owner = data[4:]
    if owner.startswith(_EXIF_HEAD):
        return data[:4] + _of_exif(owner, factor)
    if owner.startswith(_JFIF_HEAD) and len(owner) >= 12:
        x, y = struct.unpack_from(">HH", owner, 8)
        if max(x, y) * factor < 2**16:
            return data[:12] + struct.pack(">HH", x * factor, y * factor) + data[16:]
    return data


def _of_exif(exif: bytes, factor: int) -> bytes:
    """Return EXIF data; those that are damaged come back as they are."""
    head = len(_EXIF_HEAD) if exif.startswith(_EXIF_HEAD) else 0
    order = ">" if exif[head : head + 2] == b"MM" else "<"
    found = bytearray(exif)
    try:
        for place in list(_resolutions(exif[head:], order)):
            ratio = struct.unpack_from(f"{order}II", found, head + place)
            struct.pack_into(f"{order}II", found, head + place, *_times(*ratio, factor))
    except struct.error:
        return exif
    return bytes(found)


def _resolutions(body: bytes, order: str) -> Iterator[int]:
    """Yield where the ratios of both resolutions stand."""
    (start,) = struct.unpack_from(f"{order}I", body, 4)
    (count,) = struct.unpack_from(f"{order}H", body, start)
    for number in range(count):
        entry = start + 2 + 12 * number
        code, kind, values, place = struct.unpack_from(f"{order}HHII", body, entry)
        if code in (X_RESOLUTION, Y_RESOLUTION) and (kind, values) == (_RATIO, 1):
            yield place
