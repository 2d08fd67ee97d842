"""Colors for an array, as ``import unpaired`` offers them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unpaired.core.devices import choose_device
from unpaired.core.errors import UnpairedError
from unpaired.core.torch_state import torch_left_alone
from unpaired.imaging.arrays import as_array
from unpaired.imaging.pictures import Picture
from unpaired.learning.seen_pictures import doubt_about
from unpaired.learning.weights import load_model, read_about
from unpaired.systems.colorization.colorize import Options, colorize_picture, remedy_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def colorize(gray: ArrayLike, *, model: str | os.PathLike, device: str = "auto") -> np.ndarray:
    """Return a gray picture, H x W, in colors, H x W x 3, of the same type of numbers.

    gray: unsigned integers of 8 or 16 bits, or floating-point numbers in [0, 1]. model: a trained
        colorizer, or a table's row such as "table10:full". A warning says if it has seen no
        photographs.

    >>> import numpy as np, unpaired as up
    >>> up.colorize(np.zeros((64, 64), "uint8"), model="absent.safetensors")
    Traceback (most recent call last):
    unpaired.core.errors.UnpairedError: absent.safetensors: no such model file
    """
    array = as_array(gray)
    if array.ndim != 2 or (array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f"):
        raise UnpairedError(
            "colorize needs a gray picture H x W of uint8, uint16 or floating-point numbers, not "
            f"{array.dtype} of shape {array.shape}"
        )
    largest = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    pixels = array.astype(np.float32) / np.float32(largest)
    if pixels.min() < 0 or pixels.max() > 1:
        raise UnpairedError("colorize needs floating-point numbers in [0, 1]; scale them")
    about = read_about(Path(model))
    if doubt := doubt_about(Path(model), about, remedy_for(about["method"])):
        warnings.warn(doubt, stacklevel=2)
    method = load_model(Path(model), choose_device(device))[1]
    picture = Picture(Path("array.png"), pixels[None, ..., None], None, array.dtype, "PNG", b"")
    with torch_left_alone():
        colors = colorize_picture(picture, method, Options(device=device)).pixels[0]
    if array.dtype.kind == "f":
        return colors.astype(array.dtype)
    return np.floor(np.clip(colors, 0, 1) * largest + 0.5).astype(array.dtype)
