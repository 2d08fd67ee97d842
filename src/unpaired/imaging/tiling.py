"""Restoring a large image in overlapped tiles, with the result of one pass over the whole."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def restore_tiled(
    restore: Callable[[Tensor], Tensor],
    image: Tensor,
    *,
    tile_px: int,
    margin_px: int,
    multiple_px: int,
) -> Tensor:
    """Restore an image of any size tile by tile; the memory needed grows with the tile only.

    As ``map_tiles``, for what does not depend on where a tile lies. restore: 1 x C x h x w -> same.
    """
    return map_tiles(
        lambda tile, top, left: restore(tile),
        image,
        tile_px=tile_px,
        margin_px=margin_px,
        multiple_px=multiple_px,
    )


def map_tiles(
    change: Callable[[Tensor, int, int], Tensor],
    image: Tensor,
    *,
    tile_px: int,
    margin_px: int,
    multiple_px: int,
) -> Tensor:
    """Change an image of any size tile by tile; the memory needed grows with the tile only.

    The image is thought to be extended at the bottom and on the right, by reflection, to a multiple
    of ``multiple_px``. Tiles overlap, start at multiples of ``multiple_px``, so pooling grids agree
    with those of the whole image, and end at its borders, so border tiles see what a pass over the
    whole extended image would see there. Of each tile only what lies ``margin_px`` or more from its
    inner edges is kept. The result equals that of the whole pass if no output pixel depends on
    input pixels farther away than ``margin_px``.

    change: 1 x C x h x w, and the row and column of its first pixel -> same shape. All four are
    multiples of ``multiple_px``.
    image: 1 x C x H x W, at least 1 x 1 pixel. tile_px: largest side of a tile, margins included.
    multiple_px: what the network's sides must be divisible by (32 for five poolings).

    Returns 1 x C x H x W, of the type and on the device of ``image``, without gradients.
    Raises ValueError if a tile has no room for its margins, or ``change`` changes the shape.
    """
    margin_px = _round_up(margin_px, multiple_px)
    tile_px = tile_px // multiple_px * multiple_px
    if tile_px <= 2 * margin_px:
        raise ValueError(f"tile_px must be more than {2 * margin_px} for this margin and multiple")
    height, width = image.shape[-2:]
    rows = _reflected(height, _round_up(height, multiple_px), image.device)
    columns = _reflected(width, _round_up(width, multiple_px), image.device)
    result = torch.empty_like(image)
    for top, first_row in _tiles(len(rows), tile_px, margin_px):
        for left, first_column in _tiles(len(columns), tile_px, margin_px):
            # Indexing here rather than padding the image keeps a second copy of it out of memory.
            tile = image.index_select(-2, rows[top : top + tile_px])
            tile = tile.index_select(-1, columns[left : left + tile_px])
            restored = change(tile, top, left)
            if restored.shape != tile.shape:
                raise ValueError(f"restore turned {tuple(tile.shape)} into {tuple(restored.shape)}")
            # The next tile overwrites the margin at the far edges.
            result[..., first_row : top + tile_px, first_column : left + tile_px] = (
                restored.detach()[
                    ..., first_row - top : height - top, first_column - left : width - left
                ]
            )
    return result


def _tiles(length_px: int, tile_px: int, margin_px: int) -> list[tuple[int, int]]:
    """Return, per tile along one axis, where it starts and the first pixel that it is kept from."""
    step_px = tile_px - 2 * margin_px
    count = max(1, math.ceil((length_px - 2 * margin_px) / step_px))
    # The last tile moves back so that it ends at the border and has full size.
    starts = [min(index * step_px, max(0, length_px - tile_px)) for index in range(count)]
    return [(start, start + margin_px if start else 0) for start in starts]


def _reflected(length_px: int, extended_px: int, device: torch.device) -> Tensor:
    """Return the indices that extend an axis by reflection about its last pixel.

    As NumPy's "reflect" mode: an extension longer than the axis goes on back and forth, which
    torch's padding refuses.
    """
    period_px = max(1, 2 * length_px - 2)
    position = torch.arange(extended_px, device=device) % period_px
    return torch.minimum(position, period_px - position) if length_px > 1 else position


def _round_up(length_px: int, multiple_px: int) -> int:
    return math.ceil(length_px / multiple_px) * multiple_px
