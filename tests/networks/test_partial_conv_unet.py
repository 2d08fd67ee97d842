from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.nn import functional

from unpaired.networks.partial_conv_unet import PartialConv, PartialConvUNet, drop


def draw(*shape: int, keep: float = 0.7, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < keep).float()


def layer(inputs: int, outputs: int) -> PartialConv:
    torch.manual_seed(0)
    made = PartialConv(inputs, outputs)
    torch.nn.init.normal_(made.bias)
    return made


def naive(features: Tensor, known: Tensor, convolution: PartialConv) -> tuple[Tensor, Tensor]:
    """Loop over the windows of a single image; the border is repeated once."""
    channels, height, width = features.shape
    outputs = torch.zeros(len(convolution.bias), height, width)
    reached = torch.zeros(1, height, width)
    for row, column in itertools.product(range(height), range(width)):
        rows = [min(max(row + step, 0), height - 1) for step in (-1, 0, 1)]
        columns = [min(max(column + step, 0), width - 1) for step in (-1, 0, 1)]
        window = features[:, rows][:, :, columns]
        mask = known[:, rows][:, :, columns].expand(channels, 3, 3)
        if mask.sum() == 0:
            continue
        ratio = channels * 9 / mask.sum()
        products = convolution.weight * (window * mask)
        outputs[:, row, column] = products.sum((1, 2, 3)) * ratio + convolution.bias
        reached[0, row, column] = 1
    return outputs, reached


def test_parameters_of_the_authors_layers():
    def convolution(inputs, outputs):
        return 9 * inputs * outputs + outputs

    for channels in (1, 3):
        total = convolution(channels, 48) + 6 * convolution(48, 48)
        total += convolution(96, 96) + 3 * convolution(144, 96) + 4 * convolution(96, 96)
        total += convolution(96 + channels, 64) + convolution(64, 32) + convolution(32, channels)
        network = PartialConvUNet(channels)
        assert sum(parameter.numel() for parameter in network.parameters()) == total
    assert total == 991_203


@pytest.mark.parametrize(("channels", "shared", "keep"), [(3, False, 0.2), (4, True, 0.15)])
def test_partial_convolution_equals_a_loop_over_windows(channels, shared, keep):
    convolution = layer(channels, 5)
    features = torch.randn(2, channels, 7, 9)
    known = draw(2, 1 if shared else channels, 7, 9, keep=keep)
    known[:, :, 2:5, 2:5] = 0
    output, reached = convolution(features, known)
    for image in range(2):
        expected, mask = naive(features[image], known[image], convolution)
        assert mask[0, 3, 3] == 0
        torch.testing.assert_close(output[image], expected, atol=1e-5, rtol=1e-4)
        assert torch.equal(reached[image], mask)


@pytest.mark.parametrize("known", [None, torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8)])
def test_with_everything_known_it_is_an_ordinary_convolution(known):
    convolution = layer(3, 4)
    features = torch.randn(1, 3, 8, 8)
    output, reached = convolution(features, known)
    padded = functional.pad(features, (1, 1, 1, 1), mode="replicate")
    expected = functional.conv2d(padded, convolution.weight, convolution.bias)
    torch.testing.assert_close(output, expected)
    assert reached is None


def test_a_constant_stays_constant_however_much_is_known():
    """Equal weights make the layer a mean of the known values."""
    convolution = PartialConv(3, 1)
    torch.nn.init.constant_(convolution.weight, 1 / 27)
    output, _ = convolution(torch.full((1, 3, 16, 16), 0.3), draw(1, 3, 16, 16, keep=0.5))
    torch.testing.assert_close(output, torch.full((1, 1, 16, 16), 0.3))


def test_the_linear_part_scales_with_the_image():
    convolution = layer(2, 3)
    torch.nn.init.zeros_(convolution.bias)
    features, known = torch.randn(1, 2, 9, 9), draw(1, 2, 9, 9, keep=0.3)
    once, thrice = (convolution(factor * features, known)[0] for factor in (1, 3))
    torch.testing.assert_close(thrice, 3 * once)


