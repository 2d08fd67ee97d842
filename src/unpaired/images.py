"""Pictures in files: read as they are, written back the same.

Formats: PNG (8 and 16 bit), JPEG (8 bit), TIFF (8 and 16 bit, floating point, stacks of pages) and
WebP. The format is told from the content, never from the suffix. What a file says beside its
pixels (colour profile, EXIF, resolution, geographic and microscopy tags) is carried over as bytes.

* Orientation: pixels stay as stored and the EXIF or TIFF orientation is carried over, so size and
  display stay the same.
* Palettes become RGB, since restored colours are not in the palette; gray of fewer than 8 bits in
  PNG becomes 8 bits.
* JPEG is written at quality 95 without chroma subsampling, since hardly any program reads its
  lossless form. WebP is written lossless. TIFF keeps its compression where that is lossless, else
  it gets Deflate; tiles become strips, and previews and reduced copies inside are left out.
* A JPEG of several pictures (MPO) keeps the first.

What a file says and another cannot hold is not lost in silence: `write_picture` tells it.
"""

from __future__ import annotations

import io
import logging
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TypeVar

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms, UnidentifiedImageError

from unpaired.errors import UnpairedError, list_some, shown
from unpaired.files import atomic_path, reading
from unpaired.randomness import numpy_generator
from unpaired.tiff_tags import (
    DESCRIPTION,
    IMAGEJ,
    LINKS,
    PROFILE,
    XMP,
    Layout,
    Tag,
    exif_tags,
    for_writer,
    page_tags,
    write_links,
)

# Checked before decoding, over all pages. Pillow has its own, smaller cap for JPEG and WebP.
MAX_PIXELS = 500_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")

JPEG_QUALITY = 95

Item = TypeVar("Item")

