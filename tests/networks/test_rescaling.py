"""After rescaling every layer's gradient-to-weight ratio is one number, and outputs keep form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unpaired.networks.alexnet_caffe import CaffeAlexNet
from unpaired.networks.rescaling import gradient_ratios, rescale


def trunks(shares: int) -> list[CaffeAlexNet]:
    """Networks whose layers are of very different scale, with biases."""
    torch.manual_seed(0)
    found = []
    for number in range(shares):
        network = CaffeAlexNet(
            number + 1,
            1,
            width=0.125,
            share=1 / shares,
            grouped=False,
            first_kernel_px=7,
            first_stride=2,
            top_channels=8,
            top_kernel_px=1,
        )
        for layer, scale in zip(network.convolutions, (0.1, 3, 1, 0.5, 8), strict=True):
            torch.nn.init.normal_(layer.bias, std=0.1)
            with torch.no_grad():
                layer.weight.mul_(scale * (1 + number))
        found.append(network)
    return found


@pytest.mark.parametrize("shares", [1, 2])
def test_all_layers_learn_equally_fast_and_outputs_are_the_same_but_for_their_scale(shares):
    networks = trunks(shares)
    torch.manual_seed(1)
    pictures = [torch.randn(8, number + 1, 48, 48) for number in range(shares)]

    def run():
        shown = zip(networks, pictures, strict=True)
        return [network.features(one, padded=True)["conv5"] for network, one in shown]

    branches = [list(network.convolutions) for network in networks]
    before = [one.detach() for one in run()]
    uneven = np.array(gradient_ratios(branches, run, torch.Generator().manual_seed(2)))
    assert uneven.max() / uneven.min() > 3
    rescale(branches, run, torch.Generator().manual_seed(2))
    after = [one.detach() for one in run()]
    for old, new in zip(before, after, strict=True):
        factor = float((old * new).sum() / old.square().sum())
        torch.testing.assert_close(new, factor * old, rtol=1e-3, atol=1e-4 * float(new.max()))
    variance = np.mean([float(one.var(correction=0)) for one in after])
    assert variance == pytest.approx(1, rel=1e-3)
    ratios = np.array(gradient_ratios(branches, run, torch.Generator().manual_seed(2)))
    assert ratios.max() / ratios.min() < 1.01
