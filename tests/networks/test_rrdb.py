from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

from unpaired.core.errors import UnpairedError
from unpaired.networks.rrdb import RRDBNet, enlarged
from unpaired.networks.vgg_discriminator import VGGDiscriminator

SMALL = {"width": 8, "blocks": 1, "growth": 4}


def test_the_papers_sizes():
    assert sum(p.numel() for p in RRDBNet().parameters()) == 16_697_987
    assert sum(p.numel() for p in VGGDiscriminator().parameters()) == 14_499_401


@pytest.mark.parametrize("head", ["nearest", "pixel_shuffle"])
@pytest.mark.parametrize("size", [(7, 9), (1, 1), (16, 4)])
def test_any_size_grows_four_times(head, size):
    made = RRDBNet(**SMALL, head=head, global_residual=True)(torch.rand(2, 3, *size))
    assert made.shape == (2, 3, 4 * size[0], 4 * size[1])


@pytest.mark.parametrize("head", ["nearest", "pixel_shuffle"])
def test_with_a_global_residual_it_starts_as_bicubic_interpolation(head):
    small = torch.rand(1, 3, 8, 8)
    made = RRDBNet(**SMALL, head=head, global_residual=True)(small)
    expected = interpolate(small, scale_factor=4, mode="bicubic", align_corners=False)
    assert torch.equal(made, expected)
    assert torch.equal(enlarged(small), expected)


@pytest.mark.parametrize("head", ["nearest", "pixel_shuffle"])
def test_nothing_beyond_the_margin_changes_the_output(head):
    torch.manual_seed(0)
    network = RRDBNet(**SMALL, head=head).double()
    side = 2 * network.margin_px + 3
    small = torch.rand(1, 3, 1, side, dtype=torch.float64, requires_grad=True)
    middle = network(small)[..., 4 * network.margin_px : -4 * network.margin_px]
    middle.abs().sum().backward()
    reached = small.grad.abs().amax(dim=(0, 1, 2)).nonzero().flatten()
    assert reached.min() > 0
    assert reached.max() < side - 1
    assert reached.max() - reached.min() > 2 * 15  # and much within it does


def test_a_block_is_the_formula():
    """Three dense blocks and the residual around them, in plain operations."""
    torch.manual_seed(0)
    block = RRDBNet(**SMALL).double().body[0]
    features = torch.rand(1, 8, 5, 5, dtype=torch.float64)
    made = features
    for dense in block.dense:
        known = [made]
        for number, layer in enumerate(dense.convolutions):
            out = torch.conv2d(torch.cat(known, 1), layer.weight, layer.bias, padding=1)
            known.append(torch.where(out > 0, out, 0.2 * out) if number < 4 else out)
        made = made + 0.2 * known[-1]
    assert torch.allclose(block(features), features + 0.2 * made)


def test_weights_of_blocks_start_a_tenth_as_large():
    torch.manual_seed(0)
    block = RRDBNet(width=64, blocks=1, growth=32).body[0].dense[0].convolutions[0]
    assert block.weight.std().item() == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.05)
    assert not block.bias.any()


def test_an_unknown_head_is_refused():
    with pytest.raises(UnpairedError, match="head must be one of nearest, pixel_shuffle"):
        RRDBNet(head="deconvolution")


def test_the_discriminator_gives_a_number_and_wants_its_size():
    assert VGGDiscriminator(width=4, side_px=32)(torch.rand(3, 3, 32, 32)).shape == (3, 1)
    with pytest.raises(UnpairedError, match="multiple of 32"):
        VGGDiscriminator(side_px=48)
