"""The error of a denoiser on whole noisy pictures, by the coupled bootstrap.

Oliveira, Lei and Tibshirani, "Unbiased Risk Estimation in the Normal Means Problem via Coupled
Bootstrap Techniques" (arXiv:2111.09447). Of the picture y = x + n two are made with synthetic noise
z like n: y + alpha z for the denoiser and y - z / alpha to judge by. Their noises are independent
if n and z are Gaussian with the same covariance, so the denoiser's squared error is found without
bias, whatever the denoiser and whatever the content, for noise that is stronger by
sqrt(1 + alpha^2). Unlike uMSE, which needs no model of the noise, this needs its covariance: where
the channels of a picture share noise, z is shared by them in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import nnls

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.metrics.color_noise import color_noise
from unpaired.metrics.noise_level import estimate_noise_std

ALPHA = 0.3
NOISE_RATIO = math.sqrt(1 + ALPHA**2)  # of the noise that a denoiser is judged with
PATCHES_MAX = 250_000  # for the level; of more only some are taken, which bounds time
BLOCK_PX = 16
BRIGHTNESS_BINS = 8
FLAT_SHARE = 0.2
SMOOTHING_PX = 1.5


class NoiseLike(NamedTuple):
    """Noise like that of a picture, H x W x C: its variance, and a draw z of it."""

    variance: np.ndarray
    added: np.ndarray


def coupled_error_map(
    noisy: np.ndarray,
    restore: Callable[[np.ndarray], np.ndarray],
    noise: NoiseLike,
) -> np.ndarray:
    """Return the squared error of ``restore`` as estimated for every 2 x 2 cell.

    noisy: H x W x C. restore: same shape in and out. noise: like that of the picture, of the same
    shape. Returns H/2 x W/2, means over cell and channels; its mean estimates the mean squared
    error at NOISE_RATIO times the noise. The pair z, -z makes most of the estimate's own noise
    cancel. Raises UnpairedError if a restored picture is not finite.
    """
    variance, added = noise
    total = np.zeros(noisy.shape)
    for z in (added, -added):
        restored = restore((noisy + ALPHA * z).astype(np.float32))
        if not np.isfinite(restored).all():
            raise UnpairedError("the restored picture is not finite")
        # (y - z / alpha - f)^2 less the square of z / alpha, which is known and tells nothing.
        total += (noisy - restored) * (noisy - restored - 2 / ALPHA * z) - variance
    height, width, channels = noisy.shape[0] // 2, noisy.shape[1] // 2, noisy.shape[2]
    cells = total[: 2 * height, : 2 * width].reshape(height, 2, width, 2, channels)
    return cells.mean(axis=(1, 3, 4)) / 2


def white_noise(variance: np.ndarray, *key: object) -> NoiseLike:
    """Draw white noise of a variance, H x W x C, the same for the same key."""
    rng = numpy_generator("coupled bootstrap", *key)
    return NoiseLike(variance, np.sqrt(variance) * rng.standard_normal(variance.shape))


def noise_like(image: np.ndarray, *key: object) -> NoiseLike:
    """Draw noise like that of an H x W x C picture in [0, 1], the same for the same key.

    It is white and equally strong in all channels unless `color_noise` finds otherwise. How it
    changes with brightness is as for `noise_variance`.
    """
    shared = color_noise(image)
    if shared is None:
        return white_noise(noise_variance(image), *key)
    shape = _brightness_shapes(image)
    shape /= shape.mean(axis=(0, 1))
    return NoiseLike(shared.variances * shape, np.sqrt(shape) * shared.draw(image.shape, *key))


def noise_variance(image: np.ndarray) -> np.ndarray:
    """Estimate the noise's variance at every pixel of an H x W x C picture with white noise.

    The level is `estimate_noise_std`'s, the same in all channels. How it changes with brightness,
    a + b x per channel with a and b not negative, is fitted to the flattest blocks of every
    brightness (as in Foi et al., IEEE TIP 2008, for the noise of sensors); x is the locally
    smoothed picture.
    """
    stride = math.ceil(math.sqrt(image.shape[0] * image.shape[1] / PATCHES_MAX))
    level = estimate_noise_std(image, stride) ** 2
    shape = _brightness_shapes(image)
    return level * shape / shape.mean()


def _brightness_shapes(image: np.ndarray) -> np.ndarray:
    return np.stack([_brightness_shape(channel) for channel in np.moveaxis(image, -1, 0)], axis=-1)


def _brightness_shape(channel: np.ndarray) -> np.ndarray:
    """Return the noise's variance at every pixel of a channel, up to a factor."""
    rows, columns = (side // BLOCK_PX for side in (channel.shape[0] - 1, channel.shape[1] - 1))
    if rows * columns < 2 * BRIGHTNESS_BINS:
        return np.ones(channel.shape)
    # The mixed second difference has the noise's variance and hardly any of the content's.
    mixed = np.diff(np.diff(channel.astype(np.float64), axis=0), axis=1) / 2
    powers, levels = (
        values[: rows * BLOCK_PX, : columns * BLOCK_PX]
        .reshape(rows, BLOCK_PX, columns, BLOCK_PX)
        .mean(axis=(1, 3))
        .ravel()
        for values in (mixed**2, channel)
    )
    flat = [
        alike[powers[alike].argsort()[: max(1, round(FLAT_SHARE * len(alike)))]]
        for alike in np.array_split(levels.argsort(), BRIGHTNESS_BINS)
    ]
    power = np.array([powers[blocks].mean() for blocks in flat])
    if not power.all():
        return np.ones(channel.shape)
    level = np.array([levels[blocks].mean() for blocks in flat]).clip(0)
    # Divided by the power: errors of an estimated variance are in proportion to it.
    (constant, slope), _ = nnls(np.stack([1 / power, level / power], axis=1), np.ones(len(flat)))
    return constant + slope * gaussian_filter(channel, SMOOTHING_PX).clip(0)
