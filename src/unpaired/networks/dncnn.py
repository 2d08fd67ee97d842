"""DnCNN: a plain stack of 3x3 convolutions with batch normalization (Zhang et al., TIP 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DnCNN(nn.Module):
    """Convolution and ReLU, ``depth - 2`` times convolution, normalization and ReLU, convolution.

    Input and output: B x ``channels`` x H x W, any H and W.
    bias: whether the convolutions have biases. residual: the layers predict the noise, which is
    taken from the input (section III-A); otherwise they predict the clean image itself.
    """

    multiple_px = 1

    def __init__(
        self,
        channels: int,
        *,
        depth: int = 17,
        width: int = 64,
        bias: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.margin_px = depth  # One pixel per 3x3 convolution.

        def convolution(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)

        layers: list[nn.Module] = [convolution(channels, width), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers += [convolution(width, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.last = convolution(width, channels)

    def forward(self, image: Tensor) -> Tensor:
        features = self.features(image)
        # bf16 is as coarse as an 8-bit picture: the last sum over channels is taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            output = self.last(features.float())
        return image - output if self.residual else output
