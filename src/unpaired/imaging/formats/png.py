"""PNG, with the parts that say more than the pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np

from unpaired.imaging.formats.decoded import Decoded, bad, refuse_size

# What else a PNG says about its pixels: color space, resolution, position, calibration, EXIF,
# texts. Besides, a small fourth letter says that a part stays true whatever becomes of the pixels.
PNG_CARRIED = (
    b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"oFFs", b"sCAL",
    b"pCAL", b"sTER", b"eXIf", b"tEXt", b"zTXt", b"iTXt",
)  # fmt: skip
# The pixels themselves, and what is about their old values: nothing that anybody would miss.
_PNG_PIXELS = (
    b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"bKGD", b"sBIT", b"hIST", b"sPLT", b"tIME",
    b"iDOT",
)  # fmt: skip
_PNG_FIRST_CHUNK_END = 33  # signature and IHDR


def read_png(path: Path) -> Decoded:
    data = path.read_bytes()
    chunks = list(_png_chunks(data))
    _, header = chunks[0]
    refuse_size(path, *struct.unpack(">II", header[8:16]))
    if any(kind == b"acTL" for kind, _ in chunks):
        raise bad(path, "an animation", "save its frames as a TIFF stack")
    samples = imagecodecs.png_decode(data)
    samples = samples[..., None] if samples.ndim == 2 else samples
    others = [(kind, chunk) for kind, chunk in chunks if kind not in _PNG_PIXELS]
    kept = [kind in PNG_CARRIED or kind[3:].islower() for kind, _ in others]
    carried = b"".join(
        bytes(chunk) for (_, chunk), is_kept in zip(others, kept, strict=True) if is_kept
    )
    lost = {kind.decode() for (kind, _), is_kept in zip(others, kept, strict=True) if not is_kept}
    notes = (f"parts of the PNG are left out: {', '.join(sorted(lost))}",) if lost else ()
    return Decoded(samples[None], samples.shape[-1] in (2, 4), carried, notes)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the type and the whole bytes of every chunk; raises ValueError at the first flaw."""
    view, start, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        if start + 12 > len(data):
            raise ValueError("cut short")
        (length,) = struct.unpack_from(">I", data, start)
        chunk = view[start : start + length + 12]
        if len(chunk) < length + 12:
            raise ValueError("cut short")
        kind = bytes(chunk[4:8])
        if struct.pack(">I", zlib.crc32(chunk[4:-4])) != chunk[-4:]:
            raise ValueError(f"checksum of its {kind.decode('ascii', 'replace')} part is wrong")
        if start == 8 and (kind != b"IHDR" or length != 13):
            raise ValueError("no header")
        yield kind, chunk
        start += len(chunk)


def split_chunks(chunks: bytes) -> Iterator[bytes]:
    """Yield every one of whole chunks, one after the other."""
    while chunks:
        end = struct.unpack_from(">I", chunks)[0] + 12
        yield chunks[:end]
        chunks = chunks[end:]


def write_png(file: BinaryIO, samples: np.ndarray, carried: bytes) -> None:
    page = samples[0, ..., 0] if samples.shape[-1] == 1 else samples[0]
    data = imagecodecs.png_encode(np.ascontiguousarray(page))
    file.write(data[:_PNG_FIRST_CHUNK_END] + carried + data[_PNG_FIRST_CHUNK_END:])
