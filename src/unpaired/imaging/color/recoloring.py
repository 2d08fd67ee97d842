"""A picture keeps its lightness and gets other colors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unpaired.imaging.color.lab import into_gamut, lab_to_rgb, rgb_to_lab
from unpaired.imaging.pixels import to_uint8

PIXELS_AT_ONCE = 1 << 20  # of what is only converted between color spaces


def as_batch(picture: np.ndarray) -> Tensor:
    """Return H x W x 3 uint8 as 1 x 3 x H x W in [0, 1], float32."""
    return torch.tensor(picture).permute(2, 0, 1)[None] / 255


def with_colors(lab: Tensor, ab: Tensor) -> np.ndarray:
    """Return the lightness of ``lab``, 3 x H x W, with colors ``ab``: H x W x 3 uint8.

    Colors that sRGB does not have lose chroma, not lightness.
    """
    joined = torch.cat([lab[:1], ab.to(lab.dtype)])[None]
    return to_uint8(lab_to_rgb(into_gamut(joined))[0].permute(1, 2, 0).cpu().numpy())


def recolored(rgb: Tensor, ab: Tensor) -> Tensor:
    """Return B x 3 x H x W of the lightness of ``rgb`` with colors ``ab``, as `with_colors`.

    In strips, so that memory stays bounded, on the device of ``ab``; the result is on the CPU.
    """
    strips = [_joined(rgb[..., rows, :].to(ab.device), ab[..., rows, :]) for rows in _strips(rgb)]
    return torch.cat(strips, dim=2)


def _joined(rgb: Tensor, ab: Tensor) -> Tensor:
    lab = torch.cat([rgb_to_lab(rgb)[:, :1], ab.float()], dim=1)
    return lab_to_rgb(into_gamut(lab)).cpu()


def _strips(rgb: Tensor) -> Iterator[slice]:
    height, width = rgb.shape[-2:]
    rows = max(1, PIXELS_AT_ONCE // width)
    return (slice(top, top + rows) for top in range(0, height, rows))


def shrunk(rgb: Tensor, short_px: int | None) -> Tensor:
    """Return B x 3 x H x W with a shorter side of at most ``short_px``; as it is for None.

    At another scale than that of its training pictures things look unlike what a network knows. The
    authors squeeze all into squares; here the aspect is kept.
    """
    size = shrunk_size(tuple(rgb.shape[-2:]), short_px)
    if size == tuple(rgb.shape[-2:]):
        return rgb
    return functional.interpolate(rgb, size=size, mode="bicubic", antialias=True).clamp(0, 1)


def shrunk_size(size: tuple[int, int], short_px: int | None) -> tuple[int, int]:
    """Return the height and width that `shrunk` gives pictures of a height and width."""
    scale = 1 if short_px is None else short_px / min(size)
    return size if scale >= 1 else (round(size[0] * scale), round(size[1] * scale))


def enlarged(ab: Tensor, size: tuple[int, int]) -> Tensor:
    """Return B x 2 x h x w bilinearly brought to another size; as it is where it has it."""
    if tuple(ab.shape[-2:]) == tuple(size):
        return ab
    return functional.interpolate(ab.float(), size=tuple(size), mode="bilinear")
