from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from unpaired.networks.skip_net import SkipNet


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_of_the_authors_f16_network():
    """2,217,831: the sum over the scales of their layers, each with biases and normalization."""

    def block(inputs, outputs, size):
        return inputs * outputs * size**2 + outputs + 2 * outputs

    total = 128 * 3 + 3
    for inputs in (32, 128, 128, 128, 128):
        total += block(inputs, 4, 1) + block(inputs, 128, 3) + block(128, 128, 3)
        total += 2 * (4 + 128) + block(4 + 128, 128, 3) + block(128, 128, 1)
    assert total == 2_217_831
    assert parameters(SkipNet(32, 3)) == total


def test_widths_and_channels():
    network = SkipNet(8, 1, width=6, skip_width=3)
    assert network(torch.rand(2, 8, 64, 96)).shape == (2, 1, 64, 96)
    assert {skip[0].out_channels for skip in network.skips} == {3}


def test_smallest_input_goes_through_and_a_smaller_one_does_not():
    network = SkipNet(4, 3, width=4)
    side = network.smallest_px
    assert network(torch.rand(1, 4, side, side)).shape == (1, 3, side, side)
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.rand(1, 4, side // 2, side // 2))


def test_output_lies_between_0_and_1_in_fp32_under_autocast():
    network = SkipNet(4, 3, width=8)
    noise = torch.rand(1, 4, 64, 64)
    exact = network(noise)
    with torch.autocast("cpu", torch.bfloat16):
        fast = network(noise)
    assert fast.dtype == torch.float32
    assert 0 < fast.min() < fast.max() < 1
    assert (fast - exact).abs().mean() < 0.02


def test_equals_the_layers_written_out():
    """One scale after the other, with the operations spelled out."""
    torch.manual_seed(0)
    network = SkipNet(4, 3, width=6, skip_width=2)

    def normalize(features, layer):
        mean = features.mean((0, 2, 3), keepdim=True)
        std = (features.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        shape = (1, -1, 1, 1)
        return (features - mean) / std * layer.weight.view(shape) + layer.bias.view(shape)

    def block(features, sequence, stride=1):
        convolution = next(m for m in sequence if isinstance(m, nn.Conv2d))
        normalization = next(m for m in sequence if isinstance(m, nn.BatchNorm2d))
        if convolution.kernel_size == (3, 3):
            features = functional.pad(features, (1, 1, 1, 1), mode="reflect")
        features = functional.conv2d(features, convolution.weight, convolution.bias, stride=stride)
        features = normalize(features, normalization)
        return torch.where(features > 0, features, 0.2 * features)

    def scale(features, depth):
        if depth == len(network.skips):
            return features
        down = network.downs[depth]
        below = scale(block(block(features, down[0], 2), down[1]), depth + 1)
        below = functional.interpolate(below, scale_factor=2, mode="bilinear", align_corners=False)
        joined = torch.cat((block(features, network.skips[depth]), below), 1)
        normalization, first, second = network.ups[depth]
        return block(block(normalize(joined, normalization), first), second)

    noise = torch.rand(1, 4, 64, 96)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    last = functional.conv2d(scale(noise, 0), network.last.weight, network.last.bias)
    torch.testing.assert_close(network(noise), torch.sigmoid(last), atol=1e-5, rtol=1e-4)


def test_shift_and_gain_of_the_input_are_normalized_away():
    """Each layer that reads the input is followed by batch normalization."""
    torch.manual_seed(0)
    network = SkipNet(4, 3, width=6)
    noise = torch.rand(1, 4, 64, 64)
    torch.testing.assert_close(network(3 * noise + 2), network(noise), atol=1e-3, rtol=0)