def test_the_mask_grows_by_one_pixel_around_what_is_known():
    convolution = PartialConv(1, 2)
    known = torch.zeros(1, 1, 9, 9)
    known[..., 4, 4] = 1
    features = torch.randn(1, 1, 9, 9)
    for radius in (1, 2, 3):
        features, known = convolution(features, known)
        expected = torch.zeros(9, 9)
        expected[4 - radius : 5 + radius, 4 - radius : 5 + radius] = 1
        assert torch.equal(known[0, 0], expected)
        assert (features[0] * (1 - expected) == 0).all()
        features = features[:, :1]
    assert convolution(features, known)[1] is None


@pytest.mark.parametrize("keep", [0.7, 0.03])
def test_what_is_not_known_has_no_influence(keep):
    network = PartialConvUNet(3, width=6)
    known = draw(1, 3, 48, 48, keep=keep)
    image = torch.rand(1, 3, 48, 48, requires_grad=True)
    torch.manual_seed(1)
    output = network(image, known)
    output.square().sum().backward()
    assert (image.grad[known == 0] == 0).all()
    assert (image.grad[known == 1] != 0).float().mean() > 0.9
    other = torch.where(known == 1, image, 9.0)
    torch.manual_seed(1)
    torch.testing.assert_close(network(other, known), output)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 5, 1), (2, 1, 33, 47), (1, 4, 64, 32)])
def test_any_size_and_channels(shape):
    network = PartialConvUNet(shape[1], width=6)
    output = network(torch.rand(shape), draw(*shape))
    assert output.shape == shape
    assert output.dtype == torch.float32
    assert output.min() > 0
    assert output.max() < 1


def test_dropout_is_active_in_evaluation_mode():
    network = PartialConvUNet(1, width=6).eval()
    image, known = torch.rand(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    assert not torch.equal(network(image, known), network(image, known))
    network.dropout = 0.0
    assert torch.equal(network(image, known), network(image, known))


@pytest.mark.parametrize("rate", [0.3, 0.05])
def test_dropout_drops_single_values_at_its_rate_and_keeps_the_mean(rate):
    torch.manual_seed(0)
    values = torch.rand(2, 7, 65, 63) + 1
    dropped = drop(values, rate)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], values[kept] / (1 - rate))
    count = kept.numel()
    expected = [count * (1 - rate), count * rate]
    assert chisquare([kept.sum().item(), count - kept.sum().item()], expected).pvalue > 1e-3
    # Four neighbors in memory share a draw of 64 bits; channels lie next to each other there.
    flat = kept.permute(0, 2, 3, 1).double()
    for shift in (1, 2, 3, 4):
        for a, b in (
            (flat[..., :-shift], flat[..., shift:]),
            (flat[:, :, :-shift], flat[:, :, shift:]),
        ):
            correlation = torch.corrcoef(torch.stack((a.ravel(), b.ravel())))[0, 1]
            assert abs(correlation) < 0.03


def test_dropout_passes_gradients_through_what_it_keeps():
    values = torch.rand(1, 4, 16, 16, requires_grad=True)
    dropped = drop(values, 0.5)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, 2 * (dropped != 0).float())


def test_initialization_is_the_authors():
    torch.manual_seed(0)
    network = PartialConvUNet(3)
    encoder = network.encoders[2].weight
    assert encoder.abs().max().item() == pytest.approx((6 / (9 * 96)) ** 0.5, rel=0.01)
    assert encoder.std().item() == pytest.approx((2 / (9 * 96)) ** 0.5, rel=0.05)
    assert network.decoders[0][0].weight.std().item() == pytest.approx((2 / 864) ** 0.5, rel=0.05)
    assert network.last.weight.std().item() == pytest.approx((1 / 288) ** 0.5, rel=0.1)
