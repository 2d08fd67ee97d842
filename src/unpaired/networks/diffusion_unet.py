"""The U-Net of diffusion models (Ho et al. 2020), which is also one without a time.

Levels of residual blocks with group normalization, some with self-attention; strided convolutions
down, nearest neighbors and a convolution up. Names of weights are those of diffusers' UNet2DModel,
so that its published weights load as they are. Two things are not in it:

* ``squeeze_px``: the network works on squares of so many pixels, put into channels (space to
  depth). With 2 a training step is three times as fast, at a quarter of the positions.
* ``timed=False``: without a time, for the reconstruction of pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError

NORM_EPS = 1e-6
LONGEST_PERIOD = 10_000


class DiffusionUNet(nn.Module):
    """B x C x H x W, and times, in; the same shape out. Sides are multiples of ``multiple_px``.

    widths: channels of every level, the finest first. blocks: residual blocks a level, one more on
    the way up. attention: levels with self-attention, from 0; the middle has it if any has.
    heads: of attention; groups: of normalization, which must divide all widths. scales: whether
    the time scales features as well as shifting them. The last convolution of every block starts at
    0, and so does that of the network: at first it is 0.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        widths: Sequence[int],
        blocks: int,
        attention: Sequence[int] = (),
        heads: int = 1,
        groups: int = 32,
        squeeze_px: int = 1,
        timed: bool = True,
        scales: bool = False,
    ) -> None:
        super().__init__()
        _require_sound(widths, blocks, attention, heads, groups, squeeze_px)
        self.squeeze_px = squeeze_px
        self.multiple_px = squeeze_px * 2 ** (len(widths) - 1)
        self.margin_px = None  # Group normalization looks at the whole picture.
        first, last = widths[0], len(widths) - 1
        squeezed = channels * squeeze_px**2
        time_width = 4 * first if timed else 0
        self.time_embedding = TimeEmbedding(first, time_width) if timed else None
        about = {"time_width": time_width, "groups": groups, "scales": scales}
        self.conv_in = nn.Conv2d(squeezed, first, 3, padding=1)
        self.down_blocks, skips, width = nn.ModuleList(), [first], first
        for level, wide in enumerate(widths):
            enters = [width, *[wide] * (blocks - 1)]
            level_heads = heads if level in attention else 0
            block = Level(enters, wide, heads=level_heads, **about)
            skips += [wide] * blocks
            if level < last:
                block.downsamplers = nn.ModuleList([Downsample(wide)])
                skips.append(wide)
            self.down_blocks.append(block)
            width = wide
        self.mid_block = Middle(width, heads=heads if attention else 0, **about)
        self.up_blocks = nn.ModuleList()
        for level, wide in reversed(list(enumerate(widths))):
            enters = [before + skips.pop() for before in [width, *[wide] * blocks]]
            level_heads = heads if level in attention else 0
            block = Level(enters, wide, heads=level_heads, **about)
            if level > 0:
                block.upsamplers = nn.ModuleList([Upsample(wide)])
            self.up_blocks.append(block)
            width = wide
        self.conv_norm_out = nn.GroupNorm(groups, first, eps=NORM_EPS)
        self.conv_out = _zeroed(nn.Conv2d(first, squeezed, 3, padding=1))

    def forward(self, picture: Tensor, times: Tensor | None = None) -> Tensor:
        """times: B, whole numbers; None for a network without."""
        return self.with_latent(picture, times)[0]

    def with_latent(self, picture: Tensor, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output, and the innermost features before an activation: B x C' x H' x W'."""
        time = None if self.time_embedding is None else self.time_embedding(times)
        features = self.conv_in(functional.pixel_unshuffle(picture, self.squeeze_px))
        skips = [features]
        for block in self.down_blocks:
            for number in range(len(block.resnets)):
                features = block.step(number, features, time)
                skips.append(features)
            for sampler in block.downsamplers:
                features = sampler(features)
                skips.append(features)
        latent = self.mid_block.first(features, time)
        features = self.mid_block.second(latent, time)
        for block in self.up_blocks:
            for number in range(len(block.resnets)):
                features = block.step(number, torch.cat([features, skips.pop()], dim=1), time)
            for sampler in block.upsamplers:
                features = sampler(features)
        output = self.conv_out(functional.silu(self.conv_norm_out(features)))
        return functional.pixel_shuffle(output, self.squeeze_px), latent


class TimeEmbedding(nn.Module):
    """Sines and cosines of the time, through two layers."""

    def __init__(self, waves: int, width: int) -> None:
        super().__init__()
        self.waves = waves
        self.linear_1 = nn.Linear(waves, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, times: Tensor) -> Tensor:
        half = self.waves // 2
        place = torch.arange(half, device=times.device) / (half - 1)
        angles = times.float()[:, None] * torch.exp(-math.log(LONGEST_PERIOD) * place)
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        return self.linear_2(functional.silu(self.linear_1(waves)))


class ResidualBlock(nn.Module):
    """Normalize, activate, convolve, twice; the time enters between."""

    def __init__(self, width_in: int, width: int, time_width: int, groups: int, scales: bool):
        super().__init__()
        self.scales = scales
        self.norm1 = nn.GroupNorm(groups, width_in, eps=NORM_EPS)
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, width, eps=NORM_EPS)
        self.conv2 = _zeroed(nn.Conv2d(width, width, 3, padding=1))
        if time_width:
            self.time_emb_proj = nn.Linear(time_width, (2 if scales else 1) * width)
        if width_in != width:
            self.conv_shortcut = nn.Conv2d(width_in, width, 1)

    def forward(self, features: Tensor, time: Tensor | None) -> Tensor:
        inner = self.conv1(functional.silu(self.norm1(features)))
        if time is None:
            inner = self.norm2(inner)
        else:
            told = self.time_emb_proj(functional.silu(time))[:, :, None, None]
            if self.scales:
                scale, shift = told.chunk(2, dim=1)
                inner = self.norm2(inner) * (1 + scale) + shift
            else:
                inner = self.norm2(inner + told)
        inner = self.conv2(functional.silu(inner))
        return inner + (
            self.conv_shortcut(features) if hasattr(self, "conv_shortcut") else features
        )


