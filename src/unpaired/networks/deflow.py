"""DeFlow (Wolf et al., CVPR 2021): a conditional flow of pictures, and a shift of its latents.

Clean and noisy pictures go through one flow, which a reduced, noisy version h of each steers. The
latents of clean pictures are N(0, I); those of noisy ones are z + u with u of N(mu, M M^T), hence
N(mu, I + M M^T). mu and M are of the channels of every level, and the same at all places.

The flow has Glow's levels (squares of 2 x 2 pixels into channels; steps; a half of the channels
becomes latents, the rest goes on), with SRFlow's conditional steps: `flow`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.networks.flow import (
    Actnorm,
    AffineInjector,
    ConditionalCoupling,
    InvertibleConvolution,
)
from unpaired.networks.latents import LatentLevel
from unpaired.networks.rrdb import RRDBNet

TRANSITIONS = 2  # Steps without a coupling at the start of every level.
FEATURES = 4  # Blocks of the encoder whose features are joined, besides what it ends with.
# At M = 0 the likelihood has no gradient towards M, as M M^T is flat there.
START_STD = 0.01


class DeFlowNet(nn.Module):
    """B x C x H x W -> latents of every level, and back; sides are multiples of ``multiple_px``.

    levels, steps: L and K of Glow. width: of the networks inside couplings. reduction: how many
    times smaller h is than the picture. encoder_width, encoder_blocks, encoder_growth: of the RRDB
    network that encodes h. latents: where the latents lie, the finest first.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        levels: int = 3,
        steps: int = 16,
        width: int = 128,
        reduction: int = 8,
        encoder_width: int = 64,
        encoder_blocks: int = 23,
        encoder_growth: int = 32,
    ) -> None:
        super().__init__()
        sizes = (levels, steps, width, encoder_width, encoder_blocks, encoder_growth)
        if min(sizes) < 1 or reduction < 1 or reduction & (reduction - 1):
            raise UnpairedError(
                f"deflow: levels, steps, width and encoder {sizes} must be 1 at least, and "
                f"condition_reduction a power of 2, not {reduction}"
            )
        self.reduction = reduction
        self.encoder = Encoder(
            channels, width=encoder_width, blocks=encoder_blocks, growth=encoder_growth
        )
        self.flow_levels, latents, own = nn.ModuleList(), [], channels
        for level in range(levels):
            is_last = level == levels - 1
            layer = FlowLevel(4 * own, self.encoder.channels, steps, width, splits=not is_last)
            self.flow_levels.append(layer)
            latents.append(LatentLevel(layer.latents, 2 ** (level + 1)))
            own = 4 * own - layer.latents
        self.latents = tuple(latents)
        self.shift = nn.ModuleList(CorrelatedShift(level.channels) for level in latents)
        self.multiple_px = max(2**levels, reduction)
        # A step reads its condition two places away, twice; there and back. A reduced pixel reads
        # two of its kind on either side, and the encoder, a pixel a convolution.
        flow_px = sum((4 * steps + 1) * level.px for level in latents)
        self.margin_px = 2 * flow_px + reduction * (self.encoder.margin_px + 4)

    def condition(self, picture: Tensor, noise: Tensor) -> list[Tensor]:
        """Return the encoding of h at the size of every level.

        noise: what is added to the reduced picture, B x C x H / reduction x W / reduction.
        """
        features = self.encoder(reduced(picture, self.reduction) + noise)
        return [_resized(features, self.reduction, level.px) for level in self.latents]

    @torch.no_grad()
    def start(self, picture: Tensor, conditions: list[Tensor]) -> None:
        """Set every actnorm by what it is given of ``picture``, layer after layer (Glow, 3.1)."""
        for level, condition in zip(self.flow_levels, conditions, strict=True):
            picture = level.start(picture, condition)

    def forward(self, picture: Tensor, conditions: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Return the latents of every level, and log |det| of each picture, B."""
        latents, total = [], picture.new_zeros(len(picture))
        for level, condition in zip(self.flow_levels, conditions, strict=True):
            picture, own, added = level(picture, condition)
            latents.append(own)
            total = total + added
        return latents, total

    def inverse(self, latents: list[Tensor], conditions: list[Tensor]) -> Tensor:
        """Return the picture of latents."""
        picture = None
        for level, own, condition in reversed(
            list(zip(self.flow_levels, latents, conditions, strict=True))
        ):
            picture = level.inverse(picture, own, condition)
        return picture

    def log_likelihoods(self, latents: list[Tensor], *, is_noisy: bool) -> Tensor:
        """Return the log density of the latents of each picture, in nats, B."""
        return sum(
            shift.log_likelihood(own) if is_noisy else standard_log_likelihood(own)
            for shift, own in zip(self.shift, latents, strict=True)
        )


class Encoder(nn.Module):
    """The body of an RRDB network: features after four of its blocks and at its end, joined.

    Of 23 blocks these are the second, 9th, 16th and last.
    """

    def __init__(self, channels: int, *, width: int, blocks: int, growth: int) -> None:
        super().__init__()
        whole = RRDBNet(channels, width=width, blocks=blocks, growth=growth)
        self.first, self.body, self.trunk = whole.first, whole.body, whole.trunk
        self.margin_px = whole.margin_px
        first, last = min(1, blocks - 1), blocks - 1
        steps = range(FEATURES)
        self.taken = sorted({first + round(n * (last - first) / (FEATURES - 1)) for n in steps})
        self.channels = (len(self.taken) + 1) * width

    def forward(self, picture: Tensor) -> Tensor:
        first = features = self.first(picture)
        joined = []
        for number, block in enumerate(self.body):
            features = block(features)
            if number in self.taken:
                joined.append(features)
        return torch.cat([*joined, first + self.trunk(features)], dim=1)


class FlowStep(nn.Module):
    """Actnorm, 1x1 convolution, and, where there is a condition, injector and coupling."""

    def __init__(self, channels: int, condition_channels: int, width: int) -> None:
        super().__init__()
        plain = [Actnorm(channels), InvertibleConvolution(channels)]
        steered = []
        if condition_channels:
            about = (channels, condition_channels, width)
            steered = [AffineInjector(*about), ConditionalCoupling(*about)]
        self.plain, self.steered = nn.ModuleList(plain), nn.ModuleList(steered)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for layer in self.plain:
            x, added = layer(x)
            total = total + added
        for layer in self.steered:
            x, added = layer(x, condition)
            total = total + added
        return x, total

    def inverse(self, y: Tensor, condition: Tensor) -> Tensor:
        for layer in reversed(self.steered):
            y = layer.inverse(y, condition)
        for layer in reversed(self.plain):
            y = layer.inverse(y)
        return y


class FlowLevel(nn.Module):
    """Squares into channels, steps, and a half of the channels that becomes latents, or all."""

    def __init__(
        self, channels: int, condition_channels: int, steps: int, width: int, *, splits: bool
    ) -> None:
        super().__init__()
        self.latents = channels // 2 if splits else channels
        conditions = [0] * TRANSITIONS + [condition_channels] * steps
        self.steps = nn.ModuleList(FlowStep(channels, count, width) for count in conditions)

    def start(self, x: Tensor, condition: Tensor) -> Tensor:
        """Set the actnorms; return what goes on to the next level."""
        x = functional.pixel_unshuffle(x, 2)
        for step in self.steps:
            step.plain[0].start(x)
            x, _ = step(x, condition)
        return x[:, self.latents :]

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what goes on, the latents, and log |det|."""
        x, total = functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))
        for step in self.steps:
            x, added = step(x, condition)
            total = total + added
        return x[:, self.latents :], x[:, : self.latents], total

    def inverse(self, rest: Tensor | None, latents: Tensor, condition: Tensor) -> Tensor:
        """Return the input; rest: what went on, None for nothing."""
        x = latents if rest is None else torch.cat([latents, rest], dim=1)
        for step in reversed(self.steps):
            x = step.inverse(x, condition)
        return functional.pixel_shuffle(x, 2)


