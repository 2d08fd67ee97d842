"""Color hints: what patches reveal, maps at other sizes, statistics, and files of points."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from skimage.color import rgb2hsv

from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.ab_bins import BINS, CENTERS
from unpaired.imaging.color.hints import (
    Patch,
    Point,
    color_histogram,
    hint_maps,
    mean_saturation,
    parse_points,
    points_on,
    points_path,
    read_points,
    revealed,
    write_points,
)


def colors(height=12, width=16):
    return 60 * torch.rand(2, height, width, generator=torch.Generator().manual_seed(0)) - 30


def test_a_patch_reveals_its_mean_and_later_ones_lie_above():
    ab = colors()
    hints, mask = revealed(ab, [Patch(2, 3, 4), Patch(4, 5, 3)])
    first, second = ab[:, 2:6, 3:7].mean((1, 2)), ab[:, 4:7, 5:8].mean((1, 2))
    assert torch.allclose(hints[:, 2, 3], first)
    assert torch.allclose(hints[:, 5, 6], second)
    assert mask.sum() == 16 + 9 - 4
    assert (hints[:, mask[0] == 0] == 0).all()


def test_patches_are_cut_at_the_border():
    hints, mask = revealed(colors(), [Patch(-2, -1, 4), Patch(11, 15, 3)])
    assert mask.sum() == 2 * 3 + 1
    assert torch.allclose(hints[:, 0, 0], colors()[:, :2, :3].mean((1, 2)))


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7])
def test_points_of_patches_are_the_same_map(side):
    ab = colors()
    patches = [Patch(2, 3, side), Patch(-side // 2 + 1, 14, side)]
    hints, mask = hint_maps(points_on(ab, patches), ab.shape[1:], ab.shape[1:])
    wanted, where = revealed(ab, patches)
    assert torch.equal(mask, where)
    assert torch.allclose(hints, wanted, atol=1e-5)


def test_points_keep_their_place_and_share_at_another_size():
    point = Point(x=95, y=47, size_px=32, a=10, b=-20)
    hints, mask = hint_maps([point], (128, 256), (32, 64))
    rows, columns = (axis.float().mean() for axis in torch.nonzero(mask[0]).T)
    assert mask.sum() == 8 * 8
    assert abs(rows - 47.5 / 4 + 0.5) <= 0.5
    assert abs(columns - 95.5 / 4 + 0.5) <= 0.5
    assert hints[:, mask[0] > 0].T.unique(dim=0).tolist() == [[10, -20]]


@pytest.mark.parametrize("place", [(0, 0), (255, 127), (0, 127), (3, 1)])
def test_the_smallest_point_has_a_pixel_anywhere(place):
    _, mask = hint_maps([Point(*place, 1, 5, 5)], (128, 256), (8, 16))
    assert mask.sum() == 1


def test_histogram_counts_means_of_4_by_4_in_their_nearest_bin():
    wanted = [120, 250, 250, 7]
    cells = torch.from_numpy(CENTERS[wanted]).T.reshape(2, 2, 2)
    ab = cells.repeat_interleave(4, 1).repeat_interleave(4, 2)
    ab = ab + 3 * torch.tensor([1, -1, -1, 1]).repeat(2)[None, None]  # Gone in every mean.
    shares = color_histogram(torch.stack([ab, 0 * ab]))
    assert shares.shape == (2, BINS)
    assert torch.allclose(shares.sum(1), torch.ones(2))
    assert (shares[0, 250], shares[0, 120], shares[0, 7]) == (0.5, 0.25, 0.25)
    assert shares[1, 120] == 1
    with pytest.raises(UnpairedError, match="too small"):
        color_histogram(ab[None, :, :3])


def test_saturation_is_that_of_hsv():
    rgb = torch.rand(3, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    rgb[0, :, :2] = 0  # Black has none.
    wanted = [rgb2hsv(one.permute(1, 2, 0).numpy())[..., 1].mean() for one in rgb]
    assert np.allclose(mean_saturation(rgb), wanted, atol=1e-6)


def test_points_come_back_from_their_file(tmp_path):
    points = [Point(3.0, 4.0, 7.0, 52.5, -31.0), Point(0.0, 0.0, 1.0, 0.0, 0.0)]
    path = points_path(tmp_path / "a.png")
    write_points(path, points, (20, 30))
    assert path.name == "a.png.points.json"
    assert read_points(path) == (points, (20, 30))


GOOD = {"x": 1, "y": 2, "size_px": 3, "a": 4, "b": 5}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "no list of points"),
        ({"points": [], "width": 3.5, "height": 2}, "width and height"),
        ({"points": [], "width": True, "height": 2}, "width and height"),
        ({"points": [GOOD | {"x": 30}], "width": 30, "height": 20}, "point 1 lies outside"),
        ({"points": [GOOD, GOOD | {"a": None}], "width": 30, "height": 20}, "point 2 needs"),
        ({"points": [GOOD | {"a": 200}], "width": 30, "height": 20}, "a and b"),
        ({"points": [GOOD | {"size_px": 0}], "width": 30, "height": 20}, "size_px"),
        ({"points": [GOOD] * 10_001, "width": 30, "height": 20}, "more than 10000"),
    ],
)
def test_bad_points_are_told_in_one_line(content, told):
    with pytest.raises(UnpairedError, match=f"^here: .*{told}") as raised:
        parse_points(content, "here")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_none_names_itself(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(UnpairedError, match=r"a\.json: no such file"):
        read_points(path)
    for text in ("{", "[" * 100_000, json.dumps({"points": [{"x": float("nan")}]})):
        path.write_text(text)
        with pytest.raises(UnpairedError, match=r"a\.json: "):
            read_points(path)
