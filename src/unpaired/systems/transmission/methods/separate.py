"""Separate coding: a usual codec, in the bytes that the channel carries without error.

No error-correcting code of so few symbols reaches the channel's capacity, so this is more than any
practical one has: bits = k log2(1 + SNR) for the k symbols of the codec in the role. The largest
quality whose file fits is sent; where none fits there is no picture. Headers count, as a receiver
needs them: JPEG 2000 is its bare code stream, AVIF has its container.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image, features
from torch import Tensor

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.imaging.pixels import to_uint8
from unpaired.systems.transmission.channel import capacity_bits
from unpaired.systems.transmission.matching import codec_of
from unpaired.systems.transmission.sending import Arrived, Channel

PICTURES_AT_ONCE = 32
JPEG2000, AVIF = "jpeg2000", "avif"


@dataclass(frozen=True, kw_only=True)
class SeparateConfig:
    """format: "jpeg2000" or "avif". symbols_factor: times as many symbols as the codec's."""

    format: str = JPEG2000
    symbols_factor: int = 1


class Separate:
    """A usual codec, and a perfect code for the channel."""

    Config: ClassVar[type] = SeparateConfig
    sees: ClassVar[tuple[str, ...]] = ()
    knows: ClassVar[tuple[str, ...]] = ()
    margin_px: ClassVar[int | None] = None
    pictures_at_once: ClassVar[int] = PICTURES_AT_ONCE

    def __init__(self, config: SeparateConfig) -> None:
        check_choice("separate coding", "format", config.format, FORMATS)
        if config.symbols_factor < 1:
            raise UnpairedError(
                f"separate coding: symbols_factor = {config.symbols_factor} must be 1 at least"
            )
        self.config = config
        self.others: dict[str, Any] = {}

    def receive(self, role: str, other: Any) -> None:
        """Take the codec whose symbols are counted."""
        self.others[role] = other

    @property
    def multiple_px(self) -> int:
        """That of the codec, so that both send the same."""
        return codec_of(self.others).multiple_px

    def send(self, picture: Tensor, channel: Channel) -> Arrived:
        """Return decoded files; black where none fits."""
        symbols = codec_of(self.others).symbols(*picture.shape[-2:]) * self.config.symbols_factor
        budget_bytes = int(capacity_bits(symbols, channel.snr_db) // 8)
        files = [
            best_file(
                to_uint8(one.permute(1, 2, 0).cpu().numpy()), self.config.format, budget_bytes
            )
            for one in picture
        ]
        decoded = [None if file is None else decode(file) for file in files]
        black = np.zeros((*picture.shape[2:], picture.shape[1]), np.uint8)
        shown = np.stack([black if one is None else one for one in decoded])
        pictures = torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 255
        came = torch.tensor([one is not None for one in decoded])
        return Arrived(pictures.to(picture.device), came, symbols)


def best_file(picture: np.ndarray, format_name: str, budget_bytes: int) -> bytes | None:
    """Return the file of the best quality within a budget; None where even the worst is larger.

    picture: H x W x 3, uint8. Sizes grow with the settings of quality, so halving finds the best.
    """
    qualities, write = FORMATS[format_name]
    best = write(picture, qualities[0])
    if len(best) > budget_bytes:
        return None
    low, high = 1, len(qualities) - 1
    while low <= high:
        middle = (low + high) // 2
        file = write(picture, qualities[middle])
        if len(file) <= budget_bytes:
            best, low = file, middle + 1
        else:
            high = middle - 1
    return best


def decode(file: bytes) -> np.ndarray:
    """Return the picture of a file, H x W x 3, uint8."""
    with Image.open(io.BytesIO(file)) as picture:
        return np.asarray(picture.convert("RGB"))


def _jpeg2000(picture: np.ndarray, psnr_db: float) -> bytes:
    """Return a bare code stream of lossy JPEG 2000, in components of luminance and color."""
    output = io.BytesIO()
    Image.fromarray(picture).save(
        output,
        "JPEG2000",
        no_jp2=True,
        quality_mode="dB",
        quality_layers=[psnr_db],
        irreversible=True,
        mct=1,
        num_resolutions=_resolutions(picture),
    )
    return output.getvalue()


def _resolutions(picture: np.ndarray) -> int:
    """Return 6 levels, the usual number, and fewer for small pictures."""
    return min(6, int(np.log2(min(picture.shape[:2]))))


@cache
def _has_avif() -> bool:
    return features.check("avif")


def _avif(picture: np.ndarray, quality: int) -> bytes:
    if not _has_avif():
        raise UnpairedError(
            "this Pillow was built without AVIF; install one that has it: pip install -U pillow"
        )
    output = io.BytesIO()
    Image.fromarray(picture).save(output, "AVIF", quality=quality, speed=6, subsampling="4:2:0")
    return output.getvalue()


Write = Callable[[np.ndarray, Any], bytes]
# Format -> qualities from the worst to the best, and what writes a picture with one.
FORMATS: dict[str, tuple[list[Any], Write]] = {
    JPEG2000: ([float(psnr) for psnr in np.arange(5, 55, 0.5)], _jpeg2000),
    AVIF: (list(range(0, 101)), _avif),
}
