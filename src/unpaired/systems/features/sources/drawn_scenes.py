"""Scenes of several drawn things, with their boxes and a map of classes: a stand-in for VOC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unpaired.core.randomness import numpy_generator
from unpaired.data.records import Record
from unpaired.systems.features.sources.drawn_things import (
    CLASSES,
    background,
    paint_thing,
    to_rgb8,
)

SIDE_PX = 64
SCENES = {"train": 800, "test": 300}
KEY = "drawn scenes"
COUNTS = (1, 2, 3)
RADII = (0.16, 0.26)  # of the side
VISIBLE_MIN = 0.6  # of what was painted: a thing that others hide more is painted over


@dataclass(frozen=True)
class Scene:
    """rgb: H x W x 3 uint8. labels: H x W uint8, 0 or a class's number and one.

    boxes: K x 6 float32, as in `sources.voc`.
    """

    rgb: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


def train_objects(folder: Path | None) -> Iterator[Record]:
    """Yield training scenes with "boxes"."""
    return _records("train", "boxes")


def test_objects(folder: Path | None) -> Iterator[Record]:
    """Yield test scenes with "boxes"."""
    return _records("test", "boxes")


def train_segments(folder: Path | None) -> Iterator[Record]:
    """Yield the same training scenes with "labels"."""
    return _records("train", "labels")


def test_segments(folder: Path | None) -> Iterator[Record]:
    """Yield the same test scenes with "labels"."""
    return _records("test", "labels")


def _records(split: str, field: str) -> Iterator[Record]:
    for index in range(SCENES[split]):
        scene = draw_scene(split, index)
        arrays = {"image": scene.rgb, field: getattr(scene, field)[..., None]}
        yield Record(f"{split}_{index:04d}", arrays, f"drawn_scenes:{split}:{index}")


def draw_scene(split: str, index: int, side_px: int = SIDE_PX) -> Scene:
    """Return scene ``index`` of a split."""
    rng = numpy_generator(KEY, split, index, side_px)
    lightness, ab = background(rng, side_px)
    owner = np.full((side_px, side_px), -1)
    classes: list[int] = []
    for _ in range(rng.choice(COUNTS)):
        label, center = int(rng.integers(len(CLASSES))), rng.uniform(0.2, 0.8, 2) * side_px
        before = lightness.copy(), ab.copy(), owner.copy()
        radius = rng.uniform(*RADII) * side_px
        inside = paint_thing(rng, lightness, ab, label, center, radius)
        sizes = [(owner == number).sum() for number in range(len(classes))]
        owner[inside] = len(classes)
        left = [(owner == number).sum() for number in range(len(classes))]
        if any(after < VISIBLE_MIN * size for after, size in zip(left, sizes, strict=True)):
            lightness, ab, owner = before
            continue
        classes.append(label)
    labels = np.array([0, *(label + 1 for label in classes)], np.uint8)[owner + 1]
    boxes = [box_of(owner == number, label) for number, label in enumerate(classes)]
    return Scene(to_rgb8(lightness, ab), labels, np.array(boxes, np.float32))


def box_of(inside: np.ndarray, label: int) -> list[float]:
    """Return class, left, top, right, bottom, and 0, not difficult, of where a thing is."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return [label, columns[0], rows[0], columns[-1] + 1, rows[-1] + 1, 0]