class Attention(nn.Module):
    """Every position looks at all others."""

    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.group_norm = nn.GroupNorm(groups, width, eps=NORM_EPS)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([_zeroed(nn.Linear(width, width))])

    def forward(self, features: Tensor) -> Tensor:
        batch, width, height, breadth = features.shape
        rows = self.group_norm(features).flatten(2).transpose(1, 2)
        query, key, value = (
            one(rows).view(batch, -1, self.heads, width // self.heads).transpose(1, 2)
            for one in (self.to_q, self.to_k, self.to_v)
        )
        seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        out = self.to_out[0](seen.reshape(batch, -1, width))
        return features + out.transpose(1, 2).reshape(batch, width, height, breadth)


class Level(nn.Module):
    """Residual blocks of one size, each with attention behind it or none."""

    def __init__(self, enters: Sequence[int], width: int, *, heads: int, groups: int, **about):
        super().__init__()
        self.resnets = nn.ModuleList(
            ResidualBlock(width_in, width, groups=groups, **about) for width_in in enters
        )
        if heads:
            self.attentions = nn.ModuleList(Attention(width, heads, groups) for _ in enters)
        self.has_attention = bool(heads)
        self.downsamplers, self.upsamplers = nn.ModuleList(), nn.ModuleList()

    def step(self, number: int, features: Tensor, time: Tensor | None) -> Tensor:
        features = self.resnets[number](features, time)
        return self.attentions[number](features) if self.has_attention else features


class Middle(nn.Module):
    """Two residual blocks, with attention between them or none."""

    def __init__(self, width: int, *, heads: int, groups: int, **about) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResidualBlock(width, width, groups=groups, **about) for _ in range(2)
        )
        self.attentions = nn.ModuleList([Attention(width, heads, groups)] if heads else [])

    def first(self, features: Tensor, time: Tensor | None) -> Tensor:
        return self.resnets[0](features, time)

    def second(self, features: Tensor, time: Tensor | None) -> Tensor:
        for attention in self.attentions:
            features = attention(features)
        return self.resnets[1](features, time)


class Downsample(nn.Module):
    """Half the size; what is missing at the right and at the bottom is 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(functional.pad(features, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(functional.interpolate(features, scale_factor=2.0, mode="nearest"))


def widths_of(text: str) -> list[int]:
    """Return the widths that a setting says, such as "32 64 96"; raises UnpairedError."""
    try:
        return [int(word) for word in text.split()]
    except (ValueError, AttributeError):
        raise UnpairedError(
            f"widths = {text!r}: write whole numbers with spaces between them, as in 32 64 96"
        ) from None


def _require_sound(widths, blocks, attention, heads, groups, squeeze_px) -> None:
    """Raise UnpairedError for settings that make no network."""
    for name, values in (("widths", widths), ("attention", attention)):
        if not isinstance(values, (list, tuple)) or not all(isinstance(v, int) for v in values):
            raise UnpairedError(f"{name} must be a list of whole numbers, not {values!r}")
    if not widths or min(*widths, blocks, heads, groups, squeeze_px) < 1:
        raise UnpairedError("widths, blocks, heads, groups and squeeze_px must be positive")
    if uneven := [width for width in widths if width % groups]:
        raise UnpairedError(f"groups = {groups} must divide all widths, but not {uneven[0]}")
    if odd := [level for level in attention if not 0 <= level < len(widths)]:
        raise UnpairedError(f"attention: there is no level {odd[0]} of {len(widths)}")
    if narrow := [widths[level] for level in [*attention, -1] if widths[level] % heads]:
        raise UnpairedError(f"heads = {heads} must divide the width {narrow[0]}")


def _zeroed(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
