"""Rooms with drawn things in them, as a camera that measures depth sees them: for NYU-D.

A camera at a random height and pitch looks at a floor that meets a wall; one to three of the drawn
things stand free in front of it. Depth agrees with the picture: every pixel of a thing is nearer
than what it hides, a thing is as large as it would be at its distance, and shaded things are domed.
Records hold "image", "hha" and "boxes", those of `sources.nyud`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unpaired.core.randomness import numpy_generator
from unpaired.data.records import Record
from unpaired.imaging.hha import Pinhole, hha, points_of
from unpaired.systems.features.sources.drawn_scenes import VISIBLE_MIN, box_of
from unpaired.systems.features.sources.drawn_things import (
    CLASSES,
    OUTLINES,
    background,
    paint_thing,
    to_rgb8,
)

SIDE_PX = 64
ROOMS = {"unlabeled": 1600, "train": 800, "test": 300}
KEY = "drawn rooms"
COUNTS = (1, 2, 3)
FOCAL_PER_SIDE = 0.81  # the field of view of NYU-D's camera, across
CAMERA_M = (1.8, 2.2)  # above the floor
PITCH_DEGREES = (-5.0, 10.0)  # down
WALL_M = (3.0, 5.0)  # ahead
# Nearer than the floor is at the lower border, whatever height and pitch.
THINGS_M = (1.4, 2.2)
RADII_M = (0.36, 0.46)
DOME = 0.4  # height of a domed thing over its radius
FLOOR_DARKER = 12.0


@dataclass(frozen=True)
class Room:
    """rgb: H x W x 3 uint8. depth_m: H x W. boxes: K x 6 float32, as in `sources.voc`."""

    rgb: np.ndarray
    depth_m: np.ndarray
    boxes: np.ndarray


def unlabeled_rooms(folder: Path | None) -> Iterator[Record]:
    """Yield what encoders learn from; it has boxes, too, which they do not see."""
    return _records("unlabeled")


def train_rooms(folder: Path | None) -> Iterator[Record]:
    """Yield what detectors learn from."""
    return _records("train")


def test_rooms(folder: Path | None) -> Iterator[Record]:
    """Yield what detectors are tested on."""
    return _records("test")


def _records(split: str) -> Iterator[Record]:
    camera = camera_of(SIDE_PX)
    for index in range(ROOMS[split]):
        room = draw_room(split, index)
        arrays = {
            "image": room.rgb,
            "hha": hha(room.depth_m, camera),
            "boxes": room.boxes[..., None],
        }
        yield Record(f"{split}_{index:04d}", arrays, f"drawn_rooms:{split}:{index}")


def camera_of(side_px: int) -> Pinhole:
    """Return the camera of pictures of this side."""
    focal, center = FOCAL_PER_SIDE * side_px, (side_px - 1) / 2
    return Pinhole((focal, focal), (center, center))


def draw_room(split: str, index: int, side_px: int = SIDE_PX) -> Room:
    """Return room ``index`` of a split."""
    rng = numpy_generator(KEY, split, index, side_px)
    lightness, ab, depth = _empty_room(rng, side_px)
    owner = np.full((side_px, side_px), -1)
    classes: list[int] = []
    # The nearest is drawn last, and hides the others.
    for distance in sorted(rng.uniform(*THINGS_M, rng.choice(COUNTS)), reverse=True):
        label, center = int(rng.integers(len(CLASSES))), rng.uniform(0.2, 0.8, 2) * side_px
        radius = rng.uniform(*RADII_M) / distance * FOCAL_PER_SIDE * side_px
        before = lightness.copy(), ab.copy(), owner.copy()
        inside = paint_thing(rng, lightness, ab, label, center, radius)
        sizes = [(owner == number).sum() for number in range(len(classes))]
        owner[inside] = len(classes)
        left = [(owner == number).sum() for number in range(len(classes))]
        own_depth = distance - _relief(label, center, radius, distance, side_px)
        is_hidden = any(a < VISIBLE_MIN * size for a, size in zip(left, sizes, strict=True))
        if is_hidden or (own_depth >= depth)[inside].any():
            lightness, ab, owner = before
            continue
        classes.append(label)
        depth[inside] = own_depth[inside]
    boxes = [box_of(owner == number, label) for number, label in enumerate(classes)]
    return Room(to_rgb8(lightness, ab), depth, np.array(boxes, np.float32))


def _empty_room(
    rng: np.random.Generator, side_px: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lightness, ab and depth of a floor that meets a wall."""
    height, ahead = rng.uniform(*CAMERA_M), rng.uniform(*WALL_M)
    pitch = np.radians(rng.uniform(*PITCH_DEGREES))
    rays = points_of(np.ones((side_px, side_px)), camera_of(side_px))
    sinks = rays @ np.array([0, np.cos(pitch), np.sin(pitch)])
    wall = ahead / (rays @ np.array([0, -np.sin(pitch), np.cos(pitch)]))
    floor = height / np.maximum(sinks, 1e-6)
    is_floor = floor < wall
    lightness, ab = background(rng, side_px)
    of_floor = background(rng, side_px)
    lightness[is_floor] = (of_floor[0] - FLOOR_DARKER)[is_floor]
    ab[is_floor] = of_floor[1][is_floor]
    return lightness, ab, np.minimum(floor, wall)


def _relief(
    label: int, center: np.ndarray, radius: float, distance: float, side_px: int
) -> np.ndarray:
    """Return how much nearer than its rim a thing is, H x W in meters; striped ones are flat."""
    if label >= len(OUTLINES):  # The second texture.
        return np.zeros((side_px, side_px))
    places = (np.indices((side_px, side_px)) + 0.5 - center[:, None, None]) / radius
    radius_m = radius * distance / (FOCAL_PER_SIDE * side_px)
    return DOME * radius_m * np.maximum(1 - (places**2).sum(axis=0), 0)
