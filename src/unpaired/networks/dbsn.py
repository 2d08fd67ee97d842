"""The dilated blind-spot network of Wu et al. (ECCV 2020): no output sees the pixel it stands for.

A convolution without its center shows each pixel its neighbors only. Dilated convolutions then
collect features at distances which those neighbors, from -k/2 to k/2, cannot cancel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.networks.neighbors import mean_of_neighbors

BRANCH_KERNELS_PX = (3, 5)


class CenterMaskedConv2d(nn.Conv2d):
    """Convolution of odd, square kernel whose center is zero; keeps height and width.

    The weight keeps its full shape, and the center of it neither acts nor receives a gradient.
    """

    def __init__(self, channels: int, kernel_px: int) -> None:
        super().__init__(channels, channels, kernel_px, padding=kernel_px // 2)
        mask = torch.ones(1, 1, kernel_px, kernel_px)
        mask[..., kernel_px // 2, kernel_px // 2] = 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        weight = self.weight * self.mask
        return functional.conv2d(features, weight, self.bias, padding=self.padding)


class PointwiseStack(nn.Module):
    """``layers`` 1x1 convolutions of ``width`` channels with ReLU between them: pixel by pixel.

    B x in_channels x H x W -> B x out_channels x H x W, not activated.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: int, layers: int) -> None:
        super().__init__()
        inputs = [in_channels] + [width] * (layers - 2)
        self.hidden = nn.Sequential(*(_activated(nn.Conv2d(size, width, 1)) for size in inputs))
        self.last = nn.Conv2d(width, out_channels, 1)
        _initialize_he(self)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.hidden(features)
        # As in UNet: the last sum over channels is taken in the precision of the weights.
        with torch.autocast(hidden.device.type, enabled=False):
            return self.last(hidden.to(self.last.weight.dtype))


class DilatedBlindSpotNet(nn.Module):
    """Two branches of masked and dilated convolutions, joined by 1x1 convolutions.

    B x C x H x W of any size -> the mean of a pixel given the others, B x C x H x W, and the
    features that it is made of, B x width x H x W, from which a ``PointwiseStack`` can tell how
    certain it is. Neither depends on the pixel itself.

    blocks: inception blocks per branch. global_residual: the network predicts a correction, at
    first zero, of the mean of a pixel's neighbors, and is given the image minus 0.5. Not in the
    paper; it lets a training of minutes start near its goal.
    """

    multiple_px = 1

    def __init__(
        self, channels: int, *, width: int = 96, blocks: int = 8, global_residual: bool = False
    ) -> None:
        super().__init__()
        self.global_residual = global_residual
        self.margin_px = max(_branch_reach_px(kernel_px, blocks) for kernel_px in BRANCH_KERNELS_PX)
        self.head = _activated(nn.Conv2d(channels, width, 1))
        self.branches = nn.ModuleList(_branch(width, size, blocks) for size in BRANCH_KERNELS_PX)
        self.join = nn.Conv2d(len(BRANCH_KERNELS_PX) * width, width, 1)
        self.tail = PointwiseStack(width, channels, width=width, layers=3)
        _initialize_he(self)
        if global_residual:
            nn.init.zeros_(self.tail.last.weight)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.head(image - 0.5 if self.global_residual else image)
        features = self.join(torch.cat([branch(seen) for branch in self.branches], dim=1))
        mean = self.tail(features)
        return (mean_of_neighbors(image) + mean if self.global_residual else mean), features


class _InceptionBlock(nn.Module):
    """Three parallel paths of growing reach and a residual; every 3x3 and 5x5 tap is dilated."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()

        def dilated(kernel_px: int) -> nn.Conv2d:
            reach_px = kernel_px // 2 * dilation
            return nn.Conv2d(width, width, kernel_px, padding=reach_px, dilation=dilation)

        self.far = nn.Sequential(_activated(nn.Conv2d(width, width, 1)), dilated(5))
        self.near = nn.Sequential(_activated(nn.Conv2d(width, width, 1)), dilated(3))
        self.same = nn.Conv2d(width, width, 1)
        self.join = _activated(nn.Conv2d(3 * width, width, 1))
        self.mix = _pointwise_pair(width)

    def forward(self, features: Tensor) -> Tensor:
        # One activation of the joined paths, rather than one each, halves the backward pass on CPU.
        paths = torch.cat([self.far(features), self.near(features), self.same(features)], dim=1)
        return self.mix(self.join(functional.relu_(paths)) + features)


def _branch(width: int, kernel_px: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        _activated(CenterMaskedConv2d(width, kernel_px)),
        _pointwise_pair(width),
        *(_InceptionBlock(width, _dilation(kernel_px)) for _ in range(blocks)),
        nn.Conv2d(width, width, 1),
    )


def _dilation(kernel_px: int) -> int:
    """Return the least distance between taps that no step within the kernel can cancel."""
    return (kernel_px + 1) // 2


def _branch_reach_px(kernel_px: int, blocks: int) -> int:
    """Return how far a branch looks: half its masked kernel, and two dilated taps per block."""
    return kernel_px // 2 + 2 * _dilation(kernel_px) * blocks


def _activated(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.ReLU(inplace=True))


def _pointwise_pair(width: int) -> nn.Sequential:
    return nn.Sequential(*(_activated(nn.Conv2d(width, width, 1)) for _ in range(2)))


def _initialize_he(network: nn.Module) -> None:
    """Draw weights as the authors' code does: He's for ReLU, the last layers included.

    All but those of the stack that tells the noise, which start smaller there (a deviation of 0.10
    instead of He's 0.24) and with biases of up to 0.12 instead of 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