# What tifffile logs about flaws is found here as well, and told in one line or does not matter.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Picture:
    """A picture and all that is needed to write it back the same.

    pixels: pages x H x W x C (C is 1 or 3), float32. Integer files are divided by their largest
        value (255 or 65535), so the nominal range is [0, 1]; float files keep their values.
    alpha: pages x H x W in the file's own type, or None. It is never processed.
    dtype: of the file. is_stack: more than one page. is_gray: one channel.
    scale, offset: for processing, see `normalized`.
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

    def normalized(self) -> np.ndarray:
        """Return ``(pixels - offset) / scale``, which networks can digest; roughly in [0, 1].

        A floating-point file may hold counts, Hounsfield units or temperatures, and a 16-bit file
        may use 12 of its bits. ``scale`` is a power of two near the largest value (99.5 %
        quantile), so dividing and multiplying are exact. ``offset`` is 0 unless the values are
        clearly negative, or far from 0 for their spread; then it is their 0.5 % quantile. Both are
        the same for all pages. They only condition the arithmetic: `with_normalized` undoes them.
        """
        return (self.pixels - np.float32(self.offset)) / np.float32(self.scale)

    def with_normalized(self, normalized: np.ndarray) -> Picture:
        """Return the picture with other pixels, given in the units of `normalized`."""
        pixels = normalized * np.float32(self.scale) + np.float32(self.offset)
        return replace(self, pixels=pixels.astype(np.float32, copy=False))

    def in_float(self) -> Picture:
        """Return the same picture to be written as 32-bit floats, for results with fractions.

        ``pixels`` are then in the file's own units, so 16-bit counts stay counts, and alpha with
        them; `normalized` stays what it is. The file is a TIFF, since other formats hold no
        floats: `written_path` gives its name. A picture of floats comes back as it is.
        """
        if self.dtype.kind == "f":
            return self
        largest = np.float32(np.iinfo(self.dtype).max)
        layout, notes = _float_layout(self)
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


class _Decoded(NamedTuple):
    """samples: pages x H x W x S in the file's type; the last one is alpha if has_alpha."""

    samples: np.ndarray
    has_alpha: bool
    carried: Any
    notes: tuple[str, ...] = ()


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

    Integer pixels are clamped to the range and rounded half up. The file appears complete or not
    at all. Missing folders are created.

    Returns one line for each thing that the source says beside its pixels and the new file cannot
    hold; it is for the caller to print them. Mostly there is none.

    Raises UnpairedError, naming the file, if ``path`` is the picture's own file or has another
    suffix than `written_path` gives, if pixels are NaN or infinite, or if the file system refuses.
    """
    path = Path(path)
    suffix = picture.suffix or picture.path.suffix
    if path.suffix.lower() != suffix.lower():
        raise _bad(path, "its suffix differs", f"let it end in {suffix}")
    if path.exists() and path.samefile(picture.path):
        raise _bad(path, "writing would overwrite the input", "choose another folder")
    _refuse_non_finite(path, picture.pixels, "the method failed on this picture; try another")
    with _within_memory(path), atomic_path(path) as part, open(part, "w+b") as file:
        _FORMATS[picture.format].write(file, _to_samples(picture), picture.carried)
    return picture.notes


def in_rgb(picture: Picture) -> Picture:
    """Return a picture that has three channels and is written as RGB; RGB comes back as it is.

    Gray is repeated. What a gray file says that is wrong of an RGB one is left out: its colour
    profile, and descriptions that count its dimensions. Where 0 means white it becomes black.
    """
    if not picture.is_gray:
        return picture
    pixels, carried, notes = picture.pixels, picture.carried, picture.notes
    if picture.format == "PNG":
        carried = b"".join(chunk for chunk in _split_chunks(carried) if chunk[4:8] != b"iCCP")
    elif picture.format == "JPEG":
        carried = [segment for segment in carried if not segment.belongs_to(_ICC_OWNER)]
    elif picture.format == "TIFF":
        if carried.options["photometric"] == tifffile.PHOTOMETRIC.MINISWHITE:
            pixels = 1 - pixels
        carried = picture.carried.of_rgb()
        notes += carried.notes if picture.carried.around else ()
    else:
        carried = {key: value for key, value in carried.items() if key != "icc_profile"}
    return replace(picture, pixels=np.repeat(pixels, 3, axis=-1), carried=carried, notes=notes)


def read_rgb8(path: str | os.PathLike, *, alpha: Literal["refuse", "drop"]) -> np.ndarray:
    """Read an ordinary picture for training: H x W x 3, uint8, values 0 to 255.

    Gray is repeated to three channels, palettes are looked up, and the inks of print (CMYK) are
    turned into RGB, by the file's own colour profile if it has one. ``alpha`` says what happens to
    a picture with transparency.

    Raises UnpairedError as `read_picture` does, and for stacks and other depths than 8 bits.
    """
    path = Path(path)
    with _within_memory(path):
        _, (samples, has_alpha, *_) = _decode(path, inks=True)
    if samples.dtype != np.uint8:
        bits = 8 * samples.dtype.itemsize
        raise _bad(path, f"{bits}-bit samples where 8 are needed", "convert it to 8 bits")
    if len(samples) > 1:
        raise _bad(path, f"a stack of {len(samples)} pages", "save each page as its own picture")
    if has_alpha and alpha == "refuse":
        raise _bad(path, "it has transparency", "remove the alpha channel or allow dropping it")
    colors = samples[0, ..., :-1] if has_alpha else samples[0]
    return np.ascontiguousarray(np.broadcast_to(colors, (*colors.shape[:2], 3)))


def find_pictures(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Return the pictures named by files and folders, each once, in the order given.

    A folder stands for all files in it and its sub-folders that have a picture's suffix (any case),
    sorted by path. Hidden files are left out. Links are followed; a link is known by its own name.

    Raises UnpairedError that lists everything missing, unreadable, without pictures or of another
    suffix.
    """
    found: dict[Path, Path] = {}
    for listing in read_all(paths, _pictures_at):
        for picture in listing:
            found.setdefault(picture.resolve(), picture)
    return list(found.values())


class Survey(NamedTuple):
    """What folders hold. skipped: every other file that may be a picture, with the remedy."""

    pictures: list[Path]
    skipped: dict[Path, str]


def survey(paths: Iterable[str | os.PathLike]) -> Survey:
    """Return the pictures as `find_pictures` does, and the files that it passes over.

    ``skipped`` maps each to a few words that say what it is and what to do: ``a camera's raw file;
    develop it to TIFF``. Hidden files, links that lead nowhere, and files that are no pictures by
    their name (texts, tables, models ...) are not among them.

    Raises UnpairedError as `find_pictures` does; so a folder needs one picture at least.
    """
    paths = list(paths)
    pictures = find_pictures(paths)
    skipped: dict[Path, str] = {}
    for folder in map(Path, paths):
        with reading(folder):
            others = sorted(_walk(folder, set(), _is_passed_over)) if folder.is_dir() else []
        skipped |= {path: _remedy(path) for path in others}
    return Survey(pictures, skipped)


