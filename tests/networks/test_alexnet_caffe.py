"""The thesis's AlexNet: the sizes of Tables 5.2 and 5.3, halves, and normalization folded away."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unpaired.networks.alexnet_caffe import LAYERS, CaffeAlexNet

SMALL = {"width": 0.25, "first_kernel_px": 7, "first_stride": 2, "top_channels": 48}


def sizes(features: dict) -> list[tuple[int, int]]:
    return [(one.shape[1], one.shape[2]) for one in features.values()]


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    return CaffeAlexNet(3, 10, top_channels=64)


@pytest.mark.parametrize(
    ("side", "padded", "layers"),
    [
        (180, True, [(96, 45), (256, 23), (384, 12), (384, 12), (256, 12)]),  # Table 5.2
        (227, False, [(96, 55), (256, 27), (384, 13), (384, 13), (256, 13)]),  # Table 5.3
    ],
)
def test_layers_have_the_sizes_of_the_thesis(whole, side, padded, layers):
    with torch.inference_mode():
        found = whole.features(torch.zeros(1, 3, side, side), padded=padded)
    assert list(found) == list(LAYERS)
    assert sizes(found) == layers


def test_the_output_lies_at_every_16th_pixel(whole):
    assert whole.stride_px == 16
    with torch.inference_mode():
        assert whole(torch.zeros(1, 3, 180, 180)).shape == (1, 10, 12, 12)


def test_a_whole_network_has_the_parameters_of_alexnet():
    """Grouped convolutions of 35k, 307k, 885k, 664k and 443k numbers, and a head of AlexNet's."""
    with torch.device("meta"):
        network = CaffeAlexNet(3, 1000)
    counts = [sum(p.numel() for p in layer.parameters()) for layer in network.convolutions]
    assert counts == [34_944, 307_456, 885_120, 663_936, 442_624]
    assert sum(p.numel() for p in network.parameters()) == 60_965_224


def test_a_half_has_half_the_channels_and_no_groups():
    with torch.device("meta"):
        half = CaffeAlexNet(1, 313, share=0.5, grouped=False)
    assert half.channels == (48, 128, 192, 192, 128)
    assert {layer.groups for layer in half.convolutions} == {1}
    assert half.head[0].out_channels == 2048


def test_features_are_those_of_layers_written_out(whole):
    """The form of Table 5.3, as a chain of PyTorch's modules."""
    torch.manual_seed(1)
    picture = torch.randn(1, 3, 99, 99)
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    first = nn.Conv2d(3, 96, 11, stride=4)
    first.load_state_dict(whole.convolutions[0].state_dict())
    second, third = whole.convolutions[1], whole.convolutions[2]
    with torch.inference_mode():
        chain = nn.Sequential(first, nn.ReLU(), pool, second, nn.ReLU(), pool, third, nn.ReLU())
        found = whole.features(picture)["conv3"]
        torch.testing.assert_close(found, chain(picture))


def test_folding_changes_no_output():
    torch.manual_seed(2)
    network = CaffeAlexNet(2, 5, top_kernel_px=3, **SMALL)
    network.normalize()
    for norm in network.norms:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
    for _ in range(3):
        network(torch.randn(4, 2, 41, 41) + 1)
    network.eval()
    picture = torch.randn(2, 2, 41, 41)
    with torch.inference_mode():
        before, features = network(picture), network.features(picture)
        network.fold()
        assert network.norms is None
        torch.testing.assert_close(network(picture), before, rtol=1e-4, atol=1e-4)
        after = network.features(picture)
    for layer in LAYERS:
        torch.testing.assert_close(after[layer], features[layer], rtol=1e-4, atol=1e-4)
    assert not any("norm" in name for name in network.state_dict())


@pytest.mark.parametrize("kernel", [3, 6])
def test_the_head_keeps_the_size(kernel):
    network = CaffeAlexNet(1, 1, top_kernel_px=kernel, **SMALL)
    assert network(torch.zeros(1, 1, 41, 41)).shape == (1, 1, 6, 6)
