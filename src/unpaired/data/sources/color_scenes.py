"""Scenes drawn by rule, whose colors are known as a distribution: ground truth for colorization.

Sky above, ground below, a crown of leaves between them and fruits on top, told apart by where they
are and by their lightness: smooth, striped, mottled, and shaded discs. Sky, leaves and ground have
one color each. A fruit has one of four, drawn for each with the frequencies in COLORS.

Pictures are made in Lab: lightness first, from shape and texture alone, then a and b, which are the
center of one of the 313 bins and within the sRGB gamut at every lightness used. A gray scene
therefore says what a thing is, and nothing about which of its colors it has, but for the rounding
to 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from unpaired.core.errors import check_choice
from unpaired.core.randomness import numpy_generator
from unpaired.data.records import Record
from unpaired.imaging.color.ab_bins import BINS, soft_encode
from unpaired.imaging.color.lab import lab_to_rgb

Split = Literal["train", "test"]

# Keys of randomness are data: another spelling would draw other scenes.
KEY, COLORS_KEY = "colour scenes", "colours"  # codespell:ignore

CLASSES = ("sky", "leaves", "ground", "fruit")  # a label is an index into this
# ab of what each class can be, and how often it is.
COLORS: dict[str, tuple[tuple[tuple[int, int], float], ...]] = {
    "sky": (((-10, -30), 1.0),),
    "leaves": (((-40, 40), 1.0),),
    "ground": (((10, 30), 1.0),),
    "fruit": (((50, 30), 0.4), ((-30, 50), 0.25), ((0, 50), 0.2), ((40, -40), 0.15)),
}
# Least and greatest lightness, inside the gamut of every color of the class.
LIGHTNESS = {"sky": (64, 78), "leaves": (36, 58), "ground": (24, 46), "fruit": (50, 65)}
FRUIT_COUNTS = (2, 3, 4)
FRUIT_RADII = (0.13, 0.22)  # in shorter sides of the picture; the network sees eighths of it

SIDE_PX = 64
# So many that a short training does not learn single fruits by heart.
SCENES = {"train": 2000, "test": 60}


@dataclass(frozen=True)
class Scene:
    """rgb: H x W x 3 uint8. labels: H x W uint8, indices into CLASSES.

    lightness: H x W float64 before rounding to 8 bits.
    """

    rgb: np.ndarray
    labels: np.ndarray
    lightness: np.ndarray


def train_records(folder: Path | None) -> Iterator[Record]:
    """Yield the training scenes: "image" H x W x 3 and "labels" H x W x 1, uint8."""
    return _records("train")


def test_records(folder: Path | None) -> Iterator[Record]:
    """Yield the test scenes, as `train_records` does."""
    return _records("test")


def _records(split: Split) -> Iterator[Record]:
    for index in range(SCENES[split]):
        scene = draw_scene(split, index)
        arrays = {"image": scene.rgb, "labels": scene.labels[..., None]}
        yield Record(f"{split}_{index:04d}", arrays, f"color_scenes:{split}:{index}")


def draw_scene(
    split: Split,
    index: int,
    height_px: int = SIDE_PX,
    width_px: int = SIDE_PX,
    *,
    recoloring: int = 0,
) -> Scene:
    """Return scene ``index`` of a split; shapes and textures depend on the size as well.

    recoloring: another number draws other fruit colors for the same scene.
    """
    rng = numpy_generator(KEY, split, index, height_px, width_px)
    color_rng = numpy_generator(KEY, COLORS_KEY, split, index, recoloring)
    rows, columns = (axis + 0.5 for axis in np.mgrid[:height_px, :width_px])
    short_px = min(height_px, width_px)
    shape = (height_px, width_px)

    labels = np.zeros(shape, np.uint8)
    lightness = _between("sky", 1 - rows / height_px)
    horizon = height_px * rng.uniform(0.6, 0.75) + 0.04 * short_px * np.sin(
        columns / width_px * rng.uniform(3, 9) + rng.uniform(0, 6)
    )
    crown = _blob(rows, columns, rng, height_px, width_px)
    ground = (rows > horizon) & ~crown
    textures = {
        "leaves": _texture(rng, shape, (0.6, 0.6)),
        "ground": _texture(rng, shape, (0.5, 4)),
    }
    for name, where in (("leaves", crown), ("ground", ground)):
        labels[where] = CLASSES.index(name)
        lightness[where] = _between(name, textures[name])[where]

    ab = np.empty((*shape, 2))
    for name in ("sky", "leaves", "ground"):
        ab[labels == CLASSES.index(name)] = _draw_color(name, color_rng)
    for _ in range(rng.choice(FRUIT_COUNTS)):
        radius = short_px * rng.uniform(*FRUIT_RADII)
        center = (height_px * rng.uniform(0.25, 0.9), width_px * rng.uniform(0.1, 0.9))
        squares = ((rows - center[0]) ** 2 + (columns - center[1]) ** 2) / radius**2
        # Lit from the upper left.
        slant = ((center[0] - rows) + (center[1] - columns)) / (radius * 2**0.5)
        shade = np.clip(0.5 + 0.5 * slant - 0.2 * squares, 0, 1)
        inside = squares <= 1
        labels[inside] = CLASSES.index("fruit")
        lightness[inside] = _between("fruit", shade)[inside]
        ab[inside] = _draw_color("fruit", color_rng)
    return Scene(_to_rgb8(lightness, ab), labels, lightness)


def true_distribution(name: str, neighbors: int = 1, sigma: float = 5.0) -> Tensor:
    """Return the probability of every ab bin for a pixel of the class ``name``: 313, float64.

    With one neighbor, the bins of its colors. With K and sigma, what a network that learns from
    such soft targets converges to. Raises UnpairedError for an unknown class.
    """
    check_choice("color_scenes", "class", name, CLASSES)
    total = torch.zeros(BINS, dtype=torch.float64)
    for ab, frequency in COLORS[name]:
        code = soft_encode(torch.tensor(ab, dtype=torch.float64).view(1, 2, 1, 1), neighbors, sigma)
        total.index_add_(0, code.bins.flatten(), frequency * code.weights.flatten())
    return total


def _draw_color(name: str, rng: np.random.Generator) -> tuple[int, int]:
    colors, frequencies = zip(*COLORS[name], strict=True)
    return colors[rng.choice(len(colors), p=frequencies)]


def _between(name: str, share: np.ndarray) -> np.ndarray:
    """Return the lightness that is ``share``, in [0, 1], of the way through the class's range."""
    low, high = LIGHTNESS[name]
    return low + (high - low) * share


