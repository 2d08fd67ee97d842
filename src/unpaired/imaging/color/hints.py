"""Color hints: what a person says of a picture's colors, as maps and numbers (Zhang 2018, ch. 3).

A point reveals one color on a small square. Points are kept in a JSON file beside a picture:

    {"width": 768, "height": 512, "points": [{"x": 120, "y": 88, "size_px": 7, "a": 52.5, "b": 31}]}

x and y are the pixel in the square's middle, counted from the upper left corner of the picture as
it is looked at (turned as its EXIF orientation says); size_px is the side of the square in pixels
of that picture; a and b are CIE Lab.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path, reading
from unpaired.imaging.color.ab_bins import AB_MAX, BINS, hard_encode

POINTS_MAX = 10_000
FILE_BYTES_MAX = 4_000_000
HISTOGRAM_CELL_PX = 4  # A histogram is that of means over such squares, as in the authors' code.


@dataclass(frozen=True)
class Point:
    """One color on a square. x, y: its middle; size_px: its side; a, b: CIE Lab."""

    x: float
    y: float
    size_px: float
    a: float
    b: float


@dataclass(frozen=True)
class Patch:
    """A square of whole pixels, cut at the border. top, left: may be negative."""

    top: int
    left: int
    side_px: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns; what lies outside is left to the end of the array."""
        bottom, right = self.top + self.side_px, self.left + self.side_px
        return slice(max(0, self.top), bottom), slice(max(0, self.left), right)


# ---- Maps ---------------------------------------------------------------------------------------


def revealed(ab: Tensor, patches: Iterable[Patch]) -> tuple[Tensor, Tensor]:
    """Return what patches reveal of the colors ``ab``, 2 x H x W: the hints, and where they are.

    Every patch shows its mean color; later ones lie above earlier ones. Hints are 2 x H x W, zero
    where there are none; the mask is 1 x H x W, 0 or 1.
    """
    hints, mask = torch.zeros_like(ab), torch.zeros_like(ab[:1])
    for patch in patches:
        rows, columns = patch.slices
        hints[:, rows, columns] = ab[:, rows, columns].mean((1, 2), keepdim=True)
        mask[:, rows, columns] = 1
    return hints, mask


def points_on(ab: Tensor, patches: Iterable[Patch]) -> list[Point]:
    """Return patches as points, with the mean color of ``ab``, 2 x H x W, on each."""
    found = []
    for patch in patches:
        rows, columns = patch.slices
        a, b = ab[:, rows, columns].mean((1, 2)).tolist()
        middle = (patch.side_px - 1) / 2
        found.append(Point(patch.left + middle, patch.top + middle, patch.side_px, a, b))
    return found


