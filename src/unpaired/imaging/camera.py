"""A camera, forwards and backwards: photograph -> linear sensor values -> noise -> photograph.

After Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019: tone curve, gamma,
color matrix and white balance are inverted one after the other, noise is added to the mosaic, and
a small image signal processor (ISP) makes a photograph again. Its demosaicking shares noise among
neighbors, and its curves make the noise depend on intensity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import convolve

from unpaired.imaging import bayer

GAMMA = 2.2
DARKEST = 1e-8  # Gamma has no inverse at 0.
HIGHLIGHT = 0.9  # From here up to 1, white stays white whatever the gains.

# The law of Brooks et al., log read = a log shot + b + N(0, spread), with the numbers that the
# authors of CycleISP (Zamir et al. 2020) give for SIDD, in decimal logarithms. Their range of shot,
# 0.00068674 .. 0.02194856, is that of a noise in proportion to ISO 100 .. 3200.
SHOT_AT_ISO_100 = 0.00068674
READ_SLOPE, READ_OFFSET, READ_SPREAD = 1.85, 0.30, 0.20

# Of the bilinear interpolation of a color that one, or two, of every 2 x 2 pixels see.
_ONE_OF_FOUR = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]).astype(np.float32)
_TWO_OF_FOUR = np.array([[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]], np.float32)


@dataclass(frozen=True)
class Colors:
    """How a camera sees colors.

    matrix: 3 x 3, white-balanced camera colors to linear sRGB; rows sum to 1. gains: of red, green
    and blue, at least 1 each: white balance and exposure together.
    """

    matrix: np.ndarray
    gains: np.ndarray


@dataclass(frozen=True)
class NoiseLevels:
    """The variance of a pixel of value x in [0, 1] is ``shot * x + read``."""

    shot: float
    read: float


def draw_noise_levels(iso: float, rng: np.random.Generator) -> NoiseLevels:
    """Return the noise of a sensor at a sensitivity; the read noise varies between sensors."""
    shot = SHOT_AT_ISO_100 * iso / 100
    log_read = READ_SLOPE * np.log10(shot) + READ_OFFSET + rng.normal(0, READ_SPREAD)
    return NoiseLevels(shot, float(10**log_read))


def add_noise(clean: np.ndarray, levels: NoiseLevels, rng: np.random.Generator) -> np.ndarray:
    """Return ``clean`` (in [0, 1], any shape) with Poisson shot noise and Gaussian read noise.

    The result is float32 and not yet clipped. Brooks et al. take a Gaussian of the same variance
    for both; here photons are counted, so that dark noise is skewed as a sensor's is.
    """
    shot = rng.poisson(clean / levels.shot) * levels.shot
    read = np.sqrt(levels.read) * rng.standard_normal(clean.shape)
    return (shot + read).astype(np.float32)


def digitize(values: np.ndarray, black_level: int, white_level: int) -> np.ndarray:
    """Return values in [0, 1] as the sensor's converter gives them, black subtracted, float32.

    Numbers are whole and end at 0 and ``white_level``; what lies below black is cut off with it.
    """
    span = white_level - black_level
    numbers = np.clip(np.round(black_level + span * values), 0, white_level)
    return np.clip((numbers - black_level) / span, 0, 1).astype(np.float32)


def to_linear(srgb: np.ndarray, colors: Colors) -> np.ndarray:
    """Return the linear camera colors in [0, 1] behind a photograph in [0, 1], both H x W x 3."""
    display = 0.5 - np.sin(np.arcsin(1 - 2 * srgb) / 3)
    linear = np.maximum(display, DARKEST) ** GAMMA
    balanced = linear @ np.linalg.inv(colors.matrix).T.astype(linear.dtype)
    return np.clip(balanced * _inverse_gains(balanced, colors.gains), 0, 1)


def _inverse_gains(balanced: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Return 1 / gains, but nearly 1 in highlights: a sensor's full pixels are not colored."""
    gray = balanced.mean(axis=-1, keepdims=True)
    share = np.clip((gray - HIGHLIGHT) / (1 - HIGHLIGHT), 0, 1) ** 2
    inverse = (1 / gains).astype(balanced.dtype)
    return np.maximum(share + (1 - share) * inverse, inverse)


def to_srgb(linear: np.ndarray, colors: Colors) -> np.ndarray:
    """Return the photograph in [0, 1] of linear camera colors, both H x W x 3."""
    balanced = np.clip(linear * colors.gains.astype(linear.dtype), 0, 1)
    rgb = np.clip(balanced @ colors.matrix.T.astype(linear.dtype), DARKEST, 1)
    display = rgb ** (1 / GAMMA)
    return 3 * display**2 - 2 * display**3


def to_mosaic(colors: np.ndarray, pattern: str) -> np.ndarray:
    """Return the mosaic H x W that a sensor with a Bayer pattern sees of H x W x 3."""
    mosaic = np.empty(colors.shape[:2], colors.dtype)
    for channel, where in zip((0, 1, 1, 2), bayer.sites(pattern), strict=True):
        mosaic[where] = colors[..., channel][where]
    return mosaic


def demosaic(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """Return H x W x 3 with the missing colors interpolated bilinearly."""
    seen = np.zeros((*mosaic.shape, 3), mosaic.dtype)
    for channel, where in zip((0, 1, 1, 2), bayer.sites(pattern), strict=True):
        seen[..., channel][where] = mosaic[where]
    kernels = (_ONE_OF_FOUR, _TWO_OF_FOUR, _ONE_OF_FOUR)
    # Mirrored at the outermost pixels, the pattern goes on beyond the edge.
    planes = [convolve(seen[..., c], kernel, mode="mirror") for c, kernel in enumerate(kernels)]
    return np.stack(planes, axis=-1)
