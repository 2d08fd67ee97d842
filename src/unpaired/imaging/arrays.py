"""What a caller from Python gives as an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from unpaired.core.errors import UnpairedError

LARGEST = 2.0**53  # Larger integers are not exact in float64.


def as_array(source: Any) -> np.ndarray:
    """Return integers or floating-point numbers; UnpairedError for anything else."""
    if isinstance(source, np.ma.MaskedArray):
        raise UnpairedError("a masked array: fill the masked values first, as with .filled()")
    try:
        array = np.asarray(source)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UnpairedError(f"not an array of numbers: {str(error).splitlines()[0]}") from None
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 8:
        raise UnpairedError(
            f"an array of {array.dtype} is of no use here; give integers or floating-point numbers"
        )
    if array.size == 0:
        raise UnpairedError(f"an array of shape {array.shape} is empty")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UnpairedError("the array holds NaN or infinite values; set them to a number")
    if np.abs(array.astype(np.float64)).max() > LARGEST:
        raise UnpairedError(f"the array holds values beyond {LARGEST:.3g}; scale them down")
    return array
