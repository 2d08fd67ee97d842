"""The blind-spot U-Net: four half-plane views of an image, joined where none sees the pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.networks.neighbors import mean_of_neighbors

# Rows of zeros above what a causal 3x3 convolution takes: a row then sees itself and two above.
CAUSAL_ROWS = 2


class BlindSpotUNet(nn.Module):
    """Network of Laine et al. 2019, section 2: the output at a pixel never depends on that pixel.

    A five-level U-Net whose receptive field grows upwards only runs over the image turned by 0, 90,
    180 and 270 degrees with shared weights. Its features are shifted down by one row, turned back,
    and joined by 1x1 convolutions, so the output sees the whole image but its own pixel.
    Input B x C x H x W, output B x out_channels x H x W, H and W multiples of ``multiple_px``.

    global_residual: the first C outputs are a correction that is added to the mean of a pixel's
    neighbors. The last layer starts at zero, and the network is given the image minus 0.5. Not in
    the paper; it lets a training of minutes start near its goal.
    """

    multiple_px = 32
    # In one direction: 3x3 convolutions at scales 1..32 reach twice 126 px, the pooling cells and
    # their shifts 31 px each, the last shift 1 px; rounded up to the pooling grid.
    margin_px = 320

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 48,
        negative_slope: float = 0.1,
        global_residual: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.global_residual = global_residual
        self.half_plane = _HalfPlaneUNet(in_channels, width, negative_slope)
        joined = 4 * self.half_plane.out_channels
        self.head = nn.Sequential(
            nn.Conv2d(joined, joined, 1),
            nn.LeakyReLU(negative_slope, inplace=True),
            nn.Conv2d(joined, 2 * width, 1),
            nn.LeakyReLU(negative_slope, inplace=True),
        )
        self.last = nn.Conv2d(2 * width, out_channels, 1)
        self._initialize()

    def _initialize(self) -> None:
        """He initialization; the last layer has a gain of 1."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                gain_of = "linear" if module is self.last else "relu"
                nn.init.kaiming_normal_(module.weight, nonlinearity=gain_of)
                nn.init.zeros_(module.bias)
        if self.global_residual:
            nn.init.zeros_(self.last.weight)

    def features(self, image: Tensor) -> Tensor:
        """Return the joined features, B x 8 width x H x W: those of 0, 90, 180, 270 degrees."""
        if self.global_residual:
            image = image - 0.5
        turned = [image.rot90(turns, (2, 3)) for turns in range(4)]
        if image.shape[2] == image.shape[3]:
            seen = self.half_plane(torch.cat(turned)).chunk(4)
        else:
            upright, sideways = (self.half_plane(torch.cat(turned[k::2])).chunk(2) for k in (0, 1))
            seen = upright[0], sideways[0], upright[1], sideways[1]
        return torch.cat([part.rot90(-turns, (2, 3)) for turns, part in enumerate(seen)], dim=1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.head(self.features(image))
        # As in UNet: the last sum over channels and the residual are taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            output = self.last(features.to(image.dtype))
        if not self.global_residual:
            return output
        correction, rest = output.tensor_split((self.in_channels,), dim=1)
        return torch.cat([mean_of_neighbors(image) + correction, rest], dim=1)


class _HalfPlaneUNet(nn.Module):
    """U-Net whose features at row i see the rows above i only.

    Every tensor is kept with the rows of zeros on top that its reader needs. They survive the
    activation, pooling halves their number and up-sampling doubles it.
    """

    def __init__(self, in_channels: int, width: int, negative_slope: float) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=(0, 1))

        wide = self.out_channels = 2 * width
        self.negative_slope = negative_slope
        self.first = convolution(in_channels, width)
        self.encoders = nn.ModuleList(convolution(width, width) for _ in range(5))
        self.bottleneck = convolution(width, width)
        skips = [width, width, width, width, in_channels]
        inputs = [width] + [wide] * 4
        self.decoders = nn.ModuleList(
            nn.ModuleList([convolution(below + skip, wide), convolution(wide, wide)])
            for below, skip in zip(inputs, skips, strict=True)
        )

    def _pad(self, image: Tensor, rows: int = CAUSAL_ROWS) -> Tensor:
        return functional.pad(image, (0, 0, rows, 0))

    def _activate(self, features: Tensor) -> Tensor:
        return functional.leaky_relu_(features, self.negative_slope)

    def _pool(self, features: Tensor) -> Tensor:
        """Shift down by one row, halve by the maximum, activate, and keep the causal rows.

        The activation is monotonic, so it may follow the maximum, where it costs a quarter.
        """
        shifted = self._pad(features, 1 + 2 * CAUSAL_ROWS)
        return self._activate(functional.max_pool2d(shifted, 2))

    def forward(self, image: Tensor) -> Tensor:
        features = self._pad(image)
        skips = [features]
        features = self._activate(self._pad(self.first(features)))
        for encoder in self.encoders:
            features = self._pool(encoder(features))
            skips.append(features)
        features = self.bottleneck(skips.pop())
        for first, second in self.decoders:
            features = self._activate(self._pad(features, CAUSAL_ROWS // 2))
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
            # The image itself is fp32; concatenated as it is, it would widen all channels.
            skip = skips.pop().to(features.dtype)
            features = first(torch.cat([features, skip], dim=1))
            features = second(self._activate(self._pad(features)))
        return self._activate(functional.pad(features, (0, 0, 1, -1)))