class CorrelatedShift(nn.Module):
    """u of N(mu, M M^T) over the channels of a place; M is lower triangular."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels))
        self.factor = nn.Parameter(START_STD * torch.eye(channels))

    def sample(self, noise: Tensor) -> Tensor:
        """Return mu + M noise; noise: standard normal, B x C x H x W."""
        correlated = torch.einsum("ij,bjhw->bihw", self.factor.tril(), noise)
        return correlated + self.mean[:, None, None]

    def log_likelihood(self, latents: Tensor) -> Tensor:
        """Return the log density under N(mu, I + M M^T) of each picture's latents, in nats, B."""
        root = torch.linalg.cholesky(self.covariance())
        centered = (latents - self.mean[:, None, None]).flatten(2)
        white = torch.linalg.solve_triangular(root, centered, upper=False)
        places = centered.shape[-1]
        return standard_log_likelihood(white) - places * root.diagonal().log().sum()

    def without(self, latents: Tensor) -> Tensor:
        """Return the mean of z given z + u: (I + M M^T)^-1 (z + u - mu)."""
        centered = (latents - self.mean[:, None, None]).flatten(2)
        return torch.linalg.solve(self.covariance(), centered).view_as(latents)

    def covariance(self) -> Tensor:
        """Return I + M M^T."""
        factor = self.factor.tril()
        return factor @ factor.T + torch.eye(len(factor)).to(factor)


def standard_log_likelihood(latents: Tensor) -> Tensor:
    """Return the log density under N(0, I) of each picture's latents, in nats, B."""
    count = latents[0].numel()
    return -latents.square().flatten(1).sum(1) / 2 - count * math.log(2 * math.pi) / 2


def reduced(picture: Tensor, factor: int) -> Tensor:
    """Return pictures ``factor`` times smaller, by antialiased bicubic interpolation (a = -1/2).

    As MATLAB's, but for the border, where the kernel is cut off instead of reflected.
    """
    size = [side // factor for side in picture.shape[-2:]]
    return functional.interpolate(picture, size, mode="bicubic", antialias=True)


def _resized(features: Tensor, has_px: int, px: int) -> Tensor:
    """Return features of places of ``has_px`` at places of ``px``: repeated, or their means."""
    if has_px >= px:
        times = has_px // px
        return features.repeat_interleave(times, -2).repeat_interleave(times, -1)
    return functional.avg_pool2d(features, px // has_px)