def hint_maps(
    points: Sequence[Point], picture: tuple[int, int], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the hints and the mask of points for a network: 2 x h x w and 1 x h x w.

    picture: height and width that the points are told in. size: h and w, what the network sees. A
    square has a pixel there at least.
    """
    hints, mask = torch.zeros(2, *size), torch.zeros(1, *size)
    down, right = size[0] / picture[0], size[1] / picture[1]
    for point in points:
        rows = _range((point.y + 0.5) * down, point.size_px * down, size[0])
        columns = _range((point.x + 0.5) * right, point.size_px * right, size[1])
        hints[:, rows, columns] = torch.tensor([point.a, point.b])[:, None, None]
        mask[:, rows, columns] = 1
    return hints, mask


def _range(middle: float, side: float, length: int) -> slice:
    """Return the pixels of a side around ``middle``, a place where 0 is the picture's edge."""
    count = max(1, round(side))
    first = math.floor(middle - count / 2 + 0.5)
    first = min(max(first, 1 - count), length - 1)  # A pixel of it lies inside.
    return slice(max(0, first), first + count)


# ---- Statistics of a whole picture --------------------------------------------------------------


def color_histogram(ab: Tensor) -> Tensor:
    """Return the share of each of the 313 bins in every picture of B x 2 x H x W: B x 313.

    Of means over 4 x 4 pixels, each in its nearest bin, as in the authors' code; the thesis resizes
    bilinearly to a quarter (section 3.3.3). Raises UnpairedError as `hard_encode`, and for
    pictures with less than 4 pixels on a side.
    """
    if min(ab.shape[-2:]) < HISTOGRAM_CELL_PX:
        raise UnpairedError(
            f"a picture of {ab.shape[-1]} x {ab.shape[-2]} pixels is too small for a histogram of "
            f"colors: {HISTOGRAM_CELL_PX} on a side at least"
        )
    bins = hard_encode(functional.avg_pool2d(ab, HISTOGRAM_CELL_PX)).flatten(1)
    counts = torch.stack([torch.bincount(one, minlength=BINS) for one in bins])
    return counts.to(ab.dtype) / bins.shape[1]


def mean_saturation(rgb: Tensor) -> Tensor:
    """Return the mean S of HSV of every picture of B x 3 x H x W in [0, 1]: B, in [0, 1]."""
    largest, smallest = rgb.amax(1), rgb.amin(1)
    saturation = (largest - smallest) / largest.clamp(min=1e-12)
    return saturation.flatten(1).mean(1)


def check_saturation(saturation: float) -> None:
    """Raise UnpairedError unless a mean saturation lies between 0 and 1."""
    if not 0 <= saturation <= 1:
        raise UnpairedError(f"saturation must be between 0 (gray) and 1, not {saturation}")


# ---- Files --------------------------------------------------------------------------------------


def points_path(picture: Path) -> Path:
    """Return where the points of a picture are kept: beside it."""
    return picture.with_name(f"{picture.name}.points.json")


def read_points(path: Path) -> tuple[list[Point], tuple[int, int]]:
    """Return the points of a file, and the height and width of the picture that they are for.

    Raises UnpairedError, naming the file, if it is missing or not as the top of this module says.
    """
    path = Path(path)
    if not path.is_file():
        raise UnpairedError(f"{path}: no such file of points")
    with reading(path):
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UnpairedError(f"{path}: too large for a file of points")
        text = path.read_bytes()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise UnpairedError(f"{path}: not JSON; save the points again in `unpaired ui`") from None
    return parse_points(content, str(path))


def parse_points(content: Any, source: str) -> tuple[list[Point], tuple[int, int]]:
    """Return points and picture size of decoded JSON; UnpairedError begins by source."""
    if not isinstance(content, dict) or not isinstance(content.get("points"), list):
        raise UnpairedError(f"{source}: no list of points; docs/hints.md shows the format")
    sides = [content.get(key) for key in ("height", "width")]
    if not all(type(side) is int and side > 0 for side in sides):
        raise UnpairedError(f"{source}: width and height must be the picture's, in pixels")
    if len(content["points"]) > POINTS_MAX:
        raise UnpairedError(f"{source}: more than {POINTS_MAX} points")
    points = [_parsed(one, number, source) for number, one in enumerate(content["points"], 1)]
    for number, point in enumerate(points, 1):
        inside = 0 <= point.x < sides[1] and 0 <= point.y < sides[0]
        if not (inside and 0 < point.size_px <= max(sides)):
            raise UnpairedError(
                f"{source}: point {number} lies outside the {sides[1]} x {sides[0]} picture, or "
                "its size_px is not a side of a square in it"
            )
        if max(abs(point.a), abs(point.b)) > AB_MAX:
            raise UnpairedError(f"{source}: point {number}: a and b must be within +-{AB_MAX:g}")
    return points, (sides[0], sides[1])


def _parsed(one: Any, number: int, source: str) -> Point:
    names = list(Point.__dataclass_fields__)
    values = [one.get(name) if isinstance(one, dict) else None for name in names]
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise UnpairedError(f"{source}: point {number} needs the numbers {', '.join(names)}")
    return Point(*map(float, values))


def write_points(path: Path, points: Sequence[Point], picture: tuple[int, int]) -> None:
    """Write points of a picture of (height, width), complete or not at all."""
    content = {
        "width": picture[1],
        "height": picture[0],
        "points": [asdict(point) for point in points],
    }
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
