"""What several networks must keep."""

from __future__ import annotations

import torch
from torch import nn


def assert_bf16_output_is_finer_than_8_bits(network: nn.Module) -> None:
    """The network's last layer, ``last``, may be all zeros at the start: it is drawn anew."""
    torch.nn.init.normal_(network.last.weight, std=0.01)
    image = torch.rand(1, 3, 64, 64)
    exact = network(image)
    with torch.autocast("cpu", torch.bfloat16):
        fast = network(image)
    assert fast.dtype == torch.float32
    assert (fast - exact).square().mean().sqrt() < 0.25 / 255
