"""The pages of a TIFF: which there are, and what is refused before their samples are read."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tifffile

from unpaired.imaging.formats.decoded import bad
from unpaired.imaging.formats.tiff_tags import LINKS

METAMORPH = range(33628, 33632)
_TIFF_DTYPES = ("uint8", "uint16", "float16", "float32", "float64")
_RGB_PHOTOMETRICS = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_PHOTOMETRICS = (
    *_RGB_PHOTOMETRICS,
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.MINISWHITE,
    tifffile.PHOTOMETRIC.PALETTE,
)
_ALPHA_KINDS = (1, 2)  # values of ExtraSamples: associated and unassociated alpha


def page_chain(path: Path) -> list[dict[int, int]]:
    """Return, for every page, the codes of its tags and how many values each has.

    Raises ValueError if the chain of pages leads out of the file or back: the reader would only
    see fewer pages. It also passes over damaged tags, which may tell of more planes.
    """
    size, pages = path.stat().st_size, []
    with open(path, "rb") as file:
        order = "<" if file.read(2) == b"II" else ">"
        (version,) = struct.unpack(f"{order}H", file.read(2))
        count_format, entry_format, offset_format = (
            ("Q", "HHQQ", "Q") if version == 43 else ("H", "HHII", "I")
        )
        entry_bytes = struct.calcsize(order + entry_format)
        file.seek(8 if version == 43 else 4)
        seen: set[int] = set()
        while offset := _unpack_next(file, order + offset_format):
            if offset >= size or offset in seen:
                raise ValueError(f"page {len(seen) + 1} is missing")
            seen.add(offset)
            file.seek(offset)
            length = entry_bytes * _unpack_next(file, order + count_format)
            entries = file.read(min(length, size))
            if len(entries) < length:
                raise ValueError(f"page {len(seen)} is cut short")
            tags = struct.iter_unpack(order + entry_format, entries)
            pages.append({code: count for code, _, count, _ in tags})
    return pages


def _unpack_next(file: io.BufferedReader, number_format: str) -> int:
    return struct.unpack(number_format, file.read(struct.calcsize(number_format)))[0]


def refuse_tiff_kind(path: Path, pages: list[tifffile.TiffPage]) -> None:
    """Refuse all but gray and RGB pages of one size, of 8- or 16-bit or floating-point samples."""
    first = pages[0]
    kinds = {(page.shape, page.dtype, page.photometric, page.extrasamples) for page in pages}
    if len(kinds) > 1:
        raise bad(path, "pages of different sizes or kinds", "split it into one file per kind")
    if first.axes not in ("YX", "YXS", "SYX"):
        raise bad(path, f"pages with axes {first.axes}", "save it as a stack of flat pages")
    bits = first.bitspersample
    if is_palette(first):
        if first.dtype != np.uint8 or first.samplesperpixel > 1:
            raise bad(path, f"a palette of {bits} bits or with alpha", "convert it to RGB")
    elif str(first.dtype) not in _TIFF_DTYPES or bits != 8 * first.dtype.itemsize:
        what = f"{bits}-bit samples of type {first.dtype}"
        raise bad(path, what, "convert it to 8- or 16-bit unsigned integers or to 32-bit floats")
    if first.photometric not in _PHOTOMETRICS or _is_raw_ycbcr(first):
        name = tifffile.PHOTOMETRIC(first.photometric).name
        raise bad(path, f"{name} colors", "convert it to RGB or gray")
    _refuse_tiff_channels(path, first, len(pages))


def _refuse_tiff_channels(path: Path, first: tifffile.TiffPage, pages: int) -> None:
    colors = first.samplesperpixel - has_alpha(first)
    must_be_rgb = first.photometric in _RGB_PHOTOMETRICS
    if colors != 3 and (colors != 1 or must_be_rgb):
        what = f"{first.samplesperpixel} channels that are not gray or RGB with or without alpha"
        raise bad(path, what, "save it as RGB, or as a stack with one page per channel")
    if pages > 1 and first.imagewidth <= 4:
        # What writers make of an array H x W x C that nobody told them holds colors.
        what = (
            f"{pages} pages of width {first.imagewidth}, which look like channels saved as columns"
        )
        raise bad(path, what, "save it again with its channels declared")


def is_palette(page: tifffile.TiffPage) -> bool:
    return page.photometric == tifffile.PHOTOMETRIC.PALETTE


def _is_raw_ycbcr(page: tifffile.TiffPage) -> bool:
    """Tell pages whose colors the decoder does not turn into RGB."""
    return (
        page.photometric == tifffile.PHOTOMETRIC.YCBCR
        and page.compression != tifffile.COMPRESSION.JPEG
    )


def has_alpha(page: tifffile.TiffPage) -> bool:
    return len(page.extrasamples) == 1 and page.extrasamples[0] in _ALPHA_KINDS


def refuse_pictures_elsewhere(path: Path, pages: list[tifffile.TiffPage]) -> None:
    """Refuse files whose picture proper is not in the chain of pages, as in camera raw."""
    for page in pages:
        for inner in page.pages or ():
            is_larger = inner.imagewidth * inner.imagelength > page.imagewidth * page.imagelength
            if is_larger or (page.is_reduced and not inner.is_reduced):
                remedy = "develop it, or save it as an ordinary TIFF"
                raise bad(path, "the picture stands behind a preview, as in camera raw", remedy)


def series_of_one_header(
    path: Path,
    tiff: tifffile.TiffFile,
    pages: list[tifffile.TiffPage],
    chain: list[dict[int, int]],
) -> dict[int, tifffile.TiffPageSeries]:
    """Return the series of which a page is the only header, by the number of that page.

    The planes follow each other in the file: ImageJ's large stacks, MetaMorph's series and
    tifffile's shorter ones. Raises UnpairedError if they cannot be read.
    """
    # Numbers of planes that the file claims: the reader gives way where it does not find them.
    claimed = [chain[pages[0].index].get(code, 1) for code in METAMORPH[1:]]
    if tiff.is_imagej:
        claimed.append(int((tiff.imagej_metadata or {}).get("images", 1)))
    found = {}
    if tiff.is_imagej or tiff.is_shaped or tiff.is_stk:
        numbers = {page.index for page in pages}
        with np.errstate(all="ignore"):  # about distances between planes that nobody measured
            all_series = tiff.series
        for series in all_series:
            header = series.keyframe
            if header.index in numbers and series.size > header.size * len(series.pages):
                found[header.index] = series
    # Of several such series tifffile finds the first.
    if any('"truncated": true' in page.description for page in pages if page.index not in found):
        raise bad(path, "several stacks of one header each", "save each as its own TIFF stack")
    planes = sum(planes_of(page, found) for page in pages)
    if max(claimed, default=1) > planes:
        raise ValueError(f"{max(claimed)} pages announced, {planes} there")
    if any(series.dataoffset is None for series in found.values()):
        raise bad(path, f"{planes} planes compressed under one header", "save it as a TIFF stack")
    return found


def planes_of(page: tifffile.TiffPage, series: dict[int, tifffile.TiffPageSeries]) -> int:
    """Return the number of planes of a page: 1, unless it is the header of a series."""
    return series[page.index].size // page.size if page.index in series else 1


def check_segments(
    pages: list[tifffile.TiffPage], series: dict[int, tifffile.TiffPageSeries], size: int
) -> None:
    """Raise ValueError if samples lie beyond the end: some decoders would make them up."""
    for number, page in enumerate(pages, 1):
        ends = [a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if page.index in series:
            ends.append(series[page.index].dataoffset + planes_of(page, series) * page.nbytes)
        if max(ends, default=0) > size:
            raise ValueError(f"page {number} is cut short")


def tiff_notes(
    every: list[tifffile.TiffPage],
    pages: list[tifffile.TiffPage],
    series: dict[int, tifffile.TiffPageSeries],
    size: int,
) -> Iterator[str]:
    """Yield what else the file holds than the pages that are read, previews left aside."""
    if any(page.is_mask for page in every if page not in pages):
        yield "its transparency mask is left out"
    last = pages[-1]
    if last.is_final:
        # Planes that only a maker's own tags tell of follow the pixels of the last page.
        end = last.dataoffsets[0] + last.nbytes * planes_of(last, series)
        unknown = min(start for start in (*_starts(every), size) if start >= end) - end
        if unknown >= last.nbytes:
            yield (
                f"{unknown} bytes behind its pixels belong to no page that its header tells of; "
                "if they are more pictures, save them as an ordinary TIFF stack"
            )


def _starts(pages: Iterable[tifffile.TiffPage]) -> Iterator[int]:
    """Yield where the parts of a file start that pages tell of."""
    for page in pages:
        yield page.offset
        yield from page.dataoffsets
        for tag in page.tags:
            yield tag.valueoffset
            if tag.code in LINKS and isinstance(tag.value, int):
                yield tag.value
        yield from _starts(page.pages or ())
