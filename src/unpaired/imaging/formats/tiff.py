"""TIFF of 8 and 16 bits and floating point, stacks included, with its tags."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile

from unpaired.imaging.formats.decoded import Decoded, refuse_size
from unpaired.imaging.formats.tiff_pages import (
    METAMORPH,
    check_segments,
    has_alpha,
    is_palette,
    page_chain,
    planes_of,
    refuse_pictures_elsewhere,
    refuse_tiff_kind,
    series_of_one_header,
    tiff_notes,
)
from unpaired.imaging.formats.tiff_tags import (
    DESCRIPTION,
    IMAGEJ,
    PROFILE,
    Layout,
    Tag,
    for_writer,
    page_tags,
    write_links,
)

# What tifffile logs about flaws is found here as well, and told in one line or does not matter.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


_GRAY_ONLY = (DESCRIPTION, PROFILE, *IMAGEJ)
_LOSSLESS = ("NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA", "ZSTD")
_PREDICTABLE = ("LZW", "ADOBE_DEFLATE", "DEFLATE", "LZMA", "ZSTD")
_CLASSIC_TIFF_BYTES = 2**32 - 2**25  # leaves room for headers


class _Around(NamedTuple):
    """All of a file but its pixels, where makers' tags point into the file.

    pieces: offsets with the bytes there. segments: offsets and lengths of the pixels, in order.
    """

    pieces: list[tuple[int, bytes]]
    segments: list[tuple[int, int]]
    is_planar: bool


class TiffLayout(NamedTuple):
    """options: of every page, for the writer. tags: of each page, to be copied.

    around: what to write the same pixels into instead; None for most files.
    left_out: codes of tags that are lost once ``around`` is.
    """

    options: dict[str, Any]
    byteorder: str
    is_bigtiff: bool
    tags: list[list[Tag]]
    around: _Around | None
    left_out: set[int]

    @property
    def notes(self) -> tuple[str, ...]:
        if self.around is not None or not self.left_out:
            return ()
        if self.left_out & set(METAMORPH):
            return ("the description of the series by MetaMorph is left out",)
        codes = ", ".join(map(str, sorted(self.left_out)))
        return (f"TIFF tags that only the original file can hold are left out: {codes}",)

    def of_rgb(self) -> TiffLayout:
        """Return the same for RGB samples in place of gray ones."""
        options = {"photometric": tifffile.PHOTOMETRIC.RGB, "planarconfig": "contig"}
        tags = [[tag for tag in page if tag.code not in _GRAY_ONLY] for page in self.tags]
        return self._replace(options=self.options | options, tags=tags, around=None)

    def of_another_size(self) -> TiffLayout:
        """Return the same without descriptions that count pixels."""
        tags = [[tag for tag in page if not _counts_pixels(tag)] for page in self.tags]
        return self._replace(tags=tags, around=None)

    def of_float(self, is_gray: bool) -> TiffLayout:
        """Return the same for 32-bit floats in place of integers."""
        options = dict(self.options)
        if options["predictor"] not in (None, tifffile.PREDICTOR.NONE):
            options["predictor"] = tifffile.PREDICTOR.FLOATINGPOINT
        tags = [[_retyped(tag) for tag in page] for page in self.tags]
        if not is_gray:  # ImageJ knows no colors of floats.
            tags = [[tag for tag in page if not _is_imagej(tag)] for page in tags]
        return self._replace(options=options, tags=tags, around=None)


def _is_imagej(tag: Tag) -> bool:
    return tag.code in IMAGEJ or (tag.code == DESCRIPTION and tag.value.startswith(b"ImageJ="))


def _counts_pixels(tag: Tag) -> bool:
    """Tell whether a tag is ImageJ's, OME's or tifffile's description of an array."""
    is_of_array = tag.code == DESCRIPTION and (
        tag.value.startswith(b'{"shape"') or b"<OME" in tag.value
    )
    return is_of_array or _is_imagej(tag)


def _retyped(tag: Tag) -> Tag:
    """Return a tag with floats in place of integers, where it is an OME description."""
    if tag.code != DESCRIPTION or b"<OME" not in tag.value:
        return tag
    value = re.sub(rb'(<(?:\w+:)?Pixels\b[^>]*\bType=")\w+"', rb'\1float"', tag.value)
    value = re.sub(rb'\s+SignificantBits="\d+"', b"", value)
    return tag._replace(count=len(value), value=value)


def read_tiff(path: Path) -> Decoded:
    chain = page_chain(path)
    with tifffile.TiffFile(path) as tiff:
        every = list(tiff.pages)
        pages = [page for page in every if not page.is_reduced and not page.is_mask] or every
        refuse_tiff_kind(path, pages)
        refuse_pictures_elsewhere(path, pages)
        series = series_of_one_header(path, tiff, pages, chain)
        first = pages[0]
        count = sum(planes_of(page, series) for page in pages)
        refuse_size(path, first.imagewidth, first.imagelength, count)
        check_segments(pages, series, tiff.filehandle.size)
        samples = _stack(_tiff_arrays(pages, series), count)
        layout = _tiff_layout(tiff, pages, series, chain)
        notes = (*layout.notes, *tiff_notes(every, pages, series, tiff.filehandle.size))
    return Decoded(samples, has_alpha(first), layout, notes)


