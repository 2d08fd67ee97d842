"""sRGB to CIE Lab and back, on any device and differentiable.

White D65, 2 degree observer; scikit-image's constants, which the color bins and the prior of Zhang
2018 were made with. Its rounded 0.008856 and 7.787 leave a step of 1e-7 in f, kept for parity.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

LIGHTNESS_MAX = 100.0
XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE = (0.95047, 1.0, 1.08883)
CUBE_ROOT_FROM, CUBE_FROM = 0.008856, 0.2068966  # in X / Xn and in f(X / Xn)
SLOPE, INTERCEPT = 7.787, 16 / 116
SRGB_CURVE_FROM, LINEAR_CURVE_FROM = 0.04045, 0.0031308
GAMUT_TOLERANCE = 2e-4  # in RGB: gray of L = 100 is not exactly white, the matrix being rounded
# The same in linear RGB, which spares a power per channel.
LINEAR_LEAST = -GAMUT_TOLERANCE / 12.92
LINEAR_MOST = ((1 + GAMUT_TOLERANCE + 0.055) / 1.055) ** 2.4
BISECTIONS = 16  # leave an error of 150 / 2^16 in chroma


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Return CIE Lab of sRGB: B x 3 x H x W; L in [0, 100], ab in about [-108, 99].

    rgb: B x 3 x H x W in [0, 1], floating point. Its gradient is finite everywhere.
    """
    low = rgb / 12.92
    high = ((rgb.clamp(min=SRGB_CURVE_FROM) + 0.055) / 1.055) ** 2.4
    linear = torch.where(rgb > SRGB_CURVE_FROM, high, low)
    # Divided by the white first: one rounding less.
    ratios = _mix(linear, _to_ratios())
    roots = ratios.clamp(min=CUBE_ROOT_FROM) ** (1 / 3)
    x, y, z = torch.where(ratios > CUBE_ROOT_FROM, roots, SLOPE * ratios + INTERCEPT).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Return sRGB in [0, 1] of CIE Lab, both B x 3 x H x W; out of gamut, clipped per channel.

    See `into_gamut` for colors that are to keep lightness and hue.
    """
    return _lab_to_rgb_unclipped(lab).clamp(0, 1)


def _lab_to_rgb_unclipped(lab: Tensor) -> Tensor:
    linear = _lab_to_linear(lab)
    curved = 1.055 * linear.clamp(min=LINEAR_CURVE_FROM) ** (1 / 2.4) - 0.055
    return torch.where(linear > LINEAR_CURVE_FROM, curved, 12.92 * linear)


def _lab_to_linear(lab: Tensor) -> Tensor:
    """Return linear RGB, neither clipped nor curved."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    roots = torch.stack([y + a / 500, y, (y - b / 200).clamp(min=0)], dim=1)
    ratios = torch.where(roots > CUBE_FROM, roots**3, (roots - INTERCEPT) / SLOPE)
    return _mix(ratios, _from_ratios())


def in_gamut(lab: Tensor) -> Tensor:
    """Tell which pixels of B x 3 x H x W are sRGB colors to GAMUT_TOLERANCE: B x H x W, bool."""
    linear = _lab_to_linear(lab)
    return (linear >= LINEAR_LEAST).all(1) & (linear <= LINEAR_MOST).all(1)


def into_gamut(lab: Tensor) -> Tensor:
    """Return ``lab``, B x 3 x H x W, with chroma lowered where it is no sRGB color.

    L (clamped to [0, 100]) and hue stay; the largest chroma is found by bisection between gray and
    the color itself. Colors in gamut come back unchanged. The gradient with respect to ab is that
    of a fixed loss of chroma.
    """
    lightness, ab = lab[:, :1].clamp(0, LIGHTNESS_MAX), lab[:, 1:]
    lab = torch.cat([lightness, ab], dim=1)
    with torch.no_grad():
        outside = ~in_gamut(lab)
        factors = torch.ones_like(lightness[:, 0])
        factors[outside] = _largest_factors(lab.movedim(1, -1)[outside])
    return torch.cat([lightness, ab * factors[:, None]], dim=1)


def _largest_factors(colors: Tensor) -> Tensor:
    """Return by how much the chroma of N x 3 colors out of gamut must be multiplied: N."""
    columns = colors[:, :, None, None]
    low, high = torch.zeros_like(columns[:, :1]), torch.ones_like(columns[:, :1])
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        scaled = torch.cat([columns[:, :1], middle * columns[:, 1:]], dim=1)
        inside = in_gamut(scaled)[:, None]
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return low[:, 0, 0, 0]


def _mix(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Return ``matrix`` times every pixel of B x 3 x H x W.

    Written out: as a convolution or a matrix product it would fall under TF32 and autocast.
    """
    first, second, third = planes.unbind(1)
    rows = [one * first + two * second + three * third for one, two, three in matrix]
    return torch.stack(rows, dim=1)


@cache
def _to_ratios() -> tuple[tuple[float, ...], ...]:
    return _rows(np.array(XYZ_FROM_RGB) / np.array(WHITE)[:, None])


@cache
def _from_ratios() -> tuple[tuple[float, ...], ...]:
    return _rows(np.linalg.inv(XYZ_FROM_RGB) * np.array(WHITE))


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
