"""The networks of user-guided colorization (Zhang 2018, section 3.3.4): ten blocks, with hints.

Blocks 1 to 8 are those of `colorization`, but what had a stride there is thinned out after its
normalization here, so that the full map can be handed over to blocks 8, 9 and 10. Such shortcuts
are added, not concatenated.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.networks.colorization import (
    BLOCKS,
    LIGHTNESS_CENTER,
    LIGHTNESS_SCALE,
    ColorizationNet,
)

AB_SCALE = 110.0  # Hints reach the network in these units.
HEADS = ("hypercolumn", "one_by_one")
OUTPUT_STD = 0.01  # of the last layer's weights at the start: colors begin as gray

Head = Literal["hypercolumn", "one_by_one"]


class Guided(NamedTuple):
    """ab: B x 2 x H x W, float32. logits: of a head, B x bins x H/4 x W/4, float32, or None."""

    ab: Tensor
    logits: Tensor | None


class MainNet(nn.Module):
    """Ten blocks of 3x3 convolutions with ReLUs; batch normalization after the last of blocks 1-9.

    inputs: channels; lightness is the first. width: channels of the first block, 64 in the thesis.
    affine: whether normalization has a learned scale and shift, as in the authors' PyTorch files.
    output_scale: what 1 of the last tanh means in ab; 100 in the authors' Caffe files, 110 in their
    PyTorch port. Heights and widths are multiples of 8.
    """

    multiple_px = 8
    head_stride_px = 4

    def __init__(
        self, inputs: int, *, width: int = 64, affine: bool = False, output_scale: float = 100.0
    ) -> None:
        super().__init__()
        self.output_scale = output_scale
        channels = inputs
        blocks = []
        for multiples, _, dilation in BLOCKS:
            layers: list[nn.Module] = []
            for multiple in multiples:
                layers += _convolution(channels, multiple * width, dilation)
                channels = multiple * width
            blocks.append(nn.Sequential(*layers, nn.BatchNorm2d(channels, affine=affine)))
        self.blocks = nn.ModuleList(blocks)
        self.strides = tuple(stride for _, stride, _ in BLOCKS)
        self.up8, self.short8 = _up(8 * width, 4 * width), _conv(4 * width, 4 * width)
        self.block8 = nn.Sequential(
            nn.ReLU(inplace=True),
            *_convolution(4 * width, 4 * width),
            *_convolution(4 * width, 4 * width),
            nn.BatchNorm2d(4 * width, affine=affine),
        )
        self.up9, self.short9 = _up(4 * width, 2 * width), _conv(2 * width, 2 * width)
        self.block9 = nn.Sequential(
            nn.ReLU(inplace=True),
            *_convolution(2 * width, 2 * width),
            nn.BatchNorm2d(2 * width, affine=affine),
        )
        self.up10, self.short10 = _up(2 * width, 2 * width), _conv(width, 2 * width)
        self.block10 = nn.Sequential(
            nn.ReLU(inplace=True), _conv(2 * width, 2 * width), nn.LeakyReLU(0.2, inplace=True)
        )
        self.out = nn.Conv2d(2 * width, 2, 1)

    def initialize(self) -> None:
        """Start by He's rule; called by subclasses, when all their layers are there."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.ConvTranspose2d):
                # Of the 16 taps, 4 meet a pixel; the others fall between them.
                nn.init.normal_(module.weight, std=(2 / (module.in_channels * 4)) ** 0.5)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.out.weight, std=OUTPUT_STD)

    def start_from(self, other: ColorizationNet) -> None:
        """Take over blocks 1 to 8 of automatic colorization; hints mean nothing to them yet.

        Without hints and shortcuts, blocks 1 to 7 then compute what they did there.
        """
        theirs = list(other.body)
        first = theirs[0].state_dict()
        widened = self.blocks[0].state_dict()["0.weight"].clone()
        widened[:, :1] = first["0.weight"]
        self.blocks[0].load_state_dict(first | {"0.weight": widened})
        for block, their in zip(self.blocks[1:], theirs[1:-1], strict=True):
            block.load_state_dict(their.state_dict())
        up, _, second, _, third, _ = theirs[-1]
        for own, their in ((self.up8, up), (self.block8[1], second), (self.block8[3], third)):
            own.load_state_dict(their.state_dict())

    def first_blocks(self, x: Tensor, merged: Tensor | None = None) -> list[Tensor]:
        """Return the maps after blocks 1 to 8. merged: B x C x 1 x 1, added to that of block 4."""
        maps = []
        for number, (block, stride) in enumerate(zip(self.blocks, self.strides, strict=True), 1):
            full = block(x)
            if number == 4 and merged is not None:
                full = full + merged
            maps.append(full)
            x = full[..., ::2, ::2] if stride == 2 else full
        maps.append(self.block8(self.up8(x) + self.short8(maps[2])))
        return maps

    def colors(self, maps: list[Tensor]) -> Tensor:
        """Return ab, B x 2 x H x W, float32, of the maps of `first_blocks`."""
        x = self.block9(self.up9(maps[7]) + self.short9(maps[1]))
        x = self.block10(self.up10(x) + self.short10(maps[0]))
        with torch.autocast(x.device.type, enabled=False):
            return self.output_scale * torch.tanh(self.out(x.to(self.out.weight.dtype)))


