from __future__ import annotations

import pytest
import torch
from torch import nn

from unpaired.networks.colorization import ColorizationNet

# The table of the authors' layers: inputs and outputs of every 3x3 convolution.
TABLE = [
    [(1, 64), (64, 64)],
    [(64, 128), (128, 128)],
    [(128, 256), (256, 256), (256, 256)],
    [(256, 512), (512, 512), (512, 512)],
    [(512, 512)] * 3,
    [(512, 512)] * 3,
    [(512, 512)] * 3,
]


def parameters_of_table(outputs: int) -> int:
    count = sum(9 * i * o + o for block in TABLE for i, o in block)
    count += 16 * 512 * 256 + 256 + 2 * (9 * 256 * 256 + 256)
    return count + 256 * outputs + outputs


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("outputs", "expected"), [(313, 32_230_393), (2, 32_150_466)])
def test_parameters_are_those_of_the_thesis(outputs, expected):
    with torch.device("meta"):
        network = ColorizationNet(outputs)
    assert count(network) == parameters_of_table(outputs) == expected


def test_strides_dilations_and_normalization_are_those_of_the_table():
    network = ColorizationNet(313, width=4)
    for number, block in enumerate(network.body[:7]):
        convolutions = [layer for layer in block if isinstance(layer, nn.Conv2d)]
        assert [(c.in_channels, c.out_channels) for c in convolutions] == [
            (i if i == 1 else i // 16, o // 16) for i, o in TABLE[number]
        ]
        assert [c.stride[0] for c in convolutions[:-1]] == [1] * (len(convolutions) - 1)
        assert convolutions[-1].stride[0] == (2 if number < 3 else 1)
        dilation = 2 if number in (4, 5) else 1
        assert {(c.dilation[0], c.padding[0]) for c in convolutions} == {(dilation, dilation)}
        kinds = [type(layer) for layer in block]
        assert kinds[-2:] == [nn.ReLU, nn.BatchNorm2d]
        assert kinds.count(nn.BatchNorm2d) == 1
        assert not block[-1].affine
    assert not [layer for layer in network.body[7] if isinstance(layer, nn.BatchNorm2d)]


@pytest.mark.parametrize("outputs", [2, 313])
def test_a_quarter_of_the_size_comes_out(outputs):
    network = ColorizationNet(outputs, width=2).eval()
    assert network(torch.full((2, 1, 24, 40), 70.0)).shape == (2, outputs, 6, 10)


def test_features_keep_their_size_at_the_start():
    torch.manual_seed(0)
    network = ColorizationNet(313, width=16).train()
    image = torch.rand(4, 1, 64, 64) * 100
    features = (image - 50) / 50
    for block in network.body:
        features = block(features)
        assert 0.3 < features.std() < 3
    assert 0.1 < network(image).std() < 3


def test_every_weight_gets_a_gradient():
    network = ColorizationNet(5, width=4)
    network(torch.rand(2, 1, 32, 32) * 100).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_bf16_gives_logits_in_fp32():
    network = ColorizationNet(5, width=4).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 1, 16, 16) * 100).dtype == torch.float32
