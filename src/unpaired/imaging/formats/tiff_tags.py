"""What a TIFF says beside its pixels: which of its tags are copied, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple

import tifffile

DESCRIPTION = 270
XMP = 700
PROFILE = 34675
IMAGEJ = (50838, 50839)
LINKS = (34665, 34853)  # Places in the file where EXIF and GPS data stand.
_INTEROPERABILITY = 40965  # The same, within EXIF.

# Below 32768 a tag is the standard's, and most describe how samples are stored. These do not:
# document, camera, description (ImageJ and OME keep their axes there), orientation, names and
# places of pages, software, dates, people, colors, XMP, and Andor's cameras.
_STANDARD = frozenset(
    {269, 270, 271, 272, 274, 285, 286, 287, 297, 301, 305, 306, 315, 316, 318, 319, XMP}
    | set(range(4864, 5031))
)
_PRIVATE = 32768
# What describes the storage all the same: depth of volumes, color filters, printing, compression.
_STORAGE = frozenset(
    {32995, 32996, 32997, 32998, 33421, 33422, *range(34016, 34033), 50674, 50974, 50975, 52547}
)
# Tags that hold places in the file, which differ in another file, or pixels that were not restored:
# Kodak, Olympus, MetaMorph, FluoView, Zeiss LSM, MarCCD, Leaf, makers' notes, TVIPS, Photoshop's
# layers, Samsung, Canon, raw pictures inside of DNG, and slide scanners of Hamamatsu.
_BOUND = frozenset(
    {
        33424, 33560, 33628, 33629, 33630, 33631, 33858, 34263, 34361, 34362, 34363, 34386, 34412,
        34710, 34954, 37500, 37706, 37724, 40965, 40976, 40977, *range(48320, 48326), 50648, 50649,
        50656, 50740, 50752, 50828, 50933, 59933, 65024, 65324, 65325, *range(65420, 65460),
    }
)  # fmt: skip
# By type of value; those of places in the file, 13 and 18, are left out.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8}
_ENTRIES_MAX = 1000  # More than any EXIF data have; damaged ones may claim more.

Reader = Callable[[int, int], bytes]


class Tag(NamedTuple):
    """value: as bytes in the file's byte order, or the tags that a link leads to."""

    code: int
    kind: int
    count: int
    value: bytes | tuple[Tag, ...]


class Layout(NamedTuple):
    """How numbers stand in a file: byteorder is "<" or ">"."""

    byteorder: str
    is_bigtiff: bool

    @property
    def formats(self) -> tuple[str, str, int]:
        """Formats of a directory's length and of a place in the file, and bytes of the latter."""
        length, place, size = ("Q", "Q", 8) if self.is_bigtiff else ("H", "I", 4)
        return self.byteorder + length, self.byteorder + place, size


def is_copied(tag: Tag) -> bool:
    """Tell whether a tag means the same in another file of the same pixels."""
    if tag.code < _PRIVATE:
        return tag.code in _STANDARD
    return tag.code not in _BOUND | _STORAGE and tag.kind in _BYTES


def page_tags(page: tifffile.TiffPage, codes: Iterable[int]) -> tuple[list[Tag], set[int]]:
    """Return the tags of a page to be copied, links followed, and the codes of those left out.

    codes: of all its tags; tifffile passes over damaged ones. What only says how the samples are
    stored is neither copied nor left out.
    """
    file, layout = page.parent.filehandle, Layout(page.parent.byteorder, page.parent.is_bigtiff)

    def read(offset: int, count: int) -> bytes:
        file.seek(offset)
        return file.read(count)

    tags = read_directory(read, page.offset, layout)
    if 33560 in page.tags:  # The GPS tag of an Olympus file leads to something else.
        tags = [tag for tag in tags if tag.code != 34853]
    copied = [tag for tag in tags if isinstance(tag.value, tuple) or is_copied(tag)]
    told = {code for code in codes if code in _STANDARD or code >= _PRIVATE} - _STORAGE
    return copied, told - {tag.code for tag in copied}


def exif_tags(exif: bytes) -> tuple[dict[int, Tag], str]:
    """Return the tags to be copied from EXIF data of another format, by code, and the byte order.

    There are none in data that are missing or damaged.
    """
    body = exif.removeprefix(b"Exif\0\0")
    byteorder = ">" if body.startswith(b"MM") else "<"
    try:
        (place,) = struct.unpack(f"{byteorder}I", body[4:8])
        tags = read_directory(
            lambda offset, count: body[offset : offset + count], place, Layout(byteorder, False)
        )
    except (struct.error, ValueError):
        tags = []
    kept = {tag.code: tag for tag in tags if isinstance(tag.value, tuple) or is_copied(tag)}
    return kept, byteorder


