"""DnCNN: a plain stack of 3x3 convolutions with batch normalization (Zhang et al., TIP 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn


class DnCNN(nn.Module):
    """Convolution and ReLU, ``depth - 2`` times convolution, normalization and ReLU, convolution.

    Input and output: B x ``channels`` x H x W, any H and W.
    bias: whether the convolutions have biases. residual: the layers predict the noise, which is
    taken from the input (section III-A); otherwise they predict the clean image itself.
    normalization: settings of the batch normalization, PyTorch's own where they are not given.
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
        normalization: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.residual = residual
        self.margin_px = depth  # One pixel per 3x3 convolution.

        def convolution(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)

        layers: list[nn.Module] = [convolution(channels, width), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            normalize = nn.BatchNorm2d(width, **normalization)
            layers += [convolution(width, width), normalize, nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.last = convolution(width, channels)

    @classmethod
    def of_kair(cls, channels: int, *, width: int = 64) -> DnCNN:
        """Return the network as the KAIR code base, with which LUD-VAE was scored, starts it.

        A momentum of 0.9 makes the running statistics almost those of the last batch. In the
        original paper they are an average over many batches.
        """
        network = cls(channels, width=width, normalization={"momentum": 0.9, "eps": 1e-4})
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.orthogonal_(module.weight, gain=0.2)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.1, 1.0)
        return network

    def forward(self, image: Tensor) -> Tensor:
        features = self.features(image)
        # bf16 is as coarse as an 8-bit picture: the last sum over channels is taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            output = self.last(features.float())
        return image - output if self.residual else output
