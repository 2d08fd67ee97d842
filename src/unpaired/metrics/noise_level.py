"""How strong is the Gaussian noise of one image, told from the image alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from unpaired.core.errors import UnpairedError

PATCH_SIDE = 8

# Patch rows gathered at a time: a 768 x 512 color image would otherwise need 600 MB at stride 1.
ROWS_PER_BLOCK = 32


def estimate_noise_std(image: np.ndarray, stride: int = 1, *, patch_px: int = PATCH_SIDE) -> float:
    """Estimate the standard deviation of additive white Gaussian noise, the same in all channels.

    Clean patches lie near a subspace, so the small eigenvalues of the covariance of noisy patches
    are the noise variance alone. The largest eigenvalue is dropped until the mean of the rest no
    longer exceeds their median, and that mean is the variance: Chen, Zhu and Heng, "An Efficient
    Statistical Method for Image Noise Level Estimation", ICCV 2015, Algorithm 1, with 8 x 8 patches
    over all channels jointly.

    The paper stops where as many eigenvalues lie above the mean as below it. A spectrum can jump
    over that balance; this stops at the first count where no fewer lie above than below, so it ends
    on every spectrum, at the latest with one eigenvalue.

    image: H x W or H x W x C, any finite real numbers, neither clipped nor rounded (clipping makes
        the estimate too small).
    stride: pixels between patches. 1 is the paper's; a larger one is faster but needs more image,
        as the estimate is good only with many more patches than the 64 C numbers in a patch: within
        10 % on color crops of 64 x 64 at stride 1, but too small by a quarter at 32 x 32.
    patch_px: side of a patch.

    Returns the standard deviation in the units of the image; fine texture everywhere can raise it,
    mostly in one-channel images with weak noise. Raises UnpairedError for an image that holds fewer
    than two patches.
    """
    pixels = np.atleast_3d(np.asarray(image, dtype=np.float64))
    height, width = pixels.shape[:2]
    if min(height, width) < patch_px or height == width == patch_px:
        raise UnpairedError(
            f"cannot estimate the noise of an image of {height} x {width} pixels: it needs more "
            f"than one patch of {patch_px} x {patch_px}; use a larger image or give its noise"
        )
    # Covariances do not depend on the mean, but the sums that they come from lose digits to it.
    pixels = pixels - pixels.mean(axis=(0, 1))
    patches = sliding_window_view(pixels, (patch_px, patch_px), axis=(0, 1))
    return _balanced_std(covariance_eigenvalues(patches[::stride, ::stride]))


def covariance_eigenvalues(patches: np.ndarray) -> np.ndarray:
    """Return the non-zero eigenvalues, ascending, of patches laid out as rows x columns x ..."""
    rows, columns = patches.shape[:2]
    count, dimensions = rows * columns, math.prod(patches.shape[2:])
    total = np.zeros(dimensions)
    products = np.zeros((dimensions, dimensions))
    for start in range(0, rows, ROWS_PER_BLOCK):
        block = patches[start : start + ROWS_PER_BLOCK].reshape(-1, dimensions)
        total += block.sum(axis=0)
        products += block.T @ block
    scatter = products - np.outer(total, total) / count
    # With fewer patches than dimensions the rest of the spectrum is zero whatever the noise. The
    # transposed data matrix has the same other eigenvalues, and they are noise variance when
    # divided by its number of samples, which is the number of dimensions.
    eigenvalues = np.linalg.eigvalsh(scatter / max(count - 1, dimensions))
    return eigenvalues[-min(count - 1, dimensions) :]


def _balanced_std(eigenvalues: np.ndarray) -> float:
    """Return the root of the mean of the lowest eigenvalues (ascending) that balance around it."""
    kept = eigenvalues
    while np.sum(kept > kept.mean()) < np.sum(kept < kept.mean()):
        kept = kept[:-1]
    # Rounding leaves the eigenvalues of a noise-free image a little below zero.
    return math.sqrt(max(kept.mean(), 0.0))