def read_directory(read: Reader, offset: int, layout: Layout) -> list[Tag]:
    """Return the tags of a directory in a file, links followed and damaged tags left out.

    Raises struct.error or ValueError if there is no such directory.
    """
    length_format, _, place_bytes = layout.formats
    length_bytes = struct.calcsize(length_format)
    (length,) = struct.unpack(length_format, read(offset, length_bytes))
    if length > _ENTRIES_MAX:
        raise ValueError(f"{length} tags")
    entry_bytes = 4 + 2 * place_bytes
    places = range(offset + length_bytes, offset + length_bytes + length * entry_bytes, entry_bytes)
    tags = (_read_tag(read, place, layout) for place in places)
    return [tag for tag in tags if tag is not None]


def _read_tag(read: Reader, start: int, layout: Layout) -> Tag | None:
    _, place_format, place_bytes = layout.formats
    code, kind = struct.unpack(f"{layout.byteorder}HH", read(start, 4))
    (count,) = struct.unpack(place_format, read(start + 4, place_bytes))
    size, place = count * _BYTES.get(kind, place_bytes), start + 4 + place_bytes
    if size > place_bytes:
        (place,) = struct.unpack(place_format, read(place, place_bytes))
    value = read(place, size)
    if len(value) < size:
        return None
    if code in (*LINKS, _INTEROPERABILITY):
        place = int.from_bytes(value, "little" if layout.byteorder == "<" else "big")
        try:
            value = tuple(read_directory(read, place, layout))
        except (struct.error, ValueError, RecursionError):
            return None
    return Tag(code, kind, count, value)


def directory_bytes(tags: Iterable[Tag], offset: int, layout: Layout) -> bytes:
    """Return a directory of tags as it stands in a file from ``offset`` on, an even number."""
    tags = sorted(tags, key=lambda tag: tag.code)
    length_format, place_format, place_bytes = layout.formats
    head = bytearray(struct.pack(length_format, len(tags)))
    end = offset + len(head) + len(tags) * (4 + 2 * place_bytes) + place_bytes
    behind = bytearray()
    for code, kind, count, value in tags:
        place = end + len(behind)
        if isinstance(value, tuple):
            behind += directory_bytes(value, place, layout)
            kind, count = (16 if layout.is_bigtiff else 4), 1
            field = struct.pack(place_format, place)
        elif len(value) > place_bytes:
            behind += value
            field = struct.pack(place_format, place)
        else:
            field = value.ljust(place_bytes, b"\0")
        behind += b"\0" * (len(behind) % 2)
        head += struct.pack(f"{layout.byteorder}HH", code, kind)
        head += struct.pack(place_format, count) + field
    return bytes(head) + bytes(place_bytes) + bytes(behind)  # no directory follows


# The writer refuses links. So a number stands in their stead that no file has, and keeps their
# place in the order; it is replaced once the file is there.
_STAND_INS = {34665: 34664, 34853: 34854}


def for_writer(tags: Iterable[Tag], layout: Layout) -> list[tuple]:
    """Return tags as tifffile's writer takes them; `write_links` must follow."""
    return [_for_writer(tag, layout) for tag in tags if tag.code not in _STAND_INS.values()]


def _for_writer(tag: Tag, layout: Layout) -> tuple:
    code, kind, count, value = tag
    if isinstance(value, tuple):
        return _STAND_INS[code], 16 if layout.is_bigtiff else 4, 1, bytes(layout.formats[2]), False
    if kind in (5, 10):  # Of ratios in bytes the writer counts both numbers.
        value = struct.unpack(f"{layout.byteorder}{2 * count}{'I' if kind == 5 else 'i'}", value)
    return code, kind, count, value, False


def write_links(file: BinaryIO, pages: list[list[Tag]]) -> None:
    """Add what the links of every page lead to, in a TIFF written with `for_writer`'s tags."""
    links = [[tag for tag in tags if isinstance(tag.value, tuple)] for tags in pages]
    if not any(links):
        return
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        layout = Layout(tiff.byteorder, tiff.is_bigtiff)
        places = [
            (link, page.tags[_STAND_INS[link.code]])
            for page, of_page in zip(tiff.pages, links, strict=True)
            for link in of_page
        ]
        places = [(link, entry.offset, entry.valueoffset) for link, entry in places]
    for link, entry_offset, value_offset in places:
        offset = file.seek(0, 2)
        offset += file.write(b"\0" * (offset % 2))
        file.write(directory_bytes(link.value, offset, layout))
        file.seek(entry_offset)
        file.write(struct.pack(f"{layout.byteorder}H", link.code))
        file.seek(value_offset)
        file.write(struct.pack(layout.formats[1], offset))
