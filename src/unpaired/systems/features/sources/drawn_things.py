"""Things drawn by rule, in ten classes: a stand-in for labeled pictures.

A class is one of five outlines with one of two textures, both of lightness. It has two typical
colors, each of which three or four classes share, so that neither lightness nor color alone says
all. Things differ in place, size, orientation and shade; behind them is smoothed noise of another
color. A picture is made in Lab; what is beyond the gamut of sRGB is cut.

Every number of a picture follows from its set and its position in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from unpaired.core.randomness import numpy_generator
from unpaired.data.records import Record
from unpaired.imaging.color.lab import lab_to_rgb
from unpaired.systems.features.labeled import labeled_record

SIDE_PX = 48
# Of what encoders learn from, of what classifiers learn from, and of what they are tested on.
THINGS = {"train": 4000, "labeled": 1000, "test": 1000}
KEY = "drawn things"

Outline = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Where a thing is, in coordinates in which it has radius 1.
OUTLINES: dict[str, Outline] = {
    "disc": lambda u, v: u**2 + v**2 < 1,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) < 0.85,
    "bar": lambda u, v: (u / 1.3) ** 2 + (v / 0.5) ** 2 < 1,
    "cross": lambda u, v: np.minimum(abs(u), abs(v)) < 0.3 * (np.hypot(u, v) < 1.1),
    "flower": lambda u, v: np.hypot(u, v) < 0.75 + 0.3 * np.cos(5 * np.arctan2(v, u)),
}
TEXTURES = ("shaded", "striped")
CLASSES = tuple(f"{texture} {outline}" for texture in TEXTURES for outline in OUTLINES)
COLORS = ((50, 30), (-40, 40), (0, 55), (40, -40), (-15, -35), (30, 60))  # ab
PALETTES = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (0, 2), (1, 3), (2, 4), (3, 5))
BACKGROUNDS = ((-8, -28), (10, 25), (0, 0), (-30, 25), (25, 5))
STRIPES_PER_RADIUS = 8 / (2 * np.pi)


@dataclass(frozen=True)
class Thing:
    """rgb: H x W x 3 uint8. inside: H x W bool, where the thing is. label: its class."""

    rgb: np.ndarray
    inside: np.ndarray
    label: int


def train_records(folder: Path | None) -> Iterator[Record]:
    """Yield what encoders learn from: "image" 48 x 48 x 3 uint8 and "label"."""
    return _records("train")


def labeled_records(folder: Path | None) -> Iterator[Record]:
    """Yield what classifiers learn from, as `train_records`."""
    return _records("labeled")


def test_records(folder: Path | None) -> Iterator[Record]:
    """Yield what classifiers are tested on, as `train_records`."""
    return _records("test")


def _records(split: str) -> Iterator[Record]:
    for index in range(THINGS[split]):
        thing = draw_thing(split, index)
        scene = f"drawn_things:{split}:{index}"
        yield labeled_record(f"{split}_{index:04d}", thing.rgb, thing.label, scene)


def draw_thing(split: str, index: int, side_px: int = SIDE_PX) -> Thing:
    """Return picture ``index`` of a set; classes come in turn."""
    rng = numpy_generator(KEY, split, index, side_px)
    label = index % len(CLASSES)
    lightness, ab = background(rng, side_px)
    inside = paint_thing(rng, lightness, ab, label, rng.uniform(0.35, 0.65, 2) * side_px)
    return Thing(to_rgb8(lightness, ab), inside, label)


def background(rng: np.random.Generator, side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lightness, H x W, and ab, H x W x 2, of smoothed noise in one color."""
    noise = gaussian_filter(
        rng.standard_normal((side_px, side_px)), rng.uniform(0.7, 4), mode="wrap"
    )
    lightness = 30 + 45 * (noise - noise.min()) / np.ptp(noise)
    color = np.array(BACKGROUNDS[rng.integers(len(BACKGROUNDS))]) + rng.normal(0, 4, 2)
    return lightness, np.broadcast_to(color, (side_px, side_px, 2)).copy()


def paint_thing(
    rng: np.random.Generator,
    lightness: np.ndarray,
    ab: np.ndarray,
    label: int,
    center: np.ndarray,
    radius: float | None = None,
) -> np.ndarray:
    """Paint a thing of a class into a picture and return where it is, H x W bool.

    center: row and column, px. radius: px, drawn as 24 to 36 % of the side if None.
    """
    side_px = len(lightness)
    radius = rng.uniform(0.24, 0.36) * side_px if radius is None else radius
    u, v = _own_coordinates(rng, lightness.shape, center, radius)
    texture, outline = divmod(label, len(OUTLINES))
    inside = list(OUTLINES.values())[outline](u, v).astype(bool)
    if TEXTURES[texture] == "shaded":
        shade = 0.5 - 0.45 * (u + v) / 2
    else:
        shade = 0.5 + 0.45 * np.sin(2 * np.pi * STRIPES_PER_RADIUS * u + rng.uniform(0, 2 * np.pi))
    lightness[inside] = (40 + 30 * shade + rng.normal(0, 3))[inside]
    color = COLORS[PALETTES[label][rng.integers(2)]]
    ab[inside] = np.array(color) + rng.normal(0, 7, 2)
    return inside


def _own_coordinates(
    rng: np.random.Generator, shape: tuple[int, ...], center: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates that are turned by a random angle, with the thing's radius as unit."""
    axes = np.mgrid[: shape[0], : shape[1]] + 0.5
    down, right = (axes - np.reshape(center, (2, 1, 1))) / radius
    angle = rng.uniform(0, 2 * np.pi)
    return (
        right * np.cos(angle) + down * np.sin(angle),
        down * np.cos(angle) - right * np.sin(angle),
    )


def to_rgb8(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Return sRGB, H x W x 3 uint8, of H x W and H x W x 2, cut to its gamut."""
    lab = torch.from_numpy(np.concatenate([np.clip(lightness, 0, 100)[..., None], ab], axis=-1))
    rgb = lab_to_rgb(lab.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    return (255 * rgb.clamp(0, 1)).round().to(torch.uint8).numpy()