def read_all(
    paths: Iterable[str | os.PathLike], reader: Callable[[str | os.PathLike], Item]
) -> list[Item]:
    """Return what ``reader`` makes of every path.

    Raises one UnpairedError that lists all files which ``reader`` refused, not only the first.
    """
    items, refusals = [], []
    for path in paths:
        try:
            items.append(reader(path))
        except UnpairedError as error:
            refusals.append(str(error))
    if refusals:
        raise UnpairedError(list_some(refusals))
    return items


def _bad(path: Path, what: str, remedy: str) -> UnpairedError:
    return UnpairedError(f"{shown(path)}: {what}; {remedy}")


# ---- Folders ------------------------------------------------------------------------------------


def _pictures_at(path: str | os.PathLike) -> list[Path]:
    path = Path(path)
    with reading(path):
        is_folder = path.is_dir()
    if not is_folder:
        if path.suffix.lower() not in SUFFIXES:
            known = f"known suffixes: {', '.join(SUFFIXES)}"
            raise _bad(path, "not a picture's name", f"{known}; it is {_remedy(path)}")
        _refuse_no_file(path)
        return [path]
    with reading(path):
        pictures = sorted(_walk(path, set(), _is_picture))
    if not pictures:
        known = f"known suffixes: {', '.join(SUFFIXES)}"
        with reading(path):
            others = sorted(_walk(path, set(), _is_passed_over))
        passed_over = [f"{shown(other.name)}: {_remedy(other)}" for other in others]
        remedy = list_some([known, *passed_over], limit=4)
        raise _bad(path, "no picture in this folder", remedy)
    read_all(pictures, _refuse_no_file)
    return pictures


