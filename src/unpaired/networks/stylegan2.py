"""The generator of StyleGAN2 (Karras et al. 2020), of which a part can be run from what is inside.

A mapping network makes w of z. The synthesis has a block for each doubling of the side, from 4
pixels on: convolutions whose weights are scaled by w (Equations 1 and 3), noise at every pixel, and
a picture that every block enlarges and adds to. Weights are those of equalized learning rates: they
are near 1 in size, and a layer scales them when it is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError

FIRST_PX, COLORS = 4, 3
BLUR = (1.0, 3.0, 3.0, 1.0)
SLOPE, GAIN, EPS = 0.2, math.sqrt(2), 1e-8
MAPPING_RATE = 0.01  # Learning rate of the mapping network, as a share of the others'.


class Inside(NamedTuple):
    """What a block leaves: features, B x C x H x W, and the picture so far, B x 3 x H x W."""

    features: Tensor
    picture: Tensor


class EqualizedLinear(nn.Module):
    """A matrix and a bias. rate: learning rate, as a share of other layers'."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.rate = rate

    def forward(self, features: Tensor) -> Tensor:
        scale = self.rate / self.weight.shape[1] ** 0.5
        return functional.linear(features, self.weight * scale, self.bias * self.rate)


class Mapping(nn.Sequential):
    """z -> w, B x D each. z is first scaled to a mean square of 1."""

    def __init__(self, latent: int, layers: int) -> None:
        super().__init__(
            *(EqualizedLinear(latent, latent, rate=MAPPING_RATE) for _ in range(layers))
        )

    def forward(self, latents: Tensor) -> Tensor:
        found = latents * (latents.square().mean(dim=1, keepdim=True) + EPS).rsqrt()
        for layer in self:
            found = activated(layer(found))
        return found


