"""Structural similarity in CIE Lab, as Zhang 2018 scores it (chapter 6, the authors' code)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.lab import LIGHTNESS_MAX, rgb_to_lab
from unpaired.metrics.perceptual import check_pictures
from unpaired.metrics.ssim import K1, K2

WINDOW_PX = 7
PIXELS = WINDOW_PX**2


def lab_ssim(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean SSIM (Wang et al. 2004) of Lab, N numbers in double precision.

    first, second: N x C x H x W in [0, 1], sRGB or gray. Uniform 7x7 window, only where it fits,
    sample covariance, dynamic range 100 of all three Lab channels, which are averaged alike: the
    defaults of scikit-image, whose function the authors call. `ssim` is the form of other papers.
    Raises UnpairedError for other shapes and ranges, and for sides of less than 7 pixels.
    """
    check_pictures(first, second)
    if min(first.shape[-2:]) < WINDOW_PX:
        raise UnpairedError(
            f"SSIM in Lab needs at least {WINDOW_PX} pixels a side, not "
            f"{first.shape[-1]} x {first.shape[-2]}"
        )
    # Beyond the range by rounding only; the curve of sRGB ends there.
    x, y = (
        rgb_to_lab(picture.double().clamp(0, 1).expand(-1, 3, -1, -1))
        for picture in (first, second)
    )
    means = [functional.avg_pool2d(z, WINDOW_PX, stride=1) for z in (x, y, x * x, y * y, x * y)]
    mean_x, mean_y, square_x, square_y, product = means
    of_sample = PIXELS / (PIXELS - 1)
    variances = of_sample * (square_x + square_y - mean_x**2 - mean_y**2)
    covariance = of_sample * (product - mean_x * mean_y)
    c1, c2 = ((k * LIGHTNESS_MAX) ** 2 for k in (K1, K2))
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    return similarity.mean(dim=(1, 2, 3))
