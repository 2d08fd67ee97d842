"""JPEG and WebP, and the inks of print in JPEG and TIFF: what Pillow decodes."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from unpaired.imaging.formats.decoded import Decoded, bad, refuse_size

JPEG_QUALITY = 95


_EOI, _SOS = 0xD9, 0xDA
_JFIF_OWNER, ICC_OWNER, _MPF_OWNER = b"JFIF\0", b"ICC_PROFILE\0", b"MPF\0"


class _Segment(NamedTuple):
    """A part of a JPEG that says something beside its pixels. data: with marker and length."""

    marker: int
    data: bytes

    def belongs_to(self, owner: bytes) -> bool:
        return self.data[4 : 4 + len(owner)] == owner


def read_jpeg(path: Path) -> Decoded:
    samples, image_info = _read_with_pillow(path, ("JPEG", "MPO"))
    segments = list(_jpeg_segments(path.read_bytes()))
    kept = [segment for segment in segments if not segment.belongs_to(_MPF_OWNER)]
    notes = ()
    if image_info["pictures"] > 1:
        notes = (f"it holds {image_info['pictures']} pictures; all but the first are left out",)
    return Decoded(samples, False, kept, notes)


def _jpeg_segments(data: bytes) -> Iterator[_Segment]:
    """Yield what programs and makers have put before the pixels: EXIF, profile, XMP, texts ...

    They are kept as they are, so that nothing is too large to be written again. Adobe's own tells
    how the colors are stored, which is the writer's matter.
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


def write_jpeg(file: BinaryIO, samples: np.ndarray, carried: list[_Segment]) -> None:
    encoded = io.BytesIO()
    _to_pillow(samples).save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    data = encoded.getvalue()
    (length,) = struct.unpack_from(">H", data, 4)
    jfif, rest = data[2 : 4 + length], data[4 + length :]
    # JFIF comes first, the picture's own or else Pillow's.
    ahead = b"" if any(segment.belongs_to(_JFIF_OWNER) for segment in carried) else jfif
    file.write(data[:2] + ahead + b"".join(segment.data for segment in carried) + rest)


def read_webp(path: Path) -> Decoded:
    samples, info = _read_with_pillow(path, ("WEBP",))
    carried = {key: info[key] for key in ("exif", "icc_profile", "xmp") if key in info}
    return Decoded(samples, samples.shape[-1] == 4, carried)


def _read_with_pillow(path: Path, formats: tuple[str, ...]) -> tuple[np.ndarray, dict[str, Any]]:
    """Return samples, 1 x H x W x S, and what Pillow finds beside them."""
    with warnings.catch_warnings():
        # About sizes below the cap, and about flaws in metadata that is carried over unread.
        warnings.simplefilter("ignore")
        with Image.open(path, formats=formats) as image:
            refuse_size(path, *image.size)
            if image.format == "WEBP" and image.is_animated:
                raise bad(path, "an animation", "save its frames as a TIFF stack")
            if image.mode not in ("L", "RGB", "RGBA"):
                raise bad(path, f"{image.mode} colors", "convert it to RGB or gray")
            samples = np.asarray(image)
            info = {**image.info, "pictures": getattr(image, "n_frames", 1)}
    samples = samples[..., None] if samples.ndim == 2 else samples
    return samples[None], info


def write_webp(file: BinaryIO, samples: np.ndarray, carried: dict[str, Any]) -> None:
    # "exact" keeps the colors under full transparency.
    _to_pillow(samples).save(file, "WEBP", lossless=True, exact=True, **carried)


def _to_pillow(samples: np.ndarray) -> Image.Image:
    page = samples[0, ..., 0] if samples.shape[-1] == 1 else samples[0]
    return Image.fromarray(page)


# ---- CMYK ---------------------------------------------------------------------------------------


def read_inks(path: Path, format_name: str) -> np.ndarray | None:
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
            refuse_size(path, *image.size)
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
            pass  # A damaged profile, or one of other colors than the picture has.
    return image.convert("RGB")
