"""The U-Net of Noise2Void's authors (their package takes it from CSBDeep), for any channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Batch normalization as in Keras, which the authors' package runs on, but with averages over about
# 10 steps, not 100: the same for the authors' 80,000 steps, and not still at its start after 100.
EPSILON = 1e-3
MOMENTUM = 0.1


class N2VUNet(nn.Module):
    """U-Net whose channels double at every level, normalized over the batch after each convolution.

    Input and output: B x ``channels`` x H x W, standardized; H and W multiples of ``multiple_px``.
    Two convolutions per level, max-pooling, nearest up-sampling, ReLU everywhere, and a linear 1x1
    convolution at the end; weights start as Glorot's uniform ones (the defaults of Keras).

    depth: number of poolings. width: feature channels of the first level. kernel_px: side of the
    convolutions, odd. residual: the network predicts a correction that is added to its input.
    """

    def __init__(
        self,
        channels: int,
        *,
        depth: int = 2,
        width: int = 96,
        kernel_px: int = 3,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.depth, self.kernel_px, self.residual = depth, kernel_px, residual
        # Feature channels of the levels, the coarsest included; above the top there are no fewer.
        widths = [width * 2**level for level in range(depth + 1)]
        inputs = [channels, *widths[: depth - 1]]
        outputs = [width, *widths[: depth - 1]]

        def block(*features: int) -> nn.Sequential:
            return _two_convolutions(*features, kernel_px=kernel_px)

        self.encoders = nn.ModuleList(
            block(inputs[level], widths[level], widths[level]) for level in range(depth)
        )
        self.bottleneck = block(widths[depth - 1], widths[depth], widths[depth - 1])
        self.decoders = nn.ModuleList(
            block(2 * widths[level], widths[level], outputs[level]) for level in range(depth)
        )
        self.last = nn.Conv2d(width, channels, 1)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    @property
    def multiple_px(self) -> int:
        """Sides of the input are multiples of this."""
        return 2**self.depth

    @property
    def margin_px(self) -> int:
        """Bound on half the receptive field: the convolutions' reach and the pooling cell's."""
        kernels = 4 * (2**self.depth - 1) + 2 * 2**self.depth
        return kernels * (self.kernel_px // 2) + 2**self.depth - 1

    def forward(self, image: Tensor) -> Tensor:
        features, skips = image, []
        for encoder in self.encoders:
            skips.append(encoder(features))
            features = self.pool(skips[-1])
        features = self.bottleneck(features)
        for decoder in reversed(self.decoders):
            features = decoder(torch.cat([self.up(features), skips.pop()], dim=1))
        # bf16 is as coarse as an 8-bit picture: the last sum over channels is taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            output = self.last(features.float())
        return image + output if self.residual else output


def _two_convolutions(inputs: int, middle: int, outputs: int, *, kernel_px: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((inputs, middle), (middle, outputs)):
        layers += [
            nn.Conv2d(before, after, kernel_px, padding=kernel_px // 2),
            nn.BatchNorm2d(after, eps=EPSILON, momentum=MOMENTUM),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class SeparateChannels(nn.Module):
    """One network per channel, none of which sees another channel.

    networks: each maps B x 1 x H x W to the same shape; all of one architecture.
    """

    def __init__(self, networks: list[N2VUNet]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    @property
    def multiple_px(self) -> int:
        return self.networks[0].multiple_px

    @property
    def margin_px(self) -> int:
        return self.networks[0].margin_px

    def forward(self, image: Tensor) -> Tensor:
        planes = image.split(1, dim=1)
        restored = [network(plane) for network, plane in zip(self.networks, planes, strict=True)]
        return torch.cat(restored, dim=1)
