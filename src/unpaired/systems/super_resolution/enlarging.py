"""Enlarging a picture of any size: in one pass, or in tiles with the result of one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

TILE_PX = 768  # Kept of a tile, a side, beside its margins.


def enlarge(product: Any, small: Tensor, tile_px: int = TILE_PX) -> Tensor:
    """Return what a product makes of 1 x C x h x w in [0, 1], not clipped.

    A picture with a side above ``tile_px`` is cut into tiles that overlap by the product's
    ``margin_px`` on either side, beyond which nothing changes what is kept.
    """
    height, width = small.shape[-2:]
    if max(height, width) <= tile_px:
        return product.upscale(small)
    scale, margin = product.scale, product.margin_px
    large = small.new_empty((*small.shape[:2], scale * height, scale * width))
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            bottom, right = min(top + tile_px, height), min(left + tile_px, width)
            first, second = max(0, top - margin), max(0, left - margin)
            tile = small[..., first : bottom + margin, second : right + margin]
            made = product.upscale(tile)
            rows, columns = (
                slice(scale * (start - begin), scale * (end - begin))
                for start, end, begin in ((top, bottom, first), (left, right, second))
            )
            large[..., scale * top : scale * bottom, scale * left : scale * right] = made[
                ..., rows, columns
            ]
    return large