def _walk(folder: Path, above: set[Path], wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield the ``wanted`` files, hidden ones aside; ``above`` stops links that lead back up."""
    real = folder.resolve()
    if real in above:
        return
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, above | {real}, wanted)
        elif wanted(entry):
            yield entry


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


_DEVELOP = "a camera's raw file; develop it to TIFF"
_EXPORT = "a microscope's or scientific format; export it as TIFF with Bio-Formats or Fiji"
_CONVERT = "a format that is not read; convert it to PNG"
_FRAMES = "a film; save its frames as a TIFF stack"
_REMEDIES = {
    _DEVELOP: "3fr arw cr2 cr3 dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 "
    "srf srw x3f",
    _EXPORT: "avs czi dcm dm3 dm4 fits fit flex fts gel ids ics ims ipl lif liff lim lms lsm mrc "
    "mrcs mvd2 nd nd2 nii nrrd nhdr obf oib oif oir pic scn sdt sld ser spe stk svs ndpi bif vsi "
    "vws xrm zvi vms h5 hdf5 ome zarr",
    _CONVERT: "avif bmp dib exr gif hdr heic heif ico j2k jfif jng jp2 jpe jpx jxl jxr pbm pcx pgm "
    "pnm ppm psb psd qoi ras sgi svg tga xcf",
    _FRAMES: "avi mkv mov mp4 mpeg mpg webm wmv",
}  # fmt: skip
_REMEDY_OF = {f".{end}": remedy for remedy, ends in _REMEDIES.items() for end in ends.split()}
_OTHER_FILES = (
    "txt md rst csv tsv json yaml yml toml ini cfg log xml html htm css js py ipynb sh m ijm r pdf "
    "doc docx odt xls xlsx ods ppt pptx tex bib zip tar gz tgz bz2 xz 7z rar safetensors pt pth "
    "ckpt onnx pkl db sqlite tmp bak part lock xmp thm pp3 dop cos"
)
_NO_PICTURES = {f".{end}" for end in _OTHER_FILES.split()}


def _is_passed_over(path: Path) -> bool:
    suffix = path.suffix.lower()
    return not _is_picture(path) and suffix not in _NO_PICTURES and path.is_file()


def _remedy(path: Path) -> str:
    """Say what a file is by its name, and what to do with it."""
    if not path.suffix:
        return "a file without a suffix; give it that of its format if it is a picture"
    if path.suffix.lower() in _NO_PICTURES:
        return "a file of another kind; leave it out"
    return _REMEDY_OF.get(path.suffix.lower(), "an unknown format; convert it to PNG or TIFF")


def _refuse_no_file(path: Path) -> None:
    with reading(path):
        if path.is_file():
            return
        if path.exists():
            raise _bad(path, "not a regular file", "name a picture")
    if path.is_symlink():
        raise _bad(path, "a link that leads nowhere", "mend or remove it")
    raise _bad(path, "no such file or folder", "check its name")


# ---- Values -------------------------------------------------------------------------------------


def _refuse_non_finite(path: Path, pixels: np.ndarray, remedy: str) -> None:
    count = pixels.size - int(np.isfinite(pixels).sum())
    if count:
        raise _bad(path, f"{count} of {pixels.size} values are NaN or infinite", remedy)


def _conditioning(pixels: np.ndarray) -> tuple[float, float]:
    """Return scale and offset for `Picture.normalized`, from a million values at most."""
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


def _to_picture(path: Path, format_name: str, decoded: _Decoded) -> Picture:
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
        raise _bad(path, "not enough memory for it", "crop it or use a larger machine") from error


class _Format(NamedTuple):
    signatures: tuple[bytes, ...]
    read: Callable[[Path], _Decoded]
    write: Callable[[BinaryIO, np.ndarray, Any], None]


def _decode(path: Path, *, inks: bool = False) -> tuple[str, _Decoded]:
    """Return the name of the format and the decoded file; all trouble becomes one line.

    inks: turn CMYK into RGB instead of refusing it.
    """
    _refuse_no_file(path)
    with reading(path), open(path, "rb") as file:
        head = file.read(12)
    if not head:
        raise _bad(path, "the file is empty", "restore it from its source or leave it out")
    name = _format_of(head)
    if name is None:
        raise _bad(path, "not a PNG, JPEG, TIFF or WebP picture", "convert it or leave it out")
    try:
        try:
            return name, _FORMATS[name].read(path)
        except UnpairedError:
            may_be_inks = inks and name in ("JPEG", "TIFF")
            if not may_be_inks or (samples := _read_inks(path, name)) is None:
                raise
            return name, _Decoded(samples[None], False, None)
    except (UnpairedError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _bad(path, "too many pixels to be opened safely", "crop or scale it down") from error
    except Exception as error:
        # Decoders meet damaged bytes with exceptions of all kinds.
        words = (str(error) or type(error).__name__).splitlines()[0]
        remedy = "restore it from its source or leave it out"
        raise _bad(path, f"damaged {name} file ({words})", remedy) from error


def _format_of(head: bytes) -> str | None:
    for name, one_format in _FORMATS.items():
        if head.startswith(one_format.signatures):
            return name if name != "WebP" or head[8:12] == b"WEBP" else None
    return None


def _refuse_size(path: Path, width: int, height: int, pages: int = 1) -> None:
    if width * height * pages == 0:
        raise _bad(path, f"its size is {width} x {height}", "leave it out")
    if width * height * pages > MAX_PIXELS:
        size = f"{width} x {height} pixels" + (f" on {pages} pages" if pages > 1 else "")
        raise _bad(path, f"{size}, more than {MAX_PIXELS / 1e6:g} megapixels", "crop or split it")


# ---- PNG ----------------------------------------------------------------------------------------

# What else a PNG says about its pixels: colour space, resolution, position, calibration, EXIF,
# texts. Besides, a small fourth letter says that a part stays true whatever becomes of the pixels.
_PNG_CARRIED = (
    b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"oFFs", b"sCAL",
    b"pCAL", b"sTER", b"eXIf", b"tEXt", b"zTXt", b"iTXt",
)  # fmt: skip
# The pixels themselves, and what is about their old values: nothing that anybody would miss.
_PNG_PIXELS = (
    b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"bKGD", b"sBIT", b"hIST", b"sPLT", b"tIME",
    b"iDOT",
)  # fmt: skip
_PNG_FIRST_CHUNK_END = 33  # signature and IHDR


def _read_png(path: Path) -> _Decoded:
    data = path.read_bytes()
    chunks = list(_png_chunks(data))
    _, header = chunks[0]
    _refuse_size(path, *struct.unpack(">II", header[8:16]))
    if any(kind == b"acTL" for kind, _ in chunks):
        raise _bad(path, "an animation", "save its frames as a TIFF stack")
    samples = imagecodecs.png_decode(data)
    samples = samples[..., None] if samples.ndim == 2 else samples
    others = [(kind, chunk) for kind, chunk in chunks if kind not in _PNG_PIXELS]
    kept = [kind in _PNG_CARRIED or kind[3:].islower() for kind, _ in others]
    carried = b"".join(
        bytes(chunk) for (_, chunk), is_kept in zip(others, kept, strict=True) if is_kept
    )
    lost = {kind.decode() for (kind, _), is_kept in zip(others, kept, strict=True) if not is_kept}
    notes = (f"parts of the PNG are left out: {', '.join(sorted(lost))}",) if lost else ()
    return _Decoded(samples[None], samples.shape[-1] in (2, 4), carried, notes)


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


def _split_chunks(chunks: bytes) -> Iterator[bytes]:
    """Yield every one of whole chunks, one after the other."""
    while chunks:
        end = struct.unpack_from(">I", chunks)[0] + 12
        yield chunks[:end]
        chunks = chunks[end:]


def _write_png(file: BinaryIO, samples: np.ndarray, carried: bytes) -> None:
    page = samples[0, ..., 0] if samples.shape[-1] == 1 else samples[0]
    data = imagecodecs.png_encode(np.ascontiguousarray(page))
    file.write(data[:_PNG_FIRST_CHUNK_END] + carried + data[_PNG_FIRST_CHUNK_END:])


# ---- CMYK ---------------------------------------------------------------------------------------


def _read_inks(path: Path, format_name: str) -> np.ndarray | None:
    """Return a CMYK JPEG or TIFF as RGB, H x W x 3 uint8; None for pictures of another kind.

    Pillow knows that Adobe writes inks in JPEG the other way round.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path, formats=(format_name,))
        except UnidentifiedImageError:
            return None  # a TIFF that Pillow does not know
        with image:
            if image.mode != "CMYK" or (format_name == "TIFF" and image.n_frames > 1):
                return None
            _refuse_size(path, *image.size)
            return np.asarray(_in_srgb(image))


