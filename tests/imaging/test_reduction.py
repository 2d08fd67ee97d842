from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from unpaired.core.errors import UnpairedError
from unpaired.imaging.reduction import cut_to_multiples, reduced


def random_picture(height=48, width=64):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_constant_stays_and_factor_one_changes_nothing():
    flat = np.full((16, 24, 3), 77, np.uint8)
    assert np.array_equal(reduced(flat, 4), np.full((4, 6, 3), 77, np.uint8))
    assert np.array_equal(reduced(random_picture(), 1), random_picture())


def test_a_ramp_stays_a_ramp_away_from_the_border():
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 8, axis=0)
    made = reduced(ramp, 4)[0, :, 0].astype(float)
    # The centers of small pixels lie at 1.5, 5.5 ..: rounded half up.
    assert np.array_equal(made[3:-3], np.floor(4 * np.arange(50) + 1.5 + 0.5)[3:-3])


def test_a_point_spreads_by_keys_kernel():
    point = np.zeros((8, 64, 1), np.uint8)
    point[:, 32] = 255
    made = reduced(np.repeat(point, 3, axis=2), 4)[0, :, 0]
    # Of the centers 29.5, 33.5 and 37.5 it lies 0.625, 0.375 and 1.375 small pixels away.
    near = lambda x: 1.5 * x**3 - 2.5 * x**2 + 1  # noqa: E731
    assert made[7] == round(255 / 4 * near(0.625))
    assert made[8] == round(255 / 4 * near(0.375))
    assert made[9] == 0 == made[10]


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_it_is_torchs_antialiased_reduction_away_from_the_border(factor):
    picture = random_picture(48, 60)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].double()
    size = (48 // factor, 60 // factor)
    expected = interpolate(tensor, size, mode="bicubic", antialias=True)
    exact = expected[0].permute(1, 2, 0).numpy().clip(0, 255)
    inner = slice(2, -2)
    assert np.abs(reduced(picture, factor) - exact)[inner, inner].max() <= 0.5 + 1e-9


def test_it_is_pillows_to_a_gray_level():
    picture = random_picture()
    expected = np.asarray(Image.fromarray(picture).resize((16, 12), Image.BICUBIC)).astype(int)
    assert np.abs(reduced(picture, 4) - expected)[2:-2, 2:-2].max() <= 1


def test_borders_are_reflected_with_the_last_pixel_twice():
    picture = random_picture(8, 32)
    around = np.concatenate([picture[:, ::-1], picture, picture[:, ::-1]], axis=1)
    assert np.array_equal(reduced(picture, 4), reduced(around, 4)[:, 8:16])


def test_mirroring_and_turning_commute():
    picture = random_picture()
    assert np.array_equal(reduced(picture[:, ::-1], 4), reduced(picture, 4)[:, ::-1])
    assert np.array_equal(reduced(np.rot90(picture), 4), np.rot90(reduced(picture, 4)))


def test_other_sizes_are_refused_until_they_are_cut():
    with pytest.raises(UnpairedError, match="33x48 cannot be made 4 times smaller"):
        reduced(random_picture(48, 33), 4)
    assert reduced(cut_to_multiples(random_picture(50, 33), 4), 4).shape == (12, 8, 3)
