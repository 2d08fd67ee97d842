"""Small operations on arrays of pixels, H x W x C."""

from __future__ import annotations

import numpy as np


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Clamp to [0, 1] and round half up to 0..255."""
    return np.floor(255 * np.clip(image, 0, 1) + 0.5).astype(np.uint8)


def center_crop(image: np.ndarray, crop_px: int | None) -> np.ndarray:
    """Return the center crop of at most ``crop_px`` a side; the whole image for None."""
    if crop_px is None:
        return image
    top, left = (max(0, (side - crop_px) // 2) for side in image.shape[:2])
    return image[top : top + crop_px, left : left + crop_px]


def pad_to_square(image: np.ndarray, multiple_px: int) -> np.ndarray:
    """Reflect-pad bottom and right to a square: the longer side, rounded up to ``multiple_px``."""
    height, width = image.shape[:2]
    side = -(-max(height, width) // multiple_px) * multiple_px
    return np.pad(image, ((0, side - height), (0, side - width), (0, 0)), mode="reflect")
