"""Places drawn by rule, in ten classes: what features of drawn things are tried on as well.

A class is one of five layouts with a mottled or a striped ground. As with things, a class has two
color schemes that others share. Light differs, contrast is low, pictures are grainy, and things of
any kind and color stand in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from unpaired.core.randomness import numpy_generator
from unpaired.data.records import Record
from unpaired.systems.features.labeled import labeled_record
from unpaired.systems.features.sources.drawn_things import SIDE_PX, paint_thing, to_rgb8

PLACES = {"labeled": 1000, "test": 1000}
KEY = "drawn places"
GROUNDS = ("mottled", "striped")
CLUTTER = 2, 7  # things in front: at least, and one more than at most
GRAIN = 5.0  # in units of Lab
# Colors, ab, of far and near: sky and ground, walls and floor.
SCHEMES = (
    ((-8, -28), (10, 30)),
    ((-8, -28), (-35, 35)),
    ((20, 30), (-12, -20)),
    ((20, 30), (0, 5)),
    ((0, 0), (25, 40)),
)
PALETTES = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2), (1, 3), (2, 4), (3, 0), (4, 1))

Grid = tuple[np.ndarray, np.ndarray]
Layout = Callable[[np.random.Generator, Grid], np.ndarray]


def labeled_records(folder: Path | None) -> Iterator[Record]:
    """Yield what classifiers learn from: "image" 48 x 48 x 3 uint8 and "label"."""
    return _records("labeled")


def test_records(folder: Path | None) -> Iterator[Record]:
    """Yield what classifiers are tested on, as `labeled_records`."""
    return _records("test")


def _records(split: str) -> Iterator[Record]:
    for index in range(PLACES[split]):
        scene = f"drawn_places:{split}:{index}"
        label = index % len(CLASSES)
        yield labeled_record(f"{split}_{index:04d}", draw_place(split, index), label, scene)


def draw_place(split: str, index: int, side_px: int = SIDE_PX) -> np.ndarray:
    """Return picture ``index`` of a set, H x W x 3 uint8; classes come in turn."""
    rng = numpy_generator(KEY, split, index, side_px)
    label = index % len(CLASSES)
    ground, layout = divmod(label, len(LAYOUTS))
    rows, columns = ((axis + 0.5) / side_px for axis in np.mgrid[:side_px, :side_px])
    near = list(LAYOUTS.values())[layout](rng, (rows, columns))
    texture = _texture(rng, rows, is_striped=bool(ground))
    lightness = np.where(near > 0, 48 + 12 * texture + 6 * (near - 1), 70 - 12 * rows)
    far, close = SCHEMES[PALETTES[label][rng.integers(2)]]
    colors = np.array([far, close], float) + rng.normal(0, 12, (2, 2))
    ab = colors[(near > 0).astype(int)]
    for _ in range(rng.integers(*CLUTTER)):
        kind, center = rng.integers(len(PALETTES)), rng.uniform(0, side_px, 2)
        paint_thing(rng, lightness, ab, int(kind), center, rng.uniform(0.08, 0.2) * side_px)
    lightness = 50 + (lightness - 50) * rng.uniform(0.5, 1.2) + rng.normal(0, 8)
    grain = rng.normal(0, GRAIN, (side_px, side_px, 3))
    return to_rgb8(lightness + grain[..., 0], ab + grain[..., 1:])


def _texture(rng: np.random.Generator, rows: np.ndarray, *, is_striped: bool) -> np.ndarray:
    """Return the ground's texture in [0, 1], H x W."""
    if is_striped:
        return 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(7, 9) * rows + rng.uniform(0, 2 * np.pi))
    noise = gaussian_filter(rng.standard_normal(rows.shape), 1.0, mode="wrap")
    return (noise - noise.min()) / np.ptp(noise)


# ---- Layouts: 0 where it is far, and 1 and more, up to 3, for what is near. ----------------------


def _plain(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """A level horizon."""
    return (grid[0] > rng.uniform(0.35, 0.6)).astype(float)


def _hills(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """Two waves of hills, one behind the other."""
    rows, columns = grid
    near = np.zeros_like(rows)
    for depth, height in ((1, rng.uniform(0.3, 0.4)), (2, rng.uniform(0.55, 0.7))):
        wave = 0.09 * np.sin(2 * np.pi * rng.uniform(1.2, 2) * columns + rng.uniform(0, 7))
        near[rows > height + wave] = depth
    return near


def _city(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """Towers of different heights, side by side."""
    rows, columns = grid
    edges = np.cumsum(rng.uniform(0.1, 0.25, 12)) - rng.uniform(0, 0.2)
    tower = np.searchsorted(edges, columns)
    tops, shades = rng.uniform(0.15, 0.65, 13), rng.choice([1.0, 2.0, 3.0], 13)
    return np.where(rows > tops[tower], shades[tower], 0.0)


def _forest(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """Upright trunks in front of a distance, on low ground."""
    rows, columns = grid
    near = (rows > rng.uniform(0.75, 0.85)).astype(float)
    for center in rng.uniform(0, 1, rng.integers(5, 8)):
        near[abs(columns - center) < rng.uniform(0.02, 0.045)] = 2
    return near


def _corridor(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """Floor and ceiling that meet in a far wall."""
    rows, columns = grid
    center = rng.uniform(0.4, 0.6, 2)
    down, right = rows - center[0], columns - center[1]
    is_wall = np.maximum(abs(down), abs(right)) < rng.uniform(0.1, 0.2)
    near = np.where(abs(down) > abs(right), np.where(down > 0, 1.0, 2.0), 3.0)
    return np.where(is_wall, 0.0, near)


LAYOUTS: dict[str, Layout] = {
    "plain": _plain,
    "hills": _hills,
    "city": _city,
    "forest": _forest,
    "corridor": _corridor,
}
CLASSES = tuple(f"{layout}, {ground}" for ground in GROUNDS for layout in LAYOUTS)
