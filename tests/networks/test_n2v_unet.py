from __future__ import annotations

import pytest
import torch
from torch import nn

from unpaired.networks.n2v_unet import N2VUNet, SeparateChannels


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def normalized(inputs, outputs, kernel_px):
    """Weights and bias of a convolution, scale and shift of its normalization."""
    return kernel_px**2 * inputs * outputs + outputs + 2 * outputs


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("width", "kernel_px"), [(96, 3), (32, 5)])
def test_parameters_of_both_published_forms(channels, width, kernel_px):
    """BSD68 notebook: 96 filters of 3 px. Package: 32 of 5 px. Both have two poolings."""
    w = width
    convolutions = [
        (channels, w),
        (w, w),
        (w, 2 * w),
        (2 * w, 2 * w),
        (2 * w, 4 * w),
        (4 * w, 2 * w),
        (2 * w + 2 * w, 2 * w),
        (2 * w, w),
        (w + w, w),
        (w, w),
    ]
    count = sum(normalized(*layer, kernel_px) for layer in convolutions) + w * channels + channels
    assert parameters(N2VUNet(channels, width=width, kernel_px=kernel_px)) == count


def test_parameters_of_the_notebook():
    assert parameters(N2VUNet(3)) == 2_993_763


@pytest.mark.parametrize(("depth", "multiple_px"), [(1, 2), (2, 4), (4, 16)])
def test_any_multiple_of_the_pooling_grid_fits(depth, multiple_px):
    network = N2VUNet(2, depth=depth, width=4)
    assert network.multiple_px == multiple_px
    image = torch.rand(1, 2, 3 * multiple_px, multiple_px)
    assert network(image).shape == image.shape


@pytest.mark.parametrize(("depth", "kernel_px"), [(1, 3), (2, 3), (2, 5), (3, 3)])
def test_margin_is_the_receptive_field(depth, kernel_px):
    """Nothing beyond the margin counts for any pixel of a pooling cell, and what is in it does."""
    network = N2VUNet(1, depth=depth, width=2, kernel_px=kernel_px).eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)  # Positive, so that no ReLU blocks a gradient.
    size = 2 * network.margin_px // network.multiple_px * network.multiple_px
    size += 4 * network.multiple_px
    image = torch.rand(1, 1, size, size, requires_grad=True)
    output = network(image)[0, 0]
    furthest = 0
    for pixel in range(size // 2, size // 2 + network.multiple_px):
        (gradient,) = torch.autograd.grad(output[pixel, pixel], image, retain_graph=True)
        reach = gradient[0, 0].abs().amax(0).nonzero().ravel()
        furthest = max(furthest, pixel - reach.min().item(), reach.max().item() - pixel)
    assert network.margin_px - network.multiple_px < furthest <= network.margin_px


def test_residual_adds_the_correction_to_the_input():
    image = torch.rand(1, 3, 8, 8)
    plain, residual = (N2VUNet(3, width=4, residual=flag).eval() for flag in (False, True))
    residual.load_state_dict(plain.state_dict())
    assert torch.allclose(residual(image), image + plain(image))


def test_weights_start_as_keras_starts_them():
    network = N2VUNet(3)
    weight = network.encoders[1][3].weight
    assert weight.abs().max().item() <= (6 / (9 * (192 + 192))) ** 0.5
    assert weight.std().item() == pytest.approx((2 / (9 * (192 + 192))) ** 0.5, rel=0.01)
    assert all(m.bias.abs().max() == 0 for m in network.modules() if isinstance(m, nn.Conv2d))


def test_bf16_output_is_finer_than_8_bits():
    network = N2VUNet(3, width=8)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.rand(1, 3, 32, 32))
    assert output.dtype == torch.float32


def test_separate_channels_do_not_see_each_other():
    network = SeparateChannels([N2VUNet(1, width=4) for _ in range(3)]).eval()
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    for channel in range(3):
        (gradient,) = torch.autograd.grad(network(image)[:, channel].sum(), image)
        seen = gradient.abs().sum((0, 2, 3)) > 0
        assert seen.tolist() == [index == channel for index in range(3)]
    assert (network.multiple_px, network.margin_px) == (4, 23)
