from __future__ import annotations

import torch
from safetensors.torch import save_file
from torch import nn

from tests.networks.checks import assert_bf16_output_is_finer_than_8_bits
from unpaired.networks.rrg import DualAttentionBlock, RRGNet


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_the_blind_network_and_of_the_published_one():
    def three(inputs, outputs):
        return 9 * inputs * outputs + outputs

    attention = 9 * 2 + (64 * 4 + 4) + (4 * 64 + 64) + (128 * 64 + 64)
    groups = 4 * (8 * (2 * three(64, 64) + attention) + three(64, 64))
    blind = three(4, 64) + groups + three(64, 64) + three(64, 4) + 64
    assert parameters(RRGNet(4)) == blind == 2_836_100
    # Four channels more in, for the variance of the noise.
    assert blind + 9 * 4 * 64 == 2_838_404


def test_a_block_written_out():
    torch.manual_seed(0)
    block, activation = DualAttentionBlock(32), nn.PReLU(32, init=0.25)
    features = torch.randn(2, 32, 6, 7)
    body = block.first(features)
    body = block.second(torch.where(body > 0, body, 0.25 * body))
    summary = torch.stack([body.max(1).values, body.sum(1) / 32], dim=1)
    kernel = block.pixel_weights.weight
    by_pixel = body / (1 + torch.exp(-nn.functional.conv2d(summary, kernel, padding=1)))
    _, down, _, up = block.channel_weights
    hidden = torch.relu(body.mean((2, 3)) @ down.weight[:, :, 0, 0].T + down.bias)
    weights = 1 / (1 + torch.exp(-(hidden @ up.weight[:, :, 0, 0].T + up.bias)))
    both = torch.cat([by_pixel, body * weights[:, :, None, None]], dim=1)
    expected = features + block.join(both)
    assert torch.allclose(block(features, activation), expected, atol=1e-5)


def test_the_correction_is_added_to_the_input():
    image = torch.rand(1, 4, 9, 14)
    assert torch.equal(RRGNet(4, width=4, global_residual=True)(image), image)
    network = RRGNet(4, width=4)
    nn.init.zeros_(network.last.weight)
    nn.init.constant_(network.last.bias, 0.25)
    assert torch.allclose(network(image), image + 0.25)


def test_one_slope_serves_all_blocks_and_is_saved_once(tmp_path):
    network = RRGNet(3, width=16)
    assert len([m for m in network.modules() if isinstance(m, nn.PReLU)]) == 1
    network(torch.rand(1, 3, 8, 8)).sum().backward()
    assert network.activation.weight.grad.abs().max() > 0
    save_file(network.state_dict(), tmp_path / "rrg.safetensors")


def test_every_pixel_reaches_every_output():
    """Why the network has no margin: the channel attention averages over the whole image."""
    torch.manual_seed(0)
    image = torch.rand(1, 1, 160, 160, dtype=torch.float64, requires_grad=True)
    RRGNet(1, width=8).double()(image)[0, 0, 0, 0].backward()
    assert image.grad[0, 0, -1, -1] != 0
    assert RRGNet.margin_px is None


def test_bf16_output_is_finer_than_8_bits():
    torch.manual_seed(0)
    assert_bf16_output_is_finer_than_8_bits(RRGNet(3, width=8, global_residual=True))
