"""Drawn facades: label maps, and renderings in styles of which every chance is known.

A facade is a function of its number. Its label map says what is sky, wall, window, door, roof,
ground and trim; its style is one of eight, four walls by day and by night, drawn without a look at
the labels. So of any picture it can be told which style of its labels is nearest, and how far.

`render` writes the files in the layout of the official sets, labels left and rendering right;
`train` and `test` read them as `paired_pictures` reads those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.data.records import Parts
from unpaired.systems.translation.sources.paired_pictures import Layout, pairs

SIDE_PX = 32
COUNTS = {"train": 2000, "test": 100}
PARTS = ("sky", "wall", "window", "door", "roof", "ground", "trim")
SKY, WALL, WINDOW, DOOR, ROOF, GROUND, TRIM = range(len(PARTS))
# RGB of the label picture, 8 bits.
LABEL_COLORS = np.array(
    [
        (178, 217, 255),
        (26, 51, 204),
        (51, 204, 230),
        (230, 51, 51),
        (242, 153, 26),
        (51, 51, 51),
        (242, 242, 77),
    ],
    np.uint8,
)
# RGB in [0, 1] and chances.
WALLS = {
    "brick": ((0.66, 0.32, 0.25), 0.40),
    "cream": ((0.87, 0.80, 0.62), 0.25),
    "slate": ((0.46, 0.54, 0.66), 0.20),
    "sage": ((0.48, 0.62, 0.42), 0.15),
}
# What does not depend on the style, but for the light.
FIXED = {DOOR: (0.35, 0.22, 0.14), ROOF: (0.40, 0.24, 0.22)}
FIXED |= {GROUND: (0.42, 0.42, 0.42), TRIM: (0.92, 0.92, 0.90)}


@dataclass(frozen=True)
class Daytime:
    """chance: of it. sky: color at the top and near the ground. light: on what does not glow."""

    chance: float
    sky: tuple[tuple[float, float, float], tuple[float, float, float]]
    window: tuple[float, float, float]
    light: float


DAYTIMES = {
    "day": Daytime(0.6, ((0.45, 0.68, 0.95), (0.80, 0.90, 1.00)), (0.22, 0.30, 0.38), 1.00),
    "night": Daytime(0.4, ((0.03, 0.04, 0.14), (0.16, 0.14, 0.30)), (0.98, 0.82, 0.40), 0.45),
}
STYLES = tuple((wall, daytime) for wall in WALLS for daytime in DAYTIMES)
CHANCES = np.array([WALLS[wall][1] * DAYTIMES[daytime].chance for wall, daytime in STYLES])
BRIGHTNESS = (0.92, 1.08)  # of a wall
FITTED_BRIGHTNESS = (0.85, 1.15)  # wider, so that a picture at the edge is not punished
NOISE_STD = 0.02
MORTAR = 0.16  # how much darker
BRICK_ROWS, BRICK_COLUMNS = 4, 8  # of pictures of 64 px


def train(folder: Path) -> Parts:
    """Return the facades to learn from."""
    return pairs(folder, Layout("train", direction="AtoB"))


def test(folder: Path) -> Parts:
    """Return the facades to be scored on."""
    return pairs(folder, Layout("test", direction="AtoB"))


def render(folder: Path) -> int:
    """Write all drawn facades into a folder, and return how many they are."""
    number = 0
    for part, count in COUNTS.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            labels, picture = facade(number)
            both = np.concatenate([LABEL_COLORS[labels], picture], axis=1)
            Image.fromarray(both).save(folder / part / f"{number:05d}.png")
            number += 1
    return number


def facade(number: int, side_px: int = SIDE_PX) -> tuple[np.ndarray, np.ndarray]:
    """Return the label map, S x S with values of PARTS, and the picture, S x S x 3, both uint8."""
    rng = numpy_generator("drawn facades", number)
    labels = draw_labels(rng, side_px)
    return labels, draw_picture(labels, rng)


def draw_picture(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a rendering of a label map in a style that is drawn, S x S x 3, uint8."""
    style = int(rng.choice(len(STYLES), p=CHANCES))
    clean = rendered(labels, style, rng.uniform(*BRIGHTNESS))
    noisy = clean + NOISE_STD * rng.standard_normal(clean.shape)
    return np.floor(255 * noisy.clip(0, 1) + 0.5).astype(np.uint8)


