from __future__ import annotations

import pytest
import torch
from skimage.color import rgb2lab

from unpaired.core.errors import UnpairedError
from unpaired.data.sources.color_scenes import draw_scene
from unpaired.learning.create import create


def lightness_of(height: int, width: int) -> torch.Tensor:
    return 100 * torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))


def test_gray_has_no_color():
    assert torch.equal(create("gray").colorize(lightness_of(32, 24)), torch.zeros(1, 2, 32, 24))


def test_random_colors_are_those_of_one_training_picture(make_pack):
    lightness = lightness_of(32, 32)
    pictures = [draw_scene("train", index, 32, 32).rgb for index in range(6)]
    random = create("random_colors")
    random.take_pictures(make_pack({f"p{k}": p for k, p in enumerate(pictures)}), seed=3)
    ab = [torch.from_numpy(rgb2lab(p)[..., 1:]).permute(2, 0, 1)[None].float() for p in pictures]
    drawn = [random.colorize(lightness, f"picture {number}") for number in range(12)]
    matches = [[torch.allclose(d, one, atol=1e-3) for one in ab] for d in drawn]
    assert all(sum(row) == 1 for row in matches)
    assert len({row.index(True) for row in matches}) > 2
    assert torch.equal(random.colorize(lightness, "picture 4"), drawn[4])
    assert random.colorize(lightness_of(50, 20), "other size").shape == (1, 2, 50, 20)


def test_random_colors_need_pictures():
    with pytest.raises(UnpairedError, match="there are none"):
        create("random_colors").colorize(lightness_of(8, 8), "picture")
