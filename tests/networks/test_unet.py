from __future__ import annotations

import pytest
import torch

from tests.networks.checks import assert_bf16_output_is_finer_than_8_bits
from unpaired.networks.unet import UNet


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("channels", "deconvolution", "nearest"), [(3, 1_259_475, 1_102_371), (4, 1_260_868, 1_103_764)]
)
def test_parameters_of_both_published_forms(channels, deconvolution, nearest):
    assert parameters(UNet(channels, channels)) == deconvolution
    assert parameters(UNet(channels, channels, upsampling="nearest")) == nearest


def test_blind_spot_papers_nine_outputs():
    assert UNet(3, 9, upsampling="nearest")(torch.rand(1, 3, 32, 64)).shape == (1, 9, 32, 64)


def test_scaled_kaiming_is_a_tenth_of_kaiming():
    network = UNet(3, 3)
    weight = network.encoders[2][0].weight
    assert weight.std().item() == pytest.approx(0.1 * (2 / (48 * 9)) ** 0.5, rel=0.05)
    assert all(m.bias.abs().max() == 0 for m in network.modules() if hasattr(m, "bias"))


def test_he_gives_the_last_layer_gain_one():
    network = UNet(3, 3, upsampling="nearest", initialization="he")
    assert network.encoders[2][0].weight.std().item() == pytest.approx((2 / 432) ** 0.5, rel=0.05)
    assert network.last.weight.std().item() == pytest.approx((1 / 96) ** 0.5, rel=0.15)


def test_global_residual_starts_at_the_identity():
    image = torch.rand(2, 3, 64, 64)
    assert torch.equal(UNet(3, 3, width=8, global_residual=True)(image), image)


def test_margin_covers_the_receptive_field():
    """The gradient of the center pixel must vanish beyond the margin, and not long before it."""
    torch.manual_seed(0)
    network = UNet(1, 1, width=4, negative_slope=1.0, initialization="he")
    size = 448
    image = torch.rand(1, 1, size, size, requires_grad=True)
    center = size // 2
    network(image)[0, 0, center, center].backward()
    reach = image.grad[0, 0].abs().amax(0).nonzero().ravel()
    furthest = max(center - reach.min().item(), reach.max().item() - center)
    assert 120 < furthest <= UNet.margin_px


def test_bf16_output_is_finer_than_8_bits():
    torch.manual_seed(0)
    assert_bf16_output_is_finer_than_8_bits(UNet(3, 3, width=16, global_residual=True))