class ModulatedConvolution(nn.Module):
    """A convolution whose weights every picture scales by a style of its own.

    Scaling the input's channels, and the output's by the length of the weights that come of it, is
    the same as to scale the weights, and all pictures share one convolution.

    demodulate: whether output channels are divided by that length, so that a normal input has an
    output of standard deviation 1. up: doubles the side, and blurs.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_px: int,
        latent: int,
        *,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_px, kernel_px))
        self.style = EqualizedLinear(latent, inputs, bias=1.0)
        self.demodulate, self.up = demodulate, up

    def forward(self, features: Tensor, latent: Tensor) -> Tensor:
        """Return B x C' x H' x W' of features, B x C x H x W, and w, B x D."""
        weight = self.weight / self.weight[0].numel() ** 0.5
        style = self.style(latent)
        scaled = features * style[:, :, None, None]
        if self.up:
            found = functional.conv_transpose2d(scaled, weight.transpose(0, 1), stride=2)
            found = blurred(found, (1, 1), gain=4)
        else:
            found = functional.conv2d(scaled, weight, padding=weight.shape[-1] // 2)
        if self.demodulate:
            squares = weight.square().sum(dim=(2, 3))
            length = functional.linear(style.square(), squares) + EPS
            found = found * length.rsqrt()[:, :, None, None]
        return found


class StyledLayer(nn.Module):
    """A modulated convolution, noise, bias and a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, latent: int, *, up: bool = False) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, 3, latent, up=up)
        self.noise_strength = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, features: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        found = self.convolution(features, latent) + self.noise_strength * noise
        return activated(found + self.bias[:, None, None])


class ToPicture(nn.Module):
    """Three colors of features."""

    def __init__(self, inputs: int, latent: int) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, COLORS, 1, latent, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(COLORS))

    def forward(self, features: Tensor, latent: Tensor) -> Tensor:
        return self.convolution(features, latent) + self.bias[:, None, None]


class Block(nn.Module):
    """The layers of one side. The first block has one, the others two, of which one doubles."""

    def __init__(self, inputs: int, outputs: int, latent: int, *, is_first: bool) -> None:
        super().__init__()
        first = [] if is_first else [StyledLayer(inputs, outputs, latent, up=True)]
        self.layers = nn.ModuleList([*first, StyledLayer(outputs, outputs, latent)])
        self.to_picture = ToPicture(outputs, latent)

    def forward(
        self, features: Tensor, picture: Tensor | None, latents: Tensor, noises: Sequence[Tensor]
    ) -> Inside:
        """latents: B x (layers + 1) x D; noises: one for each layer."""
        for number, (layer, noise) in enumerate(zip(self.layers, noises, strict=True)):
            features = layer(features, latents[:, number], noise)
        own = self.to_picture(features, latents[:, len(self.layers)])
        return Inside(features, own if picture is None else own + enlarged(picture))


class Generator(nn.Module):
    """Pictures of B x 3 x P x P, near [-1, 1], from latents and noise.

    side_px: P, a power of 2 from 8 on. latent: D, of z and w. mapping_layers: of the mapping
    network. width_base, width_max: a block of r pixels has width_base / r channels, up to
    width_max. Raises UnpairedError for another side.
    """

    def __init__(
        self,
        side_px: int = 1024,
        *,
        latent: int = 512,
        mapping_layers: int = 8,
        width_base: int = 32768,
        width_max: int = 512,
    ) -> None:
        super().__init__()
        if side_px < 2 * FIRST_PX or side_px & (side_px - 1):
            raise UnpairedError(f"a generator of {side_px} px: a power of 2 from 8 on is needed")
        if width_base < side_px or min(latent, mapping_layers, width_max) < 1:
            raise UnpairedError(
                f"a generator of {side_px} px with width_base {width_base}, width_max {width_max}, "
                f"latent {latent}, {mapping_layers} layers: nothing may be without channels"
            )
        self.side_px, self.latent = side_px, latent
        self.mapping = Mapping(latent, mapping_layers)
        self.sides = [FIRST_PX * 2**k for k in range(int(math.log2(side_px)) - 1)]
        widths = [min(width_max, width_base // side) for side in self.sides]
        self.constant = nn.Parameter(torch.randn(1, widths[0], FIRST_PX, FIRST_PX))
        self.blocks = nn.ModuleList(
            Block(before, width, latent, is_first=number == 0)
            for number, (before, width) in enumerate(
                zip([widths[0], *widths], widths, strict=False)
            )
        )

    @property
    def latents(self) -> int:
        """How many w the synthesis takes; a block's picture and the next block begin with one."""
        return 2 * len(self.blocks)

    @property
    def noise_sides(self) -> list[int]:
        """The sides of the noises, one for each layer, in pixels."""
        return [
            side for side, block in zip(self.sides, self.blocks, strict=True) for _ in block.layers
        ]

    def noises_up_to(self, block: int) -> int:
        """Return how many noises the blocks up to this one take."""
        return 2 * block + 1

    def first_latent(self, block: int) -> int:
        """Return which w is the first that a block takes; its last one is the next one's first."""
        return max(0, 2 * block - 1)

    def forward(
        self,
        latents: Tensor,
        noises: Sequence[Tensor],
        *,
        first: int = 0,
        inside: Inside | None = None,
    ) -> Tensor:
        """Return pictures of latents w, B x `latents` x D, and noises, B x 1 x h x w each.

        first, inside: the block to begin with, and what the one before it has left.
        """
        return self.run(latents, noises, first=first, inside=inside).picture

    def run(
        self,
        latents: Tensor,
        noises: Sequence[Tensor],
        *,
        first: int = 0,
        last: int | None = None,
        inside: Inside | None = None,
    ) -> Inside:
        """Return what block ``last`` leaves, which is the last one of all if none is named."""
        if inside is None:
            features, picture = self.constant.expand(len(latents), -1, -1, -1), None
        else:
            features, picture = inside
        last = len(self.blocks) - 1 if last is None else last
        for number in range(first, last + 1):
            block, begin = self.blocks[number], self.first_latent(number)
            end = self.noises_up_to(number)
            own = noises[end - len(block.layers) : end]
            features, picture = block(features, picture, latents[:, begin:], own)
        return Inside(features, picture)


def activated(features: Tensor) -> Tensor:
    """Return the leaky ReLU, scaled so that it keeps the mean square of normal numbers, or so."""
    return GAIN * functional.leaky_relu(features, SLOPE)


def enlarged(picture: Tensor) -> Tensor:
    """Return a picture with doubled sides: zeros between its pixels, and the blur."""
    count, channels, height, width = picture.shape
    apart = functional.pad(
        picture.reshape(count, channels, height, 1, width, 1), (0, 1, 0, 0, 0, 1)
    )
    return blurred(apart.reshape(count, channels, 2 * height, 2 * width), (2, 1), gain=4)


def blurred(features: Tensor, padding: tuple[int, int], *, gain: float = 1.0) -> Tensor:
    """Return features through the blur 1, 3, 3, 1 both ways. padding: before and after, of zeros.

    gain: sum of the kernel; 4 makes up for three zeros of four.
    """
    line = features.new_tensor(BLUR)
    kernel = torch.outer(line, line) * gain / line.sum() ** 2
    padded = functional.pad(features, (*padding, *padding))
    count, channels, height, width = padded.shape
    found = functional.conv2d(padded.reshape(-1, 1, height, width), kernel[None, None])
    return found.reshape(count, channels, *found.shape[-2:])
