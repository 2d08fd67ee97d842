"""Names of points in a drawing, where none covers another or is cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes

FONT_PT = 7
GAP_PX = 6.0  # between a point and its name, and the step by which farther places are tried
DIRECTIONS = 16
POINT_PX = 7.0  # half the side of what a point takes


def label(axis: Axes, points: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Write a name beside every point; a thin line leads to one that is not right beside it.

    points: in units of the axes, whose limits and layout are kept from then on.
    Raises ValueError as `place`.
    """
    figure = axis.figure
    axis.autoscale(False)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    texts = [axis.text(0, 0, name, fontsize=FONT_PT, va="bottom") for name in names]
    extents = [text.get_window_extent() for text in texts]
    at = axis.transData.transform(np.asarray(points, float))
    frame = axis.get_window_extent()
    corners = place(
        at,
        np.array([extent.size for extent in extents]),
        np.array([(frame.x0, frame.y0), (frame.x1, frame.y1)]),
    )
    to_units = axis.transData.inverted()
    for text, extent, point, corner in zip(texts, extents, at, corners, strict=True):
        text.set_position(to_units.transform(corner))
        nearest = np.clip(point, corner, corner + np.array(extent.size))
        if np.linalg.norm(nearest - point) > 3 * GAP_PX:
            axis.plot(*to_units.transform([point, nearest]).T, color="gray", linewidth=0.5)


def place(points: np.ndarray, sizes: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return the lower left corners, N x 2, of labels of N points, one after the other.

    points: N x 2. sizes: N x 2, width and height. frame: 2 x 2, its lower left and upper right
    corners. Each label takes the nearest of the places around its point where it overlaps no label,
    covers no point and stays within the frame. All in pixels.
    Raises ValueError where a label has no such place.
    """
    taken = [(point - POINT_PX / 2, point + POINT_PX / 2) for point in points]
    corners = []
    for point, size in zip(points, sizes, strict=True):
        for low in _around(point, size, float(np.linalg.norm(frame[1] - frame[0]))):
            high = low + size
            inside = (low >= frame[0]).all() and (high <= frame[1]).all()
            if inside and not any(_overlap(low, high, *other) for other in taken):
                break
        else:
            raise ValueError("no room for all labels")
        corners.append(low)
        taken.append((low, high))
    return np.array(corners).reshape(-1, 2)


def _around(point: np.ndarray, size: np.ndarray, farthest: float) -> Iterator[np.ndarray]:
    """Yield corners of a label around a point, the nearest first, to the right of it first."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    for distance in np.arange(GAP_PX, farthest, GAP_PX):
        for angle in angles:
            toward = np.array([np.cos(angle), np.sin(angle)])
            # At a distance from the edge of the label, not from its middle.
            yield point + toward * (distance + size / 2) - size / 2


def _overlap(low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high) -> bool:
    return bool((low < other_high).all() and (other_low < high).all())
