"""The squared distance in CIE Lab that Zhang 2018 calls L2 (chapter 6)."""

from __future__ import annotations

from torch import Tensor

from unpaired.imaging.color.lab import LIGHTNESS_MAX, rgb_to_lab
from unpaired.metrics.perceptual import check_pictures


def lab_l2(first: Tensor, second: Tensor) -> Tensor:
    """Return half the mean squared difference of Lab / 100, N numbers.

    first, second: N x C x H x W in [0, 1], sRGB or gray. Pixels and the three Lab channels are
    averaged alike, as in the authors' code. Raises UnpairedError for other shapes and ranges.
    """
    check_pictures(first, second)
    # Beyond the range by rounding only; the curve of sRGB ends there.
    labs = [rgb_to_lab(picture.clamp(0, 1).expand(-1, 3, -1, -1)) for picture in (first, second)]
    return ((labs[0] - labs[1]) / LIGHTNESS_MAX).square().mean(dim=(1, 2, 3)) / 2
