"""The U-Net of the self-supervised denoising papers, in its two published flavors."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Five-level U-Net with three 1x1 convolutions at the end (Laine et al. 2019, Fig. 4 of supp.).

    Input and output: B x C x H x W; H and W multiples of ``multiple_px``. The authors of
    Neighbor2Neighbor use LeakyReLU 0.2, learned 2x2 deconvolutions and a scaled Kaiming start; the
    authors of the blind-spot paper LeakyReLU 0.1, nearest up-sampling and He initialization.

    global_residual: the network predicts a correction that is added to its input. It is given the
    image minus 0.5 and starts with He initialization, deconvolutions that repeat pixels, and a
    correction of zero. Not in any of the papers; it lets a training of minutes start at the
    identity instead of learning it.
    """

    multiple_px = 32
    # Half the receptive field, rounded up to the pooling grid: 3x3 convolutions at scales 1..32
    # reach 126 px, the pooling cells 31 px more.
    margin_px = 160

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 48,
        negative_slope: float = 0.2,
        upsampling: Literal["deconvolution", "nearest"] = "deconvolution",
        initialization: Literal["scaled_kaiming", "he"] = "scaled_kaiming",
        global_residual: bool = False,
    ) -> None:
        super().__init__()
        if global_residual and in_channels != out_channels:
            raise ValueError("a global residual needs as many output as input channels")
        self.global_residual = global_residual

        def convolution(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(negative_slope, inplace=True)
            )

        def up(channels: int) -> nn.Module:
            if upsampling == "nearest":
                return nn.Upsample(scale_factor=2, mode="nearest")
            return nn.ConvTranspose2d(channels, channels, 2, stride=2)

        wide = 2 * width
        self.pool = nn.MaxPool2d(2)
        self.encoders = nn.ModuleList(
            [nn.Sequential(convolution(in_channels, width), convolution(width, width))]
            + [convolution(width, width) for _ in range(4)]
        )
        self.bottleneck = convolution(width, width)
        self.ups = nn.ModuleList([up(width)] + [up(wide) for _ in range(4)])
        skips = [width, width, width, width, in_channels]
        inputs = [width] + [wide] * 4
        self.decoders = nn.ModuleList(
            nn.Sequential(convolution(below + skip, wide), convolution(wide, wide))
            for below, skip in zip(inputs, skips, strict=True)
        )
        self.head = nn.Sequential(
            nn.Conv2d(wide, wide, 1),
            nn.LeakyReLU(negative_slope, inplace=True),
            nn.Conv2d(wide, wide, 1),
            nn.LeakyReLU(negative_slope, inplace=True),
        )
        self.last = nn.Conv2d(wide, out_channels, 1)
        self._initialize("he" if global_residual else initialization)

    @classmethod
    def of_laine19(cls, in_channels: int, out_channels: int, **options: Any) -> UNet:
        """Return the flavor of Laine et al. 2019; ``options``: width, global_residual."""
        return cls(
            in_channels,
            out_channels,
            negative_slope=0.1,
            upsampling="nearest",
            initialization="he",
            **options,
        )

    def _initialize(self, initialization: str) -> None:
        for module in self.modules():
            if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                continue
            if initialization == "scaled_kaiming":
                # The authors' code: Kaiming with a gain of sqrt(2), a tenth of that, everywhere.
                nn.init.kaiming_normal_(module.weight)
                module.weight.data.mul_(0.1)
            else:
                gain_of = "linear" if module is self.last else "relu"
                nn.init.kaiming_normal_(module.weight, nonlinearity=gain_of)
            nn.init.zeros_(module.bias)
        if self.global_residual:
            nn.init.zeros_(self.last.weight)
            for up in self.ups:
                if isinstance(up, nn.ConvTranspose2d):
                    nn.init.zeros_(up.weight)
                    up.weight.data.diagonal(dim1=0, dim2=1).fill_(1)

    def forward(self, image: Tensor) -> Tensor:
        features = image - 0.5 if self.global_residual else image
        skips = [features]
        for encoder in self.encoders:
            features = self.pool(encoder(features))
            skips.append(features)
        features = self.bottleneck(skips.pop())
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            features = up(features)
            # The image itself is fp32; concatenated as it is, it would widen all channels.
            skip = skips.pop().to(features.dtype)
            features = decoder(torch.cat([features, skip], dim=1))
        features = self.head(features)
        # bf16 keeps 8 significant bits: as coarse as an 8-bit picture. The last sum over channels
        # and the residual are therefore taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            output = self.last(features.float())
        return image + output if self.global_residual else output
