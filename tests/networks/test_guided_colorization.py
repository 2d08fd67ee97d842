"""The networks of user-guided colorization: sizes, shortcuts, stopped gradients, starts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from unpaired.networks.colorization import ColorizationNet
from unpaired.networks.guided_colorization import GlobalHintsNet, LocalHintsNet

BINS = 5


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def given(side=16, batch=2):
    generator = torch.Generator().manual_seed(0)
    draw = lambda channels: torch.rand(batch, channels, side, side, generator=generator)  # noqa: E731
    mask = (draw(1) > 0.8).float()
    return 100 * draw(1), mask * (80 * draw(2) - 40), mask


def settled(network: nn.Module) -> nn.Module:
    """Return a network in evaluation mode whose normalization and last layer do something."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(0.1 * torch.randn(shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(shape, generator=generator))
    if hasattr(network, "out"):
        nn.init.normal_(network.out.weight, std=0.2, generator=generator)
    return network.eval()


def test_sizes_are_those_of_the_papers_networks():
    with torch.device("meta"):
        port = LocalHintsNet(529, affine=True, head="one_by_one")
        thesis, of_statistics = LocalHintsNet(313), GlobalHintsNet(313)
    assert count(port) == 34_187_027
    # Deconvolutions of blocks 4 to 7 and convolutions of blocks 3 and 8 to 384 maps; 313 bins.
    head = 4 * (512 * 16 + 1) * 384 + 2 * (256 * 9 + 1) * 384 + 385 * 313
    assert count(thesis.head) == head
    branch = (314 + 1) * 512 + (2 + 1) * 512 + 3 * (512 + 1) * 512
    assert (
        count(of_statistics.histogram)
        + count(of_statistics.saturation)
        + count(of_statistics.statistics)
        == branch
    )


@pytest.mark.parametrize("head", ["hypercolumn", "one_by_one"])
def test_colors_are_as_large_as_the_picture_and_bins_a_quarter(head):
    network = LocalHintsNet(BINS, width=2, head=head)
    found = network(*given(24), with_logits=True)
    assert found.ab.shape == (2, 2, 24, 24)
    assert found.logits.shape == (2, BINS, 6, 6)
    assert network(*given(24)).logits is None


def test_colors_stay_within_the_last_tanh():
    network = LocalHintsNet(BINS, width=2, output_scale=110.0)
    nn.init.constant_(network.out.bias, 50.0)
    assert torch.allclose(network(*given()).ab, torch.tensor(110.0))


@pytest.mark.parametrize("head", ["hypercolumn", "one_by_one"])
def test_no_gradient_goes_from_the_head_into_the_features(head):
    network = LocalHintsNet(BINS, width=2, head=head)
    found = network(*given(), with_logits=True)
    found.logits.square().sum().backward()
    of_head = {name for name, value in network.named_parameters() if value.grad is not None}
    assert of_head == {f"head.{name}" for name, _ in network.head.named_parameters()}


def test_shortcuts_are_added_and_reach_blocks_8_9_and_10():
    network = settled(LocalHintsNet(BINS, width=2))
    hints = given()
    with torch.no_grad():
        whole = network(*hints).ab
        for name in ("short8", "short9", "short10"):
            shortcut = getattr(network, name)
            kept = shortcut.state_dict()
            nn.init.zeros_(shortcut.weight)
            nn.init.zeros_(shortcut.bias)
            assert not torch.allclose(network(*hints).ab, whole, atol=1e-4)
            shortcut.load_state_dict(kept)


def test_first_seven_blocks_start_as_automatic_colorization():
    """What strides there is thinned out here, after the normalization: the same numbers."""
    automatic = settled(ColorizationNet(BINS, width=2))
    network = settled(LocalHintsNet(BINS, width=2))
    network.start_from(automatic)
    lightness, ab, mask = given(32)
    with torch.no_grad():
        scaled = (lightness - 50) / 50
        maps = network.first_blocks(torch.cat([scaled, 0 * ab, 0 * mask], dim=1))
        x = scaled
        for number, block in enumerate(automatic.body[:7]):
            x = block(x)
            thinned = maps[number][..., ::2, ::2] if number < 3 else maps[number]
            assert torch.allclose(thinned, x, atol=1e-5)
        # Block 8 without its shortcut, and before the normalization that it has here.
        up = functional.relu(network.up8(x))
        last = functional.relu(network.block8[3](functional.relu(network.block8[1](up))))
        assert torch.allclose(last, automatic.body[7](x), atol=1e-5)


def test_mask_center_is_taken_off_everywhere_but_outside():
    """Zero padding stands for a mask of 0.5 there, so a bias could not do the same."""
    network = settled(LocalHintsNet(BINS, width=2, mask_center=0.5))
    lightness, ab, mask = given()
    with torch.no_grad():
        shifted = network(lightness, ab, mask).ab
        network.mask_center = 0.0
        assert torch.allclose(network(lightness, ab, mask - 0.5).ab, shifted)
        assert not torch.allclose(network(lightness, ab, mask).ab, shifted, atol=1e-4)


def test_statistics_are_added_to_the_map_of_block_4_at_every_place():
    network = settled(GlobalHintsNet(BINS, width=2))
    lightness, *_ = given(32)
    histogram = torch.eye(BINS + 1)[:2]
    saturation = torch.tensor([[0.3, 1.0], [0.0, 0.0]])
    with torch.no_grad():
        given_map = network.histogram(histogram[..., None, None]) + network.saturation(
            saturation[..., None, None]
        )
        merged = network.statistics(given_map)
        scaled = (lightness - 50) / 50
        without, with_it = network.first_blocks(scaled), network.first_blocks(scaled, merged)
        assert torch.allclose(with_it[3], without[3] + merged, atol=1e-6)
        assert torch.equal(with_it[2], without[2])
        colors = network(lightness, histogram, saturation).ab
        assert torch.allclose(colors, network.colors(with_it), atol=1e-5)