class LocalHintsNet(MainNet):
    """Hints at points, and a distribution over colors beside the single color.

    head: "hypercolumn" takes maps 3 to 8, as the thesis and the authors' Caffe files: the sum of a
    convolution of each, which is one of all maps together, a ReLU, and a 1x1 convolution.
    "one_by_one" is the PyTorch port's: a 1x1 convolution of map 8. bins: outputs of the head. No
    gradient goes from a head into what it looks at. mask_center: taken off the mask.
    """

    def __init__(
        self,
        bins: int,
        *,
        width: int = 64,
        affine: bool = False,
        output_scale: float = 100.0,
        head: Head = "hypercolumn",
        mask_center: float = 0.0,
    ) -> None:
        super().__init__(4, width=width, affine=affine, output_scale=output_scale)
        self.mask_center = mask_center
        self.head = Hypercolumn(bins, width) if head == "hypercolumn" else OneByOne(bins, width)
        self.initialize()

    def forward(
        self,
        lightness: Tensor,
        ab: Tensor,
        mask: Tensor,
        *,
        with_logits: bool = False,
    ) -> Guided:
        """lightness: B x 1 x H x W in [0, 100]. ab: hints, B x 2 x H x W. mask: B x 1 x H x W."""
        scaled = (lightness - LIGHTNESS_CENTER) / LIGHTNESS_SCALE
        maps = self.first_blocks(torch.cat([scaled, ab / AB_SCALE, mask - self.mask_center], dim=1))
        return Guided(self.colors(maps), self.logits(maps) if with_logits else None)

    def logits(self, maps: list[Tensor]) -> Tensor:
        """Return B x bins x H/4 x W/4 of the maps of `first_blocks`."""
        return self.head([one.detach() for one in maps])


class GlobalHintsNet(MainNet):
    """A histogram of colors and a saturation, through four 1x1 layers, added to the map of block 4.

    bins: of the histogram. Each input has an indicator beside it: 1 if it is given, else all is 0.
    """

    def __init__(
        self, bins: int, *, width: int = 64, affine: bool = False, output_scale: float = 100.0
    ) -> None:
        super().__init__(1, width=width, affine=affine, output_scale=output_scale)
        inner = 8 * width
        self.histogram = nn.Conv2d(bins + 1, inner, 1)
        self.saturation = nn.Conv2d(2, inner, 1)
        layers: list[nn.Module] = [nn.ReLU(inplace=True), nn.BatchNorm2d(inner, affine=affine)]
        for _ in range(3):
            layers += [nn.Conv2d(inner, inner, 1), nn.ReLU(inplace=True)]
            layers.append(nn.BatchNorm2d(inner, affine=affine))
        self.statistics = nn.Sequential(*layers)
        self.initialize()

    def forward(self, lightness: Tensor, histogram: Tensor, saturation: Tensor) -> Guided:
        """histogram: B x (bins + 1), saturation: B x 2; the last of each is its indicator."""
        given = self.histogram(histogram[..., None, None])
        given = given + self.saturation(saturation[..., None, None])
        scaled = (lightness - LIGHTNESS_CENTER) / LIGHTNESS_SCALE
        return Guided(self.colors(self.first_blocks(scaled, self.statistics(given))), None)


class Hypercolumn(nn.Module):
    """Logits from maps 3 to 8, see `LocalHintsNet`."""

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        inner = 6 * width
        self.third, self.eighth = _conv(4 * width, inner), _conv(4 * width, inner)
        self.deep = nn.ModuleList(_up(8 * width, inner) for _ in range(4))
        self.last = nn.Conv2d(inner, bins, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        summed = self.third(maps[2]) + self.eighth(maps[7])
        for layer, one in zip(self.deep, maps[3:7], strict=True):
            summed = summed + layer(one)
        return _in_float(self.last, functional.relu(summed))


class OneByOne(nn.Module):
    """Logits from map 8 alone, see `LocalHintsNet`."""

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        self.last = nn.Conv2d(4 * width, bins, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return _in_float(self.last, maps[7])


def _in_float(layer: nn.Conv2d, x: Tensor) -> Tensor:
    # bf16 logits of 313 bins would make a distribution of steps.
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(layer.weight.dtype))


def _conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


def _convolution(inputs: int, outputs: int, dilation: int = 1) -> list[nn.Module]:
    return [_conv(inputs, outputs, dilation), nn.ReLU(inplace=True)]


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
