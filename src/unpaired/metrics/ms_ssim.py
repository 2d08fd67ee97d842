"""Multi-scale structural similarity (Wang, Simoncelli and Bovik, Asilomar 2003)."""

from __future__ import annotations

import numpy as np

from unpaired.core.errors import UnpairedError
from unpaired.metrics.psnr import check_pair
from unpaired.metrics.ssim import WINDOW_PX, similarity_maps

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first
SMALLEST_SIDE_PX = WINDOW_PX * 2 ** (len(SCALE_WEIGHTS) - 1)


def ms_ssim(reference: np.ndarray, image: np.ndarray) -> float:
    """Return MS-SSIM of two uint8 H x W x C images, per channel and averaged.

    Five scales, each half the one before by averaging 2 x 2 pixels; contrast and structure of all,
    luminance of the coarsest, to the paper's powers; window and constants are those of `ssim`. A
    scale whose mean structure is negative counts as 0, for a power of it would be no number.
    Raises UnpairedError for other types, shapes that differ, and sides below 176 pixels, of which
    the coarsest scale is smaller than the window.
    """
    check_pair(reference, image, None)
    if min(reference.shape[:2]) < SMALLEST_SIDE_PX:
        raise UnpairedError(
            f"MS-SSIM needs at least {SMALLEST_SIDE_PX} pixels a side, not {reference.shape}"
        )
    x, y = reference.astype(np.float64), image.astype(np.float64)
    product = np.ones(reference.shape[-1])
    for weight in SCALE_WEIGHTS[:-1]:
        _, structure = similarity_maps(x, y, peak=255.0)
        product *= structure.mean(axis=(0, 1)).clip(0) ** weight
        x, y = _halved(x), _halved(y)
    luminance, structure = similarity_maps(x, y, peak=255.0)
    product *= (luminance * structure).mean(axis=(0, 1)).clip(0) ** SCALE_WEIGHTS[-1]
    return float(product.mean())


def _halved(picture: np.ndarray) -> np.ndarray:
    """Return means over 2 x 2 pixels; an odd last row or column is left out."""
    height, width, channels = picture.shape[0] // 2, picture.shape[1] // 2, picture.shape[2]
    cut = picture[: 2 * height, : 2 * width]
    return cut.reshape(height, 2, width, 2, channels).mean(axis=(1, 3))
