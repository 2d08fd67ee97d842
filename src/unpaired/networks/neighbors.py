"""The mean of the pixels around a pixel: the simplest estimate that does not look at it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mean_of_neighbors(image: Tensor) -> Tensor:
    """Return the mean of the eight pixels around each pixel, B x C x H x W, sides of 2 or more.

    Reflected at the borders about the outermost pixels, so no pixel is its own neighbor there.
    """
    channels = image.shape[1]
    weights = torch.full((channels, 1, 3, 3), 1 / 8, dtype=image.dtype, device=image.device)
    weights[..., 1, 1] = 0
    # Autocast would round the image to the 8 significant bits of bf16.
    with torch.autocast(image.device.type, enabled=False):
        padded = functional.pad(image, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(padded, weights, groups=channels)
