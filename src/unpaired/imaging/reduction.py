"""Bicubic reduction with antialiasing, as MATLAB's ``imresize`` does it.

Keys' cubic kernel with a = -1/2 (IEEE Transactions on Acoustics, Speech, and Signal Processing
1981), made as many times wider as the picture is reduced. Borders are extended by reflection that
repeats the last pixel.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from unpaired.core.errors import UnpairedError


def reduced(picture: np.ndarray, factor: int) -> np.ndarray:
    """Return a picture, uint8 H x W x C, ``factor`` times smaller, uint8 H / f x W / f x C.

    Rounded half up, once at the end. Raises UnpairedError for sides that are no multiples.
    """
    height, width = picture.shape[:2]
    if factor < 1 or height % factor or width % factor or not picture.size:
        raise UnpairedError(
            f"a picture of {width}x{height} cannot be made {factor} times smaller: cut its sides "
            "to multiples"
        )
    rows = np.tensordot(_weights(height, factor), picture.astype(np.float64), axes=(1, 0))
    both = np.tensordot(_weights(width, factor), rows, axes=(1, 1)).swapaxes(0, 1)
    return np.floor(np.clip(both, 0, 255) + 0.5).astype(np.uint8)


def cut_to_multiples(picture: np.ndarray, factor: int) -> np.ndarray:
    """Leave out the last rows and columns that make sides no multiples of ``factor``."""
    height, width = (side // factor * factor for side in picture.shape[:2])
    return picture[:height, :width]


@cache
def _weights(length: int, factor: int) -> np.ndarray:
    """Return what every input counts for every output: length / factor x length, rows sum to 1."""
    found = np.zeros((length // factor, length))
    reach = 2 * factor
    for output in range(length // factor):
        center = (output + 0.5) * factor - 0.5
        inputs = np.arange(int(np.ceil(center - reach)), int(np.floor(center + reach)) + 1)
        weights = _cubic((inputs - center) / factor)
        np.add.at(found[output], _reflected(inputs, length), weights / weights.sum())
    return found


def _reflected(places: np.ndarray, length: int) -> np.ndarray:
    """Return places of an axis that goes back where it ends, its last pixel standing twice."""
    places = places % (2 * length)
    return np.minimum(places, 2 * length - 1 - places)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Return Keys' kernel with a = -1/2 (his Equation 15)."""
    x = np.abs(distance)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
