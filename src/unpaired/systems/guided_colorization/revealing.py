"""Which colors a test reveals: at random places, or where a colorizer is most wrong (3.4.1).

Sizes are told for pictures of 256 pixels: a patch of 7, errors averaged over 25. For others they
are scaled by the shorter side, to an odd number of pixels, 3 at least.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.randomness import numpy_generator
from unpaired.imaging.color.hints import Patch

FULL_PX = 256
PATCH_PX, WINDOW_PX = 7, 25
SIDE_MIN_PX = 3


def scaled_px(side_px: int, short_px: int) -> int:
    """Return a side told for pictures of 256 pixels for those of another shorter side: odd."""
    return max(SIDE_MIN_PX, 2 * round((side_px * short_px / FULL_PX - 1) / 2) + 1)


def random_patches(count: int, size: tuple[int, int], *key: object) -> list[Patch]:
    """Return patches around uniformly drawn pixels of a picture, cut at its border.

    size: height and width. key: names the picture. A smaller count gives the first of a larger one.
    """
    side = scaled_px(PATCH_PX, min(size))
    rng = numpy_generator("random points", *key)
    return [_around(int(y), int(x), side) for y, x in rng.integers(0, size, (count, 2))]


def max_error_patches(
    count: int, predict: Callable[[list[list[Patch]]], Tensor], true: Tensor
) -> list[list[Patch]]:
    """Return, for every picture, patches that are each where the error is largest at its turn.

    predict: patches of every picture -> ab, B x 2 x H x W. true: the same shape. The error is the
    distance in ab, averaged over a window. Patches of a picture do not overlap: where none fits any
    more, it gets no further ones.
    """
    size = tuple(true.shape[-2:])
    side, window = (scaled_px(px, min(size)) for px in (PATCH_PX, WINDOW_PX))
    patches: list[list[Patch]] = [[] for _ in true]
    blocked = torch.zeros(len(true), *size, dtype=torch.bool, device=true.device)
    for _ in range(count):
        errors = (predict(patches).to(true) - true).norm(dim=1, keepdim=True)
        means = functional.avg_pool2d(
            errors, window, stride=1, padding=window // 2, count_include_pad=False
        )[:, 0]
        means[blocked] = -1
        largest, places = means.flatten(1).max(1)
        open_ones = torch.nonzero(largest >= 0)[:, 0].tolist()
        if not open_ones:
            break
        for number in open_ones:
            y, x = divmod(int(places[number]), size[1])
            patches[number].append(_around(y, x, side))
            rows, columns = (slice(max(0, k - side + 1), k + side) for k in (y, x))
            blocked[number, rows, columns] = True
    return patches


def _around(y: int, x: int, side: int) -> Patch:
    return Patch(y - side // 2, x - side // 2, side)