def _texture(
    rng: np.random.Generator, shape: tuple[int, int], sigmas_px: tuple[float, float]
) -> np.ndarray:
    """Return smoothed noise, in [0, 1] with mean 0.5."""
    noise = gaussian_filter(rng.standard_normal(shape), sigmas_px, mode="wrap")
    return np.clip(0.5 + 0.25 * noise / noise.std(), 0, 1)


def _blob(
    rows: np.ndarray, columns: np.ndarray, rng: np.random.Generator, height_px: int, width_px: int
) -> np.ndarray:
    """Return where a crown of leaves with a lobed outline is: H x W, bool."""
    center = (height_px * rng.uniform(0.35, 0.6), width_px * rng.uniform(0.2, 0.8))
    radii = (height_px * rng.uniform(0.22, 0.38), width_px * rng.uniform(0.22, 0.38))
    down, right = (rows - center[0]) / radii[0], (columns - center[1]) / radii[1]
    lobes = rng.integers(5, 10)
    outline = 1 + 0.12 * np.sin(lobes * np.arctan2(down, right) + rng.uniform(0, 6))
    return np.hypot(down, right) <= outline


def _to_rgb8(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    lab = torch.from_numpy(np.concatenate([lightness[..., None], ab], axis=-1))
    rgb = lab_to_rgb(lab.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    return (255 * rgb).round().to(torch.uint8).numpy()
