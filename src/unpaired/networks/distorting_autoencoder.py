"""The encoder-decoders of Zhang 2018, Table 6.2 (right), which exist to leave artifacts.

The table names what varies; how its networks were built, and within which ranges, was never
published. Here the frame is pix2pix's: strided encoder, mirrored decoder, concatenated skips.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unpaired.core.errors import check_choice
from unpaired.networks.distorting_choices import NORMALIZATIONS, UPSAMPLINGS

LEAK = 0.2
DROPOUT = 0.5


class DistortingAutoencoder(nn.Module):
    """Encoder-decoder from B x 3 x H x W to the same; H and W are multiples of ``multiple_px``.

    layers: of the encoder; each halves the size, but the first has ``first_stride`` (1 or 2).
    skips: how many of the ``layers - 1`` possible skip connections there are, the deepest ones.
    top_skip: have the one of the first layer in any case. dropout_layers: how many of the decoder's
    layers drop half of their features in training, the deepest ones.
    first_channels: of the first layer; doubled by each layer up to ``max_channels``. residual: the
    layers give what is added to the image.
    """

    margin_px = None

    def __init__(
        self,
        *,
        layers: int,
        skips: int,
        top_skip: bool,
        dropout_layers: int,
        upsampling: str,
        normalization: str,
        first_stride: int,
        first_channels: int,
        max_channels: int,
        residual: bool,
    ) -> None:
        super().__init__()
        self.is_residual = residual
        check_choice("distorting_autoencoder", "upsampling", upsampling, UPSAMPLINGS)
        check_choice("distorting_autoencoder", "normalization", normalization, NORMALIZATIONS)
        widths = [min(first_channels * 2**level, max_channels) for level in range(layers)]
        strides = [first_stride] + [2] * (layers - 1)
        # Level of the encoder -> whether the decoder sees it. The deepest is where both meet.
        self.is_skipped = [
            level >= layers - 1 - skips or (level == 0 and top_skip) for level in range(layers - 1)
        ]
        self.multiple_px = first_stride * 2 ** (layers - 1)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        # As in pix2pix neither the first nor the last layer is normalized: what a patch is in the
        # mean, its color above all, can reach the output.
        kinds = ["none"] + [normalization] * (layers - 1)
        inputs = 3
        for width, stride, kind in zip(widths, strides, kinds, strict=True):
            convolution = nn.Conv2d(inputs, width, 3, stride, padding=1)
            self.encoder.append(
                nn.Sequential(convolution, _normalize(kind, width), nn.LeakyReLU(LEAK))
            )
            inputs = width
        for level in reversed(range(layers)):
            width = widths[max(level - 1, 0)]
            drop = nn.Dropout2d(DROPOUT if level >= layers - dropout_layers else 0.0)
            self.decoder.append(
                nn.Sequential(
                    _enlarge(upsampling, inputs, width, strides[level]),
                    _normalize(kinds[level], width),
                    nn.ReLU(),
                    drop,
                )
            )
            inputs = width * 2 if level > 0 and self.is_skipped[level - 1] else width
        self.last = nn.Conv2d(inputs, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        features, encoded = image, []
        for layer in self.encoder:
            features = layer(features)
            encoded.append(features)
        for level, layer in zip(reversed(range(len(encoded))), self.decoder, strict=True):
            features = layer(features)
            if level > 0 and self.is_skipped[level - 1]:
                features = torch.cat([features, encoded[level - 1]], 1)
        output = self.last(features)
        return image + output if self.is_residual else output


def _normalize(kind: str, width: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(width)
    return nn.InstanceNorm2d(width, affine=True) if kind == "instance" else nn.Identity()


def _enlarge(kind: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    if stride == 1:
        return convolution
    if kind == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 4, stride, padding=1)
    return nn.Sequential(nn.Upsample(scale_factor=stride, mode=kind), convolution)


class PatchDiscriminator(nn.Module):
    """``layers`` strided convolutions and one to a map of scores (pix2pix), B x 3 x H x W in."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs = 3
        for level in range(layers):
            outputs = width * 2**level
            blocks += [nn.Conv2d(inputs, outputs, 4, 2, padding=1), nn.LeakyReLU(LEAK)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks, nn.Conv2d(inputs, 1, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        return self.blocks(image)


class RandomFeatures(nn.Module):
    """Fixed features of a small convolutional network with random weights, from B x 3 x H x W.

    Returns one map per layer, of unit length at every place. The weights are the same in every
    instance and no part of a saved model.
    """

    def __init__(self, widths: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList()
        inputs = 3
        for width in widths:
            convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
            weight = torch.randn(convolution.weight.shape, generator=generator)
            del convolution.weight
            scaled = weight * (2 / (9 * inputs)) ** 0.5  # keeps the variance (He et al. 2015)
            convolution.register_buffer("weight", scaled, persistent=False)
            self.layers.append(convolution)
            inputs = width

    def forward(self, image: Tensor) -> list[Tensor]:
        features, maps = 2 * image - 1, []
        for layer in self.layers:
            features = torch.relu(layer(features))
            maps.append(features / (features.square().sum(1, keepdim=True) + 1e-6).sqrt())
            features = nn.functional.max_pool2d(features, 2)
        return maps