def draw_labels(rng: np.random.Generator, side_px: int) -> np.ndarray:
    """Return a label map: a house of two to four floors and two to five windows a floor."""
    labels = np.full((side_px, side_px), SKY, np.uint8)

    def length(low: float, high: float) -> int:
        return round(side_px * rng.uniform(low, high))

    left, right = length(0.03, 0.14), side_px - length(0.03, 0.14)
    top, base = length(0.12, 0.30), side_px - length(0.06, 0.12)
    roof, overhang = length(0.05, 0.10), max(1, side_px // 32)
    labels[base:] = GROUND
    labels[top:base, left:right] = WALL
    labels[top - roof : top, max(0, left - overhang) : right + overhang] = ROOF
    floors, columns = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    cell = (base - top) / floors, (right - left) / columns
    opening = cell[0] * rng.uniform(0.45, 0.65), cell[1] * rng.uniform(0.40, 0.62)
    door, has_trim = int(rng.integers(columns)), bool(rng.random() < 0.5)
    for floor in range(floors):
        for column in range(columns):
            y = top + floor * cell[0] + (cell[0] - opening[0]) / 2
            x = left + column * cell[1] + (cell[1] - opening[1]) / 2
            wide = slice(round(x), round(x + opening[1]))
            if floor == floors - 1 and column == door:
                labels[round(y) : base, wide] = DOOR
                continue
            bottom = round(y + opening[0])
            labels[round(y) : bottom, wide] = WINDOW
            if has_trim:
                labels[bottom : bottom + max(1, side_px // 64), wide] = TRIM
    return labels


def rendered(labels: np.ndarray, style: int, brightness: float = 1.0) -> np.ndarray:
    """Return a label map in one of STYLES without noise, S x S x 3, float32 in [0, 1].

    brightness: of the wall.
    """
    wall, daytime = STYLES[style]
    seen = DAYTIMES[daytime]
    ground = _grounds(labels.shape[0])
    found = np.empty((*labels.shape, 3), np.float32)
    top, bottom = (np.array(color, np.float32) for color in seen.sky)
    sky = top + ground["height"] * (bottom - top)
    colors = {SKY: sky, WINDOW: np.array(seen.window) * ground["glow"]}
    colors[WALL] = np.array(WALLS[wall][0]) * (brightness * seen.light) * ground["bricks"]
    colors |= {part: np.array(c) * seen.light * ground["shade"] for part, c in FIXED.items()}
    for part, color in colors.items():
        where = labels == part
        found[where] = np.broadcast_to(color, found.shape)[where]
    return found.clip(0, 1)


@lru_cache(maxsize=4)
def _grounds(side: int) -> Mapping[str, np.ndarray]:
    """Return what changes over a picture whatever its labels: S x S x 1 each, or S x 1 x 1."""
    y, x = np.arange(side)[:, None], np.arange(side)[None]
    row, column = (y * 64 // side), (x * 64 // side)
    shifted = column + BRICK_COLUMNS // 2 * (row // BRICK_ROWS % 2)
    mortar = (row % BRICK_ROWS == 0) | (shifted % BRICK_COLUMNS == 0)
    shade = 1.06 - 0.14 * x[..., None] / side
    return {
        "height": np.clip(y[..., None] / (0.6 * side), 0, 1).astype(np.float32),
        "glow": 1.08 - 0.16 * y[..., None] / side,
        "shade": shade,
        "bricks": shade * (1 - MORTAR * mortar[..., None]),
    }


def labels_of(picture: np.ndarray) -> np.ndarray:
    """Return the label map that a label picture, S x S x 3, uint8, shows.

    Raises UnpairedError if it has colors of no part.
    """
    same = (picture[..., None, :] == LABEL_COLORS).all(axis=-1)
    if not same.any(axis=-1).all():
        raise UnpairedError("a picture with colors of no part: no label map of a drawn facade")
    return same.argmax(axis=-1).astype(np.uint8)


@dataclass(frozen=True)
class Nearest:
    """Which style each of N pictures is nearest to, N, and by what root of the mean square, N."""

    styles: np.ndarray
    errors: np.ndarray


def nearest_styles(pictures: np.ndarray, labels: np.ndarray) -> Nearest:
    """Return the nearest style of pictures, N x S x S x 3 in [0, 1], of one label map.

    The wall's brightness is fitted to each picture by least squares.
    """
    wall = labels == WALL
    errors = np.empty((len(STYLES), len(pictures)))
    for style in range(len(STYLES)):
        plain = rendered(labels, style)
        ideal = np.broadcast_to(plain, pictures.shape).copy()
        brightness = (pictures[:, wall] * plain[wall]).sum(axis=(1, 2)) / (plain[wall] ** 2).sum()
        brightness = brightness.clip(*FITTED_BRIGHTNESS)[:, None, None]
        ideal[:, wall] = (plain[wall] * brightness).clip(0, 1)
        errors[style] = np.sqrt(np.square(pictures - ideal).mean(axis=(1, 2, 3)))
    styles = errors.argmin(axis=0)
    return Nearest(styles, errors[styles, np.arange(len(pictures))])


def distance_to_chances(styles: np.ndarray) -> float:
    """Return the total variation between the shares of styles, any number, and their chances."""
    shares = np.bincount(styles, minlength=len(STYLES)) / len(styles)
    return 0.5 * float(np.abs(shares - CHANCES).sum())
