"""Pictures in files: read as they are, written back the same.

Formats: PNG (8 and 16 bit), JPEG (8 bit), TIFF (8 and 16 bit, floating point, stacks of pages) and
WebP. The format is told from the content, never from the suffix. What a file says beside its
pixels (color profile, EXIF, resolution, geographic and microscopy tags) is carried over as bytes.

* Orientation: pixels stay as stored and the EXIF or TIFF orientation is carried over, so size and
  display stay the same.
* Palettes become RGB, since restored colors are not in the palette; gray of fewer than 8 bits in
  PNG becomes 8 bits.
* JPEG is written at quality 95 without chroma subsampling, since hardly any program reads its
  lossless form. WebP is written lossless. TIFF keeps its compression where that is lossless, else
  it gets Deflate; tiles become strips, and previews and reduced copies inside are left out.
* A JPEG of several pictures (MPO) keeps the first.

What a file says and another cannot hold is not lost in silence: `write_picture` tells it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import tifffile
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path, reading
from unpaired.core.randomness import numpy_generator
from unpaired.imaging.finding import TIFF_SUFFIXES, refuse_no_file
from unpaired.imaging.formats.decoded import Decoded, bad
from unpaired.imaging.formats.pillow import (
    ICC_OWNER,
    read_inks,
    read_jpeg,
    read_webp,
    write_jpeg,
    write_webp,
)
from unpaired.imaging.formats.png import PNG_CARRIED, read_png, split_chunks, write_png
from unpaired.imaging.formats.tiff import TiffLayout, read_tiff, write_tiff
from unpaired.imaging.formats.tiff_tags import PROFILE, XMP, Tag, exif_tags


@dataclass(frozen=True)
class Picture:
    """A picture and all that is needed to write it back the same.

    pixels: pages x H x W x C (C is 1 or 3), float32. Integer files are divided by their largest
        value (255 or 65535), so the nominal range is [0, 1]; float files keep their values.
    alpha: pages x H x W in the file's own type, or None. It is never processed.
    dtype: of the file. is_stack: more than one page. is_gray: one channel.
    scale, offset: networks digest ``(pixels - offset) / scale``, which is roughly in [0, 1]; see
        `_conditioning`.
    suffix: of the file to be written, where it is not that of ``path``; see `written_path`.
    notes: one line for each thing in the file that will not be in the written one.
    """

    path: Path
    pixels: np.ndarray
    alpha: np.ndarray | None
    dtype: np.dtype
    format: str
    carried: Any = field(repr=False)
    scale: float = 1.0
    offset: float = 0.0
    suffix: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_stack(self) -> bool:
        return len(self.pixels) > 1

    @property
    def is_gray(self) -> bool:
        return self.pixels.shape[-1] == 1

    def in_float(self) -> Picture:
        """Return the same picture to be written as 32-bit floats, for results with fractions.

        ``pixels`` are then in the file's own units, so 16-bit counts stay counts, and alpha with
        them; ``scale`` and ``offset`` follow. The file is a TIFF, since other formats hold no
        floats: `written_path` gives its name. A picture of floats comes back as it is.
        """
        if self.dtype.kind == "f":
            return self
        largest = np.float32(np.iinfo(self.dtype).max)
        layout, notes = _layout_of_floats(self)
        return replace(
            self,
            pixels=self.pixels * largest,
            alpha=None if self.alpha is None else self.alpha.astype(np.float32),
            dtype=np.dtype(np.float32),
            format="TIFF",
            carried=layout,
            scale=self.scale * largest,
            offset=self.offset * largest,
            suffix=self.suffix if self.format == "TIFF" else ".tif",
            notes=self.notes + notes,
        )


def read_picture(path: str | os.PathLike) -> Picture:
    """Read a picture to be restored; see `Picture` and the top of this module.

    Raises UnpairedError, naming the file, if it is missing, unreadable, damaged, too large (more
    than MAX_PIXELS), of an unknown format, of another kind than gray or RGB with or without alpha,
    or holds NaN or infinite values.
    """
    path = Path(path)
    with _within_memory(path):
        return _to_picture(path, *_decode(path))


def written_path(picture: Picture, path: str | os.PathLike) -> Path:
    """Return ``path``, with another suffix where the picture is written in another format.

    That is what `Picture.in_float` does to PNG, JPEG and WebP: ``a.png`` becomes ``a.tif``.
    """
    return Path(path) if picture.suffix is None else Path(path).with_suffix(picture.suffix)


def write_picture(picture: Picture, path: str | os.PathLike) -> tuple[str, ...]:
    """Write a picture in the format, bit depth and layout of the file that it came from.

    A PNG, JPEG or WebP becomes a TIFF of the same depth where ``path`` ends in .tif or .tiff.
    Integer pixels are clamped to the range and rounded half up. The file appears complete or not
    at all. Missing folders are created.

    Returns one line for each thing that the source says beside its pixels and the new file cannot
    hold; it is for the caller to print them. Mostly there is none.

    Raises UnpairedError, naming the file, if ``path`` is the picture's own file or has another
    suffix than `written_path` gives or a TIFF has, if pixels are NaN or infinite, or if the file
    system refuses.
    """
    path = Path(path)
    suffix = picture.suffix or picture.path.suffix
    if path.suffix.lower() != suffix.lower():
        if path.suffix.lower() not in TIFF_SUFFIXES:
            raise bad(path, "its suffix differs", f"let it end in {suffix}")
        picture = _as_tiff(picture)
    if path.exists() and path.samefile(picture.path):
        raise bad(path, "writing would overwrite the input", "choose another folder")
    _refuse_non_finite(path, picture.pixels, "the method failed on this picture; try another")
    with _within_memory(path), atomic_path(path) as part, open(part, "w+b") as file:
        _FORMATS[picture.format].write(file, _to_samples(picture), picture.carried)
    return picture.notes


def in_rgb(picture: Picture) -> Picture:
    """Return a picture that has three channels and is written as RGB; RGB comes back as it is.

    Gray is repeated. What a gray file says that is wrong of an RGB one is left out: its color
    profile, and descriptions that count its dimensions. Where 0 means white it becomes black.
    """
    if not picture.is_gray:
        return picture
    pixels, carried, notes = picture.pixels, picture.carried, picture.notes
    if picture.format == "PNG":
        carried = b"".join(chunk for chunk in split_chunks(carried) if chunk[4:8] != b"iCCP")
    elif picture.format == "JPEG":
        carried = [segment for segment in carried if not segment.belongs_to(ICC_OWNER)]
    elif picture.format == "TIFF":
        if carried.options["photometric"] == tifffile.PHOTOMETRIC.MINISWHITE:
            pixels = 1 - pixels
        carried = picture.carried.of_rgb()
        notes += _lost_by(picture, carried)
    else:
        carried = {key: value for key, value in carried.items() if key != "icc_profile"}
    return replace(picture, pixels=np.repeat(pixels, 3, axis=-1), carried=carried, notes=notes)


def in_another_size(picture: Picture, pixels: np.ndarray, alpha: np.ndarray | None) -> Picture:
    """Return a picture with other pixels and alpha; what a TIFF says of its size is left out."""
    carried, notes = picture.carried, picture.notes
    if picture.format == "TIFF":
        carried = carried.of_another_size()
        notes += _lost_by(picture, carried)
    return replace(picture, pixels=pixels, alpha=alpha, carried=carried, notes=notes)


def read_rgb8(path: str | os.PathLike, *, alpha: Literal["refuse", "drop"]) -> np.ndarray:
    """Read an ordinary picture for training: H x W x 3, uint8, values 0 to 255.

    Gray is repeated to three channels, palettes are looked up, and the inks of print (CMYK) are
    turned into RGB, by the file's own color profile if it has one. ``alpha`` says what happens to
    a picture with transparency.

    Raises UnpairedError as `read_picture` does, and for stacks and other depths than 8 bits.
    """
    path = Path(path)
    with _within_memory(path):
        _, (samples, has_alpha, *_) = _decode(path, inks=True)
    if samples.dtype != np.uint8:
        bits = 8 * samples.dtype.itemsize
        raise bad(path, f"{bits}-bit samples where 8 are needed", "convert it to 8 bits")
    if len(samples) > 1:
        raise bad(path, f"a stack of {len(samples)} pages", "save each page as its own picture")
    if has_alpha and alpha == "refuse":
        raise bad(path, "it has transparency", "remove the alpha channel or allow dropping it")
    colors = samples[0, ..., :-1] if has_alpha else samples[0]
    return np.ascontiguousarray(np.broadcast_to(colors, (*colors.shape[:2], 3)))


def size_of(path: str | os.PathLike) -> tuple[int, int]:
    """Return the width and height of a picture in pixels, by its header alone.

    Raises UnpairedError, naming the file, as far as a header tells what `read_rgb8` would refuse.
    """
    path = Path(path)
    name = _format_at(path)
    with _damage_told(path, name), Image.open(path) as image:
        return image.size


# ---- Values -------------------------------------------------------------------------------------


def _refuse_non_finite(path: Path, pixels: np.ndarray, remedy: str) -> None:
    count = pixels.size - int(np.isfinite(pixels).sum())
    if count:
        raise bad(path, f"{count} of {pixels.size} values are NaN or infinite", remedy)


def _conditioning(pixels: np.ndarray) -> tuple[float, float]:
    """Return scale and offset of a picture, from a million values at most.

    A floating-point file may hold counts, Hounsfield units or temperatures, and a 16-bit file may
    use 12 of its bits. The scale is a power of two near the largest value (99.5 % quantile), so
    dividing and multiplying are exact. The offset is 0 unless the values are clearly negative, or
    far from 0 for their spread; then it is their 0.5 % quantile. Both are the same for all pages.
    """
    values = pixels.reshape(-1)
    if values.size > 1_000_000:
        values = values[numpy_generator("conditioning").integers(0, values.size, 1_000_000)]
    low, high = np.percentile(values, [0.5, 99.5]).astype(float)
    # Noise around black dips a little below 0, which is no reason to move the origin.
    near_zero = -0.25 * (high - low) <= low <= 3 * (high - low)
    offset = 0.0 if near_zero else float(np.float32(low))
    extent = high - offset
    if extent <= 0:
        return 1.0, offset
    exponent = np.clip(np.round(np.log2(extent)), -126, 127)  # of normal float32 numbers
    return float(2.0**exponent), offset


def _to_picture(path: Path, format_name: str, decoded: Decoded) -> Picture:
    samples, has_alpha, carried, notes = decoded
    colors = samples[..., :-1] if has_alpha else samples
    alpha = samples[..., -1].copy() if has_alpha else None
    if samples.dtype.kind == "u":
        pixels = colors / np.float32(np.iinfo(samples.dtype).max)
    else:
        with np.errstate(over="ignore"):  # beyond single precision becomes infinite, see below
            pixels = colors.astype(np.float32)
        _refuse_non_finite(path, pixels, "set them to a number")
    scale, offset = (1.0, 0.0) if samples.dtype == np.uint8 else _conditioning(pixels)
    about = {"scale": scale, "offset": offset, "notes": notes}
    return Picture(path, pixels, alpha, samples.dtype, format_name, carried, **about)


def _to_samples(picture: Picture) -> np.ndarray:
    """Return pages x H x W x S in the file's type, alpha last."""
    pixels, dtype = picture.pixels, picture.dtype
    channels = pixels.shape[-1] + (picture.alpha is not None)
    samples = np.empty((*pixels.shape[:-1], channels), dtype)
    for page, target in zip(pixels, samples, strict=True):
        if dtype.kind == "u":
            largest = np.float32(np.iinfo(dtype).max)
            page = np.floor(np.clip(page, 0, 1) * largest + np.float32(0.5))
        target[..., : page.shape[-1]] = page
    if picture.alpha is not None:
        samples[..., -1] = picture.alpha
    return samples


