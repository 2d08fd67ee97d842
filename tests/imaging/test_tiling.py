from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from unpaired.imaging.tiling import restore_tiled
from unpaired.networks.unet import UNet

PHOTO = torch.from_numpy(skimage.data.chelsea()).permute(2, 0, 1)[None] / 255


class SmallNet(nn.Module):
    """Two poolings and zero padding, so alignment and borders both matter; reach below 24 px."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(5))

    def forward(self, image):
        first, second, third, fourth, fifth = self.convolutions
        x = torch.relu(first(image))
        y = nn.functional.max_pool2d(x, 2)
        z = third(nn.functional.max_pool2d(torch.relu(second(y)), 2))
        z = fourth(nn.functional.interpolate(z, scale_factor=2)) + y
        return fifth(nn.functional.interpolate(z, scale_factor=2)) + x


def lively_unet() -> UNet:
    """A U-Net whose deepest level shows in its output."""
    torch.manual_seed(0)
    network = UNet(3, 3, width=4)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
    return network


def whole_pass(network, image, multiple_px):
    """Restore without tiles; NumPy's reflection is the independent reference for the borders."""
    height, width = image.shape[-2:]
    pad = [(0, 0), (0, 0), (0, -height % multiple_px), (0, -width % multiple_px)]
    padded = torch.from_numpy(np.pad(image.numpy(), pad, mode="reflect"))
    with torch.no_grad():
        return network(padded)[..., :height, :width]


def test_tiles_equal_the_whole_for_a_five_level_unet():
    network = lively_unet()
    image = nn.functional.interpolate(PHOTO, size=(517, 611))
    margin_px, multiple_px = network.margin_px, network.multiple_px
    sizes = []

    def restore(tile):
        sizes.append(tile.shape[-2:])
        return network(tile)

    tile_px = 2 * margin_px + 64
    options = {"tile_px": tile_px, "margin_px": margin_px, "multiple_px": multiple_px}
    result = restore_tiled(restore, image, **options)
    expected = whole_pass(network, image, multiple_px)
    assert len(sizes) == 20
    assert set(sizes) == {(tile_px, tile_px)}
    assert (result - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_margin_below_the_reach_of_the_network_shows():
    network = lively_unet()
    image = PHOTO[..., :256, :256]
    result = restore_tiled(network, image, tile_px=128, margin_px=32, multiple_px=32)
    expected = whole_pass(network, image, 32)
    assert (result - expected).abs().max() > 1e-3 * expected.abs().max()


@settings(deadline=None, max_examples=30)
@given(
    height=st.integers(1, 110),
    width=st.integers(1, 110),
    tile_px=st.integers(52, 120),
    margin_px=st.integers(21, 24),
)
def test_tiles_equal_the_whole_for_any_size(height, width, tile_px, margin_px):
    torch.manual_seed(height)
    network = SmallNet()
    image = torch.rand(1, 2, height, width)
    before = image.clone()
    result = restore_tiled(network, image, tile_px=tile_px, margin_px=margin_px, multiple_px=4)
    torch.testing.assert_close(result, whole_pass(network, image, 4), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(image, before, rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (1, 1), (1, 40), (2, 3), (33, 31)])
def test_images_smaller_than_the_multiple(height, width):
    network = UNet(1, 1, width=4)
    image = torch.rand(1, 1, height, width)
    result = restore_tiled(network, image, tile_px=448, margin_px=160, multiple_px=32)
    torch.testing.assert_close(result, whole_pass(network, image, 32))


def test_no_tile_is_larger_than_asked_and_no_graph_is_kept():
    largest = []
    weight = torch.ones((), requires_grad=True)

    def restore(tile):
        largest.append(max(tile.shape))
        return weight * tile

    image = torch.rand(1, 1, 300, 400, dtype=torch.float64)
    result = restore_tiled(restore, image, tile_px=70, margin_px=9, multiple_px=8)
    assert max(largest) == 64
    assert not result.requires_grad
    assert result.dtype == image.dtype
    torch.testing.assert_close(result, image)


def test_work_is_not_repeated_without_need():
    calls = []

    def restore(tile):
        calls.append(tile.shape)
        return tile

    restore_tiled(restore, torch.zeros(1, 1, 1000, 100), tile_px=128, margin_px=16, multiple_px=16)
    assert len(calls) == math.ceil((1008 - 32) / 96)


def test_tiles_without_room_for_margins_are_refused():
    with pytest.raises(ValueError, match="tile_px must be more than 64"):
        restore_tiled(nn.Identity(), PHOTO, tile_px=64, margin_px=20, multiple_px=32)


def test_a_changed_shape_is_refused():
    def shrink(tile):
        return tile[..., 1:, :]

    with pytest.raises(ValueError, match="restore turned"):
        restore_tiled(shrink, PHOTO, tile_px=512, margin_px=32, multiple_px=32)
