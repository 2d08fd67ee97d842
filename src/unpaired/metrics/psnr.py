"""Peak signal-to-noise ratio as Neighbor2Neighbor's evaluation computes it."""

from __future__ import annotations

import numpy as np

from unpaired.core.errors import UnpairedError


def check_pair(reference: np.ndarray, image: np.ndarray, peak: float | None) -> None:
    """Raise UnpairedError unless both are H x W x C of one shape, and their range is known.

    They are uint8 where ``peak`` is None, floating-point numbers of a range that ends at ``peak``
    else: no range is guessed.
    """
    for name, array in (("reference", reference), ("image", image)):
        fits = array.dtype == np.uint8 if peak is None else array.dtype.kind == "f"
        if not fits or array.ndim != 3:
            kind = "uint8" if peak is None else "float"
            raise UnpairedError(
                f"{name} must be {kind} H x W x C, not {array.dtype} with {array.ndim} axes"
            )
    if reference.shape != image.shape:
        raise UnpairedError(f"shapes differ: {reference.shape} and {image.shape}")


def psnr_db(reference: np.ndarray, image: np.ndarray, *, peak: float | None = None) -> float:
    """Return 10 log10(peak^2 / MSE) of two H x W x C images, MSE over all channels jointly.

    Images are uint8 with a peak of 255, or floating-point numbers with the given ``peak``. Infinite
    for identical images.
    """
    check_pair(reference, image, peak)
    error = np.mean(np.square(reference.astype(np.float64) - image))
    return float("inf") if error == 0 else float(10 * np.log10((peak or 255.0) ** 2 / error))
