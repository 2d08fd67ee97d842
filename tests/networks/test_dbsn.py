from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from unpaired.networks.dbsn import CenterMaskedConv2d, DilatedBlindSpotNet, PointwiseStack
from unpaired.networks.neighbors import mean_of_neighbors


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def randomized(network: nn.Module) -> nn.Module:
    """Non-zero weights everywhere, the center taps of masked convolutions included."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.double()


def outputs(network: nn.Module, stack: nn.Module, image: Tensor) -> Tensor:
    mean, features = network(image)
    return torch.cat([mean, stack(features)], dim=1)


def self_and_neighbor_change(network: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """Change every pixel in turn; return how its own output and its neighbors' moved."""
    stack = randomized(PointwiseStack(network.join.out_channels, 2, width=4, layers=3))
    height, width = image.shape[-2:]
    own, near = torch.zeros(height, width), torch.zeros(height, width)
    with torch.no_grad():
        before = outputs(network, stack, image)
        for row in range(height):
            changed = image.repeat(width, 1, 1, 1)
            columns = torch.arange(width)
            changed[columns, :, row, columns] += 1.0
            moved = (outputs(network, stack, changed) - before).abs().amax(1)
            for column in range(width):
                plane = moved[column]
                own[row, column] = plane[row, column]
                rows, cols = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
                near[row, column] = plane[rows, cols].max()
    return own, near


def test_parameters_of_the_published_network():
    w, c = 96, 3
    pointwise = w * w + w
    block = 3 * pointwise + (25 * w * w + w) + (9 * w * w + w) + (3 * w * w + w) + 2 * pointwise
    branch = {k: (k * k * w * w + w) + 2 * pointwise + 8 * block + pointwise for k in (3, 5)}
    tail = 2 * pointwise + w * c + c
    mean = (c * w + w) + branch[3] + branch[5] + (2 * w * w + w) + tail
    network = DilatedBlindSpotNet(c)
    assert parameters(network) == mean == 6_612_675
    assert parameters(PointwiseStack(w, c, width=32, layers=3)) == 4_259
    assert parameters(PointwiseStack(c, c, width=32, layers=5)) == 3_395


@pytest.mark.parametrize("global_residual", [False, True])
def test_no_output_depends_on_its_own_pixel(global_residual):
    """Every pixel of the image, borders and corners included, through all blocks."""
    network = randomized(DilatedBlindSpotNet(2, width=4, blocks=8, global_residual=global_residual))
    image = torch.rand(1, 2, 24, 20, dtype=torch.float64)
    own, near = self_and_neighbor_change(network, image)
    assert own.max() == 0
    assert near.min() > 0


@pytest.mark.parametrize("kernel_px", [3, 5])
def test_each_branch_is_blind_by_itself(kernel_px):
    network = randomized(DilatedBlindSpotNet(1, width=3, blocks=3))
    branch = network.branches[(3, 5).index(kernel_px)]
    # Positive weights and inputs: no activation is closed and nothing cancels.
    for parameter in branch.parameters():
        parameter.data.abs_()
    image = torch.rand(1, 3, 17, 17, dtype=torch.float64, requires_grad=True)
    branch(image)[0, :, 8, 8].sum().backward()
    assert image.grad[0, :, 8, 8].abs().max() == 0
    assert image.grad[0, :, 8, 9].abs().max() > 0


def test_the_center_neither_acts_nor_learns():
    convolution = CenterMaskedConv2d(2, 3)
    features = torch.rand(1, 2, 6, 6)
    before = convolution(features)
    before.square().sum().backward()
    assert convolution.weight.grad[..., 1, 1].abs().max() == 0
    assert convolution.weight.grad[..., 0, 1].abs().max() > 0
    convolution.weight.data[..., 1, 1] = 100
    assert torch.equal(convolution(features), before)


def test_training_and_saved_weights_stay_blind():
    torch.manual_seed(0)
    network = DilatedBlindSpotNet(1, width=4, blocks=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=0.1)
    image = torch.rand(2, 1, 16, 16)
    for _ in range(5):
        optimizer.zero_grad()
        (network(image)[0] - image).square().mean().backward()
        optimizer.step()
    copy = DilatedBlindSpotNet(1, width=4, blocks=1)
    copy.load_state_dict(network.state_dict())
    own, _ = self_and_neighbor_change(copy.double(), image[:1].double())
    assert own.max() == 0


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_margin_is_the_reach_and_no_more(blocks):
    network = randomized(DilatedBlindSpotNet(1, width=3, blocks=blocks))
    margin = network.margin_px
    assert margin == 2 + 6 * blocks
    side, center = 2 * margin + 9, margin + 4
    # Positive weights and inputs: no activation is closed and nothing cancels.
    for parameter in network.parameters():
        parameter.data.abs_()
    image = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    network(image)[0][0, 0, center, center].backward()
    seen = image.grad[0, 0].abs() > 0
    rows, columns = (seen.any(axis).nonzero().ravel() for axis in (1, 0))
    for found in (rows, columns):
        assert (center - found.min().item(), found.max().item() - center) == (margin, margin)


def test_margin_of_the_published_network():
    assert DilatedBlindSpotNet(3, width=2).margin_px == 50
    assert DilatedBlindSpotNet.multiple_px == 1


def test_global_residual_starts_at_the_mean_of_the_neighbors():
    image = torch.rand(2, 3, 13, 18)
    mean, features = DilatedBlindSpotNet(3, width=8, blocks=1, global_residual=True)(image)
    assert torch.equal(mean, mean_of_neighbors(image))
    assert features.shape == (2, 8, 13, 18)


def test_weights_start_as_he_drew_them():
    network = DilatedBlindSpotNet(3, width=48, blocks=1)
    far = network.branches[1][2].far[1].weight
    assert far.std().item() == pytest.approx((2 / (48 * 25)) ** 0.5, rel=0.05)
    assert network.tail.last.weight.std().item() == pytest.approx((2 / 48) ** 0.5, rel=0.2)
    assert all(m.bias.abs().max() == 0 for m in network.modules() if isinstance(m, nn.Conv2d))


def test_bf16_output_is_finer_than_8_bits():
    torch.manual_seed(0)
    network = DilatedBlindSpotNet(3, width=16, blocks=2, global_residual=True)
    nn.init.normal_(network.tail.last.weight, std=0.01)
    image = torch.rand(1, 3, 32, 32)
    exact, _ = network(image)
    with torch.autocast("cpu", torch.bfloat16):
        fast, _ = network(image)
    assert fast.dtype == torch.float32
    assert (fast - exact).square().mean().sqrt() < 0.5 / 255
