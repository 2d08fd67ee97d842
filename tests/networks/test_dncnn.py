from __future__ import annotations

import pytest
import torch
from torch import nn

from unpaired.networks.dncnn import DnCNN


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_of_noise2selfs_eight_layers_without_bias():
    first, middle, last = 9 * 64, 6 * (9 * 64 * 64 + 2 * 64), 9 * 64
    assert parameters(DnCNN(1, depth=8, bias=False)) == first + middle + last == 223_104
    assert parameters(DnCNN(3, depth=8, bias=False)) == 3 * first + middle + 3 * last == 225_408


def test_parameters_of_seventeen_layers_with_bias():
    first, last = 9 * 3 * 64 + 64, 9 * 64 * 3 + 3
    middle = 15 * (9 * 64 * 64 + 64 + 2 * 64)
    assert parameters(DnCNN(3)) == first + middle + last == 559_363


def test_normalization_and_relu_are_where_the_paper_has_them():
    kinds = [type(layer) for layer in DnCNN(3, depth=4).features]
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [nn.Conv2d, nn.ReLU, *block, *block]


@pytest.mark.parametrize("residual", [False, True])
def test_residual_takes_the_predicted_noise_from_the_input(residual):
    network = DnCNN(3, depth=3, width=4, residual=residual).eval()
    image = torch.rand(2, 3, 7, 9)
    predicted = network.last(network.features(image))
    assert torch.allclose(network(image), image - predicted if residual else predicted)


def test_without_bias_black_stays_black():
    network = DnCNN(1, depth=5, width=4, bias=False, residual=False).eval()
    assert network(torch.zeros(1, 1, 8, 8)).abs().max() == 0


def test_kairs_start_and_normalization():
    torch.manual_seed(0)
    network = DnCNN.of_kair(3)
    assert parameters(network) == 559_363
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.9, 1e-4)}
    scales = torch.cat([norm.weight for norm in norms])
    assert 0.1 <= scales.min() < 0.12
    assert 0.98 < scales.max() <= 1.0
    for layer in (network.features[2], network.last):
        rows = layer.weight.flatten(1)
        assert torch.allclose(rows @ rows.T, 0.04 * torch.eye(len(rows)), atol=1e-5)
        assert layer.bias.abs().max() == 0


def test_margin_is_the_receptive_field():
    network = DnCNN(1, depth=6, width=2, residual=False).eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)  # Positive, so that no ReLU blocks a gradient.
    image = torch.rand(1, 1, 21, 21, requires_grad=True)
    network(image)[0, 0, 10, 10].backward()
    reach = image.grad[0, 0].amax(0).nonzero().ravel()
    assert (reach.min(), reach.max()) == (10 - network.margin_px, 10 + network.margin_px)


def test_bf16_output_is_finer_than_8_bits():
    with torch.autocast("cpu", torch.bfloat16):
        assert DnCNN(3, depth=3, width=8)(torch.rand(1, 3, 16, 16)).dtype == torch.float32
