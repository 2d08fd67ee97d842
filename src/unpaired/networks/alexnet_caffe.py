"""The AlexNet of Zhang 2018, chapter 5, in its two forms: to learn by, and to give features.

Table 5.2 (learning): all layers are convolutions, padded so that the output lies at every 16th
pixel, 180 px -> 45, 23, 12. Table 5.3 (features): convolutions 1 to 5 with the classification
network's padding, 227 px -> 55, 27, 13. Both have the same weights.

Where the tables do not agree with themselves the facts of the authors' files decide: fc6 is padded
by 5, as 6 would give 14 x 14, and pooling rounds up, as Caffe's does. Convolutions 2, 4 and 5 have
two groups in a whole network; a half of a split one is without groups.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (96, 256, 384, 384, 256)
TOP_CHANNELS = 4096
LAYERS = tuple(f"conv{number}" for number in range(1, 6))
GROUPED = (1, 3, 4)  # conv2, conv4, conv5
POOLED = (0, 1)  # after conv1 and conv2, with stride 2
KERNELS = (5, 3, 3, 3)  # of conv2 .. conv5
TOP_DILATION = 2


class CaffeAlexNet(nn.Module):
    """Convolutions conv1 .. conv5, each with a ReLU, and a head fc6, fc7, fc8 of convolutions.

    inputs, outputs: channels. width: factor on the channels. share: of the channels that this
    network has, 1/2 for a half of a split-brain autoencoder. grouped: whether conv2, conv4 and
    conv5 have two groups. first_kernel_px, first_stride: of conv1. top_channels, top_kernel_px: of
    fc6 and fc7 in a whole network.

    Learning puts batch normalization behind every convolution but the last (`normalize`), and
    takes it away again (`fold`); what is published has none.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: float = 1.0,
        share: float = 1.0,
        grouped: bool = True,
        first_kernel_px: int = 11,
        first_stride: int = 4,
        top_channels: int = TOP_CHANNELS,
        top_kernel_px: int = 6,
    ) -> None:
        super().__init__()
        self.channels = tuple(round(count * width * share) for count in CHANNELS)
        self.stride_px = 4 * first_stride
        kernels, given = (first_kernel_px, *KERNELS), (inputs, *self.channels[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                given[number],
                self.channels[number],
                kernels[number],
                stride=first_stride if number == 0 else 1,
                padding=kernels[number] // 2,
                groups=2 if grouped and number in GROUPED else 1,
            )
            for number in range(len(kernels))
        )
        top = round(top_channels * share)
        # The reach of fc6 is 2 (k - 1) + 1; an odd one keeps the size with half of it as padding.
        padding = TOP_DILATION * (top_kernel_px - 1) // 2
        self.head = nn.ModuleList(
            [
                nn.Conv2d(
                    self.channels[-1],
                    top,
                    top_kernel_px,
                    padding=padding,
                    dilation=TOP_DILATION,
                ),
                nn.Conv2d(top, top, 1),
                nn.Conv2d(top, outputs, 1),
            ]
        )
        self.norms: nn.ModuleList | None = None
        self._initialize()

    def _initialize(self) -> None:
        for layer in self._layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.head[-1].weight)

    @property
    def _layers(self) -> list[nn.Conv2d]:
        return [*self.convolutions, *self.head]

    def normalize(self) -> None:
        """Put batch normalization behind every convolution but the last."""
        device = self.head[-1].weight.device
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(layer.out_channels, device=device) for layer in self._layers[:-1]
        )

    @torch.no_grad()
    def fold(self) -> None:
        """Absorb the normalization, as it is in use, into the convolutions before it."""
        if self.norms is None:
            return
        for layer, norm in zip(self._layers[:-1], self.norms, strict=True):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            layer.weight.mul_(scale.view(-1, 1, 1, 1))
            layer.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
        self.norms = None

    def _activated(self, number: int, features: Tensor) -> Tensor:
        return functional.relu(features if self.norms is None else self.norms[number](features))

    def features(self, pictures: Tensor, *, padded: bool = False) -> dict[str, Tensor]:
        """Return the features of every convolution after its ReLU, "conv1" .. "conv5".

        pictures: B x ``inputs`` x H x W. padded: conv1 and pooling as in learning (Table 5.2); else
        as in the classification network (Table 5.3).
        """
        found, features = {}, pictures
        for number, (name, layer) in enumerate(zip(LAYERS, self.convolutions, strict=True)):
            if padded or number:
                features = layer(features)
            else:
                features = functional.conv2d(features, layer.weight, layer.bias, layer.stride)
            found[name] = features = self._activated(number, features)
            if number in POOLED:
                features = functional.max_pool2d(
                    features, 3, stride=2, padding=int(padded), ceil_mode=True
                )
        return found

    def forward(self, pictures: Tensor) -> Tensor:
        """Return B x ``outputs`` x H' x W', float32; output (i, j) is at pixel (s i, s j).

        s is ``stride_px``; H' is 12 for 180 px with the thesis's strides.
        """
        features = self.features(pictures, padded=True)[LAYERS[-1]]
        features = functional.max_pool2d(features, 3, stride=1, padding=1)
        for number, layer in enumerate(self.head[:-1]):
            features = self._activated(len(LAYERS) + number, layer(features))
        # Logits of 313 bins would be steps in bf16.
        with torch.autocast(features.device.type, enabled=False):
            return self.head[-1](features.to(self.head[-1].weight.dtype))
