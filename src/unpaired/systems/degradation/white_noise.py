"""White noise that belongs to places in an image, so that all windows agree about it."""

from __future__ import annotations

import torch
from torch import Tensor

from unpaired.core.randomness import seed_for
from unpaired.networks.latents import LatentLevel

BLOCK = 64  # Places per side of what is drawn from one key.


def noise_window(
    key: tuple[object, ...], level: LatentLevel, top: int, left: int, height: int, width: int
) -> Tensor:
    """Return standard normal numbers for a window of an image, the same at the same places.

    top, left, height, width: of the window, in pixels, multiples of ``level.px``. Returns
    1 x channels x height / px x width / px. Only the window and what surrounds it are ever held.
    """
    top, left, height, width = (length // level.px for length in (top, left, height, width))
    first_row, first_column = top // BLOCK, left // BLOCK
    rows = [
        torch.cat([_block(key, level, row, column) for column in _blocks(left, width)], dim=-1)
        for row in _blocks(top, height)
    ]
    field = torch.cat(rows, dim=-2)[None]
    top, left = top - first_row * BLOCK, left - first_column * BLOCK
    return field[..., top : top + height, left : left + width]


def _blocks(start: int, length: int) -> range:
    return range(start // BLOCK, (start + length - 1) // BLOCK + 1)


def _block(key: tuple[object, ...], level: LatentLevel, row: int, column: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed_for(*key, "block", row, column))
    return torch.randn(level.channels, BLOCK, BLOCK, generator=generator)