def _tiff_arrays(
    pages: list[tifffile.TiffPage], series: dict[int, tifffile.TiffPageSeries]
) -> Iterator[np.ndarray]:
    """Yield H x W x S per plane."""
    for page in pages:
        if page.index in series:
            planes = series[page.index].asarray().reshape(-1, *page.shape)
        else:
            planes = [page.asarray()]
        yield from (_channels_last(plane, page) for plane in planes)


def _channels_last(array: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    if is_palette(page):
        # Color maps hold 16 bits: 8 bits times 257, or times 256 from some old programs.
        return np.moveaxis((page.colormap >> 8).astype(np.uint8)[:, array], 0, -1)
    if page.axes == "SYX":
        return np.moveaxis(array, 0, -1)
    return array[..., None] if page.axes == "YX" else array


def _stack(arrays: Iterable[np.ndarray], count: int) -> np.ndarray:
    """Stack pages in native byte order, with one page in memory beside the result."""
    for index, array in enumerate(arrays):
        if index == 0:
            stack = np.empty((count, *array.shape), array.dtype.newbyteorder("="))
        stack[index] = array
    return stack


def _tiff_layout(
    tiff: tifffile.TiffFile,
    pages: list[tifffile.TiffPage],
    series: dict[int, tifffile.TiffPageSeries],
    chain: list[dict[int, int]],
) -> TiffLayout:
    first = pages[0]
    turned_rgb = is_palette(first) or first.photometric == tifffile.PHOTOMETRIC.YCBCR
    compression = tifffile.COMPRESSION(first.compression).name
    is_lossless = compression in _LOSSLESS
    options = {
        "photometric": tifffile.PHOTOMETRIC.RGB if turned_rgb else first.photometric,
        "extrasamples": first.extrasamples or None,
        "compression": first.compression if is_lossless else "ADOBE_DEFLATE",
        "predictor": first.predictor if compression in _PREDICTABLE else None,
        "subfiletype": first.subfiletype,
        **_resolution(first),
    }
    if first.axes != "YX" or turned_rgb:
        options["planarconfig"] = "separate" if first.axes == "SYX" else "contig"
    # A description that counts the dimensions is wrong once these change.
    is_stale = is_palette(first) or (series and tiff.is_shaped)
    tags, left_out = [], set()
    for page in pages:
        copied, others = page_tags(page, chain[page.index])
        left_out |= others
        tags.append([tag for tag in copied if not (is_stale and tag.code == DESCRIPTION)])
        tags += [[]] * (planes_of(page, series) - 1)
    around = None
    if tiff.is_stk or tiff.is_lsm or tiff.is_fluoview:
        around = _around(tiff, pages, series)
    return TiffLayout(options, tiff.byteorder, tiff.is_bigtiff, tags, around, left_out)


def _around(
    tiff: tifffile.TiffFile,
    pages: list[tifffile.TiffPage],
    series: dict[int, tifffile.TiffPageSeries],
) -> _Around | None:
    """Return all but the pixels of a file that has them uncompressed; None for others."""
    if not all(page.is_final for page in pages):
        return None
    segments = [(page.dataoffsets[0], page.nbytes * planes_of(page, series)) for page in pages]
    file, pieces, start = tiff.filehandle, [], 0
    for offset, length in [*sorted(segments), (file.size, 0)]:
        if offset < start:  # Pages share their pixels.
            return None
        file.seek(start)
        pieces.append((start, file.read(offset - start)))
        start = offset + length
    return _Around(pieces, segments, pages[0].axes == "SYX")


def _resolution(page: tifffile.TiffPage) -> dict[str, Any]:
    """Return resolution and its unit for the writer, as ratios; nothing if they make no sense."""
    ratios = [page.tags.valueof(code) for code in (282, 283)]
    if not all(isinstance(ratio, tuple) and len(ratio) == 2 and ratio[1] for ratio in ratios):
        return {}
    unit = page.tags.valueof(296)
    return {"resolution": ratios, "resolutionunit": unit if unit in (1, 2, 3) else None}


def write_tiff(file: BinaryIO, samples: np.ndarray, layout: TiffLayout) -> None:
    if layout.around is not None:
        _write_into(file, samples, layout.around, layout.byteorder)
        return
    is_bigtiff = layout.is_bigtiff or samples.nbytes > _CLASSIC_TIFF_BYTES
    with tifffile.TiffWriter(
        file, bigtiff=is_bigtiff, byteorder=layout.byteorder, ome=False
    ) as writer:
        for page, tags in zip(samples, layout.tags, strict=True):
            if layout.options.get("planarconfig") == "separate":
                page = np.moveaxis(page, -1, 0)
            elif page.shape[-1] == 1:
                page = page[..., 0]
            extra = for_writer(tags, Layout(layout.byteorder, is_bigtiff))
            # Without metadata=None and software=False the writer adds its own description.
            writer.write(page, **layout.options, metadata=None, software=False, extratags=extra)
    write_links(file, layout.tags)


def _write_into(file: BinaryIO, samples: np.ndarray, around: _Around, byteorder: str) -> None:
    """Write a file as it was, with these samples in place of its own."""
    for offset, piece in around.pieces:
        file.seek(offset)
        file.write(piece)
    planes = np.moveaxis(samples, -1, 1) if around.is_planar else samples
    planes = iter(planes.astype(samples.dtype.newbyteorder(byteorder), copy=False))
    for offset, length in around.segments:
        file.seek(offset)
        while file.tell() < offset + length:
            file.write(next(planes).tobytes())
