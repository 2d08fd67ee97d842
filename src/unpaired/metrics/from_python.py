"""PSNR and SSIM of any two arrays, as ``import unpaired`` offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unpaired.core.errors import UnpairedError, check_positive
from unpaired.imaging.arrays import as_array
from unpaired.metrics.ssim import ssim as of_channels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def psnr(reference: ArrayLike, image: ArrayLike, *, data_range: float | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB of two arrays of one shape.

    data_range: the largest possible difference; that of the type for integers, 1 for floats in
        [0, 1], and needed for others.

    >>> import numpy as np, unpaired as up
    >>> float(round(up.psnr(np.zeros((8, 8), "uint8"), np.full((8, 8), 25, "uint8")), 2))
    20.17
    """
    first, second, peak = _pair(reference, image, data_range)
    error = np.mean(np.square(first - second))
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def ssim(reference: ArrayLike, image: ArrayLike, *, data_range: float | None = None) -> float:
    """Return the structural similarity of two pictures, H x W or H x W x C; 1 for equal ones.

    data_range: as for `psnr`. Raises UnpairedError below 11 pixels a side.

    >>> import numpy as np, unpaired as up
    >>> picture = np.random.default_rng(0).random((16, 16))
    >>> up.ssim(picture, picture)
    1.0
    """
    first, second, peak = _pair(reference, image, data_range)
    if first.ndim == 2:
        first, second = first[..., None], second[..., None]
    if first.ndim != 3 or first.shape[-1] > 4:
        raise UnpairedError(f"ssim is of pictures H x W or H x W x C, not of shape {first.shape}")
    return of_channels(first, second, peak=peak)


def _pair(
    reference: Any, image: Any, data_range: float | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return two arrays of one shape, float64, and the range of their values."""
    first, second = as_array(reference), as_array(image)
    if first.shape != second.shape:
        raise UnpairedError(f"shapes differ: {first.shape} and {second.shape}")
    if data_range is not None:
        check_positive("data_range", data_range)
    if data_range is None:
        if _is_of_pictures(first.dtype) and first.dtype == second.dtype:
            information = np.iinfo(first.dtype)
            data_range = float(information.max) - float(information.min)
        elif all(a.dtype.kind == "f" and a.min() >= 0 and a.max() <= 1 for a in (first, second)):
            data_range = 1.0
        else:
            raise UnpairedError(
                "which range do the values have? give data_range=: the largest possible difference"
            )
    return first.astype(np.float64), second.astype(np.float64), data_range


def _is_of_pictures(dtype: np.dtype) -> bool:
    """Say whether the range of a type is that of pictures, unlike that of int64."""
    return dtype.kind in "ui" and dtype.itemsize <= 2
