"""HHA: a depth map as three channels that a network for pictures can see.

Gupta, Girshick, Arbelaez and Malik, "Learning rich features from RGB-D images for object detection
and segmentation" (ECCV 2014), section 3: for every pixel the horizontal disparity, the height above
ground, and the angle of the surface with gravity. Gravity is found as in Gupta, Arbelaez and Malik,
"Perceptual organization and recognition of indoor scenes from RGB-D images" (CVPR 2013): the
direction to which most surfaces are parallel or orthogonal.

Points and directions are of the camera: x to the right, y down, z away from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import correlate1d, uniform_filter1d

from unpaired.core.errors import UnpairedError

# What a value of 8 bits stands for, as in the published encoding.
DISPARITY_TIMES_M = 310.0  # disparity is this over the depth; what is nearer than 1.2 m is cut
STEPS_PER_M = 100.0
STEPS_AT_0_DEGREES = 38.0  # of a floor; a wall has 128
LOWEST_SHARE_PERCENT = 1.0  # of the points, which may be wrong: the ground is above them
# What is seen is no floor unless it is so far below the camera; then the camera's usual height is
# taken, as in the published code.
FLOOR_BELOW_MIN_M = 0.9
CAMERA_HEIGHT_M = 1.3
ROUNDS = ((45.0, 5), (15.0, 5))  # tolerance in degrees, and how often with it
SPEAKING_SHARE = 0.01  # of the surface, which must tell two directions of gravity apart
NEVER_ACROSS = 0.1  # cosine: gravity is not nearly across what it was held for before
WIDTHS_PER_RADIUS = 64  # normals are of windows whose radius is this share of the width


@dataclass(frozen=True)
class Pinhole:
    """A camera: the focal length and the place of the optical axis, along x and y, px."""

    focal_px: tuple[float, float]
    center_px: tuple[float, float]


def hha(depth_m: np.ndarray, camera: Pinhole) -> np.ndarray:
    """Return the encoding of a depth map, H x W in meters along the optical axis: H x W x 3 uint8.

    Channels: disparity (310 over the depth in meters), height (cm), and the angle between the
    surface's normal and the direction up (degrees, plus 38; a floor is at 0, a wall at 90).
    Raises UnpairedError for a map with holes, or too small for normals.
    """
    _check(depth_m)
    normals = surface_normals(depth_m, camera)
    gravity = gravity_of(normals)
    height = height_above_ground(points_of(depth_m, camera), gravity)
    angle = np.degrees(np.arccos(np.clip(-normals @ gravity, -1, 1)))
    channels = (
        DISPARITY_TIMES_M / depth_m,
        STEPS_PER_M * height,
        angle + STEPS_AT_0_DEGREES,
    )
    return np.clip(np.round(np.stack(channels, axis=-1)), 0, 255).astype(np.uint8)


def _check(depth_m: np.ndarray) -> None:
    if depth_m.ndim != 2 or min(depth_m.shape) < 2 * _radius_of(depth_m) + 1:
        raise UnpairedError(
            f"a depth map of shape {depth_m.shape}: it must be H x W, 3 px a side at least"
        )
    if not (np.isfinite(depth_m).all() and (depth_m > 0).all()):
        raise UnpairedError("a depth map with holes; fill them before, as NYU-D's 'depths' are")


def _radius_of(depth_m: np.ndarray) -> int:
    return max(1, round(depth_m.shape[1] / WIDTHS_PER_RADIUS))


def points_of(depth_m: np.ndarray, camera: Pinhole) -> np.ndarray:
    """Return the point of every pixel, H x W x 3 in meters."""
    right, down = _rays(depth_m.shape, camera)
    return np.stack([right * depth_m, down * depth_m, depth_m], axis=-1)


def _rays(shape: tuple[int, ...], camera: Pinhole) -> tuple[np.ndarray, np.ndarray]:
    """Return x / z and y / z of every pixel."""
    rows, columns = np.indices(shape, np.float64)
    return (
        (columns - camera.center_px[0]) / camera.focal_px[0],
        (rows - camera.center_px[1]) / camera.focal_px[1],
    )


def surface_normals(depth_m: np.ndarray, camera: Pinhole) -> np.ndarray:
    """Return the unit normal of every pixel, toward the camera: H x W x 3.

    Of a plane n x = d the inverse depth is n (x/z, y/z, 1) / d: linear in the pixel's place. It is
    fitted by least squares in a square window, the nearest one that is whole at the border. Windows
    across a step see a surface that joins both sides.
    """
    radius, inverse = _radius_of(depth_m), 1 / np.asarray(depth_m, np.float64)
    size = 2 * radius + 1
    ramp = np.arange(-radius, radius + 1.0)
    ramp /= (ramp**2).sum()
    mean = uniform_filter1d(uniform_filter1d(inverse, size, axis=0), size, axis=1)
    along_x = correlate1d(uniform_filter1d(inverse, size, axis=0), ramp, axis=1)
    along_y = correlate1d(uniform_filter1d(inverse, size, axis=1), ramp, axis=0)
    right, down = _rays(depth_m.shape, camera)
    slopes = along_x * camera.focal_px[0], along_y * camera.focal_px[1]
    planes = np.stack([*slopes, mean - slopes[0] * right - slopes[1] * down], axis=-1)
    whole = planes[radius:-radius, radius:-radius]
    planes = np.pad(whole, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    return -planes / np.linalg.norm(planes, axis=-1, keepdims=True)


def gravity_of(normals: np.ndarray) -> np.ndarray:
    """Return the unit direction of gravity from unit normals, ... x 3.

    It begins with the camera's own y. Normals along it (floors, tables) and across it (walls)
    within a tolerance then give the direction that is best along the first and across the second.
    Among directions that they do not tell apart, the one nearest to the last is taken.
    """
    rows = normals.reshape(-1, 3)
    gravity = np.array([0.0, 1.0, 0.0])
    for tolerance, count in ROUNDS:
        for _ in range(count):
            gravity = _improved(gravity, rows, np.radians(tolerance))
    return gravity


def _improved(gravity: np.ndarray, normals: np.ndarray, tolerance: float) -> np.ndarray:
    """Minimize cos^2 of the angle with normals across plus sin^2 of that with normals along."""
    cosines = abs(normals @ gravity)
    along, across = normals[cosines > np.cos(tolerance)], normals[cosines < np.sin(tolerance)]
    values, directions = np.linalg.eigh(across.T @ across - along.T @ along)
    best = directions[:, values <= values[0] + SPEAKING_SHARE * len(normals)]
    found = best @ (best.T @ gravity)
    length = np.linalg.norm(found)
    return found / length if length > NEVER_ACROSS else gravity


def height_above_ground(points: np.ndarray, gravity: np.ndarray) -> np.ndarray:
    """Return the height of points, ... x 3, in meters, 0 or more.

    The ground is the lowest that is seen but for one percent; where that is less than 0.9 m below
    the camera it is no floor, and the ground is taken to be 1.3 m below.
    """
    up = -points @ gravity
    ground = np.percentile(up, LOWEST_SHARE_PERCENT)
    if ground > -FLOOR_BELOW_MIN_M:
        ground = -CAMERA_HEIGHT_M
    return np.maximum(up - ground, 0)
