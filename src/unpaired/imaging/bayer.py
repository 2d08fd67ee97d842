"""Mosaics of a Bayer sensor, and the four planes that they are packed into.

A packed plane means the same on every sensor: red, green of the red rows, green of the blue rows,
blue. A pattern is named by its upper left 2 x 2 pixels, row by row.
"""

from __future__ import annotations

import itertools

import numpy as np

from unpaired.core.errors import UnpairedError

# Row and column of the red pixel within each 2 x 2 pixels; the other three follow from it.
_RED_AT = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}

# A transposed mosaic of many megapixels is packed three times as fast in tiles that caches hold.
TILE_PX = 256

PATTERNS = tuple(_RED_AT)
RED, GREEN_OF_RED_ROW, GREEN_OF_BLUE_ROW, BLUE = PLANES = range(4)


def pack(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """Return the planes H/2 x W/2 x 4 of a mosaic H x W, in the order of `PLANES`.

    Raises UnpairedError if H or W is odd: the last row or column would have no partner.
    """
    height, width = mosaic.shape
    if height % 2 or width % 2:
        raise UnpairedError(
            f"a mosaic of {height}x{width} (height x width) has an odd side; crop it to even sides"
        )
    planes = np.empty((height // 2, width // 2, len(PLANES)), mosaic.dtype)
    for top, left in itertools.product(range(0, height, TILE_PX), range(0, width, TILE_PX)):
        tile = mosaic[top : top + TILE_PX, left : left + TILE_PX]
        tile_planes = planes[top // 2 :, left // 2 :][: tile.shape[0] // 2, : tile.shape[1] // 2]
        for plane, where in zip(PLANES, sites(pattern), strict=True):
            tile_planes[..., plane] = tile[where]
    return planes


def unpack(planes: np.ndarray, pattern: str) -> np.ndarray:
    """Return the mosaic H x W of planes H/2 x W/2 x 4: the exact inverse of `pack`."""
    height, width, _ = planes.shape
    mosaic = np.empty((2 * height, 2 * width), planes.dtype)
    for plane, where in zip(PLANES, sites(pattern), strict=True):
        mosaic[where] = planes[..., plane]
    return mosaic


def sites(pattern: str) -> tuple[tuple[slice, slice], ...]:
    """Return, for each of `PLANES`, the slices that pick its pixels out of a mosaic H x W."""
    row, column = _RED_AT[pattern]
    corners = ((row, column), (row, 1 - column), (1 - row, column), (1 - row, 1 - column))
    return tuple((slice(top, None, 2), slice(left, None, 2)) for top, left in corners)
