"""Structural similarity (Wang et al. 2004) as Neighbor2Neighbor's evaluation computes it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d

from unpaired.core.errors import UnpairedError
from unpaired.metrics.psnr import check_pair

WINDOW_PX = 11
WINDOW_STD_PX = 1.5
K1, K2 = 0.01, 0.03


def _gaussian_window() -> np.ndarray:
    offsets = np.arange(WINDOW_PX) - WINDOW_PX // 2
    window = np.exp(-(offsets**2) / (2 * WINDOW_STD_PX**2))
    return window / window.sum()


def ssim(reference: np.ndarray, image: np.ndarray, *, peak: float | None = None) -> float:
    """Return the mean SSIM of two H x W x C images.

    Images are uint8 with a dynamic range of 255, or floating-point numbers with a range of
    ``peak``. 11x11 Gaussian window of standard deviation 1.5, only where it fits (5 pixels cut on
    each side), population covariance, per channel and averaged.
    """
    check_pair(reference, image, peak)
    if min(reference.shape[:2]) < WINDOW_PX:
        raise UnpairedError(f"SSIM needs at least {WINDOW_PX} pixels a side, not {reference.shape}")
    luminance, structure = similarity_maps(
        reference.astype(np.float64), image.astype(np.float64), peak=peak or 255.0
    )
    return float(np.mean(luminance * structure))


def similarity_maps(x: np.ndarray, y: np.ndarray, *, peak: float) -> tuple[np.ndarray, np.ndarray]:
    """Return SSIM's factors, luminance and contrast with structure, where the window fits.

    x, y: H x W x C, floating, range ``peak``, at least 11 pixels a side. The maps are 10 pixels
    smaller.
    """
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    variance_x = _local_mean(x * x) - mean_x**2
    variance_y = _local_mean(y * y) - mean_y**2
    covariance = _local_mean(x * y) - mean_x * mean_y
    c1, c2 = ((k * peak) ** 2 for k in (K1, K2))
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return luminance, structure


def _local_mean(array: np.ndarray) -> np.ndarray:
    window, cut = _gaussian_window(), WINDOW_PX // 2
    smoothed = correlate1d(correlate1d(array, window, axis=0), window, axis=1)
    return smoothed[cut:-cut, cut:-cut]
