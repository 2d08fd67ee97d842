"""A person's pictures, for commands that take each as RGB within [0, 1] and refuse others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unpaired.core.errors import UnpairedError
from unpaired.imaging.pictures import Picture, in_rgb, read_picture


def read_in_range(path: Path) -> Picture:
    """Return a picture as RGB; raises UnpairedError for values outside [0, 1]."""
    picture = in_rgb(read_picture(path))
    low, high = float(picture.pixels.min()), float(picture.pixels.max())
    if low < 0 or high > 1:
        raise UnpairedError(
            f"{path}: values from {low:.4g} to {high:.4g}; scale floating-point pictures to 0 .. 1"
        )
    return picture


def readable_sizes(paths: Iterable[Path]) -> tuple[dict[Path, tuple[int, ...]], list[str]]:
    """Return the pictures that `read_in_range` takes, with their sizes H x W, and the refusals."""
    sizes, refused = {}, []
    for path in paths:
        try:
            sizes[path] = read_in_range(path).pixels.shape[1:3]
        except UnpairedError as error:
            refused.append(str(error))
    return sizes, refused
