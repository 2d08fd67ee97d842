"""Noise that the channels of a color picture share, told from the noisy picture alone.

Most methods take noise to be as strong in every direction of color, and white. JPEG with fewer
color samples smooths noise in the colors and not in the luminance, a gray picture saved as RGB has
one noise in all channels, and then a level for all directions together is far too low in one of
them. So the noise gets a matrix: covariances between channels, of neighboring pixels as well.

Flat patches tell it. In luminance, though, fine texture looks like noise. There the smallest
eigenvalues of the covariance of patches decide: those of white noise are all alike, those of
texture fall off. Other noise than white is not found in luminance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from unpaired.core.randomness import numpy_generator
from unpaired.metrics.noise_correlation import LAGS, noise_covariances
from unpaired.metrics.noise_level import PATCH_SIDE, covariance_eigenvalues, estimate_noise_std

# Luminance first, then two color differences, of unit length.
OPPONENT = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)
# Levels of three directions up to this factor from the common one count as equal: white noise of
# 15/255 on crops of 12 Kodak photographs stays within 1.05, on color and on texture alike.
ALIKE = 1.3
# Differences below it are left alone, in pictures scaled to [0, 1]: colors of clean photographs
# vary by up to 0.009 in their flattest parts.
LEAST_STD = 0.01
# The eighth smallest standard deviation of patches over the smallest: up to 1.16 with white noise
# of 10/255 on Kodak photographs, from 1.26 on in clean ones.
TAIL, TAIL_RISE_MAX = 8, 1.2
# The smallest eigenvalues of fewer patches say little; of more only some are taken.
PATCHES_MIN, PATCHES_MAX = 2000, 250_000
TINY = 1e-12


@dataclass(frozen=True)
class ColorNoise:
    """Covariances of the noise, lags x 3 x 3, at `LAGS` and their opposites; in [0, 1] squared."""

    covariances: np.ndarray

    @property
    def variances(self) -> np.ndarray:
        """The variance of each channel."""
        return np.diagonal(self.covariances[0])

    def autocovariances(self, direction: np.ndarray) -> np.ndarray:
        """Return the autocovariance of the noise in a direction of color, at `LAGS`."""
        return np.einsum("lcd,c,d->l", self.covariances, direction, direction)

    def draw(self, shape: tuple[int, ...], *key: object) -> np.ndarray:
        """Draw such noise, H x W x 3; key: decides which."""
        white = numpy_generator("coupled bootstrap", *key).standard_normal(shape)
        angles = [2 * np.pi * np.fft.fftfreq(side) for side in shape[:2]]
        phases = [np.add.outer(dy * angles[0], dx * angles[1]) for dy, dx in LAGS]
        # Every lag but zero stands for its opposite too.
        waves = np.stack([phases[0] + 1, *(2 * np.cos(phase) for phase in phases[1:])])
        spectrum = np.einsum("lyx,lcd->yxcd", waves, self.covariances)
        values, vectors = np.linalg.eigh(spectrum)
        # Covariances that were cut off at the last lag may give a power below zero.
        gains = np.einsum("...ck,...k,...dk->...cd", vectors, np.sqrt(values.clip(0)), vectors)
        mixed = np.einsum("yxcd,yxd->yxc", gains, np.fft.fft2(white, axes=(0, 1)))
        return np.fft.ifft2(mixed, axes=(0, 1)).real


def color_noise(image: np.ndarray) -> ColorNoise | None:
    """Measure noise that is not the same in every direction of color; None where it is.

    image: H x W x C, scaled to [0, 1]. None as well for other than three channels, and where
    the picture is too small to tell.
    """
    height, width = (side - PATCH_SIDE + 1 for side in image.shape[:2])
    if image.shape[-1] != 3 or height < 1 or height * width < PATCHES_MIN:
        return None
    stride = math.ceil(math.sqrt(image.shape[0] * image.shape[1] / PATCHES_MAX))
    opponent = image.astype(np.float64) @ OPPONENT.T
    common = estimate_noise_std(image, stride)
    tails = [_weakest(channel, stride) for channel in np.moveaxis(opponent, -1, 0)]
    weakest, alike = zip(*tails, strict=True)
    covariances = _flat_covariances(image, weakest)
    flat = np.sqrt(np.diagonal(covariances[0]).clip(0))
    luminance = weakest[0] if alike[0] else min(weakest[0], common)
    is_white = [True, *(alike[k] and flat[k] <= ALIKE * weakest[k] for k in (1, 2))]
    # Colors that are not white could be texture; noise in them is rare without any in luminance.
    smooth = np.minimum(flat, max(luminance, common))
    levels = np.array([luminance, *np.where(is_white, weakest, smooth)[1:]])
    different = np.maximum(levels / max(common, TINY), common / levels.clip(TINY)) > ALIKE
    if not (different & (np.abs(levels - common) > LEAST_STD)).any():
        return None
    scale = levels / flat.clip(TINY)
    covariances = covariances * np.outer(scale, scale)
    for color in np.flatnonzero(is_white):
        covariances[1:, color, color] = 0
    return ColorNoise(OPPONENT.T @ covariances @ OPPONENT)


def _flat_covariances(image: np.ndarray, weakest: Sequence[float]) -> np.ndarray:
    """Return the covariances of opponent colors in flat parts, lags x 3 x 3.

    weakest: levels that stand in where hardly any part is flat and not clipped.
    """
    measured = noise_covariances(image)
    if measured is not None:
        return OPPONENT @ measured @ OPPONENT.T
    covariances = np.zeros((len(LAGS), 3, 3))
    covariances[0] = np.diag(np.square(weakest))
    return covariances


def _weakest(channel: np.ndarray, stride: int) -> tuple[float, bool]:
    """Return the standard deviation of the weakest parts of patches of a channel, H x W.

    Returns also whether these parts are alike, as those of white noise are, under texture as well.
    """
    patches = sliding_window_view(channel - channel.mean(), (PATCH_SIDE, PATCH_SIDE))
    stds = np.sqrt(covariance_eigenvalues(patches[::stride, ::stride]).clip(0))
    weak = stds[stds <= TAIL_RISE_MAX * stds[0]]
    return float(np.sqrt(np.mean(weak**2))), bool(stds[:TAIL][-1] <= TAIL_RISE_MAX * stds[0])