def _in_srgb(image: Image.Image) -> Image.Image:
    """Turn CMYK into sRGB by the embedded profile; without a usable one, as inks on white paper."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # A damaged profile, or one of other colours than the picture has.
    return image.convert("RGB")


# ---- JPEG and WebP ------------------------------------------------------------------------------


_EOI, _SOS = 0xD9, 0xDA
_JFIF_OWNER, _ICC_OWNER, _MPF_OWNER = b"JFIF\0", b"ICC_PROFILE\0", b"MPF\0"


class _Segment(NamedTuple):
    """A part of a JPEG that says something beside its pixels. data: with marker and length."""

    marker: int
    data: bytes

    def belongs_to(self, owner: bytes) -> bool:
        return self.data[4 : 4 + len(owner)] == owner


def _read_jpeg(path: Path) -> _Decoded:
    samples, image_info = _read_with_pillow(path, ("JPEG", "MPO"))
    segments = list(_jpeg_segments(path.read_bytes()))
    kept = [segment for segment in segments if not segment.belongs_to(_MPF_OWNER)]
    notes = ()
    if image_info["pictures"] > 1:
        notes = (f"it holds {image_info['pictures']} pictures; all but the first are left out",)
    return _Decoded(samples, False, kept, notes)


def _jpeg_segments(data: bytes) -> Iterator[_Segment]:
    """Yield what programs and makers have put before the pixels: EXIF, profile, XMP, texts ...

    They are kept as they are, so that nothing is too large to be written again. Adobe's own tells
    how the colours are stored, which is the writer's matter.
    """
    start = 2
    while start + 4 <= len(data):
        if data[start] != 0xFF or data[start + 1] in (0x00, 0xFF):
            start += 1  # Decoders pass over what is between the parts.
            continue
        marker = data[start + 1]
        if marker in (_SOS, _EOI):
            return
        if 0xD0 <= marker <= 0xD8 or marker == 0x01:  # They have no length.
            start += 2
            continue
        (length,) = struct.unpack_from(">H", data, start + 2)
        if length < 2:
            return  # Damaged, though decoders may find their way.
        segment = _Segment(marker, data[start : start + 2 + length])
        is_adobe = marker == 0xEE and segment.belongs_to(b"Adobe")
        if (0xE0 <= marker <= 0xEF or marker == 0xFE) and not is_adobe:
            yield segment
        start += 2 + length


def _write_jpeg(file: BinaryIO, samples: np.ndarray, carried: list[_Segment]) -> None:
    encoded = io.BytesIO()
    _to_pillow(samples).save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    data = encoded.getvalue()
    (length,) = struct.unpack_from(">H", data, 4)
    jfif, rest = data[2 : 4 + length], data[4 + length :]
    # JFIF comes first, the picture's own or else Pillow's.
    ahead = b"" if any(segment.belongs_to(_JFIF_OWNER) for segment in carried) else jfif
    file.write(data[:2] + ahead + b"".join(segment.data for segment in carried) + rest)


def _read_webp(path: Path) -> _Decoded:
    samples, info = _read_with_pillow(path, ("WEBP",))
    carried = {key: info[key] for key in ("exif", "icc_profile", "xmp") if key in info}
    return _Decoded(samples, samples.shape[-1] == 4, carried)


def _read_with_pillow(path: Path, formats: tuple[str, ...]) -> tuple[np.ndarray, dict[str, Any]]:
    """Return samples, 1 x H x W x S, and what Pillow finds beside them."""
    with warnings.catch_warnings():
        # About sizes below the cap, and about flaws in metadata that is carried over unread.
        warnings.simplefilter("ignore")
        with Image.open(path, formats=formats) as image:
            _refuse_size(path, *image.size)
            if image.format == "WEBP" and image.is_animated:
                raise _bad(path, "an animation", "save its frames as a TIFF stack")
            if image.mode not in ("L", "RGB", "RGBA"):
                raise _bad(path, f"{image.mode} colours", "convert it to RGB or gray")
            samples = np.asarray(image)
            info = {**image.info, "pictures": getattr(image, "n_frames", 1)}
    samples = samples[..., None] if samples.ndim == 2 else samples
    return samples[None], info


def _write_webp(file: BinaryIO, samples: np.ndarray, carried: dict[str, Any]) -> None:
    # "exact" keeps the colours under full transparency.
    _to_pillow(samples).save(file, "WEBP", lossless=True, exact=True, **carried)


def _to_pillow(samples: np.ndarray) -> Image.Image:
    page = samples[0, ..., 0] if samples.shape[-1] == 1 else samples[0]
    return Image.fromarray(page)


# ---- TIFF ---------------------------------------------------------------------------------------

_GRAY_ONLY = (DESCRIPTION, PROFILE, *IMAGEJ)
_METAMORPH = range(33628, 33632)
_TIFF_DTYPES = ("uint8", "uint16", "float16", "float32", "float64")
_LOSSLESS = ("NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA", "ZSTD")
_PREDICTABLE = ("LZW", "ADOBE_DEFLATE", "DEFLATE", "LZMA", "ZSTD")
_RGB_PHOTOMETRICS = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_PHOTOMETRICS = (
    *_RGB_PHOTOMETRICS,
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.MINISWHITE,
    tifffile.PHOTOMETRIC.PALETTE,
)
_CLASSIC_TIFF_BYTES = 2**32 - 2**25  # leaves room for headers
_ALPHA_KINDS = (1, 2)  # values of ExtraSamples: associated and unassociated alpha


class _Around(NamedTuple):
    """All of a file but its pixels, where makers' tags point into the file.

    pieces: offsets with the bytes there. segments: offsets and lengths of the pixels, in order.
    """

    pieces: list[tuple[int, bytes]]
    segments: list[tuple[int, int]]
    is_planar: bool


class _TiffLayout(NamedTuple):
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
        if self.left_out & set(_METAMORPH):
            return ("the description of the series by MetaMorph is left out",)
        codes = ", ".join(map(str, sorted(self.left_out)))
        return (f"TIFF tags that only the original file can hold are left out: {codes}",)

    def of_rgb(self) -> _TiffLayout:
        """Return the same for RGB samples in place of gray ones."""
        options = {"photometric": tifffile.PHOTOMETRIC.RGB, "planarconfig": "contig"}
        tags = [[tag for tag in page if tag.code not in _GRAY_ONLY] for page in self.tags]
        return self._replace(options=self.options | options, tags=tags, around=None)

    def of_float(self, is_gray: bool) -> _TiffLayout:
        """Return the same for 32-bit floats in place of integers."""
        options = dict(self.options)
        if options["predictor"] not in (None, tifffile.PREDICTOR.NONE):
            options["predictor"] = tifffile.PREDICTOR.FLOATINGPOINT
        tags = [[_retyped(tag) for tag in page] for page in self.tags]
        if not is_gray:  # ImageJ knows no colours of floats.
            tags = [[tag for tag in page if not _is_imagej(tag)] for page in tags]
        return self._replace(options=options, tags=tags, around=None)


def _is_imagej(tag: Tag) -> bool:
    return tag.code in IMAGEJ or (tag.code == DESCRIPTION and tag.value.startswith(b"ImageJ="))


def _retyped(tag: Tag) -> Tag:
    """Return a tag with floats in place of integers, where it is an OME description."""
    if tag.code != DESCRIPTION or b"<OME" not in tag.value:
        return tag
    value = re.sub(rb'(<(?:\w+:)?Pixels\b[^>]*\bType=")\w+"', rb'\1float"', tag.value)
    value = re.sub(rb'\s+SignificantBits="\d+"', b"", value)
    return tag._replace(count=len(value), value=value)


def _read_tiff(path: Path) -> _Decoded:
    chain = _page_chain(path)
    with tifffile.TiffFile(path) as tiff:
        every = list(tiff.pages)
        pages = [page for page in every if not page.is_reduced and not page.is_mask] or every
        _refuse_tiff_kind(path, pages)
        _refuse_pictures_elsewhere(path, pages)
        series = _series_of_one_header(path, tiff, pages, chain)
        first = pages[0]
        count = sum(_planes(page, series) for page in pages)
        _refuse_size(path, first.imagewidth, first.imagelength, count)
        _check_segments(pages, series, tiff.filehandle.size)
        samples = _stack(_tiff_arrays(pages, series), count)
        layout = _tiff_layout(tiff, pages, series, chain)
        notes = (*layout.notes, *_tiff_notes(every, pages, series, tiff.filehandle.size))
    return _Decoded(samples, _has_alpha(first), layout, notes)


def _page_chain(path: Path) -> list[dict[int, int]]:
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


def _refuse_tiff_kind(path: Path, pages: list[tifffile.TiffPage]) -> None:
    """Refuse all but gray and RGB pages of one size, of 8- or 16-bit or floating-point samples."""
    first = pages[0]
    kinds = {(page.shape, page.dtype, page.photometric, page.extrasamples) for page in pages}
    if len(kinds) > 1:
        raise _bad(path, "pages of different sizes or kinds", "split it into one file per kind")
    if first.axes not in ("YX", "YXS", "SYX"):
        raise _bad(path, f"pages with axes {first.axes}", "save it as a stack of flat pages")
    bits = first.bitspersample
    if _is_palette(first):
        if first.dtype != np.uint8 or first.samplesperpixel > 1:
            raise _bad(path, f"a palette of {bits} bits or with alpha", "convert it to RGB")
    elif str(first.dtype) not in _TIFF_DTYPES or bits != 8 * first.dtype.itemsize:
        what = f"{bits}-bit samples of type {first.dtype}"
        raise _bad(path, what, "convert it to 8- or 16-bit unsigned integers or to 32-bit floats")
    if first.photometric not in _PHOTOMETRICS or _is_raw_ycbcr(first):
        name = tifffile.PHOTOMETRIC(first.photometric).name
        raise _bad(path, f"{name} colours", "convert it to RGB or gray")
    _refuse_tiff_channels(path, first, len(pages))


def _refuse_tiff_channels(path: Path, first: tifffile.TiffPage, pages: int) -> None:
    colors = first.samplesperpixel - _has_alpha(first)
    must_be_rgb = first.photometric in _RGB_PHOTOMETRICS
    if colors != 3 and (colors != 1 or must_be_rgb):
        what = f"{first.samplesperpixel} channels that are not gray or RGB with or without alpha"
        raise _bad(path, what, "save it as RGB, or as a stack with one page per channel")
    if pages > 1 and first.imagewidth <= 4:
        # What writers make of an array H x W x C that nobody told them holds colours.
        what = (
            f"{pages} pages of width {first.imagewidth}, which look like channels saved as columns"
        )
        raise _bad(path, what, "save it again with its channels declared")


def _is_palette(page: tifffile.TiffPage) -> bool:
    return page.photometric == tifffile.PHOTOMETRIC.PALETTE


def _is_raw_ycbcr(page: tifffile.TiffPage) -> bool:
    """Tell pages whose colours the decoder does not turn into RGB."""
    return (
        page.photometric == tifffile.PHOTOMETRIC.YCBCR
        and page.compression != tifffile.COMPRESSION.JPEG
    )


def _has_alpha(page: tifffile.TiffPage) -> bool:
    return len(page.extrasamples) == 1 and page.extrasamples[0] in _ALPHA_KINDS


def _refuse_pictures_elsewhere(path: Path, pages: list[tifffile.TiffPage]) -> None:
    """Refuse files whose picture proper is not in the chain of pages, as in camera raw."""
    for page in pages:
        for inner in page.pages or ():
            is_larger = inner.imagewidth * inner.imagelength > page.imagewidth * page.imagelength
            if is_larger or (page.is_reduced and not inner.is_reduced):
                remedy = "develop it, or save it as an ordinary TIFF"
                raise _bad(path, "the picture stands behind a preview, as in camera raw", remedy)


def _series_of_one_header(
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
    claimed = [chain[pages[0].index].get(code, 1) for code in _METAMORPH[1:]]
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
        raise _bad(path, "several stacks of one header each", "save each as its own TIFF stack")
    planes = sum(_planes(page, found) for page in pages)
    if max(claimed, default=1) > planes:
        raise ValueError(f"{max(claimed)} pages announced, {planes} there")
    if any(series.dataoffset is None for series in found.values()):
        raise _bad(path, f"{planes} planes compressed under one header", "save it as a TIFF stack")
    return found


def _planes(page: tifffile.TiffPage, series: dict[int, tifffile.TiffPageSeries]) -> int:
    """Return the number of planes of a page: 1, unless it is the header of a series."""
    return series[page.index].size // page.size if page.index in series else 1


def _check_segments(
    pages: list[tifffile.TiffPage], series: dict[int, tifffile.TiffPageSeries], size: int
) -> None:
    """Raise ValueError if samples lie beyond the end: some decoders would make them up."""
    for number, page in enumerate(pages, 1):
        ends = [a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if page.index in series:
            ends.append(series[page.index].dataoffset + _planes(page, series) * page.nbytes)
        if max(ends, default=0) > size:
            raise ValueError(f"page {number} is cut short")


def _tiff_notes(
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
        end = last.dataoffsets[0] + last.nbytes * _planes(last, series)
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
    if _is_palette(page):
        # Colour maps hold 16 bits: 8 bits times 257, or times 256 from some old programs.
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
) -> _TiffLayout:
    first = pages[0]
    turned_rgb = _is_palette(first) or first.photometric == tifffile.PHOTOMETRIC.YCBCR
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
    is_stale = _is_palette(first) or (series and tiff.is_shaped)
    tags, left_out = [], set()
    for page in pages:
        copied, others = page_tags(page, chain[page.index])
        left_out |= others
        tags.append([tag for tag in copied if not (is_stale and tag.code == DESCRIPTION)])
        tags += [[]] * (_planes(page, series) - 1)
    around = None
    if tiff.is_stk or tiff.is_lsm or tiff.is_fluoview:
        around = _around(tiff, pages, series)
    return _TiffLayout(options, tiff.byteorder, tiff.is_bigtiff, tags, around, left_out)


def _around(
    tiff: tifffile.TiffFile,
    pages: list[tifffile.TiffPage],
    series: dict[int, tifffile.TiffPageSeries],
) -> _Around | None:
    """Return all but the pixels of a file that has them uncompressed; None for others."""
    if not all(page.is_final for page in pages):
        return None
    segments = [(page.dataoffsets[0], page.nbytes * _planes(page, series)) for page in pages]
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


def _write_tiff(file: BinaryIO, samples: np.ndarray, layout: _TiffLayout) -> None:
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


# ---- Integers written as floats -----------------------------------------------------------------


def _float_layout(picture: Picture) -> tuple[_TiffLayout, tuple[str, ...]]:
    """Return how to write an integer picture as a TIFF of floats, and what is lost thereby."""
    if picture.format == "TIFF":
        layout = picture.carried.of_float(picture.is_gray)
        return layout, layout.notes if picture.carried.around else ()
    info = _info_of(picture)
    options = {
        "photometric": "minisblack" if picture.is_gray else "rgb",
        "planarconfig": "contig",
        "extrasamples": None if picture.alpha is None else ["unassalpha"],
        "compression": "ADOBE_DEFLATE",
        "predictor": tifffile.PREDICTOR.FLOATINGPOINT,
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
    layout = _TiffLayout(options, byteorder, False, [list(tags.values())], None, set())
    return layout, notes


def _has_other_parts(picture: Picture) -> bool:
    """Tell whether a PNG or JPEG says more than EXIF, XMP, profile, resolution and colours."""
    if picture.format == "PNG":
        others = (b"tEXt", b"zTXt", b"iTXt", b"oFFs", b"sCAL", b"pCAL", b"sTER")
        kinds = [chunk[4:8] for chunk in _split_chunks(picture.carried)]
        return any(kind in others or kind not in _PNG_CARRIED for kind in kinds)
    if picture.format == "JPEG":
        return any(
            segment.marker not in (0xE0, 0xE1) and not segment.belongs_to(_ICC_OWNER)
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
    "PNG": _Format((b"\x89PNG\r\n\x1a\n",), _read_png, _write_png),
    "JPEG": _Format((b"\xff\xd8\xff",), _read_jpeg, _write_jpeg),
    "TIFF": _Format((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _read_tiff, _write_tiff),
    "WebP": _Format((b"RIFF",), _read_webp, _write_webp),
}
