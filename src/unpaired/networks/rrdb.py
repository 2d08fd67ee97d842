"""RRDBNet, the generator of ESRGAN (Wang et al. 2018, sections 3.1 and 4.1): four times larger.

Residual-in-residual dense blocks at the small size, then two times nearest neighbors and a
convolution. The weights of the blocks start a tenth as large as He's rule says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError

SCALE = 4
RESIDUAL_SCALE = 0.2
SLOPE = 0.2
HEADS = ("nearest", "pixel_shuffle")


class RRDBNet(nn.Module):
    """B x C x h x w in [0, 1] -> B x C x 4h x 4w, not clipped; any size.

    width: feature channels. blocks: residual-in-residual dense blocks. growth: channels that a
    layer of a dense block adds. head: "nearest", the paper's, or "pixel_shuffle", one convolution
    that gives all 16 pixels of a small one: a fraction of the time. global_residual: the network
    adds to the picture enlarged by bicubic interpolation, from nothing at first. Neither is the
    paper's.
    """

    scale = SCALE

    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 64,
        blocks: int = 23,
        growth: int = 32,
        head: str = "nearest",
        global_residual: bool = False,
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise UnpairedError(f"rrdb: head must be one of {', '.join(HEADS)}, not {head}")
        self.head, self.global_residual = head, global_residual
        self.first = _convolution(channels, width)
        self.body = nn.Sequential(*(_Block(width, growth) for _ in range(blocks)))
        self.trunk = _convolution(width, width)
        if head == "nearest":
            self.enlarging = nn.ModuleList(_convolution(width, width) for _ in range(2))
            self.fine = _convolution(width, width)
            self.last = _convolution(width, channels)
        else:
            self.last = _convolution(width, channels * SCALE**2)
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                module.weight.data.mul_(0.1)
                nn.init.zeros_(module.bias)
        if global_residual:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)
        # 3x3 convolutions before the picture grows; after it, at most one small pixel more; the
        # bicubic kernel reaches two.
        self.margin_px = 2 + 15 * blocks + 3

    def forward(self, small: Tensor) -> Tensor:
        features = self.first(small)
        features = features + self.trunk(self.body(features))
        if self.head == "nearest":
            for enlarging in self.enlarging:
                larger = functional.interpolate(features, scale_factor=2, mode="nearest")
                features = functional.leaky_relu(enlarging(larger), SLOPE)
            large = self.last(functional.leaky_relu(self.fine(features), SLOPE))
        else:
            large = functional.pixel_shuffle(
                self.last(functional.leaky_relu(features, SLOPE)), SCALE
            )
        return large + enlarged(small) if self.global_residual else large


def enlarged(small: Tensor) -> Tensor:
    """Return pictures four times larger by bicubic interpolation (a = -3/4), not clipped."""
    with torch.autocast(small.device.type, enabled=False):
        return functional.interpolate(
            small.float(), scale_factor=SCALE, mode="bicubic", align_corners=False
        )


class _DenseBlock(nn.Module):
    """Five convolutions, each of all before it; a fifth of what the last one gives is added."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        outputs = (growth, growth, growth, growth, width)
        self.convolutions = nn.ModuleList(
            _convolution(width + index * growth, count) for index, count in enumerate(outputs)
        )

    def forward(self, features: Tensor) -> Tensor:
        known = features
        *others, last = self.convolutions
        for convolution in others:
            known = torch.cat([known, functional.leaky_relu(convolution(known), SLOPE)], dim=1)
        return features + RESIDUAL_SCALE * last(known)


class _Block(nn.Module):
    """Three dense blocks; a fifth of what they make is added."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(_DenseBlock(width, growth) for _ in range(3)))

    def forward(self, features: Tensor) -> Tensor:
        return features + RESIDUAL_SCALE * self.dense(features)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
