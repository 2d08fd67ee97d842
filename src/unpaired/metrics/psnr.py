"""Peak signal-to-noise ratio as Neighbor2Neighbor's evaluation computes it."""

from __future__ import annotations

import numpy as np

from unpaired.errors import UnpairedError


def check_pair(reference: np.ndarray, image: np.ndarray) -> None:
    """Raise UnpairedError unless both are uint8 H x W x C of one shape: no range is guessed."""
    for name, array in (("reference", reference), ("image", image)):
        if array.dtype != np.uint8 or array.ndim != 3:
            raise UnpairedError(
                f"{name} must be uint8 H x W x C, not {array.dtype} with {array.ndim} axes"
            )
    if reference.shape != image.shape:
        raise UnpairedError(f"shapes differ: {reference.shape} and {image.shape}")


def psnr_db(reference: np.ndarray, image: np.ndarray) -> float:
    """Return 10 log10(255^2 / MSE) of two uint8 H x W x C images, MSE over all channels jointly.

    Infinite for identical images.
    """
    check_pair(reference, image)
    error = np.mean(np.square(reference.astype(np.float64) - image))
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))
