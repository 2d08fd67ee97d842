"""Where in a picture there is most to see."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

# Coarser than most noise, finer than shading.
FINE_PX, COARSE_PX = 3, 9


def liveliest(page: np.ndarray, rows: int, columns: int) -> tuple[slice, slice]:
    """Return where, in an H x W x C page, the part with the most going on in it lies.

    The part is ``rows`` x ``columns``, or as much of it as the page has.
    """
    sides = (min(rows, page.shape[0]), min(columns, page.shape[1]))
    brightness = page.mean(axis=2, dtype=np.float32)
    detail = gaussian_filter(brightness, FINE_PX) - gaussian_filter(brightness, COARSE_PX)
    # In double precision: the running sums of a bright picture would swallow the rest of it.
    liveliness = uniform_filter(detail.astype(np.float64) ** 2, sides)
    # Where a window of that size fits, by its center.
    fitting = tuple(
        slice(side // 2, side // 2 + whole - side + 1)
        for side, whole in zip(sides, page.shape, strict=False)
    )
    inside = liveliness[fitting]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return slice(int(top), int(top) + sides[0]), slice(int(left), int(left) + sides[1])
