"""The denoiser of CycleISP (Zamir et al., CVPR 2020): recursive residual groups, RRG."""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROUPS = 4
BLOCKS = 8  # In each group.
REDUCTION = 16  # Of the channels inside the channel attention.


class RRGNet(nn.Module):
    """Groups of dual attention blocks, each group and the whole with a residual from its input.

    Input and output: B x ``channels`` x H x W, any H and W. The channel attention averages over the
    whole image, so every output depends on every input pixel. The published network for raw images
    is also given the variance of the noise in as many further channels; this one is blind to it.

    width: feature channels, 64 in the paper. global_residual: the correction that is added to the
    input starts at zero, and not at random as in the paper.
    """

    multiple_px = 1
    margin_px = None

    def __init__(self, channels: int, *, width: int = 64, global_residual: bool = False) -> None:
        super().__init__()
        self.head = _convolution(channels, width)
        # One for all blocks, as in the authors' code. It is handed on at every call, because a
        # module with many parents would be saved many times.
        self.activation = nn.PReLU(width)
        self.groups = nn.ModuleList(_Group(width) for _ in range(GROUPS))
        self.tail = _convolution(width, width)
        self.last = _convolution(width, channels)
        if global_residual:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(self, image: Tensor) -> Tensor:
        features = self.head(image)
        for group in self.groups:
            features = group(features, self.activation)
        features = self.activation(self.tail(features))
        # bf16 is as coarse as an 8-bit picture: the last sum over channels is taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            return image + self.last(features.to(self.last.weight.dtype))


class _Group(nn.Module):
    """Blocks, a convolution, and a residual: B x width x H x W -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DualAttentionBlock(width) for _ in range(BLOCKS))
        self.last = _convolution(width, width)

    def forward(self, features: Tensor, activation: nn.PReLU) -> Tensor:
        body = features
        for block in self.blocks:
            body = block(body, activation)
        return features + self.last(body)


class DualAttentionBlock(nn.Module):
    """Two convolutions, then weights per pixel and per channel side by side, and a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(1, width // REDUCTION)
        self.first = _convolution(width, width)
        self.second = _convolution(width, width)
        self.pixel_weights = nn.Conv2d(2, 1, 3, padding=1, bias=False)
        self.channel_weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, narrow, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, width, 1),
        )
        self.join = nn.Conv2d(2 * width, width, 1)

    def forward(self, features: Tensor, activation: nn.PReLU) -> Tensor:
        body = self.second(activation(self.first(features)))
        summary = torch.cat([body.amax(1, keepdim=True), body.mean(1, keepdim=True)], dim=1)
        by_pixel = body * self.pixel_weights(summary).sigmoid()
        by_channel = body * self.channel_weights(body).sigmoid()
        return features + self.join(torch.cat([by_pixel, by_channel], dim=1))


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
