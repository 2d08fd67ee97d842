"""The hourglass with thin skip connections of Deep Image Prior (Ulyanov et al., CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SCALES = 5


class SkipNet(nn.Module):
    """Five scales: down by strided convolutions, up bilinearly.

    Every convolution is padded by reflection and followed by batch normalization over this one
    batch and LeakyReLU 0.2; 1x1 convolutions make the skip connections, end each scale and give the
    output, which a sigmoid keeps in [0, 1]. The authors' layers, in their order.

    Input: B x ``in_channels`` x H x W; H and W multiples of ``multiple_px`` and at least
    ``smallest_px``, for there is nothing to reflect in a map of one pixel. Output: B x
    ``out_channels`` x H x W, float32.
    width: feature channels on the way down and up. skip_width: of the skip connections.
    """

    multiple_px = 2**SCALES
    smallest_px = 2 * multiple_px

    def __init__(
        self, in_channels: int, out_channels: int, *, width: int = 128, skip_width: int = 4
    ) -> None:
        super().__init__()
        inputs = [in_channels] + [width] * (SCALES - 1)
        self.skips = nn.ModuleList(_block(channels, skip_width, size=1) for channels in inputs)
        self.downs = nn.ModuleList(
            nn.Sequential(_block(channels, width, size=3, stride=2), _block(width, width, size=3))
            for channels in inputs
        )
        self.ups = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(skip_width + width),
                _block(skip_width + width, width, size=3),
                _block(width, width, size=1),
            )
            for _ in inputs
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear")
        self.last = nn.Conv2d(width, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        skipped = []
        for skip, down in zip(self.skips, self.downs, strict=True):
            skipped.append(skip(features))
            features = down(features)
        for up in reversed(self.ups):
            features = up(torch.cat([skipped.pop(), self.upsample(features)], dim=1))
        # bf16 is as coarse as an 8-bit picture: the last sum over channels is taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            return self.last(features.float()).sigmoid()


def _block(inputs: int, outputs: int, *, size: int, stride: int = 1) -> nn.Sequential:
    padding = [_ReflectionPad(size // 2)] if size > 1 else []
    return nn.Sequential(
        *padding,
        nn.Conv2d(inputs, outputs, size, stride),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.2, inplace=True),
    )


class _ReflectionPad(nn.ReflectionPad2d):
    def forward(self, features: Tensor) -> Tensor:
        # Autocast on a CPU would widen the features to fp32 and the convolution narrow them again.
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features)
