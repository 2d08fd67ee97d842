"""Edit propagation: the linear system, its limits, and a picture whose colors are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.systems.guided_colorization.methods.edit_propagation import (
    EditPropagation,
    affinities,
)

PROPAGATE = EditPropagation()


def lightness(height=9, width=11):
    return 100 * torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))


def hints(height=9, width=11, count=6):
    rng = np.random.default_rng(1)
    mask = torch.zeros(1, height, width)
    mask.view(-1)[rng.choice(height * width, count, replace=False)] = 1
    return 60 * torch.randn(
        2, height, width, generator=torch.Generator().manual_seed(2)
    ) * mask, mask


def test_rows_of_the_weights_sum_to_one_and_reach_neighbors_alone():
    weights = affinities(lightness()[0, 0].numpy() / 100).toarray()
    assert np.allclose(weights.sum(1), 1)
    places = np.stack(np.meshgrid(np.arange(9), np.arange(11), indexing="ij"), -1).reshape(-1, 2)
    apart = np.abs(places[:, None] - places[None]).max(-1)
    assert (weights[apart != 1] == 0).all()
    assert (weights >= 0).all()


def test_weights_are_the_formula():
    gray = lightness()[0, 0].numpy() / 100
    weights = affinities(gray).toarray().reshape(9, 11, 9, 11)
    window = gray[3:6, 4:7]
    around = np.delete(window.ravel(), 4)
    squares = (around - gray[4, 5]) ** 2
    scale = max(0.6 * window.var(), -squares.min() / np.log(0.01), 2e-6)
    wanted = np.exp(-squares / scale) / np.exp(-squares / scale).sum()
    assert np.allclose(np.delete(weights[4, 5, 3:6, 4:7].ravel(), 4), wanted)


def test_a_free_pixel_is_the_weighted_mean_of_its_neighbors_and_hints_stay():
    ab, mask = hints()
    found = PROPAGATE.colorize(lightness(), ab=ab, mask=mask)[0].double()
    weights = affinities(lightness()[0, 0].double().numpy() / 100)
    mean = torch.from_numpy((weights @ found.reshape(2, -1).T.numpy()).T).reshape(found.shape)
    free = mask[0] == 0
    assert torch.allclose(found[:, free], mean[:, free], atol=1e-4)
    assert torch.allclose(found[:, ~free].float(), ab[:, ~free])


def test_all_revealed_is_an_exact_copy_and_nothing_is_gray():
    ab = 40 * torch.randn(2, 9, 11)
    assert torch.equal(PROPAGATE.colorize(lightness(), ab=ab, mask=torch.ones(1, 9, 11))[0], ab)
    assert not PROPAGATE.colorize(lightness()).any()
    none = torch.zeros(1, 9, 11)
    assert not PROPAGATE.colorize(lightness(), ab=none.expand(2, -1, -1), mask=none).any()


def test_one_hint_colors_the_whole_picture_alike():
    ab, mask = torch.zeros(2, 9, 11), torch.zeros(1, 9, 11)
    ab[:, 4, 4], mask[:, 4, 4] = torch.tensor([20.0, -30.0]), 1
    found = PROPAGATE.colorize(lightness(), ab=ab, mask=mask)[0]
    assert torch.allclose(found, torch.tensor([20.0, -30.0])[:, None, None].expand_as(found))


def test_colors_stop_at_an_edge_of_lightness():
    gray = torch.full((1, 1, 12, 16), 30.0)
    gray[..., 8:] = 80
    ab, mask = torch.zeros(2, 12, 16), torch.zeros(1, 12, 16)
    ab[0, 6, 2], ab[0, 6, 13] = 50, -50
    mask[0, 6, [2, 13]] = 1
    found = PROPAGATE.colorize(gray, ab=ab, mask=mask)[0, 0]
    assert found[:, :7].mean() > 45
    assert found[:, 9:].mean() < -45


def test_a_batch_is_its_pictures_and_a_hint_needs_its_mask():
    both = torch.cat([lightness(), 100 - lightness()])
    ab, mask = hints()
    found = PROPAGATE.colorize(both, ab=ab, mask=mask)
    for one, alone in zip(found, both, strict=True):
        assert torch.equal(one, PROPAGATE.colorize(alone[None], ab=ab, mask=mask)[0])
    with pytest.raises(UnpairedError, match="belong together"):
        PROPAGATE.colorize(both, ab=ab)
