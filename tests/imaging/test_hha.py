"""HHA of surfaces whose disparity, height and angle are known: floor, wall, tilted plane, step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from unpaired.core.errors import UnpairedError
from unpaired.imaging.hha import (
    CAMERA_HEIGHT_M,
    STEPS_AT_0_DEGREES,
    Pinhole,
    gravity_of,
    height_above_ground,
    hha,
    points_of,
    surface_normals,
)

CAMERA = Pinhole((40.0, 44.0), (31.5, 23.5))
SHAPE = (48, 64)
FLOOR = STEPS_AT_0_DEGREES
WALL = STEPS_AT_0_DEGREES + 90


def depth_of_plane(normal, distance_m: float, shape=SHAPE) -> np.ndarray:
    """Depth of the plane n x = distance; where it is behind the camera it is negative."""
    rays = points_of(np.ones(shape), CAMERA)
    return distance_m / (rays @ np.asarray(normal, float))


def tilted(pitch_degrees: float) -> np.ndarray:
    """Down, as seen by a camera that looks down by so many degrees."""
    pitch = np.radians(pitch_degrees)
    return np.array([0.0, np.cos(pitch), np.sin(pitch)])


def room(pitch_degrees: float, camera_m: float, wall_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a floor that meets a wall, and where the floor is."""
    down = tilted(pitch_degrees)
    ahead = np.array([0.0, -down[2], down[1]])
    planes = [depth_of_plane(down, camera_m), depth_of_plane(ahead, wall_m)]
    floor, wall = (np.where(one > 0, one, np.inf) for one in planes)
    return np.minimum(floor, wall), floor < wall


def inner(mask: np.ndarray) -> np.ndarray:
    """The mask without what is next to its border: windows there see two surfaces."""
    return binary_erosion(mask, iterations=2, border_value=1)


@pytest.mark.parametrize("normal", [(0, 0, 1), (0.3, 0, 1), (-0.2, 0.4, 1), (0.1, -0.3, 0.8)])
def test_normals_of_planes_are_exact_and_toward_the_camera(normal):
    depth = depth_of_plane(normal, 2.0)
    assert (depth > 0).all()
    wanted = -np.array(normal) / np.linalg.norm(normal)
    found = surface_normals(depth, CAMERA)
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), atol=1e-9)
    np.testing.assert_allclose(points_of(depth, CAMERA) @ np.array(normal), 2.0, atol=1e-9)


@pytest.mark.parametrize("pitch", [-8, 0, 12, 25])
def test_a_floor_and_a_wall_tell_gravity_though_the_camera_is_tilted(pitch):
    depth, is_floor = room(pitch, 1.5, 6.0)
    gravity = gravity_of(surface_normals(depth, CAMERA))
    assert np.degrees(np.arccos(gravity @ tilted(pitch))) < 1.0
    found = hha(depth, CAMERA).astype(float)
    floor, wall = inner(is_floor), inner(~is_floor)
    assert floor.any()
    assert wall.any()
    np.testing.assert_allclose(found[floor, 2], FLOOR, atol=2)
    np.testing.assert_allclose(found[wall, 2], WALL, atol=2)
    np.testing.assert_allclose(found[floor, 1], 0, atol=6)
    np.testing.assert_allclose(found[..., 0], np.clip(310 / depth, 0, 255), atol=0.51)


def test_the_ceiling_looks_down_and_heights_grow_along_the_wall():
    depth, is_floor = room(0, 1.5, 3.0)
    ceiling = depth_of_plane((0, -1, 0), 0.9)
    is_ceiling = (ceiling > 0) & (ceiling < depth)
    found = hha(np.where(is_ceiling, ceiling, depth), CAMERA).astype(float)
    assert inner(is_ceiling).any()
    np.testing.assert_allclose(found[inner(is_ceiling), 2], FLOOR + 180, atol=2)
    np.testing.assert_allclose(found[inner(is_ceiling), 1], 240, atol=4)
    wall = ~is_floor & ~is_ceiling
    rows = np.indices(SHAPE)[0]
    expected = 100 * (1.5 - 3.0 * (rows - 23.5) / 44.0)
    np.testing.assert_allclose(found[wall, 1], expected[wall], atol=4)


def test_a_tilted_plane_has_its_own_angle_beside_a_floor():
    depth, _ = room(0, 1.5, 3.0)
    ramp = depth_of_plane((0, np.cos(np.radians(30)), np.sin(np.radians(30))), 1.6)
    is_ramp = np.zeros(SHAPE, bool)
    is_ramp[:, :20] = (ramp > 0)[:, :20] & (ramp < depth)[:, :20]
    found = hha(np.where(is_ramp, ramp, depth), CAMERA).astype(float)
    assert inner(is_ramp).any()
    np.testing.assert_allclose(found[inner(is_ramp), 2], FLOOR + 30, atol=2)


def test_a_step_is_as_high_as_it_is_and_level():
    depth, is_floor = room(10, 1.6, 4.0)
    step = depth_of_plane(tilted(10), 1.6 - 0.5)
    is_step = is_floor & (np.indices(SHAPE)[1] > 40) & (step > 0) & (step < 3)
    found = hha(np.where(is_step, step, depth), CAMERA).astype(float)
    assert inner(is_step).any()
    np.testing.assert_allclose(found[inner(is_step), 1], 50, atol=3)
    np.testing.assert_allclose(found[inner(is_step), 2], FLOOR, atol=2)
    floor = inner(is_floor & ~is_step)
    np.testing.assert_allclose(found[floor, 1], 0, atol=3)


def test_what_a_wall_alone_does_not_tell_stays_as_the_camera_has_it():
    depth = np.full(SHAPE, 2.0)
    np.testing.assert_allclose(gravity_of(surface_normals(depth, CAMERA)), [0, 1, 0], atol=1e-9)
    found = hha(depth, CAMERA)
    assert np.unique(found[..., 2]) == [WALL]
    assert np.unique(found[..., 0]) == [155]


def test_a_floor_that_is_not_seen_is_taken_to_be_at_the_cameras_usual_height():
    points = points_of(np.full(SHAPE, 1.0), CAMERA)  # The lowest is half a meter below.
    height = height_above_ground(points, np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(height, CAMERA_HEIGHT_M - points[..., 1])
    low = height_above_ground(3 * points, np.array([0.0, 1.0, 0.0]))
    assert low.min() == 0


def test_a_few_wrong_points_do_not_move_the_ground():
    depth, is_floor = room(12, 1.5, 6.0)
    holed = depth.copy()
    holed[45, 10:14] *= 1.8  # Below the floor.
    floor = inner(is_floor)
    floor[42:, 6:18] = False
    assert floor.any()
    difference = hha(holed, CAMERA)[floor, 1].astype(float) - hha(depth, CAMERA)[floor, 1]
    assert abs(difference).max() <= 4


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_holes_and_other_shapes_are_one_line(bad):
    depth = np.full(SHAPE, 2.0)
    depth[3, 4] = bad
    with pytest.raises(UnpairedError, match="a depth map with holes"):
        hha(depth, CAMERA)
    with pytest.raises(UnpairedError, match="it must be H x W"):
        hha(np.ones((48, 64, 1)), CAMERA)
    with pytest.raises(UnpairedError, match="it must be H x W"):
        hha(np.ones((2, 64)), CAMERA)
