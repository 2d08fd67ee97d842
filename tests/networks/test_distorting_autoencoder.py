from __future__ import annotations

import itertools

import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.networks.distorting_autoencoder import (
    NORMALIZATIONS,
    UPSAMPLINGS,
    DistortingAutoencoder,
    PatchDiscriminator,
    RandomFeatures,
)

OPTIONS = {
    "layers": 3,
    "skips": 0,
    "top_skip": False,
    "dropout_layers": 0,
    "upsampling": "transposed",
    "normalization": "none",
    "first_stride": 2,
    "first_channels": 4,
    "max_channels": 8,
    "residual": False,
}


def network(**options) -> DistortingAutoencoder:
    torch.manual_seed(0)
    return DistortingAutoencoder(**(OPTIONS | options))


@pytest.mark.parametrize(
    ("layers", "upsampling", "normalization", "stride"),
    list(itertools.product((1, 2, 5), UPSAMPLINGS, NORMALIZATIONS, (1, 2))),
)
def test_every_kind_keeps_the_size_and_all_of_it_learns(layers, upsampling, normalization, stride):
    net = network(
        layers=layers,
        skips=layers - 1,
        top_skip=True,
        upsampling=upsampling,
        normalization=normalization,
        first_stride=stride,
    )
    assert net.multiple_px == stride * 2 ** (layers - 1)
    output = net(torch.rand(2, 3, 64, 64))
    assert output.shape == (2, 3, 64, 64)
    output.square().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("skips", "top_skip", "expected"),
    [
        (0, False, [False, False, False]),
        (0, True, [True, False, False]),
        (1, False, [False, False, True]),
        (2, True, [True, True, True]),
        (3, False, [True, True, True]),
    ],
)
def test_skips_are_the_deepest_and_the_top_can_be_forced(skips, top_skip, expected):
    assert network(layers=4, skips=skips, top_skip=top_skip).is_skipped == expected


@pytest.mark.parametrize("level", [0, 1])
def test_a_skip_carries_what_the_bottleneck_does_not(level):
    """With the deepest layer cut off, only skipped levels can tell two images apart."""
    net = network(skips=level, top_skip=level == 0).eval()
    assert net.is_skipped == [level == 0, level == 1]
    torch.nn.init.zeros_(net.encoder[-1][0].weight)
    assert not torch.equal(net(torch.rand(1, 3, 16, 16)), net(torch.rand(1, 3, 16, 16)))
    without = network().eval()
    torch.nn.init.zeros_(without.encoder[-1][0].weight)
    assert torch.equal(without(torch.rand(1, 3, 16, 16)), without(torch.rand(1, 3, 16, 16)))


@pytest.mark.parametrize("normalization", ["batch", "instance"])
def test_neither_the_first_nor_the_last_layer_is_normalized(normalization):
    net = network(normalization=normalization)
    assert [type(layer[1]) is torch.nn.Identity for layer in net.encoder] == [True, False, False]
    assert [type(layer[1]) is torch.nn.Identity for layer in net.decoder] == [False, False, True]


def test_a_residual_network_adds_to_the_image():
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(network(residual=True)(image), image + network()(image))


def test_channels_double_up_to_the_most():
    net = network(layers=4, first_channels=4, max_channels=10)
    assert [layer[0].out_channels for layer in net.encoder] == [4, 8, 10, 10]


def test_dropout_is_in_the_deepest_decoder_layers():
    rates = [layer[-1].p for layer in network(layers=3, dropout_layers=2).decoder]
    assert rates == [0.5, 0.5, 0.0]


def test_unknown_kinds():
    with pytest.raises(UnpairedError, match="no upsampling 'nearst'; did you mean 'nearest'"):
        network(upsampling="nearst")
    with pytest.raises(UnpairedError, match="no normalization 'layer'"):
        network(normalization="layer")


@pytest.mark.parametrize(("layers", "side"), [(1, 32), (2, 16), (3, 8)])
def test_discriminator_gives_a_map(layers, side):
    assert PatchDiscriminator(layers, 4)(torch.rand(1, 3, 64, 64)).shape == (1, 1, side, side)


def test_random_features_are_fixed_unit_vectors_and_no_part_of_a_model():
    image = torch.rand(2, 3, 32, 32)
    first, second = RandomFeatures(), RandomFeatures()
    for a, b in zip(first(image), second(image), strict=True):
        assert torch.equal(a, b)
        assert a.square().sum(1).mean().item() == pytest.approx(1, abs=0.01)
    assert not first.state_dict()
    assert not list(first.parameters())