# ---- Formats ------------------------------------------------------------------------------------


@contextmanager
def _within_memory(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise bad(path, "not enough memory for it", "crop it or use a larger machine") from error


class _Format(NamedTuple):
    signatures: tuple[bytes, ...]
    read: Callable[[Path], Decoded]
    write: Callable[[BinaryIO, np.ndarray, Any], None]


def _decode(path: Path, *, inks: bool = False) -> tuple[str, Decoded]:
    """Return the name of the format and the decoded file; all trouble becomes one line.

    inks: turn CMYK into RGB instead of refusing it.
    """
    name = _format_at(path)
    with _damage_told(path, name):
        try:
            return name, _FORMATS[name].read(path)
        except UnpairedError:
            may_be_inks = inks and name in ("JPEG", "TIFF")
            if not may_be_inks or (samples := read_inks(path, name)) is None:
                raise
            return name, Decoded(samples[None], False, None)


@contextmanager
def _damage_told(path: Path, format_name: str) -> Iterator[None]:
    """Turn whatever a decoder says of damaged bytes into one line."""
    try:
        yield
    except (UnpairedError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise bad(path, "too many pixels to be opened safely", "crop or scale it down") from error
    except Exception as error:
        # Decoders meet damaged bytes with exceptions of all kinds.
        words = (str(error) or type(error).__name__).splitlines()[0]
        remedy = "restore it from its source or leave it out"
        raise bad(path, f"damaged {format_name} file ({words})", remedy) from error


def _format_at(path: Path) -> str:
    """Return the name of a file's format by its first bytes; raises UnpairedError for none."""
    refuse_no_file(path)
    with reading(path), open(path, "rb") as file:
        head = file.read(12)
    if not head:
        raise bad(path, "the file is empty", "restore it from its source or leave it out")
    name = _format_of(head)
    if name is None:
        raise bad(path, "not a PNG, JPEG, TIFF or WebP picture", "convert it or leave it out")
    return name


def _format_of(head: bytes) -> str | None:
    for name, one_format in _FORMATS.items():
        if head.startswith(one_format.signatures):
            return name if name != "WebP" or head[8:12] == b"WEBP" else None
    return None


# ---- Pictures written as TIFF -------------------------------------------------------------------


def _as_tiff(picture: Picture) -> Picture:
    if picture.format == "TIFF":
        return picture
    layout, notes = _tiff_layout(picture, tifffile.PREDICTOR.HORIZONTAL)
    return replace(picture, format="TIFF", carried=layout, notes=picture.notes + notes)


def _lost_by(picture: Picture, layout: TiffLayout) -> tuple[str, ...]:
    """Return what a TIFF loses by another layout, and had not lost by being read."""
    return layout.notes if picture.carried.around else ()


def _layout_of_floats(picture: Picture) -> tuple[TiffLayout, tuple[str, ...]]:
    """Return how to write an integer picture as a TIFF of floats, and what is lost thereby."""
    if picture.format == "TIFF":
        layout = picture.carried.of_float(picture.is_gray)
        return layout, _lost_by(picture, layout)
    return _tiff_layout(picture, tifffile.PREDICTOR.FLOATINGPOINT)


def _tiff_layout(picture: Picture, predictor: int) -> tuple[TiffLayout, tuple[str, ...]]:
    """Return how to write a PNG, JPEG or WebP as a TIFF, and what is lost thereby."""
    info = _info_of(picture)
    options = {
        "photometric": "minisblack" if picture.is_gray else "rgb",
        "planarconfig": "contig",
        "extrasamples": None if picture.alpha is None else ["unassalpha"],
        "compression": "ADOBE_DEFLATE",
        "predictor": predictor,
    }
    if "dpi" in info:
        options |= {"resolution": info["dpi"], "resolutionunit": "inch"}
    tags, byteorder = exif_tags(info.get("exif", b""))
    for code, key in ((XMP, "xmp"), (PROFILE, "icc_profile")):
        if info.get(key):
            tags[code] = Tag(code, 7, len(info[key]), bytes(info[key]))
    notes = ()
    if _has_other_parts(picture):
        notes = ("comments, texts and parts for single programs do not go into the TIFF",)
    layout = TiffLayout(options, byteorder, False, [list(tags.values())], None, set())
    return layout, notes


def _has_other_parts(picture: Picture) -> bool:
    """Tell whether a PNG or JPEG says more than EXIF, XMP, profile, resolution and colors."""
    if picture.format == "PNG":
        others = (b"tEXt", b"zTXt", b"iTXt", b"oFFs", b"sCAL", b"pCAL", b"sTER")
        kinds = [chunk[4:8] for chunk in split_chunks(picture.carried)]
        return any(kind in others or kind not in PNG_CARRIED for kind in kinds)
    if picture.format == "JPEG":
        return any(
            segment.marker not in (0xE0, 0xE1) and not segment.belongs_to(ICC_OWNER)
            for segment in picture.carried
        )
    return False


def _info_of(picture: Picture) -> dict[str, Any]:
    """Return what Pillow finds beside the pixels, by writing a picture of one pixel with it."""
    channels = picture.pixels.shape[-1]
    file = io.BytesIO()
    _FORMATS[picture.format].write(file, np.zeros((1, 1, 1, channels), np.uint8), picture.carried)
    with Image.open(file) as image:
        image.load()
        return image.info


_FORMATS = {
    "PNG": _Format((b"\x89PNG\r\n\x1a\n",), read_png, write_png),
    "JPEG": _Format((b"\xff\xd8\xff",), read_jpeg, write_jpeg),
    "TIFF": _Format((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), read_tiff, write_tiff),
    "WebP": _Format((b"RIFF",), read_webp, write_webp),
}
